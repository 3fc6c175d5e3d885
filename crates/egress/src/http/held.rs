//! A request body that is held whole until it is known that it may leave.

use tokio::time::timeout;

use crate::inspect::chunked::{ChunkedBody, content};
use crate::inspect::head::{Framing, RequestHead};
use crate::leaving::{Leaving, too_large};
use crate::path::{Stop, cause, malformed};
use crate::wire::{Wire, write_all};
use crate::{DoorLimits, Inner};

use nanoclaw_request::Refusal;

/// A body as it came, with its framing.
pub(super) struct Held(pub(super) Vec<u8>);

/// Reads the body behind a head, and says whether it may leave.
pub(super) async fn hold(
    door: &Inner,
    wire: &mut Wire,
    head: &RequestHead,
    leaving: &Leaving,
) -> Result<Result<Held, Refusal>, Stop> {
    if matches!(head.framing, Framing::None | Framing::Length(0)) {
        return Ok(Ok(Held(Vec::new())));
    }
    let most = door.limits.held_body;
    if matches!(head.framing, Framing::Length(length) if length > most as u64) {
        return Ok(Err(too_large(most)));
    }
    // Nobody else answers that before the body is here.
    if head.waits_to_continue() && write_all(&wire.stream, b"HTTP/1.1 100 Continue\r\n\r\n").await.is_err() {
        return Err(Stop::Gone);
    }
    let whole = tokio::select! {
        whole = whole(wire, head.framing, &door.limits) => whole?,
        () = door.gone() => return Err(Stop::Gone),
    };
    let raw = match whole {
        Ok(raw) => raw,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let judged = match head.framing {
        Framing::Chunked => leaving.body(&content(&raw)).await,
        Framing::None | Framing::Length(_) | Framing::UntilClose => leaving.body(&raw).await,
    };
    Ok(judged.map(|()| Held(raw)))
}

/// All bytes of a body, or why it cannot be had.
async fn whole(wire: &mut Wire, framing: Framing, limits: &DoorLimits) -> Result<Result<Vec<u8>, Refusal>, Stop> {
    let mut chunks = ChunkedBody::of_request();
    let mut raw = Vec::new();
    loop {
        let mut reader = wire.reader();
        let (here, done) = match framing {
            Framing::Length(length) => {
                let left = usize::try_from(length).unwrap_or(usize::MAX) - raw.len();
                let here = left.min(reader.ahead.len());
                (here, here == left)
            }
            _ => match chunks.advance(reader.ahead) {
                Ok(here) => (here, chunks.is_done()),
                Err(error) => return Ok(Err(malformed(error.to_string(), ""))),
            },
        };
        raw.extend_from_slice(reader.ahead.get(..here).unwrap_or_default());
        reader.consume(here);
        if raw.len() > limits.held_body {
            return Ok(Err(too_large(limits.held_body)));
        }
        if done {
            return Ok(Ok(raw));
        }
        match timeout(limits.idle, reader.read_more()).await {
            Ok(Ok(1..)) => {}
            Ok(Ok(0)) | Err(_) => return Err(Stop::Gone),
            Ok(Err(error)) => {
                let why = format!("the body of the request ended early: {}", cause(&error));
                return Ok(Err(malformed(why, "")));
            }
        }
    }
}
