//! Looking at streamed answers.
//!
//! The blocks of an answer follow one another, so while a call is not complete nothing else can come but `ping`s; another
//! block then is malformed. A call is held from the beginning of its block to the end of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use super::block::{
    BLOCK_KEYS, Kind, Tokens, begin_message, end_block, end_message, may_hide_call, read_stop, text_block, words,
};
use crate::fields::{At, Fields, exact_keys};
use crate::guard::{Data, Facts, HeldCall, MAX_CALLS, MAX_ITEMS, Piece, StreamGuard, at_most, hold, read};
use crate::sse::Event;
use crate::{Malformed, ToolCall};

/// Guards a streamed answer.
///
/// `cut` goes by what was given out: the holder may have withheld the last pieces of text, but nothing else.
#[derive(Debug, Default)]
pub struct Guard {
    facts: Facts,
    tokens: Tokens,
    begun: bool,
    /// How many blocks have begun.
    blocks: u64,
    /// Those that have not ended, apart from the held call.
    open: BTreeMap<u64, Kind>,
    /// The call that is not complete.
    held: Option<Held>,
    /// What can be given out, in order.
    ready: VecDeque<Ready>,
    /// The index of each complete call, by its number.
    calls: Vec<u64>,
    /// How many calls may pass.
    allowed: usize,
    given: Given,
    /// What waits, in bytes.
    waiting: usize,
    /// Nothing more is taken.
    closed: bool,
}

#[derive(Debug)]
struct Held {
    index: u64,
    id: String,
    name: String,
    /// The arguments, where they stand at the beginning of the block already.
    said: String,
    /// The arguments' fragments.
    json: String,
    events: Vec<Event>,
}

#[derive(Debug)]
enum Ready {
    Piece(Piece, Effect),
    Call(HeldCall),
    /// Says why the answer ended, and must fit the decisions.
    Ending(Event, Value),
}

/// What an event changes for who reads it.
#[derive(Clone, Copy, Debug)]
enum Effect {
    None,
    Begin,
    Open(u64),
    Close(u64),
    End,
}

/// What the agent has seen.
#[derive(Debug, Default)]
struct Given {
    begun: bool,
    ended: bool,
    open: BTreeSet<u64>,
    /// The first index that no block has.
    next: u64,
    /// A block whose beginning is a piece of text that the holder perhaps withholds.
    doubtful: Option<u64>,
}

impl Given {
    fn see(&mut self, effect: Effect) {
        match effect {
            Effect::None => {}
            Effect::Begin => self.begun = true,
            Effect::Open(index) => {
                self.begun = true;
                self.open.insert(index);
                self.next = self.next.max(index.saturating_add(1));
            }
            Effect::Close(index) => {
                self.open.remove(&index);
            }
            Effect::End => self.ended = true,
        }
    }

    /// Something was given out that is not withheld, so what came before it was not either.
    fn settle(&mut self) {
        if let Some(index) = self.doubtful.take() {
            self.see(Effect::Open(index));
        }
    }
}

impl StreamGuard for Guard {
    fn feed(&mut self, event: Event) -> Result<(), Malformed> {
        // Clients read nothing after the last event.
        if self.closed || self.facts.complete {
            return Ok(());
        }
        let value = match read(&event)? {
            Data::Empty | Data::Done => return Ok(()),
            Data::Json(body) => Value::Object(body),
        };
        let root = At::Root;
        let fields = Fields::of(&value, &root)?;
        exact(&value, &EVENT_KEYS, "")?;
        let event = Event { name: event.name, data: value.to_string() };
        self.waiting = hold(self.waiting, &event)?;
        match kind_of(&event, fields)? {
            "message_start" => self.message_begins(event, fields, &root),
            "content_block_start" => self.block_begins(event, fields, &root),
            "content_block_delta" => self.block_grows(event, fields, &root),
            "content_block_stop" => self.block_ends(event, &value, fields),
            "message_delta" => {
                self.message_ends(fields, &root)?;
                self.ready.push_back(Ready::Ending(event, value));
                Ok(())
            }
            "message_stop" => {
                self.message_ends(fields, &root)?;
                self.facts.complete = true;
                self.pass(event, Effect::End);
                Ok(())
            }
            "error" => {
                self.held = None;
                self.pass(event, Effect::End);
                Ok(())
            }
            // `ping`, and what later versions add.
            _ if value.get("content_block").is_some() || may_hide_call(&value) => {
                Err(root.wrong("is an unknown event that may hold a tool call"))
            }
            _ => {
                self.pass(event, Effect::None);
                Ok(())
            }
        }
    }

