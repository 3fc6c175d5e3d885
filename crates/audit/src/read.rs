//! Reading the log while it is being written: all segments in order, across rotations, without a lock.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use serde::Deserialize;

use crate::files::{CURRENT, finished_name, finished_segments};
use crate::record::ResultKind;

/// How often a following reader looks for more.
const POLL: Duration = Duration::from_millis(200);
/// How much is read at once, in bytes.
const CHUNK: usize = 1 << 16;
/// No record is longer, in bytes: a text of 4 KiB takes up to 24 KiB when every character is escaped.
pub(crate) const LONGEST_LINE: usize = 1 << 20;

/// Which records are wanted. An absent field means any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The `agent_id`.
    pub agent: Option<String>,
    /// The `result`.
    pub result: Option<ResultKind>,
}

impl Filter {
    /// Whether a record, as the JSON text of its line, is wanted.
    pub fn wants(&self, record: &str) -> bool {
        serde_json::from_str(record).is_ok_and(|seen| self.suits(&seen))
    }

    fn suits(&self, seen: &Seen<'_>) -> bool {
        self.agent.as_ref().is_none_or(|agent| *agent == seen.agent_id)
            && self.result.is_none_or(|result| result.name() == seen.result)
    }
}

/// The log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is none.
    #[error("there is no audit log in `{0}`; it is made by the first `nanoclaw run` or `nanoclaw up`")]
    Missing(PathBuf),
    /// The kernel refuses.
    #[error("cannot read the audit log `{path}`: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A line is not a record. The reader goes on behind it.
    #[error("a line after record {after} of the audit log is not a record; the file was changed by something else")]
    NotARecord {
        /// The last record before it; 0 when there is none.
        after: u64,
    },
}

/// Reads records, oldest first, each as the JSON text of its line. The iterator ends where the log ends, unless it
/// follows; then it waits for more and never ends. It may be asked again after its end. An error of the kernel ends it
/// for good: asking again would meet the same error.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    filter: Filter,
    follow: bool,
    segment: Option<Segment>,
    /// The last record read.
    after: u64,
    /// Records up to this one are not wanted.
    behind: u64,
    lines: VecDeque<Vec<u8>>,
    broken: bool,
}

#[derive(Debug)]
struct Segment {
    file: File,
    path: PathBuf,
    /// Where the next line begins.
    offset: u64,
    /// Whether it is known to be finished, so that its end is final.
    finished: bool,
}

/// The fields that reading needs. Borrowed where the text has no escapes.
#[derive(Deserialize)]
struct Seen<'a> {
    seq: u64,
    #[serde(borrow)]
    agent_id: Cow<'a, str>,
    #[serde(borrow)]
    result: Cow<'a, str>,
}

impl Reader {
    /// Opens the log in `dir` at its beginning.
    ///
    /// # Errors
    /// There is no log, or it belongs to somebody else.
    pub fn open(dir: &Path, filter: Filter) -> Result<Self, ReadError> {
        let (dir, lines) = (dir.to_owned(), VecDeque::new());
        let mut reader = Self { dir, filter, follow: false, segment: None, after: 0, behind: 0, lines, broken: false };
        reader.segment = reader.next_segment()?;
        if reader.segment.is_none() {
            return Err(ReadError::Missing(reader.dir));
        }
        Ok(reader)
    }

    /// Opens the log in `dir` behind the record `after`. Earlier segments are not read.
    ///
    /// # Errors
    /// As of [`Reader::open`].
    pub fn open_behind(dir: &Path, filter: Filter, after: u64) -> Result<Self, ReadError> {
        let mut reader = Self::open(dir, filter)?;
        reader.behind = after;
        if let Some(current) = reader.open_segment(CURRENT.to_owned(), false)?
            && current.first().is_some_and(|first| first <= after.saturating_add(1))
        {
            reader.segment = Some(current);
            return Ok(reader);
        }
        // The records of a finished segment end where the next one begins.
        let finished = match finished_segments(dir) {
            Ok(finished) => finished,
            Err(source) => return Err(ReadError::Io { path: dir.to_owned(), source }),
        };
        if let Some(first) = finished.into_iter().rev().find(|first| *first <= after.saturating_add(1)) {
            reader.after = first.saturating_sub(1);
            reader.segment = reader.next_segment()?;
        }
        Ok(reader)
    }

    /// The number of the last record that was read, wanted or not; 0 before the first.
    pub fn position(&self) -> u64 {
        self.after
    }

    /// Whether to wait for more at the end of the log.
    pub fn set_follow(&mut self, follow: bool) {
        self.follow = follow;
    }

