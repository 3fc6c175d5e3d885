//! Writes a streamed answer to an agent.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::events::{Pen, TextAt};
use super::{items, response};
use crate::sse::Event;
use crate::{Delta, Reasoning, Stop, StreamWriter, ToolCall, Usage};

/// Writes a streamed answer. Calls stay open until the answer ends, as pieces of them may come until then.
#[derive(Debug, Default)]
pub struct Writer {
    pen: Pen,
    id: String,
    /// The answer as it began; none before that.
    response: Option<Value>,
    items: Vec<Item>,
    /// Whether the last item is text or thoughts that go on.
    open: bool,
    /// Place in `items` of each call.
    calls: HashMap<usize, usize>,
    usage: Option<Usage>,
    stop: Option<Stop>,
    ended: bool,
}

#[derive(Debug)]
enum Item {
    Text(String),
    Thought(Reasoning),
    Call(ToolCall),
}

impl StreamWriter for Writer {
    fn write(&mut self, delta: Delta) -> Vec<Event> {
        let mut events = Vec::new();
        if self.ended {
            return events;
        }
        match delta {
            Delta::Start { id, model } => self.start(&id, &model, &mut events),
            Delta::Text(text) => self.text(&text, &mut events),
            Delta::Reasoning(text) => self.thought(&text, &mut events),
            Delta::Signature(signature) => self.signature(signature, &mut events),
            Delta::CallStart { index, id, name } => self.call(index, id, name, &mut events),
            Delta::CallArguments { index, json } => self.arguments(index, &json, &mut events),
            Delta::Usage(usage) => self.usage = Some(usage),
            Delta::Stop(stop) => self.stop = Some(stop),
            Delta::End => self.end(&mut events),
        }
        events
    }
}

impl Writer {
    fn start(&mut self, id: &str, model: &str, events: &mut Vec<Event>) {
        if self.response.is_some() {
            return;
        }
        let response = response::envelope(id, model);
        self.id = id.into();
        events.push(self.pen.lifecycle("response.created", &response));
        events.push(self.pen.lifecycle("response.in_progress", &response));
        self.response = Some(response);
    }

    /// Begins an item at the end, after closing the one before where that is text or thoughts.
    fn begin(&mut self, item: Item, events: &mut Vec<Event>) -> usize {
        self.start("", "", events);
        self.close(events);
        self.items.push(item);
        self.items.len() - 1
    }

    fn close(&mut self, events: &mut Vec<Event>) {
        if std::mem::take(&mut self.open) {
            self.complete(self.items.len() - 1, events);
        }
    }

    fn item_id(&self, number: usize) -> String {
        let prefix = match self.items.get(number) {
            Some(Item::Thought(_)) => "rs",
            Some(Item::Call(_)) => "fc",
            Some(Item::Text(_)) | None => "msg",
        };
        items::id(prefix, &self.id, number)
    }

    fn text(&mut self, text: &str, events: &mut Vec<Event>) {
        if text.is_empty() {
            return;
        }
        if !(self.open && matches!(self.items.last(), Some(Item::Text(_)))) {
            let number = self.begin(Item::Text(String::new()), events);
            let id = self.item_id(number);
            events.push(self.pen.message_added(number as u64, &id));
            events.push(self.pen.text_added(&TextAt { item: &id, index: number as u64, content: 0 }));
            self.open = true;
        }
        let number = self.items.len() - 1;
        let id = self.item_id(number);
        events.push(self.pen.text_delta(&TextAt { item: &id, index: number as u64, content: 0 }, text));
        if let Some(Item::Text(all)) = self.items.last_mut() {
            all.push_str(text);
        }
    }

    /// The item of thoughts that goes on, or a new one.
    fn thinking(&mut self, events: &mut Vec<Event>) -> usize {
        if !(self.open && matches!(self.items.last(), Some(Item::Thought(_)))) {
            let number = self.begin(Item::Thought(Reasoning::default()), events);
            let item = json!({"id": self.item_id(number), "type": "reasoning", "summary": []});
            events.push(self.pen.item_added(number as u64, &item));
            self.open = true;
        }
        self.items.len() - 1
    }

