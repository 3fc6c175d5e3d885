//! How an agent is spoken to: one connection to its port for each order, JSON lines both ways.
//!
//! The caller writes one [`Order`] and reads [`Event`]s until the one that ends the answer ([`Event::is_last`]). It keeps
//! its side of the connection open meanwhile: closing it, or only its writing side, interrupts a turn. What was under
//! way then ends (commands are killed with all their processes), and the session stays at the last completed step.
//!
//! Whatever runs in the cell can reach this port too; it gains nothing by it, as a turn can do nothing that the cell
//! could not do anyway.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest order in bytes, its line end included.
pub const LONGEST_ORDER: usize = 4 * 1024 * 1024;

/// Longest name of a session in bytes.
pub const LONGEST_SESSION_NAME: usize = 64;

/// Whether a session can have this name: 1 to [`LONGEST_SESSION_NAME`] letters, digits, `-`, `_` and `.`.
pub fn is_session_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=LONGEST_SESSION_NAME).contains(&name.len()) && name.bytes().all(fits)
}

/// What an agent can be asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case", deny_unknown_fields)]
pub enum Order {
    /// A turn: the agent works on the prompt until it is done. Answered by [`Event::Session`], what happens, and
    /// [`Event::Done`] or [`Event::Failed`].
    Turn {
        /// The session to go on with. One that does not exist is begun under that name; `None` begins one under a
        /// new name. Letters, digits, `-`, `_` and `.`, at most [`LONGEST_SESSION_NAME`].
        #[serde(default)]
        session: Option<String>,
        /// What the agent is to do, in the words of somebody who may ask for it.
        prompt: String,
        /// Text from outside, such as the body of a webhook. The model gets it marked as data.
        #[serde(default)]
        untrusted: Option<String>,
        /// JSON Schema that the final answer must follow.
        #[serde(default)]
        schema: Option<Value>,
    },
    /// The sessions, latest first: [`Event::Listed`] for each, then [`Event::End`].
    Sessions,
    /// What happened in a session, oldest first: [`Event::Entry`] for each entry, then [`Event::End`].
    Transcript {
        /// Which one.
        session: String,
    },
}

/// What an agent tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The session of this turn.
    Session {
        /// Its name.
        id: String,
        /// The beginning of its first prompt.
        title: String,
        /// Whether it begins with this turn.
        new: bool,
    },
    /// More text of the model.
    Text {
        /// The text.
        text: String,
    },
    /// More thoughts of the model.
    Reasoning {
        /// The text.
        text: String,
    },
    /// A tool is called.
    ToolCall {
        /// Links the result to it.
        id: String,
        /// The tool.
        name: String,
        /// JSON text, as the model wrote it: perhaps not valid.
        arguments: String,
    },
    /// What a call gave.
    ToolResult {
        /// Which call.
        id: String,
        /// The tool.
        name: String,
        /// What the model is told.
        output: String,
        /// Whether the call failed.
        failed: bool,
    },
    /// A call that the model door refused. It was not executed.
    Refused {
        /// The tool.
        tool: String,
        /// Why, and what to do, in the door's words.
        reason: String,
    },
    /// The door asked to be called again later.
    Waiting {
        /// How long this turn waits.
        seconds: u64,
        /// What the door said.
        reason: String,
    },
    /// The older part of the session was summarised.
    Compacted {
        /// Entries that the summary stands for.
        entries: u64,
        /// Estimated tokens of the conversation before.
        before: u64,
        /// And after.
        after: u64,
    },
    /// What the turn has used so far, over all its model calls, where the provider says.
    Usage {
        /// Tokens of the requests.
        input: u64,
        /// Tokens of the answers.
        output: u64,
    },
    /// The turn is over.
    Done {
        /// Why it ended.
        stop: Ending,
        /// The final answer; JSON where the order had a schema.
        text: String,
    },
    /// The turn or order could not be done. The session stays at the last completed step.
    Failed {
        /// What happened.
        error: String,
        /// What to do about it.
        help: String,
    },
    /// A session.
    Listed {
        /// Its name.
        id: String,
        /// The beginning of its first prompt.
        title: String,
        /// When something last happened in it, seconds since 1970 (UTC).
        updated: i64,
        /// How many entries it has.
        entries: u64,
    },
    /// Something that happened in a session.
    Entry {
        /// When, seconds since 1970 (UTC).
        at: i64,
        /// What.
        entry: Entry,
    },
    /// Nothing follows.
    End,
}