    /// The oldest segment that begins after the last record read.
    fn next_segment(&self) -> Result<Option<Segment>, ReadError> {
        // First the current one, then the list: what comes before the one that was opened is in the list by then.
        let current = self.open_segment(CURRENT.to_owned(), false)?;
        let finished = match finished_segments(&self.dir) {
            Ok(finished) => finished,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(ReadError::Io { path: self.dir.clone(), source }),
        };
        match finished.into_iter().find(|first| *first > self.after) {
            Some(first) => self.open_segment(finished_name(first), true),
            None => Ok(current),
        }
    }

    fn open_segment(&self, name: String, finished: bool) -> Result<Option<Segment>, ReadError> {
        let path = self.dir.join(name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(file) => Ok(Some(Segment { file: file.into(), path, offset: 0, finished })),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(errno) => Err(ReadError::Io { path, source: errno.into() }),
        }
    }

    /// Reads more lines, from later segments where this one is at its end. False at the end of the log.
    fn fill(&mut self) -> Result<bool, ReadError> {
        loop {
            let Some(segment) = &mut self.segment else {
                // A rotation is between its two steps.
                self.segment = self.next_segment()?;
                if self.segment.is_none() {
                    return Ok(false);
                }
                continue;
            };
            let finished = segment.finished;
            let read = segment.read(&mut self.lines);
            if read.map_err(|source| ReadError::Io { path: segment.path.clone(), source })? {
                return Ok(true);
            }
            if finished {
                self.segment = self.next_segment()?;
            } else if !segment.is_current()? {
                // It was rotated away: read what was added before that, then go on.
                segment.finished = true;
            } else {
                return Ok(false);
            }
        }
    }

    /// Whether the line is wanted.
    fn see(&mut self, line: &[u8]) -> Result<bool, ReadError> {
        let seen: Seen<'_> = serde_json::from_slice(line).map_err(|_| ReadError::NotARecord { after: self.after })?;
        self.after = self.after.max(seen.seq);
        Ok(seen.seq > self.behind && self.filter.suits(&seen))
    }
}

impl Segment {
    /// The number of its first record, if it has a whole one that can be read.
    fn first(&self) -> Option<u64> {
        let mut buffer = vec![0; CHUNK];
        let length = read_at_most(&self.file, &mut buffer, 0).ok()?;
        let line = buffer.get(..length)?.split_inclusive(|byte| *byte == b'\n').next()?;
        serde_json::from_slice::<Seen<'_>>(line.strip_suffix(b"\n")?).ok().map(|seen| seen.seq)
    }

    /// Reads the whole lines that come next. False when there are none.
    fn read(&mut self, lines: &mut VecDeque<Vec<u8>>) -> io::Result<bool> {
        let mut buffer = vec![0; CHUNK];
        loop {
            let length = read_at_most(&self.file, &mut buffer, self.offset)?;
            let text = buffer.get(..length).unwrap_or_default();
            if let Some(end) = text.iter().rposition(|byte| *byte == b'\n') {
                // The half line behind `end` is read again next time, when it is whole or has been mended.
                lines.extend(text.get(..end).unwrap_or_default().split(|byte| *byte == b'\n').map(<[u8]>::to_vec));
                self.offset += end as u64 + 1;
                return Ok(true);
            }
            if length < buffer.len() {
                return Ok(false);
            }
            if length >= LONGEST_LINE {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is too long to be a record"));
            }
            buffer.resize(buffer.len() * 2, 0);
        }
    }

    /// Whether the file still has the current segment's name.
    fn is_current(&self) -> Result<bool, ReadError> {
        let id = |meta: Metadata| (meta.dev(), meta.ino());
        let same = || match std::fs::symlink_metadata(&self.path) {
            Ok(named) => Ok(id(named) == id(self.file.metadata()?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        };
        same().map_err(|source| ReadError::Io { path: self.path.clone(), source })
    }
}

fn read_at_most(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + length as u64) {
            Ok(0) => break,
            Ok(n) => length += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

impl Iterator for Reader {
    type Item = Result<String, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            while let Some(line) = self.lines.pop_front() {
                match self.see(&line) {
                    // It is JSON, so it is UTF-8.
                    Ok(true) => return Some(Ok(String::from_utf8_lossy(&line).into_owned())),
                    Ok(false) => {}
                    Err(error) => return Some(Err(error)),
                }
            }
            if self.broken {
                return None;
            }
            match self.fill() {
                Ok(true) => {}
                Ok(false) if self.follow => std::thread::sleep(POLL),
                Ok(false) => return None,
                Err(error) => {
                    self.broken = true;
                    return Some(Err(error));
                }
            }
        }
    }
}
