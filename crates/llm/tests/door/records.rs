//! What is written down: bodies, where the parts of a conversation come from, metrics; and that nothing is done where it
//! cannot be.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use http::Method;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use nanoclaw_vault::digest::{hex, sha256};
use serde_json::json;
use tokio::io::AsyncReadExt as _;

use crate::agent::Agent;
use crate::provider::{Raw, answer};
use crate::world::{Setting, World, request};

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
