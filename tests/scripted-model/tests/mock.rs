//! The mock over HTTP, as its binary: that streams and whole answers say the same, and that it fails as told.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what a test cannot set up or read is a failed test"
)]

mod process;

use std::io::{Read, Write};
use std::net::TcpStream;

use process::Process;
use serde_json::{Value, json};

struct Mock(Process);

struct Reply {
    status: u16,
    head: String,
    body: String,
    /// Whether the body came to its end.
    complete: bool,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The data of the events of a stream.
    fn events(&self) -> Vec<Value> {
        let data = self.body.lines().filter_map(|line| line.strip_prefix("data: "));
        data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
    }
}

impl Mock {
    fn start(options: &[&str]) -> Self {
        Self(Process::start(options))
    }

    fn request(&self, request: &str) -> Reply {
        let mut stream = TcpStream::connect(("127.0.0.1", self.0.port)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, rest) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let head = head.to_ascii_lowercase();
        let status = head.split(' ').nth(1).map_or(0, |status| status.parse().unwrap());
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let (body, complete) = match length {
            Some(length) => (rest.to_owned(), length.parse() == Ok(rest.len())),
            None => dechunked(rest),
        };
        Reply { status, head, body, complete }
    }

    fn post(&self, path: &str, body: &Value) -> Reply {
        let body = body.to_string();
        self.request(&format!(
            "POST {path} HTTP/1.1\r\nHost: mock\r\nConnection: close\r\nAuthorization: Bearer sk-test\r\n\
             anthropic-version: 2023-06-01\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    /// A first message to each dialect.
    fn ask(&self, dialect: &str, script: &str, stream: bool) -> Reply {
        let messages = json!([{ "role": "user", "content": script }]);
        match dialect {
            "chat" => {
                let options = json!({ "include_usage": true });
                let body = json!({ "model": "m", "messages": messages, "stream": stream, "stream_options": options });
                self.post("/v1/chat/completions", &body)
            }
            "responses" => {
                self.post("/any/prefix/responses", &json!({ "model": "m", "input": messages, "stream": stream }))
            }
            "messages" => {
                let body = json!({ "model": "m", "max_tokens": 9, "messages": messages, "stream": stream });
                self.post("/v1/messages", &body)
            }
            _ => {
                let method = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
                let body = json!({ "contents": [{ "role": "user", "parts": [{ "text": script }] }] });
                self.post(&format!("/v1beta/models/m:{method}"), &body)
            }
        }
    }
}

fn dechunked(mut rest: &str) -> (String, bool) {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return (body, true);
        }
        body.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
    (body, false)
}

/// What is in an answer, whatever its dialect: thoughts, text, calls, stop reason, tokens in and out.
type Content = (String, String, Vec<(String, Value)>, String, (u64, u64));

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn tokens(usage: &Value, input: &str, output: &str) -> (u64, u64) {
    (usage[input].as_u64().unwrap(), usage[output].as_u64().unwrap())
}

fn parsed(calls: Vec<(String, String)>) -> Vec<(String, Value)> {
    calls.into_iter().map(|(name, arguments)| (name, serde_json::from_str(&arguments).unwrap())).collect()
}

fn chat(events: &[Value]) -> Content {
    let (mut thoughts, mut text, mut calls, mut stop) = (String::new(), String::new(), Vec::new(), String::new());
    let (last, events) = events.split_last().unwrap();
    for event in events {
        assert_eq!(event["usage"], Value::Null);
        let choice = &event["choices"][0];
        let delta = &choice["delta"];
        thoughts += text_of(&delta["reasoning_content"]);
        text += text_of(&delta["content"]);
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = call["index"].as_u64().unwrap() as usize;
            if call.get("id").is_some() {
                assert_eq!(index, calls.len());
                calls.push((text_of(&call["function"]["name"]).to_owned(), String::new()));
            }
            calls[index].1 += text_of(&call["function"]["arguments"]);
        }
        stop += text_of(&choice["finish_reason"]);
    }
    (thoughts, text, parsed(calls), stop, tokens(&last["usage"], "prompt_tokens", "completion_tokens"))
}

fn chat_whole(body: &Value) -> Content {
    let message = &body["choices"][0]["message"];
    let calls = message["tool_calls"].as_array().into_iter().flatten();
    let calls = calls.map(|c| (text_of(&c["function"]["name"]).into(), text_of(&c["function"]["arguments"]).into()));
    (
        text_of(&message["reasoning_content"]).into(),
        text_of(&message["content"]).into(),
        parsed(calls.collect()),
        text_of(&body["choices"][0]["finish_reason"]).into(),
        tokens(&body["usage"], "prompt_tokens", "completion_tokens"),
    )
}

fn responses(events: &[Value]) -> Content {
    let (mut thoughts, mut text, mut calls) = (String::new(), String::new(), Vec::<(String, String)>::new());
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
        let delta = text_of(&event["delta"]);
        match text_of(&event["type"]) {
            "response.reasoning_summary_text.delta" => thoughts += delta,
            "response.output_text.delta" => text += delta,
            "response.output_item.added" if event["item"]["type"] == "function_call" => {
                calls.push((text_of(&event["item"]["name"]).into(), String::new()));
            }
            "response.function_call_arguments.delta" => calls.last_mut().unwrap().1 += delta,
            _ => {}
        }
    }
    let end = &events.last().unwrap()["response"];
    let whole = responses_whole(end);
    assert_eq!((&whole.0, &whole.1, &whole.2), (&thoughts, &text, &parsed(calls)));
    whole
}

