//! What requests, answers and streams of this dialect share: kinds of content blocks, stop reasons, usage.

use serde_json::{Map, Value, json};

use crate::sse::Event;
use crate::{Stop, Usage};

/// What a content block of an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Thinking,
    /// The agent is to execute it.
    Call,
    /// The provider has executed it.
    ProviderCall,
    /// What the provider's execution gave.
    ProviderResult,
    Other,
}

impl Kind {
    /// By the block's `type`. A new kind of tool use is a call of the agent's until it is known to be the provider's.
    pub(super) fn of(kind: &str) -> Self {
        match kind {
            "text" => Kind::Text,
            "thinking" => Kind::Thinking,
            "server_tool_use" | "mcp_tool_use" => Kind::ProviderCall,
            _ if kind.ends_with("tool_use") => Kind::Call,
            _ if kind.ends_with("tool_result") => Kind::ProviderResult,
            _ => Kind::Other,
        }
    }
}

/// Keys of content blocks, and of what is added to them, that make a call what it is.
pub(super) const BLOCK_KEYS: [&str; 11] = [
    "type",
    "id",
    "name",
    "input",
    "partial_json",
    "text",
    "thinking",
    "content",
    "stop_reason",
    "tool_use",
    "arguments",
];

/// Whether a value that is none of the known shapes could be read as a tool call by somebody, at any depth.
pub(super) fn may_hide_call(value: &Value) -> bool {
    const TYPES: [&str; 3] = ["tool_use", "tool_call", "function_call"];
    match value {
        Value::Array(items) => items.iter().any(may_hide_call),
        Value::Object(map) => {
            // Some readers do not tell capital letters from small ones.
            let under = |name: &str| {
                map.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect::<Vec<_>>()
            };
            let has = |name: &str| !under(name).is_empty();
            let typed =
                |word: &str| under("type").iter().any(|kind| kind.as_str().is_some_and(|kind| kind.ends_with(word)));
            TYPES.iter().any(|word| typed(word))
                || has("name") && (has("input") || has("arguments"))
                || ["tool_calls", "function_call", "tool_use"]
                    .iter()
                    .any(|key| under(key).iter().any(|value| !value.is_null()))
                || map.values().any(may_hide_call)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// What the `content` of a block says, as far as it can be read: texts, titles and addresses of pages, output of programs.
pub(super) fn words(value: &Value) -> String {
    fn gather<'v>(value: &'v Value, key: &str, found: &mut Vec<&'v str>) {
        const READABLE: [&str; 8] = ["text", "content", "title", "url", "stdout", "stderr", "data", "error_code"];
        match value {
            Value::String(text) if READABLE.contains(&key) && !text.is_empty() => found.push(text),
            Value::Array(items) => items.iter().for_each(|item| gather(item, key, found)),
            // Pictures and the like are not words.
            Value::Object(map) if map.get("type").and_then(Value::as_str) == Some("base64") => {}
            Value::Object(map) => map.iter().for_each(|(key, value)| gather(value, key, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut found = Vec::new();
    gather(value, "content", &mut found);
    found.join("\n")
}

/// A provider's words for why an answer ended.
pub(super) fn read_stop(reason: &str) -> Stop {
    match reason {
        "end_turn" => Stop::End,
        "stop_sequence" => Stop::Sequence,
        "max_tokens" | "model_context_window_exceeded" => Stop::Length,
        "tool_use" => Stop::ToolCalls,
        "refusal" => Stop::Filtered,
        other => Stop::Other(other.to_owned()),
    }
}

/// The words of this dialect. Agents act on `tool_use`, so it stands exactly where there are calls and the answer came to
/// its own end; other dialects' words would mean nothing to them.
pub(super) fn write_stop(stop: &Stop, has_calls: bool) -> &'static str {
    match stop {
        Stop::End | Stop::ToolCalls if has_calls => "tool_use",
        Stop::Other(word) if word == "pause_turn" => "pause_turn",
        Stop::End | Stop::ToolCalls | Stop::Other(_) => "end_turn",
        Stop::Sequence => "stop_sequence",
        Stop::Length => "max_tokens",
        Stop::Filtered => "refusal",
    }
}

/// Tokens as this dialect counts them: `input_tokens` without what was written to or read from the cache. In a stream
/// they come in parts, and a later number replaces an earlier one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tokens {
    fresh: u64,
    written: u64,
    /// Those of `written` that the cache keeps for five minutes.
    written_for_minutes: u64,
    cached: u64,
    output: u64,
}

impl Tokens {
    pub(super) fn take(&mut self, usage: Option<&Value>) {
        let Some(usage) = usage else { return };
        let set = |name: &str, number: &mut u64| {
            if let Some(value) = usage.get(name).and_then(Value::as_u64) {
                *number = value;
            }
        };
        set("input_tokens", &mut self.fresh);
        set("cache_creation_input_tokens", &mut self.written);
        set("cache_read_input_tokens", &mut self.cached);
        set("output_tokens", &mut self.output);
        if let Some(minutes) = usage.pointer("/cache_creation/ephemeral_5m_input_tokens").and_then(Value::as_u64) {
            self.written_for_minutes = minutes;
        }
    }

    /// What writing to the cache costs besides: a quarter of the price of each token that is kept for five minutes, and
    /// the whole price again of each that is kept for an hour, or for how long is not said.
    fn surcharge(&self) -> u64 {
        let for_minutes = self.written_for_minutes.min(self.written);
        for_minutes.div_ceil(4).saturating_add(self.written - for_minutes)
    }

    /// The total; `None` for all zeros, which is what servers write that do not count.
    pub(super) fn total(&self) -> Option<Usage> {
        let usage = Usage {
            input: self.fresh.saturating_add(self.written).saturating_add(self.cached),
            output: self.output,
            cached: self.cached,
            reasoning: 0,
            surcharge: self.surcharge(),
        };
        (usage != Usage::default()).then_some(usage)
    }
}

pub(super) fn write_usage(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.input.saturating_sub(usage.cached),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output,
    })
}

/// An event; its name is its `type`.
pub(super) fn event(value: &Value) -> Event {
    Event { name: value.get("type").and_then(Value::as_str).map(str::to_owned), data: value.to_string() }
}

/// An event about the block at `index`.
pub(super) fn block_event(kind: &str, index: u64, more: Option<(&str, Value)>) -> Event {
    let mut map = Map::new();
    map.insert("type".into(), kind.into());
    map.insert("index".into(), index.into());
    map.extend(more.map(|(name, value)| (name.to_owned(), value)));
    event(&Value::Object(map))
}

pub(super) fn begin_block(index: u64, block: Value) -> Event {
    block_event("content_block_start", index, Some(("content_block", block)))
}

pub(super) fn grow_block(index: u64, delta: Value) -> Event {
    block_event("content_block_delta", index, Some(("delta", delta)))
}

pub(super) fn end_block(index: u64) -> Event {
    block_event("content_block_stop", index, None)
}

/// A whole block of text.
pub(super) fn text_block(index: u64, text: &str) -> Vec<Event> {
    vec![
        begin_block(index, json!({"type": "text", "text": ""})),
        grow_block(index, json!({"type": "text_delta", "text": text})),
        end_block(index),
    ]
}

/// The event that begins an answer. What it used comes at its end.
pub(super) fn begin_message(id: &str, model: &str) -> Event {
    event(&json!({"type": "message_start", "message": {
        "id": id, "type": "message", "role": "assistant", "model": model, "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": write_usage(&Usage::default()),
    }}))
}

/// The events that end an answer.
pub(super) fn end_message(reason: &str, usage: Option<&Usage>) -> [Event; 2] {
    [
        event(&json!({
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": null},
            "usage": write_usage(usage.unwrap_or(&Usage::default())),
        })),
        event(&json!({"type": "message_stop"})),
    ]
}
