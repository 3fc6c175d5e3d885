use serde_json::{Value, json};

use crate::chat::Guard;
use crate::guard::{HeldCall, Piece, StreamGuard};
use crate::sse::Event;
use crate::{Malformed, Stop, ToolCall, Usage};

use super::{begin, call, chunk, done, more, two_calls, usage};

/// What came of guarding a stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Passed {
    pub events: Vec<Event>,
    pub texts: Vec<String>,
    pub calls: Vec<ToolCall>,
}

/// Takes what comes out; each call is refused with the words that `decide` gives, or else allowed.
pub(super) fn take(guard: &mut Guard, passed: &mut Passed, decide: &dyn Fn(&ToolCall) -> Option<String>) {
    while let Some(piece) = guard.next() {
        match piece {
            Piece::Event(event) => passed.events.push(event),
            Piece::Text { event, text } => {
                passed.events.push(event);
                passed.texts.push(text);
            }
            Piece::Call(held) => {
                passed.calls.push(held.call.clone());
                passed.events.extend(match decide(&held.call) {
                    None => guard.allow(held),
                    Some(words) => guard.refuse(held, &words),
                });
            }
        }
    }
}

/// Guards a stream that ends after `events`.
pub(super) fn run(
    guard: &mut Guard,
    events: &[Event],
    decide: &dyn Fn(&ToolCall) -> Option<String>,
) -> Result<Passed, Malformed> {
    let mut passed = Passed::default();
    for event in events {
        guard.feed(event.clone())?;
        take(guard, &mut passed, decide);
    }
    guard.finish();
    take(guard, &mut passed, decide);
    Ok(passed)
}

fn refuse(names: &'static [&'static str]) -> impl Fn(&ToolCall) -> Option<String> {
    move |call| names.contains(&call.name.as_str()).then(|| format!("[refused {}]", call.name))
}

pub(super) fn pass(events: &[Event], refused: &'static [&'static str]) -> Passed {
    run(&mut Guard::default(), events, &refuse(refused)).unwrap()
}

fn values(events: &[Event]) -> Vec<Value> {
    events.iter().map(|event| serde_json::from_str(&event.data).unwrap_or(Value::Null)).collect()
}

#[test]
fn allowed_answer_passes_as_it_came() {
    let passed = pass(&two_calls(), &[]);
    assert_eq!(passed.events, two_calls());
    assert_eq!(passed.texts, ["Both files.", "Let me ", "look."]);
    assert_eq!(
        passed.calls,
        [call("call_a", "file_read", "{\"path\":\"a.txt\"}"), call("call_b", "shell", "{\"command\":\"ls\"}")]
    );
}

#[test]
fn text_passes_at_once_and_calls_wait_for_their_end() {
    let mut guard = Guard::default();
    let mut passed = Passed::default();
    for (event, count) in two_calls().into_iter().zip([1, 2, 3, 4, 4, 4, 4, 4, 4, 10, 11, 12]) {
        guard.feed(event).unwrap();
        take(&mut guard, &mut passed, &|_| None);
        assert_eq!(passed.events.len(), count);
    }
}

#[test]
fn facts_are_as_the_provider_says() {
    let mut guard = Guard::new(true);
    run(&mut guard, &two_calls(), &refuse(&["file_read", "shell"])).unwrap();
    let facts = guard.facts();
    assert_eq!(facts.model.as_deref(), Some("gpt-4o-2024-08-06"));
    assert_eq!(facts.usage, Some(Usage { input: 82, output: 17, cached: 64, reasoning: 5, surcharge: 0 }));
    assert_eq!(facts.stop, Some(Stop::ToolCalls));
    assert!(facts.complete);
    let mut guard = Guard::default();
    run(&mut guard, &two_calls()[..11], &|_| None).unwrap();
    assert!(!guard.facts().complete);
}

#[test]
fn hidden_usage_is_left_out() {
    let mut expected = two_calls();
    expected.remove(10);
    assert_eq!(run(&mut Guard::new(true), &two_calls(), &|_| None).unwrap().events, expected);
}

