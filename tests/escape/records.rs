//! What the audit log says about attacks.

use std::fs;

use nanoclaw_sandbox::attack::{HostUser, Mode};
use serde_json::Value;

use crate::range::Range;

/// Runs attacks and gives the log of the range.
fn log_after(range: &Range, attacks: &[&str]) -> Vec<Value> {
    let shots = range.attack(attacks);
    assert_eq!(shots.summary.stopped, attacks.len(), "{:?}\n{}", shots.reports, shots.stderr);
    let text = fs::read_to_string(range.path("state/audit/audit.jsonl")).expect("an audit log");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn text<'a>(record: &'a Value, key: &str) -> &'a str {
    record.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// One of the records is a denial of this action with this code, and its place (path, resource or detail) holds this.
#[track_caller]
fn assert_denied(log: &[Value], action: &str, code: &str, place: &str) {
    let denials: Vec<&Value> = log.iter().filter(|record| text(record, "result") == "denied").collect();
    let found = denials.iter().find(|record| {
        text(record, "action") == action
            && text(record, "code") == code
            && ["path", "resource", "detail"].iter().any(|key| text(record, key).contains(place))
    });
    let Some(record) = found else {
        let of_action: Vec<_> = denials.iter().filter(|record| text(record, "action") == action).collect();
        panic!("no denied {action} with code {code} and {place}; of this action there are {of_action:#?}");
    };
    assert_eq!(text(record, "agent_id"), "attacked");
    assert!(!text(record, "timestamp").is_empty());
    assert!(!text(record, "reason").is_empty(), "{record}");
    assert!(["medium", "high"].contains(&text(record, "severity")), "{record}");
}

fn attacks_are_on_record(user: HostUser) {
    let Some(range) = Range::new(user, Mode::Restricted) else { return };
    let log = log_after(
        &range,
        &[
            "create-in-etc",
            "truncate-read-only-file",
            "exec-from-workspace",
            "connect-to-other-host",
            "tcp-without-proxy",
            "name-as-message",
            "udp-to-the-internet",
            "ptrace-sibling",
            "netlink-sockets",
            "mount",
            "push-into-terminal",
            "unshare-user-namespace",
        ],
    );
    assert_denied(&log, "file_write", "read-only", "/etc/nanoclaw-attack");
    assert_denied(&log, "file_write", "read-only", "/ro/known");
    assert_denied(&log, "exec", "exec-not-allowed", "/workspace/.attack-program-");
    assert_denied(&log, "net_resolve", "host-not-allowed", "attacker.example");
    assert_denied(&log, "net_connect", "host-not-allowed", "93.184.216.34:80");
    assert_denied(&log, "net_resolve", "host-not-allowed", "exfiltration.example");
    assert_denied(&log, "net_datagram", "datagram-not-allowed", "8.8.8.8:443");
    assert_denied(&log, "syscall", "syscall-not-allowed", "ptrace");
    assert_denied(&log, "syscall", "syscall-not-allowed", "AF_NETLINK");
    assert_denied(&log, "syscall", "syscall-not-allowed", "mount");
    assert_denied(&log, "syscall", "syscall-not-allowed", "TIOCSTI");
    assert_denied(&log, "syscall", "syscall-not-allowed", "unshare");
}

#[test]
fn attacks_are_on_record_as_root() {
    attacks_are_on_record(HostUser::Root);
}

#[test]
fn attacks_are_on_record_rootless() {
    attacks_are_on_record(HostUser::Rootless);
}

#[test]
fn the_log_is_in_order_and_private() {
    use std::os::unix::fs::PermissionsExt;
    let Some(range) = Range::new(HostUser::Root, Mode::Restricted) else { return };
    let log = log_after(&range, &["create-in-etc", "mount", "name-as-message"]);
    let numbers: Vec<u64> = log.iter().filter_map(|record| record.get("seq")?.as_u64()).collect();
    assert_eq!(numbers.len(), log.len(), "every record has a number");
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    let mode = fs::metadata(range.path("state/audit/audit.jsonl")).expect("a log").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
