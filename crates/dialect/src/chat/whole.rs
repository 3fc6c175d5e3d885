//! Looking at a whole answer on its way to an agent.

use serde_json::{Map, Value, json};

use super::calls::hides_call;
use super::content::{self, Said};
use super::edit;
use super::guard::MAX_CHOICES;
use super::response::{calls_of, read_stop, read_usage};
use crate::guard::{Facts, MAX_CALLS, WholeGuard, at_most};
use crate::{Malformed, ToolCall};

/// Guards one whole answer, all of its choices.
#[derive(Debug)]
pub struct Whole {
    body: Map<String, Value>,
    calls: Vec<Known>,
    facts: Facts,
}

/// A call, and where it stands.
#[derive(Debug)]
struct Known {
    call: ToolCall,
    /// Place in `choices`.
    choice: usize,
    refusal: Option<String>,
}

impl Whole {
    /// Takes an answer.
    ///
    /// # Errors
    /// The body is not an answer, or something in it could carry a tool call but cannot be read as one.
    pub fn new(body: Value) -> Result<Self, Malformed> {
        let Value::Object(body) = body else {
            return Err(Malformed::new("", "the body is not an object"));
        };
        let mut whole = Self { body: Map::new(), calls: Vec::new(), facts: Facts::default() };
        for (key, value) in &body {
            if key != "choices" {
                no_hidden_call(key, key, value)?;
            }
        }
        let Some(Value::Array(choices)) = body.get("choices") else {
            return Err(Malformed::new("choices", "is not a list"));
        };
        at_most(choices.len(), MAX_CHOICES, "choices")?;
        for (number, choice) in choices.iter().enumerate() {
            whole.read_choice(number, choice)?;
        }
        whole.facts.model =
            body.get("model").and_then(Value::as_str).filter(|name| !name.is_empty()).map(str::to_owned);
        whole.facts.usage = body.get("usage").and_then(read_usage);
        whole.facts.complete = true;
        whole.body = body;
        Ok(whole)
    }

    fn read_choice(&mut self, number: usize, choice: &Value) -> Result<(), Malformed> {
        let at = format!("choices[{number}]");
        let Some((choice, message)) = choice.as_object().and_then(|all| Some((all, all.get("message")?.as_object()?)))
        else {
            return Err(Malformed::new(format!("{at}.message"), "is not an object"));
        };
        for (key, value) in choice {
            if key != "message" {
                no_hidden_call(&at, key, value)?;
            }
        }
        no_hidden_call_in_message(message, &at)?;
        let before = self.calls.len();
        for fragment in calls_of(message, &format!("{at}.message"))? {
            self.calls.push(Known { call: fragment.whole(&at)?, choice: number, refusal: None });
        }
        at_most(self.calls.len(), MAX_CALLS, "tool calls")?;
        if self.facts.stop.is_none()
            && let Some(Value::String(reason)) = choice.get("finish_reason")
        {
            self.facts.stop = Some(read_stop(reason, self.calls.len() > before));
        }
        Ok(())
    }

    /// Takes refused calls out of choice `number` and puts the reasons in.
    fn edit(&self, number: usize, choice: &mut Value) {
        let mut calls = self.calls.iter().filter(|known| known.choice == number);
        let refused = |known: &&Known| known.refusal.is_some();
        if !calls.clone().any(|known| refused(&known)) {
            return;
        }
        if let Some(Value::Object(message)) = choice.get_mut("message") {
            let mut kept = calls.clone().map(|known| !refused(&known));
            edit::retain_calls(message, |_| kept.next().unwrap_or(false));
            for words in calls.clone().filter_map(|known| known.refusal.as_deref()) {
                edit::say(message, words, false);
            }
        }
        if let Value::Object(choice) = choice
            && calls.all(|known| refused(&known))
        {
            edit::end_without_calls(choice);
        }
    }
}

/// Refuses a value that is read nowhere and could carry a tool call.
pub(super) fn no_hidden_call(at: &str, key: &str, value: &Value) -> Result<(), Malformed> {
    if hides_call(key, value) {
        return Err(Malformed::new(at, format!("has something like a tool call in `{key}`, where none belongs")));
    }
    Ok(())
}

/// The same for a message, or a delta of one, outside of where its calls stand.
pub(super) fn no_hidden_call_in_message(message: &Map<String, Value>, at: &str) -> Result<(), Malformed> {
    for (key, value) in message {
        match key.as_str() {
            "tool_calls" | "function_call" => {}
            "content" if content::holds_call(value) => {
                return Err(Malformed::new(at, "has something like a tool call in `content`, where none belongs"));
            }
            _ => no_hidden_call(at, key, value)?,
        }
    }
    Ok(())
}

impl WholeGuard for Whole {
    fn texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        for choice in self.body.get("choices").and_then(Value::as_array).into_iter().flatten() {
            if let Some(Value::Object(message)) = choice.get("message") {
                let said = Said::of(message);
                texts.extend([said.thoughts, said.text].into_iter().filter(|text| !text.is_empty()));
            }
        }
        texts
    }

    fn calls(&self) -> Vec<ToolCall> {
        self.calls.iter().map(|known| known.call.clone()).collect()
    }

    fn refuse(&mut self, index: usize, text: &str) {
        if let Some(known) = self.calls.get_mut(index) {
            known.refusal = Some(text.to_owned());
        }
    }

    fn cut(&mut self, text: &str) {
        self.calls.clear();
        let mut count = 0;
        if let Some(Value::Array(choices)) = self.body.get("choices") {
            count = choices.len();
        }
        let choice = |index| {
            let message = json!({"role": "assistant", "content": text, "refusal": null});
            json!({"index": index, "message": message, "logprobs": null, "finish_reason": "stop"})
        };
        self.body.insert("choices".to_owned(), Value::Array((0..count.max(1)).map(choice).collect()));
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn into_body(mut self: Box<Self>) -> Value {
        let mut choices = self.body.get_mut("choices").map(Value::take).unwrap_or_default();
        for (number, choice) in choices.as_array_mut().into_iter().flatten().enumerate() {
            if let Some(Value::Object(message)) = choice.get_mut("message") {
                edit::spell_arguments(message);
            }
            self.edit(number, choice);
        }
        self.body.insert("choices".to_owned(), choices);
        Value::Object(self.body)
    }
}
