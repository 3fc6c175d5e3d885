//! Searching the whole log. It has no index that could be wrong: all cores read it as fast as the disk gives it.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use memchr::memmem::Finder;
use memchr::{memchr, memrchr};
use serde::Deserialize;

use crate::ResultKind;
use crate::files::{CURRENT, finished_name, finished_segments};
use crate::read::{LONGEST_LINE, ReadError};
use crate::text::json_line;

/// What one thread reads at once, in bytes.
const PIECE: u64 = 8 << 20;
/// Most threads: this bounds memory to some 64 MiB.
const MOST_THREADS: usize = 8;

/// Which records are wanted. An absent field means any.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// The `agent_id`.
    pub agent: Option<String>,
    /// The `action`.
    pub action: Option<String>,
    /// The `result`.
    pub result: Option<ResultKind>,
    /// A text that stands somewhere in the record, in this spelling.
    pub text: Option<String>,
    /// Not before this.
    pub from: Option<Timestamp>,
    /// Before this.
    pub to: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Seen<'a> {
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    agent_id: Cow<'a, str>,
    #[serde(borrow)]
    action: Cow<'a, str>,
    #[serde(borrow)]
    result: Cow<'a, str>,
}

/// Gives the records that `query` wants, oldest first, each as its line without the end, until no more are wanted. Records
/// that are written in the meantime may be among them. Gives how many lines are no records, of those that had to be read.
///
/// # Errors
/// There is no log, or it cannot be read.
pub fn search(dir: &Path, query: &Query, mut give: impl FnMut(&str) -> ControlFlow<()>) -> Result<u64, ReadError> {
    let pieces = pieces(dir)?;
    let search = Search::new(query);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let mut broken = 0;
    for group in pieces.chunks(threads) {
        let found: Vec<io::Result<Found>> = std::thread::scope(|scope| {
            let threads: Vec<_> = group.iter().map(|piece| scope.spawn(|| search.piece(piece))).collect();
            let failed = |_| Err(io::Error::other("the search has failed"));
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(failed)).collect()
        });
        for (found, piece) in found.into_iter().zip(group) {
            let found = found.map_err(|source| ReadError::Io { path: piece.path.clone(), source })?;
            broken += found.broken;
            for line in &found.lines {
                if give(line).is_break() {
                    return Ok(broken);
                }
            }
        }
    }
    Ok(broken)
}

/// A part of a segment: the lines that begin in it.
struct Piece {
    path: PathBuf,
    file: Arc<File>,
    start: u64,
    end: u64,
}

fn pieces(dir: &Path) -> Result<Vec<Piece>, ReadError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => ReadError::Missing(path),
            _ => ReadError::Io { path, source },
        }
    };
    // First the current one, then the list: one that is finished in the meantime is in both, and read once.
    let current = dir.join(CURRENT);
    let last = File::open(&current).map_err(failed(dir))?;
    let mut segments = Vec::new();
    for first in finished_segments(dir).map_err(failed(dir))? {
        let path = dir.join(finished_name(first));
        let file = File::open(&path).map_err(failed(&path))?;
        if !same(&file, &last).map_err(failed(&path))? {
            segments.push((path, file));
        }
    }
    segments.push((current, last));
    let mut pieces = Vec::new();
    for (path, file) in segments {
        let length = file.metadata().map_err(failed(&path))?.len();
        let file = Arc::new(file);
        for start in (0..length).step_by(PIECE as usize) {
            let end = length.min(start + PIECE);
            pieces.push(Piece { path: path.clone(), file: Arc::clone(&file), start, end });
        }
    }
    Ok(pieces)
}

fn same(one: &File, two: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let (one, two) = (one.metadata()?, two.metadata()?);
    Ok((one.dev(), one.ino()) == (two.dev(), two.ino()))
}

