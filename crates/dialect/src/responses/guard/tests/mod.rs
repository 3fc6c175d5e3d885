//! Streams with calls, decided on in every way.

mod cuts;
mod odd;
mod properties;
mod whole;

use serde_json::{Value, json};

use super::*;
use crate::responses::tests::{data, event, merged, read};
use crate::{Delta, ToolCall, Usage};

const REFUSAL: &str = "[refused]";

/// What came out of a guard.
#[derive(Debug, Default)]
struct Outcome {
    events: Vec<Event>,
    texts: String,
    calls: Vec<ToolCall>,
}

/// Feeds a guard event by event, and decides on each call by `allow`.
fn guarded(events: &[Event], allow: impl Fn(&ToolCall) -> bool) -> Result<(Outcome, Guard), Malformed> {
    let mut guard = Guard::default();
    let mut outcome = Outcome::default();
    for event in events {
        guard.feed(event.clone())?;
        drain(&mut guard, &mut outcome, &allow);
    }
    guard.finish();
    drain(&mut guard, &mut outcome, &allow);
    Ok((outcome, guard))
}

fn drain(guard: &mut Guard, outcome: &mut Outcome, allow: &impl Fn(&ToolCall) -> bool) {
    while let Some(piece) = guard.next() {
        match piece {
            Piece::Event(event) => outcome.events.push(event),
            Piece::Text { event, text } => {
                outcome.texts.push_str(&text);
                outcome.events.push(event);
            }
            Piece::Call(held) => {
                outcome.calls.push(held.call.clone());
                let events = if allow(&held.call) { guard.allow(held) } else { guard.refuse(held, REFUSAL) };
                outcome.events.extend(events);
            }
        }
    }
}

fn names(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| event.name.clone().unwrap_or_default()).collect()
}

/// What the official clients insist on, and that numbers have no gaps.
fn check(events: &[Event]) {
    let mut items: Vec<Value> = Vec::new();
    let mut done = Vec::new();
    let mut id = Value::Null;
    for (number, event) in events.iter().enumerate() {
        let body = data(event);
        assert_eq!(body["sequence_number"], number, "{body}");
        let index = body["output_index"].as_u64().map(|index| usize::try_from(index).unwrap());
        match body["type"].as_str().unwrap() {
            "response.created" => id = body["response"]["id"].clone(),
            "response.output_item.added" => {
                assert_eq!(index, Some(items.len()), "items have no gaps: {body}");
                items.push(body["item"].clone());
                done.push(None);
            }
            "response.output_item.done" => {
                let index = index.unwrap();
                assert_eq!(items[index]["id"], body["item"]["id"]);
                assert_eq!(items[index]["type"], body["item"]["type"]);
                done[index] = Some(body["item"].clone());
            }
            "response.completed" | "response.incomplete" => {
                assert_eq!(body["response"]["id"], id);
                assert_eq!(number + 1, events.len(), "nothing follows the end");
                assert!(done.iter().all(Option::is_some), "every item is complete");
                assert!(body["response"]["output"].is_array());
            }
            "response.in_progress" => {}
            kind => {
                let item = &items[index.unwrap_or_else(|| panic!("{kind} has no place"))];
                assert_eq!(item["id"], body["item_id"]);
            }
        }
    }
}

/// Whether a call is anywhere in the events.
fn has_call(events: &[Event]) -> bool {
    events.iter().any(|event| {
        let mut body = data(event);
        // The request's own tools stand there too.
        if let Some(response) = body.get_mut("response").and_then(Value::as_object_mut) {
            response.shift_remove("tools");
            response.shift_remove("tool_choice");
        }
        let text = body.to_string();
        items::hides_call(&body) || text.contains("function_call") || text.contains("\"tool_")
    })
}

