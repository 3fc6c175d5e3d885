//! Several writers on one log, and segments.

use std::fs;
use std::path::Path;
use std::process::Command;

use nanoclaw_audit::{Options, Recorder};

use crate::support::{
    assert_gapless, connect, fast_dir, open, options, record_each, records, refused, segments, warrant,
};

const CHILD: &str = "NANOCLAW_TEST_WRITER";
const PER_WRITER: usize = 300;

/// One of several writers: every third record waits for the disk.
fn write_some(dir: &Path, name: &str) {
    let recorder = Recorder::open(Options { segment_bytes: 20_000, ..options(dir) }).unwrap();
    for n in 0..PER_WRITER {
        if n % 3 == 0 {
            drop(warrant(&recorder, connect(name, 8080)));
        } else {
            let _ = recorder.record_blocking(refused(name, &format!("/x/{n}"))).unwrap();
        }
    }
    recorder.flush_blocking().unwrap();
}

#[test]
fn processes_and_threads_share_one_log_without_gap_or_disorder() {
    if let Some(dir) = std::env::var_os(CHILD) {
        return write_some(Path::new(&dir), &std::env::var("NANOCLAW_TEST_NAME").unwrap());
    }
    let dir = fast_dir();
    let test = "sharing::processes_and_threads_share_one_log_without_gap_or_disorder";
    let children: Vec<_> = ["p1", "p2", "p3"]
        .into_iter()
        .map(|name| {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", test, "--nocapture"]).env(CHILD, dir.path()).env("NANOCLAW_TEST_NAME", name);
            command.stdout(std::process::Stdio::null()).spawn().unwrap()
        })
        .collect();
    std::thread::scope(|scope| {
        for name in ["t1", "t2"] {
            scope.spawn(|| write_some(dir.path(), name));
        }
    });
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let records = records(dir.path());
    assert_gapless(&records);
    assert_eq!(records.len(), 5 * PER_WRITER, "a healthy log was mended");
    for name in ["p1", "p2", "p3", "t1", "t2"] {
        let own: Vec<_> = records.iter().filter(|record| record["agent_id"] == name).collect();
        for (n, record) in own.iter().enumerate() {
            let expected = if n % 3 == 0 { "net_connect" } else { "file_write" };
            assert_eq!(record["action"], expected, "{name} {n}");
            if n % 3 != 0 {
                assert_eq!(record["path"], format!("/x/{n}"));
            }
        }
        assert_eq!(own.len(), PER_WRITER);
    }
    assert!(segments(dir.path()).len() > 10);
}

#[test]
fn segments_are_named_by_their_first_record_and_never_exceed_their_size() {
    let dir = fast_dir();
    record_each(dir.path(), &["/x/1"]);
    let line = fs::read(dir.path().join("audit.jsonl")).unwrap().len() as u64;
    // Room for exactly three records of this length, then for three but one byte.
    for (dir, segment_bytes, per_segment) in [(fast_dir(), 3 * line, 3), (fast_dir(), 3 * line - 1, 2)] {
        let recorder = Recorder::open(Options { segment_bytes, ..options(dir.path()) }).unwrap();
        for n in 1..=8 {
            let _ = recorder.record_blocking(refused("a", &format!("/x/{n}"))).unwrap();
        }
        recorder.flush_blocking().unwrap();
        assert_gapless(&records(dir.path()));
        let paths = segments(dir.path());
        let (current, finished) = paths.split_last().unwrap();
        assert!(current.ends_with("audit.jsonl"));
        for (n, path) in finished.iter().enumerate() {
            let first = n * per_segment + 1;
            assert!(path.ends_with(format!("audit-{first:020}.jsonl")), "{path:?}");
            let text = fs::read_to_string(path).unwrap();
            assert_eq!(text.lines().count(), per_segment);
            assert!(text.len() as u64 <= segment_bytes);
        }
        assert_eq!(finished.len(), 7 / per_segment);
    }
}

#[test]
fn a_record_longer_than_a_segment_is_a_segment() {
    let dir = fast_dir();
    let recorder = Recorder::open(Options { segment_bytes: 1, ..options(dir.path()) }).unwrap();
    for n in 0..5 {
        let _ = recorder.record_blocking(refused("a", &format!("/x/{n}"))).unwrap();
    }
    recorder.flush_blocking().unwrap();
    assert_eq!(segments(dir.path()).len(), 5);
    assert_gapless(&records(dir.path()));
}

#[test]
fn a_second_writer_notices_the_rotation_of_the_first() {
    let dir = fast_dir();
    let (first, second) = (open(dir.path()), open(dir.path()));
    let rotating = Recorder::open(Options { segment_bytes: 1, ..options(dir.path()) }).unwrap();
    for recorder in [&first, &rotating, &second, &first, &rotating, &rotating, &second, &first] {
        drop(warrant(recorder, connect("a", 8080)));
        assert_gapless(&records(dir.path()));
    }
    let per_segment: Vec<usize> =
        segments(dir.path()).iter().map(|path| fs::read_to_string(path).unwrap().lines().count()).collect();
    assert_eq!(per_segment, [1, 3, 1, 3]);
}
