use serde_json::{Value, json};

use super::super::{Whole, read_error, read_response, write_error, write_error_event, write_response};
use super::call;
use crate::guard::{Facts, WholeGuard};
use crate::{Fault, FaultKind, Part, Reasoning, Response, Stop, Usage};

fn answer() -> Value {
    json!({
        "id": "msg_01", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "EqQB"},
            {"type": "redacted_thinking", "data": "opaque"},
            {"type": "text", "text": "I look.", "citations": null},
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
            {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [
                {"type": "web_search_result", "title": "T", "url": "https://t.example", "encrypted_content": "zzz"},
            ]},
            {"type": "tool_use", "id": "toolu_1", "name": "shell", "input": {"command": "ls"}},
            {"type": "tool_use", "id": "toolu_2", "name": "clock", "input": {}},
        ],
        "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {"input_tokens": 10, "cache_creation_input_tokens": 200, "cache_read_input_tokens": 3000,
            "cache_creation": {"ephemeral_5m_input_tokens": 121, "ephemeral_1h_input_tokens": 79}, "output_tokens": 40, "server_tool_use": {"web_search_requests": 1}},
        "context_management": {"applied_edits": [{"type": "clear_tool_uses_20250919", "cleared_tool_uses": 8}]},
    })
}

const USAGE: Usage = Usage { input: 3210, output: 40, cached: 3000, reasoning: 0, surcharge: 31 + 79 };

