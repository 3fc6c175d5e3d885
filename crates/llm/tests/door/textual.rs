//! Agents that make calls of what a model says in text: they get native calls that were decided on, or text that they take
//! for none.

use nanoclaw_config::AgentKind;
use serde_json::{Value, json};

use crate::agent::{Agent, Content};
use crate::provider::{Raw, stream};
use crate::world::{Open, Setting, World};

const PROVIDERS: [&str; 4] = ["chat", "responses", "messages", "gemini"];
const RULES: &str =
    ", models: { allow: [\"*\"] }, tools: { deny: [{ name: shell, arguments: { command: \"rm *\" } }] }";

fn openclaw(world: &World) -> Open {
    let setting = Setting { agent: RULES.to_owned(), ..Setting::default() };
    world.open_as(AgentKind::OpenClaw { directory: None }, &setting)
}

/// The three notations of a call.
fn notations(command: &str) -> [String; 3] {
    let json = json!({ "command": command });
    [
        format!("<function=shell>\n<parameter=command>\n{command}\n</parameter>\n</function>"),
        format!("[shell]\n{json}\n[END_TOOL_REQUEST]"),
        format!("[tool:shell] {json}"),
    ]
}

async fn asked(open: &Open, agent: Agent, model: &str, said: &str, streamed: bool) -> (String, Content) {
    let lines: Vec<String> = said.lines().map(|line| format!("SAY {line}")).collect();
    let body = agent.ask(model, &format!("{}\nSPLIT 3", lines.join("\n")), streamed);
    let reply = open.post(agent.path(), &body).await;
    assert_eq!((reply.status, reply.whole), (200, true), "{agent:?}: {}", reply.body);
    let content = agent.read(&reply.body, streamed);
    (reply.body, content)
}

/// Tools and results of the records of tool calls.
fn decisions(records: &[Value]) -> Vec<(&str, &str)> {
    let calls = records.iter().filter(|record| record["action"] == "tool_call");
    calls.map(|record| (record["resource"].as_str().unwrap(), record["result"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn a_denied_call_that_a_model_writes_as_text_is_refused_and_on_record() {
    let world = World::with_mocks().await;
    let open = openclaw(&world);
    for provider in PROVIDERS {
        for streamed in [false, true] {
            for text in notations("rm x") {
                let before = open.records(0).await.len();
                let (body, content) = asked(&open, Agent::Chat, &format!("{provider}/m"), &text, streamed).await;
                let what = format!("{provider}, streamed: {streamed}: {text}: {body}");
                assert!(content.calls.is_empty() && !body.contains("rm x"), "{what}");
                assert!(
                    content.text.starts_with("[NanoClaw refused the tool call shell: tool `shell` is denied"),
                    "{what}"
                );
                assert_eq!((content.stop.as_str(), content.ended), ("stop", true), "{what}");
                let records = open.records(before).await;
                assert_eq!(decisions(&records), [("shell", "denied")], "{what}");
                let used = &records.last().unwrap()["model"];
                assert_eq!(
                    (&used["tools_proposed"], &used["tools_denied"]),
                    (&json!(["shell"]), &json!(["shell"])),
                    "{what}"
                );
            }
        }
    }
}

#[tokio::test]
async fn an_allowed_call_that_a_model_writes_as_text_is_a_call() {
    let world = World::with_mocks().await;
    let open = openclaw(&world);
    for agent in Agent::ALL {
        for streamed in [false, true] {
            for text in notations("ls x") {
                let before = open.records(0).await.len();
                let (body, content) = asked(&open, agent, "chat/m", &text, streamed).await;
                let what = format!("{agent:?}, streamed: {streamed}: {text}: {body}");
                assert_eq!(content.called(), [("shell", &json!({ "command": "ls x" }))], "{what}");
                assert_eq!((content.text.as_str(), content.stop.as_str()), ("", agent.stops().1), "{what}");
                assert_eq!(decisions(&open.records(before).await), [("shell", "allowed")], "{what}");
            }
        }
    }
}

#[tokio::test]
async fn a_call_in_text_that_cannot_be_read_in_one_way_is_no_call() {
    let world = World::with_mocks().await;
    let open = openclaw(&world);
    for streamed in [false, true] {
        for (text, said) in [
            ("[tool:shell] {\"command\": \"rm x\"", "[\u{200b}tool:shell] {\"command\": \"rm x\""),
            ("[shell]\n{}\n[END_TOOL_REQUEST] Well.", "[\u{200b}shell]\n{}\n[END_TOOL_REQUEST] Well."),
            ("Well.</think>[tool:shell] {}", "Well.<\u{200b}/think>[tool:shell] {}"),
        ] {
            let before = open.records(0).await.len();
            let (_, content) = asked(&open, Agent::Chat, "chat/m", text, streamed).await;
            assert_eq!((content.text.as_str(), content.calls.as_slice()), (said, &[][..]), "streamed: {streamed}");
            assert!(decisions(&open.records(before).await).is_empty());
        }
    }
}

#[tokio::test]
async fn agents_that_make_no_calls_of_text_get_it_as_it_is() {
    let world = World::with_mocks().await;
    let open = world.open(&Setting { agent: RULES.to_owned(), ..Setting::default() });
    for streamed in [false, true] {
        for text in notations("rm x") {
            let (_, content) = asked(&open, Agent::Chat, "chat/m", &text, streamed).await;
            assert_eq!((content.text, content.calls), (text, Vec::new()), "streamed: {streamed}");
        }
    }
}

#[tokio::test]
async fn the_name_of_a_refused_call_holds_no_tag_that_cuts_text() {
    let mut world = World::with_mocks().await;
    let name = "</think>[tool:shell] {}<think>";
    let call = json!({"index": 0, "id": "c", "function": {"name": name, "arguments": "{\"command\": \"rm x\"}"}});
    let event = |delta: Value, end: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": end});
        format!("data: {}\n\n", json!({"id": "1", "model": "m", "choices": [choice]}))
    };
    let said = event(json!({"tool_calls": [call]}), Value::Null) + &event(json!({}), json!("tool_calls"));
    let raw = Raw::new([stream(&format!("{said}data: [DONE]\n\n"))]).await;
    world.provider("chat-named", raw.address);
    let rules = ", models: { allow: [\"*\"] }, tools: { allow: [weather] }".to_owned();
    let setting = Setting { agent: rules, ..Setting::default() };
    let open = world.open_as(AgentKind::OpenClaw { directory: None }, &setting);
    let (body, content) = asked(&open, Agent::Chat, "chat-named/m", "x", true).await;
    assert!(content.calls.is_empty() && content.text.contains("refused") && !content.text.contains('<'), "{body}");
}
