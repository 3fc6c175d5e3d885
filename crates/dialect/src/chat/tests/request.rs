use serde_json::{Value, json};

use crate::chat::{read_request, retarget, write_request};
use crate::{Choice, Effort, Format, Image, Message, Part, Reasoning, Request, Role, Tool, ToolResult};

use super::call;

fn result(id: &str, parts: Vec<Part>) -> Part {
    Part::Result(ToolResult { id: id.to_owned(), parts, failed: false })
}

fn text(text: &str) -> Part {
    Part::Text(text.to_owned())
}

fn parse(messages: Value) -> Vec<Message> {
    read_request(&json!({"model": "m", "messages": messages})).unwrap().messages
}

/// A request of an agent in the middle of its loop, as the neutral form has it.
fn loop_request() -> Request {
    let schema = json!({"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]});
    Request {
        model: "gpt-4o".to_owned(),
        messages: vec![
            Message::text(Role::System, "You are an analyst."),
            Message {
                role: Role::User,
                parts: vec![
                    text("What is this?"),
                    Part::Image(Image::Data { media_type: "image/png".to_owned(), base64: "iVBORw0=".to_owned() }),
                    Part::Image(Image::Url("https://pictures.example/1.png".to_owned())),
                ],
            },
            Message {
                role: Role::Assistant,
                parts: vec![
                    Part::Reasoning(Reasoning { text: "Hm.".to_owned(), signature: None }),
                    text("Let me look."),
                    Part::Call(call("call_a", "file_read", "{\"path\":\"a.txt\"}")),
                    Part::Call(call("call_b", "file_read", "{\"path\":\"b.txt\"}")),
                ],
            },
            Message { role: Role::User, parts: vec![result("call_a", vec![text("A")]), result("call_b", vec![])] },
            Message::text(Role::User, "And?"),
        ],
        tools: vec![Tool { name: "file_read".to_owned(), description: "Reads a file".to_owned(), parameters: schema }],
        choice: Some(Choice::Named("file_read".to_owned())),
        parallel_calls: Some(true),
        max_output: Some(1000),
        temperature: Some(0.5),
        top_p: Some(0.9),
        stop: vec!["END".to_owned(), "STOP".to_owned()],
        format: Some(Format::Schema { name: "out".to_owned(), schema: json!({"type": "object"}), strict: true }),
        effort: Some(Effort::Low),
        stream: true,
    }
}

/// The same on the wire.
fn loop_body() -> Value {
    json!({
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": "You are an analyst."},
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0="}},
                {"type": "image_url", "image_url": {"url": "https://pictures.example/1.png"}},
            ]},
            {"role": "assistant", "content": "Let me look.", "reasoning_content": "Hm.", "tool_calls": [
                {"id": "call_a", "type": "function",
                    "function": {"name": "file_read", "arguments": "{\"path\":\"a.txt\"}"}},
                {"id": "call_b", "type": "function",
                    "function": {"name": "file_read", "arguments": "{\"path\":\"b.txt\"}"}},
            ]},
            {"role": "tool", "tool_call_id": "call_a", "content": "A"},
            {"role": "tool", "tool_call_id": "call_b", "content": ""},
            {"role": "user", "content": "And?"},
        ],
        "tools": [{"type": "function", "function": {"name": "file_read", "description": "Reads a file",
            "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}}}],
        "tool_choice": {"type": "function", "function": {"name": "file_read"}},
        "parallel_tool_calls": true,
        "max_tokens": 1000,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["END", "STOP"],
        "response_format": {"type": "json_schema",
            "json_schema": {"name": "out", "schema": {"type": "object"}, "strict": true}},
        "reasoning_effort": "low",
        "stream": true,
        "stream_options": {"include_usage": true},
    })
}

#[test]
fn request_of_an_agent_loop_is_written() {
    assert_eq!(write_request(&loop_request()), loop_body());
}

#[test]
fn request_of_an_agent_loop_is_read_and_unknown_fields_are_left_out() {
    let mut body = loop_body();
    body["store"] = json!(false);
    body["metadata"] = json!({"a": "b"});
    body["messages"][0]["name"] = json!("boss");
    assert_eq!(read_request(&body), Ok(loop_request()));
}

#[test]
fn smallest_request_is_written_with_nothing_else() {
    let request =
        Request { model: "m".to_owned(), messages: vec![Message::text(Role::User, "Hi")], ..Request::default() };
    assert_eq!(write_request(&request), json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]}));
}

