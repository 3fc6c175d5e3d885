use serde_json::json;

use crate::chat::{Reader, Writer};
use crate::sse::Event;
use crate::{Delta, Malformed, Stop, StreamReader, StreamWriter, Usage};

use super::{begin, chunk, done, more, two_calls, usage};

fn read(events: &[Event]) -> Result<Vec<Delta>, Malformed> {
    let mut reader = Reader::default();
    let mut deltas = Vec::new();
    for event in events {
        deltas.extend(reader.read(event)?);
    }
    Ok(deltas)
}

fn start(index: usize, id: &str, name: &str) -> Delta {
    Delta::CallStart { index, id: id.to_owned(), name: name.to_owned() }
}

fn arguments(index: usize, json: &str) -> Delta {
    Delta::CallArguments { index, json: json.to_owned() }
}

#[test]
fn stream_with_thoughts_text_and_calls_is_read() {
    let expected = vec![
        Delta::Start { id: "chatcmpl-B9".to_owned(), model: "gpt-4o-2024-08-06".to_owned() },
        Delta::Reasoning("Both files.".to_owned()),
        Delta::Text("Let me ".to_owned()),
        Delta::Text("look.".to_owned()),
        start(0, "call_a", "file_read"),
        arguments(0, "{\"path\":"),
        arguments(0, "\"a.txt\"}"),
        start(1, "call_b", "shell"),
        arguments(1, "{\"command\":\"ls\"}"),
        Delta::Stop(Stop::ToolCalls),
        Delta::Usage(Usage { input: 82, output: 17, cached: 64, reasoning: 5, surcharge: 0 }),
        Delta::End,
    ];
    assert_eq!(read(&two_calls()), Ok(expected));
}

#[test]
fn parallel_calls_that_share_an_index_are_two() {
    let whole = |id: &str, path: &str| {
        let function = json!({"name": "file_read", "arguments": path});
        chunk(0, json!({"tool_calls": [{"index": 0, "id": id, "type": "function", "function": function}]}), None)
    };
    let deltas = read(&[whole("a", "{\"n\":1}"), whole("b", "{\"n\":2}")]).unwrap();
    assert_eq!(
        deltas[1..],
        [start(0, "a", "file_read"), arguments(0, "{\"n\":1}"), start(1, "b", "file_read"), arguments(1, "{\"n\":2}")]
    );
}

#[test]
fn calls_without_index_or_id_are_told_apart_by_their_names() {
    let entry = |name: &str| json!({"function": {"name": name, "arguments": "{}"}});
    let deltas = read(&[chunk(0, json!({"tool_calls": [entry("f"), entry("f")]}), Some("stop"))]).unwrap();
    assert_eq!(
        deltas[1..],
        [
            start(0, "call_chatcmpl-B9_0", "f"),
            arguments(0, "{}"),
            start(1, "call_chatcmpl-B9_1", "f"),
            arguments(1, "{}"),
            Delta::Stop(Stop::ToolCalls)
        ]
    );
}

#[test]
fn name_may_come_after_arguments() {
    let named = chunk(0, json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f"}}]}), None);
    let deltas = read(&[more(0, "{\"n\""), named.clone(), more(0, ":1}"), named]).unwrap();
    assert_eq!(deltas[1..], [start(0, "a", "f"), arguments(0, "{\"n\""), arguments(0, ":1}")]);
    assert!(read(&[more(0, "{}"), done()]).is_err(), "without a name");
}

#[test]
fn call_with_two_names_is_refused() {
    let error = read(&[begin(0, "a", "she"), begin(0, "a", "ll")]).unwrap_err();
    assert_eq!(error.to_string(), "names the tool call `she` a second time, `ll`");
}

#[test]
fn legacy_function_call_is_a_call() {
    let deltas = read(&[
        chunk(0, json!({"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": ""}}), None),
        chunk(0, json!({"function_call": {"arguments": "{}"}}), None),
        chunk(0, json!({}), Some("function_call")),
    ]);
    assert_eq!(
        deltas.unwrap()[1..],
        [start(0, "call_chatcmpl-B9_0", "f"), arguments(0, "{}"), Delta::Stop(Stop::ToolCalls)]
    );
}

#[test]
fn error_within_a_stream_is_told() {
    let event = Event { name: None, data: "{\"error\":{\"message\":\"overloaded\"}}".to_owned() };
    let error = read(&[event]).unwrap_err();
    assert_eq!(error.to_string(), "the provider ended the answer with an error: overloaded");
    assert!(read(&[Event { name: None, data: "oops".to_owned() }]).is_err());
    assert!(read(&[Event { name: None, data: "[]".to_owned() }]).is_err());
}

#[test]
fn nothing_is_read_after_the_end() {
    let end = [Delta::Start { id: String::new(), model: String::new() }, Delta::End];
    assert_eq!(read(&[done(), begin(0, "a", "f"), done()]).unwrap(), end);
}

#[test]
fn other_choices_are_left_out() {
    let deltas = read(&[chunk(1, json!({"content": "b"}), Some("stop")), chunk(0, json!({"content": "a"}), None)]);
    assert_eq!(deltas.unwrap()[1..], [Delta::Text("a".to_owned())]);
}

#[test]
fn stream_is_written() {
    let mut writer = Writer::default();
    let used = Usage { input: 3, output: 2, cached: 1, reasoning: 1, surcharge: 0 };
    let deltas = [
        Delta::Start { id: "msg_1".to_owned(), model: "m".to_owned() },
        Delta::Usage(Usage::default()),
        Delta::Reasoning("Hm.".to_owned()),
        Delta::Signature("x".to_owned()),
        Delta::Text("Yes.".to_owned()),
        start(0, "call_a", "f"),
        arguments(0, "{}"),
        Delta::Usage(used),
        Delta::Stop(Stop::ToolCalls),
        Delta::End,
        Delta::Text("late".to_owned()),
    ];
    let events: Vec<Event> = deltas.into_iter().flat_map(|delta| writer.write(delta)).collect();
    let body = |choices| json!({"id": "msg_1", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": choices});
    let event = |delta, finish: Option<&str>| {
        Event::json(None, &body(json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}])))
    };
    let mut used = body(json!([]));
    used["usage"] = json!({
        "prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 1}, "completion_tokens_details": {"reasoning_tokens": 1},
    });
    let entry = json!({"index": 0, "id": "call_a", "type": "function", "function": {"name": "f", "arguments": ""}});
    assert_eq!(
        events,
        [
            event(json!({"role": "assistant", "content": ""}), None),
            event(json!({"reasoning_content": "Hm."}), None),
            event(json!({"content": "Yes."}), None),
            event(json!({"tool_calls": [entry]}), None),
            event(json!({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}), None),
            event(json!({}), Some("tool_calls")),
            Event::json(None, &used),
            done(),
        ]
    );
}

#[test]
fn stream_without_a_reason_ends_all_the_same() {
    let mut writer = Writer::default();
    let events: Vec<Event> =
        [Delta::Text("a".to_owned()), Delta::End].into_iter().flat_map(|delta| writer.write(delta)).collect();
    assert_eq!(events.len(), 4);
    assert!(events[2].data.contains("\"finish_reason\":\"stop\""));
    assert_eq!(events[3], done());
    assert!(read(&[usage()]).is_ok());
}
