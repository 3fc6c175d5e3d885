//! What a model says, judged as it grows: data that must not leave, and what this fleet's own filters name. What must not go on
//! is taken out of the events that carry it, or ends the answer; all that is found is noted. Where nothing is to be done about
//! anything, nothing waits.
//!
//! Each text of an answer (a choice's, a block's, an item's) is one stream. Copies of a whole text, which some dialects send
//! at its end, are judged as a whole: that gives the same ([`nanoclaw_firewall::stream`]).

mod growing;
mod texts;

use std::collections::BTreeMap;
use std::sync::Arc;

use nanoclaw_audit::Screened;
use nanoclaw_dialect::sse::Event;
use nanoclaw_dialect::{Dialect, ToolCall};
use nanoclaw_firewall::{Channel, Firewall, Judgement, Verdict, stream};
use nanoclaw_request::{Refusal, RefusalCode, Stage};
use nanoclaw_vault::digest;
use serde_json::Value;

use crate::screen::{Done, MOST_FINDINGS, finding};
use growing::Growing;
use texts::{End, Lane, Text};

/// Most texts of one answer that grow at the same time.
const MOST_LANES: usize = 4096;
/// How often one choice may change between its fields, such as thoughts and words, so that what was said in one is complete.
/// From then on a text of it is complete at the end of the choice.
const MOST_TURNS: usize = 16;

/// The texts of one answer.
pub(super) struct Leaving {
    firewall: Arc<Firewall>,
    /// Whether anything that is found changes the answer.
    acts: bool,
    dialect: Dialect,
    lanes: BTreeMap<Lane, Growing>,
    /// The field that a choice said something in last, and how often that changed.
    turns: BTreeMap<u64, (Lane, usize)>,
    findings: Vec<Screened>,
}

/// The part of a text that an event carries.
#[derive(Debug)]
pub(super) struct Part {
    at: String,
    lane: Lane,
    start: usize,
    end: usize,
}

impl Leaving {
    pub(super) fn new(firewall: Arc<Firewall>, dialect: Dialect) -> Self {
        let acts = firewall.acts_on(Channel::Output);
        Self { firewall, acts, dialect, lanes: BTreeMap::new(), turns: BTreeMap::new(), findings: Vec::new() }
    }

    /// Takes an event of a streamed answer. Gives what must be [decided](Self::is_decided) before it may [pass](Self::pass).
    ///
    /// # Errors
    /// Something in it ends the answer.
    pub(super) fn take(&mut self, event: &mut Event) -> Result<Vec<Part>, Refusal> {
        let Ok(mut value @ Value::Object(_)) = serde_json::from_str(&event.data) else { return Ok(Vec::new()) };
        let said = texts::of_event(self.dialect, event, &value);
        let mut changed = self.acts && without_likelihoods(&mut value);
        let (mut parts, mut worst) = (Vec::new(), Ok(()));
        for Text { at, lane } in said.texts {
            let Some(text) = value.pointer(&at).and_then(Value::as_str) else { continue };
            match lane {
                Some(lane) => {
                    worst = worst.and(self.turn(&lane));
                    let part = self.grow(lane, text, at);
                    worst = worst.and(part.map(|part| parts.push(part)));
                }
                None => {
                    let judged = self.whole(text);
                    if let Ok(Some(redacted)) = &judged
                        && let Some(place) = value.pointer_mut(&at)
                    {
                        *place = Value::String(redacted.clone());
                        changed = true;
                    }
                    worst = worst.and(judged.map(|_| ()));
                }
            }
        }
        for end in said.ends {
            worst = worst.and(match end {
                End::Of(number) => self.end(|lane| lane.of == number),
                End::Lane(ended) => self.end(|lane| *lane == ended),
            });
        }
        if changed {
            event.data = value.to_string();
        }
        worst?;
        Ok(if self.acts { parts } else { Vec::new() })
    }

    /// Whether nothing that comes changes these parts any more.
    pub(super) fn is_decided(&self, parts: &[Part]) -> bool {
        parts.iter().all(|part| self.lanes.get(&part.lane).is_none_or(|lane| lane.decided() >= part.end))
    }

