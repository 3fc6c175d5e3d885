//! Looking at whole answers.

use serde_json::{Value, json};

use super::block::{BLOCK_KEYS, Kind, Tokens, may_hide_call, read_stop, words};
use super::response::read_call;
use crate::fields::{At, Fields, exact_keys};
use crate::guard::{Facts, MAX_CALLS, MAX_ITEMS, WholeGuard, at_most};
use crate::{Malformed, ToolCall};

/// Guards a whole answer.
#[derive(Debug)]
pub struct Whole {
    body: Value,
    calls: Vec<Held>,
    facts: Facts,
}

#[derive(Debug)]
struct Held {
    call: ToolCall,
    /// Which block of the content it is.
    block: usize,
    refused: bool,
}

impl Whole {
    /// Takes an answer.
    ///
    /// # Errors
    /// The body is no message, or could hold a tool call where none can be seen.
    pub fn new(body: Value) -> Result<Self, Malformed> {
        let root = At::Root;
        let fields = Fields::of(&body, &root)?;
        let content_at = At::Field(&root, "content");
        if fields.get("content").is_none() {
            return Err(content_at.wrong("is missing"));
        }
        let mut calls = Vec::new();
        at_most(fields.list("content")?.len(), MAX_ITEMS, "content blocks")?;
        exact_keys(fields.map(), &["content", "type", "role", "stop_reason"], "")?;
        for (index, value) in fields.list("content")?.iter().enumerate() {
            let at = At::Item(&content_at, index);
            let block = Fields::of(value, &at)?;
            exact_keys(block.map(), &BLOCK_KEYS, "content")?;
            match Kind::of(block.need_text("type")?) {
                Kind::Call => calls.push(Held { call: read_call(block)?, block: index, refused: false }),
                Kind::Other if may_hide_call(value) => {
                    return Err(at.wrong("is of an unknown type that may be a tool call"));
                }
                Kind::Text | Kind::Thinking | Kind::ProviderCall | Kind::ProviderResult | Kind::Other => {}
            }
        }
        for (name, value) in body.as_object().into_iter().flatten() {
            let hides = ["tool_calls", "function_call", "tool_use"].contains(&name.as_str()) && !value.is_null();
            if name != "content" && (hides || may_hide_call(value)) {
                return Err(At::Field(&root, name).wrong("may hold a tool call"));
            }
        }
        at_most(calls.len(), MAX_CALLS, "tool calls")?;
        let mut tokens = Tokens::default();
        tokens.take(fields.get("usage"));
        let facts = Facts {
            model: fields.text("model")?.map(str::to_owned),
            usage: tokens.total(),
            stop: fields.text("stop_reason")?.map(read_stop),
            complete: true,
        };
        Ok(Self { body, calls, facts })
    }

    fn set(&mut self, name: &str, value: Value) {
        if let Some(map) = self.body.as_object_mut() {
            map.insert(name.to_owned(), value);
        }
    }
}

impl WholeGuard for Whole {
    fn texts(&self) -> Vec<String> {
        let blocks = self.body.get("content").and_then(Value::as_array).into_iter().flatten();
        let texts = blocks.filter_map(|block| {
            let text = |name| block.get(name).and_then(Value::as_str).map(str::to_owned);
            match Kind::of(block.get("type")?.as_str()?) {
                Kind::Text => text("text"),
                Kind::Thinking => text("thinking"),
                Kind::ProviderResult | Kind::Other => block.get("content").map(words),
                Kind::Call | Kind::ProviderCall => None,
            }
        });
        texts.filter(|text| !text.is_empty()).collect()
    }

    fn calls(&self) -> Vec<ToolCall> {
        self.calls.iter().map(|held| held.call.clone()).collect()
    }

    fn refuse(&mut self, index: usize, text: &str) {
        let Some(held) = self.calls.get_mut(index) else { return };
        held.refused = true;
        let place = self.body.get_mut("content").and_then(|content| content.get_mut(held.block));
        if let Some(place) = place {
            *place = json!({"type": "text", "text": text});
        }
    }

    fn cut(&mut self, text: &str) {
        self.calls.clear();
        self.set("content", json!([{"type": "text", "text": text}]));
        self.set("stop_reason", "end_turn".into());
        self.set("stop_sequence", Value::Null);
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn into_body(mut self: Box<Self>) -> Value {
        let none_left = !self.calls.is_empty() && self.calls.iter().all(|held| held.refused);
        if none_left && self.body.get("stop_reason").and_then(Value::as_str) == Some("tool_use") {
            self.set("stop_reason", "end_turn".into());
        }
        self.body
    }
}
