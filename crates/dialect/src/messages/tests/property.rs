use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

use super::super::block::Kind;
use super::super::{
    Guard, Reader, Whole, Writer, read_error, read_request, read_response, retarget, write_request, write_response,
};
use super::{Client, Seen, drain, fold, read, run, user};
use crate::guard::{StreamGuard, WholeGuard};
use crate::sse::Event;
use crate::{
    Choice, Delta, Effort, Format, Image, Message, Part, Reasoning, Request, Response, Role, Stop, StreamReader,
    StreamWriter, Tool, ToolCall, ToolResult, Usage,
};

/// Text that is not empty.
fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9äß日 \"\\\\{}\n]{1,12}"
}

fn name() -> impl Strategy<Value = String> {
    "[a-z_]{3,8}"
}

/// A JSON object, as text.
fn arguments() -> impl Strategy<Value = String> {
    prop::collection::btree_map(name(), text(), 0..3).prop_map(|map| json!(map).to_string())
}

fn tool_call() -> impl Strategy<Value = ToolCall> {
    ("toolu_[a-zA-Z0-9]{6}", name(), arguments()).prop_map(|(id, name, arguments)| ToolCall { id, name, arguments })
}

fn image() -> impl Strategy<Value = Image> {
    prop_oneof![
        name().prop_map(|name| Image::Url(format!("https://a.example/{name}"))),
        "[A-Za-z0-9+/]{4}".prop_map(|base64| Image::Data { media_type: "image/png".into(), base64 }),
    ]
}

fn seen_part() -> impl Strategy<Value = Part> {
    prop_oneof![text().prop_map(Part::Text), image().prop_map(Part::Image)]
}

fn result() -> impl Strategy<Value = Part> {
    ("toolu_[a-zA-Z0-9]{6}", prop::collection::vec(seen_part(), 0..3), any::<bool>())
        .prop_map(|(id, parts, failed)| Part::Result(ToolResult { id, parts, failed }))
}

fn signed() -> impl Strategy<Value = Part> {
    (text(), "[A-Za-z0-9]{4}")
        .prop_map(|(text, signature)| Part::Reasoning(Reasoning { text, signature: Some(signature) }))
}

fn user_message() -> impl Strategy<Value = Message> {
    (prop::collection::vec(result(), 0..3), prop::collection::vec(seen_part(), 1..3)).prop_map(|(mut parts, rest)| {
        parts.extend(rest);
        Message { role: Role::User, parts }
    })
}

fn assistant_message() -> impl Strategy<Value = Message> {
    let part = prop_oneof![text().prop_map(Part::Text), signed(), tool_call().prop_map(Part::Call)];
    prop::collection::vec(part, 1..4).prop_map(|parts| Message { role: Role::Assistant, parts })
}

fn tool() -> impl Strategy<Value = Tool> {
    (name(), prop_oneof![Just(String::new()), text()], name()).prop_map(|(name, description, field)| {
        let parameters = json!({"type": "object", "properties": {field: {"type": "string"}}});
        Tool { name, description, parameters }
    })
}

fn conversation() -> impl Strategy<Value = Vec<Message>> {
    let system = prop::collection::vec(text().prop_map(Part::Text), 0..3);
    let turns = prop::collection::vec((user_message(), assistant_message()), 0..3);
    (system, turns, text()).prop_map(|(system, turns, last)| {
        let mut messages = Vec::new();
        if !system.is_empty() {
            messages.push(Message { role: Role::System, parts: system });
        }
        messages.extend(turns.into_iter().flat_map(|(user, assistant)| [user, assistant]));
        messages.push(user(&last));
        messages
    })
}

