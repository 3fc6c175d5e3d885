//! Looking at a streamed answer on its way to an agent.
//!
//! A call's end is not marked: it is complete when its choice ends or the answer does. So from a call's first fragment
//! on everything waits until then; all calls that wait are decided on, and then the events come out in their order.
//! Nothing is lost by that, as no agent may act on a call before its choice has ended. The fields of an event stay as they
//! came unless something must change.

mod pass;

use std::collections::VecDeque;

use serde_json::{Map, Value, json};

use super::calls::{Fragment, Ledger};
use super::content::Said;
use super::edit;
use super::response::{calls_of, read_stop, read_usage};
use super::stream::{chunk, done, head, usage_chunk};
use super::whole::{no_hidden_call, no_hidden_call_in_message};
use crate::guard::{Data, Facts, HeldCall, Piece, StreamGuard, at_most, hold, read, weight};
use crate::sse::Event;
use crate::{Malformed, ToolCall};

/// Most choices of one answer; the interface itself allows as many.
pub(super) const MAX_CHOICES: usize = 128;

/// Guards one streamed answer, all of its choices.
#[derive(Debug, Default)]
pub struct Guard {
    hide_usage: bool,
    facts: Facts,
    /// What the chunks of this answer begin with.
    head: Option<Map<String, Value>>,
    choices: Vec<Choice>,
    ledger: Ledger,
    /// One for each call of the ledger.
    calls: Vec<Call>,
    /// Calls whose end has not been seen.
    open: usize,
    /// Complete calls, not yet given out.
    ready: VecDeque<usize>,
    /// The call that was given out last, until it is decided on.
    handed: Option<usize>,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    /// Whether usage has been passed.
    usage_passed: bool,
    /// Whether the answer was cut.
    over: bool,
}

#[derive(Debug, Default)]
struct Choice {
    number: u64,
    /// Whether its end has been seen, with no fragment after it.
    ended: bool,
    /// Whether something of it has been passed.
    begun: bool,
    /// Whether its end has been passed.
    end_passed: bool,
    /// Whether the last line of its text that has been passed goes on.
    open_line: bool,
    /// Whether its calls must be written anew.
    changed: bool,
    /// The index of its next call.
    next_index: u64,
    /// How many calls it has, how many of them are open, and how many allowed.
    calls: usize,
    open: usize,
    allowed: usize,
}

impl Choice {
    fn new(number: u64) -> Self {
        Self { number, ..Self::default() }
    }
}

#[derive(Debug, Default)]
struct Call {
    arguments: String,
    state: State,
    /// What stands in its place, until that has been passed.
    words: Option<String>,
    /// The index under which the agent sees it.
    index: Option<u64>,
    id_passed: bool,
    name_passed: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Its end has not been seen.
    #[default]
    Open,
    /// It is to be decided on.
    Complete,
    Allowed,
    Refused,
}

/// An event that has not been passed.
#[derive(Debug, Default)]
struct Waiting {
    event: Event,
    text: String,
    seen: Vec<Seen>,
    usage: bool,
    last: bool,
}

/// What one entry of an event's `choices` has in it.
#[derive(Debug)]
struct Seen {
    /// Place in [`Guard::choices`].
    choice: usize,
    ends: bool,
    /// Whether its text, if it has any, leaves a line open.
    open_line: Option<bool>,
    /// The call of each fragment, in the order in which they are read.
    fragments: Vec<usize>,
}

impl Guard {
    /// A guard for one answer. `hide_usage` leaves the chunk out that only says what was used.
    pub fn new(hide_usage: bool) -> Self {
        Self { hide_usage, ..Self::default() }
    }

