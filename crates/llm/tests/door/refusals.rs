//! What the door does not do: each refusal in the shape that the agent's own library knows, and on record.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt as _, Channel};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::agent::Agent;
use crate::world::{Open, Reply, Setting, World, read, request};

/// The refusal of a request: status, kind, its beginning, and what its record says.
fn assert_refused(agent: Agent, reply: &Reply, status: u16, kind: &str, code: &str, says: &str) {
    assert_eq!((reply.status, reply.whole), (status, true), "{agent:?}: {}", reply.body);
    assert_eq!((reply.header("content-type"), reply.header("x-should-retry")), ("application/json", "false"));
    assert_eq!(reply.header("x-nanoclaw-refusal"), code, "{agent:?}");
    let body = reply.json();
    assert_eq!(body["error"]["code"], code, "{agent:?}: {body}");
    let (told, message) = agent.error(&body);
    assert_eq!(told, kind, "{agent:?}: {body}");
    assert!(message.contains(says), "{agent:?}: {message}");
}

async fn assert_recorded(open: &Open, code: &str, resource: Option<&str>) {
    let last = open.last().await;
    assert_eq!((last["action"].as_str(), last["result"].as_str()), (Some("model_call"), Some("denied")), "{last}");
    assert_eq!((last["code"].as_str(), last["resource"].as_str()), (Some(code), resource), "{last}");
}

#[tokio::test]
async fn a_model_that_no_rule_allows_is_forbidden() {
    let world = World::with_mocks().await;
    let setting = Setting {
        agent: ", models: { allow: [good, \"responses/*\"], deny: [\"*/bad*\"] }".to_owned(),
        models: "  aliases: { good: messages/m, mixed: [responses/m, gemini/m], poisoned: [responses/bad-1] }\n"
            .to_owned(),
        ..Setting::default()
    };
    let open = world.open(&setting);
    for agent in Agent::ALL {
        for stream in [false, true] {
            for (model, says) in [
                (
                    "messages/m",
                    "no rule allows model `messages/m`; to allow it, add `models: { allow: [\"messages/m\"] }`",
                ),
                ("mixed", "no rule allows model `mixed`"),
                ("poisoned", "model `responses/bad-1` is denied by agents.a.models.deny[0]"),
                ("responses/bad", "model `responses/bad` is denied"),
            ] {
                let reply = open.post(agent.path(), &agent.ask(model, "SAY x", stream)).await;
                assert_refused(agent, &reply, 403, "permission_error", "model-not-allowed", says);
                assert_recorded(&open, "model-not-allowed", Some(model)).await;
            }
            for model in ["good", "responses/m", "chat/m", "default", "", "m"] {
                let reply = open.post(agent.path(), &agent.ask(model, "SAY x", stream)).await;
                assert_eq!(reply.status, 200, "{agent:?}: {model}: {}", reply.body);
            }
        }
    }
    assert_eq!(world.asked("gemini").len(), 0);
}

#[tokio::test]
async fn a_model_that_is_not_there_is_not_found() {
    let world = World::with_mocks().await;
    let setting = Setting { models: "  aliases: { fast: chat/m }\n".to_owned(), ..Setting::default() };
    let open = world.open(&setting);
    for agent in Agent::ALL {
        for model in ["fas", "elsewhere/m", "chat/", "/m"] {
            let reply = open.post(agent.path(), &agent.ask(model, "SAY x", true)).await;
            let kind = if agent == Agent::Messages { "not_found_error" } else { "invalid_request_error" };
            let says = format!("there is no model `{model}` here; write a name that `GET /v1/models`");
            assert_refused(agent, &reply, 404, kind, "no-such-model", &says);
            assert!(!reply.body.contains("fast"), "the aliases of the fleet: {}", reply.body);
            assert_recorded(&open, "no-such-model", Some(model)).await;
        }
    }
    let endless = format!("chat/{}", "x".repeat(100_000));
    let reply = open.post(Agent::Chat.path(), &Agent::Chat.ask(&endless, "SAY x", false)).await;
    assert_eq!(reply.status, 404);
    assert!(reply.body.len() < 1000 && open.last().await.to_string().len() < 10_000);
}

