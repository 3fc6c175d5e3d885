//! Checks all of a log in a directory, with nothing but its files and what is held elsewhere: public keys, earlier
//! checkpoints, the keys of witnesses. What was changed is named by its place.
//!
//! Three things must agree: the lines that people read (`audit-*.jsonl`, `audit.jsonl`), the entries and hashes of the
//! tree (`tile/`), and the checkpoint that the log's keys vouch for. Whoever changes one of them is seen by the others.
//! Whoever changes all of them and has the keys is seen by a checkpoint that was held elsewhere.

mod hashes;
mod lines;
pub(crate) mod snapshot;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::Hash;
use crate::checkpoint::Checkpoint;
use crate::note::{MAX_NOTE, NotAKey, SignedNote, VerifierKey};
pub use snapshot::{Snapshot, SnapshotError};

/// The newest checkpoint of a log: a signed note.
pub const CHECKPOINT: &str = "checkpoint";
/// The newest checkpoint that a witness has cosigned.
pub const WITNESSED: &str = "witnessed";
/// The public keys of the log, a line each.
pub const PUBLIC_KEYS: &str = "log.vkey";
/// The lines that are being written.
pub const CURRENT: &str = "audit.jsonl";

/// Where the lines end, and which record begins `audit.jsonl`.
const HEAD: &str = "head";

/// Most findings that are described; the others are counted.
const MOST_FINDINGS: usize = 100;

/// What is known of the log from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// The log's public keys: all of them must vouch for its checkpoints.
    pub log: Vec<VerifierKey>,
    /// Of each of these names at least one key must vouch for the newest witnessed checkpoint.
    pub witnesses: Vec<VerifierKey>,
    /// Earlier checkpoints, and what to call each.
    pub held: Vec<(String, SignedNote)>,
}

/// What is known from elsewhere cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file cannot be read.
    #[error("`{0}` cannot be read: {1}")]
    Read(PathBuf, std::io::Error),
    /// A line is no key.
    #[error("`{0}`, line {1}: {2}")]
    Key(PathBuf, usize, NotAKey),
    /// A file is no checkpoint.
    #[error("`{0}`: {1}")]
    Note(PathBuf, crate::note::NoteError),
    /// A file has no line.
    #[error("`{0}` has no key; write one a line, as they stand in the log's `{PUBLIC_KEYS}`")]
    Empty(PathBuf),
}

impl Trust {
    /// Reads files: of keys, a line each, and of checkpoints.
    ///
    /// # Errors
    /// One cannot be read, or holds something else.
    pub fn read(log: &[PathBuf], witnesses: &[PathBuf], held: &[PathBuf]) -> Result<Self, TrustError> {
        let all = |files: &[PathBuf]| -> Result<Vec<VerifierKey>, TrustError> {
            Ok(files.iter().map(|file| keys(file)).collect::<Result<Vec<_>, _>>()?.concat())
        };
        let note = |file: &PathBuf| {
            let note = text(file)?.parse().map_err(|error| TrustError::Note(file.clone(), error))?;
            Ok((format!("`{}`", file.display()), note))
        };
        Ok(Self { log: all(log)?, witnesses: all(witnesses)?, held: held.iter().map(note).collect::<Result<_, _>>()? })
    }
}

/// Reads a file that is at most as long as a note.
fn text(file: &Path) -> Result<String, TrustError> {
    snapshot::small(file, MAX_NOTE).map_err(|error| TrustError::Read(file.to_owned(), error))
}

fn keys(file: &Path) -> Result<Vec<VerifierKey>, TrustError> {
    let text = text(file)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let key = |(n, line): (usize, &str)| line.parse().map_err(|error| TrustError::Key(file.to_owned(), n + 1, error));
    let keys: Vec<VerifierKey> = lines.map(key).collect::<Result<_, _>>()?;
    if keys.is_empty() { Err(TrustError::Empty(file.to_owned())) } else { Ok(keys) }
}

/// Something that is not as it was promised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, and the line or record in it.
    pub place: String,
    /// What is wrong there.
    pub problem: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

/// Somebody who vouches for a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    /// Who.
    pub name: String,
    /// For how many records.
    pub size: u64,
    /// In seconds since 1970.
    pub time: Option<u64>,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The newest checkpoint, if it can be read.
    pub checkpoint: Option<Checkpoint>,
    /// The witnesses who vouch for the newest witnessed one.
    pub witnesses: Vec<Vouched>,
    /// Earlier checkpoints that the log was held against.
    pub held: usize,
    /// Whether the keys were taken from the log itself, so that whoever could change it could change them.
    pub own_keys: bool,
    /// Lines that are in the tree.
    pub lines: u64,
    /// Lines that the newest checkpoint does not count yet: nothing vouches for them.
    pub unsealed: u64,
    /// Records at the beginning whose segments were moved away. The tree has them.
    pub archived: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// How much more is wrong.
    pub more: u64,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Collects findings from both threads.
#[derive(Default)]
struct Findings(Mutex<(Vec<Finding>, u64)>);

impl Findings {
    fn add(&self, place: impl fmt::Display, problem: impl fmt::Display) {
        let mut inner = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if inner.0.len() < MOST_FINDINGS {
            inner.0.push(Finding { place: place.to_string(), problem: problem.to_string() });
        } else {
            inner.1 += 1;
        }
    }
}

/// A root that the log must have had.
struct Milestone {
    /// In entries.
    size: u64,
    root: Hash,
    /// What says so.
    place: String,
}

/// Checks the log in `directory`. Where `trust` has no keys of the log, those that lie in it are taken.
pub fn directory(directory: &Path, trust: &Trust) -> Report {
    let found = Findings::default();
    let mut report = Report { held: trust.held.len(), ..Report::default() };
    check(directory, trust, &found, &mut report);
    (report.findings, report.more) = found.0.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    report
}

