//! Writes requests.
//!
//! What this dialect cannot say is left out: `stop`, that a tool failed, and thoughts without the provider's own proof.

use serde_json::{Map, Value, json};

use super::{items, response};
use crate::{Choice, Effort, Format, Image, Message, Part, Reasoning, Request, Role, Tool, ToolCall, gemini};

/// Writes a request. The provider is asked to keep nothing, as the whole conversation is in it.
pub fn write_request(request: &Request) -> Value {
    let mut body = Map::new();
    body.insert("model".into(), request.model.as_str().into());
    let mut messages = request.messages.as_slice();
    if let [Message { role: Role::System, parts }, rest @ ..] = messages
        && let [Part::Text(text)] = parts.as_slice()
    {
        body.insert("instructions".into(), text.as_str().into());
        messages = rest;
    }
    body.insert("input".into(), messages.iter().flat_map(write_message).collect());
    if !request.tools.is_empty() {
        body.insert("tools".into(), request.tools.iter().map(write_tool).collect());
    }
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(key.into(), value);
        }
    };
    set("tool_choice", request.choice.as_ref().map(write_choice));
    set("parallel_tool_calls", request.parallel_calls.map(Value::from));
    set("max_output_tokens", request.max_output.map(Value::from));
    set("temperature", request.temperature.map(Value::from));
    set("top_p", request.top_p.map(Value::from));
    set("text", request.format.as_ref().map(|format| json!({"format": write_format(format)})));
    set("reasoning", request.effort.map(|effort| json!({"effort": write_effort(effort)})));
    // Without it, thoughts could not be handed back. Models that do not think refuse it.
    set("include", request.effort.map(|_| json!(["reasoning.encrypted_content"])));
    set("stream", request.stream.then_some(Value::Bool(true)));
    set("store", Some(Value::Bool(false)));
    Value::Object(body)
}

fn write_message(message: &Message) -> Vec<Value> {
    let (role, text_type) = match message.role {
        Role::System => ("system", "input_text"),
        Role::User => ("user", "input_text"),
        Role::Assistant => ("assistant", "output_text"),
    };
    let mut written: Vec<Value> = Vec::new();
    let mut content: Vec<Value> = Vec::new();
    let end = |content: &mut Vec<Value>, written: &mut Vec<Value>| {
        if !content.is_empty() {
            written.push(json!({"type": "message", "role": role, "content": std::mem::take(content)}));
        }
    };
    for part in &message.parts {
        let item = match part {
            Part::Text(_) | Part::Image(_) => {
                content.extend(write_part(part, text_type));
                continue;
            }
            Part::Reasoning(thought) if is_proved(thought) => without_id(response::reasoning_item("", thought)),
            Part::Reasoning(_) => continue,
            Part::Call(ToolCall { id, name, arguments }) => {
                json!({"type": "function_call", "call_id": id, "name": name, "arguments": arguments})
            }
            Part::Result(result) => {
                json!({"type": "function_call_output", "call_id": result.id, "output": write_result(&result.parts)})
            }
        };
        end(&mut content, &mut written);
        written.push(item);
    }
    end(&mut content, &mut written);
    written
}

/// Whether the provider may take a thought for its own. Without a proof it looks for the thought in what it keeps, and
/// here it keeps nothing. Proofs of Gemini are marked; those of others cannot be told apart.
fn is_proved(thought: &Reasoning) -> bool {
    thought.signature.as_deref().is_some_and(|proof| !proof.is_empty() && !proof.starts_with(gemini::SIGNATURE_MARK))
}

fn without_id(mut item: Value) -> Value {
    items::unset(&mut item, "id");
    item
}

/// `None` for what content cannot hold.
fn write_part(part: &Part, text_type: &str) -> Option<Value> {
    match part {
        Part::Text(text) => Some(json!({"type": text_type, "text": text})),
        Part::Image(image) => {
            let url = match image {
                Image::Url(url) => url.clone(),
                Image::Data { media_type, base64 } => format!("data:{media_type};base64,{base64}"),
            };
            Some(json!({"type": "input_image", "detail": "auto", "image_url": url}))
        }
        Part::Reasoning(_) | Part::Call(_) | Part::Result(_) => None,
    }
}

fn write_result(parts: &[Part]) -> Value {
    match parts {
        [] => "".into(),
        [Part::Text(text)] => text.as_str().into(),
        parts => parts.iter().filter_map(|part| write_part(part, "input_text")).collect(),
    }
}

fn write_tool(tool: &Tool) -> Value {
    let mut written = json!({"type": "function", "name": tool.name});
    if !tool.description.is_empty() {
        items::set(&mut written, "description", tool.description.as_str());
    }
    items::set(&mut written, "parameters", tool.parameters.clone());
    // Other dialects do not enforce schemas; here it is the default, and many schemas do not fit it.
    items::set(&mut written, "strict", false);
    written
}

fn write_choice(choice: &Choice) -> Value {
    match choice {
        Choice::Auto => "auto".into(),
        Choice::None => "none".into(),
        Choice::Required => "required".into(),
        Choice::Named(name) => json!({"type": "function", "name": name}),
    }
}

fn write_format(format: &Format) -> Value {
    match format {
        Format::Json => json!({"type": "json_object"}),
        Format::Schema { name, schema, strict } => {
            json!({"type": "json_schema", "name": name, "schema": schema, "strict": strict})
        }
    }
}

const fn write_effort(effort: Effort) -> &'static str {
    match effort {
        Effort::Minimal => "minimal",
        Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
    }
}
