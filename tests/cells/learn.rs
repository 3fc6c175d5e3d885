//! `nanoclaw policy diff` and `nanoclaw policy learn`.

use crate::support::{Host, finish, skip};

const BEFORE: &str = "agents: [{ id: a, command: [x], allowed_networks: [api.example.com] }]\n";

#[test]
fn a_difference_ends_as_diff_does_and_only_for_what_is_newly_allowed() {
    let host = Host::new();
    host.write("old.yaml", BEFORE);
    host.write("less.yaml", "agents: [{ id: a, command: [x], allowed_networks: [] }]\n");
    let same = host.nanoclaw(["policy", "diff", "old.yaml", "old.yaml"]);
    assert_eq!((same.code(), same.text().as_str()), (Some(0), "policies: the same as before\n"));
    let less = host.nanoclaw(["policy", "diff", "old.yaml", "less.yaml"]);
    assert_eq!(less.code(), Some(0), "{less:?}");
    assert!(less.text().contains("  - agents.a.allowed_networks[0]: permit("), "{less:?}");
    if std::process::Command::new("cvc5").arg("--version").output().is_ok() {
        assert!(less.text().ends_with("proven: nothing is newly allowed\n"), "{less:?}");
    } else {
        skip("cvc5 is not installed");
    }
    let mut without = host.prepare(["policy", "diff", "old.yaml", "less.yaml"]);
    without.env("CVC5", "/nowhere/cvc5");
    let without = finish(without, b"");
    assert_eq!(without.code(), Some(0), "{without:?}");
    assert!(without.text().contains("not proven: `/nowhere/cvc5` cannot be run"), "{without:?}");
    let more = host.nanoclaw(["policy", "diff", "less.yaml", "old.yaml"]);
    assert_eq!(more.code(), Some(1), "{more:?}");
    assert!(more.text().contains("newly allowed:\n"), "{more:?}");
    let questions: Vec<String> = more
        .text()
        .lines()
        .filter(|line| line.ends_with("(deny before, allow now)"))
        .map(|line| line.trim().split("  (").next().unwrap().to_owned())
        .collect();
    assert!(questions.contains(&"a net_connect api.example.com:443".to_owned()), "{questions:?}");
    for question in questions {
        for (file, status) in [("less.yaml", 1), ("old.yaml", 0)] {
            let done = host.host_sh(&format!("\"$NANOCLAW\" policy explain -c {file} {question}"));
            assert_eq!(done.code(), Some(status), "{question}: {done:?}");
        }
    }
    let json: serde_json::Value =
        serde_json::from_str(&host.nanoclaw(["policy", "diff", "--json", "less.yaml", "old.yaml"]).text()).unwrap();
    assert_eq!(json["policies"][0]["became"], "added");
    host.write("bad.yaml", "agents: 1\n");
    let bad = host.nanoclaw(["policy", "diff", "old.yaml", "bad.yaml"]);
    assert!(bad.code() == Some(125) && bad.stderr.contains("bad.yaml:1:9"), "{bad:?}");
}