    /// The event as it may pass, once all its parts are decided.
    pub(super) fn pass(&mut self, mut event: Event, parts: &[Part]) -> Event {
        let mut value = None;
        for part in parts {
            let Some(lane) = self.lanes.get_mut(&part.lane) else { continue };
            if !lane.touches(part.start, part.end) {
                continue;
            }
            let value = value.get_or_insert_with(|| serde_json::from_str::<Value>(&event.data).unwrap_or_default());
            if let Some(place) = value.pointer_mut(&part.at)
                && let Some(text) = place.as_str()
            {
                *place = Value::String(lane.edited(text, part.start));
            }
        }
        if let Some(value) = value {
            event.data = value.to_string();
        }
        event
    }

    /// No text goes on.
    ///
    /// # Errors
    /// Something in what is left ends the answer.
    pub(super) fn finish(&mut self) -> Result<(), Refusal> {
        self.end(|_| true)
    }

    /// Looks at a text of a whole answer.
    ///
    /// # Errors
    /// Something in it ends the answer.
    pub(super) fn said(&mut self, text: &str) -> Result<(), Refusal> {
        self.whole(text).map(|_| ())
    }

    /// Takes out of a whole answer what must not leave.
    ///
    /// # Errors
    /// Something in it may not be answered at all.
    pub(super) fn body(&mut self, body: &mut Value) -> Result<(), Refusal> {
        if self.acts {
            without_likelihoods(body);
        }
        for at in texts::of_body(body) {
            let Some(text) = body.pointer(&at).and_then(Value::as_str) else { continue };
            if let Some(redacted) = self.whole(text)?
                && let Some(place) = body.pointer_mut(&at)
            {
                *place = Value::String(redacted);
            }
        }
        Ok(())
    }

    /// What was found, for the record.
    pub(super) fn findings(mut self) -> Vec<Screened> {
        // What is left is not to go on, but it was said.
        let _refused = self.finish().is_err();
        for lane in std::mem::take(&mut self.lanes).into_values() {
            let (judgement, sha256) = lane.judged();
            note(&mut self.findings, &judgement, sha256);
        }
        self.findings
    }

    fn grow(&mut self, lane: Lane, text: &str, at: String) -> Result<Part, Refusal> {
        if self.lanes.len() >= MOST_LANES && !self.lanes.contains_key(&lane) {
            return Err(refusal("the answer", "has too many texts to be looked at".to_owned()));
        }
        let growing = self.lanes.entry(lane.clone()).or_default();
        let start = growing.length();
        let verdict = growing.push(&self.firewall, text);
        let end = growing.length();
        stops(verdict, growing.hits())?;
        Ok(Part { at, lane, start, end })
    }

    /// A chat agent is not told where a text ends: it does where its choice says something else.
    fn turn(&mut self, lane: &Lane) -> Result<(), Refusal> {
        if self.dialect != Dialect::Chat {
            return Ok(());
        }
        let (last, count) = self.turns.entry(lane.of).or_insert_with(|| (lane.clone(), 0));
        if last == lane || *count >= MOST_TURNS {
            return Ok(());
        }
        *count += 1;
        let ended = std::mem::replace(last, lane.clone());
        self.end(|lane| *lane == ended)
    }

    fn end(&mut self, ends: impl Fn(&Lane) -> bool) -> Result<(), Refusal> {
        let mut worst = Ok(());
        for (_, growing) in self.lanes.iter_mut().filter(|(lane, _)| ends(lane)) {
            let verdict = growing.finish();
            worst = worst.and(stops(verdict, growing.hits()));
        }
        worst
    }

    /// Judges a whole text; gives what stands in its place, if that is something else.
    fn whole(&mut self, text: &str) -> Result<Option<String>, Refusal> {
        let judgement = self.firewall.judge(Channel::Output, text);
        if judgement.losses.is_empty() && judgement.rules.is_empty() {
            return Ok(None);
        }
        note(&mut self.findings, &judgement, digest::hex(&digest::sha256(text.as_bytes())));
        stops(judgement.verdict, &judgement)?;
        Ok((judgement.verdict >= Verdict::Redact).then(|| stream::redact(text, &judgement)))
    }
}