#[test]
fn legacy_functions_are_tools_and_calls_and_results() {
    let request = read_request(&json!({
        "model": "m",
        "functions": [{"name": "weather", "parameters": {"type": "object"}}],
        "function_call": {"name": "weather"},
        "messages": [
            {"role": "assistant", "content": null, "function_call": {"name": "weather", "arguments": "{}"}},
            {"role": "function", "name": "weather", "content": "rain"},
        ],
    }))
    .unwrap();
    assert_eq!(request.tools[0].name, "weather");
    assert_eq!(request.choice, Some(Choice::Named("weather".to_owned())));
    assert_eq!(request.messages[0].parts, [Part::Call(call("weather", "weather", "{}"))]);
    assert_eq!(request.messages[1].parts, [result("weather", vec![text("rain")])]);
}

#[test]
fn developer_is_system() {
    assert_eq!(
        parse(json!([{"role": "developer", "content": "Be short."}])),
        [Message::text(Role::System, "Be short.")]
    );
}

#[test]
fn parts_without_a_neutral_form_keep_their_place() {
    let messages = parse(json!([{"role": "user", "content": [
        {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
        {"type": "text", "text": "Hear this"},
        {"type": "file", "file": {"file_id": "f"}},
        "bare",
    ]}]));
    assert_eq!(messages[0].parts, [text(""), text("Hear this"), text(""), text("bare")]);
}

#[test]
fn refusals_of_the_model_are_text() {
    let messages = parse(json!([
        {"role": "assistant", "content": null, "refusal": "I cannot."},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
    ]));
    assert_eq!(messages[0].parts, [text("I cannot.")]);
    assert_eq!(messages[1].parts, [text("No.")]);
}

#[test]
fn custom_tools_and_their_calls_are_read() {
    let request = read_request(&json!({
        "model": "m",
        "tools": [
            {"type": "custom", "custom": {"name": "python", "description": "Runs it", "format": {"type": "text"}}},
            {"type": "web_search", "filters": {}},
        ],
        "tool_choice": {"type": "custom", "custom": {"name": "python"}},
        "messages": [{"role": "assistant", "tool_calls": [
            {"id": "call_1", "type": "custom", "custom": {"name": "python", "input": "print(1)"}},
        ]}],
    }))
    .unwrap();
    let no_parameters = json!({"type": "object", "properties": {}});
    let tool = |name: &str, description: &str| Tool {
        name: name.to_owned(),
        description: description.to_owned(),
        parameters: no_parameters.clone(),
    };
    assert_eq!(request.tools, [tool("python", "Runs it"), tool("web_search", "")]);
    assert_eq!(request.choice, Some(Choice::Named("python".to_owned())));
    assert_eq!(request.messages[0].parts, [Part::Call(call("call_1", "python", "print(1)"))]);
}

#[test]
fn arguments_given_as_a_value_are_its_text() {
    let messages = parse(json!([{"role": "assistant", "tool_calls": [
        {"id": "c", "function": {"name": "f", "arguments": {"a": 1}}},
    ]}]));
    assert_eq!(messages[0].parts, [Part::Call(call("c", "f", "{\"a\":1}"))]);
}

#[test]
fn words_for_choices_formats_and_efforts_are_read() {
    let read = |key: &str, value: Value| {
        let mut body = json!({"model": "m", "messages": []});
        body[key] = value;
        read_request(&body).unwrap()
    };
    for (word, choice) in [
        (json!("auto"), Some(Choice::Auto)),
        (json!("none"), Some(Choice::None)),
        (json!("required"), Some(Choice::Required)),
        (json!("any"), Some(Choice::Required)),
        (json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": []}}), Some(Choice::Required)),
        (json!("whatever"), None),
        (json!(null), None),
    ] {
        assert_eq!(read("tool_choice", word.clone()).choice, choice, "{word}");
    }
    for (word, effort) in [
        ("none", Some(Effort::Minimal)),
        ("minimal", Some(Effort::Minimal)),
        ("medium", Some(Effort::Medium)),
        ("high", Some(Effort::High)),
        ("xhigh", Some(Effort::High)),
        ("extreme", None),
    ] {
        assert_eq!(read("reasoning_effort", json!(word)).effort, effort, "{word}");
    }
    assert_eq!(read("response_format", json!({"type": "json_object"})).format, Some(Format::Json));
    assert_eq!(read("response_format", json!({"type": "text"})).format, None);
    assert_eq!(read("stop", json!("END")).stop, ["END"]);
    assert_eq!(read("stop", json!(null)).stop, Vec::<String>::new());
}

#[test]
fn larger_of_two_limits_counts() {
    let limit = |limits: Value| {
        let mut body = json!({"model": "m", "messages": []});
        body.as_object_mut().unwrap().extend(limits.as_object().unwrap().clone());
        read_request(&body).unwrap().max_output
    };
    assert_eq!(limit(json!({"max_tokens": 5, "max_completion_tokens": 9})), Some(9));
    assert_eq!(limit(json!({"max_tokens": 50, "max_completion_tokens": 9})), Some(50));
    assert_eq!(limit(json!({"max_tokens": null, "max_completion_tokens": 9})), Some(9));
    assert_eq!(limit(json!({})), None);
}

#[test]
fn wrong_fields_are_named() {
    for (body, message) in [
        (json!([]), "the body is not an object"),
        (json!({"messages": []}), "`model` is missing"),
        (json!({"model": 1, "messages": []}), "`model` is not text"),
        (json!({"model": "m"}), "`messages` is missing"),
        (json!({"model": "m", "messages": {}}), "`messages` is not a list"),
        (json!({"model": "m", "messages": [1]}), "`messages[0]` is not an object"),
        (json!({"model": "m", "messages": [{}]}), "`messages[0].role` is not text"),
        (json!({"model": "m", "messages": [{"role": "god"}]}), "`messages[0].role` is `god`, which is no role"),
        (
            json!({"model": "m", "messages": [{"role": "user", "content": 1}]}),
            "`messages[0].content` is neither text nor a list of parts",
        ),
        (
            json!({"model": "m", "messages": [{"role": "user", "content": [1]}]}),
            "`messages[0].content[0]` is not an object",
        ),
        (
            json!({"model": "m", "messages": [{"role": "assistant", "tool_calls": {}}]}),
            "`messages[0].tool_calls` is not a list",
        ),
        (
            json!({"model": "m", "messages": [{"role": "assistant", "tool_calls": [{"id": "a"}]}]}),
            "`messages[0].tool_calls[0]` is a tool call without a name",
        ),
        (json!({"model": "m", "messages": [], "stream": "yes"}), "`stream` is neither true nor false"),
        (json!({"model": "m", "messages": [], "max_tokens": -1}), "`max_tokens` is not a number of tokens"),
        (json!({"model": "m", "messages": [], "tools": [{"function": {}}]}), "`tools[0].function` has no name"),
        (json!({"model": "m", "messages": [], "stop": [1]}), "`stop` is neither text nor a list of texts"),
    ] {
        assert_eq!(read_request(&body).unwrap_err().to_string(), message, "{body}");
    }
}

#[test]
fn pictures_of_tool_results_follow_them() {
    let image = Part::Image(Image::Url("https://pictures.example/1.png".to_owned()));
    let message =
        Message { role: Role::User, parts: vec![text("Look"), result("c", vec![text("two"), text("lines"), image])] };
    let request = Request { model: "m".to_owned(), messages: vec![message], ..Request::default() };
    let expected = json!([
        {"role": "tool", "tool_call_id": "c", "content": "two\nlines"},
        {"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "https://pictures.example/1.png"}},
            {"type": "text", "text": "Look"},
        ]},
    ]);
    assert_eq!(write_request(&request)["messages"], expected);
}

#[test]
fn retargeting_changes_nothing_else() {
    let mut body = json!({"model": "fast", "messages": [{"role": "user", "content": "Hi"}], "store": true, "seed": 7});
    let mut expected = body.clone();
    retarget(&mut body, "gpt-4o", None);
    expected["model"] = json!("gpt-4o");
    assert_eq!(body, expected);
}

#[test]
fn retargeting_keeps_the_name_of_the_limit() {
    let limited = |mut body: Value, model: &str| {
        retarget(&mut body, model, Some(100));
        body.as_object_mut().unwrap().shift_remove("model");
        body
    };
    assert_eq!(limited(json!({"max_tokens": 7}), "gpt-5"), json!({"max_tokens": 100}));
    assert_eq!(limited(json!({"max_completion_tokens": 7}), "m"), json!({"max_completion_tokens": 100}));
    assert_eq!(
        limited(json!({"max_tokens": 7, "max_completion_tokens": 7}), "m"),
        json!({"max_tokens": 100, "max_completion_tokens": 100})
    );
    assert_eq!(limited(json!({"max_tokens": null}), "m"), json!({"max_tokens": 100}));
    assert_eq!(limited(json!({}), "llama-3.1-8b"), json!({"max_tokens": 100}));
    for model in ["gpt-5-mini", "openai/gpt-5.1", "o3", "o4-mini"] {
        assert_eq!(limited(json!({}), model), json!({"max_completion_tokens": 100}), "{model}");
    }
    assert_eq!(limited(json!({}), "olmo-2"), json!({"max_tokens": 100}));
}

#[test]
fn retargeted_stream_ends_with_usage() {
    let mut body = json!({"stream": true, "stream_options": {"include_usage": false, "include_obfuscation": false}});
    retarget(&mut body, "m", None);
    assert_eq!(body["stream_options"], json!({"include_usage": true, "include_obfuscation": false}));
    let mut body = json!({"stream": true, "stream_options": null});
    retarget(&mut body, "m", None);
    assert_eq!(body["stream_options"], json!({"include_usage": true}));
    let mut body = json!({"stream": false});
    retarget(&mut body, "m", None);
    assert_eq!(body, json!({"stream": false, "model": "m"}));
}
