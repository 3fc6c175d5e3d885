//! Where an answer says something: all its strings but those that are names, numbers of things, and calls.

use nanoclaw_dialect::Dialect;
use nanoclaw_dialect::sse::Event;
use serde_json::Value;

/// Which text goes on in several events: that of a choice, a block or an item, its part, and the field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lane {
    /// The number of the choice, block or item.
    pub(super) of: u64,
    /// The number of its part.
    pub(super) part: u64,
    pub(super) field: String,
}

/// A string of an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Text {
    /// Where it stands (RFC 6901).
    pub(super) at: String,
    /// Which text it goes on with; `None` where it is one of its own.
    pub(super) lane: Option<Lane>,
}

/// Which texts are complete with an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Those of this choice, block or item.
    Of(u64),
    /// This one.
    Lane(Lane),
}

/// What an event says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) texts: Vec<Text>,
    pub(super) ends: Vec<End>,
}

/// Fields that hold nothing which the model says: names, what only the provider can read, and what the agent itself sent.
const NOT_TEXT: [&str; 31] = [
    "call_id",
    "container_id",
    "created",
    "data",
    "encrypted_content",
    "file_id",
    "finish_reason",
    "function_call",
    "id",
    "instructions",
    "item_id",
    "logprobs",
    "metadata",
    "model",
    "name",
    "obfuscation",
    "object",
    "previous_response_id",
    "prompt",
    "response_id",
    "role",
    "service_tier",
    "signature",
    "status",
    "stop_reason",
    "system_fingerprint",
    "tool_calls",
    "tool_choice",
    "tool_use_id",
    "tools",
    "type",
];

/// What an event of a streamed answer says, as agents of this dialect read it.
pub(super) fn of_event(dialect: Dialect, event: &Event, value: &Value) -> Said {
    let mut said = Said::default();
    match dialect {
        Dialect::Chat | Dialect::Gemini => chat(value, &mut said),
        Dialect::Messages => messages(value, &mut said),
        Dialect::Responses => responses(event, value, &mut said),
    }
    said
}

/// Where a whole answer says something.
pub(super) fn of_body(body: &Value) -> Vec<String> {
    let mut places = Vec::new();
    strings(body, &mut String::new(), &mut |at| places.push(at.to_owned()));
    places
}

fn chat(value: &Value, said: &mut Said) {
    for (key, field) in value.as_object().into_iter().flatten() {
        if key != "choices" {
            whole(key, field, said);
            continue;
        }
        for (place, choice) in field.as_array().into_iter().flatten().enumerate() {
            let number = choice.get("index").and_then(Value::as_u64).unwrap_or_default();
            let before = format!("/choices/{place}");
            lanes(choice, &before, (number, 0), said);
            if choice.get("finish_reason").is_some_and(Value::is_string) {
                said.ends.push(End::Of(number));
            }
        }
    }
}

fn messages(value: &Value, said: &mut Said) {
    let index = value.get("index").and_then(Value::as_u64).unwrap_or_default();
    let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
    for (key, field) in value.as_object().into_iter().flatten() {
        match (kind, key.as_str()) {
            // A call for the agent is judged by itself.
            ("content_block_start", "content_block") if is_call(field) => {}
            ("content_block_start", "content_block") | ("content_block_delta", "delta") => {
                lanes(field, &format!("/{key}"), (index, 0), said);
            }
            _ => whole(key, field, said),
        }
    }
    if kind == "content_block_stop" {
        said.ends.push(End::Of(index));
    }
}

fn responses(event: &Event, value: &Value, said: &mut Said) {
    let kind = value.get("type").and_then(Value::as_str).or(event.name.as_deref()).unwrap_or_default();
    let number = |key: &str| value.get(key).and_then(Value::as_u64);
    let of = number("output_index").unwrap_or_default();
    let part = number("content_index").or_else(|| number("summary_index")).unwrap_or_default();
    let lane = |field: &str| Lane { of, part, field: field.to_owned() };
    for (key, field) in value.as_object().into_iter().flatten() {
        match kind.strip_suffix(".delta") {
            Some(text) if key == "delta" && field.is_string() => {
                // Sound, and the calls that are decided on by themselves.
                if !text.ends_with("audio") && !text.ends_with("_arguments") && !text.ends_with("_call_input") {
                    said.texts.push(Text { at: "/delta".to_owned(), lane: Some(lane(text)) });
                }
            }
            _ if kind.ends_with("_arguments.done") || kind.ends_with("_call_input.done") => {}
            _ => whole(key, field, said),
        }
    }
    if kind == "response.output_item.done" {
        said.ends.push(End::Of(of));
    } else if let Some(text) = kind.strip_suffix(".done") {
        said.ends.push(End::Lane(lane(text)));
    }
}

