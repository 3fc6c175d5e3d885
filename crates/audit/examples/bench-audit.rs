//! What the audit log is worth beside SQLite, which is what one would take otherwise: durable records per second, how
//! long an acknowledgement takes, and how long a million records take to verify.
//!
//!     cargo run --release -p nanoclaw-audit --example bench-audit [DIRECTORY]
//!
//! Prints tables for docs/BENCHMARKS.md. DIRECTORY must be on the disk that is meant; everything in it is made anew.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made ends here")]

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nanoclaw_audit::{Fact, Flood, Note, Options, Query, Recorder, TreeOptions, search};
use nanoclaw_tlog::verify::{Trust, directory};
use rusqlite::Connection;
use rustix::time::{ClockId, clock_gettime};

/// How long each is measured.
const TIME: Duration = Duration::from_secs(3);
/// Rounds of each, of which the median counts.
const ROUNDS: usize = 3;
const MILLION: usize = 1_000_000;

const HEADING: &str = "
## The audit log

One process records what is on disk before it is acknowledged, on ext4, and seals it each second. SQLite 3 (WAL,
`synchronous=FULL`, one table, one connection for each producer) is what one would take otherwise; nobody could verify that.
Three seconds each, in turn, the median of three rounds; CPU time is the process's, and so includes sealing. See
`crates/audit/examples/bench-audit.rs`.
";

/// What a record is about: as long as that of a connection.
fn text(n: usize) -> String {
    format!("TLS for api.example.com: a connection to port 443 was allowed by allowed_networks[0], number {n}")
}

/// Durable records per second, the 99th percentile of an acknowledgement, and CPU time for a record.
#[derive(Clone, Copy)]
struct Figures {
    per_second: f64,
    p99: Duration,
    cpu_us: f64,
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
}

/// Has `producers` threads write `batch` records at a time until the time is up.
fn measure(producers: usize, batch: usize, write: &(dyn Fn(usize) -> Box<dyn FnMut(usize)> + Sync)) -> Figures {
    let times = Mutex::new(Vec::new());
    let (start, before) = (Instant::now(), cpu());
    std::thread::scope(|scope| {
        for producer in 0..producers {
            let times = &times;
            scope.spawn(move || {
                let mut write = write(producer);
                let mut own = Vec::new();
                while start.elapsed() < TIME {
                    let one = Instant::now();
                    write(batch);
                    own.push(one.elapsed());
                }
                times.lock().unwrap().extend(own);
            });
        }
    });
    let (wall, used) = (start.elapsed(), cpu() - before);
    let mut times = times.into_inner().unwrap();
    times.sort_unstable();
    let records = (times.len() * batch) as f64;
    Figures {
        per_second: records / wall.as_secs_f64(),
        p99: *times.get(times.len() * 99 / 100).unwrap(),
        cpu_us: used.as_secs_f64() * 1e6 / records,
    }
}

fn options(dir: &Path) -> Options {
    let flood = Flood { burst: u32::MAX, per_second: u32::MAX };
    Options { flood, tree: Some(TreeOptions::new(dir.join("keys"))), ..Options::new(dir.join("audit")) }
}

fn ours(dir: &Path, producers: usize, batch: usize) -> Figures {
    let recorder = Recorder::open(options(dir)).unwrap();
    measure(producers, batch, &|producer| {
        let (recorder, mut n) = (recorder.clone(), producer * MILLION);
        Box::new(move |batch| {
            for _ in 0..batch {
                n += 1;
                recorder.note_blocking(Note::of_control(Fact::Notice(text(n)))).unwrap();
            }
            recorder.flush_blocking().unwrap();
        })
    })
}

fn sqlite(dir: &Path, producers: usize, batch: usize) -> Figures {
    let path = dir.join("audit.db");
    let open = move || {
        let connection = Connection::open(&path).unwrap();
        connection.busy_timeout(Duration::from_secs(60)).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.pragma_update(None, "synchronous", "FULL").unwrap();
        connection
    };
    let table = "CREATE TABLE audit (seq INTEGER PRIMARY KEY AUTOINCREMENT, timestamp INTEGER, agent_id TEXT, action TEXT, \
                 result TEXT, severity TEXT, detail TEXT)";
    open().execute(table, ()).unwrap();
    measure(producers, batch, &|producer| {
        let (mut connection, mut n) = (open(), producer * MILLION);
        Box::new(move |batch| {
            let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
            for _ in 0..batch {
                n += 1;
                let insert = "INSERT INTO audit (timestamp, agent_id, action, result, severity, detail) VALUES \
                              (?1, 'system:nanoclaw', 'notice', 'noted', 'informational', ?2)";
                transaction.prepare_cached(insert).unwrap().execute((n as i64, text(n))).unwrap();
            }
            transaction.commit().unwrap();
        })
    })
}

