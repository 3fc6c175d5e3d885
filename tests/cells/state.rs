//! The state directory, and several runs at once on one log.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::Stdio;

use crate::support::{Background, Host, NOBODY};

fn mode(host: &Host, name: &str) -> u32 {
    fs::metadata(host.path(name)).unwrap().mode() & 0o7777
}

#[test]
fn state_is_private_to_the_user() {
    let host = Host::new();
    // An open umask must not open it.
    let done = host.host_sh(r#"umask 0; exec "$NANOCLAW" run -- true"#);
    assert_eq!(done.code(), Some(0), "{done:?}");
    assert_eq!(mode(&host, "state"), 0o700);
    assert_eq!(mode(&host, "state/audit"), 0o700);
    let (mut places, mut files) = (vec![host.path("state/audit"), host.path("state/keys")], 0);
    while let Some(place) = places.pop() {
        for entry in fs::read_dir(place).unwrap().flatten() {
            let meta = entry.metadata().unwrap();
            let expected = if meta.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(meta.mode() & 0o7777, expected, "{:?}", entry.path());
            if meta.is_dir() { places.push(entry.path()) } else { files += 1 }
        }
    }
    assert!(files > 6, "{files}");
}

#[test]
fn a_state_directory_that_others_can_open_is_refused() {
    let host = Host::new();
    host.directory("state");
    for open in [0o755, 0o710, 0o701, 0o770] {
        fs::set_permissions(host.path("state"), fs::Permissions::from_mode(open)).unwrap();
        let done = host.sh(&[], "echo ran");
        assert_eq!((done.code(), done.text().as_str()), (Some(125), ""), "{open:o}");
        let expected = format!(
            "nanoclaw: state directory `{}` is open to other users; `chmod 700` it, or choose another with `--state-dir DIR`\n",
            host.at("state")
        );
        assert_eq!(done.stderr, expected);
    }
    fs::set_permissions(host.path("state"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(host.sh(&[], "echo ran").good(), "ran\n");
}

#[test]
fn a_state_directory_of_somebody_else_is_refused() {
    let Some(host) = Host::root() else { return };
    host.directory("state");
    fs::set_permissions(host.path("state"), fs::Permissions::from_mode(0o700)).unwrap();
    chown(host.path("state"), Some(NOBODY), Some(NOBODY)).unwrap();
    let done = host.sh(&[], "echo ran");
    assert_eq!((done.code(), done.text().as_str()), (Some(125), ""));
    assert!(done.stderr.contains("belongs to another user"), "{}", done.stderr);
}

#[test]
fn a_state_directory_that_is_a_file_is_refused() {
    let host = Host::new();
    host.write("state", "");
    let done = host.sh(&[], "echo ran");
    assert_eq!((done.code(), done.text().as_str()), (Some(125), ""), "{done:?}");
    assert!(done.stderr.contains(&format!("state directory `{}`", host.at("state"))), "{}", done.stderr);
}

#[test]
fn the_option_wins_over_the_variable() {
    let host = Host::new();
    for arguments in [["--state-dir", "chosen", "run"], ["run", "--state-dir", "chosen"]] {
        let done = host.nanoclaw(arguments.iter().chain(&["--", "true"]));
        assert_eq!(done.code(), Some(0), "{done:?}");
        assert!(host.path("chosen/audit/audit.jsonl").is_file() && !host.path("state").exists());
        fs::remove_dir_all(host.path("chosen")).unwrap();
    }
    assert_eq!(host.sh(&[], "true").code(), Some(0));
    assert!(host.path("state/audit/audit.jsonl").is_file());
}

#[test]
fn without_either_a_user_has_it_in_his_home() {
    let host = Host::rootless();
    let mut command = host.prepare(["run", "--", "true"]);
    command.env_remove("NANOCLAW_STATE_DIR");
    assert_eq!(crate::support::finish(command, b"").code(), Some(0));
    assert!(host.path(".local/state/nanoclaw/audit/audit.jsonl").is_file());
    let mut command = host.prepare(["run", "--", "true"]);
    command.env_remove("NANOCLAW_STATE_DIR").env("XDG_STATE_HOME", host.path("xdg"));
    assert_eq!(crate::support::finish(command, b"").code(), Some(0));
    assert!(host.path("xdg/nanoclaw/audit/audit.jsonl").is_file());
    assert_eq!(mode(&host, "xdg/nanoclaw"), 0o700);
    let mut command = host.prepare(["run", "--", "true"]);
    command.env_remove("NANOCLAW_STATE_DIR").env_remove("HOME");
    let done = crate::support::finish(command, b"");
    assert_eq!(done.code(), Some(125), "{done:?}");
    assert!(done.stderr.contains("no place for NanoClaw's state"), "{}", done.stderr);
}

#[test]
fn several_runs_at_once_share_one_log_without_gaps() {
    let host = Host::new();
    let runs: Vec<Background> = (0..8)
        .map(|n| {
            let script = "for i in 1 2 3 4 5; do touch /etc/x 2>/dev/null; done; exit 0";
            Background::start(
                host.prepare(["run", "--name", &format!("run-{n}"), "--", "sh", "-c", script]),
                Stdio::null(),
            )
        })
        .collect();
    for run in runs {
        let done = run.finish();
        assert_eq!(done.code(), Some(0), "{done:?}");
    }
    let records = host.records();
    let seq: Vec<u64> = records.iter().map(|record| record["seq"].as_u64().unwrap()).collect();
    let first = seq[0];
    assert!(seq.iter().zip(first..).all(|(seq, expected)| *seq == expected), "{seq:?}");
    for n in 0..8 {
        let own: Vec<_> = records.iter().filter(|record| record["agent_id"] == format!("run-{n}")).collect();
        let denied = own.iter().filter(|r| r["result"] == "denied" && r["path"] == "/etc/x").count();
        assert_eq!(denied, 5, "run-{n}: {own:#?}");
        assert_eq!(own.first().map(|r| (&r["action"], &r["result"])), Some((&"cell_launch".into(), &"allowed".into())));
        assert_eq!(own.last().map(|r| (&r["action"], &r["result"])), Some((&"cell_launch".into(), &"done".into())));
        let sessions: std::collections::BTreeSet<String> = own.iter().map(|r| r["session_id"].to_string()).collect();
        assert_eq!(sessions.len(), 1, "{sessions:?}");
    }
    let tail = host.nanoclaw(["audit", "tail", "--json", "--agent", "run-3", "--result", "denied"]).good();
    assert_eq!(tail.lines().count(), 5, "{tail}");
}

#[test]
fn a_log_that_cannot_be_written_keeps_cells_from_starting() {
    let Some(host) = Host::root() else { return };
    host.directory("state");
    fs::set_permissions(host.path("state"), fs::Permissions::from_mode(0o700)).unwrap();
    // A directory where the log should be.
    fs::create_dir_all(host.path("state/audit/audit.jsonl")).unwrap();
    let done = host.sh(&[], "echo ran");
    assert_eq!((done.code(), done.text().as_str()), (Some(125), ""), "{done:?}");
}