#[test]
fn refused_call_becomes_text_and_the_next_takes_its_index() {
    let events = values(&pass(&two_calls(), &["file_read"]).events);
    let mut expected = values(&two_calls());
    expected[4]["choices"][0]["delta"] = json!({"content": "\n[refused file_read]"});
    expected.drain(5..7);
    for event in &mut expected[5..7] {
        event["choices"][0]["delta"]["tool_calls"][0]["index"] = json!(0);
    }
    assert_eq!(events, expected);
}

#[test]
fn answer_without_calls_left_ends_ordinarily() {
    let events = values(&pass(&two_calls(), &["file_read", "shell"]).events);
    let mut expected = values(&two_calls());
    expected[4]["choices"][0]["delta"] = json!({"content": "\n[refused file_read]"});
    expected[7]["choices"][0]["delta"] = json!({"content": "\n[refused shell]"});
    expected[9]["choices"][0]["finish_reason"] = json!("stop");
    let kept = [0, 1, 2, 3, 4, 7, 9, 10, 11].map(|place| expected[place].clone());
    assert_eq!(events, kept);
}

#[test]
fn role_in_the_event_of_a_refused_call_stays() {
    let entry = json!({"index": 0, "id": "a", "type": "function", "function": {"name": "shell", "arguments": "{}"}});
    let events =
        [chunk(0, json!({"role": "assistant", "content": null, "tool_calls": [entry]}), Some("tool_calls")), done()];
    let expected = chunk(0, json!({"role": "assistant", "content": "[refused shell]"}), Some("stop"));
    assert_eq!(values(&pass(&events, &["shell"]).events), values(&[expected, done()]));
}

#[test]
fn interleaved_calls_are_told_apart() {
    let both = json!([{"index": 0, "function": {"arguments": "1}"}}, {"index": 1, "function": {"arguments": "2}"}}]);
    let events = [
        begin(0, "a", "file_read"),
        begin(1, "b", "shell"),
        more(1, "{\"b\":"),
        more(0, "{\"a\":"),
        chunk(0, json!({"content": "…", "tool_calls": both}), None),
        chunk(0, json!({}), Some("tool_calls")),
        done(),
    ];
    let allowed = pass(&events, &[]);
    assert_eq!(allowed.events, events);
    assert_eq!(allowed.calls, [call("a", "file_read", "{\"a\":1}"), call("b", "shell", "{\"b\":2}")]);
    assert_eq!(allowed.texts, ["…"]);
    let refused = values(&pass(&events, &["file_read"]).events);
    let rest = json!({"content": "…", "tool_calls": [{"index": 0, "function": {"arguments": "2}"}}]});
    assert_eq!(
        refused.iter().map(|event| &event["choices"][0]["delta"]).collect::<Vec<_>>(),
        [
            &json!({"content": "[refused file_read]"}),
            &values(&[begin(0, "b", "shell")])[0]["choices"][0]["delta"],
            &values(&[more(0, "{\"b\":")])[0]["choices"][0]["delta"],
            &rest,
            &json!({}),
            &Value::Null,
        ]
    );
}

#[test]
fn every_choice_is_guarded() {
    let in_choice = |choice: u64, event: Event| {
        let mut body: Value = serde_json::from_str(&event.data).unwrap();
        body["choices"][0]["index"] = json!(choice);
        Event::json(None, &body)
    };
    let events = [
        in_choice(1, begin(0, "b", "shell")),
        chunk(0, json!({"content": "Hi"}), None),
        begin(0, "a", "file_read"),
        in_choice(1, more(0, "{}")),
        chunk(1, json!({}), Some("tool_calls")),
        chunk(0, json!({}), Some("tool_calls")),
        done(),
    ];
    assert_eq!(pass(&events, &[]).events, events);
    let passed = pass(&events, &["shell"]);
    assert_eq!(passed.calls.len(), 2);
    let said = chunk(1, json!({"content": "[refused shell]"}), None);
    let expected =
        [said, events[1].clone(), events[2].clone(), chunk(1, json!({}), Some("stop")), events[5].clone(), done()];
    assert_eq!(values(&passed.events), values(&expected));
}

