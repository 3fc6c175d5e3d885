//! Events of a streamed answer, written with gap-free sequence numbers.

use serde_json::{Map, Value, json};

use super::items;
use crate::sse::Event;

/// Writes events and counts them.
#[derive(Debug, Default)]
pub(super) struct Pen {
    /// The sequence number of the next event.
    pub next: u64,
}

impl Pen {
    /// An event of type `kind` with `fields`, an object.
    pub(super) fn event(&mut self, kind: &str, fields: Value) -> Event {
        let mut data = Map::new();
        data.insert("type".into(), kind.into());
        data.insert("sequence_number".into(), self.take().into());
        if let Value::Object(fields) = fields {
            data.extend(fields);
        }
        Event { name: Some(kind.into()), data: Value::Object(data).to_string() }
    }

    /// The next sequence number.
    pub(super) fn take(&mut self) -> u64 {
        let number = self.next;
        self.next = number.saturating_add(1);
        number
    }

    /// The state of the whole answer: `response.created` and the like.
    pub(super) fn lifecycle(&mut self, kind: &str, response: &Value) -> Event {
        self.event(kind, json!({"response": response}))
    }

    /// An item begins.
    pub(super) fn item_added(&mut self, index: u64, item: &Value) -> Event {
        self.event("response.output_item.added", json!({"output_index": index, "item": item}))
    }

    /// An item is complete.
    pub(super) fn item_done(&mut self, index: u64, item: &Value) -> Event {
        self.event("response.output_item.done", json!({"output_index": index, "item": item}))
    }

    /// A message that says nothing yet, as it stands in `response.output_item.added`.
    pub(super) fn message_added(&mut self, index: u64, id: &str) -> Event {
        let item = json!({"id": id, "type": "message", "status": "in_progress", "role": "assistant", "content": []});
        self.item_added(index, &item)
    }

    /// A text of a message begins.
    pub(super) fn text_added(&mut self, at: &TextAt<'_>) -> Event {
        self.event("response.content_part.added", at.with("part", items::text_part("")))
    }

    /// More of a text. The clients need `logprobs`, empty or not.
    pub(super) fn text_delta(&mut self, at: &TextAt<'_>, delta: &str) -> Event {
        let mut fields = at.with("delta", delta.into());
        items::set(&mut fields, "logprobs", json!([]));
        self.event("response.output_text.delta", fields)
    }

    /// A text is complete.
    pub(super) fn text_done(&mut self, at: &TextAt<'_>, text: &str) -> [Event; 2] {
        let mut fields = at.with("text", text.into());
        items::set(&mut fields, "logprobs", json!([]));
        [
            self.event("response.output_text.done", fields),
            self.event("response.content_part.done", at.with("part", items::text_part(text))),
        ]
    }

    /// A whole message at `index` that says `text`.
    pub(super) fn message(&mut self, index: u64, id: &str, text: &str) -> Vec<Event> {
        let at = TextAt { item: id, index, content: 0 };
        let mut events = vec![self.message_added(index, id), self.text_added(&at), self.text_delta(&at, text)];
        events.extend(self.text_done(&at, text));
        events.push(self.item_done(index, &items::message(id, text)));
        events
    }
}

/// Where a text of a message stands.
pub(super) struct TextAt<'a> {
    /// The message's id.
    pub item: &'a str,
    /// Its `output_index`.
    pub index: u64,
    /// The text's `content_index`.
    pub content: u64,
}

impl TextAt<'_> {
    fn with(&self, key: &str, value: Value) -> Value {
        json!({"item_id": self.item, "output_index": self.index, "content_index": self.content, key: value})
    }
}
