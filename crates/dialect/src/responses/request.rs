//! Requests.
//!
//! Items of the input that follow each other and are said by the same side become one neutral message, as the other
//! dialects have it: a model's text, thoughts and calls; a user's tool results and text. What this dialect cannot say
//! (`stop`, that a tool failed, thoughts without the provider's proof) is left out on writing.

use serde_json::{Map, Value, json};

use super::items::{self, Kind, text_at};
use super::response;
use crate::{Choice, Effort, Format, Image, Malformed, Message, Part, Request, Role, Tool, ToolCall, ToolResult};

/// Reads a request. Parts that the neutral form has no word for, such as files, are left out.
///
/// # Errors
/// The body is not a request of this dialect.
pub fn read_request(body: &Value) -> Result<Request, Malformed> {
    if !body.is_object() {
        return Err(Malformed::new("", "is not an object"));
    }
    let mut messages = Vec::new();
    match body.get("instructions") {
        Some(Value::String(text)) => messages.push(Message::text(Role::System, text)),
        other => read_input(other, Role::System, "instructions", &mut messages)?,
    }
    read_input(body.get("input"), Role::User, "input", &mut messages)?;
    Ok(Request {
        model: typed(body, "model", Value::as_str, "text")?.unwrap_or_default().into(),
        messages,
        tools: read_tools(body.get("tools"), "tools")?,
        choice: body.get("tool_choice").map(read_choice).transpose()?.flatten(),
        parallel_calls: typed(body, "parallel_tool_calls", Value::as_bool, "true or false")?,
        max_output: typed(body, "max_output_tokens", Value::as_u64, "a number of tokens")?,
        temperature: typed(body, "temperature", Value::as_f64, "a number")?,
        top_p: typed(body, "top_p", Value::as_f64, "a number")?,
        stop: Vec::new(),
        format: body.get("text").and_then(|text| text.get("format")).map(read_format).transpose()?.flatten(),
        effort: read_effort(body)?,
        stream: typed(body, "stream", Value::as_bool, "true or false")?.unwrap_or_default(),
    })
}

/// The value at `key`, or none where it is missing or null.
fn typed<'a, T>(
    body: &'a Value,
    key: &str,
    read: impl FnOnce(&'a Value) -> Option<T>,
    what: &str,
) -> Result<Option<T>, Malformed> {
    match body.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => read(value).map(Some).ok_or_else(|| Malformed::new(key, format!("is not {what}"))),
    }
}

fn read_input(input: Option<&Value>, role: Role, at: &str, messages: &mut Vec<Message>) -> Result<(), Malformed> {
    match input {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) => say(messages, role, [Part::Text(text.clone())]),
        Some(Value::Array(list)) => {
            for (number, item) in list.iter().enumerate() {
                read_item(item, &format!("{at}[{number}]"), messages)?;
            }
        }
        Some(_) => return Err(Malformed::new(at, "is neither text nor a list")),
    }
    Ok(())
}

/// Adds `parts` to the last message where the same side says them; each system message stays on its own.
fn say(messages: &mut Vec<Message>, role: Role, parts: impl IntoIterator<Item = Part>) {
    match messages.last_mut() {
        Some(last) if last.role == role && role != Role::System => last.parts.extend(parts),
        _ => messages.push(Message { role, parts: parts.into_iter().collect() }),
    }
}

