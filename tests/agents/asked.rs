//! Whoever asked for a turn hears that it waits for a person.

use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use crate::provider::Provider;
use crate::support::{Background, Host, eventually};

#[test]
fn whoever_asked_for_a_turn_hears_that_it_waits_for_a_person() {
    let (host, provider) = (Host::new(), Provider::start());
    host.write(
        "asks.cedar",
        "@id(\"shell-asks\") @ask(\"programs need a person\") forbid(principal, action == Action::\"tool_call\", resource == Tool::\"shell\");",
    );
    let agents = "policies: [./asks.cedar]\nagents: [{ id: own, kind: builtin, tools: { allow: [shell] } }]\n";
    let fleet = provider.fleet(host, agents);
    fleet.phase("own", "running");
    let ask = |word: &str, options: &[&str]| {
        let call = format!("CALL shell {{\"command\": \"echo {word} > /workspace/done\"}}");
        let command = fleet.host.prepare([&["ask", "own", &call], options].concat());
        Background::start(command, Stdio::null())
    };
    let question = || {
        eventually("a question", || {
            let list = fleet.ask(&["approvals", "--json"]).good();
            list.lines().next().map(|line| serde_json::from_str::<Value>(line).unwrap())
        })
    };

    let asking = ask("one", &["--json"]);
    let id = question()["id"].as_str().unwrap().to_owned();
    asking.writes("\"waiting\"");
    let text = asking.text();
    let event: Value = serde_json::from_str(text.lines().find(|line| line.contains("\"waiting\"")).unwrap()).unwrap();
    let said = format!("question {id} (tool_call shell) waits for a person: programs need a person");
    assert_eq!(event["reason"], said, "{event}");
    assert!((1..=300).contains(&event["seconds"].as_u64().unwrap()), "{event}");
    asking.signal(Signal::INT);
    let events = asking.finish().text();
    assert_eq!(events.matches(&id).count(), 1, "it is told once: {events}");
    // Whoever leaves takes the question along.
    eventually("no question", || fleet.ask(&["approvals", "--json"]).good().is_empty().then_some(()));

    let asking = ask("two", &[]);
    let id = question()["id"].as_str().unwrap().to_owned();
    asking.says(&format!("question {id} (tool_call shell) waits for a person"));
    asking.signal(Signal::INT);
    asking.finish();
    assert!(!fleet.host.path("state/agents/own/workspace/done").exists());
}