impl Event {
    /// Whether it ends the answer to an order.
    pub const fn is_last(&self) -> bool {
        matches!(self, Event::Done { .. } | Event::Failed { .. } | Event::End)
    }
}

/// Why a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The model was done.
    Answered,
    /// It has made as many steps as it may.
    MaxSteps,
    /// It made the same call again and again, and it failed or gave the same each time.
    Repeating,
    /// It proposed refused calls again and again.
    Refused,
    /// Its answer was longer than it may be.
    Length,
    /// The provider withheld the answer.
    Filtered,
}

/// What a session consists of. Each is stored when it is complete, and only then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// What the agent was asked.
    Prompt {
        /// In the words of somebody who may ask.
        text: String,
        /// Text from outside.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        untrusted: Option<String>,
    },
    /// What NanoClaw's loop told the model.
    Note {
        /// The words.
        text: String,
    },
    /// An answer of the model.
    Answer {
        /// Its parts, in order.
        parts: Vec<AnswerPart>,
    },
    /// What a call gave.
    Result {
        /// Which call.
        id: String,
        /// The tool.
        name: String,
        /// What the model is told.
        output: String,
        /// Whether the call failed.
        failed: bool,
    },
    /// Stands for everything before it, in what the model is told.
    Summary {
        /// The words.
        text: String,
        /// How many entries it stands for, from the session's first on.
        replaces: u64,
    },
}

/// A part of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "part", rename_all = "snake_case")]
pub enum AnswerPart {
    /// Text.
    Text {
        /// The words.
        text: String,
    },
    /// Thoughts.
    Reasoning {
        /// The words.
        text: String,
        /// What proves to the provider that they are its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signature: Option<String>,
    },
    /// A call of a tool.
    Call {
        /// Links the result to it.
        id: String,
        /// The tool.
        name: String,
        /// JSON text, as the model wrote it.
        arguments: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn orders_are_read_as_documented() {
        let order: Order = serde_json::from_value(json!({"order": "turn", "prompt": "p"})).unwrap();
        assert_eq!(order, Order::Turn { session: None, prompt: "p".into(), untrusted: None, schema: None });
        assert_eq!(serde_json::from_value::<Order>(json!({"order": "sessions"})).unwrap(), Order::Sessions);
        assert!(serde_json::from_value::<Order>(json!({"order": "turn", "prompt": "p", "model": "m"})).is_err());
        assert!(serde_json::from_value::<Order>(json!({"order": "stop"})).is_err());
    }

    #[test]
    fn events_are_written_as_documented() {
        let event = Event::Done { stop: Ending::MaxSteps, text: "t".into() };
        assert_eq!(serde_json::to_value(&event).unwrap(), json!({"event": "done", "stop": "max_steps", "text": "t"}));
        let entry = Event::Entry { at: 5, entry: Entry::Note { text: "n".into() } };
        assert_eq!(
            serde_json::to_value(&entry).unwrap(),
            json!({"event": "entry", "at": 5, "entry": {"kind": "note", "text": "n"}})
        );
        assert_eq!(serde_json::from_value::<Event>(serde_json::to_value(&entry).unwrap()).unwrap(), entry);
    }

    #[test]
    fn exactly_three_events_end_an_answer() {
        assert!(Event::Done { stop: Ending::Answered, text: String::new() }.is_last());
        assert!(Event::Failed { error: String::new(), help: String::new() }.is_last());
        assert!(Event::End.is_last());
        assert!(!Event::Text { text: String::new() }.is_last());
    }
}