#[test]
fn rules_are_learnt_from_what_a_cell_was_refused_and_hold_only_when_written_down() {
    let host = Host::new();
    host.write("old.yaml", BEFORE);
    let script = "getent hosts docs.example.com; getent hosts docs.example.com; touch /data/out/x /etc/x
/usr/bin/python3 -c 'import socket; s = socket.create_connection((\"93.184.216.34\", 8443), 5)'; true";
    let run = |config: &str| {
        host.nanoclaw(["run", "-c", config, "--name", "a", "--", "sh", "-c", script]).good();
        host.nanoclaw(["policy", "learn", "-c", "old.yaml", "a"]).good()
    };
    let text = run("old.yaml");
    for line in [
        "agents:\n  - id: a\n    allowed_networks:\n      - \"api.example.com\"\n",
        "      - \"93.184.216.34:8443\"  # refused ",
        "      - \"docs.example.com:443\"  # refused ",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let list: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("      - "))
        .map(|line| line.split("  #").next().unwrap())
        .collect();
    assert_eq!(list.len(), 3, "{text}");
    assert!(text.contains("#   - { source: HOST_DIRECTORY, target: \"/data/out\", mode: rw }  # refused "), "{text}");
    host.write("new.yaml", format!("agents: [{{ id: a, command: [x], allowed_networks: [{}] }}]\n", list.join(", ")));
    let explain = |config: &str, place: &str| {
        host.nanoclaw(["policy", "explain", "-c", config, "a", "net_connect", place]).code()
    };
    for place in ["93.184.216.34:8443", "docs.example.com:443"] {
        assert_eq!((explain("old.yaml", place), explain("new.yaml", place)), (Some(1), Some(0)), "{place}");
    }
    let diff = host.nanoclaw(["policy", "diff", "old.yaml", "new.yaml"]).text();
    let turned: Vec<&str> = diff.lines().filter(|line| line.ends_with("allow now)")).collect();
    assert!(
        turned.iter().all(|line| line.contains("93.184.216.34:8443") || line.contains("docs.example.com")),
        "{diff}"
    );
    let refusals = host.records().iter().filter(|record| record["result"] == "denied").count();
    assert!(refusals > 0, "what was learnt from was refused all the same");
    let last = host.records().last().unwrap()["seq"].as_u64().unwrap();
    let later = host.nanoclaw(["policy", "learn", "-c", "old.yaml", "a", "--since", &(last + 1).to_string()]).good();
    assert_eq!(later, "# Agent a was refused nothing that could be learnt from.\n");
    let only =
        host.nanoclaw(["policy", "learn", "-c", "old.yaml", "a", "--kinds", "tool_call", "-o", "out.yaml"]).good();
    assert_eq!((only.as_str(), host.read("out.yaml").lines().count()), ("", 1));
    let over = host.nanoclaw(["policy", "learn", "-c", "old.yaml", "a", "-o", "old.yaml"]);
    assert_eq!(over.code(), Some(125), "{over:?}");
    assert!(over.stderr.contains("`old.yaml` is there already; name another file"), "{}", over.stderr);
}

#[test]
fn a_difference_says_what_else_differs_and_proves_nothing_about_it() {
    let host = Host::new();
    let config = |more: &str, keys: &str| {
        format!(
            "policies: [p.cedar]\n{more}models: {{ providers: [{{ name: p, kind: openai, base_url: \"https://models.example/v1\" }}], aliases: {{ fast: [p/m] }} }}\n\
             agents: [{{ id: a, command: [x], model: fast{keys} }}]\n"
        )
    };
    host.write("p.cedar", "");
    host.write("old.yaml", config("approvals: { people: 2 }\n", ""));
    let diff = |text: &str| {
        host.write("new.yaml", text);
        let json: serde_json::Value =
            serde_json::from_str(&host.nanoclaw(["policy", "diff", "--json", "old.yaml", "new.yaml"]).text()).unwrap();
        (host.nanoclaw(["policy", "diff", "old.yaml", "new.yaml"]), json["proof"]["proven"] == true)
    };
    let (same, proven) = diff(&config("approvals: { people: 2 }\n", ""));
    assert_eq!((same.good().as_str(), proven), ("policies: the same as before\n", true));
    let (fewer, proven) = diff(&config("", ""));
    assert_eq!((fewer.code(), proven), (Some(1), false), "{fewer:?}");
    assert!(fewer.text().contains("  ~ approvals.people: 1 instead of 2\n"), "{fewer:?}");
    host.directory("work");
    let (beside, proven) = diff(&config(
        "sandbox_mode: standard\napprovals: { people: 2 }\n",
        ", mounts: [{ source: work, target: /data, mode: rw }]",
    ));
    assert!(proven, "policies are the same: {beside:?}");
    let expected = "beside what policy decides:\n  agent a: mounts\n  the fleet: sandbox_mode\n";
    assert!(beside.good().contains(expected), "{beside:?}");
    if std::process::Command::new("cvc5").arg("--version").output().is_err() {
        return skip("cvc5 is not installed");
    }
    let (moved, proven) = diff(&config("approvals: { people: 2 }\n", "").replace("[p/m]", "[p/n]"));
    assert!(!proven && moved.text().contains("not proven: a, model_call: alias `fast`"), "{moved:?}");
    host.write("q.cedar", "permit(principal is Operator, action == Action::\"approve\", resource);\n");
    let (people, proven) = diff(&config("approvals: { people: 2 }\n", "").replace("p.cedar", "q.cedar"));
    assert!(!proven && people.text().contains("not proven: what people may do"), "{people:?}");
    assert!(!people.text().contains("proven: nothing"), "{people:?}");
}
