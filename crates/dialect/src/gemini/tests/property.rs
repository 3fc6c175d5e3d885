use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::super::{Reader, read_error, read_request, read_response, write_request, write_response};
use super::{assistant, chunk, result, user};
use crate::{
    Choice, Effort, Format, Image, Message, Part, Reasoning, Request, Response, Role, Stop, StreamReader, Tool,
    ToolCall, Usage,
};

/// Text that is not empty.
fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9äß日 \"\\\\{}\n]{1,12}"
}

fn name() -> impl Strategy<Value = String> {
    "[a-z_]{3,8}"
}

fn tool_call() -> impl Strategy<Value = ToolCall> {
    let arguments = prop::collection::btree_map(name(), text(), 0..3).prop_map(|map| json!(map).to_string());
    ("gem_[a-z0-9]{6}", name(), arguments).prop_map(|(id, name, arguments)| ToolCall { id, name, arguments })
}

fn own_thoughts() -> impl Strategy<Value = Part> {
    (text(), "gemini:[A-Za-z0-9]{4}")
        .prop_map(|(text, signature)| Part::Reasoning(Reasoning { text, signature: Some(signature) }))
}

fn seen_part() -> impl Strategy<Value = Part> {
    let image = "[A-Za-z0-9+/]{4}".prop_map(|base64| Image::Data { media_type: "image/png".into(), base64 });
    let url = name().prop_map(|name| Image::Url(format!("https://a.example/{name}.png")));
    prop_oneof![text().prop_map(Part::Text), image.prop_map(Part::Image), url.prop_map(Part::Image)]
}

fn answer_parts() -> impl Strategy<Value = Vec<Part>> {
    let part = prop_oneof![text().prop_map(Part::Text), own_thoughts(), tool_call().prop_map(Part::Call)];
    prop::collection::vec(part, 1..5)
}

/// A conversation whose calls all have results.
fn turns() -> impl Strategy<Value = Vec<Message>> {
    let system = prop::collection::vec(text().prop_map(Part::Text), 0..3);
    let turn = (prop::collection::vec(seen_part(), 1..3), answer_parts(), text(), any::<bool>());
    (system, prop::collection::vec(turn, 0..3)).prop_map(|(system, turns)| {
        let mut messages = Vec::new();
        if !system.is_empty() {
            messages.push(Message { role: Role::System, parts: system });
        }
        let mut results: Vec<Part> = Vec::new();
        for (said, parts, text, failed) in turns {
            let mut before = std::mem::take(&mut results);
            before.extend(said);
            messages.push(user(before));
            results.extend(parts.iter().filter_map(|part| match part {
                Part::Call(call) => Some(result(&call.id, &text, failed)),
                _ => None,
            }));
            messages.push(assistant(parts));
        }
        if !results.is_empty() {
            messages.push(user(results));
        }
        messages
    })
}

/// What this dialect can say in a body.
fn request() -> impl Strategy<Value = Request> {
    let tool = (name(), text(), name()).prop_map(|(name, description, field)| {
        let parameters = json!({"type": "object", "properties": {field: {"type": "string"}}});
        Tool { name, description, parameters }
    });
    let choice = prop::option::of(prop_oneof![
        Just(Choice::Auto),
        Just(Choice::Required),
        Just(Choice::None),
        name().prop_map(Choice::Named)
    ]);
    let format = prop::option::of(prop_oneof![
        Just(Format::Json),
        name().prop_map(|field| Format::Schema { name: "answer".into(), schema: json!({field: 1}), strict: true }),
    ]);
    let effort = prop::option::of(select(vec![Effort::Minimal, Effort::Low, Effort::Medium, Effort::High]));
    let numbers = (prop::option::of(1..9000_u64), prop::option::of(0.0..2.0), prop::option::of(0.0..1.0));
    (turns(), prop::collection::vec(tool, 0..3), choice, numbers, prop::collection::vec(name(), 0..3), format, effort)
        .prop_map(|(messages, tools, choice, (max_output, temperature, top_p), stop, format, effort)| Request {
            messages,
            choice: choice.filter(|_| !tools.is_empty()),
            tools,
            max_output,
            temperature,
            top_p,
            stop,
            format,
            effort,
            ..Request::default()
        })
}

fn response() -> impl Strategy<Value = Response> {
    let usage = prop::option::of((1..1000_u64, 0..1000_u64, 0..1000_u64, 0..1000_u64));
    let stop = select(vec![Stop::End, Stop::Length, Stop::Filtered, Stop::Other("LANGUAGE".into())]);
    (name(), name(), answer_parts(), stop, usage).prop_map(|(id, model, parts, stop, usage)| {
        let has_calls = parts.iter().any(|part| matches!(part, Part::Call(_)));
        let stop = if has_calls && stop == Stop::End { Stop::ToolCalls } else { stop };
        let usage = usage.map(|(input, said, reasoning, cached)| Usage {
            input,
            output: said + reasoning,
            cached,
            reasoning,
            surcharge: 0,
        });
        Response { id, model, parts, stop, usage }
    })
}

fn odd_json() -> impl Strategy<Value = Value> {
    let words = "user|model|STOP|ANY|AUTO|low|application/json|[a-z]{0,3}";
    let keys = "contents|role|parts|text|thought|thoughtSignature|functionCall|functionResponse|name|id|args|response|\
        inlineData|mimeType|data|fileData|fileUri|systemInstruction|tools|functionDeclarations|toolConfig|\
        functionCallingConfig|mode|generationConfig|thinkingConfig|candidates|content|finishReason|usageMetadata|\
        promptFeedback|blockReason|error|message|responseId|[a-z]{0,3}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        words.prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((keys, inner), 0..6)
                .prop_map(|pairs| pairs.into_iter().collect::<Map<_, _>>().into()),
        ]
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
    fn answer_in_pieces_says_the_same(response in response()) {
        let body = write_response(&response);
        let parts = body["candidates"][0]["content"]["parts"].as_array().unwrap().clone();
        let mut reader = Reader::default();
        let mut deltas = Vec::new();
        for part in parts {
            let body = json!({"responseId": response.id, "modelVersion": response.model,
                "candidates": [{"content": {"parts": [part]}}]});
            deltas.extend(reader.read(&chunk(body)).unwrap());
        }
        let mut last = body.clone();
        last["candidates"][0]["content"] = Value::Null;
        deltas.extend(reader.read(&chunk(last)).unwrap());
        let whole = Reader::default().read(&chunk(body)).unwrap();
        prop_assert_eq!(deltas, whole);
    }

    #[test]
    fn odd_json_is_read_without_panic(value in odd_json()) {
        let _ = (read_request(&value), read_response(&value), read_error(&value));
        let _ = Reader::default().read(&chunk(value));
    }
}
