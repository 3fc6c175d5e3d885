//! What an event means to the guard.

use std::collections::HashSet;

use serde_json::Value;

use super::held::{self, Fate, Held};
use super::queue::{Entry, Meta, Step};
use super::{Guard, Item};
use crate::Malformed;
use crate::fields::exact_keys;
use crate::guard::{Data, MAX_CALLS, MAX_ITEMS, at_most, read};
use crate::responses::items::{self, Kind, Place, text_at};
use crate::responses::{reader, response};
use crate::sse::Event;

/// What is found out about an event.
#[derive(Debug, Default)]
struct Sight {
    owner: Option<usize>,
    text: String,
    step: Step,
}

impl Guard {
    /// Puts an event into the queue.
    ///
    /// # Errors
    /// The event cannot be understood and could carry a call.
    pub(super) fn take(&mut self, event: Event) -> Result<(), Malformed> {
        let body = match read(&event)? {
            Data::Empty | Data::Done => return Ok(()),
            Data::Json(body) => body,
        };
        exact_keys(&body, &EVENT_KEYS, "")?;
        let value = Value::Object(body);
        let sequence = value.get("sequence_number").and_then(Value::as_u64);
        let kind = reader::kind(&event, &value)?.to_owned();
        let event = Event { name: event.name, data: value.to_string() };
        let Some(Sight { owner, text, step }) = self.see(&kind, value)? else {
            self.renumber = true;
            return Ok(());
        };
        let text = Some(text).filter(|text| !text.is_empty());
        self.queue.push(Entry { event, owner, text, meta: Meta { sequence, step } })
    }

    /// What is seen in an event; `None` if the agent does not need it.
    fn see(&mut self, kind: &str, value: Value) -> Result<Option<Sight>, Malformed> {
        let sight = match kind {
            "response.output_item.added" => self.added(&value),
            "response.output_item.done" => self.done(&value),
            "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled" => {
                self.last(kind, value)
            }
            "error" => {
                beside(&value, "")?;
                Ok(Sight { step: Step::Fail, ..Sight::default() })
            }
            _ if value.get("response").is_some_and(Value::is_object) => self.lifecycle(kind, &value),
            _ => match self.call_of(kind, &value)? {
                Some(number) if held::is_argument(kind) => {
                    beside(&value, "")?;
                    if let Some(call) = self.calls.get_mut(number) {
                        call.hear(kind, &value)?;
                    }
                    Ok(Sight { owner: Some(number), ..Sight::default() })
                }
                // It could say something else of the call than its item, which says all of it.
                Some(_) => return unknown(&value).map(|_| None),
                None => self.other(kind, &value),
            },
        };
        sight.map(Some)
    }

    /// The call that an event is about, by its place and by its item's id, which must agree.
    fn call_of(&self, kind: &str, value: &Value) -> Result<Option<usize>, Malformed> {
        let index = reader::index_of(value);
        let id = text_at(value, "item_id");
        let by_index = index.and_then(|index| self.items.get(&index));
        let by_id = id.and_then(|id| self.by_id.get(id)).map(Vec::as_slice).unwrap_or_default();
        match by_index {
            Some(item) => {
                let agree = id.is_none() || item.id.is_none() || item.id.as_deref() == id;
                if !agree && (item.call.is_some() || !by_id.is_empty()) {
                    return Err(Malformed::new("item_id", "is not that of the item at this place"));
                }
                // Items that are not calls hear nothing of calls.
                if item.call.is_none() && items::could_tell_of_call(kind) && item.kind != "tool_search_call" {
                    return Err(Malformed::new("output_index", "is not that of a call"));
                }
                Ok(item.call)
            }
            None => match by_id {
                [call] if index.is_none() => Ok(Some(*call)),
                [_, ..] => Err(Malformed::new("output_index", "is not that of the item of this id")),
                [] if items::could_tell_of_call(kind) => Err(Malformed::new("output_index", "is not that of a call")),
                [] => Ok(None),
            },
        }
    }

    fn added(&mut self, value: &Value) -> Result<Sight, Malformed> {
        let item = match value.get("item") {
            None | Some(Value::Null) => return unknown(value),
            Some(item) => item,
        };
        beside(value, "item")?;
        let index = place_of(value)?;
        if self.items.contains_key(&index) {
            return Err(Malformed::new("output_index", "is that of an item that has begun already"));
        }
        let call = self.enter(index, item)?;
        let step = Step::Open { index, item: item.to_string() };
        Ok(Sight { owner: call, text: self.new_texts(index, item)?, step })
    }

