//! Streamed answers, read and written.

use serde_json::{Map, Value, json};

use super::calls::{Fragment, Ledger};
use super::content::Said;
use super::read_error;
use super::response::{calls_of, made_id, read_stop, read_usage, write_stop, write_usage};
use crate::sse::Event;
use crate::{Delta, Malformed, Stop, StreamReader, StreamWriter, Usage};

/// The data of the event after which nothing comes.
pub(super) const DONE: &str = "[DONE]";

/// Reads a streamed answer: its first choice, as requests of this crate ask for one.
#[derive(Debug, Default)]
pub struct Reader {
    id: String,
    begun: bool,
    stopped: bool,
    ended: bool,
    ledger: Ledger,
    calls: Vec<Begun>,
}

/// A call on its way. Its name may come after its first arguments.
#[derive(Debug, Default)]
struct Begun {
    told: bool,
    waiting: String,
}

impl StreamReader for Reader {
    fn read(&mut self, event: &Event) -> Result<Vec<Delta>, Malformed> {
        let mut deltas = Vec::new();
        let data = event.data.trim();
        if self.ended || data.is_empty() {
            return Ok(deltas);
        }
        if data == DONE {
            if self.calls.iter().any(|call| !call.told) {
                return Err(Malformed::new("", "is a tool call without a name"));
            }
            self.begin(&Value::Null, &mut deltas);
            self.ended = true;
            deltas.push(Delta::End);
            return Ok(deltas);
        }
        let body: Value =
            serde_json::from_str(data).map_err(|error| Malformed::new("", format!("is not JSON: {error}")))?;
        let Some(fields) = body.as_object() else {
            return Err(Malformed::new("", "the event is not an object"));
        };
        if fields.get("error").is_some_and(|error| !error.is_null()) {
            let text = read_error(&body).unwrap_or_else(|| "no reason given".to_owned());
            return Err(Malformed::new("", format!("the provider ended the answer with an error: {text}")));
        }
        self.begin(&body, &mut deltas);
        match fields.get("choices") {
            None | Some(Value::Null) => {}
            Some(Value::Array(choices)) => {
                let first = |choice: &&Value| choice.get("index").and_then(Value::as_u64).unwrap_or_default() == 0;
                for choice in choices.iter().filter(first) {
                    self.read_choice(choice, &mut deltas)?;
                }
            }
            Some(_) => return Err(Malformed::new("choices", "is not a list")),
        }
        deltas.extend(fields.get("usage").and_then(read_usage).map(Delta::Usage));
        Ok(deltas)
    }
}

impl Reader {
    fn begin(&mut self, body: &Value, deltas: &mut Vec<Delta>) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        let text = |key| body.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        self.id = text("id");
        deltas.push(Delta::Start { id: self.id.clone(), model: text("model") });
    }

    fn read_choice(&mut self, choice: &Value, deltas: &mut Vec<Delta>) -> Result<(), Malformed> {
        // A server that does not really stream sends a `message`.
        let delta = choice.get("delta").or_else(|| choice.get("message")).and_then(Value::as_object);
        if let Some(delta) = delta {
            let said = Said::of(delta);
            if !said.thoughts.is_empty() {
                deltas.push(Delta::Reasoning(said.thoughts));
            }
            if !said.text.is_empty() {
                deltas.push(Delta::Text(said.text));
            }
            for fragment in calls_of(delta, "choices[0].delta")? {
                self.read_call(fragment, deltas)?;
            }
        }
        if let Some(reason) = choice.get("finish_reason").and_then(Value::as_str)
            && !std::mem::replace(&mut self.stopped, true)
        {
            deltas.push(Delta::Stop(read_stop(reason, !self.calls.is_empty())));
        }
        Ok(())
    }

    fn read_call(&mut self, fragment: Fragment, deltas: &mut Vec<Delta>) -> Result<(), Malformed> {
        let index = self.ledger.place(0, &fragment)?.number;
        if self.calls.len() <= index {
            self.calls.resize_with(index.saturating_add(1), Begun::default);
        }
        let (Some(slot), Some(call)) = (self.ledger.get(index), self.calls.get_mut(index)) else { return Ok(()) };
        let json = if call.told {
            fragment.arguments
        } else {
            call.waiting.push_str(&fragment.arguments);
            if slot.name.is_empty() {
                return Ok(());
            }
            call.told = true;
            let id = if slot.id.is_empty() { made_id(&self.id, index) } else { slot.id.clone() };
            deltas.push(Delta::CallStart { index, id, name: slot.name.clone() });
            std::mem::take(&mut call.waiting)
        };
        if !json.is_empty() {
            deltas.push(Delta::CallArguments { index, json });
        }
        Ok(())
    }
}

