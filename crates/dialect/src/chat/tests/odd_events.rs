//! Events that no honest server sends, and some that only look like it.

use serde_json::{Value, json};

use crate::StreamReader;
use crate::chat::{Guard, Reader};
use crate::guard::{MAX_CALLS, MAX_HELD_BYTES, Piece, StreamGuard};
use crate::sse::Event;

use super::guard::{pass, run};
use super::{begin, chunk, chunk_of, done, more};

#[test]
fn complete_call_does_not_go_on() {
    let mut guard = Guard::default();
    let events = [begin(0, "a", "f"), chunk(0, json!({}), Some("tool_calls"))];
    run(&mut guard, &events, &|_| None).unwrap();
    assert!(guard.feed(more(0, "rm")).is_err());
}

#[test]
fn nothing_passes_after_the_last_event() {
    let events = [chunk(0, json!({"content": "Hi"}), Some("stop")), done(), begin(0, "a", "f"), done()];
    assert_eq!(pass(&events, &[]).events, events[..2]);
}

#[test]
fn endless_call_is_refused() {
    let mut guard = Guard::default();
    guard.feed(begin(0, "a", "f")).unwrap();
    let part = more(0, &"x".repeat(1 << 20));
    let failure = (0..=MAX_HELD_BYTES >> 20).find_map(|_| guard.feed(part.clone()).err());
    assert_eq!(failure.unwrap().to_string(), "has tool calls of more than 16777216 bytes");
}

#[test]
fn endless_calls_are_refused() {
    let mut guard = Guard::default();
    assert!((0..1025).map(|index| guard.feed(begin(index, "", "f"))).any(|fed| fed.is_err()));
    let mut guard = Guard::default();
    assert!((0..129).map(|choice| guard.feed(chunk(choice, json!({}), None))).any(|fed| fed.is_err()));
}

#[test]
fn events_that_cannot_carry_a_call_pass_as_they_were_read() {
    let odd = Event { name: Some("ping".to_owned()), data: "{ \"type\":\"ping\" }".to_owned() };
    let error = Event { name: None, data: "{\"error\":{\"message\":\"overloaded\"}}".to_owned() };
    let mut azure = chunk_of(json!([]));
    azure["model"] = json!("");
    azure["prompt_filter_results"] =
        json!([{"prompt_index": 0, "content_filter_results": {"hate": {"filtered": false}}}]);
    let azure = Event::json(None, &azure);
    let empty = Event::default();
    let last = Event { name: None, data: " [DONE] ".to_owned() };
    let events = [odd, azure.clone(), empty, chunk(0, json!({"content": "Hi"}), None), error.clone(), last];
    let ping = Event::json(None, &json!({"type": "ping"}));
    let expected = [ping, azure, events[3].clone(), error, done()];
    assert_eq!(pass(&events, &[]).events, expected);
    assert_eq!(run(&mut Guard::new(true), &events, &|_| None).unwrap().events, expected);
}

#[test]
fn texts_of_all_shapes_are_told() {
    let events = [
        chunk(0, json!({"refusal": "a"}), None),
        chunk(0, json!({"reasoning": "b"}), None),
        chunk(0, json!({"content": [{"type": "text", "text": "c"}]}), None),
        chunk(0, json!({"audio": {"id": "x", "transcript": "d"}}), None),
        Event::json(None, &chunk_of(json!([{"index": 0, "text": "e"}]))),
        Event::json(None, &chunk_of(json!([{"index": 0, "message": {"content": "f"}}]))),
        Event::json(
            None,
            &chunk_of(json!([{"index": 0, "delta": {"content": "g"}}, {"index": 1, "delta": {"content": "h"}}])),
        ),
    ];
    let passed = pass(&events, &[]);
    assert_eq!(passed.texts, ["a", "b", "c", "d", "e", "f", "gh"]);
    assert_eq!(passed.events, events);
}