/// The strings below a field, each of which is all of a text.
fn whole(key: &str, field: &Value, said: &mut Said) {
    if !NOT_TEXT.contains(&key) {
        strings(field, &mut format!("/{}", escaped(key)), &mut |at| {
            said.texts.push(Text { at: at.to_owned(), lane: None });
        });
    }
}

/// The strings below a value, each of which goes on with what stood in the same place before.
fn lanes(value: &Value, before: &str, (of, part): (u64, u64), said: &mut Said) {
    strings(value, &mut before.to_owned(), &mut |at| {
        let field = at.strip_prefix(before).unwrap_or(at).to_owned();
        said.texts.push(Text { at: at.to_owned(), lane: Some(Lane { of, part, field }) });
    });
}

/// Visits the strings below a value. How deep it is, is bounded where JSON is read.
fn strings(value: &Value, at: &mut String, visit: &mut impl FnMut(&str)) {
    let length = at.len();
    match value {
        Value::String(text) if !text.is_empty() => visit(at),
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                at.push_str(&format!("/{place}"));
                strings(item, at, visit);
                at.truncate(length);
            }
        }
        Value::Object(fields) => {
            let call = is_call(value);
            for (key, field) in fields {
                let of_call = call && ["arguments", "input"].contains(&key.as_str());
                if !of_call && !NOT_TEXT.contains(&key.as_str()) {
                    at.push('/');
                    at.push_str(&escaped(key));
                    strings(field, at, visit);
                    at.truncate(length);
                }
            }
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn is_call(value: &Value) -> bool {
    let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
    kind == "tool_use" || kind == "function_call" || kind == "custom_tool_call"
}

/// A key as it stands in a pointer (RFC 6901).
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(dialect: Dialect, value: &Value) -> Vec<(String, Option<String>)> {
        let said = of_event(dialect, &Event { name: None, data: String::new() }, value);
        said.texts.into_iter().map(|text| (text.at, text.lane.map(|lane| lane.field))).collect()
    }

    #[test]
    fn names_are_sorted() {
        assert!(NOT_TEXT.is_sorted());
    }

    #[test]
    fn calls_and_names_are_no_text_in_any_dialect() {
        let chat = json!({"id": "x", "model": "m", "choices": [{"index": 1, "delta": {"role": "assistant", "content": "a",
            "reasoning_content": "b", "tool_calls": [{"function": {"arguments": "{}"}}]}, "logprobs": {"content": [{"token": "a"}]}}]});
        let lane = |at: &str, field: &str| (at.to_owned(), Some(field.to_owned()));
        let chat = said(Dialect::Chat, &chat);
        assert_eq!(
            chat,
            [
                lane("/choices/0/delta/content", "/delta/content"),
                lane("/choices/0/delta/reasoning_content", "/delta/reasoning_content")
            ]
        );

        let start = json!({"type": "content_block_start", "index": 2, "content_block": {"type": "text", "text": "a"}});
        assert_eq!(said(Dialect::Messages, &start), [lane("/content_block/text", "/text")]);
        let grows = json!({"type": "content_block_delta", "index": 2, "delta": {"type": "text_delta", "text": "b"}});
        assert_eq!(said(Dialect::Messages, &grows), [lane("/delta/text", "/text")]);
        let signed =
            json!({"type": "content_block_delta", "index": 2, "delta": {"type": "signature_delta", "signature": "b"}});
        assert_eq!(said(Dialect::Messages, &signed), []);

        let grows = json!({"type": "response.output_text.delta", "item_id": "i", "output_index": 0, "content_index": 0, "delta": "a"});
        assert_eq!(said(Dialect::Responses, &grows), [lane("/delta", "response.output_text")]);
        let all = json!({"type": "response.completed", "response": {"instructions": "x", "output": [
            {"type": "message", "content": [{"type": "output_text", "text": "a"}]},
            {"type": "function_call", "arguments": "{\"a\": 1}", "name": "f"},
        ]}});
        assert_eq!(said(Dialect::Responses, &all), [("/response/output/0/content/0/text".to_owned(), None)]);
    }
}
