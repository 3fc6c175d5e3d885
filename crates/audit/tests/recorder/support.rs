//! Verdicts made the way a door makes them, and the log read without the crate's own reader.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use nanoclaw_audit::{Flood, Options, Recorded, Recorder, Warrant};
use nanoclaw_config::{NetRule, NetTarget};
use nanoclaw_identity::{CellSockets, identify_operator};
use nanoclaw_policy::{Engine, Verdict};
use nanoclaw_request::{
    Action, Arrived, CellId, Connect, Destination, Door, Evidence, FileWrite, Host, Launch, SessionId, Via,
};
use serde_json::Value;

pub const SESSION: SessionId = SessionId::from_random([7; 16]);

pub fn id(cell: &str) -> CellId {
    CellId::parse(cell).unwrap()
}

/// What decides for a cell: made once for each, as what is in its rules is compiled then.
fn engine(cell: &str, rules: Vec<NetRule>) -> Arc<Engine> {
    type Made = HashMap<(String, usize), Arc<Engine>>;
    static MADE: LazyLock<Mutex<Made>> = LazyLock::new(Mutex::default);
    let mut made = MADE.lock().unwrap();
    let key = (cell.to_owned(), rules.len());
    made.entry(key).or_insert_with(|| Arc::new(Engine::new(id(cell), rules))).clone()
}

/// What policy says when the cell asks.
pub fn ask(cell: &str, arrived: Arrived<Action>) -> Verdict {
    let service = NetTarget::HostService { address: "127.0.0.1:8080".parse().unwrap() };
    let rule =
        NetRule { id: "allowed_networks[0]".into(), text: "host-service:127.0.0.1:8080".into(), target: service };
    let proposal = CellSockets::of(id(cell), SESSION).identify(arrived).propose(Ok);
    engine(cell, vec![rule]).decide(proposal)
}

pub fn write_to(path: &str, obstacle: Option<i32>) -> Action {
    Action::FileWrite(FileWrite { operation: "open", path: path.into(), obstacle })
}

/// A refused write of one cell.
pub fn refused(cell: &str, path: &str) -> Verdict {
    ask(cell, Arrived::now(Door::Kernel, write_to(path, Some(30))))
}

/// A connection that is allowed where it goes to port 8080.
pub fn connect(cell: &str, port: u16) -> Verdict {
    let host = Host::ip("127.0.0.1".parse().unwrap());
    let action = Action::Connect(Connect {
        destination: Destination { host, port },
        via: Via::Transparent,
        evidence: Evidence::Silent,
        addresses: vec!["127.0.0.1".parse().unwrap()],
    });
    ask(cell, Arrived::now(Door::Egress, action))
}

/// A request to start the cell.
pub fn launch(cell: &str, command: &[&str]) -> Action {
    let command = command.iter().map(|word| (*word).to_owned()).collect();
    Action::Launch(Launch { cell: id(cell), session: SESSION, command, summary: "restricted, host root".into() })
}

/// What policy says when the operator asks.
pub fn operate(cell: &str, uid: u32, arrived: Arrived<Action>) -> Verdict {
    let proposal = identify_operator(arrived, uid, uid).unwrap().propose(Ok);
    engine(cell, Vec::new()).decide(proposal)
}

/// The warrant for what is allowed.
pub fn warrant(recorder: &Recorder, verdict: Verdict) -> Warrant {
    match recorder.record_blocking(verdict).unwrap() {
        Recorded::Proceed(warrant) => warrant,
        Recorded::Stop(declined) => panic!("refused: {declined:?}"),
    }
}

pub fn no_folding() -> Flood {
    Flood { burst: u32::MAX, per_second: u32::MAX }
}

pub fn options(dir: &Path) -> Options {
    Options { flood: no_folding(), ..Options::new(dir.to_owned()) }
}

pub fn open(dir: &Path) -> Recorder {
    Recorder::open(options(dir)).unwrap()
}

/// Opens the log in `dir`, records one refused write for each of `paths`, and closes it.
pub fn record_each(dir: &Path, paths: &[&str]) {
    let recorder = open(dir);
    for path in paths {
        let _ = recorder.record_blocking(refused("a", path)).unwrap();
    }
    recorder.flush_blocking().unwrap();
}

/// The segments in the order in which they were written.
pub fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut names: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    // `audit-N` sorts before `audit.`.
    names.sort();
    names
}

/// Every record, in order. Fails where a line is not JSON or the last one has no end.
pub fn records(dir: &Path) -> Vec<Value> {
    let text: String = segments(dir).iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    assert!(text.is_empty() || text.ends_with('\n'), "half a line: {text:?}");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// The sequence numbers are 1, 2, 3… without a gap.
pub fn assert_gapless(records: &[Value]) {
    for (expected, record) in (1_u64..).zip(records) {
        assert_eq!(record["seq"], expected, "{record}");
    }
}

/// A directory on a file system without a disk, where there is one, for tests with thousands of batches.
pub fn fast_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}
