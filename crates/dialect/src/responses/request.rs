//! Reads requests.
//!
//! Items of the input that follow each other and are said by the same side become one neutral message, as the other
//! dialects have it: a model's text, thoughts and calls; a user's tool results and text.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::items::{self, Kind, list_at, text_at};
use super::response;
use crate::fields::{At, Fields};
use crate::{Attached, Choice, Effort, Format, Image, Malformed, Message, Part, Request, Role, Tool, ToolResult};

/// Reads a request. Parts that the neutral form has no word for, such as files, are left out.
///
/// # Errors
/// The body is not a request of this dialect.
pub fn read_request(body: &Value) -> Result<Request, Malformed> {
    let root = At::Root;
    let body = Fields::of(body, &root)?;
    let mut messages = Vec::new();
    read_input(&body, "instructions", Role::System, &mut messages)?;
    read_input(&body, "input", Role::User, &mut messages)?;
    let mut tools = Vec::new();
    read_tools(&body, &root, &mut tools)?;
    Ok(Request {
        model: body.text("model")?.unwrap_or_default().into(),
        messages,
        tools,
        choice: body.get("tool_choice").map(read_choice).transpose()?,
        parallel_calls: body.flag("parallel_tool_calls")?,
        max_output: body.count("max_output_tokens")?,
        temperature: body.number("temperature")?,
        top_p: body.number("top_p")?,
        stop: Vec::new(),
        format: body.get("text").and_then(|text| text.get("format")).map(read_format).transpose()?.flatten(),
        effort: read_effort(&body)?,
        stream: body.flag("stream")?.unwrap_or_default(),
    })
}

/// What comes with a request besides what somebody says in it: what its provider keeps, files, what tools of the provider
/// gave.
pub fn attached(body: &Value) -> Attached {
    let elsewhere = super::needs_provider_state(body);
    let unread = elsewhere || list_at(body, "input").iter().any(is_unread);
    Attached { unread, elsewhere, ..Attached::default() }
}

/// Whether an item holds what is not read here. What somebody says or shows is theirs, read or not.
fn is_unread(item: &Value) -> bool {
    const KNOWN: [&str; 9] = [
        "input_text",
        "output_text",
        "text",
        "summary_text",
        "reasoning_text",
        "refusal",
        "input_image",
        "computer_screenshot",
        "input_audio",
    ];
    match text_at(item, "type").unwrap_or("message") {
        "message" => {
            list_at(item, "content").iter().any(|part| text_at(part, "type").is_none_or(|kind| !KNOWN.contains(&kind)))
        }
        "reasoning" => false,
        kind if kind.ends_with("_output") => text_at(item, "call_id").is_none(),
        _ => items::kind(item).is_ok_and(|kind| kind != Kind::Call),
    }
}

