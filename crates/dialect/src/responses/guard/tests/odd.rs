//! Calls in shapes and places that are not the usual ones.

use serde_json::json;

use super::*;
use crate::guard::MAX_ITEMS;

#[test]
fn arguments_that_differ_between_events_end_the_stream() {
    let evil = json!("{\"city\":\"Rome\"}");
    // A piece, the whole arguments, the whole item, and the whole answer.
    assert!(guarded(&changed(10, |body| body["delta"] = "{\"x".into()), |_| true).is_err());
    assert!(guarded(&changed(12, |body| body["arguments"] = evil.clone()), |_| true).is_err());
    assert!(guarded(&changed(13, |body| body["item"]["arguments"] = evil.clone()), |_| true).is_err());
    assert!(guarded(&changed(9, |body| body["item"]["arguments"] = evil.clone()), |_| true).is_err());
    assert!(guarded(&changed(19, |body| body["response"]["output"][1]["arguments"] = evil.clone()), |_| true).is_err());
    assert!(guarded(&changed(13, |body| body["item"]["name"] = "rm".into()), |_| true).is_err());
    assert!(guarded(&changed(19, |body| body["response"]["output"][1]["name"] = "rm".into()), |_| true).is_err());
    assert!(guarded(&changed(12, |body| body["name"] = "rm".into()), |_| true).is_err());
}

#[test]
fn events_that_point_to_the_wrong_item_end_the_stream() {
    assert!(guarded(&changed(10, |body| body["output_index"] = 0.into()), |_| true).is_err());
    assert!(guarded(&changed(10, |body| body["output_index"] = 7.into()), |_| true).is_err());
    assert!(guarded(&changed(10, |body| body["item_id"] = "msg_68b0".into()), |_| true).is_err());
    assert!(guarded(&changed(5, |body| body["item_id"] = "fc_68b1".into()), |_| true).is_ok(), "no call has begun yet");
    assert!(guarded(&changed(13, |body| body["output_index"] = 0.into()), |_| true).is_err());
    assert!(guarded(&changed(9, |body| body["output_index"] = 0.into()), |_| true).is_err());
    assert!(
        guarded(&changed(9, |body| drop(body.as_object_mut().unwrap().shift_remove("output_index"))), |_| true)
            .is_err()
    );
}

#[test]
fn a_call_that_only_the_end_has_is_decided_on() {
    let mut events = transcript();
    events.drain(9..19);
    let (outcome, _) = guarded(&events, |_| true).unwrap();
    assert_eq!(outcome.calls.len(), 2);
    assert_eq!(outcome.events, events);
    let (outcome, _) = guarded(&events, |_| false).unwrap();
    assert_eq!(outcome.calls.len(), 2);
    check(&outcome.events);
    assert!(!has_call(&outcome.events));
    let (outcome, _) = guarded(&events, |call| call.id == "call_1").unwrap();
    let end = data(outcome.events.last().unwrap());
    assert_eq!(end["response"]["output"][1]["type"], "function_call");
    assert_eq!(end["response"]["output"][2]["type"], "message");
}

#[test]
fn a_call_that_comes_in_one_event_is_decided_on() {
    let mut events = transcript();
    events.drain(14..18);
    events.drain(9..13);
    let (outcome, _) = guarded(&events, |_| true).unwrap();
    assert_eq!(outcome.calls.len(), 2);
    assert_eq!(outcome.events, events);
    let (outcome, _) = guarded(&events, |_| false).unwrap();
    assert!(!has_call(&outcome.events));
}

