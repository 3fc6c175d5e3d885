//! Properties: what is written is read again, and nothing that a provider or an agent sends panics or slips by.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::chat::{
    Guard, Reader, Whole, Writer, read_error, read_request, read_response, retarget, write_request, write_response,
};
use crate::guard::{StreamGuard, WholeGuard};
use crate::sse::Event;
use crate::{
    Choice, Delta, Effort, Format, Image, Message, Part, Reasoning, Request, Response, Role, Stop, StreamReader,
    StreamWriter, Tool, ToolCall, ToolResult, Usage,
};

use super::guard::run;

fn text() -> impl Strategy<Value = String> {
    "[ -~\u{e9}\u{4f60}\n]{1,12}"
}

fn word() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9_]{0,8}"
}

fn image() -> impl Strategy<Value = Part> {
    let data = ("image/[a-z]{3}", "[A-Za-z0-9+/]{0,8}=?");
    prop_oneof![
        "https://[a-z]{1,5}/[a-z;,]{0,5}".prop_map(Image::Url),
        data.prop_map(|(media_type, base64)| Image::Data { media_type, base64 }),
    ]
    .prop_map(Part::Image)
}

fn call() -> impl Strategy<Value = ToolCall> {
    (word(), word(), text()).prop_map(|(id, name, arguments)| ToolCall { id, name, arguments })
}

/// Thoughts, a text and calls, as one message of an assistant can have them.
fn said() -> impl Strategy<Value = Vec<Part>> {
    let thoughts = proptest::option::of(text());
    (thoughts, proptest::option::of(text()), proptest::collection::vec(call(), 0..4)).prop_map(
        |(thoughts, said, calls)| {
            let thoughts = thoughts.map(|text| Part::Reasoning(Reasoning { text, signature: None }));
            let said = said.map(Part::Text);
            thoughts.into_iter().chain(said).chain(calls.into_iter().map(Part::Call)).collect()
        },
    )
}

fn message() -> impl Strategy<Value = Message> {
    let mixed = proptest::collection::vec(prop_oneof![text().prop_map(Part::Text), image()], 0..4);
    let pictured = (mixed, image()).prop_map(|(mut parts, image)| {
        parts.push(image);
        Message { role: Role::User, parts }
    });
    prop_oneof![
        text().prop_map(|text| Message::text(Role::System, text)),
        text().prop_map(|text| Message::text(Role::User, text)),
        pictured,
        said().prop_map(|parts| Message { role: Role::Assistant, parts }),
    ]
}

/// Messages, with results after some of them.
fn messages() -> impl Strategy<Value = Vec<Message>> {
    let result = (word(), text())
        .prop_map(|(id, text)| Part::Result(ToolResult { id, parts: vec![Part::Text(text)], failed: false }));
    let results = proptest::collection::vec(result, 0..3);
    proptest::collection::vec((message(), results), 0..5).prop_map(|pairs| {
        let results = |parts| Message { role: Role::User, parts };
        let pairs = pairs.into_iter().flat_map(|(message, parts)| [message, results(parts)]);
        pairs
            .enumerate()
            .filter(|(place, message)| place % 2 == 0 || !message.parts.is_empty())
            .map(|(_, all)| all)
            .collect()
    })
}

fn tool() -> impl Strategy<Value = Tool> {
    let parameters = word().prop_map(|name| json!({"type": "object", "properties": {name: {"type": "string"}}}));
    (word(), "[a-z ]{0,9}", parameters).prop_map(|(name, description, parameters)| Tool {
        name,
        description,
        parameters,
    })
}

