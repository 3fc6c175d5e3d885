//! Answers of providers, whole and streamed.

use serde_json::{Value, json};

use super::*;
use crate::{Part, Reasoning, Response, Stop, Usage};

#[test]
fn an_answer_of_the_provider_is_read() {
    let body = json!({
        "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "gpt-5-2026", "error": null,
        "output": [
            {"id": "rs_0", "type": "reasoning", "summary": []},
            {"id": "rs_1", "type": "reasoning", "encrypted_content": "gA",
             "summary": [{"type": "summary_text", "text": "One."}, {"type": "summary_text", "text": "Two."}]},
            {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}},
            {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
             "content": [{"type": "output_text", "text": "Hi", "annotations": []}]},
            {"id": "fc_1", "type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}", "status": "completed"},
            {"id": "ct_1", "type": "custom_tool_call", "call_id": "c2", "name": "patch", "input": "*** Begin"},
            {"id": "ap_1", "type": "mcp_approval_request", "server_label": "s", "name": "rm", "arguments": "{}"},
        ],
        "usage": {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 6,
                  "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 16},
    });
    assert_eq!(
        read_response(&body).unwrap(),
        Response {
            id: "resp_1".into(),
            model: "gpt-5-2026".into(),
            parts: vec![
                Part::Reasoning(Reasoning { text: "One.\n\nTwo.".into(), signature: Some("gA".into()) }),
                Part::Text("Hi".into()),
                Part::Call(call("c1", "look", "{}")),
                Part::Call(call("c2", "patch", "*** Begin")),
                Part::Call(call(
                    "ap_1",
                    "mcp_approval_request",
                    r#"{"server_label":"s","name":"rm","arguments":"{}"}"#
                )),
            ],
            stop: Stop::ToolCalls,
            usage: Some(Usage { input: 10, output: 6, cached: 4, reasoning: 2, surcharge: 0 }),
        }
    );
}

#[test]
fn why_an_answer_ended_is_read() {
    let stop = |body: Value| read_response(&body).map(|response| response.stop);
    let cut = |reason: &str| json!({"status": "incomplete", "incomplete_details": {"reason": reason}, "output": []});
    assert_eq!(stop(json!({"output": []})), Ok(Stop::End));
    assert_eq!(stop(cut("max_output_tokens")), Ok(Stop::Length));
    assert_eq!(stop(cut("content_filter")), Ok(Stop::Filtered));
    assert_eq!(stop(cut("weather")), Ok(Stop::Other("weather".into())));
    let failed = json!({"status": "failed", "error": {"code": "server_error", "message": "boom"}, "output": []});
    assert_eq!(stop(failed).unwrap_err().to_string(), "the provider failed: boom");
    let queued = stop(json!({"status": "queued", "output": []})).unwrap_err().to_string();
    assert_eq!(queued, "`status` is `queued`, so there is no answer");
    assert_eq!(stop(json!({"choices": []})).unwrap_err().to_string(), "`output` is not a list");
}

#[test]
fn a_written_stream_has_every_event_in_order() {
    let events = written(&[
        Delta::Start { id: "a1".into(), model: "m".into() },
        Delta::Reasoning("Hm".into()),
        Delta::Signature("s".into()),
        Delta::Text("Hel".into()),
        Delta::Text("lo".into()),
        Delta::CallStart { index: 0, id: "c0".into(), name: "look".into() },
        Delta::CallArguments { index: 0, json: "{}".into() },
        Delta::Stop(Stop::ToolCalls),
        Delta::Usage(Usage { input: 1, output: 2, cached: 0, reasoning: 0, surcharge: 0 }),
        Delta::End,
        Delta::Text("too late".into()),
    ]);
    let names: Vec<&str> = events.iter().map(|event| event.name.as_deref().unwrap()).collect();
    assert_eq!(
        names,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.reasoning_summary_part.added",
            "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.done",
            "response.reasoning_summary_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    for (number, event) in events.iter().enumerate() {
        assert_eq!(data(event)["sequence_number"], number);
        assert_eq!(data(event)["type"], event.name.as_deref().unwrap());
    }
    let last = &data(events.last().unwrap())["response"];
    assert_eq!(last["status"], "completed");
    assert_eq!(last["usage"]["total_tokens"], 3);
    assert_eq!(
        last["output"],
        json!([
            {"id": "rs_a1_0", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}],
             "encrypted_content": "s"},
            {"id": "msg_a1_1", "type": "message", "status": "completed", "role": "assistant",
             "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": "Hello"}]},
            {"id": "fc_a1_2", "type": "function_call", "status": "completed", "arguments": "{}", "call_id": "c0",
             "name": "look"},
        ])
    );
    let done: Vec<Value> = events
        .iter()
        .filter(|event| event.name.as_deref() == Some("response.output_item.done"))
        .map(|event| data(event)["item"].clone())
        .collect();
    assert_eq!(json!(done), last["output"]);
}