#[test]
fn calls_in_odd_places_end_the_stream() {
    let call = json!({"type": "function_call", "id": "fc_9", "call_id": "c9", "name": "rm", "arguments": "{}"});
    for body in [
        json!({"type": "response.created", "response": {"id": "r", "output": [call]}}),
        json!({"type": "response.in_progress", "response": {"id": "r", "output": [call]}}),
        json!({"type": "response.queued", "response": {"id": "r", "output": []}, "item": call}),
        json!({"type": "response.something_new", "item": call}),
        json!({"type": "response.something_new", "name": "rm", "arguments": "{}"}),
        json!({"type": "response.something_new", "tool_calls": [{"function": {"name": "rm", "arguments": "{}"}}]}),
        json!({"type": "response.new_function_thing.delta", "delta": "{}"}),
        json!({"type": "response.function_call_arguments.done", "item_id": "fc_1", "output_index": 0,
            "name": "rm", "arguments": "{}"}),
        json!({"type": "response.content_part.added", "item_id": "m", "output_index": 0, "part": call}),
        json!({"type": "response.output_item.added", "output_index": 0,
            "item": {"type": "message", "content": [call]}}),
        json!({"type": "response.output_item.done", "output_index": 0,
            "item": {"type": "message", "content": [], "tool_calls": [{"function": {"name": "rm", "arguments": ""}}]}}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": {"id": "m"}}),
        json!({"choices": [{"delta": {"tool_calls": []}}]}),
        json!([1]),
    ] {
        let mut guard = Guard::default();
        assert!(guard.feed(Event { name: None, data: body.to_string() }).is_err(), "{body}");
    }
    let mut guard = Guard::default();
    let two_names = Event {
        name: Some("response.output_item.done".into()),
        data: json!({"type": "response.output_text.delta", "delta": "x"}).to_string(),
    };
    assert!(guard.feed(two_names).is_err());
    assert!(guard.feed(Event { name: None, data: "{\"type\":".into() }).is_err());
}

#[test]
fn an_item_does_not_become_a_call_later() {
    let call = json!({"type": "function_call", "id": "m", "call_id": "c9", "name": "rm", "arguments": "{}"});
    let mut guard = Guard::default();
    let message = json!({"type": "message", "id": "m", "content": [], "role": "assistant"});
    guard.feed(event(json!({"type": "response.output_item.added", "output_index": 0, "item": message}))).unwrap();
    let done = event(json!({"type": "response.output_item.done", "output_index": 0, "item": call}));
    assert!(guard.feed(done).is_err());
}

#[test]
fn what_the_agent_does_itself_is_a_call_and_what_the_provider_did_is_not() {
    let items = [
        (
            json!({"id": "1", "type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": "x"}),
            Some(("patch", "x")),
        ),
        (
            json!({"id": "2", "type": "local_shell_call", "call_id": "c2", "status": "completed",
                "action": {"type": "exec", "command": ["ls"]}}),
            Some(("local_shell_call", r#"{"type":"exec","command":["ls"]}"#)),
        ),
        (
            json!({"id": "3", "type": "shell_call", "call_id": "c3", "action": {"commands": ["ls"]}}),
            Some(("shell_call", r#"{"commands":["ls"]}"#)),
        ),
        (
            json!({"id": "4", "type": "apply_patch_call", "call_id": "c4", "operation": {"type": "delete_file", "path": "a"}}),
            Some(("apply_patch_call", r#"{"type":"delete_file","path":"a"}"#)),
        ),
        (
            json!({"id": "5", "type": "computer_call", "call_id": "c5", "pending_safety_checks": [],
                "action": {"type": "wait"}}),
            Some(("computer_call", r#"{"type":"wait"}"#)),
        ),
        (
            json!({"id": "6", "type": "mcp_approval_request", "server_label": "s", "name": "rm", "arguments": "{}"}),
            Some(("mcp_approval_request", r#"{"server_label":"s","name":"rm","arguments":"{}"}"#)),
        ),
        (
            json!({"id": "7", "type": "tool_search_call", "execution": "client", "call_id": "c7", "arguments": {"q": 1}}),
            Some(("tool_search_call", r#"{"q":1}"#)),
        ),
        (json!({"id": "8", "type": "new_thing_request", "what": 1}), Some(("new_thing_request", r#"{"what":1}"#))),
        (json!({"id": "9", "type": "tool_search_call", "execution": "server", "arguments": {}}), None),
        (json!({"id": "10", "type": "web_search_call", "status": "completed", "action": {"query": "q"}}), None),
        (json!({"id": "11", "type": "mcp_call", "name": "find", "arguments": "{}", "server_label": "s"}), None),
        (json!({"id": "12", "type": "mcp_list_tools", "tools": [{"name": "find", "input_schema": {}}]}), None),
        (json!({"id": "13", "type": "shell_call_output", "call_id": "c", "output": []}), None),
        (json!({"id": "14", "type": "compaction", "encrypted_content": "g"}), None),
    ];
    for (item, expected) in items {
        let events = numbered(vec![
            json!({"type": "response.created", "response": {"id": "r", "model": "m", "output": []}}),
            json!({"type": "response.output_item.added", "output_index": 0, "item": item}),
            json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
            json!({"type": "response.completed", "response": {"id": "r", "status": "completed", "output": [item]}}),
        ]);
        let (outcome, _) = guarded(&events, |_| true).unwrap();
        assert_eq!(outcome.events, events);
        let calls: Vec<_> = outcome.calls.iter().map(|call| (call.name.as_str(), call.arguments.as_str())).collect();
        assert_eq!(calls, Vec::from_iter(expected), "{item}");
        let (outcome, _) = guarded(&events, |_| false).unwrap();
        let last = data(outcome.events.last().unwrap());
        assert_eq!(last["response"]["output"][0]["type"] == "message", expected.is_some(), "{item}");
        check(&outcome.events);
    }
}

#[test]
fn work_at_the_provider_passes_as_it_happens() {
    let events = numbered(vec![
        json!({"type": "response.output_item.added", "output_index": 0,
            "item": {"id": "ws_1", "type": "web_search_call", "status": "in_progress"}}),
        json!({"type": "response.web_search_call.in_progress", "output_index": 0, "item_id": "ws_1"}),
        json!({"type": "response.web_search_call.searching", "output_index": 0, "item_id": "ws_1"}),
        json!({"type": "response.output_item.added", "output_index": 1,
            "item": {"id": "mcp_1", "type": "mcp_call", "name": "find", "arguments": "", "server_label": "s"}}),
        json!({"type": "response.mcp_call_arguments.delta", "output_index": 1, "item_id": "mcp_1", "delta": "{}"}),
        json!({"type": "response.code_interpreter_call_code.delta", "output_index": 2, "item_id": "ci", "delta": "1"}),
        json!({"type": "response.output_text.annotation.added", "output_index": 3, "item_id": "m", "content_index": 0,
            "annotation": {"type": "url_citation", "title": "t", "url": "https://a.example"}}),
        json!({"type": "keepalive"}),
    ]);
    let (outcome, _) = guarded(&events, |_| false).unwrap();
    assert_eq!(outcome.events, events);
    assert_eq!(outcome.texts, "");
}

#[test]
fn events_of_another_kind_do_not_add_to_a_call() {
    for (place, kind) in [(10, "response.custom_tool_call_input.delta"), (12, "response.custom_tool_call_input.done")] {
        let events = changed(place, |body| {
            body["type"] = kind.into();
            body["input"] = body["arguments"].clone();
        });
        assert!(guarded(&events, |_| true).is_err(), "{kind}");
    }
}

#[test]
fn nothing_is_added_to_arguments_that_were_whole() {
    let after = |change: &dyn Fn(&mut Value)| {
        let mut events = transcript();
        let mut body = data(&events[12]);
        change(&mut body);
        events.insert(13, event(body));
        guarded(&events, |_| true)
    };
    assert!(after(&|_| {}).is_ok(), "the same again");
    assert!(after(&|body| body["arguments"] = "{\"city\":\"Rome\"}".into()).is_err());
    let delta = |body: &mut Value| {
        body["type"] = "response.function_call_arguments.delta".into();
        body["delta"] = "".into();
    };
    assert!(after(&delta).is_err());
}

#[test]
fn what_a_call_of_a_built_in_tool_began_with_is_what_was_decided_on() {
    let shell = |command: &str| json!({"type": "shell_call", "id": "sh", "call_id": "c", "status": "in_progress", "action": {"commands": [command]}});
    let events = |first: Value, last: Value| {
        numbered(vec![
            json!({"type": "response.created", "response": {"id": "r", "output": []}}),
            json!({"type": "response.output_item.added", "output_index": 0, "item": first}),
            json!({"type": "response.shell_call_command.delta", "output_index": 0, "item_id": "sh", "delta": "rm -rf"}),
            json!({"type": "response.output_item.done", "output_index": 0, "item": last}),
            json!({"type": "response.completed", "response": {"id": "r", "output": [last]}}),
        ])
    };
    let (outcome, _) = guarded(&events(shell("rm -rf"), shell("ls")), |_| true).unwrap();
    assert_eq!(outcome.calls[0].arguments, "{\"commands\":[\"ls\"]}");
    assert!(outcome.events.iter().all(|event| !event.data.contains("rm -rf")), "{:?}", outcome.events);
    check(&outcome.events);
    let began = data(&outcome.events[1]);
    assert_eq!((&began["item"]["action"], &began["item"]["status"]), (&shell("ls")["action"], &json!("in_progress")));
    // Fields of another kind of call beside its own.
    for key in ["name", "arguments", "input", "operation"] {
        let mut last = shell("ls");
        last[key] = "rm -rf".into();
        assert!(guarded(&events(shell("ls"), last.clone()), |_| true).is_err(), "{key}");
        assert!(guarded(&events(last, shell("ls")), |_| true).is_err(), "{key}");
    }
}

#[test]
fn unknown_events_about_a_call_are_searched_and_left_out() {
    let with = |body: Value| {
        let mut events = transcript();
        events.insert(10, event(body));
        guarded(&events, |_| true)
    };
    let call = json!({"type": "function_call", "id": "x", "call_id": "y", "name": "rm", "arguments": "{}"});
    assert!(with(json!({"type": "response.foo", "item_id": "fc_68b1", "output_index": 1, "item": call})).is_err());
    assert!(with(json!({"type": "response.mcp_call.foo", "output_index": 0, "item": call})).is_err());
    assert!(with(json!({"type": "error", "message": "no", "item": call})).is_err());
    let told =
        json!({"type": "response.mcp_call_arguments.delta", "item_id": "fc_68b1", "output_index": 1, "delta": "rm"});
    let (outcome, _) = with(told).unwrap();
    assert_eq!(outcome.events, transcript());
}

#[test]
fn calls_beside_the_output_end_the_stream() {
    let call = json!([{"type": "function", "function": {"name": "rm", "arguments": "{}"}}]);
    for place in [0, 1, 19] {
        assert!(guarded(&changed(place, |body| body["response"]["tool_calls"] = call.clone()), |_| true).is_err());
    }
    let done = json!({"type": "web_search_call", "id": "w", "name": "rm", "call_id": "c", "arguments": "{}"});
    assert!(guarded(&changed(8, |body| body["item"] = done.clone()), |_| true).is_err());
}

#[test]
fn many_texts_are_looked_at_once() {
    let part = |number: usize| json!({"type": "output_text", "text": format!("{number:08}")});
    let message = |count: usize, first: usize| json!({"type": "message", "content": (0..count).map(|n| part(first + n)).collect::<Vec<_>>()});
    let end = |output: Vec<Value>| {
        let copy = "00000000".repeat(1 << 17);
        event(json!({"type": "response.completed", "response": {"id": "r", "output": output, "output_text": copy}}))
    };
    let all = 4 * MAX_ITEMS;
    let output: Vec<Value> = (0..4).map(|item| message(MAX_ITEMS, item * MAX_ITEMS)).collect();
    let mut guard = Guard::default();
    // To compare each text with all others, and all of them with each place of the copy, takes minutes.
    guard.feed(end(output.clone())).unwrap();
    let Some(Piece::Text { text, .. }) = guard.next() else { panic!("texts are told") };
    assert_eq!(text.len(), all * 8 + (1 << 20));
    let mut more = output;
    more.push(message(2, all));
    assert!(Guard::default().feed(end(more)).is_err(), "more texts than that");
    assert!(Guard::default().feed(end(vec![message(40_000, 0)])).is_err());
}
