use serde_json::{Value, json};

use super::super::{read_request, retarget, write_request};
use super::{call, user};
use crate::{Choice, Effort, Format, Image, Message, Part, Reasoning, Request, Role, Tool, ToolResult};

fn minimal(more: Value) -> Value {
    let mut body = json!({"model": "m", "max_tokens": 10, "messages": []});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn read_messages(messages: Value) -> Vec<Message> {
    read_request(&minimal(json!({ "messages": messages }))).unwrap().messages
}

#[test]
fn request_of_an_agent_with_tools_is_read() {
    let body = json!({
        "model": "claude-sonnet-4-5", "max_tokens": 8192, "stream": true, "temperature": 0.5, "top_k": 4,
        "metadata": {"user_id": "u"},
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "tools": [
            {"name": "shell", "description": "Runs a command", "input_schema": {"type": "object", "properties": {}}},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
            {"type": "mcp_toolset", "mcp_server_name": "files"},
        ],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
        "stop_sequences": ["END"],
        "messages": [
            {"role": "user", "content": "List"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "ls", "signature": "sig"},
                {"type": "redacted_thinking", "data": "opaque"},
                {"type": "tool_use", "id": "toolu_1", "name": "shell", "input": {"command": "ls"}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": true, "content": [
                    {"type": "text", "text": "denied"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                ]},
                {"type": "text", "text": "Go on", "cache_control": {"type": "ephemeral"}},
                {"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}},
                {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
            ]},
        ],
    });
    let object = json!({"type": "object"});
    let tool = |name: &str, description: &str, parameters: Value| Tool {
        name: name.into(),
        description: description.into(),
        parameters,
    };
    assert_eq!(
        read_request(&body).unwrap(),
        Request {
            model: "claude-sonnet-4-5".into(),
            messages: vec![
                Message::text(Role::System, "Be brief."),
                user("List"),
                Message {
                    role: Role::Assistant,
                    parts: vec![
                        Part::Reasoning(Reasoning { text: "ls".into(), signature: Some("sig".into()) }),
                        Part::Call(call("toolu_1", "shell", r#"{"command":"ls"}"#)),
                    ],
                },
                Message {
                    role: Role::User,
                    parts: vec![
                        Part::Result(ToolResult {
                            id: "toolu_1".into(),
                            parts: vec![
                                Part::Text("denied".into()),
                                Part::Image(Image::Data { media_type: "image/png".into(), base64: "AAAA".into() }),
                            ],
                            failed: true,
                        }),
                        Part::Text("Go on".into()),
                        Part::Image(Image::Url("https://a.example/b.png".into())),
                    ],
                },
            ],
            tools: vec![
                tool("shell", "Runs a command", json!({"type": "object", "properties": {}})),
                tool("web_search", "", object.clone()),
                tool("mcp_toolset", "", object),
            ],
            choice: Some(Choice::Auto),
            parallel_calls: Some(false),
            max_output: Some(8192),
            temperature: Some(0.5),
            top_p: None,
            stop: vec!["END".into()],
            format: None,
            effort: None,
            stream: true,
        }
    );
}

#[test]
fn connectors_of_the_provider_are_visible_as_tools() {
    let body = minimal(json!({"mcp_servers": [{"type": "url", "url": "https://x.example", "name": "x"}]}));
    assert_eq!(read_request(&body).unwrap().tools[0].name, "mcp_servers");
}

#[test]
fn results_of_provider_tools_are_results_and_not_words_of_the_model() {
    let messages = read_messages(json!([{"role": "assistant", "content": [
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [
            {"type": "web_search_result", "title": "T", "url": "https://t.example", "encrypted_content": "zzz"},
        ]},
        {"type": "text", "text": "Found T."},
    ]}]));
    let parts = |message: &Message| message.parts.clone();
    assert_eq!(messages.len(), 3);
    assert_eq!(parts(&messages[0]), [Part::Call(call("srvtoolu_1", "web_search", r#"{"query":"q"}"#))]);
    assert_eq!(messages[1].role, Role::User);
    assert_eq!(
        parts(&messages[1]),
        [Part::Result(ToolResult {
            id: "srvtoolu_1".into(),
            parts: vec![Part::Text("T\nhttps://t.example".into())],
            failed: false
        })]
    );
    assert_eq!(messages[2], Message::text(Role::Assistant, "Found T."));
}

#[test]
fn documents_are_read_where_they_are_text() {
    let messages = read_messages(json!([{"role": "user", "content": [
        {"type": "document", "title": "Plan", "source": {"type": "text", "media_type": "text/plain", "data": "dig"}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}},
        {"type": "document", "source": {"type": "url", "url": "https://d.example/x?secret"}},
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "inner"}]}},
        {"type": "search_result", "source": "https://s.example", "title": "S",
            "content": [{"type": "text", "text": "hit"}]},
        {"type": "of_tomorrow", "x": 1},
    ]}]));
    let texts = ["Plan", "dig", "https://d.example/x?secret", "inner", "S", "https://s.example", "hit"];
    assert_eq!(messages[0].parts, texts.map(|text| Part::Text(text.into())));
}

#[test]
fn mistakes_are_named_by_their_place() {
    let error = |body: Value| read_request(&body).unwrap_err().to_string();
    assert_eq!(error(json!(1)), "the body is not an object");
    assert_eq!(error(json!({"messages": []})), "`model` is missing");
    assert_eq!(error(minimal(json!({"messages": {}}))), "`messages` is not a list");
    assert_eq!(
        error(minimal(json!({"messages": [{"role": "tool", "content": ""}]}))),
        "`messages[0].role` is none of user, assistant, system"
    );
    assert_eq!(
        error(minimal(json!({"messages": [{"role": "user", "content": [{"type": "text"}]}]}))),
        "`messages[0].content[0].text` is missing"
    );
    assert_eq!(error(minimal(json!({"max_tokens": -1}))), "`max_tokens` is not a whole number from 0");
    assert_eq!(
        error(minimal(json!({"output_config": {"format": {"type": "yaml"}}}))),
        "`output_config.format.type` is not json_schema"
    );
}

#[test]
fn history_of_another_dialect_is_written_as_the_api_takes_it() {
    let result = |id: &str, text: &str| {
        Part::Result(ToolResult { id: id.into(), parts: vec![Part::Text(text.into())], failed: false })
    };
    let request = Request {
        model: "claude-sonnet-4-5".into(),
        messages: vec![
            Message::text(Role::System, "Be brief."),
            user("a"),
            user("b"),
            Message {
                role: Role::Assistant,
                parts: vec![
                    Part::Reasoning(Reasoning { text: "unsigned".into(), signature: None }),
                    Part::Reasoning(Reasoning { text: "foreign".into(), signature: Some("gemini:x".into()) }),
                    Part::Text(String::new()),
                    Part::Call(call("functions.get:0", "get", "{\"broken")),
                    Part::Call(call("call_2", "get", "")),
                ],
            },
            Message { role: Role::User, parts: vec![result("functions.get:0", "one")] },
            Message::text(Role::System, "Hurry."),
            Message { role: Role::User, parts: vec![Part::Text("and?".into()), result("call_2", "two")] },
        ],
        format: Some(Format::Json),
        temperature: Some(1.7),
        stop: vec!["\n".into(), "END".into()],
        ..Request::default()
    };
    assert_eq!(
        write_request(&request),
        json!({
            "model": "claude-sonnet-4-5",
            "max_tokens": 4096,
            "system": [
                {"type": "text", "text": "Be brief."},
                {"type": "text", "text": "Hurry."},
                {"type": "text", "text": "Answer with one JSON object and nothing else."},
            ],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
                {"role": "assistant", "content": [
                    {"type": "tool_use", "id": "functions_get_0", "name": "get", "input": {"arguments": "{\"broken"}},
                    {"type": "tool_use", "id": "call_2", "name": "get", "input": {}},
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "functions_get_0", "content": "one"},
                    {"type": "tool_result", "tool_use_id": "call_2", "content": "two"},
                    {"type": "text", "text": "and?"},
                ]},
            ],
            "temperature": 1.0,
            "stop_sequences": ["END"],
        })
    );
}

