//! Keys: no answer brings one into a cell, and no request takes one out.

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::provider::{Raw, answer, stream};
use crate::world::{KEY, Open, Reply, Setting, World};

const PROVIDERS: [&str; 4] = ["chat", "responses", "messages", "gemini"];
/// Where the key begins: whatever an agent has of it must be shorter.
const BEGINNING: &str = "sk-test/0";

/// No part of the key that says anything is in the answer.
fn assert_kept(reply: &Reply, what: &str) {
    let json_escaped = BEGINNING.replace('/', "\\/");
    for part in [BEGINNING, &json_escaped, "6789+ABCD", "HIJ_klmnop"] {
        assert!(!reply.body.contains(part), "{what}: {}", reply.body);
    }
}

async fn assert_nowhere_in_the_log(open: &Open) {
    let log = open.records(0).await.iter().map(Value::to_string).collect::<String>();
    assert!(!log.contains(BEGINNING) && !log.contains("6789+ABCD"), "{log}");
}

#[tokio::test]
async fn a_key_in_text_does_not_arrive_however_it_is_split() {
    let world = World::with_mocks().await;
    let open = world.open(&Setting::default());
    for agent in Agent::ALL {
        for provider in PROVIDERS {
            for split in [1, 2, 3, 4, 5, 100] {
                let what = format!("{agent:?} at {provider}, split {split}");
                let script = format!("SAY The key is\nECHO-KEY\nSPLIT {split}\nTOKENS 7 6");
                let reply = open.post(agent.path(), &agent.ask(&format!("{provider}/m"), &script, true)).await;
                assert_eq!((reply.status, reply.whole), (200, true), "{what}");
                assert_kept(&reply, &what);
                let content = agent.read(&reply.body, true);
                let refused = "[NanoClaw refused this: the answer holds the key of a provider; tell whoever runs NanoClaw: the key must be replaced]";
                assert!(content.text.ends_with(refused), "{what}: {}", content.text);
                assert!(content.ended && content.error.is_none(), "{what}: the agent's loop ends: {}", reply.body);
                if split < 5 {
                    assert!(
                        content.text.starts_with("The key is"),
                        "{what}: what came before it arrives: {}",
                        reply.body
                    );
                }
                let last = open.last().await;
                assert_eq!((&last["result"], &last["code"]), (&json!("failed"), &json!("content-refused")), "{what}");
                assert!(last["model"]["output_tokens"].as_u64().unwrap() > 0, "{what}");
            }
            let what = format!("{agent:?} at {provider}, whole");
            let reply = open.post(agent.path(), &agent.ask(&format!("{provider}/m"), "ECHO-KEY", false)).await;
            assert_eq!(reply.status, 403, "{what}: {}", reply.body);
            assert_kept(&reply, &what);
            assert!(agent.error(&reply.json()).1.contains("the answer holds the key of a provider"), "{what}");
            let last = open.last().await;
            assert_eq!((&last["result"], &last["code"]), (&json!("failed"), &json!("content-refused")), "{what}");
        }
    }
    assert_nowhere_in_the_log(&open).await;
}

#[tokio::test]
async fn the_beginning_of_a_key_that_goes_on_otherwise_arrives() {
    let world = World::with_mocks().await;
    let open = world.open(&Setting::default());
    let almost = format!("SAY {} and {} it is not\nSPLIT 3", &KEY[..30], &KEY[..12]);
    for agent in Agent::ALL {
        for provider in PROVIDERS {
            let reply = open.post(agent.path(), &agent.ask(&format!("{provider}/m"), &almost, true)).await;
            let text = agent.read(&reply.body, true).text;
            assert_eq!(text, format!("{} and {} it is not", &KEY[..30], &KEY[..12]), "{agent:?} at {provider}");
        }
    }
}

#[tokio::test]
async fn a_key_at_the_end_of_text_that_is_not_whole_arrives_at_the_end() {
    let world = World::with_mocks().await;
    let open = world.open(&Setting::default());
    for agent in Agent::ALL {
        let reply = open.post(agent.path(), &agent.ask("chat/m", &format!("SAY {}\nSPLIT 2", &KEY[..20]), true)).await;
        assert_eq!(agent.read(&reply.body, true).text, KEY[..20], "{agent:?}");
    }
}

