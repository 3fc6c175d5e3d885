//! Writing requests.

use serde_json::{Map, Value, json};

use super::content;
use super::request::limit_name;
use crate::{Choice, Effort, Format, Message, Part, Request, Role, Tool, ToolCall, ToolResult};

/// Writes a request. What this dialect has no place for is left out: signatures of thoughts and whether a tool call
/// failed. Pictures of tool results follow them in a message of the user.
pub fn write_request(request: &Request) -> Value {
    let mut body = Map::new();
    let mut set = |key: &str, value: Value| {
        body.insert(key.to_owned(), value);
    };
    set("model", request.model.as_str().into());
    set("messages", Value::Array(request.messages.iter().flat_map(write_message).collect()));
    if !request.tools.is_empty() {
        set("tools", Value::Array(request.tools.iter().map(write_tool).collect()));
    }
    if let Some(choice) = &request.choice {
        set("tool_choice", write_choice(choice));
    }
    if let Some(parallel) = request.parallel_calls {
        set("parallel_tool_calls", parallel.into());
    }
    if let Some(tokens) = request.max_output {
        set(limit_name(&request.model), tokens.into());
    }
    if let Some(temperature) = request.temperature {
        set("temperature", temperature.into());
    }
    if let Some(top_p) = request.top_p {
        set("top_p", top_p.into());
    }
    if !request.stop.is_empty() {
        set("stop", json!(request.stop));
    }
    if let Some(format) = &request.format {
        set("response_format", write_format(format));
    }
    if let Some(effort) = request.effort {
        set("reasoning_effort", write_effort(effort).into());
    }
    if request.stream {
        set("stream", true.into());
        set("stream_options", json!({"include_usage": true}));
    }
    Value::Object(body)
}

fn write_choice(choice: &Choice) -> Value {
    match choice {
        Choice::Auto => "auto".into(),
        Choice::None => "none".into(),
        Choice::Required => "required".into(),
        Choice::Named(name) => json!({"type": "function", "function": {"name": name}}),
    }
}

fn write_effort(effort: Effort) -> &'static str {
    match effort {
        Effort::Minimal => "minimal",
        Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
    }
}

fn write_format(format: &Format) -> Value {
    match format {
        Format::Json => json!({"type": "json_object"}),
        Format::Schema { name, schema, strict } => {
            json!({"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": strict}})
        }
    }
}

fn write_tool(tool: &Tool) -> Value {
    let mut function = Map::new();
    function.insert("name".to_owned(), tool.name.as_str().into());
    if !tool.description.is_empty() {
        function.insert("description".to_owned(), tool.description.as_str().into());
    }
    function.insert("parameters".to_owned(), tool.parameters.clone());
    json!({"type": "function", "function": function})
}

/// A neutral message is several here where it has tool results: these are messages of their own, right after the
/// calls.
fn write_message(message: &Message) -> Vec<Value> {
    let results = || {
        message.parts.iter().filter_map(|part| match part {
            Part::Result(result) => Some(result),
            _ => None,
        })
    };
    let pictures = |part: &&Part| matches!(part, Part::Image(_));
    let mut content: Vec<&Part> = results().flat_map(|result| &result.parts).filter(pictures).collect();
    content.extend(message.parts.iter().filter(|part| matches!(part, Part::Text(_) | Part::Image(_))));
    let mut written: Vec<Value> = results().map(write_result).collect();
    match message.role {
        Role::Assistant => {
            content.retain(|part| !pictures(part));
            written.insert(0, write_assistant(message, &content));
        }
        Role::System => written.push(json!({"role": "system", "content": content::write(&content, "\n")})),
        Role::User if written.is_empty() || !content.is_empty() => {
            written.push(json!({"role": "user", "content": content::write(&content, "\n")}));
        }
        Role::User => {}
    }
    written
}

fn write_result(result: &ToolResult) -> Value {
    let texts: Vec<&Part> = result.parts.iter().filter(|part| matches!(part, Part::Text(_))).collect();
    json!({"role": "tool", "tool_call_id": result.id, "content": content::write(&texts, "\n")})
}

/// Texts of an answer follow each other as they were streamed, with nothing between.
fn write_assistant(message: &Message, content: &[&Part]) -> Value {
    let mut thoughts = String::new();
    let mut calls = Vec::new();
    for part in &message.parts {
        match part {
            Part::Reasoning(reasoning) => thoughts.push_str(&reasoning.text),
            Part::Call(call) => calls.push(write_call(call)),
            Part::Text(_) | Part::Image(_) | Part::Result(_) => {}
        }
    }
    let text = if content.is_empty() && !calls.is_empty() { Value::Null } else { content::write(content, "") };
    let mut written = Map::new();
    written.insert("role".to_owned(), "assistant".into());
    written.insert("content".to_owned(), text);
    if !thoughts.is_empty() {
        written.insert("reasoning_content".to_owned(), thoughts.into());
    }
    if !calls.is_empty() {
        written.insert("tool_calls".to_owned(), Value::Array(calls));
    }
    Value::Object(written)
}

/// An entry of `tool_calls`.
pub(super) fn write_call(call: &ToolCall) -> Value {
    json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}})
}
