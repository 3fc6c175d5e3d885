//! Agents and providers that do not keep to the rules.

use std::time::Duration;

use http::Method;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use crate::agent::Agent;
use crate::provider::{Raw, answer, stream};
use crate::world::{Open, Setting, World, request};

async fn one() -> (World, Open) {
    let mut world = World::new();
    world.mock("chat").await;
    let open = world.open(&Setting::default());
    (world, open)
}

/// A request as it stands on the wire.
fn wire(target: &str, body: &Value) -> String {
    let body = body.to_string();
    format!("POST {target} HTTP/1.1\r\nhost: llm.nanoclaw.internal\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Everything that comes until the door closes the connection, or says nothing more for a moment.
async fn heard(stream: &mut DuplexStream) -> String {
    let mut text = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(Ok(count @ 1..)) = tokio::time::timeout(Duration::from_secs(2), stream.read(&mut piece)).await {
        text.extend_from_slice(&piece[..count]);
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn requests_that_come_before_their_turn_are_answered_in_order() {
    let (_world, open) = one().await;
    let (mut agent, _) = open.connect();
    let ask = |text: &str| wire("/v1/chat/completions", &Agent::Chat.ask("chat/m", &format!("SAY {text}"), false));
    let all = ask("first") + &ask("second") + &wire("/v1/nothing", &json!({})) + &ask("third");
    agent.write_all(all.as_bytes()).await.unwrap();
    let answers = heard(&mut agent).await;
    let at = |text: &str| answers.find(text).unwrap_or_else(|| panic!("{text}: {answers}"));
    assert!(at("first") < at("second") && at("second") < at("has no `") && at("has no `") < at("third"));
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 4);
    assert_eq!(open.results("model_call").await.len(), 7);
}

#[tokio::test]
async fn an_address_in_absolute_form_leads_to_this_door_and_nowhere_else() {
    let (_world, open) = one().await;
    for target in ["http://llm.nanoclaw.internal/v1/chat/completions", "http://evil.example/v1/chat/completions"] {
        let (mut agent, _) = open.connect();
        agent.write_all(wire(target, &Agent::Chat.ask("chat/m", "SAY here", false)).as_bytes()).await.unwrap();
        let answer = heard(&mut agent).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("here"), "{answer}");
    }
    let (mut agent, _) = open.connect();
    agent.write_all(b"CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example\r\n\r\n").await.unwrap();
    assert!(heard(&mut agent).await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn a_connection_that_may_be_anothers_next_is_closed_after_one_answer() {
    let (_world, open) = one().await;
    for (streamed, path) in [(false, "/v1/chat/completions"), (true, "/v1/chat/completions"), (false, "/v1/nothing")] {
        let (mut agent, stream) = tokio::io::duplex(64 * 1024);
        let door = open.door.clone();
        let serving = tokio::spawn(async move { door.serve(stream, false).await });
        let twice = wire(path, &Agent::Chat.ask("chat/m", "SAY x", streamed)).repeat(2);
        agent.write_all(twice.as_bytes()).await.unwrap();
        let mut answer = String::new();
        agent.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
        assert!(serving.await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn what_is_not_http_gets_no_further() {
    let (world, open) = one().await;
    let lines: String = (0..1000).map(|number| format!("x-{number}: y\r\n")).collect();
    let post = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n";
    for (text, status) in [
        (format!("GET /v1/models HTTP/1.1\r\n{lines}\r\n"), "431"),
        (format!("GET /v1/models HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(100_000)), "431"),
        (format!("GET /{} HTTP/1.1\r\n\r\n", "y".repeat(100_000)), "4"),
        (format!("{post}transfer-encoding: chunked\r\n\r\nzz\r\n{{}}\r\n0\r\n\r\n"), "400"),
        (format!("{post}transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n"), "400"),
        (format!("{post}content-length: 5\r\ncontent-length: 6\r\n\r\n{{}}   "), "400"),
        (format!("{post}content-length: -1\r\n\r\n"), "400"),
        (format!("{post}transfer-encoding: gzip\r\n\r\n"), "400"),
        ("\u{16}\u{3}\u{1} hello, is this TLS?\r\n\r\n".to_owned(), "400"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), ""),
    ] {
        let (mut agent, serving) = open.connect();
        // The door may have closed the connection before it has all of it.
        let _ = agent.write_all(text.as_bytes()).await;
        let heard = heard(&mut agent).await;
        let answer = heard.strip_prefix("HTTP/1.1 ").unwrap_or_default();
        assert!(answer.starts_with(status), "{:.60}: {heard}", text);
        drop(agent);
        assert!(serving.await.unwrap().is_ok(), "{:.60}", text);
    }
    assert_eq!(world.asked("chat").len(), 0);
    assert_eq!(open.post(Agent::Chat.path(), &Agent::Chat.ask("chat/m", "SAY x", false)).await.status, 200);
}

#[tokio::test]
async fn a_body_that_ends_too_early_asks_nothing() {
    let (world, open) = one().await;
    let whole = wire("/v1/chat/completions", &Agent::Chat.ask("chat/m", "SAY x", false));
    let (mut agent, serving) = open.connect();
    agent.write_all(&whole.as_bytes()[..whole.len() - 1]).await.unwrap();
    drop(agent);
    assert!(serving.await.unwrap().is_ok());
    assert_eq!(world.asked("chat").len(), 0);
    let last = open.last().await;
    assert_eq!((&last["result"], &last["code"]), (&json!("denied"), &json!("malformed")));
}

#[tokio::test]
async fn a_call_is_brought_to_its_end_where_the_connection_is_dropped() {
    let mut world = World::new();
    world.mock("chat").await;
    let raw = Raw::new(["…".to_owned()]).await;
    world.provider("chat-silent", raw.address);
    let open = world.open(&Setting::default());
    let (mut agent, serving) = open.connect();
    agent
        .write_all(wire("/v1/chat/completions", &Agent::Chat.ask("chat-silent/m", "SAY x", true)).as_bytes())
        .await
        .unwrap();
    while raw.requests().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // As when its cell ends.
    serving.abort();
    let last = open.until(2).await.pop().unwrap();
    assert_eq!((&last["result"], &last["code"]), (&json!("failed"), &json!("unreachable")));
}

#[tokio::test]
async fn an_agent_that_reads_slowly_gets_all_of_it() {
    let mut world = World::new();
    world.mock("chat").await;
    let chunk = |text: &str| {
        format!("data: {}\n\n", json!({"id": "1", "model": "m", "choices": [{"index": 0, "delta": {"content": text}}]}))
    };
    let text: String = (0..5_000).map(|number| chunk(&format!("{number} "))).collect();
    let end = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    world.provider("chat-long", Raw::new([stream(&(text + end))]).await.address);
    let open = world.open(&Setting::default());
    for agent in Agent::ALL {
        let mut client = open.client().await;
        let body = agent.ask("chat-long/m", "SAY x", true).to_string();
        let mut response = client.send_request(request(Method::POST, agent.path(), body)).await.unwrap();
        let mut bytes = Vec::new();
        while let Some(frame) = response.frame().await {
            bytes.extend_from_slice(&frame.unwrap().into_data().unwrap_or_default());
            tokio::task::yield_now().await;
        }
        let content = agent.read(&String::from_utf8(bytes).unwrap(), true);
        assert!(content.ended && content.text.ends_with("4998 4999 "), "{agent:?}");
    }
}

/// What a provider says that must neither pass nor harm: the agent gets an error in its own shape, and may go on.
async fn assert_survived(name: &str, reply: String) {
    let mut world = World::with_mocks().await;
    let kind = name.split('-').next().unwrap();
    world.provider(name, Raw::new([reply]).await.address);
    let open = world.open(&Setting::default());
    for agent in Agent::ALL {
        for streamed in [false, true] {
            let what = format!("{agent:?} at {name}, streamed: {streamed}");
            let reply = open.post(agent.path(), &agent.ask(&format!("{name}/m"), "SAY x", streamed)).await;
            if reply.status == 200 {
                assert!(streamed && reply.whole, "{what}: {}", reply.body);
                let content = agent.read(&reply.body, true);
                assert!(content.error.is_some() && !content.ended, "{what}: {}", reply.body);
            } else {
                assert_eq!(reply.status, 502, "{what}: {}", reply.body);
                agent.error(&reply.json());
            }
            let last = open.last().await;
            assert_eq!((&last["result"], &last["code"]), (&json!("failed"), &json!("unreachable")), "{what}");
            let fine = open.post(agent.path(), &agent.ask(&format!("{kind}/m"), "SAY x", streamed)).await;
            assert_eq!(fine.status, 200, "{what}");
        }
    }
}

#[tokio::test]
async fn what_is_no_answer_does_not_pass_for_one() {
    for kind in ["chat", "responses", "messages", "gemini"] {
        for (name, reply) in [
            ("text", answer("application/json", "hello")),
            ("null", answer("application/json", "null")),
            ("list", answer("application/json", "[[[]]]")),
            ("deep", answer("application/json", &"[".repeat(100_000))),
            ("binary", answer("application/json", "\u{0}\u{1}\u{2}")),
            ("empty", answer("application/json", "")),
            ("page", answer("text/html", "<html>\n\n<body>data: no</body>\n\n</html>")),
            ("events", stream("data: hello\n\ndata: {}\n\n")),
            ("garbage", stream("event: message_start\ndata: [1\n\n")),
            ("nothing", stream(": ping\n\n: ping\n\n")),
        ] {
            assert_survived(&format!("{kind}-{name}"), reply).await;
        }
    }
}

#[tokio::test]
async fn events_of_another_dialect_do_not_pass_for_an_answer() {
    let chat = "data: {\"id\":\"1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"},\"finish_reason\":null}]}\n\n";
    let messages = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n\
        event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"shell\",\"input\":{\"command\":\"rm\"}}}\n\n\
        event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n\
        event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    for (name, text) in [
        ("messages-chat", chat),
        ("gemini-messages", messages),
        ("chat-messages", messages),
        ("responses-messages", messages),
    ] {
        assert_survived(name, stream(text)).await;
    }
}

#[tokio::test]
async fn an_endless_line_ends_the_call() {
    for kind in ["chat", "messages"] {
        let mut world = World::with_mocks().await;
        let line = format!("data: {}", "x".repeat(17 << 20));
        world.provider(&format!("{kind}-endless"), Raw::new([stream(&line)]).await.address);
        let open = world.open(&Setting::default());
        let reply = open.post(Agent::Chat.path(), &Agent::Chat.ask(&format!("{kind}-endless/m"), "SAY x", true)).await;
        assert_eq!(reply.status, 502, "{}", reply.body);
        assert!(reply.body.contains("an event is longer than 16777216 bytes"), "{}", reply.body);
    }
}

#[tokio::test]
async fn a_provider_that_falls_silent_in_the_middle_is_given_up() {
    let mut world = World::with_mocks().await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let chunk = "data: {\"id\":\"1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Well\"}}]}\n\n";
    world.provider("chat-silent", Raw::new([format!("{head}{chunk}…")]).await.address);
    world.idle("chat-silent", "1s");
    let open = world.open(&Setting::default());
    for agent in Agent::ALL {
        let reply = open.post(agent.path(), &agent.ask("chat-silent/m", "SAY x", true)).await;
        let content = agent.read(&reply.body, true);
        assert_eq!((reply.whole, content.text.as_str(), content.ended), (true, "Well", false), "{agent:?}");
        assert!(content.error.unwrap().contains("said nothing for 1s"), "{}", reply.body);
    }
}

#[tokio::test]
async fn what_follows_the_end_of_an_answer_is_not_waited_for() {
    let mut world = World::with_mocks().await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let text = "data: {\"id\":\"1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Well\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    world.provider("chat-open", Raw::new([format!("{head}{text}…")]).await.address);
    let open = world.open(&Setting::default());
    for agent in Agent::ALL {
        let reply = open.post(agent.path(), &agent.ask("chat-open/m", "SAY x", true)).await;
        let content = agent.read(&reply.body, true);
        assert!(reply.whole && content.ended && content.error.is_none(), "{agent:?}: {}", reply.body);
        assert_eq!(open.last().await["result"], "done");
    }
}
