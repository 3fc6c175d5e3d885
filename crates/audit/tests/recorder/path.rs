//! From a verdict to a warrant, and what stands in the log.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nanoclaw_audit::{Counters, Exit, Fact, Flood, LimitKind, Note, Options, Outcome, Recorded, Recorder};
use nanoclaw_identity::{Caller, identify_operator};
use nanoclaw_policy::Verdict;
use nanoclaw_request::{Action, Arrived, Door, Manage, Refusal, RefusalCode, Stage, Syscall};
use rustix::fs::{FlockOperation, flock};

use crate::support::{
    SESSION, ask, assert_gapless, connect, id, launch, open, operate, options, record_each, records, refused, warrant,
    write_to,
};

/// Records that fit into the queue.
const CAPACITY: u64 = 1024;

#[test]
fn the_promised_example_stands_in_the_log_field_for_field() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = open(dir.path());
    let at = "2026-03-21T20:15:30.123987Z".parse().unwrap();
    let arrived = Arrived { door: Door::Kernel, at, body: write_to("/tmp/test.txt", Some(30)) };
    let Recorded::Stop(declined) = recorder.record_blocking(ask("nano-001", arrived)).unwrap() else {
        panic!("a refused write was let through");
    };
    assert_eq!(declined.refusal().code, RefusalCode::ReadOnly);
    recorder.flush_blocking().unwrap();
    assert_eq!(
        fs::read_to_string(dir.path().join("audit.jsonl")).unwrap(),
        concat!(
            r#"{"timestamp":"2026-03-21T20:15:30.123Z","agent_id":"nano-001","action":"file_write","#,
            r#""path":"/tmp/test.txt","result":"denied","reason":"Security policy violation: "#,
            r#"open of /tmp/test.txt is outside the places that this cell may write","#,
            r#""seq":1,"session_id":"07070707070707070707070707070707","door":"kernel","stage":"authorise","#,
            r#""code":"read-only","policy_ids":["cell.not-writable"],"help":"to allow it, add "#,
            r#"`mounts: [{ source: HOST_DIR, target: /tmp, mode: rw }]` to agent nano-001","#,
            r#""severity":"medium","errno":30,"detail":"open"}"#,
            "\n"
        )
    );
}

#[test]
fn an_allowed_connection_and_its_end_stand_in_the_log_field_for_field() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = open(dir.path());
    let (action, ticket) = warrant(&recorder, connect("nano-001", 8080)).spend();
    assert_eq!(action.name(), "net_connect");
    let outcome = Outcome {
        model: None,
        bytes_sent: Some(120),
        bytes_received: Some(4096),
        peer: Some("127.0.0.1:8080".parse().unwrap()),
        ..Outcome::default()
    };
    recorder.outcome_blocking(ticket, outcome).unwrap();
    recorder.flush_blocking().unwrap();
    let mut text = fs::read_to_string(dir.path().join("audit.jsonl")).unwrap();
    for record in records(dir.path()) {
        text = text.replace(record["timestamp"].as_str().unwrap(), "NOW");
    }
    assert_eq!(
        text,
        concat!(
            r#"{"timestamp":"NOW","agent_id":"nano-001","action":"net_connect","result":"allowed","seq":1,"#,
            r#""session_id":"07070707070707070707070707070707","door":"egress","resource":"127.0.0.1:8080","#,
            r#""policy_ids":["allowed_networks[0]"],"severity":"informational","via":"transparent","#,
            r#""addresses":["127.0.0.1"]}"#,
            "\n",
            r#"{"timestamp":"NOW","agent_id":"nano-001","action":"net_connect","result":"done","seq":2,"request_seq":1,"#,
            r#""session_id":"07070707070707070707070707070707","door":"egress","resource":"127.0.0.1:8080","#,
            r#""severity":"informational","bytes_sent":120,"bytes_received":4096,"peer":"127.0.0.1:8080"}"#,
            "\n"
        )
    );
}