#[test]
fn what_comes_only_when_it_is_complete_is_read() {
    let item = json!({"id": "fc_1", "type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"});
    let message = json!({"id": "m1", "type": "message", "role": "assistant",
        "content": [{"type": "output_text", "text": "Hi"}]});
    let thought = json!({"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}]});
    let expected = vec![
        Delta::Start { id: "r".into(), model: "m".into() },
        Delta::Reasoning("Hm".into()),
        Delta::Text("Hi".into()),
        Delta::CallStart { index: 0, id: "c1".into(), name: "look".into() },
        Delta::CallArguments { index: 0, json: "{}".into() },
        Delta::Stop(Stop::ToolCalls),
        Delta::End,
    ];
    let end = event(json!({"type": "response.completed", "response":
        {"id": "r", "model": "m", "status": "completed", "output": [thought, message, item]}}));
    assert_eq!(read(std::slice::from_ref(&end)).unwrap(), expected);

    let created = event(json!({"type": "response.created", "response": {"id": "r", "model": "m", "output": []}}));
    let done = |index: u64, item: &Value| {
        event(json!({"type": "response.output_item.done", "output_index": index, "item": item}))
    };
    let events = [created, done(0, &thought), done(1, &message), done(2, &item), end];
    assert_eq!(read(&events).unwrap(), expected);
}

#[test]
fn parts_of_thoughts_stay_apart() {
    let delta = |part: u64, text: &str| {
        event(json!({"type": "response.reasoning_summary_text.delta", "item_id": "rs", "output_index": 0,
            "summary_index": part, "delta": text}))
    };
    let read = read(&[delta(0, "a"), delta(0, "b"), delta(1, "c")]).unwrap();
    assert_eq!(merged(read), [Delta::Reasoning("ab\n\nc".into())]);
}

#[test]
fn errors_of_the_provider_end_the_reading() {
    for body in [
        json!({"type": "error", "code": "server_error", "message": "boom", "param": null, "sequence_number": 3}),
        json!({"type": "error", "error": {"type": "server_error", "message": "boom"}}),
        json!({"error": {"message": "boom"}}),
        json!({"error": "boom"}),
        json!({"type": "response.failed", "response": {"status": "failed", "error": {"message": "boom"}}}),
    ] {
        assert_eq!(read(&[event(body)]).unwrap_err().to_string(), "the provider failed: boom");
    }
    assert!(read(&[Event { name: None, data: "not JSON".into() }]).is_err());
    let lost = json!({"type": "response.function_call_arguments.delta", "output_index": 3, "delta": "{}"});
    assert!(read(&[event(lost)]).is_err());
}

#[test]
fn an_error_says_itself_in_both_forms() {
    let fault =
        Fault { kind: crate::FaultKind::Exhausted, code: "budget-exhausted".into(), message: "no tokens left".into() };
    let event = write_error_event(&fault);
    assert_eq!(event.name.as_deref(), Some("error"));
    let body = data(&event);
    assert_eq!(body["type"], "error");
    assert_eq!(body["code"], "budget-exhausted");
    assert_eq!(body["message"], "no tokens left");
    assert_eq!(body["error"]["message"], "no tokens left");
}

#[test]
fn calls_are_written_in_whatever_order_they_begin() {
    use crate::StreamWriter as _;
    let mut writer = crate::responses::Writer::default();
    let start = |index: usize| Delta::CallStart { index, id: format!("c{index}"), name: format!("f{index}") };
    let more = |index: usize| Delta::CallArguments { index, json: format!("{{\"n\":{index}}}") };
    let deltas = [start(1), more(1), start(0), more(0), Delta::Stop(Stop::ToolCalls), Delta::End];
    let events: Vec<_> = deltas.into_iter().flat_map(|delta| writer.write(delta)).collect();
    let output = data(events.last().unwrap())["response"]["output"].clone();
    let calls =
        |place: usize| ["call_id", "name", "arguments"].map(|key| output[place][key].as_str().unwrap().to_owned());
    assert_eq!(
        (calls(0), calls(1)),
        (["c1", "f1", "{\"n\":1}"].map(String::from), ["c0", "f0", "{\"n\":0}"].map(String::from))
    );
}