    fn finish(&mut self) {
        self.held = None;
        self.closed = true;
    }

    fn next(&mut self) -> Option<Piece> {
        let Some(ready) = self.ready.pop_front() else {
            if self.held.is_none() {
                self.waiting = 0;
            }
            return None;
        };
        Some(match ready {
            Ready::Piece(piece @ Piece::Text { .. }, effect) => {
                match effect {
                    Effect::Open(index) => {
                        self.given.settle();
                        self.given.doubtful = Some(index);
                    }
                    effect => self.given.see(effect),
                }
                piece
            }
            Ready::Piece(piece, effect) => {
                self.given.settle();
                self.given.see(effect);
                piece
            }
            Ready::Call(held) => Piece::Call(held),
            Ready::Ending(event, mut value) => {
                self.given.settle();
                let no_call_left = !self.calls.is_empty() && self.allowed == 0;
                match value.pointer_mut("/delta/stop_reason") {
                    Some(reason) if no_call_left && reason == "tool_use" => {
                        *reason = "end_turn".into();
                        Piece::Event(Event { name: event.name, data: value.to_string() })
                    }
                    _ => Piece::Event(event),
                }
            }
        })
    }

    fn allow(&mut self, held: HeldCall) -> Vec<Event> {
        self.allowed += 1;
        self.replace(held.number);
        held.events
    }

    fn refuse(&mut self, held: HeldCall, text: &str) -> Vec<Event> {
        let Some(index) = self.replace(held.number) else { return Vec::new() };
        let mut events = text_block(index, text);
        events.extend(held.events.into_iter().filter(|event| !is_of_block(event)));
        events
    }

    fn cut(&mut self, text: &str) -> Vec<Event> {
        self.finish();
        self.ready.clear();
        if std::mem::replace(&mut self.given.ended, true) {
            return Vec::new();
        }
        let mut events = Vec::new();
        if !std::mem::replace(&mut self.given.begun, true) {
            events.push(begin_message("msg_nanoclaw", self.facts.model.as_deref().unwrap_or_default()));
        }
        events.extend(std::mem::take(&mut self.given.open).into_iter().map(end_block));
        events.extend(text_block(self.given.next, text));
        events.extend(end_message("end_turn", self.facts.usage.as_ref()));
        events
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }
}

impl Guard {
    fn pass(&mut self, event: Event, effect: Effect) {
        match &mut self.held {
            // It stays where it came.
            Some(held) => held.events.push(event),
            None => self.ready.push_back(Ready::Piece(Piece::Event(event), effect)),
        }
    }

    fn pass_text(&mut self, event: Event, text: String, effect: Effect) {
        let piece = if text.is_empty() { Piece::Event(event) } else { Piece::Text { event, text } };
        self.ready.push_back(Ready::Piece(piece, effect));
    }