    /// Notes a new item, and returns its number if it is a call.
    fn enter(&mut self, index: u64, item: &Value) -> Result<Option<usize>, Malformed> {
        at_most(self.items.len().saturating_add(1), MAX_ITEMS, "items")?;
        let said = |key: &str| text_at(item, key).map(String::from);
        let call = match items::visible_kind(item)? {
            Kind::Call => {
                let number = self.begin_call(Some(index), item)?;
                if let Some(id) = said("id") {
                    self.by_id.entry(id).or_default().push(number);
                }
                Some(number)
            }
            Kind::Message | Kind::Reasoning | Kind::Other => None,
        };
        self.items.insert(index, Item { id: said("id"), kind: said("type").unwrap_or_default(), call });
        Ok(call)
    }

    fn begin_call(&mut self, index: Option<u64>, item: &Value) -> Result<usize, Malformed> {
        at_most(self.calls.len().saturating_add(1), MAX_CALLS, "tool calls")?;
        self.calls.push(Held::begun(index, item));
        Ok(self.calls.len() - 1)
    }

    fn done(&mut self, value: &Value) -> Result<Sight, Malformed> {
        let item = value.get("item").unwrap_or(&Value::Null);
        beside(value, "item")?;
        let index = place_of(value)?;
        let is_call = items::visible_kind(item)? == Kind::Call;
        let owner = match self.items.get(&index) {
            Some(known) if text_at(item, "type") != Some(known.kind.as_str()) || known.call.is_some() != is_call => {
                return Err(Malformed::new("item.type", "is not the type that the item began with"));
            }
            Some(known) => known.call,
            None => self.enter(index, item)?,
        };
        if let Some(call) = owner.and_then(|number| self.calls.get_mut(number)) {
            if call.fate != Fate::Open {
                return Err(Malformed::new("output_index", "is that of a call that is complete already"));
            }
            call.complete(item)?;
        }
        Ok(Sight { owner, text: self.new_texts(index, item)?, step: Step::Close { index } })
    }

    /// The state of the answer before its end: it has no calls yet that the agent could take from it.
    fn lifecycle(&mut self, kind: &str, value: &Value) -> Result<Sight, Malformed> {
        beside(value, "response")?;
        let response = value.get("response").unwrap_or(&Value::Null);
        if items::could_tell_of_call(kind) {
            return Err(Malformed::new("type", "is not known, and could tell of a call"));
        }
        let mut text = String::new();
        items::none_beside_output(response)?;
        for (index, item) in (0..).zip(output_of(response)?) {
            if items::visible_kind(item)? == Kind::Call {
                return Err(Malformed::new("response.output", "has a call before the answer has ended"));
            }
            text.push_str(&self.new_texts(index, item)?);
        }
        self.note_model(response);
        let step = if self.begun.is_none() {
            let mut begun = response.clone();
            items::unset(&mut begun, "output_text");
            self.begun = Some(begun);
            Step::Start
        } else {
            Step::None
        };
        Ok(Sight { text, step, ..Sight::default() })
    }

    fn note_model(&mut self, response: &Value) {
        if let Some(model) = text_at(response, "model").filter(|model| !model.is_empty()) {
            self.facts.model = Some(model.into());
        }
    }

    /// The end of the answer, with all of it.
    fn last(&mut self, kind: &str, value: Value) -> Result<Sight, Malformed> {
        let Some(response) = value.get("response").filter(|response| response.is_object()) else {
            return Err(Malformed::new("response", "is not an object"));
        };
        beside(&value, "response")?;
        items::none_beside_output(response)?;
        let mut said: HashSet<String> = self.texts.values().cloned().collect();
        let mut text = String::new();
        let mut all = String::new();
        let mut calls = Vec::new();
        for (place, item) in output_of(response)?.iter().enumerate() {
            if items::visible_kind(item)? != Kind::Call {
                // Some servers give items other places here.
                for (at, whole) in items::texts(item) {
                    if matches!(at, Place::Content(_)) && text_at(item, "type") == Some("message") {
                        all.push_str(whole);
                    }
                    if !said.contains(whole) {
                        text.push_str(&self.news(place as u64, at, whole)?);
                        said.insert(whole.to_owned());
                    }
                }
                continue;
            }
            // Some servers give the same id to several calls.
            let call = items::call(item)?;
            let again = self.calls.iter().position(|held| held.is(item) && held.says(&call));
            let number = match again.or_else(|| self.calls.iter().position(|held| held.is(item))) {
                Some(number) => number,
                None => self.begin_call(None, item)?,
            };
            if let Some(call) = self.calls.get_mut(number) {
                call.complete(item)?;
            }
            calls.push((place, number));
        }
        if let Some(copy) = text_at(response, "output_text")
            && copy != all
            && !said.contains(copy)
        {
            text.push_str(copy);
        }
        self.settle_open(kind == "response.completed")?;
        self.note_model(response);
        self.facts.usage = response::read_usage(response.get("usage")).or(self.facts.usage);
        self.stopped(response::stop(response, !self.calls.is_empty()));
        Ok(Sight { owner: None, text, step: Step::End { value, calls } })
    }

