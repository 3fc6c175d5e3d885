//! A good answer, on its way.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::Failure;
use super::failure::Reporter;

/// Longest body of an answer, in bytes.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// An answer whose status says that the call succeeded.
#[derive(Debug)]
pub struct Answer {
    /// The status, from 200 to 299.
    pub status: u16,
    /// Whether the body consists of server-sent events. A provider may answer with a whole body where a stream was
    /// asked for.
    pub events: bool,
    /// How many attempts it took, this one included.
    pub attempts: u32,
    /// The body.
    pub body: AnswerBody,
}

/// The body of an answer. Dropping it before its end closes the connection, so that the provider can stop.
#[derive(Debug)]
pub struct AnswerBody {
    /// `None` once it has ended or failed.
    incoming: Option<Incoming>,
    /// Bytes that may still come.
    left: usize,
    idle: Duration,
    deadline: Instant,
    reporter: Reporter,
}

impl AnswerBody {
    pub(super) fn new(incoming: Incoming, idle: Duration, deadline: Instant, reporter: Reporter) -> Self {
        Self { incoming: Some(incoming), left: MAX_ANSWER_BYTES, idle, deadline, reporter }
    }

    /// The next piece, never an empty one; `None` at the end. After an error there is nothing more.
    ///
    /// # Errors
    /// The connection broke, nothing came for too long, the whole took too long or is longer than [`MAX_ANSWER_BYTES`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        let piece = self.next().await;
        if !matches!(piece, Ok(Some(_))) {
            self.incoming = None;
        }
        piece
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let Some(incoming) = &mut self.incoming else { return Ok(None) };
        let until = self.deadline.min(Instant::now() + self.idle);
        loop {
            let frame = match tokio::time::timeout_at(until, incoming.frame()).await {
                Err(_) if until == self.deadline => return Err(self.reporter.too_long()),
                Err(_) => return Err(self.reporter.silent(self.idle)),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return Err(self.reporter.broken_off(&error)),
                Ok(Some(Ok(frame))) => frame,
            };
            // Trailers say nothing that the dialects know.
            let Ok(data) = frame.into_data() else { continue };
            if data.is_empty() {
                continue;
            }
            self.left = self.left.checked_sub(data.len()).ok_or_else(|| self.reporter.too_large())?;
            return Ok(Some(data));
        }
    }
}