fn request() -> impl Strategy<Value = Request> {
    let choice =
        prop_oneof![Just(Choice::Auto), Just(Choice::None), Just(Choice::Required), word().prop_map(Choice::Named)];
    let schema = (word(), any::<bool>()).prop_map(|(name, strict)| {
        let schema = json!({"type": "object"});
        Format::Schema { name, schema, strict }
    });
    let format = prop_oneof![Just(Format::Json), schema];
    let effort = prop_oneof![Just(Effort::Minimal), Just(Effort::Low), Just(Effort::Medium), Just(Effort::High)];
    let numbers = (any::<Option<u64>>(), proptest::option::of(0.0..2.0), proptest::option::of(0.0..1.0));
    let words = (
        proptest::option::of(choice),
        proptest::option::of(format),
        proptest::option::of(effort),
        any::<Option<bool>>(),
        any::<bool>(),
    );
    let model = prop_oneof![word(), Just("openai/gpt-5-mini".to_owned())];
    let stop = proptest::collection::vec(text(), 0..3);
    (model, messages(), proptest::collection::vec(tool(), 0..3), numbers, words, stop).prop_map(
        |(model, messages, tools, (max_output, temperature, top_p), words, stop)| {
            let (choice, format, effort, parallel_calls, stream) = words;
            Request {
                model,
                messages,
                tools,
                choice,
                parallel_calls,
                max_output,
                temperature,
                top_p,
                stop,
                format,
                effort,
                stream,
            }
        },
    )
}

fn used() -> impl Strategy<Value = Usage> {
    (0..u64::from(u32::MAX), 0..u64::from(u32::MAX), any::<u16>(), any::<u16>()).prop_map(
        |(input, output, cached, reasoning)| Usage {
            input,
            output,
            cached: cached.into(),
            reasoning: reasoning.into(),
            surcharge: 0,
        },
    )
}

/// Why an answer ends, as far as this dialect can say it.
fn stop(called: bool) -> impl Strategy<Value = Stop> {
    let ordinary = if called { Stop::ToolCalls } else { Stop::End };
    prop_oneof![Just(ordinary), Just(Stop::Length), Just(Stop::Filtered)]
}

fn response() -> impl Strategy<Value = Response> {
    (word(), word(), said(), proptest::option::of(used())).prop_flat_map(|(id, model, parts, usage)| {
        let called = parts.iter().any(|part| matches!(part, Part::Call(_)));
        stop(called).prop_map(move |stop| Response {
            id: id.clone(),
            model: model.clone(),
            parts: parts.clone(),
            stop,
            usage,
        })
    })
}

/// A whole streamed answer, its calls one after the other or interleaved.
fn deltas() -> impl Strategy<Value = Vec<Delta>> {
    let words =
        proptest::collection::vec(prop_oneof![text().prop_map(Delta::Text), text().prop_map(Delta::Reasoning)], 0..6);
    let calls = proptest::collection::vec(call(), 0..4);
    (words, calls, any::<bool>(), proptest::option::of(used())).prop_flat_map(|(words, calls, interleaved, usage)| {
        stop(!calls.is_empty()).prop_map(move |stop| {
            let mut deltas = vec![Delta::Start { id: "id".to_owned(), model: "m".to_owned() }];
            deltas.extend(words.clone());
            let mut later = Vec::new();
            for (index, call) in calls.iter().enumerate() {
                deltas.push(Delta::CallStart { index, id: format!("{}{index}", call.id), name: call.name.clone() });
                let arguments = call.arguments.chars().map(|c| Delta::CallArguments { index, json: c.to_string() });
                if interleaved { later.extend(arguments) } else { deltas.extend(arguments) }
            }
            deltas.extend(later);
            deltas.push(Delta::Stop(stop));
            deltas.extend(usage.map(Delta::Usage));
            deltas.push(Delta::End);
            deltas
        })
    })
}

fn write(deltas: &[Delta]) -> Vec<Event> {
    let mut writer = Writer::default();
    deltas.iter().flat_map(|delta| writer.write(delta.clone())).collect()
}

fn read(events: &[Event]) -> Vec<Delta> {
    let mut reader = Reader::default();
    events.iter().flat_map(|event| reader.read(event).unwrap()).collect()
}

