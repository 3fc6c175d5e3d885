//! Proofs about policies: what is proven holds, what is refuted is shown, and nothing is proven without a solver.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::{Finished, Host, skip};

const CONFIG: &str = r#"
policies: [./bank.cedar]
rule_sets: [rule-of-two]
groups: [{ name: tellers, budget: { tokens_per_day: 1000000 } }]
models:
  providers: [{ name: main, kind: openai, base_url: "http://127.0.0.1:8080/v1" }]
agents:
  - id: teller
    command: ['true']
    group: tellers
    model: main/m
    allowed_networks: ["**.bank.example:443"]
    tools: { allow: [send_mail, { name: shell, arguments: { command: "git *" } }] }
  - { id: other, command: ['true'], group: tellers, model: main/m, allowed_networks: [pypi.org] }
"#;

const POLICIES: &str = r#"@id("no-push")
forbid(principal in Group::"tellers", action == Action::"tool_call", resource == Tool::"shell")
when { resource.hasTag("command") && resource.getTag("command") like "*push*" };
"#;

/// One with these policies; nothing, loudly, where cvc5 is missing.
fn host() -> Option<Host> {
    let host = Host::new();
    host.write("c.yaml", CONFIG);
    host.write("bank.cedar", POLICIES);
    let solver = host.nanoclaw(["policy", "prove", "-c", "c.yaml", "never any syscall"]);
    if solver.stderr.contains("install the package `cvc5`") {
        skip("cvc5 is not installed");
        return None;
    }
    Some(host)
}

fn prove(host: &Host, statement: &str) -> Finished {
    host.nanoclaw(["policy", "prove", "-c", "c.yaml", statement])
}

#[test]
fn what_is_proven_holds_and_what_is_refuted_is_allowed_by_explain() {
    let Some(host) = host() else { return };
    host.write(
        "statements",
        "# what must stay\n\
         never teller net_connect when !(resource.name like \"*.bank.example\")\n\
         never group:tellers tool_call when resource.name == \"shell\" && resource.hasTag(\"command\") && resource.getTag(\"command\") like \"*push*\"\n\
         never teller tool_call unasked when resource.name == \"send_mail\" && context.session.untrusted && context.session.data >= 2\n\
         never any net_connect when context.class == \"loopback\"\n",
    );
    let done = prove(&host, "statements");
    assert_eq!(done.code(), Some(0), "{done:?}");
    assert!(done.text().ends_with("4 proven, 0 refuted, 0 undecided\n"), "{done:?}");

    for statement in [
        "never group:tellers net_connect when resource.name like \"*.bank.example\" && resource.port == 443",
        "never any tool_call when resource.name == \"shell\" && resource.hasTag(\"command\") && resource.getTag(\"command\") like \"*commit*\"",
        "never teller tool_call when resource.name == \"send_mail\" && context.session.untrusted && context.session.data >= 2",
        "never other exec when resource.path like \"*/sh\"",
    ] {
        let done = prove(&host, statement);
        assert_eq!(done.code(), Some(1), "{statement}: {done:?}");
        let text = done.text();
        let shown = text.lines().find_map(|line| line.split_once(": nanoclaw ")).expect("a question").1;
        let words = shlex(shown);
        let explained = host.nanoclaw(words.iter().map(String::as_str).chain(["-c", "c.yaml"]).collect::<Vec<_>>());
        assert!(explained.good().starts_with("allowed"), "{statement}: {shown}: {explained:?}");
    }
    let done = prove(&host, "never-errors");
    assert!(done.good().ends_with("1 proven, 0 refuted, 0 undecided\n"), "{done:?}");
}

/// The words of a line, as a shell takes them apart.
fn shlex(line: &str) -> Vec<String> {
    let done = std::process::Command::new("sh").args(["-c", &format!("printf '%s\\n' {line}")]).output().unwrap();
    String::from_utf8(done.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn nothing_is_proven_without_a_solver_that_answers() {
    let host = Host::new();
    host.write("c.yaml", CONFIG);
    host.write("bank.cedar", POLICIES);
    let statement = "never teller net_connect when resource.port == 22";
    let with =
        |arguments: &[&str]| host.nanoclaw([&["policy", "prove", "-c", "c.yaml"], arguments, &[statement]].concat());
    let done = with(&["--solver", "/nowhere/cvc5"]);
    assert_eq!(done.code(), Some(125), "{done:?}");
    assert!(done.stderr.contains("`/nowhere/cvc5`") && done.stderr.contains("install the package `cvc5`"), "{done:?}");
    assert_eq!(done.text(), "");

    host.write("silent", "#!/bin/sh\nexec sleep 60\n");
    host.write("unsure", "#!/bin/sh\nwhile read -r line; do case $line in *check-sat*) echo unknown;; esac; done\n");
    for program in ["silent", "unsure"] {
        let path = host.path(program);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let done = with(&["--solver", path.to_str().unwrap(), "--limit", "1s"]);
        assert_eq!(done.code(), Some(2), "{done:?}");
        assert!(done.text().starts_with("undecided: ") && done.text().contains("0 proven"), "{done:?}");
    }
}

#[test]
fn a_statement_that_cannot_be_meant_is_named_with_its_place() {
    let Some(host) = host() else { return };
    for (statement, expected) in [
        ("never teller fly", "t:2: `fly` is no action of an agent"),
        ("never nobody exec", "t:2: the configuration has no agent `nobody`"),
        ("never group:x exec", "t:2: no agent of the configuration is in group `x`"),
        ("never teller exec when true; permit(principal, action, resource)", "t:2: `true; permit"),
    ] {
        host.write("t", format!("# statements\n{statement}\n"));
        let done = prove(&host, "t");
        assert_eq!(done.code(), Some(125), "{done:?}");
        assert!(done.stderr.contains(expected), "{done:?}");
    }
    let done = prove(&host, "never teller exec when resource.color == \"red\"");
    assert_eq!(done.code(), Some(125), "{done:?}");
    assert!(done.stderr.contains("`color`"), "{done:?}");
    let done = prove(&host, "never teller net_connect when resource.port > 70000");
    assert!(done.good().contains("there is no such request at all"), "{done:?}");
}
