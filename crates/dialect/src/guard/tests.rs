//! What holds for the guards of all dialects.

use serde_json::json;

use super::*;
use crate::Dialect;

const AGENTS: [Dialect; 3] = [Dialect::Chat, Dialect::Responses, Dialect::Messages];

fn guard(dialect: Dialect) -> Box<dyn StreamGuard> {
    dialect.stream_guard(false).unwrap()
}

fn event(body: &Value) -> Event {
    Event { name: None, data: body.to_string() }
}

/// The events that begin a call.
fn call(dialect: Dialect) -> Vec<Event> {
    let bodies = match dialect {
        Dialect::Chat => vec![json!({"choices": [{"index": 0, "delta": {"tool_calls": [
            {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]}}]})],
        Dialect::Responses => vec![json!({"type": "response.output_item.added", "output_index": 0, "item":
            {"type": "function_call", "id": "fc_1", "call_id": "a", "name": "f", "arguments": ""}})],
        Dialect::Messages | Dialect::Gemini => vec![
            json!({"type": "message_start", "message": {"content": []}}),
            json!({"type": "content_block_start", "index": 0, "content_block":
                {"type": "tool_use", "id": "a", "name": "f", "input": {}}}),
        ],
    };
    bodies.iter().map(event).collect()
}

fn out(guard: &mut dyn StreamGuard) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(piece) = guard.next() {
        match piece {
            Piece::Event(event) | Piece::Text { event, .. } => events.push(event),
            Piece::Call(held) => events.extend(guard.allow(held)),
        }
    }
    events
}

#[test]
fn events_that_wait_for_a_call_count_even_if_nothing_is_in_them() {
    for dialect in AGENTS {
        let mut guard = guard(dialect);
        call(dialect).into_iter().for_each(|event| guard.feed(event).unwrap());
        out(guard.as_mut());
        let ping = Event { name: Some("ping".to_owned()), data: "{\"type\":\"ping\"}".to_owned() };
        let fed = (0..MAX_HELD_BYTES / EVENT_COST).take_while(|_| guard.feed(ping.clone()).is_ok()).count();
        assert!(fed > 1000 && fed < MAX_HELD_BYTES / EVENT_COST, "{dialect:?}: {fed}");
    }
}

#[test]
fn events_that_wait_before_an_answer_begins_count() {
    for dialect in AGENTS {
        let mut guard = guard(dialect);
        let ping = event(&json!({"type": "ping"}));
        assert!((0..MAX_HELD_BYTES / EVENT_COST).any(|_| guard.feed(ping.clone()).is_err()), "{dialect:?}");
    }
}

#[test]
fn events_that_are_taken_at_once_do_not_count() {
    for dialect in AGENTS {
        let mut guard = guard(dialect);
        let ping = event(&json!({"type": "ping", "x": "x".repeat(1 << 20)}));
        for _ in 0..18 {
            guard.feed(ping.clone()).unwrap();
            assert_eq!(out(guard.as_mut()), std::slice::from_ref(&ping), "{dialect:?}");
        }
    }
}

#[test]
fn events_without_data_are_left_out() {
    for dialect in AGENTS {
        let mut guard = guard(dialect);
        for data in ["", " ", "\n\n"] {
            guard.feed(Event { name: Some("ping".to_owned()), data: data.to_owned() }).unwrap();
        }
        assert_eq!(out(guard.as_mut()), [], "{dialect:?}");
    }
}

#[test]
fn what_passes_is_one_line_with_each_key_once() {
    for dialect in AGENTS {
        let mut guard = guard(dialect);
        let data = "{\"type\": \"ping\", \"x\": {\"tool_calls\": [{\"name\": \"rm\"}], \n\"tool_calls\":\r\nnull}, \"y\": 1.0}";
        guard.feed(Event { name: None, data: data.to_owned() }).unwrap();
        let expected = "{\"type\":\"ping\",\"x\":{\"tool_calls\":null},\"y\":1.0}";
        assert_eq!(out(guard.as_mut())[0].data, expected, "{dialect:?}");
    }
}

#[test]
fn a_name_that_could_be_read_as_two_lines_does_not_pass() {
    for dialect in AGENTS {
        for name in ["ping\u{2028}data: {}", "ping\u{85}", "ping data", "\u{4f60}", "Ping"] {
            let mut guard = guard(dialect);
            let fed = guard.feed(Event { name: Some(name.to_owned()), data: "{\"x\":1}".to_owned() });
            match dialect {
                // Its events have no names.
                Dialect::Chat => assert_eq!(out(guard.as_mut()), [Event { name: None, data: "{\"x\":1}".to_owned() }]),
                _ => assert!(fed.is_err(), "{dialect:?}: {name}"),
            }
        }
    }
}