impl Piece {
    /// Its lines, whole.
    fn read(&self) -> io::Result<Vec<u8>> {
        // The byte before it says whether a line begins at its first.
        let from = self.start.saturating_sub(1);
        let mut bytes = vec![0; (self.end - from) as usize];
        self.file.read_exact_at(&mut bytes, from)?;
        let begin = match self.start {
            0 => 0,
            _ => memchr(b'\n', &bytes).map_or(bytes.len(), |at| at + 1),
        };
        // The last line may end behind it.
        while bytes.len() > begin && bytes.last() != Some(&b'\n') {
            let old = bytes.len();
            bytes.resize(old + (1 << 16), 0);
            let read = self.file.read_at(bytes.get_mut(old..).unwrap_or_default(), from + old as u64)?;
            bytes.truncate(old + read);
            let end = bytes.get(old..).and_then(|new| memchr(b'\n', new)).map(|at| old + at + 1);
            match end {
                Some(end) => bytes.truncate(end),
                // Half a line at the end of the log is being written.
                None if read == 0 => bytes.truncate(memrchr(b'\n', &bytes).map_or(0, |at| at + 1)),
                None if bytes.len() - (self.end - from) as usize > LONGEST_LINE => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is too long to be a record"));
                }
                None => {}
            }
        }
        Ok(bytes.split_off(begin.min(bytes.len())))
    }
}

#[derive(Default)]
struct Found {
    lines: Vec<String>,
    broken: u64,
}

struct Search<'a> {
    query: &'a Query,
    /// What every wanted line holds, for the quick look.
    needle: Option<Finder<'static>>,
    text: Option<Finder<'static>>,
}

impl<'a> Search<'a> {
    fn new(query: &'a Query) -> Self {
        let json = |text: &str| {
            let mut line = Vec::new();
            // Writing to a Vec cannot fail, and a text is JSON.
            let _ = json_line(&text, &mut line);
            String::from_utf8_lossy(&line).trim_end().to_owned()
        };
        let field = |name: &str, value: &str| format!("\"{name}\":{}", json(value));
        let text = query.text.as_deref().map(|text| json(text).trim_matches('"').to_owned());
        let needle = text
            .clone()
            .or_else(|| query.agent.as_deref().map(|agent| field("agent_id", agent)))
            .or_else(|| query.action.as_deref().map(|action| field("action", action)))
            .or_else(|| query.result.map(|result| field("result", result.name())));
        let finder = |text: &String| Finder::new(text.as_bytes()).into_owned();
        Self { query, needle: needle.as_ref().map(finder), text: text.as_ref().map(finder) }
    }

    fn piece(&self, piece: &Piece) -> io::Result<Found> {
        let bytes = piece.read()?;
        let (mut found, mut rest) = (Found::default(), bytes.as_slice());
        loop {
            let at = match &self.needle {
                Some(needle) => needle.find(rest),
                None => (!rest.is_empty()).then_some(0),
            };
            let Some(at) = at else { return Ok(found) };
            let begin = rest.get(..at).and_then(|before| memrchr(b'\n', before)).map_or(0, |at| at + 1);
            let Some(end) = rest.get(at..).and_then(|behind| memchr(b'\n', behind)).map(|end| at + end) else {
                return Ok(found);
            };
            match rest.get(begin..end).and_then(|line| str::from_utf8(line).ok()) {
                Some(line) => match self.wants(line) {
                    Some(true) => found.lines.push(line.to_owned()),
                    Some(false) => {}
                    None => found.broken += 1,
                },
                None => found.broken += 1,
            }
            rest = rest.get(end + 1..).unwrap_or_default();
        }
    }

    /// Whether a line is wanted; `None` where it is no record.
    fn wants(&self, line: &str) -> Option<bool> {
        let Seen { timestamp, agent_id, action, result } = serde_json::from_str(line).ok()?;
        let Query { agent, action: wanted, result: kind, text: _, from, to } = self.query;
        let like = agent.as_ref().is_none_or(|agent| *agent == agent_id)
            && wanted.as_ref().is_none_or(|wanted| *wanted == action)
            && kind.is_none_or(|kind| kind.name() == result)
            && self.text.as_ref().is_none_or(|text| text.find(line.as_bytes()).is_some());
        if !like || (from.is_none() && to.is_none()) {
            return Some(like);
        }
        let at: Timestamp = timestamp.parse().ok()?;
        Some(from.is_none_or(|from| from <= at) && to.is_none_or(|to| at < to))
    }
}
