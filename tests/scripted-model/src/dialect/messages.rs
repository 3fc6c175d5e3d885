//! Anthropic messages.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::{Head, arguments};
use crate::answer::Answer;
use crate::conversation::{Said, Wrong, content, list, text};

pub fn read(request: &Value) -> Result<Vec<Said<'_>>, Wrong> {
    if request.get("max_tokens").and_then(Value::as_u64).is_none_or(|most| most == 0) {
        return Err(Wrong::new("max_tokens: Field required"));
    }
    conversation(request)
}

/// The conversation alone, which is all that counting tokens needs.
fn conversation(request: &Value) -> Result<Vec<Said<'_>>, Wrong> {
    let messages = list(request, "messages")?;
    if messages.first().and_then(|message| message.get("role")?.as_str()) != Some("user") {
        return Err(Wrong::new("messages: first message must use the \"user\" role"));
    }
    let mut said = Vec::with_capacity(messages.len());
    for message in messages {
        let blocks = match message.get("content") {
            Some(Value::Array(blocks)) => blocks.as_slice(),
            Some(Value::String(_)) => &[],
            _ => return Err(Wrong::new("messages: content: Field required")),
        };
        match text(message, "role")? {
            "user" => user(message, blocks, &mut said)?,
            "assistant" => {
                let calls = blocks.iter().filter(|block| is(block, "tool_use"));
                let id = |call| {
                    text(call, "name")?;
                    if !call.get("input").is_some_and(Value::is_object) {
                        return Err(Wrong::new("tool_use.input: Input should be an object"));
                    }
                    Ok(Cow::Borrowed(text(call, "id")?))
                };
                let ids: Vec<_> = calls.map(id).collect::<Result<_, _>>()?;
                said.push(if ids.is_empty() { Said::Model } else { Said::Calls(ids) });
            }
            role => return Err(Wrong::new(format!("messages: role: `{role}` is not \"user\" or \"assistant\""))),
        }
    }
    Ok(said)
}

fn is(block: &Value, kind: &str) -> bool {
    block.get("type").and_then(Value::as_str) == Some(kind)
}

/// Results stand before anything else in a message: what comes between a call and its result makes them no pair.
fn user<'r>(message: &'r Value, blocks: &'r [Value], said: &mut Vec<Said<'r>>) -> Result<(), Wrong> {
    let first_other = blocks.iter().position(|block| !is(block, "tool_result")).unwrap_or(blocks.len());
    let result = |block: &'r Value| {
        let id = Cow::Borrowed(text(block, "tool_use_id")?);
        Ok(Said::Result { id, text: content(block.get("content")) })
    };
    for block in blocks.iter().take(first_other) {
        said.push(result(block)?);
    }
    if blocks.is_empty() || first_other < blocks.len() {
        said.push(Said::User(content(message.get("content"))));
    }
    for block in blocks.iter().skip(first_other).filter(|block| is(block, "tool_result")) {
        said.push(result(block)?);
    }
    Ok(())
}

fn usage(answer: &Answer, output: u64) -> Value {
    json!({
        "input_tokens": answer.usage.input - answer.usage.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": answer.usage.cached,
        "cache_creation": { "ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0 },
        "output_tokens": output,
        "service_tier": "standard",
    })
}

fn stop_reason(answer: &Answer) -> &'static str {
    match (answer.too_long, answer.calls.is_empty()) {
        (true, _) => "max_tokens",
        (false, false) => "tool_use",
        (false, true) => "end_turn",
    }
}

/// What proves to Anthropic that thoughts are its own.
fn signature(head: &Head<'_>) -> String {
    head.id("c2lnbmF0dXJl", 0)
}

pub fn whole(head: &Head<'_>, answer: &Answer) -> String {
    let mut blocks = Vec::new();
    if !answer.thoughts.is_empty() {
        blocks.push(json!({ "type": "thinking", "thinking": answer.thoughts, "signature": signature(head) }));
    }
    if !answer.text.is_empty() {
        blocks.push(json!({ "type": "text", "text": answer.text }));
    }
    for (at, call) in answer.calls.iter().enumerate() {
        let input = arguments(&call.arguments);
        blocks.push(json!({ "type": "tool_use", "id": head.id("toolu_", at), "name": call.name, "input": input }));
    }
    json!({
        "id": head.id("msg_", 0),
        "type": "message",
        "role": "assistant",
        "model": head.model,
        "content": blocks,
        "stop_reason": stop_reason(answer),
        "stop_sequence": null,
        "usage": usage(answer, answer.usage.output),
    })
    .to_string()
}

pub fn events(head: &Head<'_>, answer: &Answer) -> Vec<String> {
    let mut stream = Stream { events: Vec::new(), block: 0 };
    stream.event(&json!({
        "type": "message_start",
        "message": {
            "id": head.id("msg_", 0),
            "type": "message",
            "role": "assistant",
            "model": head.model,
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
            "usage": usage(answer, 1),
        },
    }));
    if !answer.thoughts.is_empty() {
        let pieces = answer.pieces(&answer.thoughts);
        let deltas = pieces.map(|piece| json!({ "type": "thinking_delta", "thinking": piece }));
        let signed = json!({ "type": "signature_delta", "signature": signature(head) });
        let empty = json!({ "type": "thinking", "thinking": "", "signature": "" });
        stream.block(&empty, deltas.chain([signed]));
    }
    if !answer.text.is_empty() {
        let pieces = answer.pieces(&answer.text);
        let deltas = pieces.map(|piece| json!({ "type": "text_delta", "text": piece }));
        stream.block(&json!({ "type": "text", "text": "" }), deltas);
    }
    for (at, call) in answer.calls.iter().enumerate() {
        let empty = json!({ "type": "tool_use", "id": head.id("toolu_", at), "name": call.name, "input": {} });
        // The first fragment is empty, as Anthropic's is.
        let pieces = [""].into_iter().chain(answer.pieces(&call.arguments));
        stream.block(&empty, pieces.map(|piece| json!({ "type": "input_json_delta", "partial_json": piece })));
    }
    stream.event(&json!({
        "type": "message_delta",
        "delta": { "stop_reason": stop_reason(answer), "stop_sequence": null },
        "usage": {
            "input_tokens": answer.usage.input - answer.usage.cached,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": answer.usage.cached,
            "output_tokens": answer.usage.output,
        },
    }));
    stream.event(&json!({ "type": "message_stop" }));
    stream.events
}

struct Stream {
    events: Vec<String>,
    block: usize,
}

impl Stream {
    fn event(&mut self, event: &Value) {
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
        self.events.push(format!("event: {kind}\ndata: {event}\n\n"));
    }

    fn block(&mut self, empty: &Value, deltas: impl Iterator<Item = Value>) {
        let index = self.block;
        self.block += 1;
        self.event(&json!({ "type": "content_block_start", "index": index, "content_block": empty }));
        if index == 0 {
            self.event(&json!({ "type": "ping" }));
        }
        for delta in deltas {
            self.event(&json!({ "type": "content_block_delta", "index": index, "delta": delta }));
        }
        self.event(&json!({ "type": "content_block_stop", "index": index }));
    }
}
