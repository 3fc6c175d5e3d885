//! The one place that turns refusals and failures into bytes.

use std::time::Duration;

use nanoclaw_audit::AuditError;
use nanoclaw_request::{Refusal, RefusalCode};
use tokio::time::timeout;

use crate::path::Stop;
use crate::sniff::First;
use crate::wire::{Wire, finish_writing, write_all};

/// In which protocol a client can be told something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    /// HTTP/1, and it waits for a response.
    Http {
        /// The response has no body: the request was `HEAD`.
        bodiless: bool,
    },
    /// TLS, and its hello is unanswered.
    Tls,
    /// None that allows it: another protocol, or an answer is under way already.
    Nothing,
}

impl Speech {
    /// What a client with these first bytes understands.
    pub(crate) fn of(first: Option<&First>) -> Self {
        match first {
            Some(First::Http) => Speech::Http { bodiless: false },
            Some(First::Tls(_)) => Speech::Tls,
            Some(First::Opaque | First::Silent) | None => Speech::Nothing,
        }
    }
}

/// A fatal `access_denied` alert in a record of its own (RFC 8446 section 6).
const TLS_ACCESS_DENIED: [u8; 7] = [21, 3, 3, 0, 2, 2, 49];

/// Most bytes that a client may still send after it was told that it is refused.
const FAREWELL_BYTES: usize = 1024 * 1024;

/// Tells the client why it goes no further, as far as it can understand, and ends the connection. `farewell` is how
/// long the client has to read it.
pub(crate) async fn end(mut wire: Wire, speech: Speech, stop: Stop, farewell: Duration) -> Result<(), AuditError> {
    let (bytes, result) = match (stop, speech) {
        (Stop::Refused(refusal), Speech::Http { bodiless }) => (refused_page(&refusal, bodiless), Ok(())),
        (Stop::Refused(_), Speech::Tls) => (TLS_ACCESS_DENIED.to_vec(), Ok(())),
        (Stop::Failed(failure), Speech::Http { bodiless }) => (failed_page(&failure, bodiless), Ok(())),
        (Stop::Refused(_) | Stop::Failed(_), Speech::Nothing) | (Stop::Failed(_), Speech::Tls) | (Stop::Gone, _) => {
            (Vec::new(), Ok(()))
        }
        (Stop::Closed(error), _) => (Vec::new(), Err(error)),
    };
    if !bytes.is_empty() {
        // Whether or not the client listens, the connection ends.
        let _ = timeout(farewell, say_and_drain(&mut wire, &bytes)).await;
    }
    reset(&wire);
    result
}

/// Ends a connection on which everything has been said.
pub(crate) async fn finish(mut wire: Wire, farewell: Duration) {
    // A client that does not close in time is left behind.
    let _ = timeout(farewell, say_and_drain(&mut wire, b"")).await;
}

/// Makes the end of the connection a reset.
pub(crate) fn reset(wire: &Wire) {
    // Without the option the connection ends in an orderly way, which tells the client less but no more than that.
    let _ = wire.stream.set_zero_linger();
}

/// Writes, and reads on until the client has closed: a reset while it still sends could overtake the answer.
async fn say_and_drain(wire: &mut Wire, bytes: &[u8]) {
    if write_all(&wire.stream, bytes).await.is_err() {
        return;
    }
    finish_writing(&wire.stream);
    let mut drained = 0;
    let mut reader = wire.reader();
    while let Ok(count @ 1..) = reader.read_more().await {
        reader.consume(usize::MAX);
        drained += count;
        if drained > FAREWELL_BYTES {
            return;
        }
    }
}

fn refused_page(refusal: &Refusal, bodiless: bool) -> Vec<u8> {
    let status = if refusal.code == RefusalCode::Malformed { "400 Bad Request" } else { "403 Forbidden" };
    let mut text = format!("NanoClaw refused this request: {}\n", refusal.reason);
    if !refusal.help.is_empty() {
        text.push_str(&refusal.help);
        text.push('\n');
    }
    page(status, &format!("x-nanoclaw-refusal: {}", refusal.code.name()), &text, bodiless)
}

fn failed_page(failure: &Refusal, bodiless: bool) -> Vec<u8> {
    let status = if failure.code == RefusalCode::Malformed { "400 Bad Request" } else { "502 Bad Gateway" };
    let text = format!("NanoClaw allowed this request, but it could not be done: {}\n", failure.reason);
    page(status, &format!("x-nanoclaw-error: {}", failure.code.name()), &text, bodiless)
}

fn page(status: &str, field: &str, text: &str, bodiless: bool) -> Vec<u8> {
    let length = text.len();
    let body = if bodiless { "" } else { text };
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {length}\r\n{field}\r\n\
         connection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The answer to `CONNECT` once the way is open, or will be decided by what the client says next.
pub(crate) const TUNNEL_OPEN: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";
