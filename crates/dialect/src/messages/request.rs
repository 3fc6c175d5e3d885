//! Reading requests.

use serde_json::{Value, json};

use super::block::{Kind, words};
use super::response::{read_call, read_thinking};
use super::thinking;
use crate::fields::{At, Fields};
use crate::{Attached, Choice, Format, Image, Malformed, Message, Part, Request, Role, Tool, ToolResult};

/// Reads a request. Documents are read where they are text. A tool that the provider executed is read as a call and its
/// result, so that the result does not pass for something that the model said.
///
/// # Errors
/// The body is no request of this dialect.
pub fn read_request(body: &Value) -> Result<Request, Malformed> {
    let root = At::Root;
    let fields = Fields::of(body, &root)?;
    let mut messages = Vec::new();
    if let Some(system) = fields.get("system") {
        let at = At::Field(&root, "system");
        messages.push(Message { role: Role::System, parts: read_parts(system, &at)? });
    }
    let at = At::Field(&root, "messages");
    for (index, message) in fields.list("messages")?.iter().enumerate() {
        read_message(message, &At::Item(&at, index), &mut messages)?;
    }
    let (choice, parallel_calls) = read_choice(fields, &root)?;
    Ok(Request {
        model: fields.need_text("model")?.to_owned(),
        messages,
        tools: read_tools(fields, &root)?,
        choice,
        parallel_calls,
        max_output: fields.count("max_tokens")?,
        temperature: fields.number("temperature")?,
        top_p: fields.number("top_p")?,
        stop: fields.texts("stop_sequences")?,
        format: read_format(fields, &root)?,
        effort: thinking::read_effort(fields, &root)?,
        stream: fields.flag("stream")?.unwrap_or_default(),
    })
}

/// What comes with a request besides what somebody says in it: documents, which somebody has found, and whatever cannot be
/// read.
pub fn attached(body: &Value) -> Attached {
    let mut attached = Attached::default();
    let messages = body.get("messages").and_then(Value::as_array).into_iter().flatten();
    for block in messages.filter_map(|message| message.get("content")?.as_array()).flatten() {
        let source = |kind| block.pointer("/source/type").and_then(Value::as_str) == Some(kind);
        let kind = block.get("type").and_then(Value::as_str).unwrap_or_default();
        match (kind, Kind::of(kind)) {
            ("document" | "search_result", _) => {
                let texts = Fields::of(block, &At::Root).and_then(|fields| read_plain(fields, kind, &At::Root));
                attached.texts.extend(texts.into_iter().flatten().filter_map(|part| match part {
                    Part::Text(text) => Some(text),
                    _ => None,
                }));
                let is_text = source("text") || source("url") || source("content");
                attached.unread |= !is_text && block.get("content").is_none();
            }
            ("image", _) => attached.unread |= !source("base64") && !source("url"),
            ("redacted_thinking", _) => {}
            (_, Kind::Other) => attached.unread = true,
            _ => {}
        }
    }
    attached
}

fn read_message(message: &Value, at: &At<'_>, out: &mut Vec<Message>) -> Result<(), Malformed> {
    let fields = Fields::of(message, at)?;
    let role = match fields.need_text("role")? {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        _ => return Err(fields.wrong("role", "is none of user, assistant, system")),
    };
    let at = At::Field(at, "content");
    let mut message = Message { role, parts: Vec::new() };
    match fields.get("content") {
        None => return Err(at.wrong("is missing")),
        Some(Value::String(text)) => message.parts.push(Part::Text(text.clone())),
        Some(Value::Array(blocks)) => {
            for (index, block) in blocks.iter().enumerate() {
                let at = At::Item(&at, index);
                let parts = read_block(Fields::of(block, &at)?, &at)?;
                // Results come from outside the model, also those of tools that ran at the provider.
                let of = if parts.iter().any(|part| matches!(part, Part::Result(_))) { Role::User } else { role };
                if of != message.role && !parts.is_empty() {
                    let before = std::mem::replace(&mut message, Message { role: of, parts: Vec::new() });
                    out.extend((!before.parts.is_empty()).then_some(before));
                }
                message.parts.extend(parts);
            }
        }
        Some(_) => return Err(at.wrong("is neither a text nor a list")),
    }
    out.push(message);
    Ok(())
}

