//! Tool calls that the rules do not allow: an agent never sees them as calls.

use nanoclaw_llm::Seen;
use serde_json::{Value, json};

use crate::agent::{Agent, Content};
use crate::provider::{Raw, answer, stream};
use crate::world::{Open, Setting, World, id};

const PROVIDERS: [&str; 4] = ["chat", "responses", "messages", "gemini"];
/// Stands in the arguments of calls that must not be seen.
const SECRET: &str = "rm-all-of-it";

fn tools(rules: &str) -> Setting {
    Setting { agent: format!(", models: {{ allow: [\"*\"] }}, tools: {rules}"), ..Setting::default() }
}

/// Asks, and gives the answer as it came and as it was read.
async fn asked(open: &Open, agent: Agent, body: &Value) -> (String, Content) {
    let reply = open.post(agent.path(), body).await;
    assert_eq!((reply.status, reply.whole), (200, true), "{agent:?}: {}", reply.body);
    let content = agent.read(&reply.body, body["stream"] == true);
    (reply.body, content)
}

#[tokio::test]
async fn a_denied_call_arrives_as_text_and_never_as_a_call() {
    let world = World::with_mocks().await;
    let open = world.open(&tools("{ deny: [shell] }"));
    let mut watching = open.models.watch(id("a")).await;
    for agent in Agent::ALL {
        for provider in PROVIDERS {
            for streamed in [false, true] {
                let what = format!("{agent:?} at {provider}, streamed: {streamed}");
                let before = open.records(0).await.len();
                let script = format!("REMARK Well.\nCALL shell {{\"command\": \"{SECRET}\"}}\nSPLIT 3");
                let first = agent.ask(&format!("{provider}/m"), &script, streamed);
                let (body, content) = asked(&open, agent, &first).await;
                assert!(!body.contains(SECRET) && content.calls.is_empty(), "{what}: {body}");
                let refused =
                    "[NanoClaw refused the tool call shell: tool `shell` is denied by agents.a.tools.deny[0]]";
                assert!(
                    content.text.starts_with("Well.") && content.text.ends_with(refused),
                    "{what}: {}",
                    content.text
                );
                assert_eq!((content.stop.as_str(), content.ended), (agent.stops().0, true), "{what}");

                let records = open.records(before).await;
                let [asked, denied, done] = records.as_slice() else { panic!("{what}: {records:?}") };
                assert_eq!(asked["result"], "allowed");
                let facts = ["action", "result", "resource", "code"].map(|key| denied[key].as_str().unwrap());
                assert_eq!(facts, ["tool_call", "denied", "shell", "tool-not-allowed"], "{what}");
                assert!(denied["detail"].as_str().unwrap().contains("(command), sha256 "), "{what}: {denied}");
                assert!(!denied.to_string().contains(SECRET), "{what}: arguments do not stand in the log");
                let used = &done["model"];
                assert_eq!(
                    (&used["tools_proposed"], &used["tools_denied"]),
                    (&json!(["shell"]), &json!(["shell"])),
                    "{what}"
                );
                assert_eq!((&done["result"], &used["stop"]), (&json!("done"), &json!("tool-calls")), "{what}");

                let reason = "tool `shell` is denied by agents.a.tools.deny[0]".to_owned();
                assert_eq!(watching.seen.try_recv(), Ok(Seen::Refused { name: "shell".to_owned(), reason }), "{what}");
                assert!(matches!(watching.seen.try_recv(), Ok(Seen::Used { .. })), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn an_allowed_call_beside_a_denied_one_arrives_alone() {
    let world = World::with_mocks().await;
    let open = world.open(&tools("{ allow: [weather] }"));
    let mut watching = open.models.watch(id("a")).await;
    for agent in Agent::ALL {
        for provider in PROVIDERS {
            for streamed in [false, true] {
                let what = format!("{agent:?} at {provider}, streamed: {streamed}");
                let denied = format!("CALL shell {{\"command\": \"{SECRET}\"}}");
                let script = format!("{denied}\nAND\nCALL weather {{\"city\": \"a\"}}\nAND\n{denied}");
                let first = agent.ask(&format!("{provider}/m"), &script, streamed);
                let (body, content) = asked(&open, agent, &first).await;
                assert!(!body.contains(SECRET), "{what}: {body}");
                assert_eq!(content.called(), [("weather", &json!({"city": "a"}))], "{what}");
                assert_eq!(
                    content.text.matches("[NanoClaw refused the tool call shell: no rule allows").count(),
                    2,
                    "{what}"
                );
                assert_eq!((content.stop.as_str(), content.ended), (agent.stops().1, true), "{what}");
                // The agent goes on as if there had been that one call.
                let (_, again) = asked(&open, agent, &agent.go_on(&first, &content, &["rain"])).await;
                assert_eq!(again.text, "SCRIPT DONE\n[1] rain", "{what}");
                assert!(matches!(watching.seen.try_recv(), Ok(Seen::Refused { .. })), "{what}");
                let call = Seen::Call {
                    id: content.calls[0].id.clone(),
                    name: "weather".to_owned(),
                    arguments: String::new(),
                };
                let told = match watching.seen.try_recv() {
                    Ok(Seen::Call { id, name, arguments }) => {
                        assert_eq!(serde_json::from_str::<Value>(&arguments).unwrap(), json!({"city": "a"}), "{what}");
                        Seen::Call { id, name, arguments: String::new() }
                    }
                    other => panic!("{what}: {other:?}"),
                };
                assert_eq!(told, call, "{what}");
                while watching.seen.try_recv().is_ok() {}
            }
        }
    }
}

#[tokio::test]
async fn arguments_are_what_the_rules_say_or_the_call_is_refused() {
    let world = World::with_mocks().await;
    let open = world.open(&tools(
        "{ allow: [{ name: shell, arguments: { command: \"ls *\" } }], deny: [{ name: \"*\", arguments: { path: \"*/.ssh/*\" } }] }",
    ));
    for agent in Agent::ALL {
        for (arguments, allowed) in [
            (r#"{"command": "ls /tmp"}"#, true),
            (r#"{"command": "rm /tmp"}"#, false),
            (r#"{"command": ["ls /tmp"]}"#, false),
            (r#"{"cmd": "ls /tmp"}"#, false),
            ("{}", false),
            (r#"{"command": "ls x", "path": "/home/.ssh/id"}"#, false),
            (r#"{"command": "ls x", "path": "/home"}"#, true),
        ] {
            for streamed in [false, true] {
                let body = agent.ask("chat/m", &format!("CALL shell {arguments}"), streamed);
                let (_, content) = asked(&open, agent, &body).await;
                assert_eq!(content.calls.len(), usize::from(allowed), "{agent:?}: {arguments}");
            }
        }
    }
}

#[tokio::test]
async fn arguments_that_can_be_read_in_two_ways_fit_no_rule_that_allows_and_every_rule_that_denies() {
    // Only where arguments are text can one key stand twice.
    const TWICE: &str = r#"{"command": "ls x", "command": "rm x"}"#;
    let world = World::with_mocks().await;
    for rules in [
        "{ allow: [{ name: shell, arguments: { command: \"ls *\" } }] }",
        "{ deny: [{ name: shell, arguments: { command: \"mkfs *\" } }] }",
    ] {
        let open = world.open(&tools(rules));
        for agent in [Agent::Chat, Agent::Responses] {
            for streamed in [false, true] {
                let body = agent.ask(&format!("{}/m", agent.name()), &format!("CALL shell {TWICE}"), streamed);
                let (body, content) = asked(&open, agent, &body).await;
                assert!(content.calls.is_empty() && !body.contains("rm x"), "{agent:?}: {body}");
                let denied = open.records(0).await.into_iter().rfind(|record| record["action"] == "tool_call").unwrap();
                assert!(denied["detail"].as_str().unwrap().contains("(unreadable arguments)"), "{denied}");
            }
        }
    }
}

#[tokio::test]
async fn a_call_that_never_ends_never_arrives() {
    let mut world = World::with_mocks().await;
    let begun = r#"data: {"id":"1","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"Well"}}]}

data: {"id":"1","model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"weather","arguments":"{\"city\": \"rm-"}}]}}]}

"#;
    let raw = Raw::new([stream(begun)]).await;
    world.provider("chat-cut", raw.address);
    let open = world.open(&Setting::default());
    for agent in Agent::ALL {
        let reply = open.post(agent.path(), &agent.ask("chat-cut/m", "SAY x", true)).await;
        assert_eq!((reply.status, reply.whole), (200, true), "{agent:?}");
        assert!(!reply.body.contains("rm-"), "{agent:?}: {}", reply.body);
        let content = agent.read(&reply.body, true);
        assert_eq!(
            (content.text.as_str(), content.calls.as_slice(), content.ended),
            ("Well", &[][..], false),
            "{agent:?}"
        );
        assert_eq!(content.error.as_deref(), Some("the provider broke its answer off"), "{agent:?}");
        let last = open.last().await;
        assert_eq!((&last["result"], &last["code"]), (&json!("failed"), &json!("unreachable")), "{agent:?}");
        assert!(
            last["model"].get("tools_proposed").is_none() && last["model"]["estimated"] == true,
            "{agent:?}: {last}"
        );
    }
}

#[tokio::test]
async fn a_call_in_a_place_where_none_belongs_does_not_pass() {
    let mut world = World::with_mocks().await;
    let hidden = json!({
        "id": "1", "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {
            "role": "assistant", "content": [{"type": "tool_call", "function": {"name": "shell", "arguments": SECRET}}],
        }}],
    });
    let raw = Raw::new([answer("application/json", &hidden.to_string())]).await;
    world.provider("chat-odd", raw.address);
    let open = world.open(&tools("{ deny: [shell] }"));
    let reply = open.post(Agent::Chat.path(), &Agent::Chat.ask("chat-odd/m", "SAY x", false)).await;
    assert_eq!(reply.status, 502, "{}", reply.body);
    assert!(!reply.body.contains(SECRET));
    assert_eq!(open.last().await["result"], "failed");
}

#[tokio::test]
async fn a_call_by_another_name_than_those_that_are_offered_never_arrives() {
    let world = World::with_mocks().await;
    let open = world.open(&tools("{ deny: [shell] }"));
    for agent in Agent::ALL {
        for provider in PROVIDERS {
            for (streamed, name) in
                [(false, "SHELL"), (true, "functions.shell"), (true, "tools.shell"), (false, "Weather"), (true, "exec")]
            {
                let what = format!("{agent:?} at {provider}, {name}");
                let script = format!("CALL {name} {{\"command\": \"{SECRET}\"}}");
                let (body, content) =
                    asked(&open, agent, &agent.ask(&format!("{provider}/m"), &script, streamed)).await;
                assert!(!body.contains(SECRET) && content.calls.is_empty(), "{what}: {body}");
                assert!(content.text.contains("the request offers no tool of exactly the name"), "{what}: {body}");
                let records = open.records(0).await;
                let denied = &records[records.len() - 2];
                let facts = ["action", "result", "resource", "code"].map(|key| denied[key].as_str().unwrap());
                assert_eq!(facts, ["tool_call", "denied", name, "tool-not-allowed"], "{what}");
            }
        }
    }
}

#[tokio::test]
async fn where_no_tool_is_offered_no_call_arrives() {
    let world = World::with_mocks().await;
    let open = world.open(&Setting::default());
    for agent in Agent::ALL {
        for streamed in [false, true] {
            let mut ask = agent.ask("chat/m", &format!("CALL weather {{\"city\": \"{SECRET}\"}}"), streamed);
            ask.as_object_mut().unwrap().remove("tools");
            let (body, content) = asked(&open, agent, &ask).await;
            assert!(!body.contains(SECRET) && content.calls.is_empty(), "{agent:?}: {body}");
        }
    }
}

#[tokio::test]
async fn tools_that_an_agent_could_take_for_one_another_are_refused() {
    let world = World::with_mocks().await;
    let open = world.open(&Setting::default());
    for agent in Agent::ALL {
        let ask = agent.ask("chat/m", "SAY hi", false).to_string().replace("\"weather\"", "\" Shell\"");
        let reply = open.post(agent.path(), &serde_json::from_str(&ask).unwrap()).await;
        assert_eq!(reply.status, 400, "{}", reply.body);
        assert!(reply.body.contains("differ only in case"), "{}", reply.body);
    }
    assert!(world.asked("chat").is_empty());
}