#[test]
fn answer_is_read_without_what_the_provider_executed() {
    assert_eq!(
        read_response(&answer()).unwrap(),
        Response {
            id: "msg_01".into(),
            model: "claude-sonnet-4-5".into(),
            parts: vec![
                Part::Reasoning(Reasoning { text: "hm".into(), signature: Some("EqQB".into()) }),
                Part::Text("I look.".into()),
                Part::Call(call("toolu_1", "shell", r#"{"command":"ls"}"#)),
                Part::Call(call("toolu_2", "clock", "{}")),
            ],
            stop: Stop::ToolCalls,
            usage: Some(USAGE),
        }
    );
}

#[test]
fn stop_reasons_are_translated_both_ways() {
    let with = |reason: Value| json!({"type": "message", "content": [], "stop_reason": reason});
    for (word, stop) in [
        ("end_turn", Stop::End),
        ("max_tokens", Stop::Length),
        ("stop_sequence", Stop::Sequence),
        ("refusal", Stop::Filtered),
        ("pause_turn", Stop::Other("pause_turn".into())),
    ] {
        let response = read_response(&with(word.into())).unwrap();
        assert_eq!(response.stop, stop);
        assert_eq!(write_response(&response)["stop_reason"], word);
    }
    assert_eq!(read_response(&with("model_context_window_exceeded".into())).unwrap().stop, Stop::Length);
    assert_eq!(read_response(&with(Value::Null)).unwrap().stop, Stop::End);
}

#[test]
fn stop_reason_fits_the_calls() {
    let mut response = Response {
        id: "x".into(),
        model: "m".into(),
        parts: vec![Part::Call(call("c", "get", "{}"))],
        stop: Stop::End,
        usage: None,
    };
    assert_eq!(write_response(&response)["stop_reason"], "tool_use");
    response.parts.clear();
    response.stop = Stop::ToolCalls;
    assert_eq!(write_response(&response)["stop_reason"], "end_turn");
    response.stop = Stop::Other("content_filter_of_others".into());
    assert_eq!(write_response(&response)["stop_reason"], "end_turn");
}

#[test]
fn errors_are_no_answers() {
    let body = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    assert_eq!(read_response(&body).unwrap_err().to_string(), "`error` Overloaded");
    assert_eq!(read_error(&body).as_deref(), Some("Overloaded"));
    assert_eq!(read_error(&json!({"error": "plain"})).as_deref(), Some("plain"));
    assert_eq!(read_error(&answer()), None);
    assert_eq!(read_response(&json!({"choices": []})).unwrap_err().to_string(), "`content` is missing");
}

#[test]
fn faults_have_the_shape_that_client_libraries_read() {
    let fault = Fault {
        kind: FaultKind::Exhausted,
        code: "budget-exhausted".into(),
        message: "the budget is spent; it returns at 00:00".into(),
    };
    let body = json!({"type": "error", "error": {
        "type": "rate_limit_error",
        "message": "the budget is spent; it returns at 00:00",
        "code": "budget-exhausted",
    }});
    assert_eq!(write_error(&fault), body);
    let event = write_error_event(&fault);
    assert_eq!(event.name.as_deref(), Some("error"));
    assert_eq!(serde_json::from_str::<Value>(&event.data).unwrap(), body);
    assert_eq!(read_error(&body), Some(fault.message));
}

#[test]
fn whole_answer_passes_unchanged_when_nothing_is_refused() {
    let guard = Box::new(Whole::new(answer()).unwrap());
    assert_eq!(guard.texts(), ["hm", "I look.", "T\nhttps://t.example"]);
    assert_eq!(guard.calls(), [call("toolu_1", "shell", r#"{"command":"ls"}"#), call("toolu_2", "clock", "{}")]);
    let facts = Facts {
        model: Some("claude-sonnet-4-5".into()),
        usage: Some(USAGE),
        stop: Some(Stop::ToolCalls),
        complete: true,
    };
    assert_eq!(guard.facts(), &facts);
    assert_eq!(guard.into_body(), answer());
}

#[test]
fn refused_call_of_a_whole_answer_becomes_text() {
    let mut guard = Box::new(Whole::new(answer()).unwrap());
    guard.refuse(0, "refused");
    assert_eq!(guard.calls().len(), 2, "numbers stay");
    let body = guard.into_body();
    assert_eq!(body["content"][5], json!({"type": "text", "text": "refused"}));
    assert_eq!(body["content"][6], answer()["content"][6]);
    assert_eq!(body["stop_reason"], "tool_use");

    let mut guard = Box::new(Whole::new(answer()).unwrap());
    guard.refuse(1, "no");
    guard.refuse(0, "no");
    guard.refuse(7, "no");
    let body = guard.into_body();
    assert_eq!(body["stop_reason"], "end_turn");
    assert_eq!(body["usage"], answer()["usage"]);
}

#[test]
fn cut_whole_answer_says_only_the_text() {
    let mut guard = Box::new(Whole::new(answer()).unwrap());
    guard.cut("stopped");
    let body = guard.into_body();
    assert_eq!(body["content"], json!([{"type": "text", "text": "stopped"}]));
    assert_eq!(body["stop_reason"], "end_turn");
}

#[test]
fn new_kinds_of_tool_use_are_calls() {
    let body = json!({"type": "message", "stop_reason": "tool_use",
        "content": [{"type": "robot_tool_use", "id": "r", "name": "arm", "input": {"x": 1}}]});
    assert_eq!(Whole::new(body.clone()).unwrap().calls(), [call("r", "arm", r#"{"x":1}"#)]);
    assert_eq!(read_response(&body).unwrap().parts, [Part::Call(call("r", "arm", r#"{"x":1}"#))]);
}

#[test]
fn calls_in_odd_places_are_malformed() {
    for body in [
        json!({"content": [{"type": "tool_call", "name": "x"}]}),
        json!({"content": [{"type": "wrapper", "inner": [{"type": "tool_use", "name": "x"}]}]}),
        json!({"content": [{"type": "thing", "name": "x", "input": {}}]}),
        json!({"content": [{"type": "tool_use", "id": "x"}]}),
        json!({"content": [], "tool_calls": [{"id": "x"}]}),
        json!({"content": [], "choices": [{"message": {"tool_calls": [{"id": "x"}]}}]}),
        json!({"content": "text"}),
        json!({"content": [1]}),
        json!({}),
        json!([]),
    ] {
        assert!(Whole::new(body.clone()).is_err(), "{body}");
    }
}
