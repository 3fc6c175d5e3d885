//! Providers that fail: somebody else is asked as long as nothing of an answer was passed on, and nothing is repeated.

use std::net::TcpListener;

use http::Method;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::provider::{Raw, answer, stream};
use crate::world::{Setting, World, request};

/// `robust` is the model at each of `providers`, in this order.
fn robust(providers: &[&str]) -> Setting {
    let models: Vec<String> = providers.iter().map(|name| format!("{name}/m")).collect();
    Setting { models: format!("  aliases: {{ robust: [{}] }}\n", models.join(", ")), ..Setting::default() }
}

/// An address where nobody listens.
fn closed() -> std::net::SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn facts(record: &Value) -> (&Value, &Value, &Value) {
    (&record["result"], &record["model"]["provider"], &record["model"]["attempts"])
}

#[tokio::test]
async fn the_next_model_answers_where_the_first_fails() {
    let mut world = World::with_mocks().await;
    let says = |status: &str| format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
    let page = answer("text/html", "<html>\n\nhello\n\n</html>");
    let half = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"id\"".to_owned();
    let empty = stream("");
    let error = stream("data: {\"error\": {\"message\": \"no\", \"code\": 500}}\n\n");
    let odd = answer("application/json", "{\"choices\": 7}");
    for (name, reply) in [
        ("chat-500", says("500 No")),
        ("chat-401", says("401 No")),
        ("chat-404", says("404 No")),
        ("chat-302", says("302 Found\r\nlocation: http://127.0.0.1:1/")),
        ("chat-page", page),
        ("chat-half", half),
        ("chat-empty", empty),
        ("chat-error", error),
        ("chat-odd", odd),
        ("chat-nothttp", "220 smtp.example.com ESMTP\r\n".to_owned()),
    ] {
        world.provider(name, Raw::new([reply]).await.address);
    }
    world.provider("chat-gone", closed());
    let names = ["500", "401", "404", "302", "page", "half", "empty", "error", "odd", "nothttp", "gone"];
    for agent in Agent::ALL {
        for streamed in [false, true] {
            for (name, next) in names.into_iter().zip(["chat", "messages", "gemini"].into_iter().cycle()) {
                let what = format!("{agent:?}, {name}, then {next}, streamed: {streamed}");
                let fresh = robust(&[&format!("chat-{name}"), next]);
                let open = world.open_again(&fresh).await;
                let reply = open.post(agent.path(), &agent.ask("robust", "SAY fine\nTOKENS 3 2", streamed)).await;
                assert_eq!((reply.status, reply.whole), (200, true), "{what}: {}", reply.body);
                let content = agent.read(&reply.body, streamed);
                assert_eq!((content.text.as_str(), content.ended, content.error), ("fine", true, None), "{what}");
                let last = open.last().await;
                assert_eq!(facts(&last), (&json!("done"), &json!(next), &json!(2)), "{what}: {last}");
                // What the first may have done is charged with the longest answer, where the agent names one.
                let costs_nothing = ["500", "401", "404", "gone"].contains(&name);
                let lost = if costs_nothing || agent != Agent::Messages { 0 } else { 100 };
                let used = &last["model"];
                assert_eq!(used["output_tokens"], 2 + lost, "{what}");
                assert_eq!(used["estimated"] == true, !costs_nothing, "{what}: {used}");
            }
        }
    }
}

