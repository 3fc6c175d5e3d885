//! What was used, on disk: one JSON object a line, each an amount for an account at a moment. Totals replace the lines
//! when there are too many.
//!
//! A line is written before its call is sent. It survives the end of this process at once and a loss of power within
//! seconds; the audit log, which is on disk before the call, has the rest.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::period::Count;

/// Length of the journal in bytes from which on it is replaced by totals.
const LONGEST: u64 = 4 * 1024 * 1024;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It cannot be read or written.
    #[error("`{}`, where the use of budgets is kept: {source}", .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another control plane counts in it.
    #[error("`{}`, where the use of budgets is kept, is in use by another control plane; end that one, or choose another directory with `--state-dir`", .path.display())]
    InUse {
        /// Which file.
        path: PathBuf,
    },
    /// It does not hold what was written to it.
    #[error("`{}`, where the use of budgets is kept, is damaged at line {line}: {source}; move it away to begin with nothing used", .path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
}

/// One amount.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    pub(super) account: String,
    pub(super) at: Timestamp,
    pub(super) count: Count,
}

pub(super) struct Journal {
    path: PathBuf,
    file: File,
    bytes: u64,
    /// Keeps other control planes from the journal as long as this one has it.
    _lock: File,
}

impl Journal {
    /// Opens it and gives every amount to `take`. A last line without its end was cut off by a crash and counts as not written.
    pub(super) fn open(path: PathBuf, mut take: impl FnMut(Change)) -> Result<Self, JournalError> {
        let failed = |source| JournalError::File { path: path.clone(), source };
        let lock = open(&path.with_extension("lock")).map_err(failed)?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(JournalError::InUse { path }),
            Err(error) => return Err(failed(error.into())),
        }
        let file = open(&path).map_err(failed)?;
        let mut reader = BufReader::new(&file);
        let mut text = Vec::new();
        for line in 1.. {
            text.clear();
            reader.read_until(b'\n', &mut text).map_err(failed)?;
            if text.last() != Some(&b'\n') {
                break;
            }
            let change = serde_json::from_slice(&text);
            take(change.map_err(|source| JournalError::Damaged { path: path.clone(), line, source })?);
        }
        let bytes = file.metadata().map_err(failed)?.len();
        Ok(Self { path, file, bytes, _lock: lock })
    }

    pub(super) fn append(&mut self, changes: impl IntoIterator<Item = Change>) -> Result<(), JournalError> {
        let lines = lines(changes).map_err(|source| self.failed(source))?;
        if let Err(source) = self.file.write_all(&lines) {
            // A part of a line must not stand before the next one.
            let _still_torn = self.file.set_len(self.bytes).is_err();
            return Err(self.failed(source));
        }
        self.bytes += lines.len() as u64;
        Ok(())
    }

    pub(super) fn is_long(&self) -> bool {
        self.bytes > LONGEST
    }

    /// Puts `totals` in the place of everything, at once or not at all.
    pub(super) fn replace(&mut self, totals: Vec<Change>) -> Result<(), JournalError> {
        let next = self.path.with_extension("new");
        let replaced = (|| {
            let lines = lines(totals)?;
            let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
            file.write_all(&lines)?;
            file.sync_data()?;
            std::fs::rename(&next, &self.path)?;
            Ok((open(&self.path)?, lines.len() as u64))
        })();
        (self.file, self.bytes) = replaced.map_err(|source| self.failed(source))?;
        Ok(())
    }

    fn failed(&self, source: io::Error) -> JournalError {
        JournalError::File { path: self.path.clone(), source }
    }
}

fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).append(true).create(true).mode(0o600).open(path)
}

fn lines(changes: impl IntoIterator<Item = Change>) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for change in changes {
        serde_json::to_writer(&mut lines, &change)?;
        lines.push(b'\n');
    }
    Ok(lines)
}
