//! Gemini: `POST /v1beta/models/{model}:generateContent`, and `:streamGenerateContent?alt=sse`, whose events are whole
//! answers with the next parts each. Providers speak it, agents do not.
//!
//! Two things of it have no place in other dialects and travel in theirs under a mark, so that they come back to Gemini
//! and to nobody else: the signature of thoughts, which stands on the call that they led to, and ids of calls, which only
//! newer models give. Where there is none, one is made of the answer's id.

mod compose;
mod part;
mod request;
mod response;
mod stream;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use crate::{Fault, FaultKind};

pub use compose::write_request;
pub use request::read_request;
pub use response::{read_response, write_response};
pub use stream::Reader;

/// Begins the signatures of Gemini's thoughts in other dialects.
pub(crate) const SIGNATURE_MARK: &str = "gemini:";

/// An error in this dialect's shape (google.rpc.Status).
pub fn write_error(fault: &Fault) -> Value {
    let status = match fault.kind {
        FaultKind::Invalid | FaultKind::Method | FaultKind::TooLarge => "INVALID_ARGUMENT",
        FaultKind::Forbidden => "PERMISSION_DENIED",
        FaultKind::NotFound => "NOT_FOUND",
        FaultKind::Exhausted => "RESOURCE_EXHAUSTED",
        FaultKind::Internal | FaultKind::Provider => "INTERNAL",
        FaultKind::Unavailable => "UNAVAILABLE",
        FaultKind::Slow | FaultKind::Timeout => "DEADLINE_EXCEEDED",
    };
    json!({"error": {"code": fault.kind.status(), "message": fault.message, "status": status}})
}

/// What a provider says went wrong; `None` for what is no error of this dialect. Streams that are not asked for as events
/// have it in a list.
pub fn read_error(body: &Value) -> Option<String> {
    let error = body.get(0).unwrap_or(body).get("error")?;
    error.as_str().or_else(|| error.get("message")?.as_str()).map(str::to_owned)
}