/// What this dialect can say.
fn request() -> impl Strategy<Value = Request> {
    let choice = prop::option::of((
        prop_oneof![Just(Choice::Auto), Just(Choice::Required), Just(Choice::None), name().prop_map(Choice::Named)],
        prop::option::of(any::<bool>()),
    ));
    let tools = (prop::collection::vec(tool(), 0..3), choice);
    let sampling = (prop::option::of(0.0..=1.0), prop::option::of(0.0..=1.0));
    let effort = prop::option::of(select(vec![Effort::Minimal, Effort::Low, Effort::Medium, Effort::High]));
    let schema = name().prop_map(|field| Format::Schema {
        name: "answer".into(),
        schema: json!({"type": "object", "properties": {field: {}}}),
        strict: true,
    });
    let form = (prop::option::of(schema), effort, any::<bool>(), prop::collection::vec(name(), 0..3));
    (name(), conversation(), tools, sampling, form, 65_536..1_000_000_u64).prop_map(
        |(model, messages, (tools, choice), (temperature, top_p), (format, effort, stream, stop), most)| {
            let (choice, parallel_calls) = choice.filter(|_| !tools.is_empty()).unzip();
            let forced = matches!(choice, Some(Choice::Required | Choice::Named(_)));
            let effort = effort.filter(|effort| *effort == Effort::Minimal || !forced);
            let samples = effort.is_none_or(|effort| effort == Effort::Minimal);
            let parallel_calls = parallel_calls.flatten().filter(|_| choice != Some(Choice::None));
            Request {
                model,
                messages,
                tools,
                choice,
                parallel_calls,
                max_output: Some(most),
                temperature: temperature.filter(|_| samples),
                top_p: top_p.filter(|_| samples),
                stop,
                format,
                effort,
                stream,
            }
        },
    )
}

fn response() -> impl Strategy<Value = Response> {
    let thought = (text(), prop::option::of("[A-Za-z0-9]{4}".prop_map(String::from)))
        .prop_map(|(text, signature)| Part::Reasoning(Reasoning { text, signature }));
    let part = prop_oneof![text().prop_map(Part::Text), thought, tool_call().prop_map(Part::Call)];
    let stop = select(vec![Stop::End, Stop::Sequence, Stop::Length, Stop::Filtered, Stop::Other("pause_turn".into())]);
    let usage = prop::option::of((1..1000_u64, 0..1000_u64, 0..1000_u64));
    (name(), name(), prop::collection::vec(part, 0..6), stop, usage).prop_map(|(id, model, parts, stop, usage)| {
        let has_calls = parts.iter().any(|part| matches!(part, Part::Call(_)));
        let stop = if has_calls && stop == Stop::End { Stop::ToolCalls } else { stop };
        let usage = usage.map(|(fresh, cached, output)| Usage {
            input: fresh + cached,
            output,
            cached,
            reasoning: 0,
            surcharge: 0,
        });
        Response { id, model, parts, stop, usage }
    })
}

/// A text in two fragments.
fn halves(text: &str, at: &Index) -> [String; 2] {
    let letters: Vec<char> = text.chars().collect();
    let (first, second) = letters.split_at(at.index(letters.len() + 1));
    [first.iter().collect(), second.iter().collect()]
}

/// The steps of an answer, in fragments. With `overlap` a run of calls begins at once and their arguments come in turns.
fn deltas(response: &Response, at: &Index, overlap: bool) -> Vec<Delta> {
    let mut out = vec![Delta::Start { id: response.id.clone(), model: response.model.clone() }];
    let mut calls = 0;
    let mut late: [Vec<Delta>; 2] = Default::default();
    for part in &response.parts {
        if !matches!(part, Part::Call(_)) {
            out.extend(late.iter_mut().flat_map(std::mem::take));
        }
        match part {
            Part::Text(text) => out.extend(halves(text, at).map(Delta::Text)),
            Part::Reasoning(thoughts) => {
                out.extend(halves(&thoughts.text, at).map(Delta::Reasoning));
                out.extend(thoughts.signature.clone().map(Delta::Signature));
            }
            Part::Call(call) => {
                out.push(Delta::CallStart { index: calls, id: call.id.clone(), name: call.name.clone() });
                for (half, json) in halves(&call.arguments, at).into_iter().enumerate() {
                    let delta = Delta::CallArguments { index: calls, json };
                    if overlap { late[half].push(delta) } else { out.push(delta) }
                }
                calls += 1;
            }
            Part::Image(_) | Part::Result(_) => {}
        }
    }
    out.extend(late.into_iter().flatten());
    out.push(Delta::Stop(response.stop.clone()));
    out.extend(response.usage.map(Delta::Usage));
    out.push(Delta::End);
    out
}

