//! Looks at a whole answer on its way to an agent.

use serde_json::{Value, json};

use super::items::{self, Kind};
use super::response;
use crate::guard::{Facts, MAX_CALLS, MAX_ITEMS, WholeGuard, at_most};
use crate::{Malformed, ToolCall};

/// Guards one whole answer.
#[derive(Debug)]
pub struct Whole {
    body: Value,
    /// Its calls, with their places in the output.
    calls: Vec<(usize, ToolCall)>,
    facts: Facts,
}

impl Whole {
    /// Takes an answer.
    ///
    /// # Errors
    /// It has no list of items, or one of them could carry a call without being one.
    pub fn new(body: Value) -> Result<Self, Malformed> {
        let Some(output) = body.get("output").and_then(Value::as_array) else {
            return Err(Malformed::new("output", "is not a list"));
        };
        items::none_beside_output(&body)?;
        at_most(output.len(), MAX_ITEMS, "items")?;
        let mut calls = Vec::new();
        for (place, item) in output.iter().enumerate() {
            if items::visible_kind(item)? == Kind::Call {
                calls.push((place, items::call(item)?));
            }
        }
        at_most(calls.len(), MAX_CALLS, "tool calls")?;
        let facts = Facts {
            model: items::text_at(&body, "model").filter(|model| !model.is_empty()).map(String::from),
            usage: response::read_usage(body.get("usage")),
            stop: Some(response::stop(&body, !calls.is_empty())),
            complete: true,
        };
        Ok(Self { body, calls, facts })
    }

    fn stem(&self) -> &str {
        items::text_at(&self.body, "id").unwrap_or_default()
    }
}

impl WholeGuard for Whole {
    fn texts(&self) -> Vec<String> {
        let items = items::list_at(&self.body, "output").iter();
        let mut texts: Vec<String> = items.flat_map(items::texts).map(|(_, text)| text.to_owned()).collect();
        if let Some(copy) = items::text_at(&self.body, "output_text")
            && !copy.is_empty()
            && !texts.iter().any(|text| text == copy)
        {
            texts.push(copy.into());
        }
        texts
    }

    fn calls(&self) -> Vec<ToolCall> {
        self.calls.iter().map(|(_, call)| call.clone()).collect()
    }

    fn refuse(&mut self, index: usize, text: &str) {
        let Some(&(place, _)) = self.calls.get(index) else { return };
        let message = items::message(&items::id("msg", self.stem(), place), text);
        if let Some(item) = self.body.get_mut("output").and_then(|output| output.get_mut(place)) {
            *item = message;
        }
        // A copy of all texts, which some servers add, no longer fits.
        items::unset(&mut self.body, "output_text");
    }

    fn cut(&mut self, text: &str) {
        let message = items::message(&items::id("msg", self.stem(), 0), text);
        items::set(&mut self.body, "output", json!([message]));
        items::set(&mut self.body, "status", "completed");
        items::set(&mut self.body, "error", Value::Null);
        items::set(&mut self.body, "incomplete_details", Value::Null);
        // A copy of all texts, which some servers add, no longer fits.
        items::unset(&mut self.body, "output_text");
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn into_body(self: Box<Self>) -> Value {
        self.body
    }
}