#[test]
fn legacy_function_call_is_guarded() {
    let events = [
        chunk(
            0,
            json!({"role": "assistant", "content": null, "function_call": {"name": "shell", "arguments": ""}}),
            None,
        ),
        chunk(0, json!({"function_call": {"arguments": "{}"}}), None),
        chunk(0, json!({}), Some("function_call")),
        done(),
    ];
    let allowed = pass(&events, &[]);
    assert_eq!(allowed.events, events);
    assert_eq!(allowed.calls, [call("shell", "shell", "{}")]);
    let expected = [
        chunk(0, json!({"role": "assistant", "content": "[refused shell]"}), None),
        chunk(0, json!({}), Some("stop")),
        done(),
    ];
    assert_eq!(values(&pass(&events, &["shell"]).events), values(&expected));
}

#[test]
fn custom_tool_call_is_guarded() {
    let entry = json!({"index": 0, "id": "a", "type": "custom", "custom": {"name": "shell", "input": "ls"}});
    let events = [chunk(0, json!({"tool_calls": [entry]}), Some("tool_calls")), done()];
    let passed = pass(&events, &["shell"]);
    assert_eq!(passed.calls, [call("a", "shell", "ls")]);
    assert!(passed.events.iter().all(|event| !event.data.contains("tool_calls")));
}

#[test]
fn calls_that_share_an_index_get_their_own() {
    let whole = |id: &str, name: &str| {
        let function = json!({"name": name, "arguments": "{}"});
        chunk(0, json!({"tool_calls": [{"index": 0, "id": id, "type": "function", "function": function}]}), None)
    };
    let events = [whole("a", "file_read"), whole("b", "shell"), chunk(0, json!({}), Some("tool_calls")), done()];
    let passed = pass(&events, &[]);
    assert_eq!(passed.calls, [call("a", "file_read", "{}"), call("b", "shell", "{}")]);
    let indices: Vec<Value> = values(&passed.events)[..2]
        .iter()
        .map(|event| event["choices"][0]["delta"]["tool_calls"][0]["index"].clone())
        .collect();
    assert_eq!(indices, [json!(0), json!(1)]);
}

#[test]
fn name_said_twice_reaches_the_agent_once() {
    let events = [begin(0, "a", "aa"), begin(0, "a", "aa"), chunk(0, json!({}), Some("tool_calls")), done()];
    let passed = pass(&events, &[]);
    assert_eq!(passed.calls, [call("a", "aa", "")]);
    let second = &values(&passed.events)[1]["choices"][0]["delta"]["tool_calls"][0];
    assert_eq!(*second, json!({"index": 0, "type": "function", "function": {"arguments": ""}}));
}

#[test]
fn text_after_a_call_waits_for_it() {
    let events = [
        begin(0, "a", "shell"),
        chunk(0, json!({"content": "after"}), None),
        chunk(0, json!({}), Some("tool_calls")),
        done(),
    ];
    let mut guard = Guard::default();
    guard.feed(events[0].clone()).unwrap();
    guard.feed(events[1].clone()).unwrap();
    assert!(guard.next().is_none());
    assert_eq!(pass(&events, &[]).events, events);
}

#[test]
fn call_left_without_a_decision_never_passes() {
    let mut guard = Guard::default();
    let mut events = Vec::new();
    for event in two_calls() {
        guard.feed(event).unwrap();
        while let Some(piece) = guard.next() {
            match piece {
                Piece::Event(event) | Piece::Text { event, .. } => events.push(event),
                Piece::Call(held) => drop(held),
            }
        }
    }
    assert!(events.iter().all(|event| !event.data.contains("tool_calls\"")));
    assert!(events[4].data.contains("\"finish_reason\":\"stop\""));
}