/// JSON whose fields are those that this dialect looks at, in any wrong place.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-1i64..3).prop_map(Value::from),
        prop_oneof![Just("assistant"), Just("tool"), Just("stop"), Just("tool_calls"), Just("f"), Just("")]
            .prop_map(Value::from),
        Just(json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}})),
        Just(json!({"delta": {"tool_calls": [{"index": 1, "function": {"name": "g"}}]}, "finish_reason": "stop"})),
        Just(json!({"message": {"role": "assistant", "function_call": {"name": "h"}}})),
    ];
    let key = prop::sample::select(vec![
        "choices",
        "delta",
        "message",
        "messages",
        "tool_calls",
        "function_call",
        "function",
        "custom",
        "name",
        "arguments",
        "input",
        "index",
        "id",
        "type",
        "content",
        "text",
        "role",
        "finish_reason",
        "usage",
        "prompt_tokens",
        "model",
        "error",
        "tools",
        "functions",
        "tool_choice",
        "stop",
        "response_format",
        "stream",
        "stream_options",
        "image_url",
        "reasoning_content",
        "reasoning_details",
        "thinking",
        "audio",
        "refusal",
        "max_tokens",
        "Tool_Calls",
    ]);
    leaf.prop_recursive(6, 64, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((key.clone(), inner), 0..6).prop_map(|fields| fields
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect::<Map<_, _>>()
                .into()),
        ]
    })
}

/// An event that may be a chunk.
fn event() -> impl Strategy<Value = Event> {
    let finish = prop_oneof![Just(Value::Null), Just(json!("tool_calls")), Just(json!("stop"))];
    let entry = (0..3u64, proptest::option::of(0..2u8), proptest::option::of(prop_oneof![Just("f"), Just("g")])).prop_map(|(index, id, name)| {
        json!({"index": index, "id": id.map(|id| format!("c{id}")), "function": {"name": name, "arguments": "1"}})
    });
    let delta = prop_oneof![
        proptest::collection::vec(entry, 0..3).prop_map(|entries| json!({"tool_calls": entries})),
        Just(json!({"content": "x"})),
        Just(json!({"function_call": {"name": "h", "arguments": ""}})),
        Just(json!({})),
        json(),
    ];
    let choice = (0..2u64, delta, finish)
        .prop_map(|(index, delta, finish)| json!({"index": index, "delta": delta, "finish_reason": finish}));
    let chunk = proptest::collection::vec(choice, 0..3).prop_map(|choices| json!({"choices": choices}).to_string());
    prop_oneof![8 => chunk, 1 => json().prop_map(|value| value.to_string()), 1 => Just("[DONE]".to_owned()), 1 => ".{0,8}"]
        .prop_map(|data| Event { name: None, data })
}

/// Whether a client could find a call in `value`, or its name.
fn has_call(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(key, value)| {
            let names = key.to_lowercase().contains("call") && (value.is_array() || value.is_object());
            let empty = *value == json!([]) || *value == json!({});
            (names && !empty) || has_call(value)
        }),
        Value::Array(items) => items.iter().any(has_call),
        _ => false,
    }
}

