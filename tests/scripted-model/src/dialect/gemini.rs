//! Gemini's `generateContent`.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::{Head, arguments, set};
use crate::answer::Answer;
use crate::conversation::{Said, Wrong, list, text};

/// What a request may hold: Gemini refuses unknown fields.
const FIELDS: [&str; 8] = [
    "contents",
    "tools",
    "toolConfig",
    "safetySettings",
    "systemInstruction",
    "generationConfig",
    "cachedContent",
    "serviceTier",
];

/// Fields of JSON Schema that `parameters`, unlike `parametersJsonSchema`, does not know.
const NOT_IN_PARAMETERS: [&str; 5] = ["$schema", "$defs", "$ref", "additionalProperties", "const"];

pub fn read(request: &Value) -> Result<Vec<Said<'_>>, Wrong> {
    let fields = request.as_object().ok_or_else(|| Wrong::new("the body is not an object"))?;
    if let Some(unknown) = fields.keys().find(|key| !FIELDS.contains(&key.as_str())) {
        return Err(Wrong::new(format!(
            "Invalid JSON payload received. Unknown name \"{unknown}\": Cannot find field."
        )));
    }
    for tool in request.get("tools").and_then(Value::as_array).into_iter().flatten() {
        for function in tool.get("functionDeclarations").and_then(Value::as_array).into_iter().flatten() {
            text(function, "name")?;
            known(function.get("parameters").unwrap_or(&Value::Null))?;
        }
    }
    let contents = list(request, "contents")?;
    if contents.is_empty() {
        return Err(Wrong::new("contents is not specified"));
    }
    let mut said = Vec::new();
    for content in contents {
        let parts = list(content, "parts")?;
        match content.get("role").and_then(Value::as_str).unwrap_or("user") {
            "user" => user(parts, &mut said)?,
            "model" => {
                let calls = parts.iter().filter_map(|part| part.get("functionCall"));
                let ids: Vec<_> = (0..).zip(calls).map(|(at, call)| id(call, at)).collect::<Result<_, _>>()?;
                said.push(if ids.is_empty() { Said::Model } else { Said::Calls(ids) });
            }
            role => return Err(Wrong::new(format!("Please use a valid role: user, model. `{role}` is none."))),
        }
    }
    Ok(said)
}

/// Refuses a schema in `parameters` that only `parametersJsonSchema` takes.
fn known(schema: &Value) -> Result<(), Wrong> {
    match schema {
        Value::Object(fields) => {
            if let Some(unknown) = fields.keys().find(|key| NOT_IN_PARAMETERS.contains(&key.as_str())) {
                let message = format!("Invalid JSON payload received. Unknown name \"{unknown}\" at 'parameters'.");
                return Err(Wrong::new(message));
            }
            fields.values().try_for_each(known)
        }
        Value::Array(items) => items.iter().try_for_each(known),
        _ => Ok(()),
    }
}

/// Calls have no ids here: a result belongs to the call in the same place, of the same tool.
fn id(of: &Value, at: usize) -> Result<Cow<'_, str>, Wrong> {
    Ok(Cow::Owned(format!("{} #{at}", text(of, "name")?)))
}

fn user<'r>(parts: &'r [Value], said: &mut Vec<Said<'r>>) -> Result<(), Wrong> {
    let results = parts.iter().filter_map(|part| part.get("functionResponse"));
    for (at, result) in (0..).zip(results) {
        let response = result.get("response").filter(|response| response.is_object());
        let response = response.ok_or_else(|| Wrong::new("functionResponse.response is not an object"))?;
        let only_text = ["output", "result", "error", "content"].iter().find_map(|key| response.get(key)?.as_str());
        let text = only_text.map_or_else(|| Cow::Owned(response.to_string()), Cow::Borrowed);
        said.push(Said::Result { id: id(result, at)?, text });
    }
    if parts.iter().any(|part| part.get("functionResponse").is_none()) {
        let texts: Vec<&str> = parts.iter().filter_map(|part| part.get("text")?.as_str()).collect();
        said.push(Said::User(match texts.as_slice() {
            [only] => Cow::Borrowed(only),
            texts => Cow::Owned(texts.join("\n")),
        }));
    }
    Ok(())
}

fn usage(answer: &Answer) -> Value {
    let usage = answer.usage;
    let mut counts = json!({
        "promptTokenCount": usage.input,
        "candidatesTokenCount": usage.output - usage.reasoning,
        "totalTokenCount": usage.input + usage.output,
        "promptTokensDetails": [{ "modality": "TEXT", "tokenCount": usage.input }],
    });
    if usage.cached > 0 {
        set(&mut counts, "cachedContentTokenCount", usage.cached);
    }
    if usage.reasoning > 0 {
        set(&mut counts, "thoughtsTokenCount", usage.reasoning);
    }
    counts
}

fn finish(answer: &Answer) -> &'static str {
    if answer.too_long { "MAX_TOKENS" } else { "STOP" }
}

fn body(head: &Head<'_>, answer: &Answer, parts: &[Value], last: bool) -> Value {
    let mut candidate = json!({ "content": { "parts": parts, "role": "model" } });
    if last {
        set(&mut candidate, "finishReason", finish(answer));
    }
    set(&mut candidate, "index", 0);
    json!({
        "candidates": [candidate],
        "usageMetadata": usage(answer),
        "modelVersion": head.model,
        "responseId": head.id("", 0),
    })
}

/// Function calls are never in pieces. The first one carries the signature of the thoughts before it.
fn calls(head: &Head<'_>, answer: &Answer) -> Vec<Value> {
    let mut parts: Vec<Value> = answer
        .calls
        .iter()
        .map(|call| json!({ "functionCall": { "name": call.name, "args": arguments(&call.arguments) } }))
        .collect();
    if let Some(first) = parts.first_mut().filter(|_| !answer.thoughts.is_empty()) {
        set(first, "thoughtSignature", head.id("c2lnbmF0dXJl", 0));
    }
    parts
}

pub fn whole(head: &Head<'_>, answer: &Answer) -> String {
    let mut parts = Vec::new();
    if !answer.thoughts.is_empty() {
        parts.push(json!({ "text": answer.thoughts, "thought": true }));
    }
    if !answer.text.is_empty() {
        parts.push(json!({ "text": answer.text }));
    }
    parts.extend(calls(head, answer));
    body(head, answer, &parts, true).to_string()
}

pub fn events(head: &Head<'_>, answer: &Answer) -> Vec<String> {
    let thoughts = answer.pieces(&answer.thoughts).map(|piece| vec![json!({ "text": piece, "thought": true })]);
    let texts = answer.pieces(&answer.text).map(|piece| vec![json!({ "text": piece })]);
    let mut steps: Vec<Vec<Value>> = thoughts.chain(texts).collect();
    let calls = calls(head, answer);
    if !calls.is_empty() || steps.is_empty() {
        steps.push(calls);
    }
    let count = steps.len();
    let event = |(at, parts): (usize, Vec<Value>)| {
        let body = body(head, answer, &parts, at + 1 == count);
        // Lines end so in Gemini's streams.
        format!("data: {body}\r\n\r\n")
    };
    steps.into_iter().enumerate().map(event).collect()
}
