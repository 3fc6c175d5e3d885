//! Tool calls for agents that read them out of text.
//!
//! OpenClaw makes a call of an answer whose text is, from its first character to its last, calls in one of several
//! notations, whatever provider the text comes from. Such a call would pass the model door as text. So, for such agents,
//! an answer goes through this: text that is calls becomes native calls, which are decided on like any other, and text
//! that begins as calls do but cannot be read gets an invisible character into its beginning, which no agent skips.
//! What the agent then gets is a native call or never one.
//!
//! Agents also take thoughts in tags (`<think>`) out of text before they look for calls, and with them perhaps what stood
//! before or behind. So thoughts at the beginning become thoughts here, and all other such tags are broken up too.

mod syntax;

use crate::sse::Event;
use crate::{Delta, Malformed, Part, Reasoning, Response, Stop, StreamReader, ToolCall};
use syntax::{Look, Tag, is_space};

/// Longest text in bytes that is held back as it may be calls. It passes, broken, when there is more.
const MAX_HELD_BYTES: usize = 256 * 1024;
/// Bytes at the beginning of a text by which it is seen whether it may be calls; longer ones are held to their end.
const LONGEST_OPENING: usize = 1024;
/// Longest beginning of a tag in bytes that is waited for the end of. Longer ones are broken.
const LONGEST_TAG: usize = 64;
/// Breaks a notation: no reader skips it as white space (ECMAScript's is listed in ECMA-262, section 12.2), and nobody sees
/// it.
const BREAK: char = '\u{200b}';

/// What comes out.
enum Said {
    Text(String),
    Thought(String),
    Call(ToolCall),
}

/// What the text of an answer is, as far as it came.
#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing but white space, and thoughts in tags.
    #[default]
    Beginning,
    /// In such thoughts.
    Thinking,
    /// Calls, perhaps: it is held.
    Calls,
    /// No calls.
    Text,
    /// The answer has ended.
    Over,
}

#[derive(Debug, Default)]
struct Filter {
    state: State,
    held: String,
    /// Bytes of `held` that are dealt with.
    at: usize,
}

impl Filter {
    fn text(&mut self, text: &str, out: &mut Vec<Said>) {
        if self.state != State::Over {
            self.held.push_str(text);
            self.go_on(false, out);
        }
    }

    /// Something else comes than text, and text that began as calls do goes on behind it: readers differ in what that
    /// makes of the calls.
    fn interrupt(&mut self, out: &mut Vec<Said>) {
        if matches!(self.state, State::Beginning | State::Calls) {
            self.break_up(out);
        }
        self.go_on(true, out);
    }

    /// The answer ends. `calls` says whether it can end with calls.
    fn close(&mut self, calls: bool, id: &str, out: &mut Vec<Said>) {
        self.go_on(true, out);
        match self.state {
            // The beginning of calls, and no more of them.
            State::Beginning => self.state = State::Text,
            State::Calls => match syntax::calls(self.rest()).filter(|_| calls) {
                Some(found) => {
                    let call = |(number, (name, arguments))| ToolCall { id: call_id(id, number), name, arguments };
                    out.extend((0..).zip(found).map(call).map(Said::Call));
                }
                None => self.break_up(out),
            },
            State::Thinking | State::Text | State::Over => {}
        }
        if self.state == State::Text {
            self.go_on(true, out);
        }
        self.state = State::Over;
    }

    fn rest(&self) -> &str {
        self.held.get(self.at..).unwrap_or_default()
    }

    /// Lets text pass that began as calls do.
    fn break_up(&mut self, out: &mut Vec<Said>) {
        if let Some(first) = self.rest().chars().next() {
            say(out, &format!("{first}{BREAK}"));
            self.at += first.len_utf8();
            self.state = State::Text;
        }
    }

    /// Lets pass what can. If `ended`, nothing is waited for but the end of calls.
    fn go_on(&mut self, ended: bool, out: &mut Vec<Said>) {
        while self.at < self.held.len() && self.step(ended, out) {}
        self.held.drain(..self.at);
        self.at = 0;
    }

    /// Goes on by a step; `false` where more must come first.
    fn step(&mut self, ended: bool, out: &mut Vec<Said>) -> bool {
        let rest = self.held.get(self.at..).unwrap_or_default();
        // A tag that is longer than this is broken.
        let waits = !ended && rest.len() <= LONGEST_TAG;
        let passed = match self.state {
            State::Beginning => match (rest.trim_start_matches(is_space), syntax::tag(rest)) {
                (text, _) if text.len() < rest.len() => {
                    let blank = rest.len() - text.len();
                    say(out, rest.get(..blank).unwrap_or_default());
                    blank
                }
                (_, Tag::Opening { end: Some(end) }) => {
                    self.state = State::Thinking;
                    end
                }
                (_, Tag::Unclear) if waits => return false,
                _ => {
                    self.state = match syntax::look(rest) {
                        Look::Unclear if ended || rest.len() <= LONGEST_OPENING => return false,
                        Look::Unclear | Look::Calls => State::Calls,
                        Look::Text => State::Text,
                    };
                    0
                }
            },
            State::Calls => {
                if rest.len() > MAX_HELD_BYTES {
                    self.break_up(out);
                    return true;
                }
                return false;
            }
            State::Thinking | State::Text => {
                let thinks = self.state == State::Thinking;
                let pass = if thinks { think } else { say };
                match (rest.find('<').unwrap_or(rest.len()), syntax::tag(rest)) {
                    (before @ 1.., _) => {
                        pass(out, rest.get(..before).unwrap_or_default());
                        before
                    }
                    (_, Tag::Unclear) if waits => return false,
                    (_, Tag::Closing { end: Some(end) }) if thinks => {
                        self.state = State::Beginning;
                        end
                    }
                    // Words that are not of this answer may follow, so its end makes a tag no clearer.
                    (_, Tag::Unclear | Tag::Opening { .. } | Tag::Closing { .. }) if !thinks => {
                        say(out, &format!("<{BREAK}"));
                        1
                    }
                    _ => {
                        pass(out, "<");
                        1
                    }
                }
            }
            State::Over => rest.len(),
        };
        self.at += passed;
        true
    }
}