#[test]
fn efforts_become_budgets_or_words_by_the_model() {
    let thinks = |model: &str, effort: Effort, max_output: Option<u64>| {
        let request = Request {
            model: model.into(),
            messages: vec![user("hi")],
            effort: Some(effort),
            max_output,
            temperature: Some(0.5),
            ..Request::default()
        };
        let body = write_request(&request);
        json!([body["thinking"], body["output_config"], body["max_tokens"], body["temperature"]])
    };
    let budget = |tokens: u64| json!({"type": "enabled", "budget_tokens": tokens});
    let adaptive = json!({"type": "adaptive", "display": "summarized"});
    assert_eq!(thinks("claude-sonnet-4-5", Effort::Low, None), json!([budget(2048), null, 6144, null]));
    assert_eq!(thinks("claude-sonnet-4-5", Effort::High, Some(9000)), json!([budget(4500), null, 9000, null]));
    assert_eq!(thinks("kimi-k2", Effort::Medium, Some(1500)), json!([null, null, 1500, 0.5]));
    assert_eq!(thinks("claude-opus-4-20250514", Effort::Minimal, None), json!([{"type": "disabled"}, null, 4096, 0.5]));
    assert_eq!(thinks("claude-opus-4-8", Effort::High, Some(9000)), json!([adaptive, {"effort": "high"}, 9000, null]));
    assert_eq!(thinks("claude-opus-4-6", Effort::Minimal, None), json!([{"type": "disabled"}, null, 4096, 0.5]));
    assert_eq!(thinks("claude-opus-4-7", Effort::Minimal, None), json!([{"type": "disabled"}, null, 4096, null]));
}

