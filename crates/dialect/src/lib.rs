//! The wire formats of model APIs: OpenAI chat completions, OpenAI responses, Anthropic messages, Gemini. Pure: values
//! in, values out, no I/O.
//!
//! An agent speaks one dialect and a provider perhaps another. Where they are the same, the JSON itself is passed on,
//! so that what this crate does not know survives; where they differ, it goes through the neutral types of `neutral`.
//!
//! - [`sse`] cuts a byte stream into server-sent events and writes them;
//! - [`chat`], [`responses`], [`messages`] and [`gemini`] each read and write requests, whole answers, streamed answers
//!   and errors of one dialect;
//! - [`guard`] is how an answer is looked at on its way to an agent: tool calls are held back until they are complete
//!   and somebody has decided on them.
#![forbid(unsafe_code)]

mod attached;
pub mod chat;
pub mod constrained;
mod error;
mod fields;
pub mod gemini;
pub mod guard;
pub mod messages;
mod neutral;
pub mod responses;
pub mod sse;
pub mod textual;

use std::collections::HashSet;

use serde_json::Value;

pub use attached::Attached;
pub use error::{Fault, FaultKind, Malformed};
pub use neutral::{
    Choice, Delta, Effort, Format, Image, Message, Part, Reasoning, Request, Response, Role, Stop, Tool, ToolCall,
    ToolResult, Usage,
};

use guard::{StreamGuard, WholeGuard};
use sse::Event;

/// One wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI chat completions: `POST /v1/chat/completions`.
    Chat,
    /// OpenAI responses: `POST /v1/responses`.
    Responses,
    /// Anthropic messages: `POST /v1/messages`.
    Messages,
    /// Gemini: `POST /v1beta/models/{model}:generateContent`. Providers speak it, agents do not.
    Gemini,
}

/// Reads a streamed answer of a provider.
pub trait StreamReader: Send {
    /// What one event says.
    ///
    /// # Errors
    /// The event is not of this dialect, or is an error of the provider.
    fn read(&mut self, event: &Event) -> Result<Vec<Delta>, Malformed>;
}