fn responses_whole(body: &Value) -> Content {
    let (mut thoughts, mut text, mut calls) = (String::new(), String::new(), Vec::new());
    for item in body["output"].as_array().unwrap() {
        match text_of(&item["type"]) {
            "reasoning" => thoughts += text_of(&item["summary"][0]["text"]),
            "message" => text += text_of(&item["content"][0]["text"]),
            _ => calls.push((text_of(&item["name"]).into(), text_of(&item["arguments"]).into())),
        }
    }
    let usage = tokens(&body["usage"], "input_tokens", "output_tokens");
    (thoughts, text, parsed(calls), text_of(&body["status"]).into(), usage)
}

fn messages(events: &[Value]) -> Content {
    let mut blocks: Vec<Value> = Vec::new();
    let mut arguments = String::new();
    for event in events {
        match text_of(&event["type"]) {
            "content_block_start" => {
                assert_eq!(event["index"], blocks.len());
                blocks.push(event["content_block"].clone());
                arguments.clear();
            }
            "content_block_delta" => {
                let (delta, block) = (&event["delta"], blocks.last_mut().unwrap());
                for key in ["text", "thinking", "signature"] {
                    if let Some(more) = delta[key].as_str() {
                        block[key] = format!("{}{more}", text_of(&block[key])).into();
                    }
                }
                arguments += text_of(&delta["partial_json"]);
            }
            "content_block_stop" if !arguments.is_empty() => {
                blocks.last_mut().unwrap()["input"] = serde_json::from_str(&arguments).unwrap();
            }
            _ => {}
        }
    }
    let [.., delta, stop] = events else { panic!("too few events") };
    assert_eq!((&events[0]["type"], &stop["type"]), (&json!("message_start"), &json!("message_stop")));
    let mut message = events[0]["message"].clone();
    message["content"] = blocks.into();
    message["stop_reason"] = delta["delta"]["stop_reason"].clone();
    message["usage"] = delta["usage"].clone();
    messages_whole(&message)
}