fn read_item(item: &Value, at: &str, messages: &mut Vec<Message>) -> Result<(), Malformed> {
    if !item.is_object() {
        return Err(Malformed::new(at, "is not an object"));
    }
    let kind = match (text_at(item, "type"), item.get("type"), item.get("role")) {
        (Some(kind), ..) => kind,
        (None, None | Some(Value::Null), Some(_)) => "message",
        (None, None | Some(Value::Null), None) => "item_reference",
        _ => return Err(Malformed::new(format!("{at}.type"), "is not text")),
    };
    match kind {
        "message" => {
            let role = match text_at(item, "role") {
                Some("system" | "developer") => Role::System,
                Some("user") => Role::User,
                Some("assistant") => Role::Assistant,
                _ => return Err(Malformed::new(format!("{at}.role"), "is not a role")),
            };
            say(messages, role, read_content(item.get("content"), &format!("{at}.content"))?);
        }
        "reasoning" => say(messages, Role::Assistant, response::reasoning(item).map(Part::Reasoning)),
        "item_reference" => {}
        kind if kind.ends_with("_output") => {
            if let Some(id) = text_at(item, "call_id") {
                let parts = read_result(item.get("output"), &format!("{at}.output"))?;
                say(messages, Role::User, [Part::Result(ToolResult { id: id.into(), parts, failed: false })]);
            }
        }
        _ if items::kind(item)? == Kind::Call => {
            let call = items::call(item).map_err(|wrong| Malformed::new(format!("{at}.{}", wrong.at), wrong.what))?;
            say(messages, Role::Assistant, [Part::Call(call)]);
        }
        _ => {}
    }
    Ok(())
}

fn read_content(content: Option<&Value>, at: &str) -> Result<Vec<Part>, Malformed> {
    match content {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![Part::Text(text.clone())]),
        Some(Value::Array(parts)) => {
            let read = |(number, part)| read_part(part, &format!("{at}[{number}]")).transpose();
            parts.iter().enumerate().filter_map(read).collect()
        }
        Some(_) => Err(Malformed::new(at, "is neither text nor a list")),
    }
}

fn read_part(part: &Value, at: &str) -> Result<Option<Part>, Malformed> {
    if !part.is_object() {
        return Err(Malformed::new(at, "is not an object"));
    }
    let key = match text_at(part, "type") {
        Some("input_text" | "output_text" | "text" | "summary_text" | "reasoning_text") => "text",
        Some("refusal") => "refusal",
        Some("input_image" | "computer_screenshot") => return Ok(read_image(part).map(Part::Image)),
        _ => return Ok(None),
    };
    match text_at(part, key) {
        Some(text) => Ok(Some(Part::Text(text.into()))),
        None => Err(Malformed::new(format!("{at}.{key}"), "is not text")),
    }
}

fn read_image(part: &Value) -> Option<Image> {
    let url = part.get("image_url")?;
    // The chat dialect's shape is often sent here too.
    let url = url.as_str().or_else(|| text_at(url, "url"))?;
    let data = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    Some(match data {
        Some((media_type, base64)) => Image::Data { media_type: media_type.into(), base64: base64.into() },
        None => Image::Url(url.into()),
    })
}

fn read_result(output: Option<&Value>, at: &str) -> Result<Vec<Part>, Malformed> {
    match output {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) if text.is_empty() => Ok(Vec::new()),
        Some(content @ Value::String(_)) => read_content(Some(content), at),
        Some(content @ Value::Array(parts)) if parts.iter().all(|part| text_at(part, "type").is_some()) => {
            read_content(Some(content), at)
        }
        Some(part @ Value::Object(_)) if part.get("image_url").is_some() => {
            Ok(read_image(part).map(Part::Image).into_iter().collect())
        }
        // The provider's own tools have results of their own shapes.
        Some(other) => Ok(vec![Part::Text(other.to_string())]),
    }
}

/// Tools that run at the provider are named by their type, so that rules can speak of them.
fn read_tools(tools: Option<&Value>, at: &str) -> Result<Vec<Tool>, Malformed> {
    let tools = match tools {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(tools)) => tools,
        Some(_) => return Err(Malformed::new(at, "is not a list")),
    };
    let mut read = Vec::new();
    for (number, tool) in tools.iter().enumerate() {
        let at = format!("{at}[{number}]");
        let kind = text_at(tool, "type").ok_or_else(|| Malformed::new(format!("{at}.type"), "is not text"))?;
        let name = match kind {
            "function" | "custom" => {
                text_at(tool, "name").ok_or_else(|| Malformed::new(format!("{at}.name"), "is not text"))?
            }
            "namespace" => {
                read.extend(read_tools(tool.get("tools"), &format!("{at}.tools"))?);
                continue;
            }
            kind => kind,
        };
        let parameters = match tool.get("parameters") {
            Some(schema @ Value::Object(_)) if kind == "function" => schema.clone(),
            None | Some(Value::Null) => json!({}),
            _ if kind != "function" => json!({}),
            _ => return Err(Malformed::new(format!("{at}.parameters"), "is not an object")),
        };
        let description = text_at(tool, "description").unwrap_or_default();
        read.push(Tool { name: name.into(), description: description.into(), parameters });
    }
    Ok(read)
}