#[test]
fn a_launch_is_recorded_under_the_agent_that_it_starts() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = open(dir.path());
    let arrived = Arrived::now(Door::Launcher, launch("nano-001", &["sh", "-c", "exit 3"]));
    let warrant = warrant(&recorder, operate("nano-001", 1000, arrived));
    assert!(matches!(warrant.caller(), Caller::Operator(operator) if operator.name == "uid:1000"));
    let (_, ticket) = warrant.spend();
    recorder.outcome_blocking(ticket, Outcome { exit: Some(Exit::Code(3)), ..Outcome::default() }).unwrap();
    recorder.flush_blocking().unwrap();
    let [allowed, done] = &records(dir.path())[..] else { panic!("two records") };
    assert_eq!(allowed["agent_id"], "nano-001");
    assert_eq!(allowed["session_id"], SESSION.to_string());
    assert_eq!(allowed["resource"], "sh -c 'exit 3'");
    assert_eq!(allowed["detail"], "restricted, host root");
    assert_eq!(allowed["policy_ids"], serde_json::json!(["role.admin"]));
    assert_eq!((&done["result"], &done["exit_code"], &done["request_seq"]), (&"done".into(), &3.into(), &1.into()));
    assert_eq!(recorder.counters(&id("nano-001")), Counters { allowed: 1, refused: 0 });
}

#[test]
fn a_consequential_record_is_in_the_file_before_its_warrant_exists() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = open(dir.path());
    for n in 1..=20 {
        let warrant = warrant(&recorder, connect("a", 8080));
        assert_eq!(records(dir.path()).len(), n);
        drop(warrant);
    }
}

#[test]
fn no_warrant_is_made_while_the_disk_is_busy() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = open(dir.path());
    // Another process in the middle of its batch.
    let busy = File::open(dir.path().join("lock")).unwrap();
    flock(&busy, FlockOperation::LockExclusive).unwrap();
    let early = Arc::new(AtomicBool::new(false));
    let door = std::thread::spawn({
        let (recorder, early) = (recorder.clone(), Arc::clone(&early));
        move || {
            let warrant = warrant(&recorder, connect("a", 8080));
            early.store(true, Ordering::SeqCst);
            drop(warrant);
        }
    });
    // A refusal does not wait for the disk.
    let _ = recorder.record_blocking(refused("a", "/etc/x")).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    assert!(!early.load(Ordering::SeqCst), "a warrant came before its record");
    flock(&busy, FlockOperation::Unlock).unwrap();
    door.join().unwrap();
    assert!(early.load(Ordering::SeqCst));
}

#[test]
fn a_full_queue_slows_the_doors_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = open(dir.path());
    let busy = File::open(dir.path().join("lock")).unwrap();
    flock(&busy, FlockOperation::LockExclusive).unwrap();
    let door = std::thread::spawn({
        let recorder = recorder.clone();
        move || {
            (0..3 * CAPACITY).for_each(|n| drop(recorder.record_blocking(refused("a", &format!("/x/{n}"))).unwrap()))
        }
    });
    while recorder.counters(&id("a")).refused < CAPACITY {
        std::thread::yield_now();
    }
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(recorder.counters(&id("a")).refused, CAPACITY, "the queue has no bound");
    flock(&busy, FlockOperation::Unlock).unwrap();
    door.join().unwrap();
    recorder.flush_blocking().unwrap();
    let records = records(dir.path());
    assert_gapless(&records);
    let paths: Vec<_> = records.iter().map(|record| record["path"].as_str().unwrap().to_owned()).collect();
    assert_eq!(paths, (0..3 * CAPACITY).map(|n| format!("/x/{n}")).collect::<Vec<_>>());
}

#[test]
fn the_record_of_an_outcome_has_the_severity_of_its_code() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = open(dir.path());
    for code in [RefusalCode::ContentRefused, RefusalCode::Unreachable] {
        let (_, ticket) = warrant(&recorder, connect("a", 8080)).spend();
        let error = Refusal { stage: Stage::Act, code, reason: "x".into(), help: String::new() };
        recorder.outcome_blocking(ticket, Outcome::failed(error)).unwrap();
    }
    recorder.flush_blocking().unwrap();
    let failed: Vec<_> = records(dir.path()).into_iter().filter(|record| record["result"] == "failed").collect();
    let severities: Vec<_> = failed.iter().map(|record| [&record["code"], &record["severity"]]).collect();
    assert_eq!(severities, [["content-refused", "high"], ["unreachable", "low"]]);
}