    fn message_begins(&mut self, event: Event, fields: Fields<'_, '_>, root: &At<'_>) -> Result<(), Malformed> {
        if std::mem::replace(&mut self.begun, true) {
            return Err(root.wrong("begins a second answer"));
        }
        let at = At::Field(root, "message");
        let message = fields.get("message").ok_or_else(|| at.wrong("is missing"))?;
        exact(message, &["content", "type", "role"], "message")?;
        if may_hide_call(message) || !Fields::of(message, &at)?.list("content")?.is_empty() {
            return Err(At::Field(&at, "content").wrong("is not empty where the answer begins"));
        }
        self.facts.model = message.get("model").and_then(Value::as_str).map(str::to_owned);
        self.tokens.take(message.get("usage"));
        self.facts.usage = self.tokens.total();
        self.pass(event, Effect::Begin);
        Ok(())
    }

    fn message_ends(&mut self, fields: Fields<'_, '_>, root: &At<'_>) -> Result<(), Malformed> {
        if self.held.is_some() {
            return Err(root.wrong("ends the answer before the tool call in it"));
        }
        if let Some(delta) = fields.get("delta") {
            exact(delta, &BLOCK_KEYS, "delta")?;
            if may_hide_call(delta) {
                return Err(At::Field(root, "delta").wrong("may hold a tool call"));
            }
            if let Some(reason) = delta.get("stop_reason").and_then(Value::as_str) {
                self.facts.stop = Some(read_stop(reason));
            }
        }
        self.tokens.take(fields.get("usage"));
        self.facts.usage = self.tokens.total();
        Ok(())
    }

    fn block_begins(&mut self, event: Event, fields: Fields<'_, '_>, root: &At<'_>) -> Result<(), Malformed> {
        let index = index_of(fields)?;
        // Client libraries count blocks as they come, so another index would lead later events to another block.
        if self.held.is_some() || index != self.blocks {
            return Err(fields.wrong("index", "is not that of the next block"));
        }
        self.blocks += 1;
        at_most(usize::try_from(self.blocks).unwrap_or(usize::MAX), MAX_ITEMS, "content blocks")?;
        let at = At::Field(root, "content_block");
        let value = fields.get("content_block").ok_or_else(|| at.wrong("is missing"))?;
        exact(value, &BLOCK_KEYS, "content_block")?;
        let block = Fields::of(value, &at)?;
        let kind = Kind::of(block.need_text("type")?);
        let text = match kind {
            Kind::Call => {
                at_most(self.calls.len().saturating_add(1), MAX_CALLS, "tool calls")?;
                let said = match block.get("input") {
                    Some(Value::Object(map)) if map.is_empty() => String::new(),
                    Some(input) => input.to_string(),
                    None => String::new(),
                };
                self.held = Some(Held {
                    index,
                    id: block.need_text("id")?.to_owned(),
                    name: block.need_text("name")?.to_owned(),
                    said,
                    json: String::new(),
                    events: vec![event],
                });
                return Ok(());
            }
            Kind::Text => block.text("text")?.unwrap_or_default().to_owned(),
            Kind::Thinking => block.text("thinking")?.unwrap_or_default().to_owned(),
            Kind::ProviderCall => String::new(),
            Kind::Other if may_hide_call(value) => {
                return Err(at.wrong("is of an unknown type that may be a tool call"));
            }
            Kind::ProviderResult | Kind::Other => block.get("content").map(words).unwrap_or_default(),
        };
        self.open.insert(index, kind);
        self.pass_text(event, text, Effect::Open(index));
        Ok(())
    }