fn fresh(top: &Path) -> PathBuf {
    let dir = top.join("bench-audit");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// Searches a log of ten million records for a handful of them.
fn search_ten_million(top: &Path) {
    let dir = fresh(top);
    let recorder = Recorder::open(Options { tree: None, ..options(&dir) }).unwrap();
    for n in 0..10 * MILLION {
        recorder.note_blocking(Note::of_control(Fact::Notice(text(n)))).unwrap();
    }
    recorder.flush_blocking().unwrap();
    drop(recorder);
    println!();
    println!("| a search of ten million records | wall | CPU | found |");
    println!("|---|--:|--:|--:|");
    let now = jiff::Timestamp::now();
    for (name, query) in [
        ("a text in one of them", Query { text: Some("number 7654321".to_owned()), ..Query::default() }),
        ("an agent in none", Query { agent: Some("nano-001".to_owned()), ..Query::default() }),
        ("a time, without anything else", Query { from: Some(now), ..Query::default() }),
    ] {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let (start, before, mut found) = (Instant::now(), cpu(), 0);
            search(&dir.join("audit"), &query, |_| {
                found += 1;
                ControlFlow::Continue(())
            })
            .unwrap();
            times.push((start.elapsed(), cpu() - before, found));
        }
        times.sort_unstable();
        let (wall, used, found) = *times.get(ROUNDS / 2).unwrap();
        println!("| {name} | {:.2} s | {:.2} s | {found} |", wall.as_secs_f64(), used.as_secs_f64());
    }
}

/// The round in the middle, by records per second.
fn median(mut rounds: Vec<Figures>) -> Figures {
    rounds.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    *rounds.get(ROUNDS / 2).unwrap()
}

fn main() {
    let top = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    println!("{HEADING}");
    println!("| durable records | NanoClaw, a second | SQLite | ratio | p99 | SQLite | CPU a record | SQLite |");
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    for (name, producers, batch) in [
        ("1 producer", 1, 1),
        ("64 producers", 64, 1),
        ("256 producers", 256, 1),
        ("1 producer, 1,000 at a time", 1, 1000),
    ] {
        let (mut mine, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            mine.push(ours(&fresh(&top), producers, batch));
            theirs.push(sqlite(&fresh(&top), producers, batch));
        }
        let (mine, theirs) = (median(mine), median(theirs));
        println!(
            "| {name} | {:.0} | {:.0} | {:.1} | {:.2} ms | {:.2} ms | {:.1} µs | {:.1} µs |",
            mine.per_second,
            theirs.per_second,
            mine.per_second / theirs.per_second,
            mine.p99.as_secs_f64() * 1e3,
            theirs.p99.as_secs_f64() * 1e3,
            mine.cpu_us,
            theirs.cpu_us
        );
    }

    let dir = fresh(&top);
    let start = Instant::now();
    let recorder = Recorder::open(options(&dir)).unwrap();
    for n in 0..MILLION {
        recorder.note_blocking(Note::of_control(Fact::Notice(text(n)))).unwrap();
    }
    recorder.flush_blocking().unwrap();
    let written = start.elapsed();
    drop(recorder);
    let sealed = start.elapsed();
    let mut times: Vec<(Duration, Duration)> = Vec::new();
    for _ in 0..ROUNDS {
        let (start, before) = (Instant::now(), cpu());
        let report = directory(&dir.join("audit"), &Trust::default());
        assert!(report.is_clean() && report.lines == MILLION as u64, "{report}");
        times.push((start.elapsed(), cpu() - before));
    }
    times.sort_unstable();
    let (wall, used) = *times.get(ROUNDS / 2).unwrap();
    let start = Instant::now();
    drop(Recorder::open(options(&dir)).unwrap());
    let opened = start.elapsed();
    println!();
    println!("| a million records | wall | CPU |");
    println!("|---|--:|--:|");
    println!("| written by one producer | {:.2} s | |", written.as_secs_f64());
    println!("| and sealed | {:.2} s | |", sealed.as_secs_f64());
    println!("| verified | {:.2} s | {:.2} s |", wall.as_secs_f64(), used.as_secs_f64());
    println!("| opened and closed again | {:.3} s | |", opened.as_secs_f64());
    search_ten_million(&top);
    let _ = fs::remove_dir_all(dir);
}