#[tokio::test]
async fn a_request_that_cannot_be_read_is_invalid() {
    let world = World::with_mocks().await;
    let open = world.open(&Setting::default());
    for agent in Agent::ALL {
        let deep = format!("{{\"model\": \"m\", \"x\": {}1{}}}", "[".repeat(200), "]".repeat(200));
        for (body, says) in [
            ("", "the body is not JSON: EOF"),
            ("{", "the body is not JSON: EOF"),
            ("{} {}", "the body is not JSON: trailing"),
            (deep.as_str(), "the body is not JSON: recursion limit"),
            ("{\"model\": 7}", "`model` "),
            ("{\"model\": \"chat/m\", \"messages\": 7, \"input\": 7}", "`"),
            ("[]", "is not an object"),
        ] {
            let reply = open.send(request(Method::POST, agent.path(), body.to_owned())).await;
            assert_refused(agent, &reply, 400, "invalid_request_error", "malformed", says);
            assert_recorded(&open, "malformed", None).await;
        }
    }
    assert_eq!(world.asked("chat").len(), 0);
}

#[tokio::test]
async fn what_a_provider_could_read_in_another_way_is_not_sent() {
    let world = World::with_mocks().await;
    let bounded = Setting {
        agent: ", models: { allow: [\"*\"] }, budget: { tokens_per_day: 100000 }".to_owned(),
        ..Setting::default()
    };
    let open = world.open(&bounded);
    for agent in Agent::ALL {
        for (key, value, says) in [
            ("Model", json!("dear"), "the key `Model` could be read as `model`"),
            ("Max_Tokens", json!(1_000_000), "the key `Max_Tokens` could be read as `max_tokens`"),
            ("toolſ", json!([{"type": "web_search"}]), "the key `toolſ` could be read as `tools`"),
            ("n", json!(50.0), "`n` is not a number of answers"),
            ("best_of", json!(50), "`best_of` asks for answers past the agent's budget"),
            ("n_predict", json!(1_000_000), "`n_predict` asks for answers past the agent's budget"),
            ("background", json!(true), "`background` lets a provider go on"),
        ] {
            let mut body = agent.ask("chat/m", "SAY x", false);
            body[key] = value;
            let reply = open.post(agent.path(), &body).await;
            assert_refused(agent, &reply, 400, "invalid_request_error", "malformed", says);
            assert_recorded(&open, "malformed", None).await;
        }
    }
    for path in ["/v1/embeddings", "/v1/messages/count_tokens"] {
        let reply = open.post(path, &json!({"model": "chat/m", "messages": [], "Input": "x"})).await;
        assert_eq!(reply.status, 400, "{path}: {}", reply.body);
        assert!(reply.body.contains("the key `Input` could be read as `input`"), "{path}: {}", reply.body);
        assert_recorded(&open, "malformed", None).await;
    }
    assert_eq!(world.asked("chat").len(), 0);
}