fn read_block(block: Fields<'_, '_>, at: &At<'_>) -> Result<Vec<Part>, Malformed> {
    let kind = block.need_text("type")?;
    if kind == "tool_result" {
        let at = At::Field(at, "content");
        let parts = block.get("content").map(|content| read_parts(content, &at)).transpose()?;
        return Ok(vec![Part::Result(ToolResult {
            id: block.need_text("tool_use_id")?.to_owned(),
            parts: parts.unwrap_or_default(),
            failed: block.flag("is_error")?.unwrap_or_default(),
        })]);
    }
    match Kind::of(kind) {
        Kind::Thinking => Ok(vec![Part::Reasoning(read_thinking(block)?)]),
        Kind::Call | Kind::ProviderCall => Ok(vec![Part::Call(read_call(block)?)]),
        Kind::ProviderResult => {
            let content = block.get("content");
            let broken = content.and_then(|content| content.get("type")).and_then(Value::as_str);
            Ok(vec![Part::Result(ToolResult {
                id: block.need_text("tool_use_id")?.to_owned(),
                parts: vec![Part::Text(content.map(words).unwrap_or_default())],
                failed: block.flag("is_error")?.unwrap_or_default()
                    || broken.is_some_and(|kind| kind.ends_with("_error")),
            })])
        }
        Kind::Text | Kind::Other => read_plain(block, kind, at),
    }
}

/// Texts and pictures: what system prompts, messages and results of tools may all hold.
fn read_parts(content: &Value, at: &At<'_>) -> Result<Vec<Part>, Malformed> {
    match content {
        Value::String(text) => Ok(vec![Part::Text(text.clone())]),
        Value::Array(blocks) => {
            let mut parts = Vec::new();
            for (index, block) in blocks.iter().enumerate() {
                let at = At::Item(at, index);
                let block = Fields::of(block, &at)?;
                parts.extend(read_plain(block, block.need_text("type")?, &at)?);
            }
            Ok(parts)
        }
        _ => Err(at.wrong("is neither a text nor a list")),
    }
}

fn read_plain(block: Fields<'_, '_>, kind: &str, at: &At<'_>) -> Result<Vec<Part>, Malformed> {
    match kind {
        "text" => Ok(vec![Part::Text(block.need_text("text")?.to_owned())]),
        "image" => Ok(read_image(block, at)?.map(Part::Image).into_iter().collect()),
        "document" | "search_result" => {
            let mut parts = Vec::new();
            for name in ["title", "context"] {
                parts.extend(block.text(name)?.map(|text| Part::Text(text.to_owned())));
            }
            parts.extend(read_source(block, at)?);
            Ok(parts)
        }
        _ => Ok(Vec::new()),
    }
}

fn read_image(block: Fields<'_, '_>, at: &At<'_>) -> Result<Option<Image>, Malformed> {
    let Some(source) = block.get("source") else { return Err(block.wrong("source", "is missing")) };
    let at = At::Field(at, "source");
    let source = Fields::of(source, &at)?;
    Ok(match source.need_text("type")? {
        "base64" => Some(Image::Data {
            media_type: source.need_text("media_type")?.to_owned(),
            base64: source.need_text("data")?.to_owned(),
        }),
        "url" => Some(Image::Url(source.need_text("url")?.to_owned())),
        // A file that lies at the provider.
        _ => None,
    })
}