fn read_input(body: &Fields<'_, '_>, name: &str, role: Role, messages: &mut Vec<Message>) -> Result<(), Malformed> {
    if let Some(Value::String(text)) = body.get(name) {
        say(messages, role, [Part::Text(text.clone())]);
        return Ok(());
    }
    let list = At::Field(&At::Root, name);
    for (number, item) in body.list(name)?.iter().enumerate() {
        read_item(item, &At::Item(&list, number), messages)?;
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

fn read_item(item: &Value, at: &At<'_>, messages: &mut Vec<Message>) -> Result<(), Malformed> {
    let fields = Fields::of(item, at)?;
    let role = fields.text("role")?;
    // Both types may be left out.
    let untyped = if role.is_some() { "message" } else { "item_reference" };
    match fields.text("type")?.unwrap_or(untyped) {
        "message" => {
            let role = match role {
                Some("system" | "developer") => Role::System,
                Some("user") => Role::User,
                Some("assistant") => Role::Assistant,
                _ => return Err(fields.wrong("role", "is not a role")),
            };
            say(messages, role, read_content(&fields, "content", at)?);
        }
        "reasoning" => say(messages, Role::Assistant, response::reasoning(item).map(Part::Reasoning)),
        "item_reference" => {}
        kind if kind.ends_with("_output") => {
            if let Some(id) = fields.text("call_id")? {
                let parts = read_result(&fields, at)?;
                say(messages, Role::User, [Part::Result(ToolResult { id: id.into(), parts, failed: false })]);
            }
        }
        _ if items::kind(item)? == Kind::Call => {
            let call = items::call(item).map_err(|wrong| {
                let key = wrong.at.strip_prefix("item.").unwrap_or_default();
                At::Field(at, key).wrong(&wrong.what)
            })?;
            say(messages, Role::Assistant, [Part::Call(call)]);
        }
        _ => {}
    }
    Ok(())
}

fn read_content(fields: &Fields<'_, '_>, name: &str, at: &At<'_>) -> Result<Vec<Part>, Malformed> {
    if let Some(Value::String(text)) = fields.get(name) {
        return Ok(vec![Part::Text(text.clone())]);
    }
    let list = At::Field(at, name);
    let read = |(number, part)| read_part(part, &At::Item(&list, number)).transpose();
    fields.list(name)?.iter().enumerate().filter_map(read).collect()
}

fn read_part(part: &Value, at: &At<'_>) -> Result<Option<Part>, Malformed> {
    let fields = Fields::of(part, at)?;
    let key = match fields.text("type")? {
        Some("input_text" | "output_text" | "text" | "summary_text" | "reasoning_text") => "text",
        Some("refusal") => "refusal",
        Some("input_image" | "computer_screenshot") => return Ok(read_image(part).map(Part::Image)),
        _ => return Ok(None),
    };
    Ok(Some(Part::Text(fields.need_text(key)?.into())))
}

/// The picture of a part, unless it is a file that the provider keeps.
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

fn read_result(fields: &Fields<'_, '_>, at: &At<'_>) -> Result<Vec<Part>, Malformed> {
    match fields.get("output") {
        None => Ok(Vec::new()),
        Some(Value::String(text)) if text.is_empty() => Ok(Vec::new()),
        Some(Value::String(_)) => read_content(fields, "output", at),
        Some(Value::Array(parts)) if parts.iter().all(|part| text_at(part, "type").is_some()) => {
            read_content(fields, "output", at)
        }
        Some(part @ Value::Object(_)) if part.get("image_url").is_some() => {
            Ok(read_image(part).map(Part::Image).into_iter().collect())
        }
        // The provider's own tools have results of their own shapes.
        Some(other) => Ok(vec![Part::Text(other.to_string())]),
    }
}

/// Tools that run at the provider are named by their type, so that rules can speak of them.
fn read_tools(fields: &Fields<'_, '_>, at: &At<'_>, tools: &mut Vec<Tool>) -> Result<(), Malformed> {
    let list = At::Field(at, "tools");
    for (number, tool) in fields.list("tools")?.iter().enumerate() {
        let at = At::Item(&list, number);
        let tool = Fields::of(tool, &at)?;
        let kind = tool.need_text("type")?;
        let name = match kind {
            "function" | "custom" => tool.need_text("name")?,
            "namespace" => {
                read_tools(&tool, &at, tools)?;
                continue;
            }
            kind => kind,
        };
        let parameters = match tool.get("parameters") {
            Some(schema @ Value::Object(_)) if kind == "function" => schema.clone(),
            Some(_) if kind == "function" => return Err(tool.wrong("parameters", "is not an object")),
            _ => json!({}),
        };
        let description = tool.text("description")?.unwrap_or_default();
        tools.push(Tool { name: name.into(), description: description.into(), parameters });
    }
    Ok(())
}

/// The names that calls for the agent can have in an answer to the request `body`. Calls of the provider's own tools are
/// named by the type of their items. Tools can be offered by earlier items, too: those that a search has found.
pub fn offered(body: &Value) -> HashSet<String> {
    let mut names = HashSet::new();
    offer(body, &mut names);
    list_at(body, "input").iter().for_each(|item| offer(item, &mut names));
    names
}

fn offer(holder: &Value, names: &mut HashSet<String>) {
    for tool in list_at(holder, "tools") {
        match text_at(tool, "type").unwrap_or_default() {
            "function" | "custom" => names.extend(text_at(tool, "name").map(String::from)),
            "namespace" => offer(tool, names),
            "mcp" => drop(names.insert("mcp_approval_request".into())),
            kind if kind.starts_with("computer") => drop(names.insert("computer_call".into())),
            kind => drop(names.insert(format!("{kind}_call"))),
        }
    }
}

fn read_choice(choice: &Value) -> Result<Choice, Malformed> {
    let odd = || Malformed::new("tool_choice", "is not a choice of tools");
    let word = match choice {
        Value::String(word) => word.as_str(),
        choice => match text_at(choice, "type").ok_or_else(odd)? {
            "allowed_tools" => text_at(choice, "mode").unwrap_or("auto"),
            "function" | "custom" => return Ok(Choice::Named(text_at(choice, "name").ok_or_else(odd)?.into())),
            kind => return Ok(Choice::Named(kind.into())),
        },
    };
    match word {
        "auto" => Ok(Choice::Auto),
        "none" => Ok(Choice::None),
        "required" => Ok(Choice::Required),
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
        None => Err(Malformed::new("text.format.type", "is not a text")),
    }
}

/// Efforts beyond what the neutral form has become the nearest; words that nobody knew yet are left out.
fn read_effort(body: &Fields<'_, '_>) -> Result<Option<Effort>, Malformed> {
    match body.get("reasoning").and_then(|reasoning| reasoning.get("effort")) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(word)) => Ok(match word.as_str() {
            "none" | "minimal" => Some(Effort::Minimal),
            "low" => Some(Effort::Low),
            "medium" => Some(Effort::Medium),
            "high" | "xhigh" | "max" => Some(Effort::High),
            _ => None,
        }),
        Some(_) => Err(Malformed::new("reasoning.effort", "is not a text")),
    }
}