#[test]
fn odd_shapes_that_could_carry_a_call_are_refused() {
    let function = json!({"name": "shell", "arguments": "{}"});
    let entry = json!({"index": 0, "id": "a", "type": "function", "function": function});
    let in_choice = |choice: Value| chunk_of(json!([choice])).to_string();
    let in_delta = |delta: Value| in_choice(json!({"index": 0, "delta": delta, "finish_reason": "tool_calls"}));
    for data in [
        in_choice(json!({"index": 0, "message": {"tool_calls": [entry]}})),
        in_choice(json!({"index": 0, "message": {"function_call": function}})),
        in_choice(json!({"index": 0, "tool_calls": [entry]})),
        in_choice(json!({"index": 0, "delta": [{"tool_calls": [entry]}]})),
        in_choice(json!({"index": "0", "delta": {}})),
        in_delta(json!({"Tool_Calls": [entry]})),
        in_delta(json!({"tool_call": entry})),
        in_delta(json!({"tool_calls": entry})),
        in_delta(json!({"function_call": [function]})),
        in_delta(json!({"content": [{"type": "tool_call", "name": "shell"}]})),
        in_delta(json!({"tool_calls": [{"index": 0, "Function": function}]})),
        in_delta(json!({"tool_calls": [{"index": 0, "\u{17f}ome": 1, "function": function}]})),
        in_delta(json!({"tool_calls": [{"index": 0, "function": {"name": ["shell"]}}]})),
        in_delta(json!({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]})),
        in_delta(json!({"tool_calls": [{"index": -1, "function": function}]})),
        in_delta(json!({"tool_calls": [{"function": {"arguments": "{}"}}]})),
        json!({"tool_calls": [entry]}).to_string(),
        json!({"message": {"tool_calls": [entry]}}).to_string(),
        json!({"choices": {"0": {"delta": {"tool_calls": [entry]}}}}).to_string(),
        json!({"choices": [[entry]]}).to_string(),
        json!([{"choices": []}]).to_string(),
        in_delta(json!({"tool_calls": [entry]})).replace("1760000000", "NaN"),
        "{\"choices\":[".to_owned(),
        "\"[DONE]\"".to_owned(),
    ] {
        let event = Event { name: None, data };
        let fed = Guard::default().feed(event.clone());
        assert!(fed.is_err(), "{}", event.data);
    }
}

#[test]
fn id_or_name_said_again_is_taken_out() {
    let again = |extra: Value| chunk(0, json!({"tool_calls": [extra]}), None);
    for (field, expected) in [
        (json!({"index": 0, "id": "a", "function": {"arguments": "{}"}}), json!({"arguments": "{}"})),
        (json!({"index": 0, "function": {"name": "f", "arguments": "{}"}}), json!({"arguments": "{}"})),
    ] {
        let events = [begin(0, "a", "f"), again(field), chunk(0, json!({}), Some("tool_calls")), done()];
        let second: Value = serde_json::from_str(&pass(&events, &[]).events[1].data).unwrap();
        let entry = &second["choices"][0]["delta"]["tool_calls"][0];
        assert_eq!(*entry, json!({"index": 0, "function": expected}));
    }
}

#[test]
fn role_said_again_does_not_keep_an_empty_event() {
    let entry = json!({"index": 0, "id": "a", "function": {"name": "shell", "arguments": "{}"}});
    let part = json!({"index": 0, "function": {"arguments": " "}});
    let events = [
        chunk(0, json!({"role": "assistant", "content": null, "tool_calls": [entry]}), None),
        chunk(0, json!({"role": "assistant", "content": null, "tool_calls": [part]}), None),
        chunk(0, json!({}), Some("tool_calls")),
        done(),
    ];
    assert_eq!(pass(&events, &["shell"]).events.len(), 3);
}

#[test]
fn calls_keep_the_order_of_their_indices() {
    let events = [
        begin(2, "c", "list"),
        begin(1, "b", "file_read"),
        begin(0, "a", "shell"),
        chunk(0, json!({}), Some("tool_calls")),
        done(),
    ];
    assert_eq!(pass(&events, &[]).events, events);
    let passed = pass(&events, &["shell"]);
    let index = |event: &Event| {
        let body: Value = serde_json::from_str(&event.data).unwrap();
        body["choices"][0]["delta"]["tool_calls"][0]["index"].as_u64()
    };
    assert_eq!(passed.events.iter().take(2).map(index).collect::<Vec<_>>(), [Some(1), Some(0)]);
}