#[tokio::test]
async fn a_key_in_the_arguments_of_a_call_does_not_arrive() {
    for agent in Agent::ALL {
        for provider in PROVIDERS {
            for streamed in [false, true] {
                let what = format!("{agent:?} at {provider}, streamed: {streamed}");
                let mut other = World::new();
                // OpenAI's kind is asked in chat completions by all who do not speak responses.
                let spoken = if provider == "responses" && agent != Agent::Responses { "chat" } else { provider };
                let raw = Raw::new([scripted(spoken, streamed)]).await;
                other.provider(&format!("{provider}-leaking"), raw.address);
                other.mock("chat").await;
                let open = other.open(&Setting::default());
                let body = agent.ask(&format!("{provider}-leaking/m"), "SAY x", streamed);
                let reply = open.post(agent.path(), &body).await;
                assert_kept(&reply, &what);
                assert_eq!((reply.status, reply.whole), (200, true), "{what}: {}", reply.body);
                let content = agent.read(&reply.body, streamed);
                assert!(content.calls.is_empty() && content.ended, "{what}");
                assert!(content.text.contains("the tool call holds the key of a provider"), "{what}: {}", content.text);
                let records = open.records(0).await;
                let denied = records.iter().find(|record| record["action"] == "tool_call").unwrap();
                assert_eq!(
                    (&denied["result"], &denied["code"]),
                    (&json!("denied"), &json!("content-refused")),
                    "{what}"
                );
                assert_nowhere_in_the_log(&open).await;
            }
        }
    }
}

/// An answer with one call whose arguments hold the key under an argument that holds it too.
fn scripted(provider: &str, streamed: bool) -> String {
    let input = json!({ KEY: KEY });
    let arguments = input.to_string();
    let (body, events) = match provider {
        "chat" => {
            let call =
                json!({"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}});
            let choice = |key: &str| json!({"index": 0, key: {"role": "assistant", "content": null, "tool_calls": [call]}, "finish_reason": "tool_calls"});
            let whole = json!({"id": "1", "model": "m", "choices": [choice("message")]});
            let chunk = json!({"id": "1", "model": "m", "choices": [choice("delta")]});
            (whole, format!("data: {chunk}\n\ndata: [DONE]\n\n"))
        }
        "responses" => {
            let item = |arguments: &str| json!({"id": "fc", "type": "function_call", "status": "completed", "call_id": "c", "name": "f", "arguments": arguments});
            let whole = |output: Value| json!({"id": "r", "object": "response", "status": "completed", "model": "m", "output": output});
            let all = whole(json!([item(&arguments)]));
            let event = |name: &str, number: usize, mut fields: Value| {
                fields["type"] = name.into();
                fields["sequence_number"] = number.into();
                format!("event: {name}\ndata: {fields}\n\n")
            };
            let events = [
                event("response.created", 0, json!({"response": whole(json!([]))})),
                event("response.output_item.added", 1, json!({"output_index": 0, "item": item("")})),
                event(
                    "response.function_call_arguments.delta",
                    2,
                    json!({"item_id": "fc", "output_index": 0, "delta": arguments}),
                ),
                event(
                    "response.function_call_arguments.done",
                    3,
                    json!({"item_id": "fc", "output_index": 0, "arguments": arguments}),
                ),
                event("response.output_item.done", 4, json!({"output_index": 0, "item": item(&arguments)})),
                event("response.completed", 5, json!({"response": all})),
            ];
            (all, events.concat())
        }
        "messages" => {
            let whole = json!({"id": "1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "tool_use",
                "content": [{"type": "tool_use", "id": "t", "name": "f", "input": input}], "usage": {"input_tokens": 1, "output_tokens": 1}});
            let event = |value: Value| format!("event: {}\ndata: {value}\n\n", value["type"].as_str().unwrap());
            let half = arguments.len() / 2;
            let grow = |json: &str| {
                event(
                    json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": json}}),
                )
            };
            let events = [
                event(
                    json!({"type": "message_start", "message": {"id": "1", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": {"input_tokens": 1, "output_tokens": 1}}}),
                ),
                event(
                    json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}}),
                ),
                grow(&arguments[..half]),
                grow(&arguments[half..]),
                event(json!({"type": "content_block_stop", "index": 0})),
                event(
                    json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 3}}),
                ),
                event(json!({"type": "message_stop"})),
            ];
            (whole, events.concat())
        }
        _ => {
            let whole = json!({"candidates": [{"content": {"role": "model", "parts": [{"functionCall": {"name": "f", "args": input}}]}, "finishReason": "STOP"}], "modelVersion": "m", "responseId": "1"});
            let events = format!("data: {whole}\n\n");
            (whole, events)
        }
    };
    if streamed { stream(&events) } else { answer("application/json", &body.to_string()) }
}