#[tokio::test]
async fn where_nobody_answers_the_last_failure_is_told() {
    let mut world = World::with_mocks().await;
    world.provider("chat-gone", closed());
    for agent in Agent::ALL {
        for streamed in [false, true] {
            let open = world.open_again(&robust(&["gemini", "chat-gone"])).await;
            let reply = open.post(agent.path(), &agent.ask("robust", "FAIL 500", streamed)).await;
            assert_eq!(reply.status, 503, "{}", reply.body);
            assert!(
                agent.error(&reply.json()).1.starts_with("provider `chat-gone` cannot be reached: "),
                "{}",
                reply.body
            );
            let last = open.last().await;
            assert_eq!(facts(&last), (&json!("failed"), &json!("chat-gone"), &json!(2)), "{last}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_is_not_repeated() {
    let world = World::with_mocks().await;
    for agent in Agent::ALL {
        for provider in ["chat", "responses", "messages", "gemini"] {
            let what = format!("{agent:?} at {provider}");
            let next = if provider == "chat" { "gemini" } else { "chat" };
            let open = world.open_again(&robust(&[provider, next])).await;
            let script = "SAY one two three four five six seven eight\nCUT 6\nSPLIT 4";
            let asked = || (world.asked(provider).len(), world.asked(next).len());
            let before = asked();
            let reply = open.post(agent.path(), &agent.ask("robust", script, true)).await;
            assert_eq!((reply.status, reply.whole), (200, true), "{what}: the error is the end of the answer");
            let content = agent.read(&reply.body, true);
            assert!(content.text.starts_with("one") && !content.text.contains("eight"), "{what}: {}", content.text);
            assert!(!content.ended && content.text.matches("one").count() == 1, "{what}: {}", reply.body);
            let error = content.error.unwrap_or_else(|| panic!("{what}: {}", reply.body));
            assert!(error.starts_with(&format!("provider `{provider}` broke its answer off")), "{what}: {error}");
            let last = open.last().await;
            assert_eq!(facts(&last), (&json!("failed"), &json!(provider), &json!(1)), "{what}: {last}");
            assert_eq!((&last["code"], &last["model"]["estimated"]), (&json!("unreachable"), &json!(true)), "{what}");
            assert!(last["model"]["output_tokens"].as_u64().unwrap() > 0, "{what}");
            assert_eq!(asked(), (before.0 + 1, before.1), "{what}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_before_any_of_it_was_passed_on_is_asked_of_the_next() {
    for agent in Agent::ALL {
        for streamed in [false, true] {
            let mut world = World::new();
            let fine = json!({"id": "1", "model": "m", "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "fine"}}]});
            let chunk = json!({"id": "1", "model": "m", "choices": [{"index": 0, "finish_reason": "stop", "delta": {"content": "fine"}}]});
            let whole = answer("application/json", &fine.to_string());
            let events = stream(&format!("data: {chunk}\n\ndata: [DONE]\n\n"));
            let next = Raw::new([if streamed { events } else { whole }]).await;
            world.mock("chat").await;
            world.provider("chat-next", next.address);
            let open = world.open(&robust(&["chat", "chat-next"]));
            let reply = open.post(agent.path(), &agent.ask("robust", "SAY x\nCUT 0", streamed)).await;
            assert_eq!(agent.read(&reply.body, streamed).text, "fine", "{agent:?}: {}", reply.body);
            assert_eq!(facts(&open.last().await), (&json!("done"), &json!("chat-next"), &json!(2)));
            assert_eq!((world.asked("chat").len(), next.requests().len()), (1, 1));
        }
    }
}

#[tokio::test]
async fn a_provider_that_is_busy_is_asked_again() {
    let mut world = World::new();
    world.mock("chat").await;
    world.retries("chat", 2);
    let open = world.open(&Setting::default());
    for agent in Agent::ALL {
        for (times, status) in [(1, 200), (2, 200), (3, 503)] {
            let script = format!("SAY {}\nFAIL 503 {times}", agent.name());
            let reply = open.post(agent.path(), &agent.ask("chat/m", &script, true)).await;
            assert_eq!(reply.status, status, "{agent:?}: {}", reply.body);
            assert_eq!(open.last().await["model"]["attempts"], 3.min(times + 1), "{agent:?}");
        }
        let before = world.asked("chat").len();
        let reply = open.post(agent.path(), &agent.ask("chat/m", "FAIL 400", true)).await;
        assert_eq!(
            (reply.status, world.asked("chat").len()),
            (400, before + 1),
            "{agent:?}: what is wrong stays wrong"
        );
    }
}

#[tokio::test]
async fn what_one_provider_finds_wrong_is_not_asked_of_the_next() {
    let world = World::with_mocks().await;
    let open = world.open(&robust(&["gemini", "chat"]));
    for agent in Agent::ALL {
        let reply = open.post(agent.path(), &agent.ask("robust", "FAIL 400", false)).await;
        assert_eq!((reply.status, world.asked("chat").len()), (400, 0), "{agent:?}: {}", reply.body);
    }
}

#[tokio::test]
async fn a_request_that_leans_on_a_provider_goes_only_where_it_can_be_answered() {
    let world = World::with_mocks().await;
    let open = world.open(&robust(&["gemini", "responses"]));
    let mut body = Agent::Responses.ask("robust", "SAY x", false);
    body["previous_response_id"] = "resp_1".into();
    let reply = open.post("/v1/responses", &body).await;
    // The mock keeps nothing, which is its own to say.
    assert!(reply.body.contains("`previous_response_id` leads nowhere"), "{}", reply.body);
    assert_eq!((world.asked("gemini").len(), world.asked("responses").len()), (0, 1));
    body["model"] = "gemini/m".into();
    let reply = open.post("/v1/responses", &body).await;
    assert_eq!(reply.status, 400);
    assert!(reply.body.contains("send the whole conversation"), "{}", reply.body);
    assert_eq!(open.last().await["result"], "failed");
}

#[tokio::test]
async fn only_named_headers_are_passed_on() {
    let mut world = World::new();
    let raw = Raw::new([answer("application/json", "{}")]).await;
    world.provider("messages-raw", raw.address);
    world.mock("chat").await;
    let open = world.open(&Setting::default());
    let body = Agent::Messages.ask("messages-raw/m", "SAY x", false).to_string();
    let mut request = request(Method::POST, "/v1/messages", body);
    let headers = request.headers_mut();
    for (name, value) in [
        ("anthropic-beta", "one"),
        ("anthropic-beta", "two"),
        ("anthropic-version", "1999-01-01"),
        ("x-forwarded-for", "10.0.0.1"),
        ("cookie", "a=b"),
        ("proxy-authorization", "Basic x"),
    ] {
        headers.append(name, value.parse().unwrap());
    }
    assert_eq!(open.send(request).await.status, 502);
    let sent = raw.requests().pop().unwrap();
    let (head, _) = sent.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("anthropic-beta: one\r\nanthropic-beta: two"), "{head}");
    assert!(head.contains("anthropic-version: 2023-06-01"), "{head}");
    for name in ["1999", "10.0.0.1", "cookie", "Basic", "placeholder", "bearer"] {
        assert!(!head.to_lowercase().contains(name), "{head}");
    }
}