    fn block_grows(&mut self, event: Event, fields: Fields<'_, '_>, root: &At<'_>) -> Result<(), Malformed> {
        let index = index_of(fields)?;
        let at = At::Field(root, "delta");
        let value = fields.get("delta").ok_or_else(|| at.wrong("is missing"))?;
        exact(value, &BLOCK_KEYS, "delta")?;
        let delta = Fields::of(value, &at)?;
        let kind = delta.need_text("type")?;
        if let Some(held) = &mut self.held {
            if held.index != index {
                return Err(fields.wrong("index", "is not that of the tool call that is not complete"));
            }
            if kind != "input_json_delta" {
                return Err(delta.wrong("type", "does not belong to a tool call"));
            }
            held.json.push_str(delta.text("partial_json")?.unwrap_or_default());
            held.events.push(event);
            return Ok(());
        }
        let block = self.open.get(&index).ok_or_else(|| fields.wrong("index", "is of no block that is open"))?;
        let text = match kind {
            "text_delta" => delta.text("text")?.unwrap_or_default(),
            "thinking_delta" => delta.text("thinking")?.unwrap_or_default(),
            "input_json_delta" if *block != Kind::ProviderCall => {
                return Err(delta.wrong("type", "belongs to a tool call, and this is none"));
            }
            "input_json_delta" => "",
            _ if may_hide_call(value) => return Err(at.wrong("is of an unknown type that may be a tool call")),
            // Such as `compaction_delta`.
            _ => value.get("content").and_then(Value::as_str).unwrap_or_default(),
        };
        let text = text.to_owned();
        self.pass_text(event, text, Effect::None);
        Ok(())
    }

    fn block_ends(&mut self, event: Event, value: &Value, fields: Fields<'_, '_>) -> Result<(), Malformed> {
        let index = index_of(fields)?;
        if may_hide_call(value) {
            return Err(fields.wrong("content_block", "may hold a tool call"));
        }
        let Some(mut held) = self.held.take() else {
            self.open.remove(&index).ok_or_else(|| fields.wrong("index", "is of no block that is open"))?;
            self.pass(event, Effect::Close(index));
            return Ok(());
        };
        if held.index != index {
            return Err(fields.wrong("index", "is not that of the tool call that is not complete"));
        }
        // Readers differ in which of the two they take.
        if !held.said.is_empty() && !held.json.is_empty() {
            return Err(Malformed::new("content_block.input", "says a tool call's arguments a second time"));
        }
        held.events.push(event);
        let mut arguments = held.json + &held.said;
        if arguments.is_empty() {
            arguments.push_str("{}");
        }
        self.ready.push_back(Ready::Call(HeldCall {
            call: ToolCall { id: held.id, name: held.name, arguments },
            events: held.events,
            number: self.calls.len(),
        }));
        self.calls.push(index);
        Ok(())
    }

    /// A whole block is given out in the place of the call, or as the call; gives its index.
    fn replace(&mut self, number: usize) -> Option<u64> {
        let index = *self.calls.get(number)?;
        self.given.settle();
        self.given.see(Effect::Open(index));
        self.given.see(Effect::Close(index));
        Some(index)
    }
}

/// Keys of events that readers go by.
const EVENT_KEYS: [&str; 8] = ["type", "index", "message", "content_block", "delta", "usage", "error", "name"];

/// Whether the keys of `value` are those that it seems to have.
fn exact(value: &Value, known: &[&str], at: &str) -> Result<(), Malformed> {
    value.as_object().map_or(Ok(()), |object| exact_keys(object, known, at))
}

fn index_of(fields: Fields<'_, '_>) -> Result<u64, Malformed> {
    fields.count("index")?.ok_or_else(|| fields.wrong("index", "is missing"))
}

/// What kind of event it is. Some readers go by the event's name and some by the data, so both must say the same.
fn kind_of<'v>(event: &'v Event, fields: Fields<'v, '_>) -> Result<&'v str, Malformed> {
    match (fields.text("type")?, event.name.as_deref()) {
        (Some(kind), Some(name)) if kind != name => Err(fields.wrong("type", "is not the event's name")),
        (Some(kind), _) | (None, Some(kind)) => Ok(kind),
        (None, None) if fields.get("error").is_some() => Ok("error"),
        (None, None) => Err(fields.wrong("type", "is missing")),
    }
}

fn is_of_block(event: &Event) -> bool {
    let value: Value = serde_json::from_str(&event.data).unwrap_or_default();
    let kind = value.get("type").and_then(Value::as_str).or(event.name.as_deref()).unwrap_or_default();
    kind.starts_with("content_block_")
}
