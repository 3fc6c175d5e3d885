//! Writing requests.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::part::{NO_SIGNATURE, own_id, signed, write_answer, write_image};
use crate::{Choice, Effort, Format, Part, Request, Role, Tool, ToolResult};

/// Writes a request. The model stands in the path, not in the body.
///
/// Models up to 2.5 take a budget of tokens to think (minimal 512, low 1,024, medium 8,192, high 24,576), later ones a
/// level, and refuse calls in the history that have no signature.
pub fn write_request(request: &Request) -> Value {
    let newer = is_newer(&request.model);
    let mut system = Vec::new();
    let mut turns = Vec::new();
    let names = names_of_calls(request);
    for message in &request.messages {
        match message.role {
            Role::System => system.extend(message.parts.iter().filter_map(write_plain)),
            Role::User => {
                // Results must follow their calls, so they come before anything else that is said then.
                let results = message.parts.iter().filter_map(|part| match part {
                    Part::Result(result) => Some(result),
                    _ => None,
                });
                let (answers, pictures): (Vec<Value>, Vec<Vec<Value>>) =
                    results.map(|result| write_result(result, &names)).unzip();
                let plain = pictures.into_iter().flatten().chain(message.parts.iter().filter_map(write_plain));
                add(&mut turns, "user", true, answers);
                add(&mut turns, "user", false, plain.collect());
            }
            Role::Assistant => add(&mut turns, "model", false, write_answer(&message.parts, false)),
        }
    }
    if newer {
        sign_calls(&mut turns);
    }
    let contents: Vec<Value> = turns.into_iter().map(|turn| json!({"role": turn.role, "parts": turn.parts})).collect();

    let mut body = Map::new();
    let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
    if !system.is_empty() {
        put("systemInstruction", json!({"parts": system}));
    }
    put("contents", contents.into());
    if !request.tools.is_empty() {
        let tools: Vec<Value> = request.tools.iter().map(write_tool).collect();
        put("tools", json!([{"functionDeclarations": tools}]));
        if let Some(choice) = &request.choice {
            put("toolConfig", json!({"functionCallingConfig": write_choice(choice)}));
        }
    }
    let generation = write_generation(request, newer);
    if !generation.is_empty() {
        put("generationConfig", generation.into());
    }
    body.into()
}

/// What one side says at a time. Results of calls stand apart from other things that users say.
struct Turn {
    role: &'static str,
    results: bool,
    parts: Vec<Value>,
}

fn add(turns: &mut Vec<Turn>, role: &'static str, results: bool, parts: Vec<Value>) {
    if parts.is_empty() {
        return;
    }
    // Results come before whatever else the user has said meanwhile.
    let meanwhile = if results { turns.pop_if(|last| last.role == "user" && !last.results) } else { None };
    match turns.last_mut() {
        Some(last) if last.role == role && last.results == results => last.parts.extend(parts),
        _ => turns.push(Turn { role, results, parts }),
    }
    turns.extend(meanwhile);
}

/// Gemini knows results by their function's name.
fn names_of_calls(request: &Request) -> HashMap<&str, &str> {
    let parts = request.messages.iter().flat_map(|message| &message.parts);
    parts
        .filter_map(|part| match part {
            Part::Call(call) => Some((call.id.as_str(), call.name.as_str())),
            _ => None,
        })
        .collect()
}

fn write_plain(part: &Part) -> Option<Value> {
    match part {
        Part::Text(text) => (!text.is_empty()).then(|| json!({"text": text})),
        Part::Image(image) => Some(write_image(image)),
        Part::Reasoning(_) | Part::Call(_) | Part::Result(_) => None,
    }
}

/// A result, and the pictures of it, which stand beside it.
fn write_result(result: &ToolResult, names: &HashMap<&str, &str>) -> (Value, Vec<Value>) {
    let texts = result.parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        _ => None,
    });
    let text = texts.collect::<Vec<&str>>().join("\n");
    let pictures = result.parts.iter().filter_map(|part| match part {
        Part::Image(image) => Some(write_image(image)),
        _ => None,
    });
    let mut inner = Map::new();
    inner.extend(own_id(&result.id).map(|id| ("id".to_owned(), id.into())));
    inner.insert("name".into(), (*names.get(result.id.as_str()).unwrap_or(&result.id.as_str())).into());
    let key = if result.failed { "error" } else { "output" };
    inner.insert("response".into(), json!({ key: text }));
    (json!({"functionResponse": inner}), pictures.collect())
}

/// Marks calls that have no signature: in what follows the last words of the user, the first call of each turn needs one.
fn sign_calls(turns: &mut [Turn]) {
    let begin = turns.iter().rposition(|turn| turn.role == "user" && !turn.results).map_or(0, |last| last + 1);
    for turn in turns.iter_mut().skip(begin) {
        let first = turn.parts.iter_mut().find(|part| part.get("functionCall").is_some());
        if let Some(part) = first.filter(|part| part.get("thoughtSignature").is_none()) {
            *part = signed(part.take(), Some(NO_SIGNATURE));
        }
    }
}

fn write_tool(tool: &Tool) -> Value {
    let mut map = Map::new();
    map.insert("name".into(), tool.name.as_str().into());
    map.insert("description".into(), tool.description.as_str().into());
    if tool.parameters.as_object().is_some_and(|schema| !schema.is_empty()) {
        map.insert("parametersJsonSchema".into(), tool.parameters.clone());
    }
    map.into()
}

fn write_choice(choice: &Choice) -> Value {
    match choice {
        Choice::Auto => json!({"mode": "AUTO"}),
        Choice::None => json!({"mode": "NONE"}),
        Choice::Required => json!({"mode": "ANY"}),
        Choice::Named(name) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
    }
}

fn write_generation(request: &Request, newer: bool) -> Map<String, Value> {
    let mut map = Map::new();
    let mut put = |name: &str, value: Option<Value>| map.extend(value.map(|value| (name.to_owned(), value)));
    put("maxOutputTokens", request.max_output.map(Value::from));
    put("temperature", request.temperature.map(Value::from));
    put("topP", request.top_p.map(Value::from));
    put("stopSequences", (!request.stop.is_empty()).then(|| json!(request.stop)));
    put("responseMimeType", request.format.as_ref().map(|_| "application/json".into()));
    if let Some(Format::Schema { schema, .. }) = &request.format {
        put("responseJsonSchema", Some(schema.clone()));
    }
    put("thinkingConfig", request.effort.map(|effort| write_thinking(effort, newer)));
    map
}

fn write_thinking(effort: Effort, newer: bool) -> Value {
    let (budget, level) = match effort {
        Effort::Minimal => (512, "minimal"),
        Effort::Low => (1_024, "low"),
        Effort::Medium => (8_192, "medium"),
        Effort::High => (24_576, "high"),
    };
    let thoughts = effort != Effort::Minimal;
    if newer {
        json!({"thinkingLevel": level, "includeThoughts": thoughts})
    } else {
        json!({"thinkingBudget": budget, "includeThoughts": thoughts})
    }
}

/// Models after 2.5. The older names are a closed list; what is not on it is newer.
fn is_newer(model: &str) -> bool {
    model.contains("gemini") && !["gemini-1", "gemini-2", "gemini-pro"].iter().any(|name| model.contains(name))
}
