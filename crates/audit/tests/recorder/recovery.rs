//! Kills, crashes and hands in the log: nothing before them is lost, and each is on record.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{assert_gapless, fast_dir, open, record_each, records, refused};

const CHILD: &str = "NANOCLAW_TEST_KILLED";

fn recoveries(records: &[Value]) -> Vec<&Value> {
    records.iter().filter(|record| record["action"] == "log_recovered").collect()
}

/// A log of three records, with the head file as it was before the last of them.
fn three_records(dir: &Path) -> (Vec<u8>, Vec<u8>, usize) {
    record_each(dir, &["/x/1", "/x/2"]);
    let head_before = fs::read(dir.join("head")).unwrap();
    let last_begins = fs::read(dir.join("audit.jsonl")).unwrap().len();
    record_each(dir, &["/x/3"]);
    (fs::read(dir.join("audit.jsonl")).unwrap(), head_before, last_begins)
}

#[test]
fn a_kill_at_any_byte_of_a_write_loses_nothing_before_it() {
    let dir = fast_dir();
    let (log, head_before, last_begins) = three_records(dir.path());
    for length in last_begins..=log.len() {
        fs::write(dir.path().join("audit.jsonl"), &log[..length]).unwrap();
        fs::write(dir.path().join("head"), &head_before).unwrap();
        record_each(dir.path(), &["/x/next"]);

        let kept = fs::read(dir.path().join("audit.jsonl")).unwrap();
        assert!(kept.starts_with(&log[..last_begins]), "cut at {length}");
        let records = records(dir.path());
        assert_gapless(&records);
        let notes = recoveries(&records);
        // Before its first byte there is nothing to mend; without its line end it is whole all the same.
        let whole = length >= log.len() - 1;
        assert_eq!(notes.len(), usize::from(length > last_begins), "cut at {length}");
        assert_eq!(records.iter().filter(|r| r["path"] == "/x/3").count(), usize::from(whole), "cut at {length}");
        assert_eq!(records.last().unwrap()["path"], "/x/next");
        if let [note] = notes[..]
            && !whole
        {
            let torn = String::from_utf8_lossy(&log[last_begins..length]);
            let expected =
                format!("a last line of {} bytes without an end was taken out: {torn}", length - last_begins);
            assert_eq!(note["detail"], expected);
            assert_eq!((&note["severity"], &note["agent_id"]), (&"medium".into(), &"system:nanoclaw".into()));
        }
    }
}

#[test]
fn a_cut_behind_the_heads_back_leaves_a_gap_and_a_high_record() {
    let dir = fast_dir();
    let (log, _, last_begins) = three_records(dir.path());
    let head_after = fs::read(dir.path().join("head")).unwrap();
    for length in last_begins..log.len() - 1 {
        fs::write(dir.path().join("audit.jsonl"), &log[..length]).unwrap();
        fs::write(dir.path().join("head"), &head_after).unwrap();
        record_each(dir.path(), &["/x/next"]);
        let records = records(dir.path());
        let numbers: Vec<_> = records.iter().map(|record| record["seq"].as_u64().unwrap()).collect();
        assert_eq!(numbers, [1, 2, 4, 5], "cut at {length}");
        assert_eq!((&records[2]["action"], &records[2]["severity"]), (&"log_recovered".into(), &"high".into()));
        let detail = records[2]["detail"].as_str().unwrap();
        assert!(detail.ends_with("the log lacks what the head file counts, from record 3 to 3"), "{detail}");
    }
}

#[test]
fn a_lost_or_garbled_head_is_made_again() {
    for garbled in [None, Some(&b""[..]), Some(b"nanoclaw-audit 1 last=0"), Some(&[0xff; 97])] {
        let dir = fast_dir();
        three_records(dir.path());
        match garbled {
            None => fs::remove_file(dir.path().join("head")).unwrap(),
            Some(bytes) => fs::write(dir.path().join("head"), bytes).unwrap(),
        }
        record_each(dir.path(), &["/x/next", "/x/after"]);
        let records = records(dir.path());
        assert_gapless(&records);
        assert_eq!((records.len(), recoveries(&records).len()), (6, 1));
        assert_eq!(records[3]["detail"], "the head file was missing or unreadable and was made again");
    }
}

#[test]
fn numbers_do_not_begin_again_when_the_log_is_deleted() {
    let dir = fast_dir();
    three_records(dir.path());
    fs::remove_file(dir.path().join("audit.jsonl")).unwrap();
    record_each(dir.path(), &["/x/next"]);
    let records = records(dir.path());
    assert_eq!(records.iter().map(|r| r["seq"].as_u64().unwrap()).collect::<Vec<_>>(), [4, 5]);
    assert_eq!(records[0]["detail"], "the log lacks what the head file counts, from record 1 to 3");
    assert_eq!(records[0]["severity"], "high");
}

#[test]
fn an_interrupted_rotation_is_finished() {
    for new_segment_made in [false, true] {
        let dir = fast_dir();
        three_records(dir.path());
        fs::rename(dir.path().join("audit.jsonl"), dir.path().join("audit-00000000000000000001.jsonl")).unwrap();
        if new_segment_made {
            fs::write(dir.path().join("audit.jsonl"), "").unwrap();
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(dir.path().join("audit.jsonl"), fs::Permissions::from_mode(0o600)).unwrap();
        }
        record_each(dir.path(), &["/x/next"]);
        record_each(dir.path(), &["/x/after"]);
        let records = records(dir.path());
        assert_gapless(&records);
        assert_eq!(records.len(), 6);
        assert_eq!(records[3]["detail"], "the change to a new segment was interrupted");
        assert_eq!(recoveries(&records).len(), 1);
    }
}

#[test]
fn a_writer_killed_at_any_time_leaves_a_log_that_goes_on() {
    if let Some(dir) = std::env::var_os(CHILD) {
        let recorder = open(Path::new(&dir));
        for n in 0_u64.. {
            let _ = recorder.record_blocking(refused("a", &format!("/x/{n}"))).unwrap();
            if n == 50 {
                println!("\nworking");
            }
        }
    }
    let dir = tempfile::tempdir().unwrap();
    for round in 1..=8 {
        let test = "recovery::a_writer_killed_at_any_time_leaves_a_log_that_goes_on";
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line == "working"));
        child.kill().unwrap();
        child.wait().unwrap();
        record_each(dir.path(), &["/x/after-the-kill"]);
        let records = records(dir.path());
        assert_gapless(&records);
        assert!(recoveries(&records).len() <= round);
        assert_eq!(recoveries(&records).iter().filter(|note| note["severity"] == "high").count(), 0);
    }
}