/// Writes a streamed answer.
#[derive(Debug, Default)]
pub struct Writer {
    id: String,
    model: String,
    begun: bool,
    called: bool,
    stopped: bool,
    ended: bool,
    usage: Option<Usage>,
}

impl StreamWriter for Writer {
    fn write(&mut self, delta: Delta) -> Vec<Event> {
        let mut events = Vec::new();
        if self.ended {
            return events;
        }
        if let Delta::Start { id, model } = &delta {
            self.id.clone_from(id);
            self.model.clone_from(model);
        }
        // The role comes first, whatever else comes.
        if !std::mem::replace(&mut self.begun, true) {
            events.push(self.chunk(json!({"role": "assistant", "content": ""}), None));
        }
        match delta {
            // Told by the role. What proves thoughts has no place here.
            Delta::Start { .. } | Delta::Signature(_) => {}
            Delta::Text(text) => events.push(self.chunk(json!({"content": text}), None)),
            Delta::Reasoning(text) => events.push(self.chunk(json!({"reasoning_content": text}), None)),
            Delta::CallStart { index, id, name } => {
                self.called = true;
                let function = json!({"name": name, "arguments": ""});
                let call = json!({"index": index, "id": id, "type": "function", "function": function});
                events.push(self.chunk(json!({"tool_calls": [call]}), None));
            }
            Delta::CallArguments { index, json } => {
                let call = json!({"index": index, "function": {"arguments": json}});
                events.push(self.chunk(json!({"tool_calls": [call]}), None));
            }
            Delta::Usage(usage) => self.usage = Some(usage),
            Delta::Stop(stop) => self.stop(&stop, &mut events),
            Delta::End => {
                let stop = if self.called { Stop::ToolCalls } else { Stop::End };
                self.stop(&stop, &mut events);
                events.extend(self.usage.map(|usage| usage_chunk(&head(&self.id, &self.model), &usage)));
                events.push(done());
                self.ended = true;
            }
        }
        events
    }
}

impl Writer {
    fn stop(&mut self, stop: &Stop, events: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.stopped, true) {
            events.push(self.chunk(json!({}), Some(write_stop(stop))));
        }
    }

    fn chunk(&self, delta: Value, finish: Option<&str>) -> Event {
        chunk(&head(&self.id, &self.model), 0, delta, finish)
    }
}

/// What all chunks of an answer begin with. `created` is 0, as this crate reads no clock.
pub(super) fn head(id: &str, model: &str) -> Map<String, Value> {
    let mut head = Map::new();
    head.insert("id".to_owned(), id.into());
    head.insert("object".to_owned(), "chat.completion.chunk".into());
    head.insert("created".to_owned(), 0.into());
    head.insert("model".to_owned(), model.into());
    head
}

/// A chunk of one choice.
pub(super) fn chunk(head: &Map<String, Value>, choice: u64, delta: Value, finish: Option<&str>) -> Event {
    let mut body = head.clone();
    let choice = json!({"index": choice, "delta": delta, "logprobs": null, "finish_reason": finish});
    body.insert("choices".to_owned(), Value::Array(vec![choice]));
    Event::json(None, &Value::Object(body))
}

/// The chunk that says what the answer used.
pub(super) fn usage_chunk(head: &Map<String, Value>, usage: &Usage) -> Event {
    let mut body = head.clone();
    body.insert("choices".to_owned(), Value::Array(Vec::new()));
    body.insert("usage".to_owned(), write_usage(usage));
    Event::json(None, &Value::Object(body))
}

/// The last event.
pub(super) fn done() -> Event {
    Event { name: None, data: DONE.to_owned() }
}
