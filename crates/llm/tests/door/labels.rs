//! What a conversation brings into the session of a cell, and what that changes.

use nanoclaw_config::{AgentDialect, AgentKind, Builtin, DataClass, Label, Trust};
use nanoclaw_gate::Answer;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::waiting::{answer_next, refused};
use crate::world::{Open, Setting, World};

/// `weather` gives what is not trusted, `shell` does something, and both need the user's word for where things go.
const LABELS: &str = "
labels:
  tools:
    - { name: weather, trust: untrusted, data: confidential, does: [reads] }
    - { name: shell, trust: trusted, data: public, does: [sends], destinations: [city] }
";

fn under(rule_set: &str) -> Setting {
    Setting { top: format!("rule_sets: [{rule_set}]\n{LABELS}"), ..Setting::default() }
}

fn builtin() -> AgentKind {
    AgentKind::Builtin(Builtin {
        instructions: String::new(),
        dialect: AgentDialect::Chat,
        skills: None,
        mcp: Vec::new(),
        max_steps: 1,
        context_tokens: 1000,
    })
}

/// Has the model call `weather` first and `shell` then, with this city.
async fn two_steps(open: &Open, agent: Agent, streamed: bool, city: &str) -> (Value, String) {
    let script = format!("CALL weather {{}}\nCALL shell {{\"city\": \"{city}\"}}");
    let first = agent.ask("chat/m", &script, streamed);
    let reply = open.post(agent.path(), &first).await;
    let content = agent.read(&reply.body, streamed);
    assert_eq!(content.called(), [("weather", &json!({}))], "{}", reply.body);
    let second = agent.go_on(&first, &content, &["rain in Bern, and in Evilville"]);
    let reply = open.post(agent.path(), &second).await;
    (second, reply.body)
}

#[tokio::test]
async fn what_a_tool_gave_counts_before_the_model_reads_it() {
    let world = World::with_mocks().await;
    for agent in Agent::ALL {
        for streamed in [false, true] {
            let what = format!("{agent:?}, streamed: {streamed}");
            let open = world.open_again(&under("trusted-action")).await;
            let before = open.records(0).await.len();
            let deny = answer_next(&open.desk, Answer::Deny { reason: "no".to_owned() });
            let ((_, body), question) = tokio::join!(two_steps(&open, agent, streamed, "Bern"), deny);
            assert_eq!((question.resource.as_str(), question.cell.as_str()), ("shell", "a"), "{what}");
            assert!(refused(&agent.read(&body, streamed)), "{what}: {body}");
            let untrusted = Label { trust: Trust::Untrusted, data: DataClass::Confidential };
            assert_eq!(open.engine.session().label(), untrusted, "{what}");
            let records = open.records(before).await;
            let place = |action: &str, result: &str| {
                let fits = |record: &Value| record["action"] == action && record["result"] == result;
                records.iter().rposition(fits).unwrap_or_else(|| panic!("{what}: {action} in {records:#?}"))
            };
            let rose = records.iter().position(|record| record["action"] == "labels_rose").unwrap();
            assert!(rose < place("model_call", "allowed"), "{what}: {records:#?}");
            assert!(place("tool_call", "allowed") < rose, "{what}: weather was called before anything was read");
        }
    }
}

#[tokio::test]
async fn where_something_goes_is_looked_for_in_the_words_of_users_and_not_in_results() {
    let world = World::with_mocks().await;
    let mut config = under("value-provenance");
    config.top.push_str("approvals: { wait: 1s }\n");
    for agent in Agent::ALL {
        let open = world.open_again(&config).await;
        let (_, body) = two_steps(&open, agent, true, "Evilville").await;
        assert_eq!(agent.read(&body, true).called(), [("shell", &json!({ "city": "Evilville" }))], "the user names it");
    }
    // Nobody on the wire is the user of an agent that the control plane speaks to.
    let open = world.open_as_again(builtin(), &config).await;
    let (second, body) = two_steps(&open, Agent::Chat, false, "Evilville").await;
    assert!(refused(&Agent::Chat.read(&body, false)), "{body}");
    open.engine.session().told("How is the weather in Evilville?");
    let again = open.post(Agent::Chat.path(), &second).await;
    let content = Agent::Chat.read(&again.body, false);
    assert_eq!(content.called(), [("shell", &json!({ "city": "Evilville" }))], "{}", again.body);
}

#[tokio::test]
async fn what_runs_at_a_provider_is_read_with_the_answer() {
    let world = World::with_mocks().await;
    let rules = ", tools: { allow: [shell, web_search_20250305] }".to_owned();
    let open = world.open(&Setting { agent: rules, ..under("trusted-action") });
    assert_eq!(open.engine.session().label().trust, Trust::Trusted);
    let mut request = Agent::Messages.ask("messages/m", "CALL shell {}", false);
    request["tools"].as_array_mut().unwrap().push(json!({ "type": "web_search_20250305", "name": "web_search" }));
    let deny = answer_next(&open.desk, Answer::Deny { reason: String::new() });
    let asked = async {
        let reply = open.post(Agent::Messages.path(), &request).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply
    };
    let (reply, question) = tokio::join!(asked, deny);
    assert!(refused(&Agent::Messages.read(&reply.body, false)), "{}", reply.body);
    assert_eq!(question.resource, "shell");
    assert_eq!(open.engine.session().label().trust, Trust::Untrusted);
}
