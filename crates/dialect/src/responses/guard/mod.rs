//! Looks at a streamed answer on its way to an agent.
//!
//! Events wait in one queue, in the order in which they came. An event that belongs to a call stops the queue until
//! somebody has decided on the call; then its events pass, or one message takes the place of the first and the others
//! are left out. So order holds even where calls overlap. After anything was left out, later events get new sequence
//! numbers, without gaps.
//!
//! The last event repeats the whole answer. A call in it must be one that was decided on, word for word; one that
//! nobody has seen yet is given out for a decision before the event passes. Texts that were not said before are given
//! out as text.

mod feed;
mod held;
mod queue;
mod sent;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use serde_json::Value;

use self::held::{Fate, Held};
use self::queue::{Entry, Meta, Queue, Step};
use self::sent::Sent;
use super::events::Pen;
use super::items::{self, Place};
use crate::guard::{Facts, HeldCall, Piece, StreamGuard};
use crate::sse::Event;
use crate::{Malformed, Stop};

/// Guards one streamed answer. For [`StreamGuard::cut`], a piece counts as sent once the next one is asked for: the
/// last one, and texts right before it, may have been kept back.
#[derive(Debug, Default)]
pub struct Guard {
    queue: Queue,
    calls: Vec<Held>,
    /// Items that have begun, by `output_index`.
    items: HashMap<u64, Item>,
    /// The calls among them, by the id of their item: some servers give one to several.
    by_id: HashMap<String, Vec<usize>>,
    /// The texts of items, as far as they were seen.
    texts: HashMap<(u64, Place), String>,
    /// The answer as its first event had it.
    begun: Option<Value>,
    facts: Facts,
    sent: Sent,
    /// What the piece that was given out last does to the answer.
    last: Step,
    pen: Pen,
    /// Whether sequence numbers are new because something was left out.
    renumber: bool,
    /// Whether no more events come.
    finished: bool,
    /// Whether the answer was cut short.
    cut: bool,
}

#[derive(Debug)]
struct Item {
    id: Option<String>,
    kind: String,
    call: Option<usize>,
}

impl StreamGuard for Guard {
    fn feed(&mut self, event: Event) -> Result<(), Malformed> {
        // Clients read nothing after the last event.
        if self.cut || self.facts.complete { Ok(()) } else { self.take(event) }
    }

    fn finish(&mut self) {
        self.finished = true;
    }

    fn next(&mut self) -> Option<Piece> {
        if self.cut {
            return None;
        }
        let step = std::mem::take(&mut self.last);
        self.sent.note(step);
        loop {
            let Some(number) = self.in_front()? else {
                let entry = self.queue.pop()?;
                return Some(self.pass(entry));
            };
            let Some(call) = self.calls.get_mut(number) else {
                self.queue.pop();
                continue;
            };
            match call.fate {
                Fate::Allowed => {
                    let entry = self.queue.pop()?;
                    return Some(self.pass(entry));
                }
                Fate::Waiting => {
                    call.fate = Fate::Asked;
                    return Some(Piece::Call(self.give(number)?));
                }
                Fate::Open if !self.finished => return None,
                // Not complete, or nobody decided on it.
                Fate::Open | Fate::Asked => {
                    call.fate = Fate::Dropped;
                    self.renumber = true;
                }
                Fate::Refused | Fate::Dropped => {
                    self.renumber = true;
                    self.queue.pop_of(number);
                }
            }
        }
    }

    fn allow(&mut self, held: HeldCall) -> Vec<Event> {
        let Some(call) = self.calls.get_mut(held.number).filter(|call| call.fate == Fate::Asked) else {
            return Vec::new();
        };
        call.fate = Fate::Allowed;
        let metas = std::mem::take(&mut call.metas);
        let mut events = Vec::with_capacity(held.events.len());
        for (event, meta) in held.events.into_iter().zip(metas) {
            let (event, step) = self.release(event, meta);
            self.sent.note(step);
            events.push(event);
        }
        events
    }

    fn refuse(&mut self, held: HeldCall, text: &str) -> Vec<Event> {
        let Some(call) = self.calls.get_mut(held.number).filter(|call| call.fate == Fate::Asked) else {
            return Vec::new();
        };
        call.fate = Fate::Refused;
        let stem = call.item.as_deref().unwrap_or(&call.call.id);
        let id = items::id("msg", stem.strip_prefix("fc_").unwrap_or(stem), held.number);
        call.message = Some(items::message(&id, text));
        let index = call.index.unwrap_or(self.sent.next);
        self.renumber = true;
        self.sent.reach(index);
        self.pen.message(index, &id, text)
    }

