//! The answer as the agent has it, and how it can be ended at any point.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::queue::Step;
use crate::responses::events::{Pen, TextAt};
use crate::responses::{items, response};
use crate::sse::Event;
use crate::{Stop, Usage};

/// The id and model of an answer that is ended before its provider has begun it.
const UNKNOWN: &str = "nanoclaw";

/// What of an answer has been given out.
#[derive(Debug, Default)]
pub(super) struct Sent {
    started: bool,
    /// Whether its end was given out.
    ended: bool,
    /// The `output_index` after the last one that was given out.
    pub next: u64,
    open: BTreeMap<u64, Open>,
}

/// An item that is not complete.
#[derive(Debug)]
struct Open {
    item: String,
    /// The `content_index` after the last one.
    parts: u64,
    /// The text that goes on.
    text: Option<u64>,
}

impl Sent {
    /// Notes that an event that does `step` was given out.
    pub(super) fn note(&mut self, step: Step) {
        match step {
            Step::None => {}
            Step::Start => self.started = true,
            Step::Open { index, item } => {
                self.open.insert(index, Open { item, parts: 0, text: None });
                self.reach(index);
            }
            Step::OpenPart { index, content, text } => {
                if let Some(open) = self.open.get_mut(&index) {
                    open.parts = open.parts.max(content.saturating_add(1));
                    open.text = text.then_some(content);
                }
            }
            Step::ClosePart { index } => {
                if let Some(open) = self.open.get_mut(&index) {
                    open.text = None;
                }
            }
            Step::Close { index } => {
                self.open.remove(&index);
                self.reach(index);
            }
            Step::End { .. } | Step::Fail => self.ended = true,
        }
    }

    /// Notes that a whole item at `index` was given out.
    pub(super) fn reach(&mut self, index: u64) {
        self.next = self.next.max(index.saturating_add(1));
    }

    /// The events that end the answer with `text`; `begun` is the answer as its first event had it.
    ///
    /// Whoever cuts may have kept back the end of what was given out, so what was said before is not said again: the
    /// complete forms of the last message and of the answer hold `text` alone. No call is in the answer then, so the
    /// agent's loop ends.
    pub(super) fn cut(&mut self, begun: Option<Value>, usage: Option<&Usage>, text: &str, pen: &mut Pen) -> Vec<Event> {
        if std::mem::replace(&mut self.ended, true) {
            return Vec::new();
        }
        let mut events = Vec::new();
        let mut response = begun.unwrap_or_else(|| response::envelope(&format!("resp_{UNKNOWN}"), UNKNOWN));
        if !std::mem::replace(&mut self.started, true) {
            items::set(&mut response, "output", json!([]));
            events.push(pen.lifecycle("response.created", &response));
            events.push(pen.lifecycle("response.in_progress", &response));
        }
        let mut message = None;
        for (index, open) in std::mem::take(&mut self.open) {
            let item: Value = serde_json::from_str(&open.item).unwrap_or_default();
            match (items::text_at(&item, "type"), items::text_at(&item, "id")) {
                (Some("message"), Some(id)) if message.is_none() => message = Some((index, id.to_owned(), open)),
                _ => events.push(pen.item_done(index, &unfinished(item))),
            }
        }
        let said = match message {
            Some((index, id, open)) => {
                let at = TextAt { item: &id, index, content: open.text.unwrap_or(open.parts) };
                if open.text.is_none() {
                    events.push(pen.text_added(&at));
                }
                events.push(pen.text_delta(&at, text));
                events.extend(pen.text_done(&at, text));
                let said = items::message(&id, text);
                events.push(pen.item_done(index, &said));
                said
            }
            None => {
                let stem = items::text_at(&response, "id").unwrap_or(UNKNOWN);
                let id = items::id("msg", stem, usize::try_from(self.next).unwrap_or(usize::MAX));
                events.extend(pen.message(self.next, &id, text));
                items::message(&id, text)
            }
        };
        let kind = response::close(&mut response, &Stop::End, vec![said], usage);
        events.push(pen.lifecycle(kind, &response));
        events
    }
}

fn unfinished(mut item: Value) -> Value {
    items::set(&mut item, "status", "incomplete");
    item
}