#[test]
fn what_ordinary_programs_try_is_of_low_severity_and_other_calls_of_high() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = open(dir.path());
    for (name, detail) in
        [("socket", "AF_NETLINK SOCK_RAW protocol 0"), ("io_uring_setup", ""), ("io_uring_enter", ""), ("bpf", "0x0")]
    {
        let call = Action::Syscall(Syscall { name: name.into(), detail: detail.into() });
        let _ = recorder.record_blocking(ask("a", Arrived::now(Door::Kernel, call))).unwrap();
    }
    recorder.flush_blocking().unwrap();
    let severities: Vec<_> = records(dir.path()).into_iter().map(|record| record["severity"].clone()).collect();
    assert_eq!(severities, ["low", "low", "high", "high"]);
}

#[tokio::test]
async fn records_stand_in_the_order_in_which_they_were_made() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = open(dir.path());
    let _ = recorder.record(refused("a", "/etc/1")).await.unwrap();
    let Recorded::Proceed(inside) =
        recorder.record(ask("a", Arrived::now(Door::Kernel, write_to("/workspace/2", None)))).await.unwrap()
    else {
        panic!("a write to a writable place was refused");
    };
    let (_, ticket) = inside.spend();
    let unreachable = Refusal {
        stage: Stage::Act,
        code: RefusalCode::Unreachable,
        reason: "nobody answers".into(),
        help: String::new(),
    };
    recorder.outcome(ticket, Outcome::failed(unreachable)).await.unwrap();
    recorder
        .note(Note::of_cell(id("a"), SESSION, Fact::LimitReached { limit: LimitKind::Memory, detail: "64 MiB".into() }))
        .await
        .unwrap();
    recorder.note(Note::of_cell(id("a"), SESSION, Fact::CellExited(Exit::Signal(9)))).await.unwrap();
    recorder.note(Note::of_control(Fact::ControlStopped)).await.unwrap();
    recorder.flush().await.unwrap();
    let records = records(dir.path());
    assert_gapless(&records);
    let seen: Vec<_> = records
        .iter()
        .map(|r| [&r["agent_id"], &r["action"], &r["result"]].map(|value| value.as_str().unwrap().to_owned()).join(" "))
        .collect();
    assert_eq!(
        seen,
        [
            "a file_write denied",
            "a file_write allowed",
            "a file_write failed",
            "a limit_reached noted",
            "a cell_exited noted",
            "system:nanoclaw control_stopped noted",
        ]
    );
    // The number of a queued record is known when its outcome is written.
    assert_eq!((&records[2]["request_seq"], &records[2]["reason"]), (&2.into(), &"nobody answers".into()));
    assert_eq!((&records[3]["resource"], &records[3]["severity"]), (&"memory".into(), &"medium".into()));
    assert_eq!(records[4]["signal"], 9);
}

#[test]
fn what_an_operator_does_stands_under_the_operator() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = open(dir.path());
    let exec = Manage::Exec { cell: "nano-001".into(), command: vec!["cat".into(), "/data/a b".into()] };
    let arrived = Arrived::now(Door::Control, Action::Manage(exec));
    let _ = recorder.record_blocking(operate("nano-001", 0, arrived)).unwrap();
    let record = &records(dir.path())[0];
    assert_eq!((&record["agent_id"], &record["resource"]), (&"operator:0".into(), &"nano-001".into()));
    assert_eq!(record["detail"], "exec cat '/data/a b'");
    assert_eq!((record.get("session_id"), &record["door"]), (None, &"control".into()));
}

#[test]
fn a_caller_who_cannot_be_identified_is_on_record() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = open(dir.path());
    let arrived = Arrived::now(Door::Control, Action::Manage(Manage::Down));
    let refusal = identify_operator(arrived, 1001, 1000).unwrap_err();
    recorder
        .note_blocking(Note::of_control(Fact::CallerRefused {
            door: Door::Control,
            who: Some("uid:1001".to_owned()),
            refusal,
        }))
        .unwrap();
    recorder.flush_blocking().unwrap();
    let record = &records(dir.path())[0];
    assert_eq!(record["agent_id"], "operator:1001");
    assert_eq!((&record["action"], &record["result"]), (&"sign_in".into(), &"denied".into()));
    assert_eq!((&record["stage"], &record["code"]), (&"identify".into(), &"not-you".into()));
    assert_eq!(record["reason"], "Security policy violation: uid 1001 does not own this control plane");
}