#[test]
fn call_after_the_end_of_its_choice_is_not_complete_before_another_end() {
    let mut events = vec![
        chunk(0, json!({"content": "Hi"}), Some("stop")),
        begin(0, "a", "shell"),
        more(0, "{\"command\":"),
        more(0, "\"ls\"}"),
    ];
    assert_eq!(pass(&events, &[]).events, events[..1]);
    events.push(done());
    let passed = pass(&events, &[]);
    assert_eq!(passed.calls[0].arguments, "{\"command\":\"ls\"}");
    assert_eq!(passed.events, events);
}

#[test]
fn fragments_of_another_kind_do_not_go_on_with_a_call() {
    let custom = |index: u64, extra: Value| {
        let mut entry = json!({"index": index, "custom": {"input": "x"}});
        entry.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        chunk(0, json!({"tool_calls": [entry]}), None)
    };
    let typed = chunk(0, json!({"tool_calls": [{"index": 0, "type": "custom"}]}), None);
    for second in [custom(0, json!({})), custom(0, json!({"id": "a"})), typed] {
        let mut guard = Guard::default();
        guard.feed(begin(0, "a", "file_read")).unwrap();
        assert!(guard.feed(second).is_err());
    }
    let mut guard = Guard::default();
    guard.feed(custom(0, json!({"id": "a", "type": "custom"}))).unwrap();
    assert!(guard.feed(more(0, "x")).is_err());
    let mut reader = Reader::default();
    reader.read(&begin(0, "a", "file_read")).unwrap();
    assert!(reader.read(&custom(0, json!({}))).is_err(), "the same where the answer is translated");
    assert!(Guard::default().feed(custom(0, json!({"type": "function"}))).is_err(), "two kinds in one fragment");
}

#[test]
fn arguments_that_stand_there_as_a_value_are_all_of_a_call_and_pass_as_text() {
    let value =
        |arguments: Value| chunk(0, json!({"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]}), None);
    let object = json!({"path": "/workspace"});
    let end = [chunk(0, json!({}), Some("tool_calls")), done()];
    let passed = pass(&[begin(0, "a", "f"), value(object.clone()), more(0, ""), end[0].clone(), end[1].clone()], &[]);
    assert_eq!(passed.calls[0].arguments, object.to_string());
    let body: Value = serde_json::from_str(&passed.events[1].data).unwrap();
    assert_eq!(body["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"], object.to_string());
    for second in [more(0, "x"), value(object.clone()), value(json!([]))] {
        let mut guard = Guard::default();
        guard.feed(begin(0, "a", "f")).unwrap();
        guard.feed(value(object.clone())).unwrap();
        assert!(guard.feed(second).is_err());
    }
    let mut guard = Guard::default();
    guard.feed(begin(0, "a", "f")).unwrap();
    guard.feed(more(0, "{\"path\":\"/")).unwrap();
    assert!(guard.feed(value(json!({",": ":"}))).is_err());
}

#[test]
fn what_waits_for_many_calls_is_looked_at_once() {
    let mut guard = Guard::default();
    for choice in 0..128 {
        guard.feed(chunk(choice, json!({}), None)).unwrap();
    }
    for index in 0..MAX_CALLS {
        let entry = json!({"index": index, "id": format!("{index}"), "function": {"name": "f", "arguments": ""}});
        guard.feed(chunk(127, json!({"tool_calls": [entry]}), None)).unwrap();
    }
    // Looking at all calls and choices for each of these takes minutes.
    let small = Event { name: None, data: "{\"choices\":[{\"delta\":{}}]}".to_owned() };
    for _ in 0..30_000 {
        guard.feed(small.clone()).unwrap();
    }
    guard.feed(chunk(127, json!({}), Some("tool_calls"))).unwrap();
    let mut calls = 0;
    while let Some(piece) = guard.next() {
        if let Piece::Call(held) = piece {
            calls += 1;
            guard.refuse(held, "[no]");
        }
    }
    assert_eq!(calls, MAX_CALLS);
}
