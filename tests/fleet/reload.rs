//! A configuration that changes while its fleet runs.

use rustix::process::Signal;
use serde_json::Value;

use crate::fleet::Fleet;
use crate::support::{Finished, Host, appears, eventually};

/// Whether a name is looked up in the cell of agent `one`.
fn resolves(fleet: &Fleet, name: &str) -> bool {
    fleet.ask(&["exec", "one", "--", "getent", "hosts", name]).code() == Some(0)
}

fn fleet_of(networks: &str) -> String {
    format!("agents: [{{ id: one, command: [sleep, '1000'], allowed_networks: {networks} }}]\n")
}

/// Writes another configuration and has it read.
fn reload(fleet: &Fleet, config: &str) -> Finished {
    fleet.host.write("fleet.yaml", config);
    fleet.ask(&["reload"])
}

fn started(config: &str) -> Fleet {
    let fleet = Fleet::up(config);
    fleet.phase("one", "running");
    fleet
}

#[test]
fn a_rule_holds_from_the_reload_on_that_brings_it_to_the_one_that_takes_it_away() {
    let fleet = started(&fleet_of("[kept.example.com]"));
    let before = fleet.status("one");
    assert!(resolves(&fleet, "kept.example.com") && !resolves(&fleet, "new.example.com"));
    let said = reload(&fleet, &fleet_of("[kept.example.com, 'new.example.com:443']")).good();
    assert!(said.starts_with("generation 2 is in force, sha256 "), "{said}");
    for line in [
        "  + agents.one.allowed_networks[1]: permit(",
        "newly allowed:\n",
        "  one net_connect new.example.com:443  (deny before, allow now)\n",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(!said.contains("no longer allowed:"), "{said}");
    assert!(resolves(&fleet, "kept.example.com") && resolves(&fleet, "new.example.com"));
    let said = reload(&fleet, &fleet_of("['new.example.com:443']")).good();
    assert!(said.contains("no longer allowed:\n") && !said.contains("newly allowed:"), "{said}");
    assert!(!resolves(&fleet, "kept.example.com") && resolves(&fleet, "new.example.com"));
    let after = fleet.status("one");
    assert_eq!(
        (&before["restarts"], &after["phase"]),
        (&after["restarts"], &"running".into()),
        "nothing was restarted"
    );
}

#[test]
fn what_came_into_force_is_on_record_with_its_digest() {
    let fleet = started(&fleet_of("[]"));
    fleet.host.write("fleet.yaml", fleet_of("[new.example.com]"));
    let said: Value = serde_json::from_str(&fleet.ask(&["reload", "--json"]).good()).unwrap();
    let facts = fleet.host.records_of("policy_reloaded");
    let [fact] = facts.as_slice() else { panic!("{facts:?}") };
    let detail = fact["detail"].as_str().unwrap();
    let digest = said["digest"].as_str().unwrap();
    assert!(detail.starts_with(&format!("generation 2, sha256 {digest}; ")), "{detail}");
    let managed = fleet.host.records_of("agent_manage");
    let of_reload: Vec<&Value> = managed.iter().filter(|record| record["detail"] == "reload").collect();
    assert_eq!(of_reload.len(), 1, "{managed:?}");
    let seq = |record: &Value| record["seq"].as_u64().unwrap();
    assert!(of_reload[0]["result"] == "allowed" && seq(of_reload[0]) < seq(fact), "{managed:?}");
    let outcome = |record: &&Value| record["request_seq"] == of_reload[0]["seq"];
    assert!(appears(|| fleet.host.records_of("agent_manage").iter().any(|r| outcome(&r) && r["result"] == "done")));
}

#[test]
fn a_mistake_changes_nothing_and_is_named_with_its_place() {
    let fleet = started(&fleet_of("[kept.example.com]"));
    let done = reload(&fleet, "agents:\n  - { id: one, command: [sleep], alowed_networks: [] }\n");
    assert_eq!((done.code(), done.text().as_str()), (Some(125), ""), "{done:?}");
    assert!(done.stderr.contains("fleet.yaml:2:34"), "{}", done.stderr);
    assert!(done.stderr.ends_with("\nnothing has changed\n"), "{}", done.stderr);
    assert!(resolves(&fleet, "kept.example.com"));
    fleet.host.write(
        "p.cedar",
        "permit(principal, action, resource);\nforbid(principal, action == Action::\"fly\", resource);\n",
    );
    let done = reload(&fleet, &format!("policies: [p.cedar]\n{}", fleet_of("[new.example.com]")));
    assert_eq!(done.code(), Some(125), "{done:?}");
    assert!(done.stderr.contains("p.cedar:2:"), "{}", done.stderr);
    let done = reload(&fleet, "agents: []\n");
    assert_eq!(done.code(), Some(125), "{done:?}");
    assert!(resolves(&fleet, "kept.example.com") && !resolves(&fleet, "new.example.com"));
    let failed =
        |record: &&Value| record["result"] == "failed" && record["reason"].as_str().unwrap().contains("p.cedar:2:");
    assert!(appears(|| fleet.host.records_of("agent_manage").iter().filter(failed).count() == 1));
    assert_eq!(fleet.host.records_of("policy_reloaded").len(), 0);
}

#[test]
fn policies_of_files_take_effect_on_a_running_program() {
    let fleet = started(&fleet_of("[]"));
    let id = || fleet.ask(&["exec", "one", "--", "sh", "-c", "id -u"]);
    assert_eq!(id().code(), Some(0));
    fleet.host.write("p.cedar", "@id(\"no-id\") forbid(principal, action == Action::\"exec\", resource)\nwhen { resource.path like \"*/id\" };\n");
    let config = format!("policies: [p.cedar]\n{}", fleet_of("[]"));
    let said = reload(&fleet, &config).good();
    assert!(said.contains("  + no-id: "), "{said}");
    assert!(said.contains("no longer allowed:\n  one exec /x/id  (allow before, deny now)\n"), "{said}");
    assert_eq!(id().code(), Some(126), "{:?}", id());
    reload(&fleet, &fleet_of("[]")).good();
    assert_eq!(id().code(), Some(0));
}

#[test]
fn what_waits_for_the_next_start_is_named_agent_by_agent() {
    let fleet = started(
        "agents:\n  - { id: one, command: [sleep, '1000'], allowed_networks: [kept.example.com] }\n  - { id: two, command: [sleep, '1000'] }\n",
    );
    let said = reload(
        &fleet,
        "sandbox_mode: standard\nagents:\n  - { id: three, command: ['true'] }\n  - { id: two, command: [sleep, '1000'], env: { K: v }, limits: { pids: 9 }, allowed_networks: ['host-service:127.0.0.1:1'] }\n",
    );
    let said = said.good();
    for line in [
        "with the next `nanoclaw up`:\n",
        "  agent two: env, limits, allowed_networks (a new `host-service`)\n",
        "  the fleet: sandbox_mode\n",
        "  agent three: it is new, and does not run\n",
        "agent one is gone from the configuration: its cell runs and has lost every rule; `nanoclaw stop one` ends it\n",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(!resolves(&fleet, "kept.example.com"), "a cell whose agent is gone has its rules");
    assert_eq!(fleet.status("one")["phase"], "running");
}

#[test]
fn an_agent_that_is_gone_gets_no_rules_with_its_next_run() {
    let fleet = started(
        "agents:\n  - { id: one, command: [sh, -c, 'getent hosts kept.example.com; echo \"run $?\"; sleep 1000'], allowed_networks: [kept.example.com], restart: always }\n  - { id: two, command: [sleep, '1000'] }\n",
    );
    fleet.logs("one", "run 0");
    reload(&fleet, "agents: [{ id: two, command: [sleep, '1000'] }]\n").good();
    let _ended = fleet.ask(&["exec", "one", "--", "pkill", "sleep"]).code();
    fleet.until("one", |status| status["restarts"] == 1 && status["phase"] == "running");
    fleet.logs("one", "run 2");
}

#[test]
fn a_hangup_signal_reloads_too() {
    let fleet = started(&fleet_of("[]"));
    fleet.host.write("fleet.yaml", fleet_of("[new.example.com]"));
    fleet.signal(Signal::HUP);
    fleet.says("generation 2 of the policies is in force");
    assert!(resolves(&fleet, "new.example.com"));
    fleet.host.write("fleet.yaml", "agents: [\n");
    fleet.signal(Signal::HUP);
    fleet.says("the configuration is not taken, and nothing has changed: error: ");
    assert!(resolves(&fleet, "new.example.com"));
    let managed = fleet.host.records_of("agent_manage");
    let reloads = managed.iter().filter(|record| record["detail"] == "reload" && record["result"] == "allowed").count();
    assert_eq!(reloads, 2, "{managed:?}");
}

#[test]
fn no_reload_opens_a_window_for_a_cell() {
    const LOOP: &str = "while [ ! -e /workspace/done ]; do
        getent hosts both.example.com > /dev/null || echo shut
        getent hosts neither.example.com > /dev/null && echo open
        echo turn >> /workspace/turns
      done; echo over; sleep 1000";
    let fleet_of = |networks: &str| {
        let script = serde_json::Value::from(LOOP);
        format!(
            "agents:\n  - id: one\n    command: [sh, -c, {script}]\n    mounts: [{{ source: work, target: /workspace, mode: rw }}]\n    allowed_networks: {networks}\n"
        )
    };
    let fleet = started(&fleet_of("[both.example.com]"));
    fleet.host.write("one.yaml", fleet_of("[both.example.com, one.example.com]"));
    fleet.host.write("other.yaml", fleet_of("[other.example.com, both.example.com]"));
    let script = "for n in $(seq 10); do for next in one other; do
        cp $next.yaml next.yaml && mv next.yaml fleet.yaml && \"$NANOCLAW\" reload > /dev/null || exit 1
      done; done";
    let done = fleet.host.host_sh(script);
    assert_eq!(done.code(), Some(0), "{done:?}");
    fleet.host.write("work/done", "");
    fleet.logs("one", "over");
    assert_eq!(fleet.ask(&["logs", "one"]).good(), "over\n");
    assert!(fleet.host.read("work/turns").lines().count() > 10, "hardly anything was asked");
    assert_eq!(fleet.host.records_of("policy_reloaded").len(), 20);
}

const READER: &str = "agents:\n  - id: one\n    command: [sleep, '1000']\n    allowed_networks: ['tcp://192.0.2.1:9']\n  - id: two\n    command: [sleep, '1000']\n";

/// Has agent `one` reach for a host that anybody may have written on.
fn reads(fleet: &Fleet) {
    let script = "import socket\ns = socket.create_connection(('192.0.2.1', 9), 5)\n";
    let _unreachable = fleet.ask(&["exec", "one", "--", "/usr/bin/python3", "-c", script]).code();
    fleet.until("one", |status| status["labels"]["trust"] == "untrusted");
}

#[test]
fn labels_outlive_the_fleet_until_a_person_resets_them() {
    let fleet = started(READER);
    reads(&fleet);
    let table = fleet.ask(&["labels"]).good();
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["AGENT", "TRUST", "DATA", "SUSPICION", "SINCE"]);
    assert_eq!(lines[1][..3], ["one", "untrusted", "public"]);
    assert_eq!(lines[2], ["two", "trusted", "public", "clean", "-"]);
    reload(&fleet, READER).good();
    assert_eq!(fleet.status("one")["labels"]["trust"], "untrusted", "a reload forgot what was read");
    assert_eq!(fleet.ask(&["down"]).code(), Some(0));
    let (host, _) = fleet.end();
    let fleet = Fleet::up_on(host, READER);
    fleet.phase("one", "running");
    assert_eq!(fleet.status("one")["labels"]["trust"], "untrusted");
    fleet.ask(&["labels", "reset", "one"]).good();
    assert_eq!(fleet.status("one")["labels"]["trust"], "trusted");
    assert!(!fleet.host.path("state/labels/one.json").exists());
    let facts = fleet.host.records_of("labels_reset");
    let [fact] = facts.as_slice() else { panic!("{facts:?}") };
    assert_eq!((&fact["agent_id"], &fact["detail"]), (&"one".into(), &"it had read: untrusted, public".into()));
    reads(&fleet);
    assert_eq!(fleet.ask(&["stop", "one"]).code(), Some(0));
    fleet.phase("one", "stopped");
    fleet.ask(&["labels", "reset", "one"]).good();
    assert_eq!(fleet.status("one")["labels"]["trust"], "trusted", "an agent that does not run");
    let done = fleet.ask(&["labels", "reset", "other"]);
    assert!(done.code() == Some(125) && done.stderr.contains("there is no agent `other`"), "{done:?}");
}

#[test]
fn without_a_fleet_there_is_nothing_to_reload() {
    let host = Host::new();
    for arguments in [&["reload"][..], &["labels"], &["labels", "reset", "one"]] {
        let done = host.nanoclaw(arguments);
        assert_eq!((done.code(), done.text().as_str()), (Some(125), ""), "{arguments:?}");
        assert!(done.stderr.contains("no fleet is running from state directory"), "{done:?}");
    }
}

#[test]
fn a_policy_that_nests_without_end_ends_nothing() {
    let fleet = started(&fleet_of("[kept.example.com]"));
    let condition = ["(".repeat(3000), "true".to_owned(), ")".repeat(3000)].concat();
    fleet
        .host
        .write("p.cedar", format!("forbid(principal, action == Action::\"exec\", resource) when {{ {condition} }};\n"));
    let done = reload(&fleet, &format!("policies: [p.cedar]\n{}", fleet_of("[]")));
    assert!(done.code() == Some(125) && done.stderr.contains("nests deeper"), "{done:?}");
    std::fs::remove_file(fleet.host.path("p.cedar")).unwrap();
    assert_eq!(fleet.host.host_sh("mkfifo p.cedar").code(), Some(0));
    let done = fleet.ask(&["reload"]);
    assert!(done.code() == Some(125) && done.stderr.contains("no regular file"), "{done:?}");
    assert!(resolves(&fleet, "kept.example.com"));
    // As deep as may be, on the stacks that reload and decide.
    let condition = "resource.path != \"x\" && ".repeat(95);
    fleet.host.write(
        "deep.cedar",
        format!("@id(\"deep\") forbid(principal, action == Action::\"exec\", resource) when {{ {condition} true }};\n"),
    );
    let said = reload(&fleet, &format!("policies: [deep.cedar]\n{}", fleet_of("[]"))).good();
    assert!(said.contains("(allow before, deny now)"), "{said}");
    assert_eq!(fleet.ask(&["exec", "one", "--", "id"]).code(), Some(126));
}

#[test]
fn how_people_approve_is_told_and_a_past_decision_is_not_explained_by_what_came_later() {
    let with = |networks: &str, people: u8| format!("approvals: {{ people: {people} }}\n{}", fleet_of(networks));
    let fleet = started(&with("[first.example.com, kept.example.com]", 2));
    assert!(resolves(&fleet, "kept.example.com"));
    // A made-up address does nothing outside, so the answer does not wait for its record.
    let resolved = eventually("the record of the name", || fleet.host.records_of("net_resolve").into_iter().next());
    let seq = resolved["seq"].to_string();
    let explain = || fleet.ask(&["policy", "explain", "-c", "fleet.yaml", "--seq", &seq]).good();
    assert!(!explain().contains("read again since"), "{}", explain());
    let said = reload(&fleet, &with("[other.example.com, another.example.com]", 1)).good();
    assert!(said.contains("  ~ approvals.people: 1 instead of 2\n"), "{said}");
    assert!(explain().contains("// the configuration was read again since, with record "), "{}", explain());
    let said = reload(&fleet, &with("[other.example.com, another.example.com]", 1)).good();
    assert!(said.contains("policies: the same as before"), "{said}");
}

#[test]
fn a_dry_run_says_what_a_reload_would_change_and_changes_nothing() {
    let fleet = started(&fleet_of("[]"));
    fleet.host.write("fleet.yaml", fleet_of("[new.example.com]"));
    let said = fleet.ask(&["reload", "--dry-run"]).good();
    assert!(said.starts_with("generation 2 would be in force, sha256 "), "{said}");
    assert!(said.contains("  one net_connect new.example.com:443  (deny before, allow now)\n"), "{said}");
    assert!(!resolves(&fleet, "new.example.com"));
    assert_eq!(fleet.host.records_of("policy_reloaded").len(), 0);
    fleet.host.write("fleet.yaml", "agents: [\n");
    assert_eq!(fleet.ask(&["reload", "--dry-run"]).code(), Some(125));
}