#[test]
fn late_decision_changes_nothing() {
    let mut guard = Guard::default();
    two_calls().into_iter().for_each(|event| guard.feed(event).unwrap());
    let mut held: Vec<HeldCall> = Vec::new();
    let mut count = 0;
    while let Some(piece) = guard.next() {
        match piece {
            Piece::Call(call) => held.push(call),
            Piece::Event(event) | Piece::Text { event, .. } => {
                assert!(!event.data.contains("shell"));
                held.drain(..).for_each(|call| assert_eq!(guard.allow(call), []));
                count += 1;
            }
        }
    }
    assert_eq!(count, 7);
}

#[test]
fn call_that_is_cut_off_never_passes() {
    let passed = pass(&two_calls()[..9], &[]);
    assert_eq!(passed.calls, []);
    assert_eq!(passed.events, two_calls()[..4]);
    let complete = pass(&two_calls()[..10], &[]);
    assert_eq!(complete.events, two_calls()[..10], "its choice has ended");
}

#[test]
fn call_ends_with_the_answer_where_no_reason_comes() {
    let mut events = two_calls();
    events.remove(9);
    assert_eq!(pass(&events, &[]).events, events);
}

#[test]
fn answer_cut_before_it_began_is_whole() {
    let events = Guard::default().cut("[cut]");
    let deltas: Vec<Value> = values(&events).iter().map(|event| event["choices"][0]["delta"].clone()).collect();
    assert_eq!(deltas, [json!({"role": "assistant", "content": "[cut]"}), json!({}), Value::Null]);
    assert!(events[1].data.contains("\"finish_reason\":\"stop\""));
    assert_eq!(events[2], done());
}

#[test]
fn answer_cut_in_its_text_ends_with_the_words() {
    let mut guard = Guard::default();
    let mut passed = Passed::default();
    for event in &two_calls()[..5] {
        guard.feed(event.clone()).unwrap();
        take(&mut guard, &mut passed, &|_| None);
    }
    let events = values(&guard.cut("[cut]"));
    assert_eq!(events[0]["id"], "chatcmpl-B9");
    assert_eq!(events[0]["choices"][0]["delta"], json!({"content": "\n[cut]"}));
    assert_eq!(events[1]["choices"][0]["finish_reason"], "stop");
    assert_eq!(events.len(), 3);
    assert!(guard.feed(begin(1, "b", "shell")).is_ok());
    assert!(guard.next().is_none());
    assert_eq!(guard.cut("again"), []);
}

#[test]
fn cut_answer_keeps_its_usage() {
    let mut guard = Guard::default();
    two_calls().into_iter().for_each(|event| guard.feed(event).unwrap());
    let events = guard.cut("[cut]");
    assert_eq!(events.len(), 4);
    let used: Value = serde_json::from_str(&events[2].data).unwrap();
    assert_eq!(used["choices"], json!([]));
    assert_eq!(used["usage"]["total_tokens"], 99);
    let mut guard = Guard::new(true);
    two_calls().into_iter().for_each(|event| guard.feed(event).unwrap());
    assert_eq!(guard.cut("[cut]").len(), 3);
}

#[test]
fn answer_that_is_over_cannot_be_cut() {
    let mut guard = Guard::default();
    run(&mut guard, &two_calls(), &|_| None).unwrap();
    assert_eq!(guard.cut("[cut]"), []);
}

#[test]
fn ended_choice_is_not_ended_again() {
    let mut guard = Guard::default();
    run(
        &mut guard,
        &[chunk(0, json!({"content": "a"}), Some("stop")), chunk(1, json!({"content": "b"}), None)],
        &|_| None,
    )
    .unwrap();
    let events = values(&guard.cut("[cut]"));
    assert_eq!(events.len(), 3);
    assert_eq!(events[0]["choices"][0]["index"], 1);
    let mut guard = Guard::default();
    run(&mut guard, &[chunk(0, json!({"content": "a"}), Some("stop")), usage()], &|_| None).unwrap();
    let events = values(&guard.cut("[cut]"));
    assert_eq!(events.len(), 2, "words, and the last event");
    assert_eq!(events[0]["choices"][0]["delta"], json!({"content": "\n[cut]"}));
}
