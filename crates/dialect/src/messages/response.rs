//! Whole answers.

use serde_json::{Value, json};

use super::block::{Kind, Tokens, read_stop, write_stop, write_usage};
use crate::fields::{At, Fields, arguments_object};
use crate::{Malformed, Part, Reasoning, Response, Stop, ToolCall};

/// Reads an answer. What the provider executed itself is left out: to an agent it would look like calls to execute.
///
/// # Errors
/// The body is no message, or is an error of the provider.
pub fn read_response(body: &Value) -> Result<Response, Malformed> {
    let root = At::Root;
    let fields = Fields::of(body, &root)?;
    if fields.text("type")? == Some("error") {
        let text = super::read_error(body).unwrap_or_else(|| "is an error without a message".into());
        return Err(Malformed::new("error", text));
    }
    if fields.get("content").is_none() {
        return Err(fields.wrong("content", "is missing"));
    }
    let at = At::Field(&root, "content");
    let mut parts = Vec::new();
    for (index, block) in fields.list("content")?.iter().enumerate() {
        let at = At::Item(&at, index);
        parts.extend(read_block(Fields::of(block, &at)?)?);
    }
    let mut tokens = Tokens::default();
    tokens.take(fields.get("usage"));
    Ok(Response {
        id: fields.text("id")?.unwrap_or_default().to_owned(),
        model: fields.text("model")?.unwrap_or_default().to_owned(),
        parts,
        stop: fields.text("stop_reason")?.map_or(Stop::End, read_stop),
        usage: tokens.total(),
    })
}

fn read_block(block: Fields<'_, '_>) -> Result<Option<Part>, Malformed> {
    Ok(match Kind::of(block.need_text("type")?) {
        Kind::Text => Some(Part::Text(block.need_text("text")?.to_owned())),
        Kind::Thinking => Some(Part::Reasoning(read_thinking(block)?)),
        Kind::Call => Some(Part::Call(read_call(block)?)),
        Kind::ProviderCall | Kind::ProviderResult | Kind::Other => None,
    })
}

pub(super) fn read_thinking(block: Fields<'_, '_>) -> Result<Reasoning, Malformed> {
    let signature = block.text("signature")?.filter(|signature| !signature.is_empty());
    Ok(Reasoning {
        text: block.text("thinking")?.unwrap_or_default().to_owned(),
        signature: signature.map(str::to_owned),
    })
}

pub(super) fn read_call(block: Fields<'_, '_>) -> Result<ToolCall, Malformed> {
    Ok(ToolCall {
        id: block.need_text("id")?.to_owned(),
        name: block.need_text("name")?.to_owned(),
        arguments: block.get("input").map_or_else(|| "{}".to_owned(), Value::to_string),
    })
}

/// Writes an answer. Pictures cannot be said in it and are left out.
pub fn write_response(response: &Response) -> Value {
    let content: Vec<Value> = response.parts.iter().filter_map(write_part).collect();
    let has_calls = response.parts.iter().any(|part| matches!(part, Part::Call(_)));
    json!({
        "id": response.id,
        "type": "message",
        "role": "assistant",
        "model": response.model,
        "content": content,
        "stop_reason": write_stop(&response.stop, has_calls),
        "stop_sequence": null,
        "usage": write_usage(&response.usage.unwrap_or_default()),
    })
}

fn write_part(part: &Part) -> Option<Value> {
    match part {
        Part::Text(text) => Some(json!({"type": "text", "text": text})),
        Part::Reasoning(Reasoning { text, signature }) => {
            Some(json!({"type": "thinking", "thinking": text, "signature": signature.as_deref().unwrap_or_default()}))
        }
        Part::Call(call) => Some(write_call(call)),
        Part::Image(_) | Part::Result(_) => None,
    }
}

pub(super) fn write_call(call: &ToolCall) -> Value {
    let input = arguments_object(&call.arguments);
    json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input})
}
