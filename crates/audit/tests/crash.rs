//! The process that records is killed, again and again, at any moment. No acknowledged record is lost, none is there
//! twice, the log opens again, and every checkpoint that was ever seen is one that the log grew out of.
#![expect(clippy::unwrap_used, reason = "a test may panic, also in the functions that its tests share")]

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nanoclaw_audit::{Fact, Filter, Flood, Note, Options, Reader, Recorder, TreeOptions};
use nanoclaw_tlog::verify::{Trust, directory};
use serde_json::Value;

/// Set in the processes that are killed: the directory, and which of them it is.
const CRASHING: &str = "NANOCLAW_TEST_CRASHING";
/// How often; see the proof.
const KILLS: usize = 500;
/// Threads that record at once.
const PRODUCERS: usize = 4;

fn options(dir: &Path) -> Options {
    let tree = TreeOptions { every: Duration::from_millis(1), ..TreeOptions::new(dir.join("keys/audit")) };
    let flood = Flood { burst: u32::MAX, per_second: u32::MAX };
    Options { tree: Some(tree), segment_bytes: 100_000, flood, ..Options::new(dir.join("audit")) }
}

/// Records until it is killed. A name is printed once its record was acknowledged.
fn record_for_ever(dir: &Path, run: &str) {
    let recorder = Recorder::open(options(dir)).unwrap();
    std::thread::scope(|scope| {
        for producer in 0..PRODUCERS {
            let recorder = &recorder;
            scope.spawn(move || {
                for n in 0.. {
                    let name = format!("{run}-{producer}-{n}");
                    recorder.note_blocking(Note::of_control(Fact::Notice(name.clone()))).unwrap();
                    recorder.flush_blocking().unwrap();
                    // One write: the line comes whole or not at all.
                    std::io::stdout().lock().write_all(format!("acknowledged {name}\n").as_bytes()).unwrap();
                }
            });
        }
    });
}

fn start(dir: &Path, run: usize) -> Child {
    let place = format!("{}\n{run}", dir.display());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "what_was_acknowledged_outlives_every_kill", "--nocapture", "--test-threads=1"]);
    command.env(CRASHING, place).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap()
}

#[test]
fn what_was_acknowledged_outlives_every_kill() {
    if let Ok(place) = std::env::var(CRASHING) {
        let (dir, run) = place.split_once('\n').unwrap();
        return record_for_ever(Path::new(dir), run);
    }
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("audit");
    let mut acknowledged: Vec<String> = Vec::new();
    let mut checkpoints: HashMap<String, ()> = HashMap::new();
    for run in 0..KILLS {
        let mut child = start(dir.path(), run);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The first acknowledgement says that the log opened; then the end comes at a moment of its own, from at once to
        // some checkpoints later.
        let first = lines.by_ref().map(Result::unwrap).find(|line| line.contains("acknowledged "));
        let rest = std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>());
        let longest = if run % 10 == 9 { 400_000 } else { 10_000 };
        std::thread::sleep(Duration::from_micros((run as u64 * 7919) % longest));
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success());
        let names = first.into_iter().chain(rest.join().unwrap());
        let before = acknowledged.len();
        acknowledged.extend(names.filter_map(|line| Some(line.split_once("acknowledged ")?.1.to_owned())));
        assert!(acknowledged.len() > before, "run {run} did not open the log");
        if let Ok(text) = fs::read_to_string(log.join("checkpoint")) {
            checkpoints.insert(text, ());
        }
    }
    // It opens once more, and ends in order. The first batch takes over what the last kill has left.
    let recorder = Recorder::open(options(dir.path())).unwrap();
    recorder.note_blocking(Note::of_control(Fact::Notice("the end".to_owned()))).unwrap();
    drop(recorder);

    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut last = 0;
    for record in Reader::open(&log, Filter::default()).unwrap() {
        let record: Value = serde_json::from_str(&record.unwrap()).unwrap();
        assert_eq!(record["seq"], last + 1, "{record}");
        last += 1;
        if record["action"] == "log_recovered" {
            // What a kill leaves is mended; a loss would be grave.
            assert_ne!(record["severity"], "high", "{record}");
        } else {
            *seen.entry(record["detail"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    for name in &acknowledged {
        assert_eq!(seen.get(name), Some(&1), "{name}");
    }
    assert!(seen.values().all(|times| *times == 1));
    let held = checkpoints.into_keys().enumerate().map(|(n, text)| (format!("held {n}"), text.parse().unwrap()));
    let trust = Trust { held: held.collect(), ..Trust::default() };
    assert!(trust.held.len() > KILLS / 20, "{}", trust.held.len());
    let report = directory(&log, &trust);
    assert!(report.is_clean() && report.unsealed == 0, "{report}");
    eprintln!("{KILLS} kills, {} acknowledged of {last} records, {} checkpoints", acknowledged.len(), trust.held.len());
}
