//! A model that NanoClaw runs itself, which is held to a form instead of being given tools.

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::provider::{Raw, answer, stream};
use crate::world::{Setting, World};

/// What the server says, in one piece and streamed in two.
fn says(text: &str) -> [String; 2] {
    let usage = json!({ "prompt_tokens": 70, "completion_tokens": 9, "total_tokens": 79 });
    let id = "chatcmpl-7";
    let message = json!({ "role": "assistant", "content": text });
    let choice = json!({ "index": 0, "message": message, "finish_reason": "stop" });
    let whole = json!({ "id": id, "model": "m", "choices": [choice], "usage": usage }).to_string();
    let (first, second) = text.split_at(text.len() / 2);
    let chunk = |delta: Value, reason: Value| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": reason });
        format!("data: {}\n\n", json!({ "id": id, "model": "m", "choices": [choice] }))
    };
    let streamed = [
        ":\n\n".to_owned(),
        chunk(json!({ "role": "assistant", "content": null }), Value::Null),
        chunk(json!({ "content": first }), Value::Null),
        chunk(json!({ "content": second }), Value::Null),
        chunk(json!({}), "stop".into()),
        format!("data: {}\n\n", json!({ "choices": [], "usage": usage })),
        "data: [DONE]\n\n".to_owned(),
    ];
    [answer("application/json", &whole), stream(&streamed.concat())]
}

/// What the last request to the server asked for.
fn asked(raw: &Raw) -> (String, Value) {
    let request = raw.requests().pop().unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), serde_json::from_str(body).unwrap())
}

#[tokio::test]
async fn calls_of_a_model_held_to_a_form_arrive_as_calls_in_every_dialect() {
    for agent in Agent::ALL {
        for streamed in [false, true] {
            let what = format!("{agent:?}, streamed: {streamed}");
            let said = says(r#"{"tool": "shell", "arguments": {"city": "Bern"}}"#);
            let raw = Raw::new([said[usize::from(streamed)].clone()]).await;
            let mut world = World::new();
            world.cell("chat", raw.address);
            let open = world.open(&Setting::default());
            let reply = open.post(agent.path(), &agent.ask("chat/m", "Go.", streamed)).await;
            assert_eq!((reply.status, reply.whole), (200, true), "{what}: {}", reply.body);
            let content = agent.read(&reply.body, streamed);
            assert_eq!(content.called(), [("shell", &json!({ "city": "Bern" }))], "{what}");
            assert_eq!((content.text.as_str(), content.stop.as_str()), ("", agent.stops().1), "{what}");
            assert_eq!(content.calls[0].id, "call_chatcmpl-7", "{what}");

            let (line, sent) = asked(&raw);
            assert_eq!(line, "POST /v1/chat/completions HTTP/1.1", "{what}");
            assert_eq!(sent.get("tools"), None, "{what}");
            assert_eq!(sent["stream"] == true, streamed, "{what}");
            let forms = &sent["response_format"]["json_schema"]["schema"]["anyOf"];
            assert_eq!(forms[1]["properties"]["tool"], json!({ "const": "shell" }), "{what}: {forms}");

            let records = open.records(0).await;
            let proposed = |record: &&Value| record["action"] == "tool_call" && record["result"] == "allowed";
            assert_eq!(records.iter().filter(proposed).count(), 1, "{what}: {records:?}");
            let done = records.last().unwrap();
            assert_eq!(done["model"]["tools_proposed"], json!(["shell"]), "{what}");
            assert_eq!(done["model"]["output_tokens"], 9, "{what}");
        }
    }
}

#[tokio::test]
async fn denied_calls_of_a_model_held_to_a_form_never_arrive() {
    for agent in Agent::ALL {
        for streamed in [false, true] {
            let what = format!("{agent:?}, streamed: {streamed}");
            let said = says(r#"{"tool": "shell", "arguments": {"city": "rm-all-of-it"}}"#);
            let raw = Raw::new([said[usize::from(streamed)].clone()]).await;
            let mut world = World::new();
            world.cell("chat", raw.address);
            let rules = ", models: { allow: [\"*\"] }, tools: { deny: [shell] }".to_owned();
            let open = world.open(&Setting { agent: rules, ..Setting::default() });
            let reply = open.post(agent.path(), &agent.ask("chat/m", "Go.", streamed)).await;
            assert!(!reply.body.contains("rm-all-of-it"), "{what}: {}", reply.body);
            let content = agent.read(&reply.body, streamed);
            assert!(
                content.calls.is_empty() && content.text.contains("refused the tool call shell"),
                "{what}: {content:?}"
            );
            assert_eq!(content.stop, agent.stops().0, "{what}");
        }
    }
}

#[tokio::test]
async fn answers_of_a_model_held_to_a_form_arrive_as_text() {
    for agent in Agent::ALL {
        for streamed in [false, true] {
            let raw = Raw::new([says("{\"answer\": \"Fine \\u00e4\\n.\"}")[usize::from(streamed)].clone()]).await;
            let mut world = World::new();
            world.cell("chat", raw.address);
            let open = world.open(&Setting::default());
            let reply = open.post(agent.path(), &agent.ask("chat/m", "Go.", streamed)).await;
            let content = agent.read(&reply.body, streamed);
            assert_eq!((content.text.as_str(), content.calls.len()), ("Fine ä\n.", 0), "{agent:?}: {}", reply.body);
            assert_eq!(content.stop, agent.stops().0);
        }
    }
}

#[tokio::test]
async fn a_server_that_does_not_keep_to_the_form_is_at_fault() {
    let [whole, _] = says("I would rather chat.");
    let raw = Raw::new([whole]).await;
    let mut world = World::new();
    world.cell("chat", raw.address);
    let open = world.open(&Setting::default());
    let reply = open.post(Agent::Chat.path(), &Agent::Chat.ask("chat/m", "Go.", false)).await;
    assert_eq!(reply.status, 502, "{}", reply.body);
    let (_, message) = Agent::Chat.error(&reply.json());
    assert!(message.contains("the answer is not the JSON that was asked for"), "{message}");
}

#[tokio::test]
async fn without_tools_the_agents_own_request_is_passed_on() {
    let raw = Raw::new([says("Plain.")[0].clone()]).await;
    let mut world = World::new();
    world.cell("chat", raw.address);
    let open = world.open(&Setting::default());
    let body = json!({ "model": "chat/m", "messages": [{ "role": "user", "content": "Go." }], "own_field": 1 });
    let reply = open.post(Agent::Chat.path(), &body).await;
    assert_eq!(Agent::Chat.read(&reply.body, false).text, "Plain.");
    let (_, sent) = asked(&raw);
    assert_eq!((&sent["own_field"], sent.get("response_format")), (&json!(1), None));
}
