//! What an event means to the guard.

use serde_json::Value;

use super::held::{Fate, Held};
use super::queue::{Entry, Meta, Step};
use super::{Guard, Item};
use crate::Malformed;
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
        let mut sequence = None;
        let sight = match reader::parse(&event)? {
            None => Sight::default(),
            Some(value) => {
                sequence = value.get("sequence_number").and_then(Value::as_u64);
                let kind = reader::kind(&event, &value)?.to_owned();
                self.see(&kind, value)?
            }
        };
        let Sight { owner, text, step } = sight;
        let text = Some(text).filter(|text| !text.is_empty());
        self.queue.push_back(Entry { event, owner, text, meta: Meta { sequence, step } });
        Ok(())
    }

    fn see(&mut self, kind: &str, value: Value) -> Result<Sight, Malformed> {
        match kind {
            "response.output_item.added" => self.added(&value),
            "response.output_item.done" => self.done(&value),
            "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled" => {
                self.last(kind, value)
            }
            "error" => Ok(Sight { step: Step::Fail, ..Sight::default() }),
            _ if value.get("response").is_some_and(Value::is_object) => self.lifecycle(kind, &value),
            _ => match self.call_of(kind, &value)? {
                Some(number) => {
                    if let Some(call) = self.calls.get_mut(number) {
                        call.hear(kind, &value)?;
                    }
                    Ok(Sight { owner: Some(number), ..Sight::default() })
                }
                None => self.other(kind, &value),
            },
        }
    }

    /// The call that an event is about, by its place and by its item's id, which must agree.
    fn call_of(&self, kind: &str, value: &Value) -> Result<Option<usize>, Malformed> {
        let index = reader::index_of(value);
        let id = text_at(value, "item_id");
        let by_index = index.and_then(|index| self.items.get(&index));
        let by_id = || self.items.values().find(|item| id.is_some() && item.id.as_deref() == id);
        match by_index {
            Some(item) => {
                let agree = id.is_none() || item.id.is_none() || item.id.as_deref() == id;
                if !agree && (item.call.is_some() || by_id().is_some_and(|item| item.call.is_some())) {
                    return Err(Malformed::new("item_id", "is not that of the item at this place"));
                }
                // Items that are not calls hear nothing of calls.
                if item.call.is_none() && items::could_tell_of_call(kind) && item.kind != "tool_search_call" {
                    return Err(Malformed::new("output_index", "is not that of a call"));
                }
                Ok(item.call)
            }
            None => match by_id() {
                Some(item) if item.call.is_some() && index.is_none() => Ok(item.call),
                Some(item) if item.call.is_some() => {
                    Err(Malformed::new("output_index", "is not that of the item of this id"))
                }
                _ if items::could_tell_of_call(kind) => Err(Malformed::new("output_index", "is not that of a call")),
                _ => Ok(None),
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
        let step = Step::Open { index, item: item.clone() };
        Ok(Sight { owner: call, text: self.new_texts(index, item), step })
    }

    /// Notes a new item, and returns its number if it is a call.
    fn enter(&mut self, index: u64, item: &Value) -> Result<Option<usize>, Malformed> {
        let call = match visible_kind(item)? {
            Kind::Call => {
                self.calls.push(Held::begun(Some(index), item));
                Some(self.calls.len() - 1)
            }
            Kind::Message | Kind::Reasoning | Kind::Other => None,
        };
        let said = |key: &str| text_at(item, key).map(String::from);
        self.items.insert(index, Item { id: said("id"), kind: said("type").unwrap_or_default(), call });
        Ok(call)
    }

    fn done(&mut self, value: &Value) -> Result<Sight, Malformed> {
        let item = value.get("item").unwrap_or(&Value::Null);
        beside(value, "item")?;
        let index = place_of(value)?;
        let is_call = visible_kind(item)? == Kind::Call;
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
        Ok(Sight { owner, text: self.new_texts(index, item), step: Step::Close { index } })
    }

    /// The state of the answer before its end: it has no calls yet that the agent could take from it.
    fn lifecycle(&mut self, kind: &str, value: &Value) -> Result<Sight, Malformed> {
        beside(value, "response")?;
        let response = value.get("response").unwrap_or(&Value::Null);
        if items::could_tell_of_call(kind) {
            return Err(Malformed::new("type", "is not known, and could tell of a call"));
        }
        let mut text = String::new();
        for (index, item) in (0..).zip(response::output(response)?) {
            if visible_kind(item)? == Kind::Call {
                return Err(Malformed::new("response.output", "has a call before the answer has ended"));
            }
            text.push_str(&self.new_texts(index, item));
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
        let mut text = String::new();
        let mut calls = Vec::new();
        for (place, item) in response::output(response)?.iter().enumerate() {
            if visible_kind(item)? != Kind::Call {
                text.push_str(&self.new_texts(place as u64, item));
                continue;
            }
            // Some servers give the same id to several calls.
            let again = self.calls.iter().position(|call| call.is(item) && call.says(item));
            let number = match again.or_else(|| self.calls.iter().position(|call| call.is(item))) {
                Some(number) => number,
                None => {
                    self.calls.push(Held::begun(None, item));
                    self.calls.len() - 1
                }
            };
            if let Some(call) = self.calls.get_mut(number) {
                call.complete(item)?;
            }
            calls.push((place, number));
        }
        if let Some(copy) = text_at(response, "output_text") {
            let known = self.texts.values().map(String::as_str).collect::<Vec<_>>();
            if !copy.is_empty() && !known.contains(&copy) && !spells(copy, &known) {
                text.push_str(copy);
            }
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
                self.texts.entry((index, place)).or_default().push_str(delta);
                sight.text = delta.into();
            }
            None => {
                let whole = whole.or_else(|| text_at(value, "transcript")).unwrap_or_default();
                sight.text = self.news(index, place, whole);
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
    fn new_texts(&mut self, index: u64, item: &Value) -> String {
        items::texts(item).into_iter().map(|(place, text)| self.news(index, place, text)).collect()
    }

    /// What of the whole text at a place was not said before.
    fn news(&mut self, index: u64, place: Place, whole: &str) -> String {
        if whole.is_empty() || self.texts.values().any(|known| known == whole) {
            return String::new();
        }
        let known = self.texts.entry((index, place)).or_default();
        let new = whole.strip_prefix(known.as_str()).unwrap_or(whole).to_owned();
        *known = whole.into();
        new
    }
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

/// What an item is.
///
/// # Errors
/// It is said not to be a call, but has one in it.
fn visible_kind(item: &Value) -> Result<Kind, Malformed> {
    let kind = items::kind(item)?;
    if matches!(kind, Kind::Message | Kind::Reasoning) && items::hides_call(item) {
        return Err(Malformed::new("item", "has a call in a place where none can be"));
    }
    Ok(kind)
}

/// Whether `copy` is nothing but `texts`, in any order.
fn spells(copy: &str, texts: &[&str]) -> bool {
    let mut rest = copy;
    while !rest.is_empty() {
        match texts.iter().filter(|text| !text.is_empty()).find_map(|text| rest.strip_prefix(text)) {
            Some(shorter) => rest = shorter,
            None => return false,
        }
    }
    true
}
