//! The formats of the providers, one module each.

mod chat;
mod gemini;
mod messages;
mod responses;

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::conversation::{Said, Wrong};

/// A provider's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI chat completions.
    Chat,
    /// OpenAI responses.
    Responses,
    /// Anthropic messages.
    Messages,
    /// Gemini's `generateContent`.
    Gemini,
}

/// What surrounds an answer.
pub struct Head<'r> {
    /// Different for each answer.
    pub number: u64,
    /// Seconds since 1970.
    pub created: u64,
    pub model: &'r str,
    pub request: &'r Value,
}

impl Head<'_> {
    /// An id that no other answer has; `part` tells those of one answer apart.
    fn id(&self, prefix: &str, part: usize) -> String {
        // Any odd factor keeps ids apart; this one spreads them.
        format!("{prefix}{:016x}{part:04x}", self.number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

impl Dialect {
    /// As it stands in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Dialect::Chat => "chat",
            Dialect::Responses => "responses",
            Dialect::Messages => "messages",
            Dialect::Gemini => "gemini",
        }
    }

    /// The conversation in a request, if the provider would take it.
    pub fn read(self, request: &Value) -> Result<Vec<Said<'_>>, Wrong> {
        match self {
            Dialect::Chat => chat::read(request),
            Dialect::Responses => responses::read(request),
            Dialect::Messages => messages::read(request),
            Dialect::Gemini => gemini::read(request),
        }
    }

    /// An answer in one piece, as JSON.
    pub fn whole(self, head: &Head<'_>, answer: &Answer) -> String {
        match self {
            Dialect::Chat => chat::whole(head, answer),
            Dialect::Responses => responses::whole(head, answer),
            Dialect::Messages => messages::whole(head, answer),
            Dialect::Gemini => gemini::whole(head, answer),
        }
    }

    /// An answer as server-sent events, each with the blank line that ends it.
    pub fn events(self, head: &Head<'_>, answer: &Answer) -> Vec<String> {
        match self {
            Dialect::Chat => chat::events(head, answer),
            Dialect::Responses => responses::events(head, answer),
            Dialect::Messages => messages::events(head, answer),
            Dialect::Gemini => gemini::events(head, answer),
        }
    }

    /// The header in which the provider names a request.
    pub const fn request_id(self) -> Option<&'static str> {
        match self {
            Dialect::Chat | Dialect::Responses => Some("x-request-id"),
            Dialect::Messages => Some("request-id"),
            Dialect::Gemini => None,
        }
    }

    /// An error with an HTTP status.
    pub fn error(self, status: u16, message: &str) -> Value {
        match self {
            Dialect::Chat | Dialect::Responses => {
                let (kind, code) = match status {
                    401 => ("invalid_request_error", Some("invalid_api_key")),
                    404 => ("invalid_request_error", Some("model_not_found")),
                    429 => ("requests", Some("rate_limit_exceeded")),
                    400..=499 => ("invalid_request_error", None),
                    _ => ("server_error", None),
                };
                json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
            }
            Dialect::Messages => {
                let kind = match status {
                    401 => "authentication_error",
                    403 => "permission_error",
                    404 => "not_found_error",
                    413 => "request_too_large",
                    429 => "rate_limit_error",
                    504 => "timeout_error",
                    529 => "overloaded_error",
                    400..=499 => "invalid_request_error",
                    _ => "api_error",
                };
                let request_id = format!("req_{status:024}");
                json!({ "type": "error", "error": { "type": kind, "message": message }, "request_id": request_id })
            }
            Dialect::Gemini => {
                let kind = match status {
                    401 => "UNAUTHENTICATED",
                    403 => "PERMISSION_DENIED",
                    404 => "NOT_FOUND",
                    429 => "RESOURCE_EXHAUSTED",
                    400..=499 => "INVALID_ARGUMENT",
                    503 => "UNAVAILABLE",
                    504 => "DEADLINE_EXCEEDED",
                    _ => "INTERNAL",
                };
                json!({ "error": { "code": status, "message": message, "status": kind } })
            }
        }
    }
}

/// Adds a field to an object.
fn set(object: &mut Value, key: &str, value: impl Into<Value>) {
    if let Value::Object(fields) = object {
        fields.insert(key.to_owned(), value.into());
    }
}

/// The arguments of a call as JSON, for formats in which they are no text.
fn arguments(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| json!({}))
}