fn check(directory: &Path, trust: &Trust, found: &Findings, report: &mut Report) {
    let log = match keys(&directory.join(PUBLIC_KEYS)) {
        Ok(keys) if trust.log.is_empty() => {
            report.own_keys = true;
            keys
        }
        Ok(keys) => {
            if keys != trust.log {
                found.add(PUBLIC_KEYS, "it has other keys than those that the log is known by");
            }
            trust.log.clone()
        }
        Err(error) => {
            found.add(PUBLIC_KEYS, error);
            trust.log.clone()
        }
    };
    if log.is_empty() {
        return;
    }
    let snapshot = match Snapshot::take(directory) {
        Ok(snapshot) => snapshot,
        Err(error) => return found.add(CHECKPOINT, error),
    };
    let Some(checkpoint) = vouched(&snapshot.note, &log, CHECKPOINT, found) else { return };
    report.checkpoint = Some(checkpoint.clone());
    let mut milestones: Vec<Milestone> = Vec::new();
    let mut hold = |place: &str, earlier: Checkpoint| match earlier.size > checkpoint.size {
        true => found.add(
            place,
            format_args!(
                "it counts {} records, and the log has only {}: the log was rolled back",
                earlier.size, checkpoint.size
            ),
        ),
        false => milestones.push(Milestone { size: earlier.size, root: earlier.root, place: place.to_owned() }),
    };
    for (place, note) in &trust.held {
        if let Some(earlier) = vouched(note, &log, place, found) {
            hold(place, earlier);
        }
    }
    if !trust.witnesses.is_empty()
        && let Some((earlier, witnesses)) = witnessed(directory, &log, &trust.witnesses, found)
    {
        report.witnesses = witnesses;
        hold(&format!("`{WITNESSED}`"), earlier);
    }
    milestones.sort_by_key(|milestone| milestone.size);
    std::thread::scope(|scope| {
        let tree = scope.spawn(|| hashes::check(&snapshot, &checkpoint, &milestones, found));
        lines::check(directory, &snapshot, checkpoint.size, found, report);
        if tree.join().is_err() {
            found.add("tile", "the check itself has failed");
        }
    });
}

/// The checkpoint of a note that all keys of the log vouch for.
fn vouched(note: &SignedNote, log: &[VerifierKey], place: &str, found: &Findings) -> Option<Checkpoint> {
    let checkpoint = match note.text.parse::<Checkpoint>() {
        Ok(checkpoint) => checkpoint,
        Err(error) => {
            found.add(place, error);
            return None;
        }
    };
    if let Err(error) = note.verify_all(log) {
        found.add(place, error);
        return None;
    }
    if let Some(key) = log.iter().find(|key| key.name() != checkpoint.origin) {
        found.add(place, format_args!("it is of the log `{}`, and the key of `{}`", checkpoint.origin, key.name()));
        return None;
    }
    Some(checkpoint)
}

/// The newest checkpoint that each of the witnesses vouches for.
fn witnessed(
    directory: &Path,
    log: &[VerifierKey],
    witnesses: &[VerifierKey],
    found: &Findings,
) -> Option<(Checkpoint, Vec<Vouched>)> {
    let note: SignedNote = match fs::exists(directory.join(WITNESSED)) {
        Ok(false) => {
            found.add(WITNESSED, "there is none: no witness has vouched for this log");
            return None;
        }
        _ => match text(&directory.join(WITNESSED))
            .map_err(|error| error.to_string())
            .and_then(|text| text.parse().map_err(|error: crate::note::NoteError| error.to_string()))
        {
            Ok(note) => note,
            Err(error) => {
                found.add(WITNESSED, error);
                return None;
            }
        },
    };
    let checkpoint = vouched(&note, log, WITNESSED, found)?;
    let vouchers = match note.verify(witnesses) {
        Ok(vouchers) => vouchers,
        Err(error) => {
            found.add(WITNESSED, error);
            return None;
        }
    };
    let mut named: Vec<Vouched> = Vec::new();
    for key in witnesses {
        let voucher = vouchers.iter().find(|voucher| voucher.key.name() == key.name());
        match voucher {
            None => found.add(WITNESSED, format_args!("the witness `{}` does not vouch for it", key.name())),
            Some(voucher) if !named.iter().any(|named| named.name == key.name()) => {
                named.push(Vouched { name: key.name().to_owned(), size: checkpoint.size, time: voucher.time });
            }
            Some(_) => {}
        }
    }
    Some((checkpoint, named))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(checkpoint) = &self.checkpoint {
            let keys = if self.own_keys { ", by the keys that lie in it" } else { "" };
            writeln!(f, "log        {}: {} records are sealed{keys}", checkpoint.origin, checkpoint.size)?;
        }
        for Vouched { name, size, .. } in &self.witnesses {
            writeln!(f, "witness    {name} vouches for the first {size}")?;
        }
        if self.held > 0 {
            writeln!(f, "held       {} earlier checkpoints", self.held)?;
        }
        writeln!(f, "lines      {} are in the tree, {} are not sealed yet", self.lines, self.unsealed)?;
        if self.archived > 0 {
            writeln!(f, "archived   the first {} are in the tree, and their lines are elsewhere", self.archived)?;
        }
        if self.is_clean() {
            return writeln!(f, "verified   nothing was changed");
        }
        for finding in &self.findings {
            writeln!(f, "CHANGED    {finding}")?;
        }
        if self.more > 0 {
            writeln!(f, "CHANGED    and in {} more places", self.more)?;
        }
        Ok(())
    }
}