#[tokio::test]
async fn what_makes_a_provider_reach_out_for_vectors_needs_a_rule() {
    let world = World::with_mocks().await;
    let open = world.open(&Setting::default());
    for (key, value) in [
        ("input", json!([{"image": "HTTPS://elsewhere.example/?secret"}])),
        ("messages", json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x"}}]}])),
        ("tools", json!([{"type": "web_search"}])),
    ] {
        let mut body = json!({"model": "chat/m", "input": ["https://x is text"]});
        assert_eq!(open.post("/v1/embeddings", &body).await.status, 200);
        let before = world.asked("chat").len();
        body[key] = value;
        let reply = open.post("/v1/embeddings", &body).await;
        assert_eq!(reply.status, 403, "{body}: {}", reply.body);
        assert_eq!(world.asked("chat").len(), before, "{body}");
    }
}

#[tokio::test]
async fn only_what_is_there_is_answered() {
    let world = World::with_mocks().await;
    let open = world.open(&Setting::default());
    for path in
        ["/", "/v1", "/v1/files", "/v1/fine_tuning/jobs", "/metrics", "/v1/chat/completions/1", "/v1/messages/batches"]
    {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let agent = if path.contains("/messages") { Agent::Messages } else { Agent::Chat };
            let kind = if agent == Agent::Messages { "not_found_error" } else { "invalid_request_error" };
            let reply = open.send(request(method, path, "{}")).await;
            assert_refused(agent, &reply, 404, kind, "not-found", "the model door has no `");
        }
    }
    for (method, path) in [
        (Method::GET, "/v1/chat/completions"),
        (Method::PUT, "/v1/responses"),
        (Method::DELETE, "/v1/messages"),
        (Method::POST, "/v1/models"),
        (Method::from_bytes(b"BREW").unwrap(), "/v1/embeddings"),
    ] {
        let agent = if path.contains("/messages") { Agent::Messages } else { Agent::Chat };
        let reply = open.send(request(method, path, "{}")).await;
        assert_refused(agent, &reply, 405, "invalid_request_error", "method-not-allowed", "takes ");
        assert_eq!(reply.header("allow"), "GET, POST");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_it_has_come() {
    let world = World::with_mocks().await;
    let open = world.open(&Setting::default());
    for agent in Agent::ALL {
        // The length says enough.
        let (mut stream, _) = open.connect();
        let head = format!("POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: 33554433\r\n\r\n", agent.path());
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, b"HTTP/1.1 413", "{agent:?}");
        assert_recorded(&open, "malformed", None).await;
    }
}

#[tokio::test]
async fn an_endless_body_is_read_no_further_than_the_limit() {
    let world = World::with_mocks().await;
    let open = world.open(&Setting::default());
    let (stream, _) = open.connect();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (mut feed, body) = Channel::<Bytes, std::io::Error>::new(1);
    let request = request(Method::POST, Agent::Messages.path(), "").map(|_| body);
    let mebibyte = Bytes::from(vec![b' '; 1 << 20]);
    let answering = sender.send_request(request);
    let feeding = async {
        let mut fed = 0;
        while fed < 64 && feed.send_data(mebibyte.clone()).await.is_ok() {
            fed += 1;
        }
        fed
    };
    let (response, fed) = tokio::join!(answering, feeding);
    let reply = read(response.unwrap()).await;
    assert_refused(Agent::Messages, &reply, 413, "request_too_large", "too-large", "longer than 33554432 bytes");
    assert!(fed < 40, "{fed} MiB were taken");
    assert_recorded(&open, "malformed", None).await;
}

#[tokio::test]
async fn a_body_of_too_many_values_is_refused_before_it_is_read_into_memory() {
    let world = World::with_mocks().await;
    let open = world.open(&Setting::default());
    let body = format!("{{\"model\": \"chat/m\", \"messages\": [{}0]}}", "0,".repeat(600_000));
    let reply = open.send(request(Method::POST, Agent::Chat.path(), body)).await;
    assert_refused(Agent::Chat, &reply, 413, "invalid_request_error", "too-large", "too many JSON values");
}

#[tokio::test]
async fn a_long_text_is_no_reason_to_refuse() {
    let world = World::with_mocks().await;
    let open = world.open(&Setting::default());
    let script = format!("SAY x\n{}", "[{,\"".repeat(200_000));
    let reply = open.post(Agent::Chat.path(), &Agent::Chat.ask("chat/m", &script, false)).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let mut world = World::new();
    world.mock("chat").await;
    let open = world.open(&Setting::default());
    for agent in Agent::ALL {
        let (stream, _) = open.connect();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let (mut feed, body) = Channel::<Bytes, std::io::Error>::new(1);
        let feeding = tokio::spawn(async move {
            // A byte now and then does not help.
            while feed.send_data(Bytes::from_static(b" ")).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        });
        let before = tokio::time::Instant::now();
        let response = sender.send_request(request(Method::POST, agent.path(), "").map(|_| body)).await.unwrap();
        let reply = read(response).await;
        let kind = if agent == Agent::Messages { "timeout_error" } else { "invalid_request_error" };
        assert_refused(agent, &reply, 408, kind, "slow", "did not come within 60 s");
        assert!((60..70).contains(&before.elapsed().as_secs()));
        feeding.abort();
        assert_recorded(&open, "malformed", None).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_ends_the_connection() {
    let mut world = World::new();
    world.mock("chat").await;
    let open = world.open(&Setting::default());
    let (mut stream, serving) = open.connect();
    stream.write_all(b"POST /v1/messages HTTP/1.1\r\nhost:").await.unwrap();
    assert!(serving.await.unwrap().is_ok());
}

#[tokio::test]
async fn bodies_in_tiny_pieces_do_not_use_up_the_cells_share() {
    let mut world = World::new();
    world.mock("chat").await;
    let open = world.open(&Setting::default());
    let body = Agent::Chat.ask("chat/m", &format!("SAY x\n{}", "x".repeat(100_000)), false).to_string();
    let (mut stream, _) = open.connect();
    let mut wire = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for byte in body.bytes() {
        wire.extend_from_slice(&[b'1', b'\r', b'\n', byte, b'\r', b'\n']);
    }
    wire.extend_from_slice(b"0\r\n\r\n");
    stream.write_all(&wire).await.unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 200");
}

#[tokio::test]
async fn refusals_keep_the_connection() {
    let world = World::with_mocks().await;
    let open = world.open(&Setting::default());
    let mut client = open.client().await;
    for _ in 0..3 {
        for (path, body, status) in [
            ("/v1/nothing", json!({}), 404),
            ("/v1/messages", json!({}), 400),
            ("/v1/chat/completions", Agent::Chat.ask("chat/m", "SAY x", true), 200),
        ] {
            client.ready().await.unwrap();
            let response = client.send_request(request(Method::POST, path, body.to_string())).await.unwrap();
            assert_eq!(response.status(), status);
            let _body = response.into_body().collect().await.unwrap();
        }
    }
}
