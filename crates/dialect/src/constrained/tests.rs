mod schemas;

use proptest::prelude::*;
use schemas::{any_json, known};
use serde_json::{Value, json};

use super::{Reader, applies, constrain, release};
use crate::sse::Event;
use crate::{
    Choice, Delta, Format, Image, Malformed, Message, Part, Request, Response, Role, Stop, StreamReader, Tool,
    ToolCall, ToolResult, Usage,
};

fn tool(name: &str, properties: Value, required: &[&str]) -> Tool {
    Tool {
        name: name.to_owned(),
        description: format!("What {name} does."),
        parameters: json!({ "type": "object", "properties": properties, "required": required }),
    }
}

fn request(choice: Option<Choice>) -> Request {
    Request {
        model: "m".to_owned(),
        messages: vec![Message::text(Role::System, "Be brief."), Message::text(Role::User, "Look.")],
        tools: vec![
            tool("read", json!({ "path": { "type": "string", "description": "Which file." } }), &["path"]),
            tool("answer", json!({ "n": { "type": "integer" } }), &[]),
        ],
        choice,
        stop: vec!["\"".to_owned()],
        stream: true,
        ..Request::default()
    }
}

fn schema_of(request: &Request) -> Value {
    match constrain(request).unwrap().format {
        Some(Format::Schema { schema, strict: true, .. }) => schema,
        other => panic!("{other:?}"),
    }
}

fn form(tool: &str, arguments: &Value) -> Value {
    json!({
        "type": "object",
        "properties": { "tool": { "const": tool }, "arguments": arguments },
        "required": ["tool", "arguments"],
        "additionalProperties": false,
    })
}

fn answer_form() -> Value {
    json!({
        "type": "object",
        "properties": { "answer": { "type": "string" } },
        "required": ["answer"],
        "additionalProperties": false,
    })
}

fn read_form() -> Value {
    let arguments = json!({
        "type": "object", "required": ["path"], "properties": { "path": { "type": "string" } }, "additionalProperties": false,
    });
    form("read", &arguments)
}

/// A tool of the same name as the other form is no danger: the forms differ by their first key.
fn answer_call_form() -> Value {
    let arguments = json!({
        "type": "object", "required": [], "properties": { "n": { "type": "integer" } }, "additionalProperties": false,
    });
    form("answer", &arguments)
}

#[test]
fn the_choice_of_tools_decides_which_forms_there_are() {
    let named = |name: &str| Some(Choice::Named(name.to_owned()));
    for (choice, forms) in [
        (None, vec![read_form(), answer_call_form(), answer_form()]),
        (Some(Choice::Auto), vec![read_form(), answer_call_form(), answer_form()]),
        (Some(Choice::Required), vec![read_form(), answer_call_form()]),
    ] {
        assert_eq!(schema_of(&request(choice)), json!({ "anyOf": forms }));
    }
    assert_eq!(schema_of(&request(named("read"))), read_form());
    assert_eq!(schema_of(&request(Some(Choice::None))), answer_form());
    assert_eq!(
        constrain(&request(named("write"))).unwrap_err().to_string(),
        "`tool_choice` names `write`, which is not among the tools"
    );
}

#[test]
fn what_the_form_takes_over_is_gone_and_the_rest_stays() {
    let given = Request { temperature: Some(0.5), top_p: Some(0.9), parallel_calls: Some(true), ..request(None) };
    let constrained = constrain(&given).unwrap();
    assert_eq!((constrained.tools, constrained.choice, constrained.parallel_calls), (vec![], None, None));
    assert_eq!(constrained.stop, Vec::<String>::new(), "a quotation mark would end every answer");
    assert_eq!((constrained.temperature, constrained.top_p, constrained.stream), (Some(0.5), Some(0.9), true));
    assert_eq!(constrained.max_output, Some(4_096), "a model that loses itself comes to an end");
    assert_eq!(constrain(&request(None)).unwrap().temperature, Some(0.0), "chance is no guide to the form");
    assert_eq!(constrain(&Request { max_output: Some(9), ..request(None) }).unwrap().max_output, Some(9));
    assert!(applies(&given));
    assert!(!applies(&Request { format: Some(Format::Json), ..request(None) }));
    assert!(!applies(&Request { tools: vec![], ..request(None) }));
}