#[tokio::test]
async fn a_key_in_the_name_of_a_tool_stands_nowhere() {
    let mut world = World::with_mocks().await;
    let whole = json!({"id": "1", "model": "m", "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
        "role": "assistant", "tool_calls": [{"id": KEY, "type": "function", "function": {"name": KEY, "arguments": "{}"}}]}}]});
    let chunk = json!({"id": "1", "model": "m", "choices": [{"index": 0, "finish_reason": "tool_calls", "delta": {
        "role": "assistant", "tool_calls": [{"index": 0, "id": KEY, "type": "function", "function": {"name": KEY, "arguments": "{}"}}]}}]});
    for (name, reply) in [
        ("chat-whole", answer("application/json", &whole.to_string())),
        ("chat-stream", stream(&format!("data: {chunk}\n\ndata: [DONE]\n\n"))),
    ] {
        world.provider(name, Raw::new([reply]).await.address);
    }
    let open = world.open(&Setting::default());
    for agent in Agent::ALL {
        for (model, streamed) in [("chat-whole/m", false), ("chat-stream/m", true)] {
            let reply = open.post(agent.path(), &agent.ask(model, "SAY x", streamed)).await;
            assert_kept(&reply, model);
            assert!(agent.read(&reply.body, streamed).calls.is_empty(), "{agent:?}: {}", reply.body);
        }
    }
    assert_nowhere_in_the_log(&open).await;
}

#[tokio::test]
async fn a_key_that_a_provider_escapes_or_hides_in_a_field_does_not_arrive() {
    let mut world = World::with_mocks().await;
    let escaped: String = KEY.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
    let whole = |content: &str, more: &str| {
        format!(
            r#"{{"id":"1","model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{content}"}},"finish_reason":"stop"}}]{more}}}"#
        )
    };
    let chunk = |content: &str, more: &str| {
        format!(
            r#"data: {{"id":"1","model":"m","choices":[{{"index":0,"delta":{{"content":"{content}"}},"finish_reason":"stop"}}]{more}}}"#
        ) + "\n\ndata: [DONE]\n\n"
    };
    let hidden = format!(r#","x_debug":{{"{escaped}":1}}"#);
    for (name, reply) in [
        ("chat-escaped", answer("application/json", &whole(&escaped, ""))),
        ("chat-hidden", answer("application/json", &whole("x", &hidden))),
        ("chat-escaped-stream", stream(&chunk(&escaped, ""))),
        ("chat-hidden-stream", stream(&chunk("x", &hidden))),
    ] {
        world.provider(name, Raw::new([reply]).await.address);
    }
    let open = world.open(&Setting::default());
    for (name, streamed) in
        [("chat-escaped", false), ("chat-hidden", false), ("chat-escaped-stream", true), ("chat-hidden-stream", true)]
    {
        let body = Agent::Chat.ask(&format!("{name}/m"), "SAY x", streamed);
        let reply = open.post(Agent::Chat.path(), &body).await;
        assert!(!reply.body.contains(&escaped[..30]), "{name}: {}", reply.body);
        assert_kept(&reply, name);
        assert_eq!(open.last().await["code"], "content-refused", "{name}");
    }
}

#[tokio::test]
async fn a_key_in_an_error_does_not_arrive() {
    let mut world = World::with_mocks().await;
    let event = |error: Value| stream(&format!("event: error\ndata: {error}\n\n"));
    let error = json!({"type": "error", "error": {"type": "api_error", "message": format!("bad key {KEY}")}});
    let text = json!({"id": "1", "model": "m", "choices": [{"index": 0, "delta": {"content": "Well"}}]});
    for (name, reply) in [
        ("messages-error", event(error.clone())),
        ("gemini-error", event(error.clone())),
        ("responses-error", event(error.clone())),
        ("chat-later", stream(&format!("data: {text}\n\ndata: {error}\n\n"))),
    ] {
        world.provider(name, Raw::new([reply]).await.address);
    }
    let open = world.open(&Setting::default());
    for agent in Agent::ALL {
        for provider in PROVIDERS {
            for streamed in [false, true] {
                for status in [400, 401, 403, 404, 429, 500, 503] {
                    let what = format!("{agent:?} at {provider}, {status}, streamed: {streamed}");
                    let script = format!("FAIL {status}\nECHO-KEY");
                    let reply = open.post(agent.path(), &agent.ask(&format!("{provider}/m"), &script, streamed)).await;
                    assert!(reply.status >= 400, "{what}");
                    assert_kept(&reply, &what);
                    if status == 401 || status == 403 {
                        assert_eq!(reply.status, 502, "{what}: it is not the agent that lacks a key");
                        assert!(agent.error(&reply.json()).1.contains("refused NanoClaw's key"), "{what}");
                    }
                }
            }
        }
        for name in ["messages-error", "gemini-error", "responses-error", "chat-later"] {
            let reply = open.post(agent.path(), &agent.ask(&format!("{name}/m"), "SAY x", true)).await;
            assert_kept(&reply, &format!("{agent:?} at {name}"));
        }
    }
    assert_nowhere_in_the_log(&open).await;
}

/// Whoever knows how a key begins tries what comes next: in words that a provider repeats, and in the name of a tool that
/// is refused.
#[tokio::test]
async fn guesses_at_a_key_come_back_as_they_were() {
    let echo = |text: &str| {
        let body = json!({"error": {"message": text, "type": "invalid_request_error"}}).to_string();
        format!(
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let candidates = "0123456789abcdefghijklmnopqrstuvw";
    // `sk-test/` is known, and perhaps a little more.
    for known in [8, 12, 22] {
        let mut world = World::new();
        world.mock("chat").await;
        let right = KEY.chars().nth(known).unwrap();
        let all = std::iter::once(right).chain(candidates.chars()).map(|next| format!("{}{next}", &KEY[..known]));
        // As many as a provider's words may have.
        let all: Vec<String> = all.take(480 / (known + 2)).collect();
        let text = all.join(" ");
        world.provider(&format!("chat-{known}"), Raw::new([echo(&text)]).await.address);
        for (number, guess) in all[..2].iter().enumerate() {
            let message = json!({"role": "assistant", "tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": guess, "arguments": "{}"}}]});
            let choice = |key: &str| json!({"id": "1", "model": "m", "choices": [{"index": 0, "finish_reason": "tool_calls", key: message}]});
            let whole = answer("application/json", &choice("message").to_string());
            let events = stream(&format!("data: {}\n\ndata: [DONE]\n\n", choice("delta")));
            for (how, reply) in [("whole", whole), ("stream", events)] {
                world.provider(&format!("chat-{known}-{number}-{how}"), Raw::new([reply]).await.address);
            }
        }
        let open = world.open(&Setting {
            agent: ", models: { allow: [\"*\"] }, tools: { allow: [nothing] }".to_owned(),
            ..Setting::default()
        });
        let reply = open.post(Agent::Chat.path(), &Agent::Chat.ask(&format!("chat-{known}/m"), "SAY x", false)).await;
        assert!(reply.body.contains(&text), "{}", reply.body);
        for (number, guess) in all[..2].iter().enumerate() {
            for (how, streamed) in [("whole", false), ("stream", true)] {
                let body = Agent::Chat.ask(&format!("chat-{known}-{number}-{how}/m"), "SAY x", streamed);
                let reply = open.post(Agent::Chat.path(), &body).await;
                let told = Agent::Chat.read(&reply.body, streamed).text;
                assert!(told.contains(&format!("refused the tool call {guess}:")), "{told}");
            }
        }
    }
}

