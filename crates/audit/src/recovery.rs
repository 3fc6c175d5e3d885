//! Mending a log whose head and segment disagree: after a kill in mid-write, a crash, or somebody's hand in it.
//!
//! Nothing that was ever acknowledged is removed. The only bytes that go are a last line without an end, which no caller
//! was ever told about, and their text is kept in the `log_recovered` record that reports the mending. Sequence numbers
//! never go back: records that the head counts and the segment lacks leave a gap, which is the evidence of their loss.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};

use jiff::Timestamp;
use nanoclaw_tlog::bundle::seq;

use crate::files::{finished_name, finished_segments};
use crate::log::{Head, Log};
use crate::record::{Record, ResultKind, Severity, control};
use crate::text::clip;

/// Where the log really ends, and what to say about it.
pub(crate) struct Recovered {
    pub head: Head,
    /// Absent for a log that has just been made.
    pub note: Option<Record>,
}

/// Finds the end of the log, whose current segment has `bytes` bytes. The caller holds the lock.
pub(crate) fn recover(log: &Log, head: Option<Head>, bytes: u64) -> io::Result<Recovered> {
    let finished = finished_segments(&log.path)?;
    if head.is_none() && bytes == 0 && finished.is_empty() {
        return Ok(Recovered { head: Head { last: 0, bytes: 0, first: 1 }, note: None });
    }
    let mut findings = Vec::new();
    // Rotation renames the segment, then makes a new one, then writes the head.
    let rotated = head.is_some_and(|head| finished.contains(&head.first));
    let known = head.filter(|head| !rotated && head.bytes <= bytes);
    let tail = scan(&log.current, known.map_or(0, |head| head.bytes))?;

    let mut on_disk = tail.last.or(known.map(|head| head.last)).unwrap_or(0);
    if on_disk == 0
        && let Some(first) = finished.last()
    {
        let segment = File::open(log.path.join(finished_name(*first)))?;
        on_disk = scan(&segment, 0)?.last.unwrap_or(*first);
    }
    let mut end = tail.end;
    let mut severity = Severity::Low;
    match head {
        None => findings.push("the head file was missing or unreadable and was made again".to_owned()),
        Some(_) if rotated => findings.push("the change to a new segment was interrupted".to_owned()),
        Some(head) if on_disk > head.last => {
            findings.push(format!("the head file counted only {} of {on_disk} records", head.last));
        }
        Some(_) => {}
    }
    if seq(&tail.torn) == Some(on_disk + 1) {
        (&log.current).write_all(b"\n")?;
        end += tail.torn.len() as u64 + 1;
        on_disk += 1;
        findings.push(format!("record {on_disk} lacked its end of line"));
    } else if !tail.torn.is_empty() {
        log.current.set_len(end)?;
        severity = Severity::Medium;
        let text = String::from_utf8_lossy(&tail.torn);
        findings.push(format!("a last line of {} bytes without an end was taken out: {text}", tail.torn.len()));
    }
    let counted = head.map_or(0, |head| head.last);
    if counted > on_disk {
        severity = Severity::High;
        findings.push(format!("the log lacks what the head file counts, from record {} to {counted}", on_disk + 1));
    }
    let last = on_disk.max(counted);
    let known_first = known.filter(|head| head.bytes > 0).map(|head| head.first);
    let first = known_first.or(tail.first).unwrap_or(last + 1);
    if findings.is_empty() {
        findings.push("the segment was longer than the head file says, with nothing readable in it".to_owned());
    }
    let note = Record {
        severity,
        detail: Some(clip(findings.join("; "))),
        ..Record::new(Timestamp::now(), control(), "log_recovered", ResultKind::Noted)
    };
    Ok(Recovered { head: Head { last, bytes: end, first }, note: Some(note) })
}

struct Scan {
    /// The first record.
    first: Option<u64>,
    /// The highest record.
    last: Option<u64>,
    /// Where the last whole line ends.
    end: u64,
    /// What stands behind it.
    torn: Vec<u8>,
}

/// Reads a segment from `from`, which is the beginning of a line.
fn scan(segment: &File, from: u64) -> io::Result<Scan> {
    let mut scan = Scan { first: None, last: None, end: from, torn: Vec::new() };
    let mut reader = BufReader::new(segment);
    reader.seek(SeekFrom::Start(from))?;
    loop {
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            scan.torn = line;
            return Ok(scan);
        }
        scan.end += line.len() as u64;
        if let Some(seq) = seq(&line) {
            scan.first.get_or_insert(seq);
            scan.last = scan.last.max(Some(seq));
        }
    }
}
