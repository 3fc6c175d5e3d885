//! What people type at `nanoclaw policy`: small mistakes, tables from a pipe, and verdicts that nobody reads.

use std::io::pipe;
use std::process::Stdio;

use crate::support::{Host, finish};

const CONFIG: &str = "agents: [{ id: teller, command: ['true'], allowed_networks: ['api.bank.com:443'] }]\n";

fn host() -> Host {
    let host = Host::new();
    host.write("nanoclaw-config.yaml", CONFIG);
    host
}

#[test]
fn policy_check_is_config_check() {
    let host = host();
    for words in [&["policy", "check"][..], &["policy", "check", "-c", "nanoclaw-config.yaml"], &["config", "check"]] {
        assert_eq!(host.nanoclaw(words).good(), "`nanoclaw-config.yaml` is valid\n", "{words:?}");
    }
    host.write("wrong.yaml", "policies: [./p.cedar]\n");
    host.write("p.cedar", "permit(principal, action == Action::\"fly\", resource);\n");
    let [policy, config] = ["policy", "config"].map(|command| host.nanoclaw([command, "check", "wrong.yaml"]));
    assert_eq!((policy.code(), &policy.stderr), (Some(125), &config.stderr));
    assert!(policy.stderr.contains("p.cedar:1:"), "{policy:?}");
}

#[test]
fn what_expects_nothing_is_a_mistake_and_no_success() {
    let host = host();
    let fails = |words: &[&str], why: &str| {
        let done = host.nanoclaw([&["policy"], words].concat());
        assert_eq!((done.code(), done.text().as_str()), (Some(125), ""), "{words:?}");
        assert!(done.stderr.contains(why), "{}", done.stderr);
    };
    for empty in ["", "# allow teller exec /bin/true\n\n"] {
        host.write("empty", empty);
        fails(&["test", "empty"], "`empty` expects nothing; write lines such as `allow analyst tool_call shell`");
        fails(&["prove", "empty"], "`empty` has no statement; write a line for each");
    }
    fails(&["test", "gone"], "there is no file `gone`; write one, or name the one that is meant");
    fails(&["replay", "teller", "gone"], "there is no file `gone`");
    fails(&["prove", "nver teller exec"], "`nver teller exec` is no statement");
    fails(&["explain", "teller"], "[AGENT] [ACTION] [RESOURCE]");
}

#[test]
fn a_table_may_come_from_a_pipe() {
    let host = host();
    let test = |table: &[u8]| finish(host.prepare(["policy", "test", "-"]), table);
    assert_eq!(test(b"deny teller net_connect evil.test:443\n").good(), "1 as expected, 0 not\n");
    let wrong = test(b"\nalow teller net_connect evil.test:443\n");
    assert!(wrong.code() == Some(125) && wrong.stderr.contains("-:2: `alow` is neither"), "{wrong:?}");
}

#[test]
fn a_verdict_stands_though_nobody_reads_it() {
    let host = host();
    host.write("more.yaml", CONFIG.replace("api.bank.com:443", "evil.test:443"));
    host.write("table", "allow teller net_connect evil.test:443\n");
    let unread = |words: &[&str]| {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        host.prepare(words).stdout(writer).stderr(Stdio::null()).status().unwrap().code()
    };
    assert_eq!(unread(&["policy", "explain", "teller", "net_connect", "evil.test:443"]), Some(1));
    assert_eq!(unread(&["policy", "test", "table"]), Some(1));
    assert_eq!(unread(&["policy", "diff", "nanoclaw-config.yaml", "more.yaml"]), Some(1));
    assert_eq!(unread(&["policy", "show"]), Some(0));
    assert_eq!(unread(&["api", "schema"]), Some(0));
}

#[test]
fn a_reader_of_many_replayed_sessions_may_leave_early() {
    let host = host();
    let session = r#"{"id": "1", "user": "hello", "steps": [{"call": {"name": "pay"}, "result": "done"}]}"#;
    host.write("sessions", format!("{session}\n").repeat(2_000));
    let script = r#"("$NANOCLAW" policy replay teller sessions; echo "status $?" >&2) | head -n 1"#;
    let done = host.host_sh(script);
    assert_eq!((done.text().lines().count(), done.stderr.as_str()), (1, "status 0\n"));
}

#[test]
fn that_the_walls_of_a_cell_were_not_asked_is_said() {
    let host = host();
    for (action, resource, wall) in [("file_write", "/etc/passwd", "write"), ("exec", "/tmp/x", "run")] {
        let said = host.nanoclaw(["policy", "explain", "teller", action, resource]).good();
        let expected = format!("policies were asked, not the walls of the cell: what it can {wall} is also for");
        assert!(said.starts_with("allowed\n") && said.contains(&expected), "{said}");
    }
    let said = host.nanoclaw(["policy", "explain", "teller", "net_connect", "api.bank.com:443"]).good();
    assert!(!said.contains("walls"), "{said}");
}
