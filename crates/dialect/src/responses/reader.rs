//! Reads a streamed answer of a provider.

use std::collections::HashSet;

use serde_json::Value;

use super::items::{self, Kind, Place, text_at};
use super::response::{self, BETWEEN_THOUGHTS};
use crate::guard::{MAX_CALLS, at_most};
use crate::sse::Event;
use crate::{Delta, Malformed, StreamReader};

/// Reads a streamed answer. Text and arguments that come only when an item, or the whole answer, is complete are read
/// from there.
#[derive(Debug, Default)]
pub struct Reader {
    started: bool,
    ended: bool,
    /// Texts that are read already, by `output_index`, and the items that they are of.
    read: HashSet<(u64, Place)>,
    items: HashSet<u64>,
    calls: Vec<Call>,
    /// Whether anything of the answer's content is read.
    any: bool,
}

/// A function call that is read already, or some of it.
#[derive(Debug)]
struct Call {
    index: Option<u64>,
    item: Option<String>,
    arguments: bool,
}

impl StreamReader for Reader {
    fn read(&mut self, event: &Event) -> Result<Vec<Delta>, Malformed> {
        let Some(value) = parse(event)? else { return Ok(Vec::new()) };
        let mut deltas = Vec::new();
        if self.ended {
            return Ok(deltas);
        }
        match kind(event, &value)? {
            "response.created" | "response.queued" | "response.in_progress" => self.start(&value, &mut deltas),
            "response.output_item.added" => self.added(&value, &mut deltas)?,
            "response.output_item.done" => self.done(&value, &mut deltas)?,
            "response.output_text.delta" | "response.refusal.delta" => {
                self.text(&value, said(&value, "delta")?, &mut deltas);
            }
            "response.output_text.done" => self.rest(&value, text_at(&value, "text"), Delta::Text, &mut deltas),
            "response.refusal.done" => self.rest(&value, text_at(&value, "refusal"), Delta::Text, &mut deltas),
            "response.reasoning_text.delta" | "response.reasoning_summary_text.delta" => {
                self.thought(&value, said(&value, "delta")?, &mut deltas);
            }
            "response.reasoning_text.done" | "response.reasoning_summary_text.done" => {
                self.rest(&value, text_at(&value, "text"), Delta::Reasoning, &mut deltas);
            }
            "response.function_call_arguments.delta" => {
                let json = said(&value, "delta")?;
                self.arguments(&value, json, false, &mut deltas)?;
            }
            "response.function_call_arguments.done" => {
                let json = said(&value, "arguments")?;
                self.arguments(&value, json, true, &mut deltas)?;
            }
            "response.completed" | "response.incomplete" => self.end(&value, &mut deltas)?,
            "response.failed" | "response.cancelled" => {
                let response = value.get("response").unwrap_or(&Value::Null);
                return Err(response::failure(response, text_at(response, "status").unwrap_or("failed")));
            }
            "error" => return Err(complaint(&value)),
            _ => {}
        }
        Ok(deltas)
    }
}

/// The JSON of an event; `None` where it has none.
///
/// # Errors
/// It is not JSON.
pub(super) fn parse(event: &Event) -> Result<Option<Value>, Malformed> {
    match event.data.trim() {
        // The mark that other dialects end with; some servers send it here too.
        "" | "[DONE]" => Ok(None),
        data => match serde_json::from_str(data) {
            Ok(value @ Value::Object(_)) => Ok(Some(value)),
            _ => Err(Malformed::new("", "an event is not a JSON object")),
        },
    }
}

/// The type of an event. The one in the data counts, as it does for the official clients.
///
/// # Errors
/// It has none, or its name says another: readers could differ about it.
pub(super) fn kind<'a>(event: &'a Event, value: &'a Value) -> Result<&'a str, Malformed> {
    let name = event.name.as_deref().filter(|name| !matches!(*name, "" | "message"));
    match (text_at(value, "type"), name) {
        (Some(kind), Some(name)) if kind != name => Err(Malformed::new("type", "is not the name of the event")),
        (Some(kind), _) => Ok(kind),
        (None, Some(name)) if value.get("type").is_none() => Ok(name),
        (None, None) if value.get("error").is_some_and(|error| !error.is_null()) => Ok("error"),
        _ => Err(Malformed::new("type", "is not text")),
    }
}

