//! The agents of the fleet: what they are doing, what they said, and their end.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use hyper::StatusCode;
use nanoclaw_request::CellId;
use serde::Serialize;

use super::Api;
use super::answer::{self, Answer, Fault};
use super::call::no_such_cell;
use super::enter::blocking;
use crate::fleet::Status;
use crate::svid;

/// Longest part of an agent's log that is given at once, in bytes.
const MAX_LOG_BYTES: u64 = 1024 * 1024;

/// What is known of an agent: what `nanoclaw ps` says, and more.
#[derive(Serialize)]
struct Agent {
    #[serde(flatten)]
    status: Status,
    identity: Option<svid::Shown>,
    generation: u64,
}

impl Api {
    fn shown(&self, status: Status) -> Agent {
        let identity = CellId::parse(&status.id).ok().and_then(|id| self.plane.identities.shown(&id));
        Agent { identity, generation: self.plane.policies.current().number(), status }
    }

    pub(super) async fn agents(&self) -> Result<Answer, Fault> {
        let all: Vec<Agent> = self.fleet.status().await.into_iter().map(|status| self.shown(status)).collect();
        Ok(answer::json(StatusCode::OK, &all))
    }

    pub(super) async fn agent(&self, id: &CellId) -> Result<Answer, Fault> {
        let found = self.fleet.status().await.into_iter().find(|status| status.id == id.as_str());
        let status = found.ok_or_else(|| no_such_cell(id.as_str()))?;
        Ok(answer::json(StatusCode::OK, &self.shown(status)))
    }

    pub(super) async fn logs(&self, id: &CellId, lines: usize) -> Result<Answer, Fault> {
        let path = self.fleet.log(id).ok_or_else(|| no_such_cell(id.as_str()))?;
        let text = blocking(move || end_of(&path, lines)).await?;
        let text = text.map_err(|error| Fault::failed(format_args!("log of agent `{id}`: {error}")))?;
        Ok(answer::whole(StatusCode::OK, "text/plain; charset=utf-8", text))
    }

    pub(super) fn stop(&self, id: &CellId) -> Result<Answer, Fault> {
        if self.fleet.stop(id) { Ok(under_way()) } else { Err(no_such_cell(id.as_str())) }
    }

    pub(super) async fn reset_labels(&self, id: &CellId) -> Result<Answer, Fault> {
        let done = crate::control::forget(&self.plane, id).await;
        done.map_err(|error| Fault::failed(format_args!("what agent `{id}` has read is not forgotten: {error}")))?;
        self.agent(id).await
    }

    pub(super) fn down(&self) -> Result<Answer, Fault> {
        self.fleet.stop_all();
        Ok(under_way())
    }
}

fn under_way() -> Answer {
    answer::whole(StatusCode::ACCEPTED, "application/json", "")
}

/// The last lines of a file, at most so many and [`MAX_LOG_BYTES`]; bytes that are not UTF-8 are replaced.
fn end_of(path: &Path, lines: usize) -> io::Result<String> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        // It has said nothing yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MAX_LOG_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(MAX_LOG_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let body = text.strip_suffix('\n').unwrap_or(&text);
    let start = body.rmatch_indices('\n').nth(lines.saturating_sub(1)).map_or(0, |(at, _)| at + 1);
    Ok(text.get(start..).unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_a_log_are_given() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        assert_eq!(end_of(&path, 3).unwrap(), "");
        std::fs::write(&path, b"one\ntwo\xff\nthree\n").unwrap();
        assert_eq!(end_of(&path, 1).unwrap(), "three\n");
        assert_eq!(end_of(&path, 2).unwrap(), "two\u{fffd}\nthree\n");
        assert_eq!(end_of(&path, 9).unwrap(), "one\ntwo\u{fffd}\nthree\n");
        std::fs::write(&path, "half").unwrap();
        assert_eq!(end_of(&path, 1).unwrap(), "half");
        std::fs::write(&path, "x".repeat(3 * 1024 * 1024)).unwrap();
        assert_eq!(end_of(&path, 1).unwrap().len(), 1024 * 1024);
    }
}