/// Writes a streamed answer to an agent.
pub trait StreamWriter: Send {
    /// The events that say `delta`. After [`Delta::End`] nothing more is written.
    fn write(&mut self, delta: Delta) -> Vec<Event>;
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Dialect; 4] = [Dialect::Chat, Dialect::Responses, Dialect::Messages, Dialect::Gemini];

    /// The stable name, as it stands in configurations and in the audit log.
    pub const fn name(self) -> &'static str {
        match self {
            Dialect::Chat => "chat",
            Dialect::Responses => "responses",
            Dialect::Messages => "messages",
            Dialect::Gemini => "gemini",
        }
    }

    /// Reads a request. Fields that it does not know are left out; values of known fields that it cannot make sense of
    /// are an error.
    ///
    /// # Errors
    /// The body is not a request of this dialect.
    pub fn read_request(self, body: &Value) -> Result<Request, Malformed> {
        match self {
            Dialect::Chat => chat::read_request(body),
            Dialect::Responses => responses::read_request(body),
            Dialect::Messages => messages::read_request(body),
            Dialect::Gemini => gemini::read_request(body),
        }
    }

    /// The names that calls for the agent can have in an answer to `request`, whose body is `body`.
    pub fn offered(self, body: &Value, request: &Request) -> HashSet<String> {
        match self {
            Dialect::Responses => responses::offered(body),
            Dialect::Chat | Dialect::Messages | Dialect::Gemini => {
                request.tools.iter().map(|tool| tool.name.clone()).collect()
            }
        }
    }

    /// Writes a request.
    pub fn write_request(self, request: &Request) -> Value {
        match self {
            Dialect::Chat => chat::write_request(request),
            Dialect::Responses => responses::write_request(request),
            Dialect::Messages => messages::write_request(request),
            Dialect::Gemini => gemini::write_request(request),
        }
    }

    /// Reads a whole answer.
    ///
    /// # Errors
    /// The body is not an answer of this dialect.
    pub fn read_response(self, body: &Value) -> Result<Response, Malformed> {
        match self {
            Dialect::Chat => chat::read_response(body),
            Dialect::Responses => responses::read_response(body),
            Dialect::Messages => messages::read_response(body),
            Dialect::Gemini => gemini::read_response(body),
        }
    }

    /// Writes a whole answer.
    pub fn write_response(self, response: &Response) -> Value {
        match self {
            Dialect::Chat => chat::write_response(response),
            Dialect::Responses => responses::write_response(response),
            Dialect::Messages => messages::write_response(response),
            Dialect::Gemini => gemini::write_response(response),
        }
    }

    /// Reads streamed answers.
    pub fn stream_reader(self) -> Box<dyn StreamReader> {
        match self {
            Dialect::Chat => Box::<chat::Reader>::default(),
            Dialect::Responses => Box::<responses::Reader>::default(),
            Dialect::Messages => Box::<messages::Reader>::default(),
            Dialect::Gemini => Box::<gemini::Reader>::default(),
        }
    }

    /// Writes streamed answers; `None` for the dialect that agents do not speak.
    pub fn stream_writer(self) -> Option<Box<dyn StreamWriter>> {
        match self {
            Dialect::Chat => Some(Box::<chat::Writer>::default()),
            Dialect::Responses => Some(Box::<responses::Writer>::default()),
            Dialect::Messages => Some(Box::<messages::Writer>::default()),
            Dialect::Gemini => None,
        }
    }

    /// Looks at streamed answers on their way to an agent; `None` for the dialect that agents do not speak.
    /// `hide_usage` leaves the event out that the agent did not ask for (chat's `stream_options.include_usage`).
    pub fn stream_guard(self, hide_usage: bool) -> Option<Box<dyn StreamGuard>> {
        match self {
            Dialect::Chat => Some(Box::new(chat::Guard::new(hide_usage))),
            Dialect::Responses => Some(Box::<responses::Guard>::default()),
            Dialect::Messages => Some(Box::<messages::Guard>::default()),
            Dialect::Gemini => None,
        }
    }

    /// Looks at a whole answer on its way to an agent.
    ///
    /// # Errors
    /// The body is not an answer of this dialect, or agents do not speak it.
    pub fn whole_guard(self, body: Value) -> Result<Box<dyn WholeGuard>, Malformed> {
        match self {
            Dialect::Chat => Ok(Box::new(chat::Whole::new(body)?)),
            Dialect::Responses => Ok(Box::new(responses::Whole::new(body)?)),
            Dialect::Messages => Ok(Box::new(messages::Whole::new(body)?)),
            Dialect::Gemini => Err(Malformed::new("", "no agent speaks the dialect of Gemini")),
        }
    }

    /// Changes a request that is passed on in its own dialect: the model's name at the provider, the longest output
    /// in tokens (`None` leaves it), and that a streamed answer ends with what it used.
    pub fn retarget(self, body: &mut Value, model: &str, max_output: Option<u64>) {
        match self {
            Dialect::Chat => chat::retarget(body, model, max_output),
            Dialect::Responses => responses::retarget(body, model, max_output),
            Dialect::Messages => messages::retarget(body, model, max_output),
            // The model stands in the path, and usage always comes.
            Dialect::Gemini => {}
        }
    }

    /// An error in this dialect's own shape.
    pub fn write_error(self, fault: &Fault) -> Value {
        match self {
            Dialect::Chat | Dialect::Responses => chat::write_error(fault),
            Dialect::Messages => messages::write_error(fault),
            Dialect::Gemini => gemini::write_error(fault),
        }
    }

    /// An error as the last event of a stream that has begun.
    pub fn write_error_event(self, fault: &Fault) -> Event {
        match self {
            Dialect::Chat => chat::write_error_event(fault),
            Dialect::Responses => responses::write_error_event(fault),
            Dialect::Messages | Dialect::Gemini => messages::write_error_event(fault),
        }
    }
}
