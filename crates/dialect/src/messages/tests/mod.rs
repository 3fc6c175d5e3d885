//! What the tests share: a strict client, and ways to drive a guard.

mod answer;
mod guard;
mod property;
mod request;
mod stream;

use serde_json::{Value, json};

use super::block::Kind;
use super::{Guard, Reader};
use crate::guard::{Piece, StreamGuard};
use crate::sse::Event;
use crate::{Delta, Malformed, Message, Part, Reasoning, Response, Stop, StreamReader, ToolCall};

/// An event, named by its type.
fn event(value: Value) -> Event {
    Event { name: value["type"].as_str().map(str::to_owned), data: value.to_string() }
}

fn user(text: &str) -> Message {
    Message::text(crate::Role::User, text)
}

fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
    ToolCall { id: id.into(), name: name.into(), arguments: arguments.into() }
}

/// What the official client libraries keep of a stream: blocks are appended as they begin, and later events reach them by
/// their index. Panics where those would fail.
#[derive(Debug, Default)]
struct Client {
    message: Option<Value>,
    json: Vec<String>,
    closed: Vec<bool>,
    stopped: bool,
}

impl Client {
    fn of(events: &[Event]) -> Self {
        let mut client = Self::default();
        events.iter().for_each(|event| client.take(event));
        client
    }

    fn take(&mut self, event: &Event) {
        let data: Value = serde_json::from_str(&event.data).unwrap();
        assert_eq!(data["type"].as_str(), event.name.as_deref());
        let kind = data["type"].as_str().unwrap();
        assert!(!self.stopped, "`{kind}` after the end");
        if kind == "message_start" {
            assert!(self.message.is_none());
            self.message = Some(data["message"].clone());
            return;
        }
        if kind == "ping" {
            return;
        }
        let message = self.message.as_mut().expect("the answer has begun");
        let index = data["index"].as_u64().map(|index| index as usize);
        match kind {
            "content_block_start" => {
                let content = message["content"].as_array_mut().unwrap();
                assert_eq!(index, Some(content.len()), "indices have gaps");
                assert!(self.closed.iter().all(|closed| *closed), "blocks overlap");
                content.push(data["content_block"].clone());
                self.json.push(String::new());
                self.closed.push(false);
            }
            "content_block_delta" => {
                let index = index.unwrap();
                assert!(!self.closed[index]);
                let (delta, block) = (&data["delta"], &mut message["content"][index]);
                let mut append = |field: &str| {
                    let old = block[field].as_str().unwrap();
                    block[field] = format!("{old}{}", delta[field].as_str().unwrap()).into();
                };
                match delta["type"].as_str().unwrap() {
                    "text_delta" => append("text"),
                    "thinking_delta" => append("thinking"),
                    "signature_delta" => append("signature"),
                    "input_json_delta" => self.json[index].push_str(delta["partial_json"].as_str().unwrap()),
                    other => panic!("unknown delta {other}"),
                }
            }
            "content_block_stop" => {
                let index = index.unwrap();
                assert!(!self.closed[index]);
                self.closed[index] = true;
                if !self.json[index].is_empty() {
                    message["content"][index]["input"] = serde_json::from_str(&self.json[index]).unwrap();
                }
            }
            "message_delta" => {
                message["stop_reason"] = data["delta"]["stop_reason"].clone();
                message["usage"] = data["usage"].clone();
            }
            "message_stop" => {
                assert!(self.closed.iter().all(|closed| *closed), "a block is still open");
                self.stopped = true;
            }
            other => panic!("unknown event {other}"),
        }
    }

    fn content(&self) -> &[Value] {
        self.message.as_ref().unwrap()["content"].as_array().unwrap()
    }

    fn stop_reason(&self) -> &str {
        assert!(self.stopped);
        self.message.as_ref().unwrap()["stop_reason"].as_str().unwrap()
    }

    fn has_calls(&self) -> bool {
        self.content().iter().any(|block| Kind::of(block["type"].as_str().unwrap()) == Kind::Call)
    }
}

/// What came out of a guard.
#[derive(Debug, Default)]
struct Seen {
    events: Vec<Event>,
    texts: Vec<String>,
    calls: Vec<ToolCall>,
}

/// The answer to a refused call.
const REFUSAL: &str = "[NanoClaw refused the tool call]";