#[tokio::test]
async fn a_request_that_holds_a_key_is_not_sent() {
    let world = World::with_mocks().await;
    let open = world.open(&Setting::default());
    for agent in Agent::ALL {
        let plain = agent.ask("chat/m", "SAY x", false);
        let text = agent.ask("chat/m", &format!("SAY my key is {KEY}"), false);
        let mut unknown = plain.clone();
        unknown["metadata"] = json!([{ KEY: 1 }]);
        let mut tool = plain.clone();
        tool["tools"] = json!([{"type": "function", "name": "f", "description": KEY, "function": {"name": "f", "description": KEY}}]);
        let model = agent.ask(&format!("chat/{KEY}"), "SAY x", false);
        let round =
            agent.read(&open.post(agent.path(), &agent.ask("chat/m", "CALL shell {}", false)).await.body, false);
        let result = agent.go_on(&agent.ask("chat/m", "CALL shell {}", false), &round, &[KEY]);
        let before = world.asked("chat").len();
        for body in [text, unknown, tool, model, result] {
            let reply = open.post(agent.path(), &body).await;
            assert_eq!(reply.status, 403, "{agent:?}: {}", reply.body);
            assert_eq!(reply.header("x-nanoclaw-refusal"), "content-refused");
            assert_kept(&reply, "request");
            let last = open.last().await;
            assert_eq!((&last["result"], &last["code"]), (&json!("denied"), &json!("content-refused")));
        }
        assert_eq!(world.asked("chat").len(), before, "{agent:?}");
    }
    let body = json!({"model": "chat/m", "input": ["x", KEY]});
    assert_eq!(open.post("/v1/embeddings", &body).await.status, 403);
    assert_nowhere_in_the_log(&open).await;
}