fn read_choice(choice: &Value) -> Result<Option<Choice>, Malformed> {
    let odd = || Malformed::new("tool_choice", "is not a choice of tools");
    let word = match choice {
        Value::Null => return Ok(None),
        Value::String(word) => word.as_str(),
        Value::Object(_) => match text_at(choice, "type").ok_or_else(odd)? {
            "allowed_tools" => text_at(choice, "mode").unwrap_or("auto"),
            "function" | "custom" => {
                return Ok(Some(Choice::Named(text_at(choice, "name").ok_or_else(odd)?.into())));
            }
            kind => return Ok(Some(Choice::Named(kind.into()))),
        },
        _ => return Err(odd()),
    };
    match word {
        "auto" => Ok(Some(Choice::Auto)),
        "none" => Ok(Some(Choice::None)),
        "required" => Ok(Some(Choice::Required)),
        _ => Err(odd()),
    }
}

fn read_format(format: &Value) -> Result<Option<Format>, Malformed> {
    match text_at(format, "type") {
        Some("json_object") => Ok(Some(Format::Json)),
        Some("json_schema") => Ok(Some(Format::Schema {
            name: text_at(format, "name").unwrap_or_default().into(),
            schema: format.get("schema").cloned().unwrap_or_else(|| json!({})),
            strict: format.get("strict").and_then(Value::as_bool).unwrap_or_default(),
        })),
        Some(_) => Ok(None),
        None if format.is_null() => Ok(None),
        None => Err(Malformed::new("text.format.type", "is not text")),
    }
}

/// Efforts beyond what the neutral form has become the nearest; words that nobody knew yet are left out.
fn read_effort(body: &Value) -> Result<Option<Effort>, Malformed> {
    let Some(effort) = body.get("reasoning").and_then(|reasoning| reasoning.get("effort")) else { return Ok(None) };
    match effort {
        Value::Null => Ok(None),
        Value::String(word) => Ok(match word.as_str() {
            "none" | "minimal" => Some(Effort::Minimal),
            "low" => Some(Effort::Low),
            "medium" => Some(Effort::Medium),
            "high" | "xhigh" | "max" => Some(Effort::High),
            _ => None,
        }),
        _ => Err(Malformed::new("reasoning.effort", "is not text")),
    }
}

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
    let mut items: Vec<Value> = Vec::new();
    let mut content: Vec<Value> = Vec::new();
    let end = |content: &mut Vec<Value>, items: &mut Vec<Value>| {
        if !content.is_empty() {
            items.push(json!({"type": "message", "role": role, "content": std::mem::take(content)}));
        }
    };
    for part in &message.parts {
        let item = match part {
            Part::Text(_) | Part::Image(_) => {
                content.extend(write_part(part, text_type));
                continue;
            }
            Part::Reasoning(thought) => match thought.signature {
                // The provider takes thoughts only with its own proof.
                Some(_) => without_id(response::reasoning_item("", thought)),
                None => continue,
            },
            Part::Call(ToolCall { id, name, arguments }) => {
                json!({"type": "function_call", "call_id": id, "name": name, "arguments": arguments})
            }
            Part::Result(result) => {
                json!({"type": "function_call_output", "call_id": result.id, "output": write_result(&result.parts)})
            }
        };
        end(&mut content, &mut items);
        items.push(item);
    }
    end(&mut content, &mut items);
    items
}

fn without_id(mut item: Value) -> Value {
    if let Some(fields) = item.as_object_mut() {
        fields.shift_remove("id");
    }
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
        written["description"] = tool.description.as_str().into();
    }
    written["parameters"] = tool.parameters.clone();
    // Other dialects do not enforce schemas; here it is the default, and many schemas do not fit it.
    written["strict"] = false.into();
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
