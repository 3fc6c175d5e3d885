use serde_json::{Value, json};

use crate::chat::Whole;
use crate::guard::WholeGuard;
use crate::{Stop, Usage};

use super::call;
use super::response::body;

fn answer() -> Value {
    body(
        json!({
            "role": "assistant", "content": "Let me look.", "reasoning_content": "Hm.", "refusal": null,
            "tool_calls": [
                {"id": "call_a", "type": "function", "function": {"name": "file_read", "arguments": "{}"}},
                {"id": "call_b", "type": "function", "function": {"name": "shell", "arguments": "{\"c\":1}"}},
            ],
        }),
        "tool_calls",
    )
}

fn guard(body: Value) -> Box<Whole> {
    Box::new(Whole::new(body).unwrap())
}

#[test]
fn whole_answer_tells_what_is_in_it_and_passes_as_it_came() {
    let whole = guard(answer());
    assert_eq!(whole.texts(), ["Hm.", "Let me look."]);
    assert_eq!(whole.calls(), [call("call_a", "file_read", "{}"), call("call_b", "shell", "{\"c\":1}")]);
    assert_eq!(whole.facts().model.as_deref(), Some("gpt-4o-2024-08-06"));
    assert_eq!(whole.facts().usage, Some(Usage { input: 82, output: 17, cached: 64, reasoning: 5, surcharge: 0 }));
    assert_eq!(whole.facts().stop, Some(Stop::ToolCalls));
    assert!(whole.facts().complete);
    assert_eq!(whole.into_body().to_string(), answer().to_string());
}

#[test]
fn refused_call_becomes_text_and_the_other_stays() {
    let mut whole = guard(answer());
    whole.refuse(1, "[refused shell]");
    let mut expected = answer();
    let message = &mut expected["choices"][0]["message"];
    message["content"] = json!("Let me look.\n[refused shell]");
    message["tool_calls"].as_array_mut().unwrap().remove(1);
    assert_eq!(whole.into_body(), expected);
}

#[test]
fn answer_without_calls_left_ends_ordinarily() {
    let mut whole = guard(answer());
    whole.refuse(0, "[no]");
    whole.refuse(1, "[neither]");
    whole.refuse(2, "[there is none]");
    let body = whole.into_body();
    let message = &body["choices"][0]["message"];
    assert_eq!(message["content"], "Let me look.\n[no]\n[neither]");
    assert_eq!(message.get("tool_calls"), None);
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["usage"], answer()["usage"]);
}

#[test]
fn legacy_call_is_guarded() {
    let message = json!({"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{}"}});
    let mut whole = guard(body(message, "function_call"));
    assert_eq!(whole.calls(), [call("f", "f", "{}")]);
    whole.refuse(0, "[no]");
    let body = whole.into_body();
    assert_eq!(body["choices"][0]["message"], json!({"role": "assistant", "content": "[no]"}));
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
}

#[test]
fn every_choice_is_guarded() {
    let mut two = answer();
    let mut second = two["choices"][0].clone();
    second["index"] = json!(1);
    two["choices"].as_array_mut().unwrap().push(second);
    let mut whole = guard(two);
    assert_eq!(whole.calls().len(), 4);
    whole.refuse(2, "[no]");
    whole.refuse(3, "[no]");
    let body = whole.into_body();
    assert_eq!(body["choices"][0], answer()["choices"][0]);
    assert_eq!(body["choices"][1]["message"].get("tool_calls"), None);
    assert_eq!(body["choices"][1]["finish_reason"], "stop");
}

#[test]
fn cut_answer_says_one_thing() {
    let mut whole = guard(answer());
    whole.cut("[cut]");
    assert_eq!(whole.calls(), []);
    assert_eq!(whole.texts(), ["[cut]"]);
    let body = whole.into_body();
    let message = json!({"role": "assistant", "content": "[cut]", "refusal": null});
    assert_eq!(body["choices"], json!([{"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"}]));
    assert_eq!(body["usage"], answer()["usage"]);
}

#[test]
fn odd_shapes_that_could_carry_a_call_are_refused() {
    let function = json!({"name": "shell", "arguments": "{}"});
    let entry = json!({"id": "a", "type": "function", "function": function});
    let text = |mut extra: Value| {
        let mut message = json!({"role": "assistant", "content": "Hi"});
        message.as_object_mut().unwrap().append(extra.as_object_mut().unwrap());
        body(message, "stop")
    };
    let mut beside = text(json!({}));
    beside["choices"][0]["delta"] = json!({"tool_calls": [entry]});
    let mut above = text(json!({}));
    above["tool_calls"] = json!([entry]);
    for body in [
        beside,
        above,
        text(json!({"Tool_Calls": [entry]})),
        text(json!({"toolCalls": [entry]})),
        text(json!({"tool_calls": {"0": entry}})),
        text(json!({"tool_calls": [{"id": "a", "function": {"name": "file_read", "Name": "shell"}}]})),
        text(json!({"tool_calls": [{"id": "a", "function": function, "custom": {"name": "x"}}]})),
        text(json!({"tool_calls": [{"id": "a", "type": "shell", "shell": {"command": "ls"}}]})),
        text(json!({"tool_calls": ["shell"]})),
        text(json!({"function_call": "shell"})),
        text(json!({"content": [{"type": "tool_use", "name": "shell", "input": {}}]})),
        text(json!({"content": [{"type": "text", "text": "", "extra": {"tool_calls": [entry]}}]})),
        json!({"choices": {"0": {}}}),
        json!({"choices": [{"message": null}]}),
        json!({"choices": [[]]}),
        json!({"error": {"message": "no"}}),
        json!([]),
    ] {
        assert!(Whole::new(body.clone()).is_err(), "{body}");
    }
}