fn event_has_call(event: &Event) -> bool {
    serde_json::from_str(&event.data).is_ok_and(|value| has_call(&value))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn written_request_is_read_again(request in request()) {
        prop_assert_eq!(read_request(&write_request(&request)), Ok(request));
    }

    #[test]
    fn written_answer_is_read_again(response in response()) {
        prop_assert_eq!(read_response(&write_response(&response)), Ok(response.clone()));
        let whole = Box::new(Whole::new(write_response(&response)).unwrap());
        prop_assert_eq!(whole.into_body(), write_response(&response));
    }

    #[test]
    fn written_stream_is_read_again(deltas in deltas()) {
        prop_assert_eq!(read(&write(&deltas)), deltas);
    }

    #[test]
    fn allowed_stream_passes_as_it_came(deltas in deltas()) {
        let events = write(&deltas);
        let passed = run(&mut Guard::default(), &events, &|_| None).unwrap();
        prop_assert_eq!(passed.events, events);
        let called = deltas.iter().filter(|delta| matches!(delta, Delta::CallStart { .. })).count();
        prop_assert_eq!(passed.calls.len(), called);
    }

    #[test]
    fn refused_stream_is_read_to_its_end_without_calls(deltas in deltas()) {
        let passed = run(&mut Guard::default(), &write(&deltas), &|_| Some("[no]".to_owned())).unwrap();
        prop_assert!(!passed.events.iter().any(event_has_call));
        let read = read(&passed.events);
        prop_assert_eq!(read.last(), Some(&Delta::End));
        let called = read.iter().any(|delta| matches!(delta, Delta::CallStart { .. } | Delta::Stop(Stop::ToolCalls)));
        prop_assert!(!called);
        let said: String = read.iter().map(|delta| if let Delta::Text(text) = delta { text.as_str() } else { "" }).collect();
        prop_assert_eq!(said.matches("[no]").count(), passed.calls.len());
    }

    #[test]
    fn calls_that_stay_are_whole_and_without_gaps(deltas in deltas(), refused in any::<[bool; 4]>()) {
        let given = std::cell::Cell::new(0);
        let decide = |_: &ToolCall| {
            let number = given.replace(given.get() + 1);
            refused[number].then(|| "[no]".to_owned())
        };
        let passed = run(&mut Guard::default(), &write(&deltas), &decide).unwrap();
        let kept: Vec<_> = passed.calls.iter().zip(refused).filter(|(_, refused)| !refused).map(|(call, _)| call.clone()).collect();
        let mut read_calls: Vec<ToolCall> = Vec::new();
        let mut indices = Vec::new();
        for event in &passed.events {
            let body: Value = serde_json::from_str(&event.data).unwrap_or_default();
            for entry in body["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
                indices.push(entry["index"].as_u64().unwrap());
            }
        }
        for delta in read(&passed.events) {
            match delta {
                Delta::CallStart { id, name, .. } => read_calls.push(ToolCall { id, name, arguments: String::new() }),
                Delta::CallArguments { index, json } => read_calls[index].arguments.push_str(&json),
                _ => {}
            }
        }
        prop_assert_eq!(read_calls, kept.clone());
        prop_assert!(indices.iter().all(|index| (*index as usize) < kept.len()));
    }

    #[test]
    fn nothing_slips_by_in_any_events(events in proptest::collection::vec(event(), 0..12), cut in any::<bool>()) {
        let mut guard = Guard::new(false);
        let mut reader = Reader::default();
        let mut passed = super::guard::Passed::default();
        for event in &events {
            let _ = reader.read(event);
            if guard.feed(event.clone()).is_err() {
                break;
            }
            super::guard::take(&mut guard, &mut passed, &|_| Some("[no]".to_owned()));
        }
        if cut {
            passed.events.extend(guard.cut("[cut]"));
        }
        guard.finish();
        super::guard::take(&mut guard, &mut passed, &|_| Some("[no]".to_owned()));
        prop_assert!(!passed.events.iter().any(event_has_call), "{:?}", passed.events);
    }

    #[test]
    fn no_whole_answer_panics_or_hides_a_call(body in json(), message in json(), cut in any::<bool>()) {
        for body in [body, json!({"choices": [{"message": message}, {"message": {"content": "x"}}]})] {
            let _ = read_response(&body);
            let _ = read_error(&body);
            let Ok(mut whole) = Whole::new(body) else { continue };
            whole.texts();
            (0..whole.calls().len()).for_each(|index| whole.refuse(index, "[no]"));
            if cut {
                whole.cut("[cut]");
            }
            let body = Box::new(whole).into_body();
            prop_assert!(!has_call(&body), "{}", body);
        }
    }

    #[test]
    fn no_request_panics(body in json(), message in json(), tool in json()) {
        let whole = json!({"model": "m", "messages": [message], "tools": [tool]});
        for mut body in [body, whole] {
            if let Ok(request) = read_request(&body) {
                write_request(&request);
            }
            retarget(&mut body, "m", Some(1));
        }
    }
}