fn write(deltas: Vec<Delta>) -> Vec<Event> {
    let mut writer = Writer::default();
    deltas.into_iter().flat_map(|delta| writer.write(delta)).collect()
}

/// Any JSON, with words of this dialect in it.
fn odd_json() -> impl Strategy<Value = Value> {
    let words = "type|text|tool_use|server_tool_use|tool_result|thinking|image|base64|url|auto|any|enabled|user|\
        assistant|ping|error|message_start|content_block_start|content_block_delta|content_block_stop|message_delta|\
        message_stop|text_delta|input_json_delta|thinking_delta|json_schema|[a-z]{0,3}";
    let keys = "type|text|index|delta|content_block|message|content|role|id|name|input|source|data|media_type|\
        tool_use_id|partial_json|thinking|signature|usage|input_tokens|stop_reason|model|messages|system|tools|\
        tool_choice|max_tokens|budget_tokens|output_config|format|schema|error|[a-z]{0,3}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2..3_i64).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        words.prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((keys, inner), 0..6)
                .prop_map(|pairs| pairs.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

/// A stream of blocks with, perhaps, one event in it that does not belong there.
fn odd_stream() -> impl Strategy<Value = Vec<Event>> {
    let blocks = || {
        select(vec![
            json!({"type": "text", "text": ""}),
            json!({"type": "text", "text": "t"}),
            json!({"type": "tool_use", "id": "i", "name": "n", "input": {}}),
            json!({"type": "x_tool_use", "id": "i", "name": "n", "input": {"a": 1}}),
            json!({"type": "server_tool_use", "id": "i", "name": "n", "input": {}}),
            json!({"type": "tool_call", "id": "i", "name": "n", "input": {}}),
        ])
    };
    let fitting = select(vec![
        json!({"type": "text", "text": "t"}),
        json!({"type": "tool_use", "id": "i", "name": "n", "input": {}}),
        json!({"type": "server_tool_use", "id": "i", "name": "n", "input": {}}),
    ]);
    let deltas = || {
        select(vec![
            json!({"type": "text_delta", "text": "t"}),
            json!({"type": "input_json_delta", "partial_json": "{}"}),
            json!({"type": "other_delta"}),
        ])
    };
    let odd = prop_oneof![
        (0..4_u64, blocks())
            .prop_map(|(index, block)| json!({"type": "content_block_start", "index": index, "content_block": block})),
        (0..4_u64, deltas())
            .prop_map(|(index, delta)| json!({"type": "content_block_delta", "index": index, "delta": delta})),
        (0..4_u64).prop_map(|index| json!({"type": "content_block_stop", "index": index})),
        blocks().prop_map(|block| json!({"type": "message_start", "message": {"content": [block]}})),
        blocks().prop_map(|block| json!({"type": "of_tomorrow", "inner": [block]})),
        Just(json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}})),
        Just(json!({"type": "message_stop"})),
        Just(json!({"type": "ping"})),
        odd_json(),
    ];
    (prop::collection::vec(fitting, 0..5), prop::option::of((odd, any::<Index>()))).prop_map(|(blocks, odd)| {
        let mut events = vec![json!({"type": "message_start", "message": {"content": []}})];
        for (index, block) in blocks.into_iter().enumerate() {
            let delta = match block["type"].as_str() {
                Some("text") => json!({"type": "text_delta", "text": "t"}),
                _ => json!({"type": "input_json_delta", "partial_json": "{}"}),
            };
            events.push(json!({"type": "content_block_start", "index": index, "content_block": block}));
            events.push(json!({"type": "content_block_delta", "index": index, "delta": delta}));
            events.push(json!({"type": "content_block_stop", "index": index}));
        }
        if let Some((odd, place)) = odd {
            events.insert(place.index(events.len() + 1), odd);
        }
        events.into_iter().map(|value| Event { name: None, data: value.to_string() }).collect()
    })
}

