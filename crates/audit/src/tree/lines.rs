//! The lines of the log on their way into the tree: those that are on disk, in order, each once.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use nanoclaw_tlog::bundle::seq;
use nanoclaw_tlog::canonical::canonical;
use rustix::fs::FlockOperation;

use super::TreeError;
use crate::files::{CURRENT, HEAD, LOCK, finished_name, finished_segments};
use crate::log::Head;

/// Where the log has been read up to.
pub(super) struct Lines {
    path: PathBuf,
    place: Place,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    /// The first record of the segment; 0 before anything was read.
    segment: u64,
    /// Where the next line of it begins.
    offset: u64,
}

/// A segment, and how much of it is on disk.
struct Segment {
    first: u64,
    file: File,
    bytes: u64,
}

impl Lines {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), place: Place::default() }
    }

    /// Gives the canonical form of each record behind the record `after` that is on disk. Lines that are no records, and
    /// records out of order, were put there by something else: readers report the first, verification both.
    pub(super) fn take(
        &mut self,
        mut after: u64,
        mut give: impl FnMut(&[u8]) -> Result<(), TreeError>,
    ) -> Result<(), TreeError> {
        for segment in self.segments(after)? {
            let offset = if self.place.segment == segment.first { self.place.offset } else { 0 };
            let failed = |source| TreeError::Io { path: finished_name(segment.first), source };
            let mut reader = BufReader::new(&segment.file);
            reader.seek(SeekFrom::Start(offset)).map_err(failed)?;
            let mut reader = reader.take(segment.bytes.saturating_sub(offset));
            let (mut line, mut end) = (Vec::new(), offset);
            loop {
                line.clear();
                let length = reader.read_until(b'\n', &mut line).map_err(failed)?;
                if line.pop() != Some(b'\n') {
                    break;
                }
                end += length as u64;
                if let Some(seq) = seq(&line).filter(|seq| *seq > after)
                    && let Ok(entry) = canonical(&line)
                {
                    give(&entry)?;
                    after = seq;
                }
            }
            self.place = Place { segment: segment.first, offset: end };
        }
        Ok(())
    }

    /// The segments that hold what stands behind the place that was read up to, or behind the record `after`.
    fn segments(&self, after: u64) -> Result<Vec<Segment>, TreeError> {
        // No batch and no rotation takes place while the head is read and the segments are opened.
        let lock = File::open(self.path.join(LOCK)).map_err(TreeError::io(LOCK))?;
        rustix::io::retry_on_intr(|| rustix::fs::flock(&lock, FlockOperation::LockShared))
            .map_err(|errno| TreeError::Io { path: LOCK.to_owned(), source: errno.into() })?;
        let mut text = [0; Head::LEN];
        let head = File::open(self.path.join(HEAD)).map_err(TreeError::io(HEAD))?;
        // Without a head nothing counts yet: the next batch mends it.
        let Some(head) = head.read_exact_at(&mut text, 0).ok().and_then(|()| Head::parse(str::from_utf8(&text).ok()?))
        else {
            return Ok(Vec::new());
        };
        let finished = finished_segments(&self.path).map_err(TreeError::io("."))?;
        let begin = finished.iter().rposition(|first| *first <= self.place.segment.max(after)).unwrap_or(0);
        let mut segments = Vec::new();
        for first in finished.into_iter().skip(begin) {
            let name = finished_name(first);
            let file = File::open(self.path.join(&name)).map_err(TreeError::io(&name))?;
            segments.push(Segment { first, bytes: file.metadata().map_err(TreeError::io(&name))?.len(), file });
        }
        let file = File::open(self.path.join(CURRENT)).map_err(TreeError::io(CURRENT))?;
        segments.push(Segment { first: head.first, file, bytes: head.bytes });
        Ok(segments)
    }
}