fn complaint(value: &Value) -> Malformed {
    let inner = value.get("error");
    let message = text_at(value, "message").or_else(|| inner.and_then(|error| text_at(error, "message")));
    let message = message.or_else(|| inner.and_then(Value::as_str)).unwrap_or("it does not say why");
    Malformed::new("", format!("the provider failed: {message}"))
}

fn said<'a>(value: &'a Value, key: &str) -> Result<&'a str, Malformed> {
    text_at(value, key).ok_or_else(|| Malformed::new(key, "is not text"))
}

pub(super) fn index_of(value: &Value) -> Option<u64> {
    value.get("output_index").and_then(Value::as_u64)
}

/// Which text of its item an event is about.
pub(super) fn place(value: &Value) -> Place {
    let number = |key: &str| value.get(key).and_then(Value::as_u64);
    match number("summary_index") {
        Some(part) => Place::Summary(part),
        None => Place::Content(number("content_index").unwrap_or_default()),
    }
}

impl Reader {
    fn start(&mut self, value: &Value, deltas: &mut Vec<Delta>) {
        if !std::mem::replace(&mut self.started, true) {
            let response = value.get("response").unwrap_or(&Value::Null);
            let said = |key: &str| text_at(response, key).unwrap_or_default().to_owned();
            deltas.push(Delta::Start { id: said("id"), model: said("model") });
        }
    }

    fn text(&mut self, value: &Value, text: &str, deltas: &mut Vec<Delta>) {
        self.any = true;
        self.mark(index_of(value).unwrap_or_default(), place(value));
        deltas.push(Delta::Text(text.into()));
    }

    fn thought(&mut self, value: &Value, text: &str, deltas: &mut Vec<Delta>) {
        self.any = true;
        self.separate(index_of(value).unwrap_or_default(), place(value), deltas);
        deltas.push(Delta::Reasoning(text.into()));
    }

    /// Notes that a text is read; whether nothing of it was before.
    fn mark(&mut self, index: u64, place: Place) -> bool {
        self.items.insert(index);
        self.read.insert((index, place))
    }

    /// Begins a part of a thought: from the second on, something stands between it and the one before.
    fn separate(&mut self, index: u64, place: Place, deltas: &mut Vec<Delta>) {
        let later = self.items.contains(&index);
        if self.mark(index, place) && later {
            deltas.push(Delta::Reasoning(BETWEEN_THOUGHTS.into()));
        }
    }

    /// A text that is complete, for where no piece of it has come.
    fn rest(&mut self, value: &Value, text: Option<&str>, say: fn(String) -> Delta, deltas: &mut Vec<Delta>) {
        self.rest_at(index_of(value).unwrap_or_default(), place(value), text.unwrap_or_default(), say, deltas);
    }

    fn rest_at(&mut self, index: u64, place: Place, text: &str, say: fn(String) -> Delta, deltas: &mut Vec<Delta>) {
        if text.is_empty() || self.read.contains(&(index, place)) {
            return;
        }
        self.any = true;
        let delta = say(text.into());
        match delta {
            Delta::Reasoning(_) => self.separate(index, place, deltas),
            _ => drop(self.mark(index, place)),
        }
        deltas.push(delta);
    }

    fn added(&mut self, value: &Value, deltas: &mut Vec<Delta>) -> Result<(), Malformed> {
        let item = match value.get("item") {
            None | Some(Value::Null) => return Ok(()),
            Some(item) => item,
        };
        if text_at(item, "type") == Some("function_call") {
            self.call(item, index_of(value), deltas)?;
        }
        Ok(())
    }