fn messages_whole(body: &Value) -> Content {
    let (mut thoughts, mut text, mut calls) = (String::new(), String::new(), Vec::new());
    for block in body["content"].as_array().unwrap() {
        thoughts += text_of(&block["thinking"]);
        text += text_of(&block["text"]);
        if block["type"] == "tool_use" {
            calls.push((text_of(&block["name"]).into(), block["input"].clone()));
        }
    }
    let (input, output) = tokens(&body["usage"], "input_tokens", "output_tokens");
    let cached = body["usage"]["cache_read_input_tokens"].as_u64().unwrap();
    (thoughts, text, calls, text_of(&body["stop_reason"]).into(), (input + cached, output))
}

fn gemini(events: &[Value]) -> Content {
    let (mut thoughts, mut text, mut calls, mut stop) = (String::new(), String::new(), Vec::new(), String::new());
    let mut usage = (0, 0);
    for event in events {
        let candidate = &event["candidates"][0];
        stop += text_of(&candidate["finishReason"]);
        for part in candidate["content"]["parts"].as_array().unwrap() {
            let place = if part["thought"] == true { &mut thoughts } else { &mut text };
            *place += text_of(&part["text"]);
            if let Some(call) = part.get("functionCall") {
                calls.push((text_of(&call["name"]).into(), call["args"].clone()));
            }
        }
        let counts = &event["usageMetadata"];
        usage = tokens(counts, "promptTokenCount", "candidatesTokenCount");
        usage.1 += counts["thoughtsTokenCount"].as_u64().unwrap_or(0);
    }
    (thoughts, text, calls, stop, usage)
}

/// Reads an answer of any dialect.
fn content(dialect: &str, reply: &Reply, stream: bool) -> Content {
    match (dialect, stream) {
        ("chat", true) => chat(&reply.events()),
        ("chat", false) => chat_whole(&reply.json()),
        ("responses", true) => responses(&reply.events()),
        ("responses", false) => responses_whole(&reply.json()),
        ("messages", true) => messages(&reply.events()),
        ("messages", false) => messages_whole(&reply.json()),
        (_, true) => gemini(&reply.events()),
        (_, false) => gemini(&[reply.json()]),
    }
}

/// Stop reasons: a plain end, tool calls, too long.
const DIALECTS: [(&str, [&str; 3]); 4] = [
    ("chat", ["stop", "tool_calls", "length"]),
    ("responses", ["completed", "completed", "incomplete"]),
    ("messages", ["end_turn", "tool_use", "max_tokens"]),
    ("gemini", ["STOP", "STOP", "MAX_TOKENS"]),
];

#[test]
fn a_stream_and_a_whole_answer_say_the_same() {
    let mock = Mock::start(&[]);
    let (one, two) = ("{\"path\": \"漢字/\\u00e9\"}", "{}");
    let calls =
        format!("THINK Let me see…\nREMARK Two calls:\nTOKENS 90 40 30 20\nCALL one {one}\nAND\nCALL two {two}");
    let called = vec![("one".to_owned(), serde_json::from_str(one).unwrap()), ("two".to_owned(), json!({}))];
    for (dialect, [end, tool, length]) in DIALECTS {
        for stream in [true, false] {
            for (script, expected) in [
                ("SAY Grüße aus der Maschine\nTOKENS 5 6", ("", "Grüße aus der Maschine", vec![], end, (5, 6))),
                ("STOP length\nSPLIT 1\nTOKENS 5 6", ("", "ok", vec![], length, (5, 6))),
                (calls.as_str(), ("Let me see…", "Two calls:", called.clone(), tool, (90, 40))),
                ("CALL one {}\nTOKENS 1 2", ("", "", vec![("one".to_owned(), json!({}))], tool, (1, 2))),
            ] {
                let reply = mock.ask(dialect, script, stream);
                assert_eq!((reply.status, reply.complete), (200, true), "{dialect}: {}", reply.body);
                let (thoughts, text, calls, stop, usage) = expected;
                let expected = (thoughts.to_owned(), text.to_owned(), calls, stop.to_owned(), usage);
                assert_eq!(content(dialect, &reply, stream), expected, "{dialect}, stream: {stream}");
            }
        }
    }
}

