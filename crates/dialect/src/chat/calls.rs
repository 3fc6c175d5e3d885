//! Tool calls in all the shapes that they come in, and which call a fragment belongs to.

use serde_json::{Map, Value};

use crate::{Malformed, ToolCall};

/// Most calls of one answer, over all its choices.
const MAX_CALLS: usize = 1024;

/// One entry of `tool_calls`, or a `function_call`. Streamed ones carry a part of a call.
#[derive(Debug, Default)]
pub(super) struct Fragment {
    /// Its place in the choice's calls, where that is said.
    pub index: Option<u64>,
    /// Whether it is a `function_call`, of which a choice has at most one.
    pub legacy: bool,
    /// Empty where it is not said.
    pub id: String,
    /// Empty where it is not said.
    pub name: String,
    /// JSON text, or the free text of a custom tool's input.
    pub arguments: String,
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
        let (name, arguments) = match (body("function"), body("custom")) {
            (Some(_), Some(_)) => return Err(Malformed::new(at, "has a `function` and a `custom` call")),
            (Some(function), None) => named(function, "arguments", at)?,
            (None, Some(custom)) => named(custom, "input", at)?,
            (None, None) => Default::default(),
        };
        Ok(Self { index, legacy: false, id, name, arguments })
    }

    /// Reads a `function_call`, which stands at `at`.
    pub fn of_function_call(call: &Value, at: &str) -> Result<Self, Malformed> {
        let (name, arguments) = named(call, "arguments", at)?;
        Ok(Self { legacy: true, name, arguments, ..Self::default() })
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
fn named(call: &Value, arguments: &str, at: &str) -> Result<(String, String), Malformed> {
    let Value::Object(call) = call else {
        return Err(Malformed::new(at, "has a call that is not an object"));
    };
    exact_keys(call, &["name", arguments], at)?;
    let text = match call.get(arguments) {
        // Some servers give the value instead of its text.
        Some(value @ (Value::Object(_) | Value::Array(_))) => value.to_string(),
        _ => text(call, arguments, at)?,
    };
    Ok((self::text(call, "name", at)?, text))
}

fn text(object: &Map<String, Value>, key: &str, at: &str) -> Result<String, Malformed> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(Malformed::new(format!("{at}.{key}"), "is not text")),
    }
}

/// Some clients take `Name` for `name`; then a call could have one name here and another there.
fn exact_keys(object: &Map<String, Value>, known: &[&str], at: &str) -> Result<(), Malformed> {
    let wrong = |key: &&String| {
        let another = known.iter().any(|name| key.eq_ignore_ascii_case(name) && *name != key.as_str());
        another || !key.is_ascii()
    };
    match object.keys().find(wrong) {
        Some(key) => Err(Malformed::new(at, format!("has the field `{key}`, which clients could read in two ways"))),
        None => Ok(()),
    }
}

/// Whether a value that is read nowhere else has a list or object in it under a key that names calls.
pub(super) fn hides_call(key: &str, value: &Value) -> bool {
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
}

/// What tells a call's fragments from those of others.
#[derive(Debug)]
pub(super) struct Slot {
    pub choice: u64,
    pub index: Option<u64>,
    pub legacy: bool,
    pub id: String,
    pub name: String,
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
    /// It continues nothing, gives a call a second name, or is the call after the last that is allowed.
    pub fn place(&mut self, choice: u64, fragment: &Fragment) -> Result<Placed, Malformed> {
        let Some(number) = self.find(choice, fragment)? else {
            if self.slots.len() >= MAX_CALLS {
                return Err(Malformed::new("", format!("has more than {MAX_CALLS} tool calls")));
            }
            let shared = self.slots.iter().any(|slot| slot.choice == choice && slot.index == fragment.index);
            let unclear = !fragment.legacy && (fragment.index.is_none() || shared);
            self.slots.push(Slot {
                choice,
                index: fragment.index,
                legacy: fragment.legacy,
                id: fragment.id.clone(),
                name: fragment.name.clone(),
            });
            return Ok(Placed { number: self.slots.len() - 1, begins: true, unclear });
        };
        let mut unclear = !fragment.legacy && fragment.index.is_none();
        if let Some(slot) = self.slots.get_mut(number) {
            if !fragment.id.is_empty() {
                unclear |= !slot.id.is_empty();
                slot.id.clone_from(&fragment.id);
            }
            if !fragment.name.is_empty() {
                if !slot.name.is_empty() && slot.name != fragment.name {
                    let what = format!("names the tool call `{}` a second time, `{}`", slot.name, fragment.name);
                    return Err(Malformed::new("", what));
                }
                unclear |= !slot.name.is_empty();
                slot.name.clone_from(&fragment.name);
            }
        }
        Ok(Placed { number, begins: false, unclear })
    }

    /// The call that `fragment` continues, if it does not begin one. Parallel calls with ids of their own but the
    /// same index are several calls: some servers number all of them 0.
    fn find(&self, choice: u64, fragment: &Fragment) -> Result<Option<usize>, Malformed> {
        let last = |wanted: &dyn Fn(&Slot) -> bool| {
            self.slots.iter().rposition(|slot| slot.choice == choice && slot.legacy == fragment.legacy && wanted(slot))
        };
        if fragment.legacy {
            return Ok(last(&|_| true));
        }
        let same_id = |slot: &Slot| slot.id == fragment.id;
        if fragment.index.is_some() {
            let number = last(&|slot| slot.index == fragment.index);
            let other = |slot: &Slot| !fragment.id.is_empty() && !slot.id.is_empty() && !same_id(slot);
            return match number.and_then(|number| self.slots.get(number)) {
                Some(slot) if other(slot) => Ok(last(&|slot| slot.index == fragment.index && same_id(slot))),
                _ => Ok(number),
            };
        }
        if !fragment.id.is_empty() {
            return Ok(last(&same_id));
        }
        if !fragment.name.is_empty() {
            return Ok(None);
        }
        match last(&|_| true) {
            Some(number) => Ok(Some(number)),
            None => Err(Malformed::new("", "continues a tool call that has not begun")),
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
