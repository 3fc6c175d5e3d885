//! Tool calls in all the shapes that they come in, and which call a fragment belongs to.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::fields::exact_keys;
use crate::guard::{MAX_CALLS, at_most};
use crate::{Malformed, ToolCall};

/// What a call is of. Clients keep what they gather of one kind apart from what they gather of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Function,
    Custom,
}

/// One entry of `tool_calls`, or a `function_call`. Streamed ones carry a part of a call.
#[derive(Debug, Default)]
pub(super) struct Fragment {
    /// Its place in the choice's calls, where that is said.
    pub index: Option<u64>,
    /// Whether it is a `function_call`, of which a choice has at most one.
    pub legacy: bool,
    /// What it is of, where that is said.
    pub kind: Option<Kind>,
    /// Empty where it is not said.
    pub id: String,
    /// Empty where it is not said.
    pub name: String,
    /// JSON text, or the free text of a custom tool's input.
    pub arguments: String,
    /// Whether the arguments stand there as a value instead of as text, so that nothing can be added to them.
    pub whole: bool,
}

impl Fragment {
    /// Reads an entry of `tool_calls`, which stands at `at`.
    pub fn of_entry(entry: &Value, at: &str) -> Result<Self, Malformed> {
        let Value::Object(entry) = entry else {
            return Err(Malformed::new(at, "is not an object"));
        };
        exact_keys(entry, &["index", "id", "type", "function", "custom"], at)?;
        let index = match entry.get("index") {
            None | Some(Value::Null) => None,
            Some(value) => Some(value.as_u64().ok_or_else(|| Malformed::new(at, "has an `index` that is no number"))?),
        };
        let id = text(entry, "id", at)?;
        let body = |key| entry.get(key).filter(|value| !value.is_null());
        let typed = match entry.get("type").and_then(Value::as_str) {
            Some("function") => Some(Kind::Function),
            Some("custom") => Some(Kind::Custom),
            _ => None,
        };
        let (kind, said) = match (body("function"), body("custom")) {
            (Some(_), Some(_)) => return Err(Malformed::new(at, "has a `function` and a `custom` call")),
            (Some(function), None) => (Some(Kind::Function), named(function, "arguments", at)?),
            (None, Some(custom)) => (Some(Kind::Custom), named(custom, "input", at)?),
            (None, None) => (typed, Self::default()),
        };
        if typed.is_some() && typed != kind {
            return Err(Malformed::new(at, "has a `type` that is not that of the call"));
        }
        Ok(Self { index, kind, id, ..said })
    }

    /// Reads a `function_call`, which stands at `at`.
    pub fn of_function_call(call: &Value, at: &str) -> Result<Self, Malformed> {
        Ok(Self { legacy: true, ..named(call, "arguments", at)? })
    }

    /// The call, where this is a whole one, which stands at `at`. A `function_call` has no id but its name, as its
    /// result has.
    pub fn whole(self, at: &str) -> Result<ToolCall, Malformed> {
        if self.name.is_empty() {
            return Err(Malformed::new(at, "is a tool call without a name"));
        }
        let id = if self.legacy { self.name.clone() } else { self.id };
        Ok(ToolCall { id, name: self.name, arguments: self.arguments })
    }
}

/// Name and arguments of a `function` or `custom` object.
fn named(call: &Value, arguments: &str, at: &str) -> Result<Fragment, Malformed> {
    let Value::Object(call) = call else {
        return Err(Malformed::new(at, "has a call that is not an object"));
    };
    exact_keys(call, &["name", arguments], at)?;
    let name = text(call, "name", at)?;
    let value = call.get(arguments).filter(|value| value.is_object() || value.is_array());
    let said = match value {
        // Some servers give the value instead of its text.
        Some(value) => value.to_string(),
        None => text(call, arguments, at)?,
    };
    Ok(Fragment { name, arguments: said, whole: value.is_some(), ..Fragment::default() })
}

fn text(object: &Map<String, Value>, key: &str, at: &str) -> Result<String, Malformed> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(Malformed::new(format!("{at}.{key}"), "is not text")),
    }
}

/// Whether a value that is read nowhere else has a list or object in it under a key that names calls.
pub(crate) fn hides_call(key: &str, value: &Value) -> bool {
    match value {
        Value::Array(items) => (names_call(key) && !items.is_empty()) || items.iter().any(|item| hides_call("", item)),
        Value::Object(fields) => {
            (names_call(key) && !fields.is_empty()) || fields.iter().any(|(key, value)| hides_call(key, value))
        }
        _ => false,
    }
}

fn names_call(key: &str) -> bool {
    key.as_bytes().windows(4).any(|four| four.eq_ignore_ascii_case(b"call"))
}

/// Which calls a streamed answer has begun.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    slots: Vec<Slot>,
    /// The last call of each choice, index and id, where no index or an empty id stands for any.
    last: HashMap<(u64, Option<u64>, String), usize>,
    /// The `function_call` of each choice.
    legacy: HashMap<u64, usize>,
}

