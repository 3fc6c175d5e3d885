//! What is written down: bodies, where the parts of a conversation come from, metrics; and that nothing is done where it
//! cannot be.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use http::Method;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use nanoclaw_vault::digest::{hex, sha256};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::agent::Agent;
use crate::provider::{Raw, answer, stream};
use crate::world::{KEY, Setting, World, request};

#[tokio::test]
async fn bodies_are_kept_under_the_digests_that_stand_in_the_log() {
    let mut world = World::with_mocks().await;
    // Not as a JSON library writes it: what is kept are the provider's own bytes.
    let odd = "{ \"id\":\"1\",  \"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"x\"},\"finish_reason\":\"stop\"}] }\n";
    world.provider("chat-odd", Raw::new([answer("application/json", odd)]).await.address);
    let open = world.open(&Setting { models: "  keep_bodies: true\n".to_owned(), ..Setting::default() });
    for agent in Agent::ALL {
        for (model, streamed) in [("chat/m", false), ("chat/m", true), ("gemini/m", true), ("chat-odd/m", false)] {
            let body = agent.ask(model, "SAY x", streamed);
            assert_eq!(open.post(agent.path(), &body).await.status, 200);
            let records = open.records(0).await;
            let [.., asked, done] = records.as_slice() else { panic!("{records:?}") };
            let detail = asked["detail"].as_str().unwrap();
            let digest = detail.split("sha256 ").nth(1).unwrap().split(',').next().unwrap();
            assert_eq!(digest, hex(&sha256(body.to_string().as_bytes())), "{detail}");
            let answered = done["model"]["answer_sha256"].as_str().unwrap();
            for digest in [digest, answered] {
                let path = world.path("bodies").join(format!("{digest}.body"));
                assert_eq!(hex(&sha256(&fs::read(&path).unwrap())), digest);
                assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
            }
        }
    }
    let body = json!({"model": "chat/e", "input": "a"});
    assert_eq!(open.post("/v1/embeddings", &body).await.status, 200);
    let kept = hex(&sha256(body.to_string().as_bytes()));
    assert!(world.path("bodies").join(format!("{kept}.body")).exists());
    assert_eq!(fs::metadata(world.path("bodies")).unwrap().permissions().mode() & 0o7777, 0o700);
    for entry in fs::read_dir(world.path("bodies")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name.ends_with(".body"), "{name} was left behind");
    }
}

#[tokio::test]
async fn no_bodies_are_kept_unless_asked_for() {
    let world = World::with_mocks().await;
    let open = world.open(&Setting::default());
    assert_eq!(open.post(Agent::Chat.path(), &Agent::Chat.ask("chat/m", "SAY x", true)).await.status, 200);
    assert!(!world.path("bodies").exists());
}

#[tokio::test]
async fn a_body_that_cannot_be_kept_is_not_sent() {
    let world = World::with_mocks().await;
    let open = world.open(&Setting { models: "  keep_bodies: true\n".to_owned(), ..Setting::default() });
    fs::remove_dir(world.path("bodies")).unwrap();
    fs::write(world.path("bodies"), "").unwrap();
    for agent in Agent::ALL {
        let reply = open.post(agent.path(), &agent.ask("chat/m", "SAY x", true)).await;
        assert_eq!(reply.status, 502, "{}", reply.body);
        assert!(agent.error(&reply.json()).1.contains("the body cannot be kept"));
        assert_eq!(open.last().await["result"], "failed");
    }
    assert_eq!(world.asked("chat").len(), 0);
}

#[tokio::test]
async fn the_record_says_where_the_parts_of_a_conversation_come_from() {
    let world = World::with_mocks().await;
    let open = world.open(&Setting::default());
    let first = Agent::Chat.ask("chat/m", "CALL weather {}\nSAY x", false);
    let reply = open.post(Agent::Chat.path(), &first).await;
    let mut second = Agent::Chat.go_on(&first, &Agent::Chat.read(&reply.body, false), &["From a web page"]);
    let list = second["messages"].as_array_mut().unwrap();
    list.insert(0, json!({"role": "system", "content": "Be good"}));
    list.push(json!({"role": "assistant", "content": "Then…"}));
    // What a tool gave does not become the user's words by being said again.
    list.push(json!({"role": "user", "content": "From a web page"}));
    list.push(json!({"role": "user", "content": "Go on"}));
    assert_eq!(open.post(Agent::Chat.path(), &second).await.status, 200);
    let sources = json!({"model": 1, "operator": 1, "tool:weather": 2, "user": 2});
    assert_eq!(open.last().await["model"]["sources"], sources);
}

#[tokio::test]
async fn a_record_has_an_end_whatever_names_an_agent_chooses() {
    let world = World::with_mocks().await;
    let open = world.open(&Setting::default());
    let mut body = Agent::Chat.ask("chat/m", "SAY x", false);
    let list = body["messages"].as_array_mut().unwrap();
    for number in 0..2000 {
        let name = format!("tool_{number}_{}", "x".repeat(500));
        let call =
            json!({"id": format!("c{number}"), "type": "function", "function": {"name": name, "arguments": "{}"}});
        list.push(json!({"role": "assistant", "content": null, "tool_calls": [call]}));
        list.push(json!({"role": "tool", "tool_call_id": format!("c{number}"), "content": number.to_string()}));
    }
    assert_eq!(open.post(Agent::Chat.path(), &body).await.status, 200);
    let last = open.last().await.to_string();
    assert!(last.len() < 20 * 1024, "{} bytes", last.len());
}

