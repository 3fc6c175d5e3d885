//! The reading side: `nanoclaw audit tail`.

use std::fs::{self, OpenOptions};
use std::io::Write as _;

use nanoclaw_audit::{Filter, Options, ReadError, Reader, Recorder, ResultKind, render};
use serde_json::Value;

use crate::support::{connect, fast_dir, open, options, record_each, refused, warrant};

fn seqs(reader: &mut Reader) -> Vec<u64> {
    reader.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap()["seq"].as_u64().unwrap()).collect()
}

#[test]
fn all_segments_are_read_in_order_and_filtered() {
    let dir = fast_dir();
    let recorder = Recorder::open(Options { segment_bytes: 2000, ..options(dir.path()) }).unwrap();
    for n in 0..30 {
        let agent = if n % 3 == 0 { "a" } else { "b" };
        let port = if n % 2 == 0 { 8080 } else { 22 };
        let _ = recorder.record_blocking(connect(agent, port)).unwrap();
    }
    recorder.flush_blocking().unwrap();
    let read = |agent: Option<&str>, result| {
        let filter = Filter { agent: agent.map(str::to_owned), result };
        seqs(&mut Reader::open(dir.path(), filter).unwrap())
    };
    assert_eq!(read(None, None), (1..=30).collect::<Vec<_>>());
    assert_eq!(read(Some("a"), None), (1..=30).step_by(3).collect::<Vec<_>>());
    assert_eq!(read(None, Some(ResultKind::Denied)), (2..=30).step_by(2).collect::<Vec<_>>());
    assert_eq!(read(Some("a"), Some(ResultKind::Denied)), (4..=30).step_by(6).collect::<Vec<_>>());
    assert_eq!(read(Some("nobody"), None), [0; 0]);
}

#[test]
fn a_follower_sees_every_record_once_across_rotations() {
    const COUNT: u64 = 2000;
    let dir = fast_dir();
    let recorder = Recorder::open(Options { segment_bytes: 5000, ..options(dir.path()) }).unwrap();
    drop(warrant(&recorder, connect("a", 8080)));
    let mut reader = Reader::open(dir.path(), Filter::default()).unwrap();
    reader.set_follow(true);
    let follower = std::thread::spawn(move || seqs_of_first(reader, COUNT));
    for n in 1..COUNT {
        let _ = recorder.record_blocking(refused("a", &format!("/x/{n}"))).unwrap();
        if n % 50 == 0 {
            recorder.flush_blocking().unwrap();
        }
    }
    recorder.flush_blocking().unwrap();
    assert_eq!(follower.join().unwrap(), (1..=COUNT).collect::<Vec<_>>());
}

fn seqs_of_first(reader: Reader, count: u64) -> Vec<u64> {
    reader
        .take(usize::try_from(count).unwrap())
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap()["seq"].as_u64().unwrap())
        .collect()
}

#[test]
fn a_reader_begins_behind_any_record() {
    let dir = fast_dir();
    let recorder = Recorder::open(Options { segment_bytes: 2000, ..options(dir.path()) }).unwrap();
    let written = recorder.written();
    assert_eq!(*written.borrow(), 0);
    for n in 1..=30 {
        let _ = recorder.record_blocking(refused("a", &format!("/x/{n}"))).unwrap();
    }
    recorder.flush_blocking().unwrap();
    assert_eq!(*written.borrow(), 30);
    for after in 0..=31 {
        let mut reader = Reader::open_behind(dir.path(), Filter::default(), after).unwrap();
        assert_eq!(seqs(&mut reader), (after + 1..=30).collect::<Vec<_>>(), "{after}");
    }
    let mut reader = Reader::open_behind(dir.path(), Filter::default(), u64::MAX).unwrap();
    assert_eq!(seqs(&mut reader), [0; 0]);
}

#[test]
fn a_reader_goes_on_after_the_end_where_it_stopped() {
    let dir = fast_dir();
    record_each(dir.path(), &["/x/1", "/x/2"]);
    let mut reader = Reader::open(dir.path(), Filter::default()).unwrap();
    assert_eq!(seqs(&mut reader), [1, 2]);
    assert_eq!(seqs(&mut reader), [0; 0]);
    record_each(dir.path(), &["/x/3"]);
    assert_eq!(seqs(&mut reader), [3]);
}

#[test]
fn half_a_line_is_not_shown_and_its_mending_is() {
    let dir = fast_dir();
    record_each(dir.path(), &["/x/1"]);
    let mut log = OpenOptions::new().append(true).open(dir.path().join("audit.jsonl")).unwrap();
    log.write_all(b"{\"timestamp\":\"2026").unwrap();
    let mut reader = Reader::open(dir.path(), Filter::default()).unwrap();
    assert_eq!(seqs(&mut reader), [1]);
    record_each(dir.path(), &["/x/2"]);
    assert_eq!(seqs(&mut reader), [2, 3]);
}

#[test]
fn a_line_that_is_not_a_record_is_reported_and_passed_over() {
    let dir = fast_dir();
    record_each(dir.path(), &["/x/1"]);
    let mut log = OpenOptions::new().append(true).open(dir.path().join("audit.jsonl")).unwrap();
    log.write_all(b"not json\n").unwrap();
    record_each(dir.path(), &["/x/2"]);
    let read: Vec<_> = Reader::open(dir.path(), Filter::default()).unwrap().collect();
    assert_eq!(read.len(), 4);
    assert!(matches!(read[1], Err(ReadError::NotARecord { after: 1 })), "{:?}", read[1]);
    assert!(read[2].as_ref().unwrap().contains("log_recovered"));
}

#[test]
fn a_line_without_end_is_reported_once() {
    let dir = fast_dir();
    record_each(dir.path(), &["/x/1"]);
    let mut log = OpenOptions::new().append(true).open(dir.path().join("audit.jsonl")).unwrap();
    log.write_all(&[b'x'; 2 << 20]).unwrap();
    let read: Vec<_> = Reader::open(dir.path(), Filter::default()).unwrap().take(3).collect();
    assert_eq!(read.len(), 2, "{read:?}");
    assert!(matches!(read[1], Err(ReadError::Io { .. })), "{:?}", read[1]);
}

#[test]
fn a_missing_log_is_said_to_be_missing() {
    let dir = fast_dir();
    let missing = dir.path().join("audit");
    let error = Reader::open(&missing, Filter::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "there is no audit log in `{}`; it is made by the first `nanoclaw run` or `nanoclaw up`",
            missing.display()
        )
    );
    assert!(!missing.exists(), "reading makes nothing");
}

#[test]
fn a_symlink_is_not_read_through() {
    let dir = fast_dir();
    fs::write(dir.path().join("secret"), "{}\n").unwrap();
    std::os::unix::fs::symlink(dir.path().join("secret"), dir.path().join("audit.jsonl")).unwrap();
    assert!(matches!(Reader::open(dir.path(), Filter::default()), Err(ReadError::Io { .. })));
}

#[test]
fn what_a_cell_names_cannot_forge_a_line_on_the_terminal() {
    let dir = fast_dir();
    let recorder = open(dir.path());
    let _ =
        recorder.record_blocking(refused("a", "/x\n2026-01-01T00:00:00Z  a  exec  /bin/ok  allowed\u{1b}[1A")).unwrap();
    recorder.flush_blocking().unwrap();
    let line = Reader::open(dir.path(), Filter::default()).unwrap().next().unwrap().unwrap();
    let shown = render(&line);
    assert_eq!(shown.chars().find(|c| c.is_control()), None, "{shown:?}");
    assert!(shown.contains(r"/x\u{a}2026-01-01T00:00:00Z"), "{shown}");
}