/// Two calls of the official API, one after the other, between text and the end.
fn transcript() -> Vec<Event> {
    let response = |status: &str, output: Value, usage: Value| {
        json!({"id": "resp_68af", "object": "response", "created_at": 1756315657, "status": status, "error": null,
            "model": "gpt-5-2026-01-01", "output": output, "tools": [{"type": "function", "name": "get_weather"}],
            "usage": usage})
    };
    let text = json!({"type": "output_text", "annotations": [], "logprobs": [], "text": "Let me look."});
    let message =
        json!({"id": "msg_68b0", "type": "message", "status": "completed", "content": [text], "role": "assistant"});
    let call = |number: u64, city: &str| {
        json!({"id": format!("fc_68b{number}"), "type": "function_call", "status": "completed",
            "arguments": format!("{{\"city\":\"{city}\"}}"), "call_id": format!("call_{number}"), "name": "get_weather"})
    };
    let usage = json!({"input_tokens": 81, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 37,
        "output_tokens_details": {"reasoning_tokens": 20}, "total_tokens": 118});
    let mut bodies = vec![
        json!({"type": "response.created", "response": response("in_progress", json!([]), Value::Null)}),
        json!({"type": "response.in_progress", "response": response("in_progress", json!([]), Value::Null)}),
        json!({"type": "response.output_item.added", "output_index": 0,
            "item": {"id": "msg_68b0", "type": "message", "status": "in_progress", "content": [], "role": "assistant"}}),
        json!({"type": "response.content_part.added", "item_id": "msg_68b0", "output_index": 0, "content_index": 0,
            "part": {"type": "output_text", "annotations": [], "logprobs": [], "text": ""}}),
        json!({"type": "response.output_text.delta", "item_id": "msg_68b0", "output_index": 0, "content_index": 0,
            "delta": "Let me", "logprobs": [], "obfuscation": "aa"}),
        json!({"type": "response.output_text.delta", "item_id": "msg_68b0", "output_index": 0, "content_index": 0,
            "delta": " look.", "logprobs": []}),
        json!({"type": "response.output_text.done", "item_id": "msg_68b0", "output_index": 0, "content_index": 0,
            "text": "Let me look.", "logprobs": []}),
        json!({"type": "response.content_part.done", "item_id": "msg_68b0", "output_index": 0, "content_index": 0,
            "part": text}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": message}),
    ];
    for (index, city) in [(1, "Paris"), (2, "Bern")] {
        let item = call(index, city);
        let arguments = item["arguments"].as_str().unwrap().to_owned();
        let mut begun = item.clone();
        begun["arguments"] = "".into();
        begun["status"] = "in_progress".into();
        let id = item["id"].clone();
        bodies.push(json!({"type": "response.output_item.added", "output_index": index, "item": begun}));
        for piece in [&arguments[..4], &arguments[4..]] {
            bodies.push(json!({"type": "response.function_call_arguments.delta", "item_id": id, "output_index": index,
                "delta": piece}));
        }
        bodies.push(json!({"type": "response.function_call_arguments.done", "item_id": id, "output_index": index,
            "arguments": arguments}));
        bodies.push(json!({"type": "response.output_item.done", "output_index": index, "item": item}));
    }
    let output = json!([message, call(1, "Paris"), call(2, "Bern")]);
    bodies.push(json!({"type": "response.completed", "response": response("completed", output, usage)}));
    numbered(bodies)
}

fn numbered(bodies: Vec<Value>) -> Vec<Event> {
    let number = |(number, mut body): (usize, Value)| {
        body["sequence_number"] = number.into();
        event(body)
    };
    bodies.into_iter().enumerate().map(number).collect()
}

/// The transcript with the event at `place` changed.
fn changed(place: usize, change: impl FnOnce(&mut Value)) -> Vec<Event> {
    let mut events = transcript();
    let mut body = data(&events[place]);
    change(&mut body);
    events[place] = event(body);
    events
}

#[test]
fn allowed_calls_pass_untouched() {
    let events = transcript();
    let (outcome, guard) = guarded(&events, |_| true).unwrap();
    assert_eq!(outcome.events, events);
    assert_eq!(outcome.texts, "Let me look.");
    let call = |number: u64, city: &str| ToolCall {
        id: format!("call_{number}"),
        name: "get_weather".into(),
        arguments: format!("{{\"city\":\"{city}\"}}"),
    };
    assert_eq!(outcome.calls, [call(1, "Paris"), call(2, "Bern")]);
    assert_eq!(
        *guard.facts(),
        Facts {
            model: Some("gpt-5-2026-01-01".into()),
            usage: Some(Usage { input: 81, output: 37, cached: 0, reasoning: 20, surcharge: 0 }),
            stop: Some(Stop::ToolCalls),
            complete: true,
        }
    );
}

#[test]
fn nothing_of_a_call_is_given_out_before_it_is_complete() {
    let mut guard = Guard::default();
    let mut seen = Outcome::default();
    for event in transcript().into_iter().take(13) {
        guard.feed(event).unwrap();
        drain(&mut guard, &mut seen, &|_| true);
    }
    assert_eq!(seen.events.len(), 9);
    assert!(seen.calls.is_empty());
    guard.finish();
    assert!(guard.next().is_none());
}

#[test]
fn a_message_takes_the_place_of_a_refused_call() {
    let (outcome, _) = guarded(&transcript(), |call| !call.arguments.contains("Paris")).unwrap();
    check(&outcome.events);
    let kinds = names(&outcome.events);
    assert_eq!(
        kinds[9..],
        [
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    assert!(!outcome.events.iter().any(|event| event.data.contains("Paris")));
    let end = data(outcome.events.last().unwrap());
    let refused = json!({"id": "msg_68b1_0", "type": "message", "status": "completed", "role": "assistant",
        "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": REFUSAL}]});
    assert_eq!(end["response"]["output"][1], refused);
    assert_eq!(data(&outcome.events[14])["item"], refused);
    assert_eq!(end["response"]["output"][2]["call_id"], "call_2");
    assert_eq!(end["response"]["usage"]["total_tokens"], 118);
    let deltas = merged(read(&outcome.events).unwrap());
    assert_eq!(deltas[1], Delta::Text(format!("Let me look.{REFUSAL}")));
    assert!(deltas.contains(&Delta::Stop(Stop::ToolCalls)));
}

#[test]
fn an_answer_without_calls_left_has_ended() {
    let (outcome, guard) = guarded(&transcript(), |_| false).unwrap();
    check(&outcome.events);
    assert!(!has_call(&outcome.events));
    let deltas = read(&outcome.events).unwrap();
    assert!(deltas.contains(&Delta::Stop(Stop::End)));
    assert_eq!(guard.facts().stop, Some(Stop::ToolCalls));
}

/// The second call of the transcript begins before the first is complete.
fn overlapping() -> Vec<Event> {
    let mut bodies: Vec<Value> = transcript().iter().map(data).collect();
    let second = bodies.remove(14);
    bodies.insert(10, second);
    numbered(bodies)
}

#[test]
fn overlapping_calls_keep_their_order() {
    let events = overlapping();
    let (outcome, _) = guarded(&events, |_| true).unwrap();
    assert_eq!(outcome.events, events);
    let (outcome, _) = guarded(&events, |call| call.arguments.contains("Paris")).unwrap();
    assert_eq!(outcome.calls.len(), 2);
    check(&outcome.events);
    assert!(!outcome.events.iter().any(|event| event.data.contains("Bern")));
    let (outcome, _) = guarded(&events, |call| call.arguments.contains("Bern")).unwrap();
    check(&outcome.events);
    assert!(!outcome.events.iter().any(|event| event.data.contains("Paris")));
}

#[test]
fn every_text_is_given_out_once() {
    let at = |mut body: Value, index: u64| {
        body["output_index"] = index.into();
        body["item_id"] = format!("i{index}").into();
        body
    };
    let message =
        json!({"id": "i9", "type": "message", "content": [{"type": "output_text", "text": "only at the end"}]});
    let events = numbered(vec![
        at(json!({"type": "response.reasoning_summary_text.delta", "summary_index": 0, "delta": "a"}), 0),
        at(json!({"type": "response.reasoning_summary_text.done", "summary_index": 0, "text": "a"}), 0),
        at(json!({"type": "response.reasoning_text.delta", "content_index": 0, "delta": "b"}), 0),
        at(json!({"type": "response.refusal.delta", "content_index": 0, "delta": "c"}), 1),
        at(json!({"type": "response.refusal.done", "content_index": 0, "refusal": "c"}), 1),
        at(json!({"type": "response.output_text.delta", "content_index": 0, "delta": "d"}), 2),
        at(json!({"type": "response.output_text.done", "content_index": 0, "text": "de"}), 2),
        at(
            json!({"type": "response.content_part.done", "content_index": 0,
            "part": {"type": "output_text", "text": "def"}}),
            2,
        ),
        json!({"type": "response.audio.transcript.delta", "delta": "g"}),
        json!({"type": "response.audio.delta", "delta": "AAAA"}),
        at(json!({"type": "response.brand_new_text.delta", "delta": "h"}), 3),
        json!({"type": "response.completed", "response": {"output": [message], "output_text": "a copy"}}),
    ]);
    let (outcome, _) = guarded(&events, |_| true).unwrap();
    assert_eq!(outcome.texts, "abcdefghonly at the enda copy");
    assert_eq!(outcome.events, events);
}

#[test]
fn errors_pass_and_the_mark_of_other_dialects_is_left_out() {
    let events = [
        Event { name: None, data: String::new() },
        event(json!({"type": "error", "code": "x", "error": {"type": "invalid_request_error", "message": "m"}})),
        Event { name: None, data: "[DONE]".into() },
    ];
    let (outcome, guard) = guarded(&events, |_| true).unwrap();
    assert_eq!(outcome.events, events[1..2]);
    assert!(!guard.facts().complete);
}

#[test]
fn an_answer_that_is_too_long_loses_its_broken_call() {
    let mut events = transcript();
    events.truncate(16);
    let end = json!({"type": "response.incomplete", "sequence_number": 16, "response": {"id": "resp_68af",
        "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"},
        "output": [data(&events[8])["item"], data(&events[13])["item"]]}});
    events.push(event(end));
    let (outcome, guard) = guarded(&events, |_| true).unwrap();
    check(&outcome.events);
    assert_eq!(outcome.calls.len(), 1);
    assert_eq!(guard.facts().stop, Some(Stop::Length));
    // A whole answer does not leave calls open.
    let events: Vec<Event> = changed(19, |body| body["response"]["output"] = json!([]))
        .into_iter()
        .enumerate()
        .filter_map(|(place, event)| (!(12..14).contains(&place)).then_some(event))
        .collect();
    assert!(guarded(&events, |_| true).is_err());
}

#[test]
fn a_broken_stream_gives_out_all_but_its_broken_call() {
    let mut events = overlapping();
    // The first call is complete, the second is not.
    events.truncate(15);
    let (outcome, _) = guarded(&events, |_| true).unwrap();
    assert_eq!(outcome.calls.len(), 1);
    assert!(!outcome.events.iter().any(|event| event.data.contains("fc_68b2")));
    check(&outcome.events);
}

#[test]
fn a_call_that_nobody_decides_on_never_passes() {
    let mut guard = Guard::default();
    let mut passed = Vec::new();
    for event in transcript() {
        guard.feed(event).unwrap();
        while let Some(piece) = guard.next() {
            match piece {
                Piece::Event(event) | Piece::Text { event, .. } => passed.push(event),
                Piece::Call(held) => drop(held),
            }
        }
    }
    assert!(!has_call(&passed));
    check(&passed);
}
