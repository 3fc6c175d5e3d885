//! Requests of agents, and those written for providers.

use serde_json::{Value, json};

use super::*;
use crate::{Choice, Effort, Format, Image, Message, Part, Reasoning, Request, Role, Tool, ToolResult};

#[test]
fn a_request_of_an_agent_is_read() {
    let body = json!({
        "model": "gpt-5",
        "instructions": "Be brief.",
        "input": [
            {"role": "developer", "content": "Use tools."},
            {"role": "user", "content": [
                {"type": "input_text", "text": "What is this?"},
                {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "high"},
                {"type": "input_image", "image_url": "https://pictures.example/a.png"},
                {"type": "input_file", "file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"},
            ]},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}],
             "encrypted_content": "gAAA"},
            {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": "{\"at\":1}"},
            {"type": "function_call", "id": "fc_2", "call_id": "call_2", "name": "look", "arguments": "{\"at\":2}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "a cat"},
            {"type": "function_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "a dog"}]},
            {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed",
             "content": [{"type": "output_text", "text": "Pets.", "annotations": []}, {"type": "refusal", "refusal": "No."}]},
            {"type": "local_shell_call", "id": "lsh_1", "call_id": "call_3", "status": "completed",
             "action": {"type": "exec", "command": ["ls"]}},
            {"type": "local_shell_call_output", "call_id": "call_3", "output": "{\"stdout\":\"\"}"},
        ],
        "tools": [
            {"type": "function", "name": "look", "description": "Looks.", "parameters": {"type": "object"}, "strict": true},
            {"type": "custom", "name": "patch", "description": "Patches."},
            {"type": "namespace", "name": "crm", "tools": [{"type": "function", "name": "find", "parameters": null}]},
            {"type": "web_search"},
            {"type": "mcp", "server_label": "s", "server_url": "https://s.example"},
        ],
        "tool_choice": {"type": "function", "name": "look"},
        "parallel_tool_calls": false,
        "max_output_tokens": 100,
        "temperature": 0.5,
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": true}},
        "reasoning": {"effort": "xhigh", "summary": "auto"},
        "stream": true,
        "truncation": "auto",
    });
    let request = read_request(&body).unwrap();
    assert_eq!(request.model, "gpt-5");
    let tool = |name: &str, description: &str, parameters: Value| Tool {
        name: name.into(),
        description: description.into(),
        parameters,
    };
    assert_eq!(
        request.tools,
        [
            tool("look", "Looks.", json!({"type": "object"})),
            tool("patch", "Patches.", json!({})),
            tool("find", "", json!({})),
            tool("web_search", "", json!({})),
            tool("mcp", "", json!({})),
        ]
    );
    let result = |id: &str, text: &str| {
        Part::Result(ToolResult { id: id.into(), parts: vec![Part::Text(text.into())], failed: false })
    };
    assert_eq!(
        request.messages,
        [
            Message::text(Role::System, "Be brief."),
            Message::text(Role::System, "Use tools."),
            Message {
                role: Role::User,
                parts: vec![
                    Part::Text("What is this?".into()),
                    Part::Image(Image::Data { media_type: "image/png".into(), base64: "AAAA".into() }),
                    Part::Image(Image::Url("https://pictures.example/a.png".into())),
                ],
            },
            Message {
                role: Role::Assistant,
                parts: vec![
                    Part::Reasoning(Reasoning { text: "Hm.".into(), signature: Some("gAAA".into()) }),
                    Part::Call(call("call_1", "look", "{\"at\":1}")),
                    Part::Call(call("call_2", "look", "{\"at\":2}")),
                ],
            },
            Message { role: Role::User, parts: vec![result("call_1", "a cat"), result("call_2", "a dog")] },
            Message {
                role: Role::Assistant,
                parts: vec![
                    Part::Text("Pets.".into()),
                    Part::Text("No.".into()),
                    Part::Call(call("call_3", "local_shell_call", r#"{"type":"exec","command":["ls"]}"#)),
                ],
            },
            Message { role: Role::User, parts: vec![result("call_3", "{\"stdout\":\"\"}")] },
        ]
    );
    assert_eq!(request.choice, Some(Choice::Named("look".into())));
    assert_eq!(request.parallel_calls, Some(false));
    assert_eq!(request.max_output, Some(100));
    assert_eq!(request.temperature, Some(0.5));
    assert_eq!(
        request.format,
        Some(Format::Schema { name: "n".into(), schema: json!({"type": "object"}), strict: true })
    );
    assert_eq!(request.effort, Some(Effort::High));
    assert!(request.stream);
}

#[test]
fn input_may_be_one_text() {
    let request = read_request(&json!({"model": "m", "input": "Hello"})).unwrap();
    assert_eq!(request.messages, [Message::text(Role::User, "Hello")]);
}

#[test]
fn what_makes_no_sense_is_named() {
    let wrong = |body: Value| read_request(&body).unwrap_err().to_string();
    assert_eq!(wrong(json!([])), "the body is not an object");
    assert_eq!(wrong(json!({"input": 1})), "`input` is not a list");
    assert_eq!(wrong(json!({"input": [{"role": "robot", "content": ""}]})), "`input[0].role` is not a role");
    assert_eq!(wrong(json!({"input": [{"role": "user", "content": 1}]})), "`input[0].content` is not a list");
    assert_eq!(
        wrong(json!({"input": [{"type": "function_call", "call_id": "c", "name": "n", "arguments": {}}]})),
        "`input[0].arguments` is not text"
    );
    assert_eq!(wrong(json!({"tools": [{"type": "function"}]})), "`tools[0].name` is missing");
    assert_eq!(wrong(json!({"tool_choice": "some"})), "`tool_choice` is not a choice of tools");
    assert_eq!(wrong(json!({"stream": "yes"})), "`stream` is neither true nor false");
}

#[test]
fn a_request_is_written_for_the_provider() {
    let request = Request {
        model: "m".into(),
        messages: vec![
            Message::text(Role::System, "Be brief."),
            Message::text(Role::User, "Hi"),
            Message {
                role: Role::Assistant,
                parts: vec![
                    Part::Reasoning(Reasoning { text: "Not proved".into(), signature: None }),
                    Part::Text("Let me see.".into()),
                    Part::Call(call("c1", "look", "{}")),
                ],
            },
            Message {
                role: Role::User,
                parts: vec![Part::Result(ToolResult { id: "c1".into(), parts: vec![], failed: true })],
            },
        ],
        tools: vec![Tool { name: "look".into(), description: String::new(), parameters: json!({"type": "object"}) }],
        effort: Some(Effort::Low),
        stream: true,
        ..Request::default()
    };
    assert_eq!(
        write_request(&request),
        json!({
            "model": "m",
            "instructions": "Be brief.",
            "input": [
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me see."}]},
                {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c1", "output": ""},
            ],
            "tools": [{"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": false}],
            "reasoning": {"effort": "low"},
            "include": ["reasoning.encrypted_content"],
            "stream": true,
            "store": false,
        })
    );
}

#[test]
fn state_at_the_provider_is_noticed() {
    for body in [
        json!({"previous_response_id": "resp_1"}),
        json!({"conversation": {"id": "conv_1"}}),
        json!({"prompt": {"id": "pmpt_1"}}),
        json!({"background": true}),
        json!({"input": [{"type": "item_reference", "id": "msg_1"}]}),
        json!({"input": [{"id": "msg_1"}]}),
        json!({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file_1"}]}]}),
        json!({"input": [{"type": "computer_call_output", "output": {"type": "computer_screenshot", "file_id": "f"}}]}),
    ] {
        assert!(needs_provider_state(&body), "{body}");
    }
    for body in [
        json!({}),
        json!(1),
        json!({"input": "Hi", "previous_response_id": null, "background": false}),
        json!({"input": [{"role": "user", "content": "Hi", "id": "msg_1"}], "store": true}),
    ] {
        assert!(!needs_provider_state(&body), "{body}");
    }
}

#[test]
fn retargeting_leaves_the_rest() {
    let mut body = json!({"model": "fast", "unknown": 1, "max_output_tokens": 7});
    retarget(&mut body, "m-1", None);
    assert_eq!(body, json!({"model": "m-1", "unknown": 1, "max_output_tokens": 7}));
    retarget(&mut body, "m-1", Some(5));
    assert_eq!(body["max_output_tokens"], 5);
    let mut odd = json!("text");
    retarget(&mut odd, "m", Some(1));
    assert_eq!(odd, json!("text"));
}
