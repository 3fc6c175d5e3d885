//! Whatever is written can be read again, and nothing makes a reader panic.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::guard::{StreamGuard, WholeGuard};
use crate::{
    Choice, Effort, Format, Image, Message, Part, Reasoning, Request, Response, Role, Stop, Tool, ToolResult, Usage,
};

fn some_text() -> impl Strategy<Value = String> {
    "[a-zäß{}\" \\n]{1,12}"
}

fn some_call() -> impl Strategy<Value = ToolCall> {
    ("[a-z0-9_]{1,8}", "[a-z_]{1,8}", prop_oneof![Just(String::new()), Just("{\"a\":1}".to_owned()), some_text()])
        .prop_map(|(id, name, arguments)| ToolCall { id, name, arguments })
}

fn some_image() -> impl Strategy<Value = Part> {
    prop_oneof![
        "https://[a-z]{1,8}/".prop_map(|url| Part::Image(Image::Url(url))),
        "[A-Za-z0-9+/]{4}".prop_map(|base64| Part::Image(Image::Data { media_type: "image/png".into(), base64 })),
    ]
}

fn some_thought() -> impl Strategy<Value = Reasoning> {
    (prop_oneof![Just(String::new()), some_text()], some_text())
        .prop_map(|(text, signature)| Reasoning { text, signature: Some(signature) })
}

fn user() -> impl Strategy<Value = Message> {
    let inner = prop_oneof![some_text().prop_map(Part::Text), some_image()];
    // One empty text and none are the same here.
    let result = ("[a-z0-9_]{1,8}", prop::collection::vec(inner.clone(), 0..3))
        .prop_map(|(id, parts)| Part::Result(ToolResult { id, parts, failed: false }));
    prop::collection::vec(prop_oneof![inner, result], 1..4).prop_map(|parts| Message { role: Role::User, parts })
}

fn assistant() -> impl Strategy<Value = Message> {
    let part = prop_oneof![
        some_text().prop_map(Part::Text),
        some_call().prop_map(Part::Call),
        some_thought().prop_map(Part::Reasoning),
    ];
    prop::collection::vec(part, 1..4).prop_map(|parts| Message { role: Role::Assistant, parts })
}

prop_compose! {
    fn some_settings()(
        max_output in prop::option::of(1u64..9999),
        temperature in prop::option::of(0.0f64..2.0),
        top_p in prop::option::of(0.0f64..1.0),
        parallel_calls in prop::option::of(any::<bool>()),
        stream in any::<bool>(),
        choice in prop::option::of(prop_oneof![
            Just(Choice::Auto), Just(Choice::None), Just(Choice::Required), "[a-z]{1,5}".prop_map(Choice::Named)
        ]),
        format in prop::option::of(prop_oneof![Just(Format::Json), any::<bool>().prop_map(|strict| Format::Schema {
            name: "n".into(), schema: json!({"type": "object"}), strict
        })]),
        effort in prop::option::of(prop_oneof![
            Just(Effort::Minimal), Just(Effort::Low), Just(Effort::Medium), Just(Effort::High)
        ]),
    ) -> Request {
        Request { max_output, temperature, top_p, parallel_calls, stream, choice, format, effort, ..Request::default() }
    }
}

prop_compose! {
    fn some_request()(
        settings in some_settings(),
        system in prop::collection::vec(prop::collection::vec(some_text().prop_map(Part::Text), 1..3), 0..3),
        turns in prop::collection::vec((user(), assistant()), 0..3),
        tools in prop::collection::vec(("[a-z_]{1,8}", "[a-z ]{0,8}"), 0..3),
    ) -> Request {
        let system = system.into_iter().map(|parts| Message { role: Role::System, parts });
        Request {
            model: "m".into(),
            messages: system.chain(turns.into_iter().flat_map(|(user, assistant)| [user, assistant])).collect(),
            tools: tools.into_iter().map(|(name, description)| {
                Tool { name, description, parameters: json!({"type": "object", "properties": {}}) }
            }).collect(),
            ..settings
        }
    }
}

fn some_stop(calls: bool) -> impl Strategy<Value = Stop> {
    let end = if calls { Stop::ToolCalls } else { Stop::End };
    prop_oneof![Just(end), Just(Stop::Length), Just(Stop::Filtered), Just(Stop::Other("weather".into()))]
}

fn some_usage() -> impl Strategy<Value = Option<Usage>> {
    prop::option::of((0u64..99, 0u64..99, 0u64..99, 0u64..99).prop_map(|(input, output, cached, reasoning)| Usage {
        input,
        output,
        cached,
        reasoning,
        surcharge: 0,
    }))
}

prop_compose! {
    fn some_response()(parts in prop::collection::vec(prop_oneof![
        some_text().prop_map(Part::Text),
        some_call().prop_map(Part::Call),
        some_thought().prop_map(Part::Reasoning),
    ], 0..6))(
        stop in some_stop(parts.iter().any(|part| matches!(part, Part::Call(_)))),
        parts in Just(parts),
        usage in some_usage(),
    ) -> Response {
        Response { id: "resp_1".into(), model: "m".into(), parts, stop, usage }
    }
}

