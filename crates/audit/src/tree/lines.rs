//! The lines of the log on their way into the tree: those that are on disk, in order, each once.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nanoclaw_tlog::bundle::seq;
use nanoclaw_tlog::canonical::canonical;

use super::TreeError;
use crate::files::{CURRENT, HEAD, finished_name, finished_segments};
use crate::log::Head;

/// So often the segments are looked at while one is being finished, with a pause.
const ATTEMPTS: usize = 100;
const PAUSE: Duration = Duration::from_micros(200);

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

    /// Gives the canonical form of each record behind the record `after` that is on disk, until no more are wanted; whether
    /// that was so. Lines that are no records, and
    /// records out of order, were put there by something else: readers report the first, verification both.
    pub(super) fn take(
        &mut self,
        mut after: u64,
        mut give: impl FnMut(&[u8]) -> Result<ControlFlow<()>, TreeError>,
    ) -> Result<ControlFlow<()>, TreeError> {
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
                    after = seq;
                    if give(&entry)?.is_break() {
                        self.place = Place { segment: segment.first, offset: end };
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
            self.place = Place { segment: segment.first, offset: end };
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The segments that hold what stands behind the place that was read up to, or behind the record `after`. Writers are
    /// not waited for, since there may always be one: what does not fit together is looked at again.
    fn segments(&self, after: u64) -> Result<Vec<Segment>, TreeError> {
        for _ in 0..ATTEMPTS {
            let Some(head) = self.head()? else { return Ok(Vec::new()) };
            if let Some(segments) = self.as_of(head, after)?
                && self.head()?.is_some_and(|again| again.first == head.first)
            {
                return Ok(segments);
            }
            std::thread::sleep(PAUSE);
        }
        // As a crash has left it: the next batch mends it.
        Ok(Vec::new())
    }

    /// Where the log ends; `None` where that cannot be read, and nothing counts until the next batch has mended it.
    fn head(&self) -> Result<Option<Head>, TreeError> {
        let read = || -> io::Result<Option<Head>> {
            let mut text = [0; Head::LEN];
            let length = File::open(self.path.join(HEAD))?.read_at(&mut text, 0)?;
            Ok(text.get(..length).and_then(|text| Head::parse(str::from_utf8(text).ok()?)))
        };
        let head = read().map_err(TreeError::io(HEAD))?;
        // A head that is being written may be half old and half new.
        Ok(head.filter(|head| {
            read().is_ok_and(|again| again.is_some_and(|again| again.first == head.first && again.last >= head.last))
        }))
    }

    /// The segments as the head has them; `None` where they are others, because one is just being finished.
    fn as_of(&self, head: Head, after: u64) -> Result<Option<Vec<Segment>>, TreeError> {
        let current = match File::open(self.path.join(CURRENT)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(TreeError::io(CURRENT)(error)),
        };
        if current.metadata().map_err(TreeError::io(CURRENT))?.len() < head.bytes {
            return Ok(None);
        }
        let finished = finished_segments(&self.path).map_err(TreeError::io("."))?;
        if finished.last().is_some_and(|last| *last >= head.first) {
            return Ok(None);
        }
        let begin = finished.iter().rposition(|first| *first <= self.place.segment.max(after)).unwrap_or(0);
        let mut segments = Vec::new();
        for first in finished.into_iter().skip(begin) {
            let name = finished_name(first);
            let file = File::open(self.path.join(&name)).map_err(TreeError::io(&name))?;
            segments.push(Segment { first, bytes: file.metadata().map_err(TreeError::io(&name))?.len(), file });
        }
        segments.push(Segment { first: head.first, file: current, bytes: head.bytes });
        Ok(Some(segments))
    }
}
