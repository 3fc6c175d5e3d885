//! The files of the log, and how one batch is appended to them while other processes do the same.
//!
//! Each batch holds the lock from its first record to its last byte on disk. The head file says which record is the last
//! and how long the segment is; it is written after the records are on disk, so it never counts a record that is not
//! there. Where it disagrees with the segment, something was interrupted, and [`crate::recovery`] mends it before
//! anything is added.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::files::{CURRENT, HEAD, LOCK, finished_name, open_dir, open_file};
use crate::record::Record;
use crate::text::json_line;
use crate::{AuditError, recovery};

/// Longest line, in bytes: what is longer is no entry of a tree, and would stand unsealed.
const LONGEST_RECORD: usize = u16::MAX as usize;
/// What its texts are cut to, one after the other, until it fits.
const SHORTER: [usize; 2] = [1024, 128];

/// Where the log ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// The last record; 0 when there is none.
    pub last: u64,
    /// The length of the current segment.
    pub bytes: u64,
    /// The first record of the current segment, present or to come.
    pub first: u64,
}

impl Head {
    pub(crate) const LEN: usize = 97;

    fn text(self) -> String {
        format!("nanoclaw-audit 1 last={:020} bytes={:020} first={:020}\n", self.last, self.bytes, self.first)
    }

    /// Reads what [`Head::text`] writes; `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split(['=', ' ', '\n']).filter_map(|word| word.parse().ok());
        // The first number is the version.
        let (_, last, bytes, first): (u64, _, _, _) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let head = Self { last, bytes, first };
        (head.text() == text).then_some(head)
    }
}

/// The open files of the log.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) path: PathBuf,
    dir: File,
    lock: File,
    head: File,
    pub(crate) current: File,
    /// When the current segment would grow beyond this, the next one begins.
    segment_bytes: u64,
}

impl Log {
    /// Opens the files, making those that are missing.
    pub(crate) fn open(path: &Path, segment_bytes: u64) -> Result<Self, AuditError> {
        let dir = open_dir(path)?;
        let lock = open_file(&dir, path, LOCK, OFlags::empty())?;
        let head = open_file(&dir, path, HEAD, OFlags::empty())?;
        let current = open_file(&dir, path, CURRENT, OFlags::APPEND)?;
        Ok(Self { path: path.to_owned(), dir, lock, head, current, segment_bytes })
    }