    fn read(&mut self, mut body: Map<String, Value>) -> Result<(), Malformed> {
        for (key, value) in &body {
            if key != "choices" {
                no_hidden_call("", key, value)?;
            }
        }
        let choices = match body.get("choices") {
            None | Some(Value::Null) => &[],
            Some(Value::Array(choices)) => choices.as_slice(),
            Some(_) => return Err(Malformed::new("choices", "is not a list")),
        };
        // The bound on what waits would not hold what is noted of more.
        at_most(choices.len(), MAX_CHOICES, "choices")?;
        self.learn(&body, !choices.is_empty());
        let usage = body.get("usage").and_then(read_usage);
        if usage.is_some() {
            self.facts.usage = usage;
            if self.hide_usage && choices.is_empty() {
                return Ok(());
            }
        }
        let mut waiting = Waiting { usage: usage.is_some(), ..Waiting::default() };
        for (number, choice) in choices.iter().enumerate() {
            let seen = self.read_choice(choice, &format!("choices[{number}]"), &mut waiting.text)?;
            waiting.seen.push(seen);
        }
        for choice in body.get_mut("choices").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(Value::Object(delta)) = choice.get_mut("delta") {
                edit::spell_arguments(delta);
            }
        }
        waiting.event = Event { name: None, data: Value::Object(body).to_string() };
        self.wait(waiting)
    }

    /// Takes what is the same in all chunks from the first that has a choice. (The first of all may be Azure's note on
    /// the request, without a name.)
    fn learn(&mut self, body: &Map<String, Value>, has_choice: bool) {
        let field = |key| body.get(key).and_then(Value::as_str).unwrap_or_default();
        if self.facts.model.is_none() && !field("model").is_empty() {
            self.facts.model = Some(field("model").to_owned());
        }
        if self.head.is_none() && has_choice {
            let mut new = head(field("id"), field("model"));
            if let Some(created @ Value::Number(_)) = body.get("created") {
                new.insert("created".to_owned(), created.clone());
            }
            self.head = Some(new);
        }
    }

    fn wait(&mut self, waiting: Waiting) -> Result<(), Malformed> {
        self.waiting_bytes = hold(self.waiting_bytes, &waiting.event)?;
        self.waiting.push_back(waiting);
        Ok(())
    }

    fn read_choice(&mut self, choice: &Value, at: &str, text: &mut String) -> Result<Seen, Malformed> {
        let Value::Object(fields) = choice else {
            return Err(Malformed::new(at, "is not an object"));
        };
        let number = match fields.get("index") {
            None | Some(Value::Null) => 0,
            Some(index) => index.as_u64().ok_or_else(|| Malformed::new(format!("{at}.index"), "is not a number"))?,
        };
        let place = self.place_of(number)?;
        let mut seen = Seen { choice: place, ends: false, open_line: None, fragments: Vec::new() };
        for (key, value) in fields {
            match (key.as_str(), value) {
                ("delta", Value::Object(delta)) => self.read_delta(delta, at, number, &mut seen, text)?,
                ("delta", Value::Null) => {}
                ("delta", _) => return Err(Malformed::new(format!("{at}.delta"), "is not an object")),
                _ => no_hidden_call(at, key, value)?,
            }
        }
        // Shapes of whole answers: text is text wherever it stands.
        text.push_str(fields.get("text").and_then(Value::as_str).unwrap_or_default());
        if let Some(Value::Object(message)) = fields.get("message") {
            no_hidden_call_in_message(message, at)?;
            text.push_str(&Said::of(message).joined());
        }
        if let Some(Value::String(reason)) = fields.get("finish_reason") {
            seen.ends = true;
            self.end(place, reason);
        }
        Ok(seen)
    }

    fn end(&mut self, place: usize, reason: &str) {
        let Some(choice) = self.choices.get_mut(place) else { return };
        choice.ended = true;
        if self.facts.stop.is_none() {
            self.facts.stop = Some(read_stop(reason, choice.calls > 0));
        }
    }

    /// Place of choice `number` in `choices`.
    fn place_of(&mut self, number: u64) -> Result<usize, Malformed> {
        if let Some(place) = self.choices.iter().position(|choice| choice.number == number) {
            return Ok(place);
        }
        if self.choices.len() >= MAX_CHOICES {
            return Err(Malformed::new("choices", format!("are more than {MAX_CHOICES}")));
        }
        self.choices.push(Choice::new(number));
        Ok(self.choices.len() - 1)
    }

    fn read_delta(
        &mut self,
        delta: &Map<String, Value>,
        at: &str,
        number: u64,
        seen: &mut Seen,
        text: &mut String,
    ) -> Result<(), Malformed> {
        no_hidden_call_in_message(delta, at)?;
        let said = Said::of(delta);
        if !said.text.is_empty() {
            seen.open_line = Some(!said.text.ends_with('\n'));
        }
        text.push_str(&said.joined());
        for fragment in calls_of(delta, &format!("{at}.delta"))? {
            seen.fragments.push(self.read_fragment(number, seen.choice, &fragment)?);
        }
        Ok(())
    }

    fn read_fragment(&mut self, number: u64, place: usize, fragment: &Fragment) -> Result<usize, Malformed> {
        let placed = self.ledger.place(number, fragment)?;
        if placed.begins {
            self.calls.push(Call::default());
            self.open = self.open.saturating_add(1);
        }
        if let Some(call) = self.calls.get_mut(placed.number) {
            if call.state != State::Open {
                return Err(Malformed::new("", "goes on with a tool call that was complete"));
            }
            call.arguments.push_str(&fragment.arguments);
        }
        if let Some(choice) = self.choices.get_mut(place) {
            choice.ended = false;
            choice.changed |= placed.unclear;
            choice.calls += usize::from(placed.begins);
            choice.open += usize::from(placed.begins);
        }
        Ok(placed.number)
    }

    fn choice_of(&mut self, call: usize) -> Option<&mut Choice> {
        let number = self.ledger.get(call)?.choice;
        self.choices.iter_mut().find(|choice| choice.number == number)
    }

    /// Gives the open calls out if all of them are complete; if `answer_ended`, they are.
    fn settle(&mut self, answer_ended: bool) -> Result<(), Malformed> {
        let goes_on = |choice: &Choice| choice.open > 0 && !choice.ended;
        if self.open == 0 || (!answer_ended && self.choices.iter().any(goes_on)) {
            return Ok(());
        }
        for call in self.open_calls() {
            if self.ledger.get(call).is_none_or(|slot| slot.name.is_empty()) {
                return Err(Malformed::new("", "has a tool call without a name"));
            }
            self.complete(call);
        }
        Ok(())
    }

    fn open_calls(&self) -> Vec<usize> {
        (0..).zip(&self.calls).filter(|(_, call)| call.state == State::Open).map(|(number, _)| number).collect()
    }

    fn complete(&mut self, number: usize) {
        if let Some(call) = self.calls.get_mut(number) {
            call.state = State::Complete;
            self.ready.push_back(number);
            self.close(number);
        }
    }

    /// Notes that call `number` is not open any more.
    fn close(&mut self, number: usize) {
        self.open = self.open.saturating_sub(1);
        if let Some(choice) = self.choice_of(number) {
            choice.open = choice.open.saturating_sub(1);
        }
    }

    /// Decides on a call: `None` allows it, and a refused one may have words that stand in its place.
    fn decide(&mut self, number: usize, words: Option<Option<&str>>) {
        let Some(call) = self.calls.get_mut(number) else { return };
        match words {
            None => {
                call.state = State::Allowed;
                if let Some(choice) = self.choice_of(number) {
                    choice.allowed += 1;
                }
            }
            Some(words) => {
                call.state = State::Refused;
                call.words = words.map(str::to_owned);
                if let Some(choice) = self.choice_of(number) {
                    choice.changed = true;
                }
            }
        }
    }
}
