//! The lines that people read, against the entries of the tree.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::rc::Rc;

use serde_json::{Map, Value};

use super::snapshot::{Snapshot, small};
use super::{CURRENT, Findings, HEAD, Report};
use crate::bundle::{self, seq};
use crate::canonical::{canonical, repeats_a_name};
use crate::tile::{Kind, TilePath, Tiles as _};

/// Compares them, and counts those that are in the tree and those that are not yet.
pub(super) fn check(directory: &Path, snapshot: &Snapshot, size: u64, found: &Findings, report: &mut Report) {
    let segments = match segments(directory) {
        Ok(segments) => segments,
        Err(error) => return found.add(directory.display(), error),
    };
    let begins = segments.first().and_then(|(name, _)| begins(directory, name));
    let mut lines = Lines::new(segments, found).peekable();
    let mut entries = Entries::new(snapshot, size, found);
    let (mut last, mut place) = (0, CURRENT.to_owned());
    // Whole segments may be moved away, the oldest first; part of one may not.
    if let Some(first) = lines.peek().and_then(|line| line.seq).filter(|first| begins == Some(*first)) {
        report.archived = entries.archived(first);
    }
    while let Some(line) = lines.next() {
        place = line.place();
        let Some(seq) = line.seq else {
            found.add(&place, "it is no record");
            continue;
        };
        if seq <= last {
            found.add(&place, format_args!("record {seq} does not belong here: it stands behind record {last}"));
            continue;
        }
        let next = lines.peek().and_then(|next| next.seq);
        match entries.reach(seq, next, &place) {
            Reached::Here => {
                report.lines += 1;
                entries.compare(&line);
            }
            Reached::Ahead => {
                found.add(&place, format_args!("record {seq} does not belong here"));
                continue;
            }
            Reached::Unknown => report.lines += 1,
            Reached::End => {
                report.unsealed += 1;
                if report.unsealed > 1 && seq != last + 1 {
                    found.add(&place, format_args!("record {seq} follows record {last}: those between are missing"));
                }
            }
        }
        last = seq;
    }
    let _ = entries.reach(u64::MAX, None, &format!("behind {place}"));
}

/// The record that a segment began with when it was begun.
fn begins(directory: &Path, segment: &str) -> Option<u64> {
    let digits = match segment.strip_prefix("audit-") {
        Some(rest) => rest.strip_suffix(".jsonl")?.to_owned(),
        None => {
            let head = small(&directory.join(HEAD), 4096).ok()?;
            head.split_whitespace().find_map(|word| word.strip_prefix("first="))?.to_owned()
        }
    };
    digits.parse().ok()
}

/// One line of a segment.
struct Line {
    segment: Rc<str>,
    /// From 1.
    number: u64,
    text: Vec<u8>,
    seq: Option<u64>,
}

impl Line {
    fn place(&self) -> String {
        format!("{}, line {}", self.segment, self.number)
    }
}

/// The segments in order, open: one that is finished in the meantime is read all the same, and once.
fn segments(directory: &Path) -> io::Result<Vec<(String, File)>> {
    let current = match File::open(directory.join(CURRENT)) {
        Ok(file) => Some((CURRENT.to_owned(), file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        names.extend(entry?.file_name().into_string().ok());
    }
    names.retain(|name| name.starts_with("audit-") && name.ends_with(".jsonl"));
    names.sort_unstable();
    let mut segments = Vec::new();
    for name in names {
        let file = File::open(directory.join(&name))?;
        segments.push((name, file));
    }
    segments.extend(current);
    let mut seen = HashSet::new();
    let mut once = Vec::new();
    for (name, file) in segments {
        let meta = file.metadata()?;
        if meta.is_file() && seen.insert((meta.dev(), meta.ino())) {
            once.push((name, file));
        }
    }
    Ok(once)
}

/// The lines of all segments.
struct Lines<'a> {
    segments: std::vec::IntoIter<(String, File)>,
    current: Option<(Rc<str>, BufReader<File>)>,
    number: u64,
    found: &'a Findings,
}

impl<'a> Lines<'a> {
    fn new(segments: Vec<(String, File)>, found: &'a Findings) -> Self {
        Self { segments: segments.into_iter(), current: None, number: 0, found }
    }
}

impl Iterator for Lines<'_> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        loop {
            let Some((segment, reader)) = &mut self.current else {
                let (name, file) = self.segments.next()?;
                self.current = Some((name.into(), BufReader::with_capacity(1 << 18, file)));
                self.number = 0;
                continue;
            };
            let mut text = Vec::new();
            let read = reader.read_until(b'\n', &mut text);
            self.number += 1;
            match read {
                Ok(_) if text.pop() == Some(b'\n') => {
                    let seq = seq(&text);
                    return Some(Line { segment: Rc::clone(segment), number: self.number, text, seq });
                }
                // Half a line at the end of the log is being written.
                Ok(length) if length > 0 && &**segment != CURRENT => {
                    self.found.add(format_args!("{segment}, line {}", self.number), "it ends in the middle");
                }
                Ok(_) => {}
                Err(error) => self.found.add(&**segment, format_args!("it cannot be read: {error}")),
            }
            self.current = None;
        }
    }
}