    /// Calls that are open when the answer ends: those whose arguments were whole are complete; of an answer that was
    /// broken off the others never were.
    fn settle_open(&mut self, completed: bool) -> Result<(), Malformed> {
        let last = self.items.keys().max().copied();
        for call in &mut self.calls {
            if call.fate != Fate::Open || call.complete_alone() {
                continue;
            }
            // Without it, the items behind it would have the wrong places.
            if completed || call.index != last {
                return Err(Malformed::new("response.output", "lacks a call that had begun"));
            }
            call.fate = Fate::Dropped;
        }
        Ok(())
    }

    /// An event that is about no call.
    fn other(&mut self, kind: &str, value: &Value) -> Result<Sight, Malformed> {
        if items::is_at_provider(kind) {
            beside(value, "")?;
            return Ok(Sight::default());
        }
        let mut sight = unknown(value)?;
        let index = reader::index_of(value).unwrap_or(u64::MAX);
        let place = reader::place(value);
        let part = value.get("part").unwrap_or(&Value::Null);
        let whole = text_at(value, "text").or_else(|| text_at(value, "refusal")).or_else(|| items::part_text(part));
        match text_at(value, "delta") {
            // Sound is not text.
            Some(_) if kind == "response.audio.delta" => {}
            Some(delta) => {
                self.text_at(index, place)?.push_str(delta);
                sight.text = delta.into();
            }
            None => {
                let whole = whole.or_else(|| text_at(value, "transcript")).unwrap_or_default();
                sight.text = self.news(index, place, whole)?;
            }
        }
        sight.step = match (kind, place) {
            ("response.content_part.added", Place::Content(content)) => {
                Step::OpenPart { index, content, text: text_at(part, "type") == Some("output_text") }
            }
            ("response.content_part.done", _) => Step::ClosePart { index },
            _ => Step::None,
        };
        Ok(sight)
    }

    /// What `item` says that was not said before.
    fn new_texts(&mut self, index: u64, item: &Value) -> Result<String, Malformed> {
        items::texts(item).into_iter().map(|(place, text)| self.news(index, place, text)).collect()
    }

    /// What of the whole text at a place was not said there before.
    fn news(&mut self, index: u64, place: Place, whole: &str) -> Result<String, Malformed> {
        if whole.is_empty() {
            return Ok(String::new());
        }
        let known = self.text_at(index, place)?;
        let new = whole.strip_prefix(known.as_str()).unwrap_or(whole).to_owned();
        *known = whole.into();
        Ok(new)
    }

    /// The text at a place, as far as it was seen.
    fn text_at(&mut self, index: u64, place: Place) -> Result<&mut String, Malformed> {
        at_most(self.texts.len(), MAX_TEXTS, "texts")?;
        Ok(self.texts.entry((index, place)).or_default())
    }
}

/// Most texts of one answer that are told apart.
const MAX_TEXTS: usize = 4 * MAX_ITEMS;

/// Fields of events that readers go by.
const EVENT_KEYS: [&str; 13] = [
    "type",
    "item",
    "item_id",
    "output_index",
    "response",
    "delta",
    "arguments",
    "input",
    "name",
    "part",
    "text",
    "sequence_number",
    "error",
];

/// The items of an answer, which are not too many.
fn output_of(response: &Value) -> Result<&[Value], Malformed> {
    let output = response::output(response)?;
    at_most(output.len(), MAX_ITEMS, "items")?;
    Ok(output)
}

/// Lets an event pass that nothing is known of, unless a call is in it.
fn unknown(value: &Value) -> Result<Sight, Malformed> {
    if items::hides_call(value) {
        return Err(Malformed::new("", "an event could carry a call past its place"));
    }
    Ok(Sight::default())
}

/// Sees to it that no call stands beside the field that is looked at.
fn beside(value: &Value, key: &str) -> Result<(), Malformed> {
    let mut others = value.as_object().into_iter().flatten().filter(|(name, _)| *name != key);
    match others.find(|(_, value)| items::hides_call(value)) {
        Some((name, _)) => Err(Malformed::new(name, "has a call in a place where none can be")),
        None => Ok(()),
    }
}

fn place_of(value: &Value) -> Result<u64, Malformed> {
    reader::index_of(value).ok_or_else(|| Malformed::new("output_index", "is not a place"))
}
