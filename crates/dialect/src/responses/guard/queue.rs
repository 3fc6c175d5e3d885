//! Events that wait in a guard.

use std::collections::VecDeque;

use serde_json::Value;

use crate::Malformed;
use crate::guard::{hold, weight};
use crate::sse::Event;

/// Events that wait, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: VecDeque<Entry>,
    /// What they count.
    bytes: usize,
}

impl Queue {
    pub(super) fn push(&mut self, entry: Entry) -> Result<(), Malformed> {
        self.bytes = hold(self.bytes, &entry.event)?;
        self.entries.push_back(entry);
        Ok(())
    }

    pub(super) fn front(&self) -> Option<&Entry> {
        self.entries.front()
    }

    pub(super) fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.bytes = self.bytes.saturating_sub(weight(&entry.event));
        Some(entry)
    }

    /// Takes the first one if it belongs to call `number`.
    pub(super) fn pop_of(&mut self, number: usize) -> Option<Entry> {
        self.front().filter(|entry| entry.owner == Some(number))?;
        self.pop()
    }
}

/// An event that waits.
#[derive(Debug)]
pub(super) struct Entry {
    pub event: Event,
    /// The call that it belongs to.
    pub owner: Option<usize>,
    /// Text that it adds to the answer.
    pub text: Option<String>,
    pub meta: Meta,
}

/// What passing on an event needs to know of it.
#[derive(Debug, Default)]
pub(super) struct Meta {
    /// Its sequence number, where it has one.
    pub sequence: Option<u64>,
    /// What it does to the answer as the agent has it.
    pub step: Step,
}

/// What an event does to the answer as the agent has it.
#[derive(Debug, Default)]
pub(super) enum Step {
    /// Nothing that others depend on.
    #[default]
    None,
    /// The answer begins.
    Start,
    /// An item begins. It may be kept long, so as text: values take many times as much.
    Open { index: u64, item: String },
    /// A part of a message begins: a text that can go on, or not.
    OpenPart { index: u64, content: u64, text: bool },
    /// The part of a message is complete.
    ClosePart { index: u64 },
    /// An item is complete.
    Close { index: u64 },
    /// The answer ends. `calls` are the places of calls in its output, with their numbers.
    End { value: Value, calls: Vec<(usize, usize)> },
    /// The stream ends in an error.
    Fail,
}
