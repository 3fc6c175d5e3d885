use serde_json::{Value, json};

use super::super::{Reader, Writer};
use super::{Client, call, event, fold, read, transcript};
use crate::sse::Event;
use crate::{Delta, Part, Reasoning, Response, Stop, StreamReader, StreamWriter, Usage};

fn write(deltas: impl IntoIterator<Item = Delta>) -> Vec<Event> {
    let mut writer = Writer::default();
    deltas.into_iter().flat_map(|delta| writer.write(delta)).collect()
}

fn start() -> Delta {
    Delta::Start { id: "msg_1".into(), model: "m".into() }
}

fn call_start(index: usize, id: &str, name: &str) -> Delta {
    Delta::CallStart { index, id: id.into(), name: name.into() }
}

fn arguments(index: usize, json: &str) -> Delta {
    Delta::CallArguments { index, json: json.into() }
}

#[test]
fn transcript_is_read() {
    let deltas = read(&transcript());
    assert_eq!(
        fold(&deltas),
        Response {
            id: "msg_01Abc".into(),
            model: "claude-sonnet-4-5".into(),
            parts: vec![
                Part::Reasoning(Reasoning { text: "Two cities.".into(), signature: Some("EqQB".into()) }),
                Part::Text("I look both up.".into()),
                Part::Call(call("toolu_01", "weather", r#"{"city": "Bonn"}"#)),
                Part::Call(call("toolu_02", "clock", "{}")),
            ],
            stop: Stop::ToolCalls,
            usage: Some(Usage { input: 420, output: 89, cached: 300, reasoning: 0, surcharge: 100 }),
        }
    );
    let used: Vec<u64> = deltas
        .iter()
        .filter_map(|delta| if let Delta::Usage(usage) = delta { Some(usage.output) } else { None })
        .collect();
    assert_eq!(used, [1, 89], "use is known from the beginning on");
}

#[test]
fn arguments_at_the_beginning_of_a_call_are_read_once() {
    let begin = json!({"type": "content_block_start", "index": 0,
        "content_block": {"type": "tool_use", "id": "a", "name": "get", "input": {"x": 1}}});
    let end = json!({"type": "message_stop"});
    let said = read(&[event(begin.clone()), event(end.clone())]);
    assert_eq!(fold(&said).parts, [Part::Call(call("a", "get", r#"{"x":1}"#))]);
    let more = json!({"type": "content_block_delta", "index": 0,
        "delta": {"type": "input_json_delta", "partial_json": "{\"x\":2}"}});
    let replaced = read(&[event(begin), event(more), event(end)]);
    assert_eq!(fold(&replaced).parts, [Part::Call(call("a", "get", r#"{"x":2}"#))]);
}

#[test]
fn tools_of_the_provider_are_not_proposed_to_the_agent() {
    let events = [
        json!({"type": "content_block_start", "index": 0,
            "content_block": {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}}),
        json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "input_json_delta", "partial_json": "{\"query\":1}"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "content_block_start", "index": 1,
            "content_block": {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}}),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "message_stop"}),
    ];
    assert_eq!(fold(&read(&events.map(event))).parts, []);
}

#[test]
fn errors_of_the_provider_end_the_reading() {
    let mut reader = Reader::default();
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    assert_eq!(reader.read(&event(error)).unwrap_err().to_string(), "`error` Overloaded");
    let bad = |data: &str| Reader::default().read(&Event { name: None, data: data.into() });
    assert!(bad("{").is_err());
    assert!(bad("[1]").is_err());
    assert!(bad(r#"{"type":"content_block_start","index":0}"#).is_err());
    assert!(
        bad(r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"x"}}"#)
            .is_err()
    );
    assert_eq!(bad(r#"{"type":"ping"}"#), Ok(Vec::new()));
    assert_eq!(bad("[DONE]"), Ok(Vec::new()));
}

#[test]
fn nothing_is_read_or_written_after_the_end() {
    let mut events = transcript();
    events.extend(transcript());
    assert_eq!(read(&events).iter().filter(|delta| **delta == Delta::End).count(), 1);
    let mut writer = Writer::default();
    assert!(!writer.write(Delta::End).is_empty());
    assert_eq!(writer.write(Delta::Text("late".into())), []);
}

#[test]
fn written_stream_is_what_client_libraries_take() {
    let events = write([
        start(),
        Delta::Usage(Usage { input: 50, output: 0, cached: 20, reasoning: 0, surcharge: 0 }),
        Delta::Reasoning("hm".into()),
        Delta::Signature("sig".into()),
        Delta::Text("I ".into()),
        Delta::Text(String::new()),
        Delta::Text("look.".into()),
        call_start(0, "a", "get"),
        arguments(0, "{\"x\""),
        arguments(0, ":1}"),
        call_start(1, "b", "get"),
        Delta::Stop(Stop::ToolCalls),
        Delta::Usage(Usage { input: 50, output: 9, cached: 20, reasoning: 4, surcharge: 0 }),
        Delta::End,
    ]);
    let client = Client::of(&events);
    assert_eq!(
        client.content(),
        [
            json!({"type": "thinking", "thinking": "hm", "signature": "sig"}),
            json!({"type": "text", "text": "I look."}),
            json!({"type": "tool_use", "id": "a", "name": "get", "input": {"x": 1}}),
            json!({"type": "tool_use", "id": "b", "name": "get", "input": {}}),
        ]
    );
    assert_eq!(client.stop_reason(), "tool_use");
    let message = client.message.unwrap();
    assert_eq!((&message["id"], &message["model"]), (&json!("msg_1"), &json!("m")));
    assert_eq!(
        message["usage"],
        json!({"input_tokens": 30, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 20, "output_tokens": 9})
    );
}

#[test]
fn overlapping_calls_are_written_one_after_the_other() {
    let events = write([
        start(),
        call_start(0, "a", "get"),
        call_start(1, "b", "put"),
        arguments(1, "{\"y\":"),
        arguments(0, "{\"x\":"),
        Delta::Text("meanwhile".into()),
        arguments(1, "2}"),
        arguments(0, "1}"),
        Delta::Stop(Stop::ToolCalls),
        Delta::End,
    ]);
    assert_eq!(
        Client::of(&events).content(),
        [
            json!({"type": "tool_use", "id": "a", "name": "get", "input": {"x": 1}}),
            json!({"type": "tool_use", "id": "b", "name": "put", "input": {"y": 2}}),
            json!({"type": "text", "text": "meanwhile"}),
        ]
    );
}

#[test]
fn what_follows_a_complete_call_does_not_wait() {
    let mut writer = Writer::default();
    for delta in [start(), call_start(0, "a", "get"), arguments(0, "{}")] {
        writer.write(delta);
    }
    let events = writer.write(call_start(1, "b", "get"));
    assert_eq!(events.len(), 2, "{events:?}");
}

#[test]
fn stop_reason_fits_the_calls_of_a_stream() {
    let reason = |deltas: Vec<Delta>| Client::of(&write(deltas)).stop_reason().to_owned();
    assert_eq!(reason(vec![start(), call_start(0, "a", "get"), Delta::Stop(Stop::End), Delta::End]), "tool_use");
    assert_eq!(reason(vec![start(), Delta::Stop(Stop::ToolCalls), Delta::End]), "end_turn");
    assert_eq!(reason(vec![Delta::End]), "end_turn");
}

#[test]
fn answer_without_a_beginning_gets_one() {
    let bare = [json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}})];
    let deltas = Reader::default().read(&event(bare[0].clone())).unwrap();
    assert_eq!(deltas, [Delta::Start { id: String::new(), model: String::new() }, Delta::Text("x".into())]);
    let events = write([Delta::Text("x".into()), Delta::End]);
    assert_eq!(Client::of(&events).content(), [json!({"type": "text", "text": "x"})]);
    let first: Value = serde_json::from_str(&events[0].data).unwrap();
    assert_eq!(first["type"], "message_start");
}

#[test]
fn what_waits_for_a_call_does_not_make_its_arguments_be_parsed_again() {
    use crate::StreamWriter as _;
    let mut writer = crate::messages::Writer::default();
    writer.write(Delta::CallStart { index: 0, id: "a".into(), name: "f".into() });
    writer.write(Delta::CallArguments { index: 0, json: format!("[\"{}", "x".repeat(1 << 22)) });
    for index in 1..4000 {
        writer.write(Delta::CallStart { index, id: index.to_string(), name: "f".into() });
        writer.write(Delta::Text("x".into()));
        writer.write(Delta::CallArguments { index, json: "{}".into() });
    }
    let events = writer.write(Delta::End);
    assert_eq!(events.iter().filter(|event| event.data.contains("tool_use\",\"id")).count(), 3999);
}
