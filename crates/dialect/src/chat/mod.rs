//! OpenAI chat completions, as servers speak them: with the fields that DeepSeek, vLLM, OpenRouter and others add, and
//! the shapes that older servers and clients still use.
//!
//! - `request` reads requests and changes those that are passed on as they are, `compose` writes them;
//! - `response` reads and writes whole answers, `stream` streamed ones;
//! - `guard` looks at streamed answers on their way to an agent, `whole` at whole ones;
//! - `content` reads and writes what messages say, `calls` the calls that they make; `edit` takes refused ones out.

mod calls;
mod compose;
mod content;
mod edit;
mod guard;
mod request;
mod response;
mod stream;
mod whole;

#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use crate::sse::Event;
use crate::{Fault, FaultKind};

pub(crate) use calls::hides_call;
pub use compose::write_request;
pub use guard::Guard;
pub use request::{attached, read_request, retarget};
pub use response::{read_response, write_response};
pub use stream::{Reader, Writer};
pub use whole::Whole;

/// An error in the shape that OpenAI's interfaces give it.
pub fn write_error(fault: &Fault) -> Value {
    let kind = match fault.kind {
        FaultKind::Invalid | FaultKind::NotFound | FaultKind::Method | FaultKind::Slow | FaultKind::TooLarge => {
            "invalid_request_error"
        }
        FaultKind::Forbidden => "permission_error",
        FaultKind::Exhausted => "rate_limit_error",
        FaultKind::Internal | FaultKind::Provider | FaultKind::Unavailable | FaultKind::Timeout => "server_error",
    };
    json!({"error": {"message": fault.message, "type": kind, "param": null, "code": fault.code}})
}

/// An error as the last event of a stream that has begun; client libraries raise it.
pub fn write_error_event(fault: &Fault) -> Event {
    Event::json(None, &write_error(fault))
}

/// What an error of a provider says, in the shapes of OpenAI and servers like it: `{"error": {"message": …}}`,
/// `{"error": …}` or `{"message": …}`.
pub fn read_error(body: &Value) -> Option<String> {
    let error = body.get("error").filter(|error| !error.is_null());
    let text = match error {
        Some(error) => error.as_str().or_else(|| error.get("message")?.as_str()),
        None => body.get("message").and_then(Value::as_str),
    };
    text.map(str::to_owned)
}