/// What tells a call's fragments from those of others.
#[derive(Debug)]
pub(super) struct Slot {
    pub choice: u64,
    pub index: Option<u64>,
    pub legacy: bool,
    pub id: String,
    pub name: String,
    kind: Option<Kind>,
    /// Whether something of the arguments has been said, and whether all of them.
    said: bool,
    whole: bool,
}

/// Where a fragment belongs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Placed {
    /// The call, counted over all choices from 0.
    pub number: usize,
    /// Whether the fragment begins it.
    pub begins: bool,
    /// Whether clients could place the fragment elsewhere: its index is missing or is another call's too, or it says
    /// the id or name again, which some clients append.
    pub unclear: bool,
}

impl Ledger {
    /// Finds the call that `fragment` of `choice` belongs to, or begins it.
    ///
    /// # Errors
    /// It continues nothing, gives a call a second name or kind, says arguments behind whole ones, or is the call after
    /// the last that is allowed.
    pub fn place(&mut self, choice: u64, fragment: &Fragment) -> Result<Placed, Malformed> {
        let Some(number) = self.find(choice, fragment)? else {
            at_most(self.slots.len().saturating_add(1), MAX_CALLS, "tool calls")?;
            let shared = self.last_of(choice, fragment.index, "").is_some();
            let unclear = !fragment.legacy && (fragment.index.is_none() || shared);
            self.slots.push(Slot {
                choice,
                index: fragment.index,
                legacy: fragment.legacy,
                id: fragment.id.clone(),
                name: fragment.name.clone(),
                kind: fragment.kind,
                said: !fragment.arguments.is_empty(),
                whole: fragment.whole,
            });
            let number = self.slots.len() - 1;
            self.note(number);
            return Ok(Placed { number, begins: true, unclear });
        };
        let mut unclear = !fragment.legacy && fragment.index.is_none();
        let mut named = false;
        if let Some(slot) = self.slots.get_mut(number) {
            if !fragment.id.is_empty() {
                unclear |= !slot.id.is_empty();
                slot.id.clone_from(&fragment.id);
                named = true;
            }
            if !fragment.name.is_empty() {
                if !slot.name.is_empty() && slot.name != fragment.name {
                    let what = format!("names the tool call `{}` a second time, `{}`", slot.name, fragment.name);
                    return Err(Malformed::new("", what));
                }
                unclear |= !slot.name.is_empty();
                slot.name.clone_from(&fragment.name);
            }
            if fragment.kind.is_some() && slot.kind.is_some() && slot.kind != fragment.kind {
                return Err(Malformed::new("", "goes on with a `function` call as a `custom` one, or the other way"));
            }
            slot.kind = slot.kind.or(fragment.kind);
            let says = !fragment.arguments.is_empty();
            if says && slot.said && (slot.whole || fragment.whole) {
                return Err(Malformed::new("", "has arguments that are whole and say more"));
            }
            slot.said |= says;
            slot.whole |= fragment.whole;
        }
        if named {
            self.note(number);
        }
        Ok(Placed { number, begins: false, unclear })
    }

    /// The call that `fragment` continues, if it does not begin one. Parallel calls with ids of their own but the
    /// same index are several calls: some servers number all of them 0.
    fn find(&self, choice: u64, fragment: &Fragment) -> Result<Option<usize>, Malformed> {
        if fragment.legacy {
            return Ok(self.legacy.get(&choice).copied());
        }
        if fragment.index.is_some() {
            let number = self.last_of(choice, fragment.index, "");
            let other = |slot: &Slot| !fragment.id.is_empty() && !slot.id.is_empty() && slot.id != fragment.id;
            return match number.and_then(|number| self.slots.get(number)) {
                Some(slot) if other(slot) => Ok(self.last_of(choice, fragment.index, &fragment.id)),
                _ => Ok(number),
            };
        }
        if fragment.id.is_empty() && !fragment.name.is_empty() {
            return Ok(None);
        }
        match self.last_of(choice, None, &fragment.id) {
            None if fragment.id.is_empty() => Err(Malformed::new("", "continues a tool call that has not begun")),
            number => Ok(number),
        }
    }

    fn last_of(&self, choice: u64, index: Option<u64>, id: &str) -> Option<usize> {
        self.last.get(&(choice, index, id.to_owned())).copied()
    }

    /// Notes what call `number` can be found by.
    fn note(&mut self, number: usize) {
        let Some(slot) = self.slots.get(number) else { return };
        if slot.legacy {
            self.legacy.insert(slot.choice, number);
            return;
        }
        for index in [None, slot.index] {
            for id in ["", &slot.id] {
                let last = self.last.entry((slot.choice, index, id.to_owned())).or_default();
                *last = number.max(*last);
            }
        }
    }

    /// Call `number`.
    pub fn get(&self, number: usize) -> Option<&Slot> {
        self.slots.get(number)
    }

    /// Every call, in the order in which they began.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }
}