#[test]
fn results_lead_to_the_next_step() {
    let mock = Mock::start(&[]);
    let script = "CALL a {}\nAND\nCALL b {}\nCALL c {}";
    let chat_call = |id: &str| json!({ "id": id, "type": "function", "function": { "name": "x", "arguments": "{}" } });
    let chat_result = |id: &str| json!({ "role": "tool", "tool_call_id": id, "content": format!("gave {id}") });
    let mut messages = vec![
        json!({ "role": "user", "content": [{ "type": "text", "text": script }] }),
        json!({ "role": "assistant", "content": null, "tool_calls": [chat_call("1"), chat_call("2")] }),
        chat_result("1"),
        chat_result("2"),
    ];
    let ask = |messages: &[Value]| mock.post("/v1/chat/completions", &json!({ "model": "m", "messages": messages }));
    assert_eq!(chat_whole(&ask(&messages).json()).2, [("c".to_owned(), json!({}))]);
    messages.push(json!({ "role": "assistant", "tool_calls": [chat_call("3")] }));
    let reply = ask(&messages);
    assert_eq!(reply.status, 400);
    assert_eq!(reply.json()["error"]["message"], "the tool call `3` is not followed by its result");
    messages.push(chat_result("3"));
    assert_eq!(chat_whole(&ask(&messages).json()).1, "SCRIPT DONE\n[1] gave 1\n[2] gave 2\n[3] gave 3");

    let messages = json!([
        { "role": "user", "content": script },
        { "role": "assistant", "content": [
            { "type": "tool_use", "id": "1", "name": "a", "input": {} },
            { "type": "tool_use", "id": "2", "name": "b", "input": {} },
        ] },
        { "role": "user", "content": [
            { "type": "tool_result", "tool_use_id": "1", "content": "CALL evil {}" },
            { "type": "tool_result", "tool_use_id": "2", "content": [{ "type": "text", "text": "x" }] },
        ] },
    ]);
    let reply = mock.post("/v1/messages", &json!({ "model": "m", "max_tokens": 5, "messages": messages }));
    assert_eq!(messages_whole(&reply.json()).2, [("c".to_owned(), json!({}))]);

    let input = json!([
        { "role": "user", "content": [{ "type": "input_text", "text": script }] },
        { "type": "function_call", "call_id": "1", "name": "a", "arguments": "{}" },
        { "type": "function_call", "call_id": "2", "name": "b", "arguments": "{}" },
        { "type": "function_call_output", "call_id": "1", "output": "x" },
        { "type": "function_call_output", "call_id": "2", "output": "y" },
    ]);
    let reply = mock.post("/v1/responses", &json!({ "model": "m", "input": input }));
    assert_eq!(responses_whole(&reply.json()).2, [("c".to_owned(), json!({}))]);

    let call = |name: &str| json!({ "functionCall": { "name": name, "args": {} } });
    let result = |name: &str| json!({ "functionResponse": { "name": name, "response": { "output": "x" } } });
    let contents = json!([
        { "role": "user", "parts": [{ "text": script }] },
        { "role": "model", "parts": [call("a"), call("b")] },
        { "role": "user", "parts": [result("a"), result("b")] },
    ]);
    let reply = mock.post("/v1beta/models/m:generateContent", &json!({ "contents": contents }));
    assert_eq!(gemini(&[reply.json()]).2, [("c".to_owned(), json!({}))]);
}

#[test]
fn a_script_fails_as_often_as_it_says() {
    let mock = Mock::start(&[]);
    for (dialect, field, expected) in [
        ("chat", "/error/code", "rate_limit_exceeded"),
        ("messages", "/error/type", "rate_limit_error"),
        ("gemini", "/error/status", "RESOURCE_EXHAUSTED"),
    ] {
        let script = format!("FAIL 429 2\nSAY {dialect}");
        let statuses = [true, false, true].map(|stream| {
            let reply = mock.ask(dialect, &script, stream);
            if reply.status != 200 {
                assert_eq!(reply.json().pointer(field), Some(&expected.into()));
                assert!(reply.head.contains("\r\nretry-after: 0"), "{}", reply.head);
            }
            reply.status
        });
        assert_eq!(statuses, [429, 429, 200]);
    }
}