/// Whether any event begins a call.
fn begins_call(events: &[Event]) -> bool {
    events.iter().any(|event| {
        let value: Value = serde_json::from_str(&event.data).unwrap_or_default();
        value["content_block"]["type"].as_str().is_some_and(|kind| Kind::of(kind) == Kind::Call)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn written_request_is_read_back(request in request()) {
        prop_assert_eq!(read_request(&write_request(&request)), Ok(request));
    }

    #[test]
    fn written_answer_is_read_back(response in response()) {
        prop_assert_eq!(read_response(&write_response(&response)), Ok(response));
    }

    #[test]
    fn written_stream_is_read_back(response in response(), at: Index, overlap: bool) {
        let steps = deltas(&response, &at, overlap);
        let written = write(steps.clone());
        Client::of(&written);
        prop_assert_eq!(fold(&read(&written)), fold(&steps));
    }

    #[test]
    fn allowed_stream_passes_unchanged(response in response(), at: Index, overlap: bool) {
        let written = write(deltas(&response, &at, overlap));
        let mut guard = Guard::default();
        let seen = run(&mut guard, &written, |_| true).unwrap();
        prop_assert_eq!(&seen.events, &written);
        let calls: Vec<ToolCall> = response.parts.iter().filter_map(|part| match part {
            Part::Call(call) => Some(call.clone()),
            _ => None,
        }).collect();
        prop_assert_eq!(seen.calls, calls);
        prop_assert!(guard.facts().complete);
        prop_assert_eq!(&guard.facts().usage, &response.usage);
    }

    #[test]
    fn refused_stream_has_no_calls_and_ends(response in response(), at: Index) {
        let written = write(deltas(&response, &at, false));
        let seen = run(&mut Guard::default(), &written, |_| false).unwrap();
        let client = Client::of(&seen.events);
        prop_assert!(!client.has_calls());
        prop_assert!(client.stop_reason() != "tool_use");
        let read = fold(&read(&seen.events));
        prop_assert!(!read.parts.iter().any(|part| matches!(part, Part::Call(_))));
        prop_assert_eq!(read.usage, response.usage);
    }

    #[test]
    fn cut_stream_is_well_formed(response in response(), at: Index, place: Index, refuse: bool) {
        let written = write(deltas(&response, &at, false));
        let mut guard = Guard::default();
        let mut seen = Seen::default();
        for event in &written[..place.index(written.len())] {
            guard.feed(event.clone()).unwrap();
            drain(&mut guard, &mut seen, |_| !refuse);
        }
        seen.events.extend(guard.cut("stopped"));
        let client = Client::of(&seen.events);
        prop_assert_eq!(client.stop_reason(), "end_turn");
        prop_assert_eq!(client.content().last(), Some(&json!({"type": "text", "text": "stopped"})));
        prop_assert!(!(refuse && client.has_calls()));
    }

    #[test]
    fn odd_json_is_read_without_panic(value in odd_json()) {
        let _ = (read_request(&value), read_response(&value), read_error(&value));
        let mut body = value.clone();
        retarget(&mut body, "m", Some(5));
        if let Ok(guard) = Whole::new(value.clone()) {
            let mut guard = Box::new(guard);
            let _ = guard.texts();
            for index in 0..guard.calls().len() {
                guard.refuse(index, "no");
            }
            prop_assert!(Whole::new(guard.into_body()).unwrap().calls().is_empty());
        }
        let event = Event { name: None, data: value.to_string() };
        let _ = Reader::default().read(&event);
    }

    #[test]
    fn odd_stream_hides_no_call(events in odd_stream(), cut: bool) {
        let mut guard = Guard::default();
        let mut reader = Reader::default();
        let mut seen = Seen::default();
        for event in &events {
            let _ = reader.read(event);
            if guard.feed(event.clone()).is_err() {
                break;
            }
            drain(&mut guard, &mut seen, |_| false);
        }
        guard.finish();
        drain(&mut guard, &mut seen, |_| false);
        if cut {
            seen.events.extend(guard.cut("stopped"));
        }
        prop_assert!(!begins_call(&seen.events));
    }
}