    /// Takes the lock and begins a batch at the true end of the log. Blocks while another process writes its batch.
    pub(crate) fn begin(&mut self) -> Result<Batch<'_>, AuditError> {
        self.lock(FlockOperation::LockExclusive).map_err(|error| self.failed(error.into()))?;
        let mut batch = Batch { log: self, head: Head::default(), lines: Vec::new(), next: 0 };
        batch.find_end()?;
        Ok(batch)
    }

    fn lock(&self, operation: FlockOperation) -> rustix::io::Result<()> {
        rustix::io::retry_on_intr(|| rustix::fs::flock(&self.lock, operation))
    }

    /// Another process may have begun a new segment since the last batch.
    fn follow_rotation(&mut self) -> Result<(), AuditError> {
        let open = self.current.metadata().map_err(|error| self.failed(error))?;
        match rustix::fs::statat(&self.dir, CURRENT, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if stat.st_dev == open.dev() && stat.st_ino == open.ino() => Ok(()),
            Ok(_) | Err(Errno::NOENT) => {
                self.current = open_file(&self.dir, &self.path, CURRENT, OFlags::APPEND)?;
                Ok(())
            }
            Err(errno) => Err(self.failed(errno.into())),
        }
    }

    fn read_head(&self) -> io::Result<Option<Head>> {
        let mut text = [0; Head::LEN];
        match self.head.read_exact_at(&mut text, 0) {
            Ok(()) => Ok(std::str::from_utf8(&text).ok().and_then(Head::parse)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn failed(&self, source: io::Error) -> AuditError {
        AuditError::Write { path: self.path.clone(), source: source.into() }
    }
}

/// One batch under the lock. Dropping it gives the lock back; only [`Batch::finish`] makes its records count.
pub(crate) struct Batch<'a> {
    log: &'a mut Log,
    head: Head,
    /// Whole lines that are not written yet.
    lines: Vec<u8>,
    /// The sequence number of the next record.
    next: u64,
}

impl Batch<'_> {
    fn find_end(&mut self) -> Result<(), AuditError> {
        self.log.follow_rotation()?;
        let head = self.log.read_head().map_err(|error| self.log.failed(error))?;
        let bytes = self.log.current.metadata().map_err(|error| self.log.failed(error))?.len();
        if let Some(head) = head.filter(|head| head.bytes == bytes) {
            self.head = head;
            self.next = head.last + 1;
            return Ok(());
        }
        let found = recovery::recover(self.log, head, bytes).map_err(|error| self.log.failed(error))?;
        self.head = found.head;
        self.next = found.head.last + 1;
        if let Some(note) = found.note {
            self.push(note)?;
        }
        Ok(())
    }

    /// Adds one record and returns its sequence number.
    pub(crate) fn push(&mut self, mut record: Record) -> Result<u64, AuditError> {
        record.seq = self.next;
        if let Some(model) = &mut record.model {
            model.clamp();
        }
        let before = self.lines.len();
        json_line(&record, &mut self.lines).map_err(|error| self.log.failed(error))?;
        for most in SHORTER {
            if self.lines.len() - before <= LONGEST_RECORD {
                break;
            }
            self.lines.truncate(before);
            record.shorten(most);
            json_line(&record, &mut self.lines).map_err(|error| self.log.failed(error))?;
        }
        if self.head.bytes + self.lines.len() as u64 > self.log.segment_bytes && self.head.bytes + before as u64 > 0 {
            let line = self.lines.split_off(before);
            self.write()?;
            self.rotate().map_err(|error| self.log.failed(error))?;
            self.lines = line;
        }
        self.next += 1;
        Ok(record.seq)
    }

    /// Puts the batch on disk.
    pub(crate) fn finish(mut self) -> Result<(), AuditError> {
        self.write()
    }

    fn write(&mut self) -> Result<(), AuditError> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let written = self.try_write();
        if written.is_err() {
            // None of these records was acknowledged. Without the cut, half a line could stay; if even the cut fails,
            // the next batch of any process finds that half line and mends it.
            let _ = self.log.current.set_len(self.head.bytes);
        }
        self.lines.clear();
        written.map_err(|error| self.log.failed(error))
    }

    fn try_write(&mut self) -> io::Result<()> {
        if self.head.bytes == 0 {
            // A new file: its name must be on disk as well as its contents.
            self.log.dir.sync_all()?;
        }
        (&self.log.current).write_all(&self.lines)?;
        self.log.current.sync_data()?;
        let lines = self.lines.iter().filter(|byte| **byte == b'\n').count() as u64;
        let head = Head { last: self.head.last + lines, bytes: self.head.bytes + self.lines.len() as u64, ..self.head };
        self.write_head(head)
    }

    fn write_head(&mut self, head: Head) -> io::Result<()> {
        self.log.head.write_all_at(head.text().as_bytes(), 0)?;
        self.head = head;
        Ok(())
    }

    /// Finishes the current segment and begins the next.
    fn rotate(&mut self) -> io::Result<()> {
        let Log { dir, path, .. } = &*self.log;
        rustix::fs::renameat_with(dir, CURRENT, dir, finished_name(self.head.first), RenameFlags::NOREPLACE)?;
        let opened = open_file(dir, path, CURRENT, OFlags::APPEND | OFlags::EXCL);
        self.log.current = opened.map_err(io::Error::other)?;
        self.write_head(Head { last: self.head.last, bytes: 0, first: self.head.last + 1 })
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        // Cannot fail on a lock that is held; closing the file would give it back as well.
        let _ = self.log.lock(FlockOperation::Unlock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_is_too_long_is_cut() {
        use crate::record::ResultKind;
        use jiff::Timestamp;
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::open(&dir.path().join("audit"), u64::MAX).unwrap();
        let mut batch = log.begin().unwrap();
        let long = |c: &str| Some(c.repeat(4096 / c.len()));
        for c in ["\u{1}", "x"] {
            let record = Record {
                path: long(c),
                resource: long(c),
                reason: long(c),
                detail: long(c),
                help: long(c),
                policy_ids: vec![c.repeat(9000); 2],
                ..Record::new(Timestamp::UNIX_EPOCH, "a".to_owned(), "exec", ResultKind::Denied)
            };
            batch.push(record).unwrap();
        }
        batch.finish().unwrap();
        let text = std::fs::read_to_string(dir.path().join("audit/audit.jsonl")).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.iter().all(|line| line.len() <= LONGEST_RECORD), "{}", lines[0].len());
        assert!(lines[0].contains("\\u0001\u{2026}[+3072 bytes]"), "its texts are cut");
        assert!(lines[1].contains(&long("x").unwrap()), "one that fits is whole");
    }

    #[test]
    fn the_head_is_read_back_exactly_or_not_at_all() {
        let head = Head { last: 41, bytes: 12_345, first: 7 };
        assert_eq!(head.text().len(), Head::LEN);
        assert_eq!(Head::parse(&head.text()), Some(head));
        let largest = Head { last: u64::MAX, bytes: u64::MAX, first: u64::MAX };
        assert_eq!(Head::parse(&largest.text()), Some(largest));
        for at in 0..Head::LEN {
            let mut garbled = head.text().into_bytes();
            garbled[at] = b'~';
            assert_eq!(Head::parse(std::str::from_utf8(&garbled).unwrap()), None, "byte {at}");
        }
    }
}