    fn thought(&mut self, text: &str, events: &mut Vec<Event>) {
        if text.is_empty() {
            return;
        }
        let number = self.thinking(events);
        let id = self.item_id(number);
        let Some(Item::Thought(thought)) = self.items.last_mut() else { return };
        if thought.text.is_empty() {
            let part = json!({"type": "summary_text", "text": ""});
            events.push(self.pen.event("response.reasoning_summary_part.added", summary(&id, number, "part", part)));
        }
        thought.text.push_str(text);
        let delta = summary(&id, number, "delta", text.into());
        events.push(self.pen.event("response.reasoning_summary_text.delta", delta));
    }

    fn signature(&mut self, signature: String, events: &mut Vec<Event>) {
        self.thinking(events);
        if let Some(Item::Thought(thought)) = self.items.last_mut() {
            thought.signature = Some(signature);
        }
        self.close(events);
    }

    fn call(&mut self, index: usize, id: String, name: String, events: &mut Vec<Event>) {
        if self.calls.contains_key(&index) {
            return;
        }
        let call = ToolCall { id, name, arguments: String::new() };
        let number = self.begin(Item::Call(call.clone()), events);
        self.calls.insert(index, number);
        let mut item = response::call_item(&self.item_id(number), &call);
        items::set(&mut item, "status", "in_progress");
        events.push(self.pen.item_added(number as u64, &item));
    }

    fn arguments(&mut self, index: usize, json: &str, events: &mut Vec<Event>) {
        let Some(&number) = self.calls.get(&index) else { return };
        let id = self.item_id(number);
        let Some(Item::Call(call)) = self.items.get_mut(number) else { return };
        if json.is_empty() {
            return;
        }
        call.arguments.push_str(json);
        let fields = json!({"item_id": id, "output_index": number, "delta": json});
        events.push(self.pen.event("response.function_call_arguments.delta", fields));
    }

    /// Item `number` as it stands in the whole answer.
    fn item(&self, number: usize, item: &Item) -> Value {
        let id = self.item_id(number);
        match item {
            Item::Text(text) => items::message(&id, text),
            Item::Thought(thought) => response::reasoning_item(&id, thought),
            Item::Call(call) => response::call_item(&id, call),
        }
    }

    fn complete(&mut self, number: usize, events: &mut Vec<Event>) {
        let Some(item) = self.items.get(number) else { return };
        let id = self.item_id(number);
        let whole = self.item(number, item);
        match item {
            Item::Text(text) => {
                events.extend(self.pen.text_done(&TextAt { item: &id, index: number as u64, content: 0 }, text));
            }
            Item::Thought(Reasoning { text, .. }) if text.is_empty() => {}
            Item::Thought(Reasoning { text, .. }) => {
                let part = json!({"type": "summary_text", "text": text});
                let text = summary(&id, number, "text", text.as_str().into());
                events.push(self.pen.event("response.reasoning_summary_text.done", text));
                let part = summary(&id, number, "part", part);
                events.push(self.pen.event("response.reasoning_summary_part.done", part));
            }
            Item::Call(call) => {
                let fields = json!({
                    "item_id": id,
                    "output_index": number,
                    "name": call.name,
                    "arguments": call.arguments,
                });
                events.push(self.pen.event("response.function_call_arguments.done", fields));
            }
        }
        events.push(self.pen.item_done(number as u64, &whole));
    }

    fn end(&mut self, events: &mut Vec<Event>) {
        self.start("", "", events);
        self.close(events);
        for number in 0..self.items.len() {
            if matches!(self.items.get(number), Some(Item::Call(_))) {
                self.complete(number, events);
            }
        }
        let output = self.items.iter().enumerate().map(|(number, item)| self.item(number, item)).collect();
        let stop = self.stop.take().unwrap_or(Stop::End);
        if let Some(mut response) = self.response.take() {
            let kind = response::close(&mut response, &stop, output, self.usage.as_ref());
            events.push(self.pen.lifecycle(kind, &response));
        }
        self.ended = true;
    }
}

fn summary(id: &str, number: usize, key: &str, value: Value) -> Value {
    json!({"item_id": id, "output_index": number, "summary_index": 0, key: value})
}