#[test]
fn a_cut_comes_after_the_events_before_it() {
    let mock = Mock::start(&[]);
    for gap in ["", "GAP 0\n"] {
        for (dialect, _) in DIALECTS {
            let script = format!("{gap}CUT 2\nSPLIT 1\nSAY some text");
            let cut = mock.ask(dialect, &script, true);
            assert_eq!((cut.events().len(), cut.complete), (2, false), "{dialect}: {}", cut.body);
            let half = mock.ask(dialect, &script, false);
            assert!(!half.complete && half.body.starts_with('{'), "{dialect}: {}", half.body);
            assert!(mock.ask(dialect, "CUT 0", true).body.is_empty());
        }
    }
}

#[test]
fn what_providers_refuse_is_refused() {
    let mock = Mock::start(&[]);
    let hello = json!([{ "role": "user", "content": "hello" }]);
    let contents = json!([{ "role": "user", "parts": [{ "text": "hello" }] }]);
    let schema = json!({ "type": "object", "properties": { "x": { "additionalProperties": false } } });
    let tools = json!([{ "functionDeclarations": [{ "name": "f", "parameters": schema }] }]);
    for (path, body, message) in [
        ("/v1/chat/completions", json!({ "messages": hello }), "you must provide a model parameter"),
        ("/v1/messages", json!({ "model": "m", "messages": hello }), "max_tokens: Field required"),
        (
            "/v1/responses",
            json!({ "model": "m", "input": [{ "type": "function_call_output", "call_id": "1", "output": "" }] }),
            "the result `1` does not follow a tool call with this id",
        ),
        (
            "/v1beta/models/m:generateContent",
            json!({ "contents": contents, "stream": true }),
            "Invalid JSON payload received. Unknown name \"stream\": Cannot find field.",
        ),
        (
            "/v1beta/models/m:generateContent",
            json!({ "contents": contents, "tools": tools }),
            "Invalid JSON payload received. Unknown name \"additionalProperties\" at 'parameters'.",
        ),
    ] {
        let reply = mock.post(path, &body);
        assert_eq!((reply.status, text_of(&reply.json()["error"]["message"])), (400, message), "{path}");
    }
    assert_eq!(mock.post("/v1/nothing", &json!({})).status, 404);
    assert_eq!(mock.ask("chat", "CALL a {broken}", false).json()["choices"][0]["finish_reason"], "stop");
}

#[test]
fn keys_are_required_echoed_and_logged() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let mock = Mock::start(&["--require-key", "sk-test", "--log", log.to_str().unwrap()]);
    let echoed = mock.ask("messages", "ECHO-KEY\nSAY hi", false);
    assert_eq!(messages_whole(&echoed.json()).1, "hi KEY Bearer sk-test");
    let refused = mock.request("GET /v1/models HTTP/1.1\r\nHost: mock\r\nConnection: close\r\n\r\n");
    assert_eq!(refused.status, 401);
    let listed =
        mock.request("GET /v1beta/models?key=sk-test HTTP/1.1\r\nHost: mock\r\nConnection: close\r\n\r\n").json();
    assert_eq!(listed["models"][0]["name"], "models/scripted-model");

    let text = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        lines[0],
        json!({
            "dialect": "messages",
            "path": "/v1/messages",
            "model": "m",
            "stream": false,
            "status": 200,
            "headers": { "authorization": "Bearer sk-test" },
            "body": {
                "model": "m",
                "max_tokens": 9,
                "messages": [{ "role": "user", "content": "ECHO-KEY\nSAY hi" }],
                "stream": false,
            },
        })
    );
    assert_eq!(lines.iter().map(|line| &line["status"]).collect::<Vec<_>>(), [200, 401, 200]);
}
