//! Looking at an answer on its way to an agent, in the agent's own dialect.
//!
//! A guard holds every tool call back until it is complete, and its holder decides. It never reorders what it lets
//! pass: while a call waits, what comes after it waits too. Events that it does not understand pass, unless they could
//! carry a tool call past it. What passes is written anew from what was read: readers differ about keys that stand twice
//! and about where a line ends.

use serde_json::{Map, Value};

use crate::sse::{Event, is_of_name};
use crate::{Malformed, Stop, ToolCall, Usage};

/// Most bytes of events that wait in a guard: of their data, and [`EVENT_COST`] for each.
pub const MAX_HELD_BYTES: usize = 16 << 20;
/// Bytes that an event counts beside its data, as it takes about so many to hold one.
pub const EVENT_COST: usize = 256;
/// Most calls of one answer, over all its choices.
pub const MAX_CALLS: usize = 1024;
/// Most content blocks or items of one answer, and most texts of one item.
pub const MAX_ITEMS: usize = 4096;

/// A part of a streamed answer.
#[derive(Debug)]
pub enum Piece {
    /// Passes.
    Event(Event),
    /// Carries text of the answer (thoughts included), and passes when that may be read.
    Text {
        /// The event.
        event: Event,
        /// The text that it adds.
        text: String,
    },
    /// A complete tool call, waiting for a decision: hand it to [`StreamGuard::allow`] or [`StreamGuard::refuse`].
    Call(HeldCall),
}

/// A tool call that waits for a decision. Dropping it keeps it from the agent.
#[derive(Debug)]
pub struct HeldCall {
    /// The call.
    pub call: ToolCall,
    /// The events that carry it, as they came; none where the guard keeps them, as they carry other calls too.
    pub events: Vec<Event>,
    /// The guard's own number for it.
    pub number: usize,
}

/// What is known of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The model that gave it, as the provider says.
    pub model: Option<String>,
    /// What it used, where the provider has said so.
    pub usage: Option<Usage>,
    /// Why it ended, as the provider says (before refusals change it).
    pub stop: Option<Stop>,
    /// Whether the end of the answer was seen.
    pub complete: bool,
}

/// Guards one streamed answer: feed it an event, then take pieces until there is none.
pub trait StreamGuard: Send {
    /// Takes the next event.
    ///
    /// # Errors
    /// The event cannot be understood and could carry a tool call. The stream must end.
    fn feed(&mut self, event: Event) -> Result<(), Malformed>;

    /// The stream has ended: what is still held comes out of [`StreamGuard::next`]. A call that is not complete never does.
    fn finish(&mut self);

    /// The next piece. After a [`Piece::Call`] decide on it first, as the decision changes what follows.
    fn next(&mut self) -> Option<Piece>;

    /// The events of a call that may pass. What the guard keeps comes out of [`StreamGuard::next`], here and below.
    fn allow(&mut self, held: HeldCall) -> Vec<Event>;

    /// The events that stand in the place of a refused call and say `text`.
    fn refuse(&mut self, held: HeldCall, text: &str) -> Vec<Event>;

    /// The events that end the answer early, in order, with `text` as its last words, so that the agent's own loop ends.
    fn cut(&mut self, text: &str) -> Vec<Event>;

    /// What is known so far.
    fn facts(&self) -> &Facts;
}

/// Guards one whole answer.
pub trait WholeGuard: Send {
    /// All text of it, thoughts included, in order, one entry for each part.
    fn texts(&self) -> Vec<String>;

    /// Its tool calls, in order.
    fn calls(&self) -> Vec<ToolCall>;

    /// Puts `text` in the place of call number `index` of [`WholeGuard::calls`].
    fn refuse(&mut self, index: usize, text: &str);

    /// Replaces the whole content by `text`.
    fn cut(&mut self, text: &str);

    /// What is known of it.
    fn facts(&self) -> &Facts;

    /// The answer as the agent may see it. Stop reasons fit what is left of the calls.
    fn into_body(self: Box<Self>) -> Value;
}

/// What the data of an event is.
pub(crate) enum Data {
    Empty,
    /// The mark of the end, `[DONE]`.
    Done,
    Json(Map<String, Value>),
}

/// Reads the data of an event.
///
/// # Errors
/// It is not a JSON object, or the event's name could be read as something else than a name: as the end of a line, say.
pub(crate) fn read(event: &Event) -> Result<Data, Malformed> {
    if event.name.as_ref().is_some_and(|name| !name.bytes().all(is_of_name)) {
        return Err(Malformed::new(
            "",
            "the event has a name of other characters than `a` to `z`, digits, `.` and `_`",
        ));
    }
    match event.data.trim() {
        "" => Ok(Data::Empty),
        "[DONE]" => Ok(Data::Done),
        data => match serde_json::from_str(data) {
            Ok(Value::Object(body)) => Ok(Data::Json(body)),
            Ok(_) => Err(Malformed::new("", "the event is not an object")),
            // A client's JSON may be laxer than ours.
            Err(error) => Err(Malformed::new("", format!("the event is not JSON: {error}"))),
        },
    }
}

/// What an event counts while it waits.
pub(crate) fn weight(event: &Event) -> usize {
    event.data.len().saturating_add(EVENT_COST)
}

/// What waits with `event`, in bytes, where `held` bytes wait already. One event alone may always wait.
///
/// # Errors
/// It is more than [`MAX_HELD_BYTES`].
pub(crate) fn hold(held: usize, event: &Event) -> Result<usize, Malformed> {
    let held_then = held.saturating_add(weight(event));
    if held > 0 && held_then > MAX_HELD_BYTES {
        return Err(Malformed::new("", format!("has tool calls of more than {MAX_HELD_BYTES} bytes")));
    }
    Ok(held_then)
}

/// Sees to it that there are not more than `most` of what is called `what`.
pub(crate) fn at_most(count: usize, most: usize, what: &str) -> Result<(), Malformed> {
    if count > most {
        return Err(Malformed::new("", format!("has more than {most} {what}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
