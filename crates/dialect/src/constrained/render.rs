//! The conversation, for a model that knows tools only from what it is told here.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::shortened;
use crate::{Message, Part, Request, Role, Tool, ToolCall, ToolResult};

/// Longest description of a tool, in characters.
const LONGEST_DESCRIPTION: usize = 600;
/// Longest description of an argument, in characters.
const LONGEST_ARGUMENT: usize = 200;
/// Deepest nesting of an argument's type that is told.
const DEEPEST_TYPE: usize = 4;

/// What the model is told about tools and the form of its answers.
pub(super) fn instructions(tools: &[(&Tool, Value)], may_answer: bool) -> String {
    let mut text = String::from("Reply with one JSON object and nothing else.");
    if !tools.is_empty() {
        text.push_str(" To use a tool, reply {\"tool\": NAME, \"arguments\": {…}}; its result comes back to you.");
    }
    if may_answer {
        text.push_str(" To speak to the user, reply {\"answer\": TEXT}.");
    }
    if !tools.is_empty() {
        text.push_str("\n\nTools:\n");
        tools.iter().for_each(|(tool, arguments)| describe(tool, arguments, &mut text));
    }
    text
}

fn describe(tool: &Tool, arguments: &Value, text: &mut String) {
    let signature = kind(arguments, 0);
    let signature = signature.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
    let description = shortened(tool.description.trim(), LONGEST_DESCRIPTION);
    // Writing to a `String` does not fail.
    let _ = writeln!(text, "- {}({signature}): {description}", tool.name);
    let properties = tool.parameters.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        if let Some(about) = property.get("description").and_then(Value::as_str) {
            let _ = writeln!(text, "  {name}: {}", shortened(about.trim(), LONGEST_ARGUMENT));
        }
    }
}

/// A schema in a few words: `{path: string, lines?: integer}`.
fn kind(schema: &Value, depth: usize) -> String {
    let nested = |schema: &Value| kind(schema, depth + 1);
    let list = |values: &[Value], say: &dyn Fn(&Value) -> String| values.iter().map(say).collect::<Vec<_>>().join("|");
    if depth > DEEPEST_TYPE {
        return "any".to_owned();
    }
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    if let Some(Value::Array(values)) = schema.get("enum") {
        return list(values, &Value::to_string);
    }
    if let Some(Value::Array(choices)) = schema.get("anyOf") {
        return list(choices, &nested);
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => {
            let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
                return "object".to_owned();
            };
            let required = schema.get("required").and_then(Value::as_array);
            let must = |name: &String| required.is_some_and(|required| required.iter().any(|one| one == name.as_str()));
            let one = |(name, schema): (&String, &Value)| {
                format!("{name}{}: {}", if must(name) { "" } else { "?" }, nested(schema))
            };
            format!("{{{}}}", properties.iter().map(one).collect::<Vec<_>>().join(", "))
        }
        Some("array") => format!("[{}]", schema.get("items").map_or_else(|| "any".to_owned(), nested)),
        Some(kind) => kind.to_owned(),
        None => "any".to_owned(),
    }
}

/// The messages: instructions with the first ones of the system, calls and results as text, and no two messages of the
/// same speaker in a row, which some chat templates refuse.
pub(super) fn messages(request: &Request, instructions: &str) -> Vec<Message> {
    let mut names = HashMap::new();
    let mut messages: Vec<Message> = Vec::new();
    let system = request.messages.iter().take_while(|message| message.role == Role::System).count();
    for (index, message) in request.messages.iter().enumerate() {
        if index == system {
            push(&mut messages, Message::text(Role::System, instructions));
        }
        let parts = match message.role {
            Role::Assistant => said(&message.parts, &mut names),
            Role::System | Role::User => message.parts.iter().flat_map(|part| heard(part, &names)).collect(),
        };
        push(&mut messages, Message { role: message.role, parts });
    }
    if system == request.messages.len() {
        push(&mut messages, Message::text(Role::System, instructions));
    }
    messages
}

fn push(messages: &mut Vec<Message>, message: Message) {
    match messages.last_mut() {
        _ if message.parts.is_empty() => {}
        Some(last) if last.role == message.role => {
            message.parts.into_iter().for_each(|part| join(&mut last.parts, part))
        }
        _ => messages.push(message),
    }
}

fn join(parts: &mut Vec<Part>, part: Part) {
    match (parts.last_mut(), part) {
        (Some(Part::Text(text)), Part::Text(more)) => {
            text.push_str("\n\n");
            text.push_str(&more);
        }
        (_, part) => parts.push(part),
    }
}

fn texts(parts: &[Part]) -> impl Iterator<Item = &str> {
    parts.iter().filter_map(|part| if let Part::Text(text) = part { Some(text.as_str()) } else { None })
}

/// What the model said before, in the form that it is held to now.
fn said<'a>(parts: &'a [Part], names: &mut HashMap<&'a str, &'a str>) -> Vec<Part> {
    let texts: String = texts(parts).collect();
    let calls: Vec<&ToolCall> =
        parts.iter().filter_map(|part| if let Part::Call(call) = part { Some(call) } else { None }).collect();
    names.extend(calls.iter().map(|call| (call.id.as_str(), call.name.as_str())));
    let mut lines: Vec<String> = Vec::new();
    if calls.is_empty() && !texts.is_empty() {
        lines.push(json!({ "answer": texts }).to_string());
    } else if !texts.is_empty() {
        lines.push(texts);
    }
    lines.extend(calls.into_iter().map(|call| {
        let arguments = serde_json::from_str(&call.arguments).unwrap_or_else(|_| Value::from(call.arguments.as_str()));
        json!({ "tool": call.name, "arguments": arguments }).to_string()
    }));
    if lines.is_empty() { Vec::new() } else { vec![Part::Text(lines.join("\n"))] }
}

/// A part of what the model is told.
fn heard(part: &Part, names: &HashMap<&str, &str>) -> Vec<Part> {
    match part {
        Part::Result(result) => told(result, names.get(result.id.as_str()).copied()),
        Part::Text(_) | Part::Image(_) => vec![part.clone()],
        Part::Reasoning(_) | Part::Call(_) => Vec::new(),
    }
}

fn told(result: &ToolResult, name: Option<&str>) -> Vec<Part> {
    let tool = name.map_or_else(|| "a tool".to_owned(), |name| format!("the tool {name}"));
    let text = match (texts(&result.parts).collect::<Vec<_>>().join("\n"), result.failed) {
        (text, false) if text.is_empty() => format!("The result of {tool} is empty."),
        (text, false) => format!("The result of {tool}:\n{text}"),
        (text, true) => format!("The call of {tool} failed:\n{text}"),
    };
    let images = result.parts.iter().filter(|part| matches!(part, Part::Image(_))).cloned();
    std::iter::once(Part::Text(text)).chain(images).collect()
}
