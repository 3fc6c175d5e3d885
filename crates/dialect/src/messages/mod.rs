//! Anthropic messages: `POST /v1/messages`.
//!
//! An answer is a list of typed blocks, and a stream says one block after the other. Tools that run at the provider
//! (`server_tool_use`, `mcp_tool_use` and their results) are over when the agent sees them: they pass, and their results
//! count as text. Every other kind of block whose name ends in `tool_use` is a call that the agent is to execute.

mod block;
mod compose;
mod guard;
mod request;
mod response;
mod stream;
#[cfg(test)]
mod tests;
mod thinking;
mod whole;
mod writer;

use serde_json::{Value, json};

use crate::sse::Event;
use crate::{Fault, FaultKind};

pub use compose::{retarget, write_request};
pub use guard::Guard;
pub use request::{attached, read_request};
pub use response::{read_response, write_response};
pub use stream::Reader;
pub use whole::Whole;
pub use writer::Writer;

/// Longest answer in tokens where a request does not say: this dialect wants a number.
pub const DEFAULT_MAX_TOKENS: u64 = 4096;

/// An error in this dialect's shape. The code stands beside the type, where client libraries ignore it.
pub fn write_error(fault: &Fault) -> Value {
    let kind = match fault.kind {
        FaultKind::Invalid | FaultKind::Method => "invalid_request_error",
        FaultKind::Forbidden => "permission_error",
        FaultKind::NotFound => "not_found_error",
        FaultKind::TooLarge => "request_too_large",
        FaultKind::Exhausted => "rate_limit_error",
        FaultKind::Internal | FaultKind::Provider => "api_error",
        FaultKind::Unavailable => "overloaded_error",
        FaultKind::Slow | FaultKind::Timeout => "timeout_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": fault.message, "code": fault.code}})
}

/// An error as the last event of a stream.
pub fn write_error_event(fault: &Fault) -> Event {
    block::event(&write_error(fault))
}

/// What a provider says went wrong; `None` for what is no error of this dialect.
pub fn read_error(body: &Value) -> Option<String> {
    let error = body.get("error")?;
    error.as_str().or_else(|| error.get("message")?.as_str()).map(str::to_owned)
}
