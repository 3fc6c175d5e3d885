//! A call on its way through the guard.

use serde_json::Value;

use super::queue::Meta;
use crate::responses::items::{self, text_at};
use crate::{Malformed, ToolCall};

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is not complete.
    Open,
    /// It is complete and nobody has asked for it.
    Waiting,
    /// It is given out for a decision.
    Asked,
    /// It may pass.
    Allowed,
    /// A message stands in its place.
    Refused,
    /// It never passes, and nothing stands in its place.
    Dropped,
}

/// A call, and all that has been said about it. Official clients take its content from different events: each of them
/// must say the same, or one would act on what was not decided.
#[derive(Debug)]
pub(super) struct Held {
    /// Its `output_index`; `None` for a call that only the last event has.
    pub index: Option<u64>,
    /// The id of its item.
    pub item: Option<String>,
    /// The type of its item.
    kind: String,
    /// What is said of it so far; all of it from [`Fate::Waiting`] on.
    pub call: ToolCall,
    /// Arguments as they stood in the event that began it.
    first: String,
    /// The pieces of its arguments.
    pieces: String,
    /// Its arguments, as said at their end.
    whole: Option<String>,
    /// What happens to it.
    pub fate: Fate,
    /// What is known of the events that are given out with it.
    pub metas: Vec<Meta>,
    /// The message in its place, once it is refused.
    pub message: Option<Value>,
    /// Its whole item, once it is complete, where its first event cannot be checked against that.
    pub item_then: Option<Value>,
}

impl Held {
    /// A call that begins with `item`.
    pub(super) fn begun(index: Option<u64>, item: &Value) -> Self {
        let said = |key: &str| text_at(item, key).unwrap_or_default().to_owned();
        let call = match items::call(item) {
            Ok(call) => call,
            // Incomplete: what is there must agree with what follows.
            Err(_) => ToolCall { id: said("call_id"), name: said("name"), arguments: String::new() },
        };
        let kind = said("type");
        let first = if carries_arguments(&kind) { call.arguments.clone() } else { String::new() };
        Self {
            index,
            item: text_at(item, "id").map(String::from),
            kind,
            call,
            first,
            pieces: String::new(),
            whole: None,
            fate: Fate::Open,
            metas: Vec::new(),
            message: None,
            item_then: None,
        }
    }

    /// Takes what an event of type `kind`, one of [`is_argument`], says about it.
    ///
    /// # Errors
    /// The call is complete already, or the event does not say what its type promises.
    pub(super) fn hear(&mut self, kind: &str, value: &Value) -> Result<(), Malformed> {
        if self.fate != Fate::Open {
            return Err(Malformed::new("output_index", "is that of a call that is complete already"));
        }
        let said = |key: &str| text_at(value, key).ok_or_else(|| Malformed::new(key, "is not text"));
        // Clients gather what they hear of one kind apart from what they hear of the other.
        let (of, key) = match kind {
            "response.function_call_arguments.delta" => ("function_call", "delta"),
            "response.function_call_arguments.done" => ("function_call", "arguments"),
            "response.custom_tool_call_input.delta" => ("custom_tool_call", "delta"),
            _ => ("custom_tool_call", "input"),
        };
        if self.kind != of {
            return Err(Malformed::new("type", "is not that of events about such an item"));
        }
        match (key, &self.whole) {
            ("delta", None) => self.pieces.push_str(said(key)?),
            (_, None) => self.whole = Some(said(key)?.into()),
            (_, Some(whole)) if key != "delta" && said(key)? == whole => {}
            (_, Some(_)) => return Err(differs("arguments")),
        }
        match text_at(value, "name") {
            Some(name) if !name.is_empty() && name != self.call.name => Err(differs("name")),
            _ => Ok(()),
        }
    }

    /// Completes it with its whole item, or, if it is complete, checks that the item says the same again.
    ///
    /// # Errors
    /// The item is not a call, or says other than what came before.
    pub(super) fn complete(&mut self, item: &Value) -> Result<(), Malformed> {
        let call = items::call(item)?;
        let same = |before: &str, now: &str| before.is_empty() || before == now;
        if text_at(item, "type") != Some(self.kind.as_str()) {
            return Err(differs("type"));
        }
        if self.fate != Fate::Open {
            return if call == self.call { Ok(()) } else { Err(differs("arguments")) };
        }
        if !same(&self.call.id, &call.id) {
            return Err(differs("call_id"));
        }
        if !same(&self.call.name, &call.name) {
            return Err(differs("name"));
        }
        let whole = self.whole.as_deref().unwrap_or_default();
        let pieces = same(&self.pieces, &call.arguments) && same(&self.first, &call.arguments);
        let joined = call.arguments.strip_prefix(&self.first) == Some(&self.pieces);
        if !(same(whole, &call.arguments) && (pieces || joined)) {
            return Err(differs("arguments"));
        }
        self.call = call;
        self.fate = Fate::Waiting;
        if !carries_arguments(&self.kind) {
            self.item_then = Some(item.clone());
        }
        Ok(())
    }

    /// Completes it at the end of the answer with what it has: its arguments were said to be whole.
    pub(super) fn complete_alone(&mut self) -> bool {
        let Some(arguments) = self.whole.clone() else { return false };
        let key = if self.kind == "custom_tool_call" { "input" } else { "arguments" };
        let mut item = serde_json::json!({"type": self.kind, "call_id": self.call.id, "name": self.call.name});
        items::set(&mut item, key, arguments);
        self.complete(&item).is_ok()
    }

    /// Whether it is complete and `call` again.
    pub(super) fn says(&self, call: &ToolCall) -> bool {
        self.fate != Fate::Open && *call == self.call
    }

    /// Whether `item` is this call again.
    pub(super) fn is(&self, item: &Value) -> bool {
        let item_id = text_at(item, "id").is_some_and(|id| self.item.as_deref() == Some(id));
        let call_id = text_at(item, "call_id").is_some_and(|id| !id.is_empty() && self.call.id == id);
        item_id || call_id
    }
}

/// Whether the arguments of such an item come in pieces, so that its first event has them only by accident.
fn carries_arguments(kind: &str) -> bool {
    matches!(kind, "function_call" | "custom_tool_call")
}

/// Whether events of type `kind` say something of a call's arguments.
pub(super) fn is_argument(kind: &str) -> bool {
    let rest = ["response.function_call_arguments.", "response.custom_tool_call_input."]
        .iter()
        .find_map(|of| kind.strip_prefix(of));
    matches!(rest, Some("delta" | "done"))
}

fn differs(key: &str) -> Malformed {
    Malformed::new(format!("item.{key}"), "is not what an earlier event said of the same call")
}