#[test]
fn hostile_text_neither_breaks_a_line_nor_reaches_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let path = "/tmp/\",\"result\":\"allowed\n{}\r\u{1b}[2J\u{9b}1m\u{202e}\u{2028}\u{0}";
    record_each(dir.path(), &[path]);
    let raw = fs::read_to_string(dir.path().join("audit.jsonl")).unwrap();
    assert_eq!(raw.lines().count(), 1);
    assert_eq!(raw.trim_end_matches('\n').chars().find(|c| !(' '..='~').contains(c)), None, "{raw:?}");
    let record = &records(dir.path())[0];
    assert_eq!((&record["path"], &record["result"]), (&path.into(), &"denied".into()));
}

#[test]
fn a_long_argument_is_cut_with_a_count() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = open(dir.path());
    let call = Syscall { name: "x".repeat(1 << 20), detail: "y".repeat(5000) };
    let _ = recorder.record_blocking(ask("a", Arrived::now(Door::Kernel, Action::Syscall(call)))).unwrap();
    recorder.flush_blocking().unwrap();
    let record = &records(dir.path())[0];
    assert_eq!(record["resource"], format!("{}…[+1044480 bytes]", "x".repeat(4096)));
    assert_eq!(record["detail"], format!("{}…[+904 bytes]", "y".repeat(4096)));
    assert!(record["reason"].as_str().unwrap().ends_with(" bytes]"));
}

#[test]
fn turned_off_it_records_that_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(Options { enabled: false, ..options(dir.path()) }).unwrap();
    let (_, ticket) = warrant(&recorder, connect("a", 8080)).spend();
    recorder.outcome_blocking(ticket, Outcome::default()).unwrap();
    assert!(matches!(recorder.record_blocking(connect("a", 9090)).unwrap(), Recorded::Stop(_)));
    recorder.note_blocking(Note::of_control(Fact::ControlStarted)).unwrap();
    recorder.flush_blocking().unwrap();
    assert_eq!(recorder.counters(&id("a")), Counters { allowed: 1, refused: 1 });
    drop(recorder);
    let [record] = &records(dir.path())[..] else { panic!("one record") };
    assert_eq!((&record["action"], &record["result"]), (&"audit_disabled".into(), &"noted".into()));
    assert_eq!((&record["severity"], &record["seq"]), (&"high".into(), &1.into()));
}

#[test]
fn what_is_queued_when_the_recorder_goes_is_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = open(dir.path());
    let clone = recorder.clone();
    for n in 0..100 {
        let verdict: Verdict = refused("a", &format!("/x/{n}"));
        let _ = recorder.record_blocking(verdict).unwrap();
    }
    drop(recorder);
    drop(clone);
    let records = records(dir.path());
    assert_eq!(records.len(), 100);
    assert_gapless(&records);
}

#[test]
fn the_reference_names_every_code_and_every_field() {
    let page = include_str!("../../../../docs/reference/audit-record.md");
    for code in RefusalCode::ALL {
        assert!(page.contains(&format!("| `{}` |", code.name())), "{} is not in the reference", code.name());
    }
    let dir = tempfile::tempdir().unwrap();
    let flood = Flood { burst: 1, per_second: 0 };
    let recorder = Recorder::open(Options { flood, ..options(dir.path()) }).unwrap();
    let (_, ticket) = warrant(&recorder, connect("a", 8080)).spend();
    let outcome = Outcome {
        model: None,
        exit: Some(Exit::Code(0)),
        bytes_sent: Some(1),
        bytes_received: Some(1),
        peer: Some("127.0.0.1:8080".parse().unwrap()),
        error: None,
    };
    recorder.outcome_blocking(ticket, outcome).unwrap();
    for _ in 0..3 {
        let _ = recorder.record_blocking(refused("a", "/srv/x")).unwrap();
    }
    recorder.note_blocking(Note::of_cell(id("a"), SESSION, Fact::CellExited(Exit::Signal(9)))).unwrap();
    recorder.flush_blocking().unwrap();
    let records = records(dir.path());
    let fields: BTreeSet<&String> = records.iter().flat_map(|record| record.as_object().unwrap().keys()).collect();
    assert_eq!(fields.len(), 28, "a field is not covered by this test: {fields:?}");
    for field in fields {
        assert!(page.contains(&format!("`{field}`")), "`{field}` is not in the reference");
    }
}