#[test]
fn keys_that_some_readers_take_for_others_do_not_pass() {
    let block = |block: Value| json!({"type": "content_block_start", "index": 0, "content_block": block});
    let item = |item: Value| json!({"type": "response.output_item.added", "output_index": 0, "item": item});
    for (dialect, body) in [
        (Dialect::Messages, block(json!({"type": "text", "Type": "tool_use", "text": ""}))),
        (Dialect::Messages, block(json!({"type": "tool_use", "id": "a", "name": "f", "Input": {}, "input": {}}))),
        (Dialect::Messages, json!({"type": "ping", "Type": "content_block_start", "content_block": {}})),
        (Dialect::Messages, json!({"type": "ping", "\u{17f}": 1})),
        (Dialect::Messages, json!({"type": "ping", "x": {"Name": "f", "INPUT": {}}})),
        (Dialect::Responses, item(json!({"type": "message", "Type": "function_call", "content": []}))),
        (Dialect::Responses, item(json!({"type": "function_call", "name": "f", "Name": "rm", "arguments": ""}))),
        (Dialect::Responses, json!({"type": "response.x", "Item": {}})),
        (Dialect::Responses, json!({"type": "response.x", "x": {"Name": "f", "Arguments": ""}})),
    ] {
        let mut guard = guard(dialect);
        call(dialect)
            .into_iter()
            .take(usize::from(dialect == Dialect::Messages))
            .for_each(|event| guard.feed(event).unwrap());
        assert!(guard.feed(event(&body)).is_err(), "{dialect:?}: {body}");
    }
}

#[test]
fn whole_answers_have_bounds() {
    let chat = |calls: usize| {
        let call = json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": ""}});
        json!({"choices": [{"message": {"tool_calls": vec![call; calls]}}]})
    };
    let responses = |calls: usize| json!({"output": vec![json!({"type": "function_call", "call_id": "a", "name": "f", "arguments": ""}); calls]});
    let messages = |calls: usize| json!({"content": vec![json!({"type": "tool_use", "id": "a", "name": "f", "input": {}}); calls]});
    for (dialect, body) in [
        (Dialect::Chat, &chat as &dyn Fn(usize) -> Value),
        (Dialect::Responses, &responses),
        (Dialect::Messages, &messages),
    ] {
        assert_eq!(dialect.whole_guard(body(MAX_CALLS)).unwrap().calls().len(), MAX_CALLS);
        assert!(dialect.whole_guard(body(MAX_CALLS + 1)).is_err(), "{dialect:?}");
    }
    let message =
        json!({"type": "message", "content": vec![json!({"type": "output_text", "text": "x"}); MAX_ITEMS + 1]});
    for (dialect, body) in [
        (Dialect::Chat, json!({"choices": vec![json!({"message": {}}); 129]})),
        (Dialect::Responses, json!({"output": vec![json!({"type": "message"}); MAX_ITEMS + 1]})),
        (Dialect::Responses, json!({"output": [message]})),
        (Dialect::Messages, json!({"content": vec![json!({"type": "text", "text": ""}); MAX_ITEMS + 1]})),
    ] {
        assert!(dialect.whole_guard(body).is_err(), "{dialect:?}");
    }
}

#[test]
fn streams_have_at_most_so_many_calls_and_blocks() {
    let mut messages = guard(Dialect::Messages);
    messages.feed(call(Dialect::Messages).remove(0)).unwrap();
    let mut fed = 0;
    let failed = (0..=MAX_ITEMS).find_map(|index| {
        let begin =
            json!({"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}});
        let result = messages.feed(event(&begin));
        out(messages.as_mut());
        fed = index;
        result.err()
    });
    assert_eq!((failed.unwrap().to_string(), fed), (format!("has more than {MAX_ITEMS} content blocks"), MAX_ITEMS));

    let mut responses = guard(Dialect::Responses);
    let failed = (0..=MAX_CALLS).find_map(|index| {
        let item = json!({"type": "function_call", "id": "x", "call_id": "a", "name": "f", "arguments": ""});
        responses.feed(event(&json!({"type": "response.output_item.added", "output_index": index, "item": item}))).err()
    });
    assert_eq!(failed.unwrap().to_string(), format!("has more than {MAX_CALLS} tool calls"));
}