/// A stretch of an answer: text, thoughts, or calls whose arguments come in turns.
#[derive(Clone, Debug)]
enum Stretch {
    Text(Vec<String>),
    Thought(Vec<String>, Option<String>),
    Calls(Vec<(String, Vec<String>)>),
}

fn some_stretch() -> impl Strategy<Value = Stretch> {
    let pieces = || prop::collection::vec(some_text(), 1..4);
    prop_oneof![
        pieces().prop_map(Stretch::Text),
        (pieces(), prop::option::of(some_text())).prop_map(|(texts, proof)| Stretch::Thought(texts, proof)),
        prop::collection::vec(("[a-z_]{1,8}", prop::collection::vec(some_text(), 0..4)), 1..4).prop_map(Stretch::Calls),
    ]
}

fn play(stretches: Vec<Stretch>) -> (Vec<Delta>, usize) {
    let mut deltas = vec![Delta::Start { id: "resp_1".into(), model: "m".into() }];
    let mut calls = 0;
    for stretch in stretches {
        match stretch {
            Stretch::Text(texts) => deltas.extend(texts.into_iter().map(Delta::Text)),
            Stretch::Thought(texts, proof) => {
                deltas.extend(texts.into_iter().map(Delta::Reasoning));
                deltas.extend(proof.map(Delta::Signature));
            }
            Stretch::Calls(list) => {
                let first = calls;
                for (name, _) in &list {
                    deltas.push(Delta::CallStart {
                        index: calls,
                        id: format!("call_{calls}"),
                        name: format!("tool_{name}"),
                    });
                    calls += 1;
                }
                for turn in 0..4 {
                    for (number, (_, pieces)) in list.iter().enumerate() {
                        if let Some(json) = pieces.get(turn) {
                            deltas.push(Delta::CallArguments { index: first + number, json: json.clone() });
                        }
                    }
                }
            }
        }
    }
    (deltas, calls)
}

prop_compose! {
    pub(in crate::responses) fn some_deltas()(
        (deltas, calls) in prop::collection::vec(some_stretch(), 0..5).prop_map(play),
    )(
        stop in some_stop(calls > 0), usage in some_usage(), deltas in Just(deltas),
    ) -> Vec<Delta> {
        let mut deltas = deltas;
        deltas.push(Delta::Stop(stop));
        deltas.extend(usage.map(Delta::Usage));
        deltas.push(Delta::End);
        deltas
    }
}

/// Any JSON, with the words of this dialect in it so that readers go deep.
pub(in crate::responses) fn any_json() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "type",
        "item",
        "items",
        "output",
        "output_index",
        "item_id",
        "id",
        "call_id",
        "name",
        "arguments",
        "input",
        "content",
        "summary",
        "text",
        "delta",
        "part",
        "response",
        "role",
        "tools",
        "tool_choice",
        "reasoning",
        "effort",
        "message",
        "function_call",
        "custom_tool_call",
        "local_shell_call",
        "action",
        "response.created",
        "response.completed",
        "response.output_item.added",
        "response.output_item.done",
        "response.output_text.delta",
        "response.content_part.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "function",
        "user",
        "assistant",
        "usage",
        "status",
        "error",
        "encrypted_content",
        "sequence_number",
        "image_url",
        "function_call_output",
        "input_image",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0u64..3).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        words.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((words.clone(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().map(|(key, value)| (key.into(), value)).collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_come_back(request in some_request()) {
        prop_assert_eq!(read_request(&write_request(&request)), Ok(request));
    }

    #[test]
    fn answers_come_back(response in some_response()) {
        prop_assert_eq!(read_response(&write_response(&response)), Ok(response));
    }

    #[test]
    fn streams_come_back(deltas in some_deltas()) {
        let events = written(&deltas);
        let back = read(&events).unwrap();
        prop_assert_eq!(merged(back), merged(deltas));
    }

    #[test]
    fn no_json_makes_a_reader_panic(values in prop::collection::vec(any_json(), 0..6)) {
        let mut reader = Reader::default();
        let mut guard = Guard::default();
        for value in values {
            let mut body = value.clone();
            let _ = read_request(&body);
            let _ = read_response(&body);
            let _ = needs_provider_state(&body);
            retarget(&mut body, "m", Some(1));
            let event = Event { name: None, data: value.to_string() };
            let _ = reader.read(&event);
            if let Ok(mut whole) = Whole::new(value) {
                let _ = whole.texts();
                for call in 0..whole.calls().len() {
                    whole.refuse(call, "no");
                }
                whole.cut("end");
                Box::new(whole).into_body();
            }
            if guard.feed(event).is_ok() {
                while let Some(piece) = guard.next() {
                    if let crate::guard::Piece::Call(held) = piece {
                        guard.refuse(held, "no");
                    }
                }
            }
        }
        guard.finish();
        while guard.next().is_some() {}
        guard.cut("end");
    }
}