    fn cut(&mut self, text: &str) -> Vec<Event> {
        self.cut = true;
        self.queue = Queue::default();
        self.sent.cut(self.begun.take(), self.facts.usage.as_ref(), text, &mut self.pen)
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }
}

impl Guard {
    /// What stands at the head of the queue: the call that must be dealt with first, or `Some(None)` for an event that
    /// passes. `None` if the queue is empty.
    fn in_front(&self) -> Option<Option<usize>> {
        let entry = self.queue.front()?;
        let undecided = |number: &usize| {
            let fate = self.calls.get(*number).map(|call| call.fate);
            matches!(fate, Some(Fate::Open | Fate::Waiting | Fate::Asked))
        };
        Some(match &entry.meta.step {
            Step::End { calls, .. } => calls.iter().map(|(_, number)| *number).find(undecided),
            _ => entry.owner,
        })
    }

    /// Call `number` with those of its events that nothing else stands between.
    fn give(&mut self, number: usize) -> Option<HeldCall> {
        let mut events = Vec::new();
        let mut metas = Vec::new();
        let call = self.calls.get_mut(number)?;
        while let Some(mut entry) = self.queue.pop_of(number) {
            // What such a call began with was not decided on.
            if let (Step::Open { .. }, Some(item)) = (&entry.meta.step, &call.item_then) {
                entry.event = begun_with(entry.event, item);
            }
            events.push(entry.event);
            metas.push(entry.meta);
        }
        call.metas = metas;
        Some(HeldCall { call: call.call.clone(), events, number })
    }

    fn pass(&mut self, entry: Entry) -> Piece {
        let Entry { event, text, meta, .. } = entry;
        let (event, step) = self.release(event, meta);
        self.last = step;
        match text {
            Some(text) => Piece::Text { event, text },
            None => Piece::Event(event),
        }
    }

    /// The event as the agent gets it, and what it does to the answer.
    fn release(&mut self, mut event: Event, mut meta: Meta) -> (Event, Step) {
        let mut mended = match &mut meta.step {
            Step::End { value, calls } => self.mend(value, calls),
            _ => None,
        };
        if let Some(sequence) = meta.sequence {
            let expected = self.pen.next;
            self.pen.next = sequence;
            if self.renumber {
                self.pen.next = expected;
                mended = mended.or_else(|| serde_json::from_str(&event.data).ok());
                if let Some(value) = mended.as_mut().and_then(|value| value.get_mut("sequence_number")) {
                    *value = expected.into();
                }
            }
            self.pen.take();
        }
        if let Some(value) = mended {
            event.data = value.to_string();
        }
        (event, meta.step)
    }

    /// The last event with messages in the places of refused calls, or `None` if it stays as it is.
    fn mend(&self, value: &mut Value, calls: &[(usize, usize)]) -> Option<Value> {
        let lost = |number: usize| self.calls.get(number).is_none_or(|call| call.fate != Fate::Allowed);
        if !calls.iter().any(|(_, number)| lost(*number)) {
            return None;
        }
        let mut value = value.take();
        let output = value.get_mut("response")?.get_mut("output")?;
        let items = output.as_array_mut().map(std::mem::take).unwrap_or_default();
        let lost: HashMap<usize, usize> = calls.iter().copied().filter(|(_, number)| lost(*number)).collect();
        let kept = items.into_iter().enumerate().filter_map(|(place, item)| match lost.get(&place) {
            Some(number) => self.calls.get(*number)?.message.clone(),
            None => Some(item),
        });
        *output = kept.collect();
        if let Some(response) = value.get_mut("response") {
            // A copy of all texts, which some servers add for the convenience of the reader.
            items::unset(response, "output_text");
        }
        Some(value)
    }

    fn stopped(&mut self, stop: Stop) {
        self.facts.stop = Some(stop);
        self.facts.complete = true;
    }
}

/// The event that begins an item, with the whole item in it, whose status is still that of the beginning.
fn begun_with(event: Event, item: &Value) -> Event {
    let mut value: Value = serde_json::from_str(&event.data).unwrap_or_default();
    let mut item = item.clone();
    match value.get("item").and_then(|item| items::text_at(item, "status")) {
        Some(status) => items::set(&mut item, "status", status),
        None => items::unset(&mut item, "status"),
    }
    items::set(&mut value, "item", item);
    Event { data: value.to_string(), ..event }
}