/// Where the entries are, seen from a line.
enum Reached {
    /// At the same record.
    Here,
    /// At a later one, so that the line is in its place by no order.
    Ahead,
    /// At none that can be read.
    Unknown,
    /// At their end.
    End,
}

/// The entries of the tree, one by one.
struct Entries<'a> {
    snapshot: &'a Snapshot,
    size: u64,
    found: &'a Findings,
    /// The bundle that comes next.
    index: u64,
    bundle: Vec<u8>,
    at: usize,
    current: Option<(u64, Range<usize>)>,
    last: u64,
    /// Whether entries before this one could not be read, which the check of the tree reports.
    unknown: bool,
    /// Records that have no line.
    missing: Option<(u64, u64)>,
}

impl<'a> Entries<'a> {
    fn new(snapshot: &'a Snapshot, size: u64, found: &'a Findings) -> Self {
        let (bundle, current, missing) = (Vec::new(), None, None);
        let mut entries =
            Self { snapshot, size, found, index: 0, bundle, at: 0, current, last: 0, unknown: false, missing };
        entries.advance();
        entries
    }

    fn advance(&mut self) {
        self.current = None;
        loop {
            if self.at < self.bundle.len() {
                let Some(entry) = bundle::at(&self.bundle, self.at) else {
                    self.unknown = true;
                    self.bundle.clear();
                    continue;
                };
                self.at = entry.end;
                let Some(seq) = self.bundle.get(entry.clone()).and_then(seq) else {
                    self.unknown = true;
                    continue;
                };
                if !self.unknown && seq != self.last + 1 {
                    let (from, to) = (self.last + 1, seq.wrapping_sub(1));
                    self.found.add(
                        "tile/entries",
                        format_args!(
                            "record {seq} follows record {}: {from} to {to} were lost before they were sealed",
                            self.last
                        ),
                    );
                }
                self.last = seq;
                self.current = Some((seq, entry));
                return;
            }
            let Some(path) = TilePath::within(Kind::Entries, self.index, self.size) else { return };
            self.index += 1;
            self.at = 0;
            self.bundle = self.snapshot.read(&path).unwrap_or_else(|_| {
                self.unknown = true;
                Vec::new()
            });
        }
    }

    /// Goes on to the record `first`; how many come before it.
    fn archived(&mut self, first: u64) -> u64 {
        let mut count = 0;
        while self.current.as_ref().is_some_and(|(seq, _)| *seq < first) {
            count += 1;
            self.advance();
        }
        count
    }

    /// Goes on to the record `seq`, of the line at `place`, behind which stands the record `next`.
    fn reach(&mut self, seq: u64, next: Option<u64>, place: &str) -> Reached {
        loop {
            match self.current {
                Some((at, _)) if at < seq => {
                    // One line that is ahead of those behind it is the one that is wrong.
                    if next.is_some_and(|next| next <= seq) {
                        return Reached::Ahead;
                    }
                    self.missing = Some((self.missing.map_or(at, |(from, _)| from), at));
                    self.advance();
                    continue;
                }
                Some((at, _)) if at == seq => self.unknown = false,
                _ => {}
            }
            if let Some((from, to)) = self.missing.take() {
                self.found.add(place, format_args!("before it, records {from} to {to} are missing; the tree has them"));
            }
            return match &self.current {
                Some((at, _)) if *at == seq => Reached::Here,
                _ if self.unknown => Reached::Unknown,
                Some(_) => Reached::Ahead,
                None => Reached::End,
            };
        }
    }

    /// Compares the record with its line, and goes on.
    fn compare(&mut self, line: &Line) {
        let entry = self.current.as_ref().and_then(|(_, range)| self.bundle.get(range.clone())).unwrap_or_default();
        // With equal lengths nothing stands twice in it; lines in which characters are escaped are longer.
        let same = canonical(&line.text).is_ok_and(|canonical| canonical == entry);
        if !same || entry.len() != line.text.len() && repeats_a_name(&line.text) {
            let fields = differing(entry, &line.text).join("`, `");
            let seq = line.seq.unwrap_or_default();
            self.found.add(line.place(), format_args!("record {seq} is not as it is in the tree: `{fields}`"));
        }
        self.advance();
    }
}

/// The names of the fields in which two records differ.
fn differing(one: &[u8], two: &[u8]) -> Vec<String> {
    let fields = |text| serde_json::from_slice::<Map<String, Value>>(text).unwrap_or_default();
    let (one, two) = (fields(one), fields(two));
    let names: HashSet<&String> =
        one.keys().chain(two.keys()).filter(|name| one.get(*name) != two.get(*name)).collect();
    // Whoever changed it has chosen the names.
    let mut names: Vec<String> = names.into_iter().map(|name| name.escape_debug().take(64).collect()).collect();
    names.sort_unstable();
    names.truncate(8);
    if names.is_empty() { vec!["the way it is written".to_owned()] } else { names }
}