#[tokio::test]
async fn metrics_count_calls_tokens_and_refusals_by_agent_and_model() {
    let world = World::with_mocks().await;
    let open = world.open(&Setting { agent: ", tools: { deny: [shell] }".to_owned(), ..Setting::default() });
    for streamed in [false, true] {
        let body = Agent::Messages.ask("messages/claude-sonnet-4-5", "SAY x\nTOKENS 9 8", streamed);
        assert_eq!(open.post("/v1/messages", &body).await.status, 200);
    }
    let _ = open.post("/v1/chat/completions", &Agent::Chat.ask("chat/m", "FAIL 400", false)).await;
    let _ = open.post("/v1/chat/completions", &Agent::Chat.ask("chat/m", "CALL shell {}\nTOKENS 1 1", false)).await;
    let _ = open.post("/v1/chat/completions", &Agent::Chat.ask("nothing", "SAY x", false)).await;
    let _ = open.post("/v1/embeddings", &json!({"model": "chat/e", "input": "a"})).await;
    let text = open.models.metrics().text();
    let claude = r#"gen_ai_provider_name="messages",gen_ai_request_model="claude-sonnet-4-5""#;
    for line in [
        format!(r#"gen_ai_client_operation_duration_seconds_count{{gen_ai_agent_id="a",gen_ai_operation_name="chat",{claude},error_type=""}} 2"#),
        r#"gen_ai_client_operation_duration_seconds_count{gen_ai_agent_id="a",gen_ai_operation_name="chat",gen_ai_provider_name="chat",gen_ai_request_model="m",error_type="unreachable"} 1"#.to_owned(),
        r#"gen_ai_client_operation_duration_seconds_count{gen_ai_agent_id="a",gen_ai_operation_name="embeddings",gen_ai_provider_name="chat",gen_ai_request_model="e",error_type=""} 1"#.to_owned(),
        format!(r#"gen_ai_server_time_to_first_token_seconds_count{{gen_ai_agent_id="a",{claude}}} 2"#),
        format!(r#"gen_ai_client_token_usage_sum{{gen_ai_agent_id="a",{claude},gen_ai_token_type="input"}} 18.0"#),
        format!(r#"gen_ai_client_token_usage_sum{{gen_ai_agent_id="a",{claude},gen_ai_token_type="output"}} 16.0"#),
        // 18 × 3 and 16 × 15 millionths of a dollar.
        format!(r#"nanoclaw_model_cost_usd_total{{gen_ai_agent_id="a",{claude}}} 0.000294"#),
        r#"nanoclaw_model_refusals_total{gen_ai_agent_id="a",action="tool_call",code="tool-not-allowed"} 1"#.to_owned(),
        r#"nanoclaw_model_refusals_total{gen_ai_agent_id="a",action="model_call",code="no-such-model"} 1"#.to_owned(),
    ] {
        assert!(text.contains(&line), "{line}\nis not in\n{text}");
    }
}

#[tokio::test]
async fn nothing_is_sent_that_cannot_be_recorded() {
    let world = World::with_mocks().await;
    for agent in Agent::ALL {
        let open = world.open_again(&Setting::default()).await;
        assert_eq!(open.post(agent.path(), &agent.ask("chat/m", "SAY x", false)).await.status, 200);
        let sent = world.asked("chat").len();
        let (mut other, waiting) = open.connect();
        let log = world.path("audit/audit.jsonl");
        fs::rename(&log, world.path("kept")).unwrap();
        std::os::unix::fs::symlink(world.path("elsewhere"), &log).unwrap();

        let (stream, serving) = open.connect();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let body = agent.ask("chat/m", "SAY x", true).to_string();
        if let Ok(response) = sender.send_request(request(Method::POST, agent.path(), body)).await {
            assert_eq!(response.status(), 503, "{agent:?}");
        }
        assert!(serving.await.unwrap().is_err(), "{agent:?}: the connection ends with the error");
        assert!(waiting.await.unwrap().is_err(), "{agent:?}: and so do all others");
        assert_eq!(other.read(&mut [0; 1]).await.unwrap(), 0);
        let (_, again) = open.connect();
        assert!(again.await.unwrap().is_err(), "{agent:?}: it stays closed");
        assert_eq!(world.asked("chat").len(), sent, "{agent:?}");
        assert!(!world.path("elsewhere").exists());
        fs::remove_file(&log).unwrap();
        fs::rename(world.path("kept"), &log).unwrap();
    }
}

#[tokio::test]
async fn what_leads_nowhere_is_on_record() {
    let world = World::with_mocks().await;
    let open = world.open(&Setting::default());
    let long = format!("/v1/{}", "x".repeat(50_000));
    for (method, path, says) in [
        ("GET", "/metrics", "has no `GET /metrics`"),
        ("POST", "/v1/files", "has no `POST /v1/files`"),
        ("DELETE", "/v1/models/chat/m", "`/v1/models/chat/m` takes GET, not `DELETE`"),
        ("GET", "/v1/messages/", "`/v1/messages/` takes POST, not `GET`"),
        ("BREW", long.as_str(), "has no `BREW /v1/xxxx"),
    ] {
        let before = open.records(0).await.len();
        let reply = open.send(request(Method::from_bytes(method.as_bytes()).unwrap(), path, "{}")).await;
        assert!(reply.body.contains(says), "{}", reply.body);
        let records = open.records(before).await;
        let [record] = records.as_slice() else { panic!("{records:?}") };
        assert_eq!((&record["action"], &record["result"]), (&json!("model_call"), &json!("denied")), "{record}");
        assert_eq!((&record["code"], &record["stage"]), (&json!("malformed"), &json!("inspect")), "{record}");
        assert!(record["reason"].as_str().unwrap().contains(says), "{record}");
        assert!(record.to_string().len() < 2_000 && reply.body.len() < 1_000, "{record}");
    }
    let before = open.records(0).await.len();
    let question = request(Method::POST, "/v1/nanoclaw/tool-calls", "{}");
    assert_eq!(open.send(question).await.status, 400);
    assert_eq!(open.records(before).await.len(), 1);
    let key = open.get(&format!("/v1/files/{KEY}")).await;
    assert!(key.body.contains(KEY), "the agent is told what it asked for, and not whether that is a key");
    let log = open.records(0).await.iter().map(Value::to_string).collect::<String>();
    assert!(log.contains("GET /v1/files/") && !log.contains(&KEY[..8]), "{log}");
}

#[tokio::test]
async fn a_body_in_which_a_key_stands_is_not_kept() {
    let mut world = World::with_mocks().await;
    let escaped: String = KEY.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
    let whole = |more: &str| {
        let choice = r#"{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}"#;
        answer("application/json", &format!(r#"{{"id":"1","model":"m","choices":[{choice}]{more}}}"#))
    };
    let events = |more: &str, behind: &str| {
        let choice = r#"{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}"#;
        let chunk = format!(r#"{{"id":"1","model":"m","choices":[{choice}]{more}}}"#);
        stream(&format!("data: {chunk}\n\ndata: [DONE]\n\n{behind}"))
    };
    for (name, reply) in [
        ("chat-whole", whole(&format!(r#","debug":"{KEY}""#))),
        ("chat-escaped", whole(&format!(r#","debug":["{escaped}"]"#))),
        ("chat-stream", events(&format!(r#","debug":"{KEY}""#), "")),
        ("chat-event", events(&format!(r#","debug":"{escaped}""#), "")),
        ("chat-behind", events("", &format!("data: {KEY}\n\n"))),
        ("chat-remark", events("", &format!(": {KEY}\n\n"))),
    ] {
        world.provider(name, Raw::new([reply]).await.address);
    }
    let open = world.open(&Setting { models: "  keep_bodies: true\n".to_owned(), ..Setting::default() });
    for agent in Agent::ALL {
        for (model, script, streamed) in [
            ("chat/m", "ECHO-KEY", false),
            ("chat/m", "SAY The key is\nECHO-KEY\nSPLIT 3", true),
            ("gemini/m", "ECHO-KEY", true),
            ("chat-whole/m", "SAY x", false),
            ("chat-escaped/m", "SAY x", false),
            ("chat-stream/m", "SAY x", true),
            ("chat-event/m", "SAY x", true),
            ("chat-behind/m", "SAY x", true),
            ("chat-remark/m", "SAY x", true),
        ] {
            let what = format!("{agent:?} at {model}, streamed: {streamed}");
            let body = agent.ask(model, script, streamed);
            let _ = open.post(agent.path(), &body).await;
            let last = open.last().await;
            assert_eq!(
                (&last["result"], &last["code"]),
                (&json!("failed"), &json!("content-refused")),
                "{what}: {last}"
            );
            let reason = last["reason"].as_str().unwrap();
            assert_eq!(reason, "the answer holds the key of a provider, so its body is not kept", "{what}");
            let kept = |digest: &str| world.path("bodies").join(format!("{digest}.body")).exists();
            assert!(kept(&hex(&sha256(body.to_string().as_bytes()))), "{what}: the request is");
            assert!(!kept(last["model"]["answer_sha256"].as_str().unwrap()), "{what}");
        }
    }
    let body = json!({"model": "chat/m", "input": "a"});
    assert_eq!(open.post("/v1/embeddings", &body).await.status, 200, "what holds none is kept");
    let answered = open.last().await["model"]["answer_sha256"].as_str().unwrap().to_owned();
    assert!(world.path("bodies").join(format!("{answered}.body")).exists());
    for entry in fs::read_dir(world.path("bodies")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!text.contains(KEY) && !text.contains(&escaped), "{text}");
    }
}
