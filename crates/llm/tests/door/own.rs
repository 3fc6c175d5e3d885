//! What the door answers itself, and what goes through it that is no conversation.

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::world::{PLACEHOLDER, Setting, World, request};

#[tokio::test]
async fn the_models_of_an_agent_are_listed_in_the_shape_of_whoever_asks() {
    let world = World::with_mocks().await;
    let setting = Setting {
        agent: ", models: { allow: [fast, \"gemini/*\", messages/x], deny: [\"*/bad\"] }".to_owned(),
        models: "  aliases: { fast: chat/small, other: chat/large, poisoned: gemini/bad }\n".to_owned(),
        ..Setting::default()
    };
    let open = world.open(&setting);
    let names = ["chat/m", "fast", "messages/x"];
    let body = open.get("/v1/models").await.json();
    assert_eq!(body["object"], "list");
    let listed: Vec<&str> =
        body["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(listed, names);
    assert_eq!(body["data"][0], json!({"id": "chat/m", "object": "model", "created": 0, "owned_by": "nanoclaw"}));

    let mut anthropic = request(http::Method::GET, "/v1/models", "");
    anthropic.headers_mut().insert("anthropic-version", "2023-06-01".parse().unwrap());
    let body = open.send(anthropic).await.json();
    let ids = body["data"].as_array().unwrap().iter().map(|model| (&model["type"], &model["id"]));
    assert!(ids.eq(names.map(|name| (json!("model"), json!(name))).iter().map(|(kind, name)| (kind, name))));
    assert_eq!(
        (&body["has_more"], &body["first_id"], &body["last_id"]),
        (&json!(false), &json!("chat/m"), &json!("messages/x"))
    );

    for (name, status) in [
        ("fast", 200),
        ("chat%2Fm", 200),
        ("chat/m", 200),
        ("gemini/any", 200),
        ("gemini/bad", 403),
        ("other", 403),
        ("poisoned", 403),
        ("nothing", 404),
        ("nobody%2Fm", 404),
    ] {
        let reply = open.get(&format!("/v1/models/{name}")).await;
        assert_eq!(reply.status, status, "{name}: {}", reply.body);
    }
    assert_eq!(open.results("model_call").await.iter().filter(|result| *result == "done").count(), 11);
    assert_eq!(world.asked("chat").len(), 0);
}

#[tokio::test]
async fn the_length_of_a_request_is_estimated_here() {
    let world = World::with_mocks().await;
    let open = world.open(&Setting::default());
    let mut body = Agent::Messages.ask("chat/m", &"word ".repeat(300), false);
    body.as_object_mut().unwrap().remove("max_tokens");
    let tokens = open.post("/v1/messages/count_tokens", &body).await.json()["input_tokens"].as_u64().unwrap();
    assert!((375..1000).contains(&tokens), "{tokens}");
    let reply = open.post("/v1/messages/count_tokens", &json!({"model": 1})).await;
    assert_eq!((reply.status, Agent::Messages.error(&reply.json()).0.as_str()), (400, "invalid_request_error"));
    assert_eq!(world.asked("messages").len(), 0, "nothing leaves the machine");
    assert_eq!(open.results("model_call").await, ["allowed", "done", "denied"]);
}

#[tokio::test]
async fn vectors_come_from_providers_that_have_them() {
    let world = World::with_mocks().await;
    let setting = Setting {
        models: "  aliases: { embed: [gemini/e, chat/e], none: [gemini/e, messages/e] }\n".to_owned(),
        ..Setting::default()
    };
    let open = world.open(&setting);
    let body = json!({"model": "embed", "input": ["a", "b"], "dimensions": 4, "unheard_of": [1]});
    let reply = open.post("/v1/embeddings", &body).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.json()["data"][1]["embedding"].as_array().unwrap().len(), 4);
    let sent = &world.asked("chat")[0];
    assert_eq!(sent["body"], json!({"model": "e", "input": ["a", "b"], "dimensions": 4, "unheard_of": [1]}));
    assert!(!sent["headers"].to_string().contains(PLACEHOLDER));
    let records = open.records(0).await;
    assert!(records[0]["detail"].as_str().unwrap().starts_with("embeddings: 0 messages"), "{}", records[0]);
    let used = &records[1]["model"];
    assert_eq!(
        (&records[1]["result"], &used["provider"], &used["input_tokens"]),
        (&json!("done"), &json!("chat"), &json!(2))
    );

    for (body, status, code) in [
        (json!({"model": "none", "input": "a"}), 404, "no-such-model"),
        (json!({"model": "nobody", "input": "a"}), 404, "no-such-model"),
        (json!([]), 400, "malformed"),
        (json!({"model": "chat/e", "input": 7}), 400, "unreachable"),
    ] {
        let reply = open.post("/v1/embeddings", &body).await;
        assert_eq!((reply.status, reply.json()["error"]["code"].as_str()), (status, Some(code)), "{body}");
        assert_eq!(open.last().await["code"], code);
    }
}

#[tokio::test]
async fn calls_that_an_agent_found_in_a_text_are_decided_on_like_others() {
    let world = World::with_mocks().await;
    let setting = Setting {
        agent: ", tools: { allow: [weather, { name: shell, arguments: { command: \"ls*\" } }] }".to_owned(),
        ..Setting::default()
    };
    let open = world.open(&setting);
    let calls = json!({"calls": [
        {"name": "weather", "arguments": {"city": "a"}},
        {"name": "shell", "arguments": "{\"command\": \"ls /\"}"},
        {"name": "shell", "arguments": "{\"command\": \"ls\", \"command\": \"rm\"}"},
        {"name": "fly", "arguments": {}},
    ]});
    let reply = open.post("/v1/nanoclaw/tool-calls", &calls).await.json();
    let allowed: Vec<bool> = reply["decisions"].as_array().unwrap().iter().map(|one| one["allowed"] == true).collect();
    assert_eq!(allowed, [true, true, false, false]);
    assert!(reply["decisions"][3]["reason"].as_str().unwrap().starts_with("no rule allows tool `fly`; to allow it"));
    assert_eq!(open.results("tool_call").await, ["allowed", "allowed", "denied", "denied"]);

    let many: Vec<Value> = (0..129).map(|_| json!({"name": "weather", "arguments": {}})).collect();
    for body in [json!({"calls": many}), json!({"calls": 7}), json!([])] {
        assert_eq!(open.post("/v1/nanoclaw/tool-calls", &body).await.status, 400);
    }
    assert_eq!(open.results("tool_call").await.len(), 4);
}
