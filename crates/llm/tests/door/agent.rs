//! Agents that speak one dialect each: what they ask, and what they make of the answers, without the product's readers.

use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agent {
    Chat,
    Responses,
    Messages,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub id: String,
    pub name: String,
    pub arguments: Value,
}

/// What is in an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    pub text: String,
    pub thoughts: String,
    pub calls: Vec<Call>,
    /// In the dialect's own words.
    pub stop: String,
    /// Tokens in and out.
    pub usage: Option<(u64, u64)>,
    /// What the error in a stream says.
    pub error: Option<String>,
    /// Whether the end of the answer came.
    pub ended: bool,
}

impl Content {
    /// Names and arguments of the calls.
    pub fn called(&self) -> Vec<(&str, &Value)> {
        self.calls.iter().map(|call| (call.name.as_str(), &call.arguments)).collect()
    }
}

fn str_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn tokens(usage: &Value, input: &str, output: &str) -> Option<(u64, u64)> {
    Some((usage[input].as_u64()?, usage[output].as_u64()?))
}

/// Anthropic counts what was cached apart.
fn anthropic_tokens(usage: &Value) -> Option<(u64, u64)> {
    let (input, output) = tokens(usage, "input_tokens", "output_tokens")?;
    Some((input + usage["cache_read_input_tokens"].as_u64().unwrap_or(0), output))
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Names and data of server-sent events.
pub fn events(body: &str) -> Vec<(String, String)> {
    let mut events = Vec::new();
    for event in body.split_terminator("\n\n") {
        let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
        events.push((field("event: "), field("data: ")));
    }
    events
}

impl Agent {
    pub const ALL: [Agent; 3] = [Agent::Chat, Agent::Responses, Agent::Messages];

    pub fn path(self) -> &'static str {
        match self {
            Agent::Chat => "/v1/chat/completions",
            Agent::Responses => "/v1/responses",
            Agent::Messages => "/v1/messages",
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Agent::Chat => "chat",
            Agent::Responses => "responses",
            Agent::Messages => "messages",
        }
    }

    /// A first message, with two tools.
    pub fn ask(self, model: &str, script: &str, stream: bool) -> Value {
        let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
        let tool = |name: &str| match self {
            Agent::Chat => json!({"type": "function", "function": {"name": name, "parameters": schema}}),
            Agent::Responses => json!({"type": "function", "name": name, "parameters": schema, "strict": false}),
            Agent::Messages => json!({"name": name, "input_schema": schema}),
        };
        let tools = [tool("weather"), tool("shell")];
        let messages = json!([{"role": "user", "content": script}]);
        match self {
            Agent::Chat => json!({
                "model": model, "messages": messages, "tools": tools, "stream": stream,
                "stream_options": {"include_usage": true},
            }),
            Agent::Responses => json!({"model": model, "input": messages, "tools": tools, "stream": stream}),
            Agent::Messages => {
                json!({"model": model, "messages": messages, "tools": tools, "stream": stream, "max_tokens": 100})
            }
        }
    }

    /// The request after `answer`, whose calls gave `results`.
    pub fn go_on(self, request: &Value, answer: &Content, results: &[&str]) -> Value {
        assert_eq!(answer.calls.len(), results.len());
        let mut request = request.clone();
        let list = request[if self == Agent::Responses { "input" } else { "messages" }].as_array_mut().unwrap();
        let calls = || answer.calls.iter().zip(results);
        match self {
            Agent::Chat => {
                let call = |(call, _): (&Call, _)| {
                    let function = json!({"name": call.name, "arguments": call.arguments.to_string()});
                    json!({"id": call.id, "type": "function", "function": function})
                };
                let called: Vec<Value> = calls().map(call).collect();
                list.push(json!({"role": "assistant", "content": null, "tool_calls": called}));
                list.extend(
                    calls().map(|(call, gave)| json!({"role": "tool", "tool_call_id": call.id, "content": gave})),
                );
            }
            Agent::Responses => {
                list.extend(calls().map(|(call, _)| {
                    let arguments = call.arguments.to_string();
                    json!({"type": "function_call", "call_id": call.id, "name": call.name, "arguments": arguments})
                }));
                list.extend(
                    calls().map(
                        |(call, gave)| json!({"type": "function_call_output", "call_id": call.id, "output": gave}),
                    ),
                );
            }
            Agent::Messages => {
                let call = |(call, _): (&Call, _)| json!({"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments});
                let result = |(call, gave): (&Call, &&str)| json!({"type": "tool_result", "tool_use_id": call.id, "content": gave});
                list.push(json!({"role": "assistant", "content": calls().map(call).collect::<Vec<_>>()}));
                list.push(json!({"role": "user", "content": calls().map(result).collect::<Vec<_>>()}));
            }
        }
        request
    }

    /// Reads an answer, streamed or not.
    pub fn read(self, body: &str, stream: bool) -> Content {
        match (self, stream) {
            (Agent::Chat, false) => chat_whole(&parsed(body)),
            (Agent::Chat, true) => chat_stream(body),
            (Agent::Responses, false) => responses_whole(&parsed(body)),
            (Agent::Responses, true) => responses_stream(body),
            (Agent::Messages, false) => messages_whole(&parsed(body)),
            (Agent::Messages, true) => messages_stream(body),
        }
    }

    /// Kind and message of an error that is no stream.
    pub fn error(self, body: &Value) -> (String, String) {
        if self == Agent::Messages {
            assert_eq!(body["type"], "error", "{body}");
        } else {
            assert_eq!(body["error"]["param"], Value::Null, "{body}");
        }
        (str_of(&body["error"]["type"]), str_of(&body["error"]["message"]))
    }

    /// How an answer ends that came to its own end, with and without calls.
    pub fn stops(self) -> (&'static str, &'static str) {
        match self {
            Agent::Chat => ("stop", "tool_calls"),
            Agent::Responses => ("completed", "completed"),
            Agent::Messages => ("end_turn", "tool_use"),
        }
    }
}

fn chat_whole(body: &Value) -> Content {
    let message = &body["choices"][0]["message"];
    let call = |call: &Value| Call {
        id: str_of(&call["id"]),
        name: str_of(&call["function"]["name"]),
        arguments: parsed(call["function"]["arguments"].as_str().unwrap()),
    };
    Content {
        text: str_of(&message["content"]),
        thoughts: str_of(&message["reasoning_content"]),
        calls: message["tool_calls"].as_array().into_iter().flatten().map(call).collect(),
        stop: str_of(&body["choices"][0]["finish_reason"]),
        usage: tokens(&body["usage"], "prompt_tokens", "completion_tokens"),
        error: None,
        ended: true,
    }
}

fn chat_stream(body: &str) -> Content {
    let mut content = Content::default();
    let mut calls: Vec<(String, String, String)> = Vec::new();
    for (_, data) in events(body) {
        assert!(!content.ended, "something follows the end: {body}");
        if data == "[DONE]" {
            content.ended = true;
            continue;
        }
        let event = parsed(&data);
        if event.get("error").is_some() {
            content.error = Some(str_of(&event["error"]["message"]));
            continue;
        }
        content.usage = content.usage.or(tokens(&event["usage"], "prompt_tokens", "completion_tokens"));
        let choice = &event["choices"][0];
        content.text += &str_of(&choice["delta"]["content"]);
        content.thoughts += &str_of(&choice["delta"]["reasoning_content"]);
        for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let index = call["index"].as_u64().unwrap() as usize;
            if index == calls.len() {
                calls.push((str_of(&call["id"]), str_of(&call["function"]["name"]), String::new()));
            }
            calls[index].2 += &str_of(&call["function"]["arguments"]);
        }
        content.stop += &str_of(&choice["finish_reason"]);
    }
    content.calls =
        calls.into_iter().map(|(id, name, arguments)| Call { id, name, arguments: parsed(&arguments) }).collect();
    content
}

fn responses_whole(body: &Value) -> Content {
    let mut content = Content {
        stop: str_of(&body["status"]),
        usage: tokens(&body["usage"], "input_tokens", "output_tokens"),
        ended: true,
        ..Content::default()
    };
    for item in body["output"].as_array().unwrap() {
        match item["type"].as_str().unwrap() {
            "message" => {
                item["content"].as_array().unwrap().iter().for_each(|part| content.text += &str_of(&part["text"]));
            }
            "reasoning" => {
                item["summary"].as_array().unwrap().iter().for_each(|part| content.thoughts += &str_of(&part["text"]));
            }
            "function_call" => content.calls.push(Call {
                id: str_of(&item["call_id"]),
                name: str_of(&item["name"]),
                arguments: parsed(item["arguments"].as_str().unwrap()),
            }),
            other => panic!("{other}: {item}"),
        }
    }
    content
}

fn responses_stream(body: &str) -> Content {
    let mut content = Content::default();
    let mut calls: Vec<(u64, String, String, String)> = Vec::new();
    let mut last = Value::Null;
    let mut sequence = None;
    for (name, data) in events(body) {
        let event = parsed(&data);
        assert_eq!(event["type"], name.as_str());
        if name == "error" {
            content.error = Some(str_of(&event["message"]));
            continue;
        }
        let number = event["sequence_number"].as_u64();
        assert!(number > sequence, "{body}");
        sequence = number;
        let at = event["output_index"].as_u64();
        match name.as_str() {
            "response.output_text.delta" => content.text += &str_of(&event["delta"]),
            "response.reasoning_summary_text.delta" => content.thoughts += &str_of(&event["delta"]),
            "response.output_item.added" if event["item"]["type"] == "function_call" => {
                let item = &event["item"];
                calls.push((at.unwrap(), str_of(&item["call_id"]), str_of(&item["name"]), String::new()));
            }
            "response.function_call_arguments.delta" => {
                let call = calls.iter_mut().find(|call| Some(call.0) == at).unwrap();
                call.3 += &str_of(&event["delta"]);
            }
            "response.completed" | "response.incomplete" => last = event["response"].clone(),
            _ => {}
        }
    }
    content.calls =
        calls.into_iter().map(|(_, id, name, arguments)| Call { id, name, arguments: parsed(&arguments) }).collect();
    if !last.is_null() {
        let whole = responses_whole(&last);
        // The last event repeats everything, unless the answer was cut: then it holds the reason.
        let cut = whole.text.starts_with("[NanoClaw refused this: ") && content.text.ends_with(&whole.text);
        assert!(cut || whole.text == content.text, "{body}");
        assert_eq!((&whole.thoughts, &whole.calls), (&content.thoughts, &content.calls), "{body}");
        content = Content { stop: whole.stop, usage: whole.usage, ended: true, ..content };
    }
    content
}

fn messages_whole(body: &Value) -> Content {
    let mut content = Content {
        stop: str_of(&body["stop_reason"]),
        usage: anthropic_tokens(&body["usage"]),
        ended: true,
        ..Content::default()
    };
    for block in body["content"].as_array().unwrap() {
        match block["type"].as_str().unwrap() {
            "text" => content.text += &str_of(&block["text"]),
            "thinking" => content.thoughts += &str_of(&block["thinking"]),
            "tool_use" => content.calls.push(Call {
                id: str_of(&block["id"]),
                name: str_of(&block["name"]),
                arguments: block["input"].clone(),
            }),
            other => panic!("{other}: {block}"),
        }
    }
    content
}

fn messages_stream(body: &str) -> Content {
    let mut content = Content::default();
    let mut call: Option<(String, String, String)> = None;
    let mut blocks = 0;
    for (name, data) in events(body) {
        assert!(!content.ended, "something follows the end: {body}");
        let event = parsed(&data);
        assert_eq!(event["type"], name.as_str());
        match name.as_str() {
            "content_block_start" => {
                assert_eq!(event["index"], blocks, "{body}");
                blocks += 1;
                let block = &event["content_block"];
                if block["type"] == "tool_use" {
                    call = Some((str_of(&block["id"]), str_of(&block["name"]), String::new()));
                }
            }
            "content_block_delta" => {
                content.text += &str_of(&event["delta"]["text"]);
                content.thoughts += &str_of(&event["delta"]["thinking"]);
                if let Some(call) = &mut call {
                    call.2 += &str_of(&event["delta"]["partial_json"]);
                }
            }
            "content_block_stop" => {
                if let Some((id, name, arguments)) = call.take() {
                    let arguments = if arguments.is_empty() { json!({}) } else { parsed(&arguments) };
                    content.calls.push(Call { id, name, arguments });
                }
            }
            "message_delta" => {
                content.stop = str_of(&event["delta"]["stop_reason"]);
                content.usage = anthropic_tokens(&event["usage"]);
            }
            "message_stop" => content.ended = true,
            "error" => content.error = Some(str_of(&event["error"]["message"])),
            _ => {}
        }
    }
    content
}