#[test]
fn no_thoughts_are_asked_for_where_the_api_refuses_them() {
    let tool = Tool { name: "get".into(), description: String::new(), parameters: json!({}) };
    let forced = Request {
        model: "claude-sonnet-4-5".into(),
        messages: vec![user("hi")],
        tools: vec![tool],
        choice: Some(Choice::Required),
        effort: Some(Effort::High),
        ..Request::default()
    };
    let body = write_request(&forced);
    assert_eq!((&body["thinking"], &body["tool_choice"]), (&Value::Null, &json!({"type": "any"})));

    let result = Part::Result(ToolResult { id: "c".into(), parts: Vec::new(), failed: false });
    let continued = Request {
        messages: vec![
            user("hi"),
            Message { role: Role::Assistant, parts: vec![Part::Call(call("c", "get", "{}"))] },
            Message { role: Role::User, parts: vec![result] },
        ],
        choice: None,
        ..forced
    };
    assert_eq!(write_request(&continued)["thinking"], Value::Null);
    let newer = Request { model: "claude-opus-4-7".into(), ..continued };
    assert_eq!(write_request(&newer)["thinking"]["type"], "adaptive");
}

#[test]
fn efforts_are_read_from_budgets_and_words() {
    let effort = |more: Value| read_request(&minimal(more)).unwrap().effort;
    let budget = |tokens: u64| json!({"thinking": {"type": "enabled", "budget_tokens": tokens}});
    assert_eq!(effort(json!({})), None);
    assert_eq!(effort(budget(1024)), Some(Effort::Low));
    assert_eq!(effort(budget(10_000)), Some(Effort::Medium));
    assert_eq!(effort(budget(32_000)), Some(Effort::High));
    assert_eq!(effort(json!({"thinking": {"type": "disabled"}})), Some(Effort::Minimal));
    assert_eq!(effort(json!({"thinking": {"type": "adaptive"}})), Some(Effort::High));
    assert_eq!(
        effort(json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}})),
        Some(Effort::Low)
    );
    assert_eq!(effort(json!({"output_config": {"effort": "max"}})), Some(Effort::High));
}

#[test]
fn schemas_are_read_in_both_places() {
    let format = json!({"type": "json_schema", "schema": {"type": "object"}});
    let schema = Some(Format::Schema { name: "answer".into(), schema: json!({"type": "object"}), strict: true });
    for body in [json!({"output_format": format}), json!({"output_config": {"format": format}})] {
        assert_eq!(read_request(&minimal(body)).unwrap().format, schema);
    }
}

#[test]
fn retargeting_keeps_what_it_does_not_know() {
    let mut body = json!({
        "model": "fast", "future": [1], "max_tokens": 64000,
        "thinking": {"type": "enabled", "budget_tokens": 32000},
        "messages": [
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "own", "signature": "EqQB"},
                {"type": "thinking", "thinking": "of another provider", "signature": ""},
                {"type": "text", "text": "x", "citations": null},
            ]},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "y", "signature": "gemini:s"}]},
            {"role": "user", "content": "z"},
        ],
    });
    let untouched = body.clone();
    retarget(&mut body, "claude-sonnet-4-5", None);
    assert_eq!(body["future"], untouched["future"]);
    assert_eq!(body["max_tokens"], 64000);
    assert_eq!(body["thinking"], untouched["thinking"]);
    assert_eq!(
        body["messages"],
        json!([
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "own", "signature": "EqQB"},
                {"type": "text", "text": "x", "citations": null},
            ]},
            {"role": "user", "content": "z"},
        ])
    );
    retarget(&mut body, "claude-sonnet-4-5", Some(4096));
    assert_eq!((&body["max_tokens"], &body["thinking"]["budget_tokens"]), (&json!(4096), &json!(4095)));
    retarget(&mut body, "claude-sonnet-4-5", Some(1000));
    assert_eq!(body["thinking"], json!({"type": "disabled"}));
    let mut odd = json!([1]);
    retarget(&mut odd, "m", Some(1));
    assert_eq!(odd, json!([1]));
}
