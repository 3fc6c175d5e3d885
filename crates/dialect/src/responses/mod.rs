//! OpenAI responses: `POST /v1/responses`.
//!
//! An answer is a list of *items*: messages, thoughts, calls for the agent, and work that was done at the provider
//! (`items` tells them apart). A streamed answer opens and closes items by their `output_index`, and its last event
//! repeats all of them; so [`Guard`] decides on a call once and mends every place where it stands.
//!
//! Source: OpenAI API reference, "Responses" and "Streaming events", and the accumulators of the official clients
//! (openai for Python and Node), which are stricter than the reference.

mod compose;
mod events;
mod guard;
mod items;
mod reader;
mod request;
mod response;
mod whole;
mod writer;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use crate::sse::Event;
use crate::{Fault, chat};

pub use compose::write_request;
pub use guard::Guard;
pub use reader::Reader;
pub use request::{attached, offered, read_request};
pub use response::{read_response, write_response};
pub use whole::Whole;
pub use writer::Writer;

/// Whether a request leans on what only its provider keeps: an earlier answer, a conversation, a stored prompt or
/// file, an item by reference, or an answer in the background. Such a request can be passed on in its own dialect, but
/// not be translated, nor be sent to another provider.
pub fn needs_provider_state(body: &Value) -> bool {
    let given = |key: &str| body.get(key).is_some_and(|value| !value.is_null());
    let items = body.get("input").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    given("previous_response_id")
        || given("conversation")
        || given("prompt")
        || body.get("background") == Some(&Value::Bool(true))
        || items.iter().any(is_reference)
}

fn is_reference(item: &Value) -> bool {
    match items::text_at(item, "type") {
        Some("item_reference") => true,
        // The type of a reference may be left out; a message without type has a role.
        None if item.get("role").is_none() && item.get("id").is_some() => true,
        _ => ["content", "output"].iter().filter_map(|key| item.get(key)).any(has_file),
    }
}

fn has_file(content: &Value) -> bool {
    match content {
        Value::Array(parts) => parts.iter().any(has_file),
        Value::Object(part) => part.get("file_id").is_some_and(|id| !id.is_null()),
        _ => false,
    }
}

/// Changes a request that is passed on: the model's name at the provider and the longest output in tokens (`None`
/// leaves it). A streamed answer of this dialect always ends with what it used.
pub fn retarget(body: &mut Value, model: &str, max_output: Option<u64>) {
    let Some(body) = body.as_object_mut() else { return };
    body.insert("model".into(), model.into());
    if let Some(most) = max_output {
        body.insert("max_output_tokens".into(), most.into());
    }
}

/// An error as the last event of a stream that has begun. It says the fault twice: flat, as the reference has it, and
/// under `error`, which makes the official clients raise it.
pub fn write_error_event(fault: &Fault) -> Event {
    let error = chat::write_error(fault).get_mut("error").map(Value::take).unwrap_or_default();
    let mut data = Map::new();
    data.insert("type".into(), "error".into());
    data.insert("code".into(), fault.code.clone().into());
    data.insert("message".into(), fault.message.clone().into());
    data.insert("param".into(), Value::Null);
    data.insert("error".into(), error);
    Event { name: Some("error".into()), data: json!(data).to_string() }
}
