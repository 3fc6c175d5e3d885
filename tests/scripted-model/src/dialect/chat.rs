//! OpenAI chat completions.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Head, set};
use crate::answer::{Answer, Call};
use crate::conversation::{Said, Wrong, content, list, text};

pub fn read(request: &Value) -> Result<Vec<Said<'_>>, Wrong> {
    let messages = list(request, "messages")?;
    if messages.is_empty() {
        return Err(Wrong::new("`messages` is empty"));
    }
    let mut said = Vec::with_capacity(messages.len());
    for message in messages {
        match text(message, "role")? {
            "system" | "developer" => {}
            "user" => said.push(Said::User(content(message.get("content")))),
            "tool" => {
                let id = Cow::Borrowed(text(message, "tool_call_id")?);
                said.push(Said::Result { id, text: content(message.get("content")) });
            }
            "assistant" => said.push(match message.get("tool_calls") {
                None | Some(Value::Null) => Said::Model,
                Some(_) => Said::Calls(ids(list(message, "tool_calls")?)?),
            }),
            role => return Err(Wrong::new(format!("`{role}` is not a role"))),
        }
    }
    Ok(said)
}

fn ids(calls: &[Value]) -> Result<Vec<Cow<'_, str>>, Wrong> {
    if calls.is_empty() {
        return Err(Wrong::new("`tool_calls` is empty"));
    }
    let id = |call| {
        let function = call_function(call)?;
        text(function, "name")?;
        text(function, "arguments")?;
        Ok(Cow::Borrowed(text(call, "id")?))
    };
    calls.iter().map(id).collect()
}

fn call_function(call: &Value) -> Result<&Value, Wrong> {
    call.get("function").ok_or_else(|| Wrong::new("a tool call has no `function`"))
}

/// An answer, or a chunk of one. Serialised without a detour through `Value`, because benches use this dialect most.
#[derive(Serialize)]
struct Completion<'a, C> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    service_tier: &'static str,
    system_fingerprint: &'static str,
    choices: &'a [C],
    /// In chunks: absent unless asked for, and then `null` in all but the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Tokens>>,
}

impl<'a, C: Serialize> Completion<'a, C> {
    fn new(head: &Head<'a>, id: &'a str, object: &'static str, choices: &'a [C]) -> Self {
        Self {
            id,
            object,
            created: head.created,
            model: head.model,
            service_tier: "default",
            system_fingerprint: "fp_scripted",
            choices,
            usage: None,
        }
    }

    fn json(&self) -> String {
        // Nothing in it can fail: all keys are texts.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Whole {
    index: u64,
    message: Value,
    logprobs: (),
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Chunk {
    index: u64,
    delta: Value,
    logprobs: (),
    finish_reason: Option<&'static str>,
}

#[derive(Serialize)]
struct Tokens {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
}

#[derive(Serialize)]
struct PromptDetails {
    cached_tokens: u64,
    audio_tokens: u64,
}

#[derive(Serialize)]
struct CompletionDetails {
    reasoning_tokens: u64,
    audio_tokens: u64,
    accepted_prediction_tokens: u64,
    rejected_prediction_tokens: u64,
}

fn tokens(answer: &Answer) -> Tokens {
    let usage = answer.usage;
    Tokens {
        prompt_tokens: usage.input,
        completion_tokens: usage.output,
        total_tokens: usage.input + usage.output,
        prompt_tokens_details: PromptDetails { cached_tokens: usage.cached, audio_tokens: 0 },
        completion_tokens_details: CompletionDetails {
            reasoning_tokens: usage.reasoning,
            audio_tokens: 0,
            accepted_prediction_tokens: 0,
            rejected_prediction_tokens: 0,
        },
    }
}

fn finish(answer: &Answer) -> &'static str {
    match (answer.too_long, answer.calls.is_empty()) {
        (true, _) => "length",
        (false, false) => "tool_calls",
        (false, true) => "stop",
    }
}

pub fn whole(head: &Head<'_>, answer: &Answer) -> String {
    let text = (!answer.text.is_empty()).then_some(&answer.text);
    let mut message = json!({ "role": "assistant", "content": text, "refusal": null, "annotations": [] });
    if !answer.thoughts.is_empty() {
        set(&mut message, "reasoning_content", answer.thoughts.as_str());
    }
    if !answer.calls.is_empty() {
        let call = |(at, call): (usize, &Call)| {
            let function = json!({ "name": call.name, "arguments": call.arguments });
            json!({ "id": head.id("call_", at), "type": "function", "function": function })
        };
        set(&mut message, "tool_calls", answer.calls.iter().enumerate().map(call).collect::<Vec<_>>());
    }
    let id = head.id("chatcmpl-", 0);
    let choices = [Whole { index: 0, message, logprobs: (), finish_reason: finish(answer) }];
    Completion { usage: Some(Some(tokens(answer))), ..Completion::new(head, &id, "chat.completion", &choices) }.json()
}

pub fn events(head: &Head<'_>, answer: &Answer) -> Vec<String> {
    let with_usage = head.request.pointer("/stream_options/include_usage") == Some(&Value::Bool(true));
    let id = head.id("chatcmpl-", 0);
    let chunk = |choices: &[Chunk], usage: Option<Tokens>| {
        let usage = with_usage.then_some(usage);
        let chunk = Completion { usage, ..Completion::new(head, &id, "chat.completion.chunk", choices) };
        format!("data: {}\n\n", chunk.json())
    };
    let choice = |delta, finish_reason| [Chunk { index: 0, delta, logprobs: (), finish_reason }];
    let delta = |delta: Value| chunk(&choice(delta, None), None);
    let begun = |at: usize, call: &Call| {
        let function = json!({ "name": call.name, "arguments": "" });
        json!({ "index": at, "id": head.id("call_", at), "type": "function", "function": function })
    };
    let mut events = Vec::new();
    // As OpenAI does: the role comes with the first call if that is all there is, else on its own.
    let only_call = match answer.calls.as_slice() {
        [call] if answer.text.is_empty() && answer.thoughts.is_empty() => Some(call),
        _ => None,
    };
    events.push(match only_call {
        Some(call) => {
            delta(json!({ "role": "assistant", "content": null, "tool_calls": [begun(0, call)], "refusal": null }))
        }
        None if answer.calls.is_empty() => delta(json!({ "role": "assistant", "content": "", "refusal": null })),
        None => delta(json!({ "role": "assistant", "content": null })),
    });
    events.extend(answer.pieces(&answer.thoughts).map(|piece| delta(json!({ "reasoning_content": piece }))));
    events.extend(answer.pieces(&answer.text).map(|piece| delta(json!({ "content": piece }))));
    for (at, call) in answer.calls.iter().enumerate() {
        if only_call.is_none() {
            events.push(delta(json!({ "tool_calls": [begun(at, call)] })));
        }
        let fragment = |piece| json!({ "tool_calls": [{ "index": at, "function": { "arguments": piece } }] });
        events.extend(answer.pieces(&call.arguments).map(|piece| delta(fragment(piece))));
    }
    events.push(chunk(&choice(json!({}), Some(finish(answer))), None));
    if with_usage {
        events.push(chunk(&[], Some(tokens(answer))));
    }
    events.push("data: [DONE]\n\n".to_owned());
    events
}
