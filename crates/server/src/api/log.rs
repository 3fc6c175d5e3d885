//! The audit log: pages of it, and its records as they are written.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName, HeaderValue, LINK};
use nanoclaw_audit::{Filter, Outcome, ReadError, Reader, Ticket};
use nanoclaw_identity::Operator;
use nanoclaw_request::{Action, Refusal, RefusalCode, Stage};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::answer::{self, Answer, Fault};
use super::call::{Following, LAST_SEQ, Page};
use super::caller::{Lasting, Shown};
use super::enter::blocking;
use super::places::Place;
use super::{Api, MOST_STREAMS, MOST_STREAMS_OF_ONE, guard};

/// Most records that one page looks through; where few suit, the next page goes on behind them.
const MOST_LOOKED_AT: u64 = 100_000;
/// Longest page in bytes, but for its last record.
const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Records that wait for somebody who reads slowly; then the reading of the log waits.
const WAITING: usize = 64;
/// Records that are read from the log at once.
const AT_ONCE: usize = 64;
/// How long a stream is silent at most: what lies between may give connections up that are silent for longer.
const SILENCE: Duration = Duration::from_secs(15);
/// How often a stream looks for what other processes wrote.
const LOOK: Duration = Duration::from_secs(1);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The record behind which a client wants to go on.
pub(super) fn resumed(headers: &HeaderMap) -> Result<Option<u64>, Fault> {
    match guard::only(headers, LAST_EVENT_ID)? {
        None | Some("") => Ok(None),
        Some(text) => match text.parse() {
            Ok(seq @ 0..=LAST_SEQ) => Ok(Some(seq)),
            _ => Err(Fault::malformed("`Last-Event-ID` is not the number of a record", "leave it out")),
        },
    }
}

impl Api {
    /// A page of the log.
    pub(super) async fn page(&self, page: Page) -> Result<Answer, Fault> {
        let directory = self.plane.state.audit();
        let mut next = String::new();
        if let Some(agent) = &page.filter.agent {
            next.push_str(&format!("&agent={}", percent(agent)));
        }
        if let Some(result) = page.filter.result {
            next.push_str(&format!("&result={result}"));
        }
        next.push_str(&format!("&limit={}", page.limit));
        let read = blocking(move || read(&directory, page)).await?;
        let (lines, more) = read.map_err(Fault::failed)?;
        let mut answer = answer::whole(StatusCode::OK, "application/x-ndjson", lines);
        if let Some(from) = more {
            let link = format!("</v1/audit?from={from}{next}>; rel=\"next\"");
            // Escaped, so it can stand in a field.
            if let Ok(link) = HeaderValue::try_from(link) {
                answer.headers_mut().insert(LINK, link);
            }
        }
        Ok(answer)
    }

    /// The records of the log as they are written.
    pub(super) async fn follow(
        &self,
        (action, ticket): (Action, Ticket),
        (operator, shown): (Operator, Shown),
        following: Following,
    ) -> Result<Answer, Fault> {
        let who = shown.is_elsewhere().then(|| shown.name());
        let Some(place) = self.streams.take(who.as_deref()) else {
            let refusal = Refusal {
                stage: Stage::Act,
                code: RefusalCode::Limit,
                reason: format!(
                    "{MOST_STREAMS} streams of events are open, or {MOST_STREAMS_OF_ONE} of yours, and there can be no more"
                ),
                help: "close one, or try again".to_owned(),
            };
            return self.finished(ticket, Err(refusal.into())).await;
        };
        let mut written = self.plane.recorder.written();
        let after = match following.after {
            Some(after) => after,
            None => {
                // The record of this request is the last that is not told.
                self.plane.recorder.flush().await.map_err(Fault::failed)?;
                *written.borrow_and_update()
            }
        };
        let directory = self.plane.state.audit();
        let filter = following.filter;
        let opened = blocking(move || Reader::open_behind(&directory, filter, after)).await?;
        let reader = match opened {
            Ok(reader) => reader,
            Err(error) => return self.finished(ticket, Err(Fault::failed(error))).await,
        };
        let (events, heard) = mpsc::channel(WAITING);
        let Some(api) = self.itself.upgrade() else { return Err(Fault::failed("the control plane ends")) };
        let stream = Stream { events, written, _place: place };
        tokio::spawn(async move {
            tokio::select! {
                () = stream.run(reader) => {}
                () = api.until_over(&shown, &operator, &action, Lasting::Events) => {}
            }
            let recorded = api.plane.recorder.outcome(ticket, Outcome::default()).await;
            if let Err(error) = recorded {
                crate::say(format_args!("the end of a stream of events cannot be recorded: {error}"));
            }
        });
        Ok(answer::events(heard))
    }
}

/// Records on their way to somebody who follows the log.
struct Stream {
    events: mpsc::Sender<Bytes>,
    written: watch::Receiver<u64>,
    _place: Place,
}

impl Stream {
    async fn run(mut self, mut reader: Reader) {
        let mut spoken = Instant::now();
        loop {
            let (back, records) = match blocking(move || next(reader)).await {
                Ok(read) => read,
                Err(_) => return,
            };
            reader = back;
            let Ok(records) = records else { return };
            let some = !records.is_empty();
            for (seq, record) in records {
                if self.events.send(answer::event(Some(seq), &record)).await.is_err() {
                    return;
                }
                spoken = Instant::now();
            }
            if spoken.elapsed() >= SILENCE {
                spoken = Instant::now();
                if self.events.send(Bytes::from_static(b": nothing new\n\n")).await.is_err() {
                    return;
                }
            }
            if !some {
                tokio::select! {
                    _ = timeout(LOOK, self.written.changed()) => {}
                    () = self.events.closed() => return,
                }
            }
        }
    }
}

/// The records that come next.
fn next(mut reader: Reader) -> (Reader, Result<Vec<(u64, String)>, ReadError>) {
    let mut records = Vec::new();
    while records.len() < AT_ONCE {
        match reader.next() {
            Some(Ok(record)) => records.push((reader.position(), record)),
            // Something else changed the file. The reader goes on behind it.
            Some(Err(ReadError::NotARecord { .. })) => {}
            Some(Err(error)) => return (reader, Err(error)),
            None => break,
        }
    }
    (reader, Ok(records))
}

/// The lines of a page, and where the next one begins, if there may be one.
fn read(directory: &Path, Page { after, filter, limit }: Page) -> Result<(Vec<u8>, Option<u64>), ReadError> {
    let mut reader = Reader::open_behind(directory, Filter::default(), after)?;
    let (mut lines, mut count, mut looked) = (Vec::new(), 0, 0);
    while count < limit && lines.len() < MAX_PAGE_BYTES && looked < MOST_LOOKED_AT {
        match reader.next() {
            Some(Ok(record)) => {
                looked += 1;
                if filter.wants(&record) {
                    lines.extend_from_slice(record.as_bytes());
                    lines.push(b'\n');
                    count += 1;
                }
            }
            Some(Err(ReadError::NotARecord { .. })) => {}
            Some(Err(error)) => return Err(error),
            None => return Ok((lines, None)),
        }
    }
    Ok((lines, Some(reader.position() + 1)))
}

/// A text as it can stand in a query.
fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