/// Looks at the arguments of a call: to take something out of them would make it another call, so it is refused. What is found
/// is added to `findings`.
pub(super) fn call(firewall: &Firewall, call: &ToolCall, findings: &mut Vec<Screened>) -> Result<(), Refusal> {
    let mut worst = Ok(());
    let mut look = |text: &str| {
        let judgement = firewall.judge(Channel::Output, text);
        if judgement.verdict >= Verdict::Redact {
            worst = std::mem::replace(&mut worst, Ok(())).and(Err(refusal("the tool call", held(&judgement))));
        }
        let done = if judgement.verdict >= Verdict::Redact { Done::Refused } else { Done::Noted };
        note_as(findings, &judgement, digest::hex(&digest::sha256(text.as_bytes())), done);
    };
    look(&call.arguments);
    // Its writer may have escaped any character.
    if call.arguments.contains('\\')
        && let Ok(value) = serde_json::from_str::<Value>(&call.arguments)
    {
        each_text(&value, &mut look);
    }
    worst
}

/// Visits all texts of a value, keys too.
fn each_text(value: &Value, visit: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => visit(text),
        Value::Array(items) => items.iter().for_each(|item| each_text(item, visit)),
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            visit(key);
            each_text(value, visit);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Takes out how likely each word was: it says the words again, piece by piece. Gives whether there was any.
fn without_likelihoods(value: &mut Value) -> bool {
    let mut found = false;
    match value {
        Value::Array(items) => {
            for item in items {
                found |= without_likelihoods(item);
            }
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                found |= match value {
                    Value::Array(items) if key == "logprobs" => !std::mem::take(items).is_empty(),
                    Value::Object(_) if key == "logprobs" => {
                        *value = Value::Null;
                        true
                    }
                    value => without_likelihoods(value),
                };
            }
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    found
}

fn note(findings: &mut Vec<Screened>, judgement: &Judgement, sha256: String) {
    let done = match judgement.verdict {
        Verdict::Allow | Verdict::Annotate => Done::Noted,
        Verdict::Redact => Done::Redacted,
        Verdict::Ask | Verdict::Deny => Done::Refused,
    };
    note_as(findings, judgement, sha256, done);
}

fn note_as(findings: &mut Vec<Screened>, judgement: &Judgement, sha256: String, done: Done) {
    let found = !judgement.losses.is_empty() || !judgement.rules.is_empty();
    // A copy of a text says nothing new.
    if found && findings.len() < MOST_FINDINGS && findings.iter().all(|known| known.sha256 != sha256) {
        findings.push(finding(Channel::Output, judgement, &sha256, done));
    }
}

/// Whether an answer goes on in which this was found.
fn stops(verdict: Verdict, judgement: &Judgement) -> Result<(), Refusal> {
    if verdict >= Verdict::Ask { Err(refusal("the answer", held(judgement))) } else { Ok(()) }
}

/// What was found, for people: kinds, and never the value.
fn held(judgement: &Judgement) -> String {
    let worst = judgement.verdict.max(Verdict::Redact);
    let loss = judgement.losses.iter().find(|loss| loss.verdict >= worst);
    let rule = judgement.rules.iter().find(|rule| rule.verdict >= worst);
    match (rule, loss) {
        (Some(rule), _) => format!("meets the filter `{}`", rule.id),
        (None, Some(loss)) => format!("holds data of the kind `{}`, which must not leave", loss.kind),
        (None, None) => "holds what must not leave".to_owned(),
    }
}

fn refusal(what: &str, why: String) -> Refusal {
    Refusal {
        stage: Stage::Inspect,
        code: RefusalCode::ContentRefused,
        reason: format!("{what} {why}"),
        help: "leave it out, or say how it can be done without it".to_owned(),
    }
}