fn say(out: &mut Vec<Said>, text: &str) {
    match out.last_mut() {
        _ if text.is_empty() => {}
        Some(Said::Text(said)) => said.push_str(text),
        _ => out.push(Said::Text(text.to_owned())),
    }
}

fn think(out: &mut Vec<Said>, text: &str) {
    match out.last_mut() {
        _ if text.is_empty() => {}
        Some(Said::Thought(said)) => said.push_str(text),
        _ => out.push(Said::Thought(text.to_owned())),
    }
}

/// An id unlike those of other answers. Every dialect allows these characters.
fn call_id(answer: &str, number: usize) -> String {
    const LONGEST: usize = 48;
    let plain = answer.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    format!("call_{}_{number}", plain.take(LONGEST).collect::<String>())
}

/// Whether an answer that ends so can end with calls, for those who read calls out of text.
fn whole(stop: &Stop) -> bool {
    matches!(stop, Stop::End | Stop::Sequence | Stop::ToolCalls)
}

/// Reads a streamed answer, calls in its text as native ones.
pub struct Reader {
    inner: Box<dyn StreamReader>,
    filter: Filter,
    id: String,
    /// Native calls so far.
    native: bool,
}

impl Reader {
    /// Reads what `inner` reads.
    pub fn new(inner: Box<dyn StreamReader>) -> Self {
        Self { inner, filter: Filter::default(), id: String::new(), native: false }
    }

    fn close(&mut self, stop: Option<Stop>, deltas: &mut Vec<Delta>) {
        let mut said = Vec::new();
        let calls = !self.native && stop.as_ref().is_none_or(whole);
        self.filter.close(calls, &self.id, &mut said);
        let called = said.iter().any(|said| matches!(said, Said::Call(_)));
        tell(said, deltas);
        let stop = if called { Some(Stop::ToolCalls) } else { stop };
        deltas.extend(stop.map(Delta::Stop));
    }
}

/// Calls are counted from 0: there are none but these.
fn tell(said: Vec<Said>, deltas: &mut Vec<Delta>) {
    let mut calls = 0..;
    for said in said {
        match said {
            Said::Text(text) => deltas.push(Delta::Text(text)),
            Said::Thought(text) => deltas.push(Delta::Reasoning(text)),
            Said::Call(call) => {
                if let Some(index) = calls.next() {
                    deltas.push(Delta::CallStart { index, id: call.id, name: call.name });
                    deltas.push(Delta::CallArguments { index, json: call.arguments });
                }
            }
        }
    }
}

impl StreamReader for Reader {
    fn read(&mut self, event: &Event) -> Result<Vec<Delta>, Malformed> {
        let mut deltas = Vec::new();
        for delta in self.inner.read(event)? {
            let mut said = Vec::new();
            match delta {
                Delta::Text(text) => {
                    self.filter.text(&text, &mut said);
                    tell(said, &mut deltas);
                }
                Delta::Stop(stop) if self.filter.state != State::Over => self.close(Some(stop), &mut deltas),
                Delta::End => {
                    if self.filter.state != State::Over {
                        self.close(None, &mut deltas);
                    }
                    deltas.push(Delta::End);
                }
                Delta::Reasoning(_) | Delta::Signature(_) | Delta::CallStart { .. } => {
                    self.native |= matches!(delta, Delta::CallStart { .. });
                    self.filter.interrupt(&mut said);
                    tell(said, &mut deltas);
                    deltas.push(delta);
                }
                Delta::Start { ref id, .. } => {
                    self.id.clone_from(id);
                    deltas.push(delta);
                }
                Delta::CallArguments { .. } | Delta::Usage(_) | Delta::Stop(_) => deltas.push(delta),
            }
        }
        Ok(deltas)
    }
}

/// A whole answer, calls in its text as native ones.
pub fn release(response: Response) -> Response {
    let mut filter = Filter::default();
    let (mut parts, mut native) = (Vec::new(), false);
    for part in response.parts {
        let mut said = Vec::new();
        match part {
            Part::Text(text) => {
                filter.text(&text, &mut said);
                parts.extend(said.into_iter().map(part_of));
            }
            other => {
                native |= matches!(other, Part::Call(_));
                filter.interrupt(&mut said);
                parts.extend(said.into_iter().map(part_of));
                parts.push(other);
            }
        }
    }
    let mut said = Vec::new();
    filter.close(!native && whole(&response.stop), &response.id, &mut said);
    let called = said.iter().any(|said| matches!(said, Said::Call(_)));
    parts.extend(said.into_iter().map(part_of));
    Response { parts, stop: if called { Stop::ToolCalls } else { response.stop }, ..response }
}

fn part_of(said: Said) -> Part {
    match said {
        Said::Text(text) => Part::Text(text),
        Said::Thought(text) => Part::Reasoning(Reasoning { text, signature: None }),
        Said::Call(call) => Part::Call(call),
    }
}

#[cfg(test)]
mod tests;
