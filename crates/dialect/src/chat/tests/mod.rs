//! Tests of this dialect, on transcripts as OpenAI and servers like it send them.

mod guard;
mod odd_events;
mod request;
mod response;
mod round_trip;
mod stream;
mod whole;

use serde_json::{Value, json};

use crate::chat::{read_error, write_error, write_error_event};
use crate::sse::Event;
use crate::{Fault, FaultKind, ToolCall};

/// A chunk of choice `choice`, as OpenAI sends it.
fn chunk(choice: u64, delta: Value, finish: Option<&str>) -> Event {
    let choice = json!({"index": choice, "delta": delta, "logprobs": null, "finish_reason": finish});
    Event::json(None, &chunk_of(json!([choice])))
}

fn chunk_of(choices: Value) -> Value {
    json!({
        "id": "chatcmpl-B9", "object": "chat.completion.chunk", "created": 1_760_000_000, "model": "gpt-4o-2024-08-06",
        "service_tier": "default", "system_fingerprint": "fp_1", "choices": choices, "obfuscation": "xY",
    })
}

fn usage() -> Event {
    let mut body = chunk_of(json!([]));
    body["usage"] = json!({
        "prompt_tokens": 82, "completion_tokens": 17, "total_tokens": 99,
        "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 5, "audio_tokens": 0},
    });
    Event::json(None, &body)
}

fn done() -> Event {
    Event { name: None, data: "[DONE]".to_owned() }
}

/// The chunk that begins a call.
fn begin(index: u64, id: &str, name: &str) -> Event {
    let function = json!({"name": name, "arguments": ""});
    chunk(0, json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]}), None)
}

/// A chunk of a call's arguments.
fn more(index: u64, json: &str) -> Event {
    chunk(0, json!({"tool_calls": [{"index": index, "function": {"arguments": json}}]}), None)
}

fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
    ToolCall { id: id.to_owned(), name: name.to_owned(), arguments: arguments.to_owned() }
}

/// An answer with a thought, a text and two calls.
fn two_calls() -> Vec<Event> {
    vec![
        chunk(0, json!({"role": "assistant", "content": "", "refusal": null}), None),
        chunk(0, json!({"reasoning_content": "Both files."}), None),
        chunk(0, json!({"content": "Let me "}), None),
        chunk(0, json!({"content": "look."}), None),
        begin(0, "call_a", "file_read"),
        more(0, "{\"path\":"),
        more(0, "\"a.txt\"}"),
        begin(1, "call_b", "shell"),
        more(1, "{\"command\":\"ls\"}"),
        chunk(0, json!({}), Some("tool_calls")),
        usage(),
        done(),
    ]
}

#[test]
fn error_has_the_shape_that_client_libraries_raise() {
    let fault = Fault {
        kind: FaultKind::Exhausted,
        code: "budget-exhausted".to_owned(),
        message: "the budget is spent".to_owned(),
    };
    let expected = json!({"error": {
        "message": "the budget is spent", "type": "rate_limit_error", "param": null, "code": "budget-exhausted",
    }});
    assert_eq!(write_error(&fault), expected);
    assert_eq!(write_error_event(&fault), Event { name: None, data: expected.to_string() });
    assert_eq!(read_error(&expected).as_deref(), Some("the budget is spent"));
}

#[test]
fn errors_of_providers_are_read_in_their_shapes() {
    for body in [
        json!({"error": {"message": "no", "type": "invalid_request_error"}}),
        json!({"error": "no"}),
        json!({"object": "error", "message": "no", "code": 400}),
    ] {
        assert_eq!(read_error(&body).as_deref(), Some("no"), "{body}");
    }
    for body in
        [json!({"choices": []}), json!({"error": null}), json!({"error": {"code": 1}}), json!("no"), json!(null)]
    {
        assert_eq!(read_error(&body), None, "{body}");
    }
}