/// What can be read of a document: its text, or its address, as the provider will fetch it.
fn read_source(block: Fields<'_, '_>, at: &At<'_>) -> Result<Vec<Part>, Malformed> {
    let text = |text: &str| vec![Part::Text(text.to_owned())];
    // A search result has its address in `source` and its text in `content`.
    if let Some(content) = block.get("content") {
        let mut parts = block.get("source").and_then(Value::as_str).map(text).unwrap_or_default();
        parts.extend(read_parts(content, &At::Field(at, "content"))?);
        return Ok(parts);
    }
    let Some(source) = block.get("source") else { return Ok(Vec::new()) };
    let at = At::Field(at, "source");
    let source = Fields::of(source, &at)?;
    match source.text("type")? {
        Some("text") => Ok(text(source.need_text("data")?)),
        Some("url") => Ok(text(source.need_text("url")?)),
        Some("content") => {
            source.get("content").map_or(Ok(Vec::new()), |inner| read_parts(inner, &At::Field(&at, "content")))
        }
        _ => Ok(Vec::new()),
    }
}

/// Tools of the agent by name and schema; those that the provider executes, or whose schema it knows, by their name alone.
fn read_tools(fields: Fields<'_, '_>, root: &At<'_>) -> Result<Vec<Tool>, Malformed> {
    let at = At::Field(root, "tools");
    let mut tools = Vec::new();
    for (index, tool) in fields.list("tools")?.iter().enumerate() {
        let at = At::Item(&at, index);
        let tool = Fields::of(tool, &at)?;
        let name = match tool.text("type")? {
            None | Some("custom") => tool.need_text("name")?,
            Some(kind) => tool.text("name")?.unwrap_or(kind),
        };
        tools.push(Tool {
            name: name.to_owned(),
            description: tool.text("description")?.unwrap_or_default().to_owned(),
            parameters: tool.get("input_schema").cloned().unwrap_or_else(|| json!({"type": "object"})),
        });
    }
    // The provider connects to these and offers what it finds there.
    if !fields.list("mcp_servers")?.is_empty() {
        tools.push(Tool {
            name: "mcp_servers".into(),
            description: String::new(),
            parameters: json!({"type": "object"}),
        });
    }
    Ok(tools)
}

fn read_choice(fields: Fields<'_, '_>, root: &At<'_>) -> Result<(Option<Choice>, Option<bool>), Malformed> {
    let Some(choice) = fields.get("tool_choice") else { return Ok((None, None)) };
    let at = At::Field(root, "tool_choice");
    let choice = Fields::of(choice, &at)?;
    let parallel = choice.flag("disable_parallel_tool_use")?.map(|disabled| !disabled);
    let choice = match choice.need_text("type")? {
        "auto" => Choice::Auto,
        "any" => Choice::Required,
        "none" => Choice::None,
        "tool" => Choice::Named(choice.need_text("name")?.to_owned()),
        _ => return Err(choice.wrong("type", "is none of auto, any, tool, none")),
    };
    Ok((Some(choice), parallel))
}

/// A schema that the answer must have: `output_config.format`, or `output_format` as it was called in the beta.
fn read_format(fields: Fields<'_, '_>, root: &At<'_>) -> Result<Option<Format>, Malformed> {
    let config_at = At::Field(root, "output_config");
    let format_at = At::Field(&config_at, "format");
    let beta_at = At::Field(root, "output_format");
    let inner = fields.get("output_config").and_then(|config| config.get("format")).filter(|format| !format.is_null());
    let (format, at) = match (inner, fields.get("output_format")) {
        (Some(format), _) => (format, &format_at),
        (None, Some(format)) => (format, &beta_at),
        (None, None) => return Ok(None),
    };
    let format = Fields::of(format, at)?;
    if format.need_text("type")? != "json_schema" {
        return Err(format.wrong("type", "is not json_schema"));
    }
    let schema = format.get("schema").cloned().ok_or_else(|| format.wrong("schema", "is missing"))?;
    // This dialect has no names for schemas, and always enforces them.
    Ok(Some(Format::Schema { name: "answer".into(), schema, strict: true }))
}