    /// Reads a call from its item, whatever of it has not come yet.
    fn call(&mut self, item: &Value, index: Option<u64>, deltas: &mut Vec<Delta>) -> Result<(), Malformed> {
        self.any = true;
        let number = match self.find(index, text_at(item, "id")) {
            Some(number) => number,
            None => {
                let mut whole = item.clone();
                if item.get("arguments").is_none_or(Value::is_null) {
                    items::set(&mut whole, "arguments", "");
                }
                let call = items::call(if text_at(item, "type") == Some("function_call") { &whole } else { item })?;
                let number = self.calls.len();
                at_most(number.saturating_add(1), MAX_CALLS, "tool calls")?;
                let started = Call { index, item: text_at(item, "id").map(String::from), arguments: false };
                self.calls.push(started);
                deltas.push(Delta::CallStart { index: number, id: call.id, name: call.name });
                self.arguments_of(number, &call.arguments, true, deltas);
                return Ok(());
            }
        };
        self.arguments_of(number, text_at(item, "arguments").unwrap_or_default(), true, deltas);
        Ok(())
    }

    fn find(&self, index: Option<u64>, item: Option<&str>) -> Option<usize> {
        let by_index = index.and_then(|index| self.calls.iter().position(|call| call.index == Some(index)));
        by_index.or_else(|| {
            self.calls.iter().position(|call| index.is_none() && item.is_some() && call.item.as_deref() == item)
        })
    }

    fn arguments(&mut self, value: &Value, json: &str, whole: bool, deltas: &mut Vec<Delta>) -> Result<(), Malformed> {
        let Some(number) = self.find(index_of(value), text_at(value, "item_id")) else {
            return Err(Malformed::new("output_index", "is not that of a call"));
        };
        self.arguments_of(number, json, whole, deltas);
        Ok(())
    }

    /// `whole` arguments are read only where no piece of them has come.
    fn arguments_of(&mut self, number: usize, json: &str, whole: bool, deltas: &mut Vec<Delta>) {
        let Some(call) = self.calls.get_mut(number) else { return };
        if json.is_empty() || (whole && call.arguments) {
            return;
        }
        call.arguments = true;
        deltas.push(Delta::CallArguments { index: number, json: json.into() });
    }

    fn done(&mut self, value: &Value, deltas: &mut Vec<Delta>) -> Result<(), Malformed> {
        let item = value.get("item").unwrap_or(&Value::Null);
        self.item(item, index_of(value), deltas)
    }

    /// Reads of a complete item what has not come in pieces.
    fn item(&mut self, item: &Value, index: Option<u64>, deltas: &mut Vec<Delta>) -> Result<(), Malformed> {
        let at = index.unwrap_or_default();
        match items::kind(item)? {
            Kind::Message => {
                for (place, text) in items::texts(item) {
                    self.rest_at(at, place, text, Delta::Text, deltas);
                }
            }
            Kind::Reasoning => {
                for (place, text) in items::texts(item) {
                    self.rest_at(at, place, text, Delta::Reasoning, deltas);
                }
                if let Some(signature) = text_at(item, "encrypted_content").filter(|text| !text.is_empty()) {
                    self.any = true;
                    deltas.push(Delta::Signature(signature.into()));
                }
            }
            Kind::Call => self.call(item, index, deltas)?,
            Kind::Other => {}
        }
        Ok(())
    }

    fn end(&mut self, value: &Value, deltas: &mut Vec<Delta>) -> Result<(), Malformed> {
        self.start(value, deltas);
        let response = value.get("response").unwrap_or(&Value::Null);
        if !self.any {
            for (index, item) in (0..).zip(response::output(response)?) {
                self.item(item, Some(index), deltas)?;
            }
        }
        self.ended = true;
        deltas.push(Delta::Stop(response::stop(response, !self.calls.is_empty())));
        deltas.extend(response::read_usage(response.get("usage")).map(Delta::Usage));
        deltas.push(Delta::End);
        Ok(())
    }
}
