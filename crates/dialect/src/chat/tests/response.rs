use serde_json::{Value, json};

use crate::chat::{read_response, write_response};
use crate::{Part, Reasoning, Response, Stop, Usage};

use super::call;

pub(super) fn body(message: Value, finish: &str) -> Value {
    json!({
        "id": "chatcmpl-B9", "object": "chat.completion", "created": 1_760_000_000, "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish}],
        "usage": {
            "prompt_tokens": 82, "completion_tokens": 17, "total_tokens": 99,
            "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 5, "audio_tokens": 0},
        },
        "service_tier": "default", "system_fingerprint": "fp_1",
    })
}

#[test]
fn answer_with_thoughts_text_and_calls_is_read() {
    let body = body(
        json!({
            "role": "assistant", "content": "Let me look.", "refusal": null, "annotations": [],
            "reasoning_content": "Hm.",
            "tool_calls": [
                {"id": "call_a", "type": "function", "function": {"name": "file_read", "arguments": "{}"}},
                {"id": "", "type": "custom", "custom": {"name": "python", "input": "1"}},
            ],
        }),
        "tool_calls",
    );
    assert_eq!(
        read_response(&body),
        Ok(Response {
            id: "chatcmpl-B9".to_owned(),
            model: "gpt-4o-2024-08-06".to_owned(),
            parts: vec![
                Part::Reasoning(Reasoning { text: "Hm.".to_owned(), signature: None }),
                Part::Text("Let me look.".to_owned()),
                Part::Call(call("call_a", "file_read", "{}")),
                Part::Call(call("call_chatcmpl-B9_1", "python", "1")),
            ],
            stop: Stop::ToolCalls,
            usage: Some(Usage { input: 82, output: 17, cached: 64, reasoning: 5, surcharge: 0 }),
        })
    );
}

#[test]
fn thoughts_are_read_wherever_servers_put_them() {
    for message in [
        json!({"reasoning_content": "Hm.", "content": "Yes."}),
        json!({"reasoning": "Hm.", "content": "Yes."}),
        json!({"reasoning": "Hm.", "reasoning_content": "Hm.", "content": "Yes."}),
        json!({"reasoning_details": [{"type": "reasoning.text", "text": "Hm."}], "content": "Yes."}),
        json!({"content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
            {"type": "text", "text": "Yes."},
        ]}),
    ] {
        let parts = read_response(&body(message.clone(), "stop")).unwrap().parts;
        let thought = Part::Reasoning(Reasoning { text: "Hm.".to_owned(), signature: None });
        assert_eq!(parts, [thought, Part::Text("Yes.".to_owned())], "{message}");
    }
}

#[test]
fn reasons_to_end_are_read() {
    let stop = |message: Value, finish| read_response(&body(message, finish)).unwrap().stop;
    let text = json!({"content": "Yes."});
    assert_eq!(stop(text.clone(), "stop"), Stop::End);
    assert_eq!(stop(text.clone(), "length"), Stop::Length);
    assert_eq!(stop(text.clone(), "content_filter"), Stop::Filtered);
    assert_eq!(stop(text, "insufficient_system_resource"), Stop::Other("insufficient_system_resource".to_owned()));
    let calls = json!({"tool_calls": [{"id": "a", "function": {"name": "f"}}]});
    assert_eq!(stop(calls.clone(), "stop"), Stop::ToolCalls, "as Ollama says it");
    assert_eq!(stop(calls, "length"), Stop::Length);
    assert_eq!(stop(json!({"function_call": {"name": "f", "arguments": "{}"}}), "function_call"), Stop::ToolCalls);
}

#[test]
fn cached_tokens_are_read_under_the_name_that_deepseek_gives_them() {
    let mut body = body(json!({"content": "Yes."}), "stop");
    body["usage"] = json!({"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 8});
    assert_eq!(
        read_response(&body).unwrap().usage,
        Some(Usage { input: 9, output: 2, cached: 8, reasoning: 0, surcharge: 0 })
    );
}

#[test]
fn error_in_place_of_an_answer_is_told() {
    let error = read_response(&json!({"error": {"message": "overloaded", "code": 529}})).unwrap_err();
    assert_eq!(error.to_string(), "`choices[0].message` is missing: overloaded");
    assert_eq!(read_response(&json!({"choices": []})).unwrap_err().to_string(), "`choices[0].message` is missing");
}

#[test]
fn answer_is_written() {
    let response = Response {
        id: "msg_1".to_owned(),
        model: "m".to_owned(),
        parts: vec![
            Part::Reasoning(Reasoning { text: "Hm.".to_owned(), signature: Some("x".to_owned()) }),
            Part::Call(call("call_a", "file_read", "{}")),
        ],
        stop: Stop::ToolCalls,
        usage: Some(Usage { input: 3, output: 2, cached: 1, reasoning: 1, surcharge: 0 }),
    };
    let expected = json!({
        "id": "msg_1", "object": "chat.completion", "created": 0, "model": "m",
        "choices": [{
            "index": 0,
            "message": {
                "role": "assistant", "content": null, "refusal": null, "reasoning_content": "Hm.",
                "tool_calls": [
                    {"id": "call_a", "type": "function", "function": {"name": "file_read", "arguments": "{}"}},
                ],
            },
            "logprobs": null,
            "finish_reason": "tool_calls",
        }],
        "usage": {
            "prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 1}, "completion_tokens_details": {"reasoning_tokens": 1},
        },
    });
    assert_eq!(write_response(&response), expected);
}
