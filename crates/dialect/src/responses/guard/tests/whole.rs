//! Whole answers.

use serde_json::{Value, json};

use super::*;
use crate::guard::WholeGuard;
use crate::responses::Whole;

fn whole() -> Value {
    data(transcript().last().unwrap())["response"].clone()
}

#[test]
fn a_whole_answer_is_looked_at() {
    let mut body = whole();
    body["output_text"] = "Let me look.".into();
    let guard = Whole::new(body.clone()).unwrap();
    assert_eq!(guard.texts(), ["Let me look."]);
    assert_eq!(guard.calls().len(), 2);
    assert_eq!(guard.calls()[1].id, "call_2");
    assert_eq!(guard.facts().stop, Some(Stop::ToolCalls));
    assert_eq!(guard.facts().model.as_deref(), Some("gpt-5-2026-01-01"));
    assert_eq!(guard.facts().usage.unwrap().input, 81);
    assert!(guard.facts().complete);
    assert_eq!(Box::new(guard).into_body(), body);
}

#[test]
fn a_whole_answer_is_mended() {
    let mut guard = Whole::new(whole()).unwrap();
    guard.refuse(0, REFUSAL);
    guard.refuse(7, REFUSAL);
    let body = Box::new(guard).into_body();
    assert_eq!(body["output"][1]["content"][0]["text"], REFUSAL);
    assert_eq!(body["output"][2]["call_id"], "call_2");
    assert!(!body.to_string().contains("Paris"));

    let mut incomplete = whole();
    incomplete["status"] = "incomplete".into();
    incomplete["incomplete_details"] = json!({"reason": "content_filter"});
    incomplete["output_text"] = "Let me look.".into();
    let mut guard = Whole::new(incomplete).unwrap();
    assert_eq!(guard.facts().stop, Some(Stop::Filtered));
    guard.cut("The end.");
    let body = Box::new(guard).into_body();
    let read = crate::responses::read_response(&body).unwrap();
    assert_eq!(read.parts, [crate::Part::Text("The end.".into())]);
    assert_eq!(read.stop, Stop::End);
    assert!(!body.to_string().contains("look"));
}

#[test]
fn a_whole_answer_hides_no_call() {
    for body in [
        json!({}),
        json!({"output": {}}),
        json!({"output": [{"name": "rm"}]}),
        json!({"output": [{"type": "function_call", "arguments": "{}"}]}),
        json!({"output": [{"type": "message", "content": [{"type": "tool_use", "name": "rm", "input": {}}]}]}),
    ] {
        assert!(Whole::new(body.clone()).is_err(), "{body}");
    }
}

#[test]
fn calls_where_none_belong_are_malformed() {
    let call = json!([{"function": {"name": "rm", "arguments": "{}"}}]);
    let search = json!({"type": "web_search_call", "id": "w", "status": "completed", "name": "rm", "arguments": "{}"});
    let odd =
        json!({"type": "code_interpreter_call", "id": "w", "code": "1", "more": {"name": "rm", "arguments": "{}"}});
    for change in [
        &(|body: &mut Value| body["tool_calls"] = call.clone()) as &dyn Fn(&mut Value),
        &|body| body["function_call"] = json!({"name": "rm"}),
        &|body| body["output"][0] = search.clone(),
        &|body| body["output"][0] = odd.clone(),
        &|body| body["output"][1]["input"] = "rm".into(),
        &|body| body["Output"] = json!([]),
    ] {
        let mut body = whole();
        change(&mut body);
        assert!(Whole::new(body.clone()).is_err(), "{body}");
    }
    let mut body = whole();
    body["output"][0] = json!({"type": "mcp_call", "id": "m", "server_label": "s", "name": "f", "arguments": "{}",
        "output": "{\"name\": \"x\"}"});
    body["tool_choice"] = json!({"type": "function", "name": "get_weather"});
    body["metadata"] = json!({"name": "x", "arguments": "y"});
    assert!(Whole::new(body).is_ok());
}
