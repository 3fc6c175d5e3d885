//! A cell that is refused something in a loop must not fill the disk, and every refusal must be counted.

use std::path::Path;

use nanoclaw_audit::{Counters, Fact, Flood, Note, Options, Recorded, Recorder};
use nanoclaw_request::{Arrived, Door, SessionId};
use serde_json::Value;

use crate::support::{ask, assert_gapless, connect, id, launch, records, refused, warrant};

fn flooded(dir: &Path) -> Recorder {
    Recorder::open(Options { flood: Flood::default(), ..Options::new(dir.to_owned()) }).unwrap()
}

fn folded(records: &[Value]) -> u64 {
    records.iter().filter_map(|record| record["folded"].as_u64()).sum()
}

#[test]
fn a_hundred_thousand_refusals_are_folded_and_counted_exactly() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = flooded(dir.path());
    let doors: Vec<_> = (0..4)
        .map(|door| {
            let recorder = recorder.clone();
            std::thread::spawn(move || {
                for n in 0..25_000 {
                    let _ = recorder.record_blocking(refused("loud", &format!("/etc/{door}/{n}"))).unwrap();
                }
            })
        })
        .collect();
    for door in doors {
        door.join().unwrap();
    }
    recorder.flush_blocking().unwrap();
    let records = records(dir.path());
    assert_gapless(&records);
    let single = records.iter().filter(|record| record.get("folded").is_none()).count() as u64;
    assert_eq!(single + folded(&records), 100_000);
    assert!(single >= 200 && folded(&records) > 0, "{single} written one by one");
    for record in &records {
        assert_eq!(record["agent_id"], "loud");
        assert_eq!((&record["action"], &record["code"]), (&"file_write".into(), &"read-only".into()));
        if let Some(count) = record["folded"].as_u64() {
            assert_eq!(record["reason"], format!("Security policy violation: {count} more like those before it"));
            assert!(record["first"].as_str().unwrap() <= record["last"].as_str().unwrap());
            assert_eq!(record.get("path"), None);
        }
    }
    assert_eq!(recorder.counters(&id("loud")), Counters { allowed: 0, refused: 100_000 });
    let refusals = recorder.refusals(&id("loud"));
    assert_eq!(refusals.len(), 1);
    assert_eq!((refusals[0].action, refusals[0].code, refusals[0].count), ("file_write", "read-only", 100_000));
    let summary = serde_json::to_value(&refusals[0]).unwrap();
    assert!(summary["first"]["path"].as_str().unwrap().ends_with("/0"), "{summary}");
}

#[test]
fn the_count_appears_without_being_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = flooded(dir.path());
    for n in 0..1000 {
        let _ = recorder.record_blocking(refused("loud", &format!("/etc/{n}"))).unwrap();
    }
    while folded(&complete_lines(dir.path())) == 0 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    drop(recorder);
    let records = records(dir.path());
    assert_eq!(records.iter().filter(|r| r.get("folded").is_none()).count() as u64 + folded(&records), 1000);
}

/// The log while it is being written.
fn complete_lines(dir: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(dir.join("audit.jsonl")).unwrap();
    let end = text.rfind('\n').map_or(0, |end| end + 1);
    text[..end].lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_flood_ends_in_its_count_when_the_recorder_goes() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = flooded(dir.path());
    for n in 0..5000 {
        let _ = recorder.record_blocking(refused("loud", &format!("/etc/{n}"))).unwrap();
    }
    drop(recorder);
    let records = records(dir.path());
    assert_eq!(records.iter().filter(|r| r.get("folded").is_none()).count() as u64 + folded(&records), 5000);
}

#[test]
fn allowed_connections_and_refused_launches_are_written_one_by_one() {
    let dir = crate::support::fast_dir();
    let recorder = flooded(dir.path());
    for _ in 0..500 {
        drop(warrant(&recorder, connect("a", 8080)));
        // A cell that asks to start another.
        let verdict = ask("a", Arrived::now(Door::Launcher, launch("a", &["sh"])));
        assert!(matches!(recorder.record_blocking(verdict).unwrap(), Recorded::Stop(_)));
    }
    recorder.flush_blocking().unwrap();
    let records = records(dir.path());
    assert_eq!((records.len(), folded(&records)), (1000, 0));
}

#[test]
fn what_people_are_asked_is_written_one_by_one() {
    let dir = crate::support::fast_dir();
    let recorder = flooded(dir.path());
    let note = |fact| recorder.note_blocking(Note::of_cell(id("a"), SessionId::from_random([1; 16]), fact)).unwrap();
    for n in 0..500 {
        let question = format!("{n:08}");
        note(Fact::Asked {
            question: question.clone(),
            digest: "00".repeat(32),
            action: "tool_call".to_owned(),
            resource: "pay".to_owned(),
            why: "payments need a person".to_owned(),
            policies: vec!["pay".to_owned()],
            people: 1,
            requesters: Vec::new(),
        });
        note(Fact::Withdrawn { question });
    }
    recorder.flush_blocking().unwrap();
    let records = records(dir.path());
    assert_eq!((records.len(), folded(&records)), (1000, 0));
}

#[test]
fn one_cells_flood_hides_nothing_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = flooded(dir.path());
    for n in 0..10_000 {
        let _ = recorder.record_blocking(refused("loud", &format!("/etc/{n}"))).unwrap();
    }
    let _ = recorder.record_blocking(refused("quiet", "/etc/shadow")).unwrap();
    let _ = recorder.record_blocking(connect("loud", 22)).unwrap();
    recorder.flush_blocking().unwrap();
    let records = records(dir.path());
    let has = |agent: &str, action: &str| {
        records.iter().any(|r| r["agent_id"] == agent && r["action"] == action && r.get("folded").is_none())
    };
    assert!(has("quiet", "file_write") && has("loud", "net_connect"));
}