/// Takes what a guard gives out; `allow` decides on calls.
fn drain(guard: &mut Guard, seen: &mut Seen, allow: impl Fn(&ToolCall) -> bool) {
    while let Some(piece) = guard.next() {
        match piece {
            Piece::Event(event) => seen.events.push(event),
            Piece::Text { event, text } => {
                seen.events.push(event);
                seen.texts.push(text);
            }
            Piece::Call(held) => {
                seen.calls.push(held.call.clone());
                let passes = allow(&held.call);
                seen.events.extend(if passes { guard.allow(held) } else { guard.refuse(held, REFUSAL) });
            }
        }
    }
}

/// Runs a whole stream through a guard.
fn run(guard: &mut Guard, events: &[Event], allow: impl Fn(&ToolCall) -> bool) -> Result<Seen, Malformed> {
    let mut seen = Seen::default();
    for event in events {
        guard.feed(event.clone())?;
        drain(guard, &mut seen, &allow);
    }
    guard.finish();
    drain(guard, &mut seen, &allow);
    Ok(seen)
}

/// Reads a whole stream.
fn read(events: &[Event]) -> Vec<Delta> {
    let mut reader = Reader::default();
    events.iter().flat_map(|event| reader.read(event).unwrap()).collect()
}

/// The answer that a whole stream says; fragments are put together.
fn fold(deltas: &[Delta]) -> Response {
    let mut response =
        Response { id: String::new(), model: String::new(), parts: Vec::new(), stop: Stop::End, usage: None };
    let mut places = Vec::new();
    for delta in deltas {
        let last = response.parts.last_mut();
        match delta {
            Delta::Start { id, model } => (response.id, response.model) = (id.clone(), model.clone()),
            Delta::Text(more) => match last {
                Some(Part::Text(text)) => text.push_str(more),
                _ => response.parts.push(Part::Text(more.clone())),
            },
            Delta::Reasoning(more) => match last {
                Some(Part::Reasoning(Reasoning { text, signature: None })) => text.push_str(more),
                _ => response.parts.push(Part::Reasoning(Reasoning { text: more.clone(), signature: None })),
            },
            Delta::Signature(more) => match last {
                Some(Part::Reasoning(thoughts)) => {
                    thoughts.signature.get_or_insert_default().push_str(more);
                }
                _ => response
                    .parts
                    .push(Part::Reasoning(Reasoning { text: String::new(), signature: Some(more.clone()) })),
            },
            Delta::CallStart { index, id, name } => {
                assert_eq!(*index, places.len(), "calls are counted without gaps");
                places.push(response.parts.len());
                response.parts.push(Part::Call(call(id, name, "")));
            }
            Delta::CallArguments { index, json } => match &mut response.parts[places[*index]] {
                Part::Call(call) => call.arguments.push_str(json),
                other => panic!("{other:?} is no call"),
            },
            Delta::Usage(usage) => response.usage = Some(*usage),
            Delta::Stop(stop) => response.stop = stop.clone(),
            Delta::End => {}
        }
    }
    assert_eq!(deltas.last(), Some(&Delta::End));
    response
}

/// A stream as the API sends it: thoughts, text, two calls.
fn transcript() -> Vec<Event> {
    [
        json!({"type": "message_start", "message": {"id": "msg_01Abc", "type": "message", "role": "assistant",
            "model": "claude-sonnet-4-5", "content": [], "stop_reason": null, "stop_sequence": null,
            "usage": {"input_tokens": 20, "cache_creation_input_tokens": 100, "cache_read_input_tokens": 300,
                "output_tokens": 1, "service_tier": "standard"}}}),
        json!({"type": "content_block_start", "index": 0,
            "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
        json!({"type": "ping"}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Two "}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "cities."}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "EqQB"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "I look "}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "both up."}}),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "content_block_start", "index": 2,
            "content_block": {"type": "tool_use", "id": "toolu_01", "name": "weather", "input": {}}}),
        json!({"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": ""}}),
        json!({"type": "content_block_delta", "index": 2,
            "delta": {"type": "input_json_delta", "partial_json": "{\"city\": \"Bo"}}),
        json!({"type": "ping"}),
        json!({"type": "content_block_delta", "index": 2,
            "delta": {"type": "input_json_delta", "partial_json": "nn\"}"}}),
        json!({"type": "content_block_stop", "index": 2}),
        json!({"type": "content_block_start", "index": 3,
            "content_block": {"type": "tool_use", "id": "toolu_02", "name": "clock", "input": {}}}),
        json!({"type": "content_block_stop", "index": 3}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null},
            "usage": {"output_tokens": 89}}),
        json!({"type": "message_stop"}),
    ]
    .map(event)
    .into()
}