#[test]
fn the_model_is_told_of_the_tools_behind_what_the_system_says() {
    let told = |choice| match constrain(&request(choice)).unwrap().messages.first().cloned() {
        Some(Message { role: Role::System, parts }) => match parts.as_slice() {
            [Part::Text(text)] => text.clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert_eq!(
        told(None),
        "Be brief.\n\nReply with one JSON object and nothing else. To use a tool, reply {\"tool\": NAME, \"arguments\": {…}}; \
         its result comes back to you. To speak to the user, reply {\"answer\": TEXT}.\n\nTools:\n\
         - read(path: string): What read does.\n  path: Which file.\n- answer(n?: integer): What answer does.\n"
    );
    let required = told(Some(Choice::Required));
    assert!(!required.contains("To speak") && required.contains("read("), "{required}");
    let none = told(Some(Choice::None));
    assert!(!none.contains("Tools:") && none.contains("{\"answer\": TEXT}"), "{none}");
}

#[test]
fn types_of_arguments_are_told_in_a_few_words() {
    let parameters = json!({ "type": "object", "required": ["mode"], "properties": {
        "mode": { "enum": ["a", 2] },
        "lines": { "type": "array", "items": { "type": ["integer", "null"] } },
        "where": { "type": "object", "properties": { "file": { "type": "string" } }, "required": ["file"] },
        "more": { "type": "object" },
        "rest": {},
    } });
    let tools = vec![Tool { name: "t".to_owned(), description: "d".repeat(700), parameters }];
    let messages = constrain(&Request { tools, ..request(None) }).unwrap().messages;
    let Some(Part::Text(text)) = messages.first().and_then(|message| message.parts.first()) else {
        panic!("{messages:?}")
    };
    let line = text.lines().find(|line| line.starts_with("- t(")).unwrap();
    let expected = format!(
        "- t(mode: \"a\"|2, lines?: [integer|null], where?: {{file: string}}, more?: object, rest?: any): {}…",
        "d".repeat(600)
    );
    assert_eq!(line, expected);
}

#[test]
fn earlier_calls_and_results_are_told_as_text() {
    let call = |id: &str, name: &str, arguments: &str| {
        Part::Call(ToolCall { id: id.to_owned(), name: name.to_owned(), arguments: arguments.to_owned() })
    };
    let result = |id: &str, parts: Vec<Part>, failed| Part::Result(ToolResult { id: id.to_owned(), parts, failed });
    let text = |text: &str| Part::Text(text.to_owned());
    let image = Part::Image(Image::Url("https://a.example/i".to_owned()));
    let message = |role, parts| Message { role, parts };
    let request = Request {
        messages: vec![
            Message::text(Role::User, "Look."),
            message(
                Role::Assistant,
                vec![text("I look."), call("1", "read", r#"{"path": "a"}"#), call("2", "read", "broken")],
            ),
            message(
                Role::User,
                vec![
                    result("1", vec![text("alpha"), image.clone()], false),
                    result("2", vec![text("no JSON")], true),
                    result("9", vec![], false),
                    text("And?"),
                ],
            ),
            message(Role::Assistant, vec![text("It says "), text("alpha.")]),
            Message::text(Role::User, "Thanks."),
            Message::text(Role::User, "Bye."),
            message(Role::Assistant, vec![]),
        ],
        ..request(None)
    };
    let messages = constrain(&request).unwrap().messages;
    let roles: Vec<Role> = messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::System, Role::User, Role::Assistant, Role::User, Role::Assistant, Role::User]);
    let parts: Vec<Vec<Part>> = messages.into_iter().skip(1).map(|message| message.parts).collect();
    assert_eq!(
        parts,
        [
            vec![text("Look.")],
            vec![text(
                "I look.\n{\"tool\":\"read\",\"arguments\":{\"path\":\"a\"}}\n{\"tool\":\"read\",\"arguments\":\"broken\"}"
            )],
            vec![
                text("The result of the tool read:\nalpha"),
                image,
                text("The call of the tool read failed:\nno JSON"),
                text("The result of a tool is empty."),
                text("And?"),
            ],
            vec![text(r#"{"answer":"It says alpha."}"#)],
            vec![text("Thanks.\n\nBye.")],
        ]
    );
}

fn response(text: &str, stop: Stop) -> Response {
    let usage = Some(Usage { input: 7, output: 5, ..Usage::default() });
    Response {
        id: "chatcmpl-1.x".to_owned(),
        model: "m".to_owned(),
        parts: vec![Part::Text(text.to_owned())],
        stop,
        usage,
    }
}

/// What an answer is for the agent: its text, its call, and why it ended.
type Meaning = (String, Option<(String, String)>, Stop);

fn released(text: &str, reason: Stop) -> Result<Meaning, Malformed> {
    let response = release(response(text, reason))?;
    assert_eq!(response.usage.unwrap().input, 7);
    let mut meaning = (String::new(), None, response.stop);
    for part in response.parts {
        match part {
            Part::Text(text) => meaning.0.push_str(&text),
            Part::Call(call) => {
                assert_eq!(call.id, "call_chatcmpl-1x", "every dialect takes the id");
                meaning.1 = Some((call.name, call.arguments));
            }
            other => panic!("{other:?}"),
        }
    }
    Ok(meaning)
}

fn call(name: &str, arguments: &str) -> Result<Meaning, Malformed> {
    Ok((String::new(), Some((name.to_owned(), arguments.to_owned())), Stop::ToolCalls))
}

fn says(text: &str, stop: Stop) -> Result<Meaning, Malformed> {
    Ok((text.to_owned(), None, stop))
}

#[test]
fn both_forms_become_what_the_agent_knows() {
    let end = |text| released(text, Stop::End);
    assert_eq!(end(r#"{"tool": "read", "arguments": {"path": "a", "n": 1}}"#), call("read", r#"{"path":"a","n":1}"#));
    assert_eq!(end(r#"{"arguments":{},"tool":"answer"}"#), call("answer", "{}"));
    assert_eq!(end("{\"answer\": \"Yes.\\n\\\"\\u00e4\\ud83d\\ude00\\\"\" }\n"), says("Yes.\n\"ä😀\"", Stop::End));
    assert_eq!(end(r#" { "answer" : "" } "#), says("", Stop::End));
    assert_eq!(end(r#"{"answer":"\ud83d \ude00 \ud83d\u0041"}"#), says("\u{fffd} \u{fffd} \u{fffd}A", Stop::End));
    assert_eq!(released(r#"{"tool":"read","arguments":{}}"#, Stop::Length), call("read", "{}"));
}

#[test]
fn an_answer_that_was_cut_is_as_much_text_as_there_is_and_no_call() {
    for (text, meaning) in [
        (r#"{"answer": "as far as thi"#, "as far as thi"),
        (r#"{"answer": "as far as \"#, "as far as "),
        (r#"{"answer": "as far as \ud83d\ude"#, "as far as "),
        (r#"{"answer": "whole""#, "whole"),
        (r#"{"answer": "#, ""),
        (r#"{"tool": "read", "arguments": {"path": "/etc"#, ""),
        ("", ""),
    ] {
        assert_eq!(released(text, Stop::Length), says(meaning, Stop::Length), "{text}");
        assert!(released(text, Stop::End).is_err(), "{text}");
    }
}

#[test]
fn what_is_in_no_form_is_malformed() {
    for text in [
        "",
        "Yes.",
        "{}",
        "null",
        "[1]",
        r#"{"answer": 1}"#,
        r#"{"answer": "a", "tool": "read"}"#,
        r#"{"answer": "a"} {"answer": "b"}"#,
        r#"{"answer": "a"}}"#,
        r#"{"answer": "\x"}"#,
        r#"{"answer": "\u12g4"}"#,
        r#"{"answers": "a"}"#,
        r#"{"tool": "read"}"#,
        r#"{"tool": "read", "arguments": []}"#,
        r#"{"tool": "read", "arguments": "{}"}"#,
        r#"{"tool": "read", "arguments": null}"#,
        r#"{"tool": ["read"], "arguments": {}}"#,
        r#"{"tool": "read", "tool": "shell", "arguments": {}}"#,
        r#"{"tool": "read", "arguments": {}, "arguments": {"path": "a"}}"#,
        r#"{"tool": "read", "arguments": {}, "answer": "a"}"#,
        r#"{"tool": "read", "arguments": {}} and more"#,
    ] {
        assert!(released(text, Stop::End).is_err(), "{text}");
        assert!(streamed(&[text], Stop::End).is_err(), "{text}");
    }
    let native = Response {
        parts: vec![Part::Call(ToolCall { id: "1".to_owned(), name: "read".to_owned(), arguments: "{}".to_owned() })],
        ..response("", Stop::ToolCalls)
    };
    assert!(release(native).is_err(), "the provider was offered no tools");
}

#[test]
fn what_holds_a_key_twice_means_its_last_value_for_everybody() {
    let text = r#"{"tool": "read", "arguments": {"path": "a", "path": "b"}}"#;
    assert_eq!(released(text, Stop::End), call("read", r#"{"path":"b"}"#));
}

/// What an agent is told of the streamed answer in these pieces.
fn streamed(pieces: &[&str], reason: Stop) -> Result<Meaning, Malformed> {
    let chunk = |delta: Value, finish: Value| {
        let body = json!({ "id": "chatcmpl-1.x", "model": "m", "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] });
        Event::json(None, &body)
    };
    let finish = if reason == Stop::Length { "length" } else { "stop" };
    let mut events = vec![chunk(json!({ "role": "assistant", "content": null }), Value::Null)];
    events.extend(pieces.iter().map(|piece| chunk(json!({ "content": piece }), Value::Null)));
    events.push(chunk(json!({}), finish.into()));
    let usage = json!({ "choices": [], "usage": { "prompt_tokens": 7, "completion_tokens": 5 } });
    events.push(Event::json(None, &usage));
    events.push(Event { name: None, data: "[DONE]".to_owned() });
    let mut reader = Reader::default();
    let mut deltas = Vec::new();
    for event in &events {
        deltas.extend(reader.read(event)?);
    }
    assert!(matches!(deltas.first(), Some(Delta::Start { .. })), "{deltas:?}");
    assert_eq!(deltas.last(), Some(&Delta::End), "{deltas:?}");
    assert!(deltas.iter().any(|delta| matches!(delta, Delta::Usage(usage) if usage.input == 7)), "{deltas:?}");
    let mut meaning = (String::new(), None, Stop::Other("none".to_owned()));
    for delta in deltas {
        match delta {
            Delta::Text(text) => meaning.0.push_str(&text),
            Delta::CallStart { index: 0, id, name } => {
                assert_eq!(id, "call_chatcmpl-1x");
                meaning.1 = Some((name, String::new()));
            }
            Delta::CallArguments { index: 0, json } => meaning.1.as_mut().unwrap().1.push_str(&json),
            Delta::Stop(stop) => meaning.2 = stop,
            Delta::Start { .. } | Delta::Usage(_) | Delta::End => {}
            other => panic!("{other:?}"),
        }
    }
    Ok(meaning)
}

#[test]
fn text_is_given_out_as_it_comes_and_a_call_when_it_is_complete() {
    let mut reader = Reader::default();
    let mut say = |piece: &str| {
        let body = json!({ "id": "1", "choices": [{ "index": 0, "delta": { "content": piece } }] });
        let deltas = reader.read(&Event::json(None, &body)).unwrap();
        deltas.into_iter().filter(|delta| !matches!(delta, Delta::Start { .. })).collect::<Vec<_>>()
    };
    let text = |text: &str| vec![Delta::Text(text.to_owned())];
    assert_eq!(say("{\"ans"), []);
    assert_eq!(say("wer\": \"Ye"), text("Ye"));
    assert_eq!(say("s.\\"), text("s."));
    assert_eq!(say("n"), text("\n"));
    assert_eq!(say("\"}"), []);
    assert_eq!(
        streamed(&["{\"tool\": \"re", "ad\", \"arguments\"", ": {\"path\": \"a\"}}"], Stop::End),
        call("read", r#"{"path":"a"}"#)
    );
}

#[test]
fn a_native_call_in_a_stream_is_malformed() {
    let call = json!({ "index": 0, "id": "1", "function": { "name": "read", "arguments": "{}" } });
    let body = json!({ "id": "1", "choices": [{ "index": 0, "delta": { "tool_calls": [call] } }] });
    assert!(Reader::default().read(&Event::json(None, &body)).is_err());
}

proptest! {
    #[test]
    fn any_request_can_be_constrained(parameters in any_json(), name in ".{0,12}", text in ".{0,20}", arguments in ".{0,20}") {
        let call = Part::Call(ToolCall { id: "1".to_owned(), name: name.clone(), arguments });
        let result = Part::Result(ToolResult { id: "1".to_owned(), parts: vec![Part::Text(text.clone())], failed: false });
        let request = Request {
            messages: vec![
                Message::text(Role::User, text.clone()),
                Message { role: Role::Assistant, parts: vec![Part::Text(text), call] },
                Message { role: Role::User, parts: vec![result] },
            ],
            tools: vec![Tool { name, description: String::new(), parameters }],
            ..Request::default()
        };
        let constrained = constrain(&request).unwrap();
        prop_assert!(constrained.messages.windows(2).all(|pair| pair[0].role != pair[1].role));
        prop_assert!(known(&schema_of(&request)));
    }

    #[test]
    fn whatever_is_said_comes_back_however_it_is_cut(text in any::<String>(), name in ".{1,12}", arguments in any_json(), cuts in prop::collection::vec(0usize..400, 0..8)) {
        let arguments = if arguments.is_object() { arguments } else { json!({ "value": arguments }) };
        let wire = json!({ "answer": text }).to_string();
        prop_assert_eq!(released(&wire, Stop::End), says(&text, Stop::End));
        prop_assert_eq!(streamed(&pieces(&wire, &cuts), Stop::End), says(&text, Stop::End));
        let wire = json!({ "tool": name, "arguments": arguments }).to_string();
        let expected = call(&name, &arguments.to_string());
        prop_assert_eq!(released(&wire, Stop::End), expected.clone());
        prop_assert_eq!(streamed(&pieces(&wire, &cuts), Stop::End), expected);
    }

    #[test]
    fn any_text_means_the_same_whole_and_in_pieces(
        text in r#"(\{"answer": ?"|\{"tool":"a","arguments":|)[a-z{}\[\]":,\\ud8c0\n é😀]{0,24}"#,
        cuts in prop::collection::vec(0usize..40, 0..6),
        cut in any::<bool>(),
    ) {
        let stop = if cut { Stop::Length } else { Stop::End };
        let whole = released(&text, stop.clone());
        let streamed = streamed(&pieces(&text, &cuts), stop);
        match (whole, streamed) {
            (Ok(whole), streamed) => prop_assert_eq!(Ok(whole), streamed),
            (Err(_), streamed) => prop_assert!(streamed.is_err(), "{streamed:?}"),
        }
    }
}

/// `text` cut at these places, moved to where a character begins.
fn pieces<'a>(text: &'a str, cuts: &[usize]) -> Vec<&'a str> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| text.floor_char_boundary((*cut).min(text.len()))).collect();
    cuts.extend([0, text.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect()
}

#[test]
fn a_form_that_begins_with_much_white_space_is_read_once() {
    // Reading from the beginning for each piece takes hours.
    let mut form = super::form::Form::default();
    for piece in std::iter::once("{").chain(std::iter::repeat_n(" ", 1 << 18)).chain(["\"answ", "er\" ", ":"]) {
        assert_eq!(form.feed(piece), Ok(String::new()));
    }
    assert_eq!(form.feed("\n\"hi"), Ok("hi".to_owned()));
    assert_eq!(form.feed("\"}"), Ok(String::new()));
    assert_eq!(form.finish(false), Ok(None));
}
