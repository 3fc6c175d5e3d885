//! What a server sends, counted before anything is made of it.
//!
//! Two bounds hold for both transports. A message that is too long is dropped, and the call that waits for it is told;
//! the server goes on. A server that sends far more than any call can need is cut off.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, ReadBuf};

/// Longest message of a server in bytes.
pub(crate) const MAX_MESSAGE: usize = 4 * 1024 * 1024;

/// Most bytes that a server may send from the beginning of one call to the beginning of the next.
pub(crate) const MAX_TRAFFIC: u64 = 64 * 1024 * 1024;

/// What is known about a running server. Shared with the tasks that read from it.
#[derive(Debug)]
pub(super) struct Watch {
    left: AtomicU64,
    flooded: AtomicBool,
    changed: AtomicBool,
    dropped: tokio::sync::watch::Sender<()>,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            left: AtomicU64::new(MAX_TRAFFIC),
            flooded: AtomicBool::new(false),
            changed: AtomicBool::new(false),
            dropped: tokio::sync::watch::Sender::new(()),
        }
    }
}

impl Watch {
    /// A call begins.
    pub(super) fn begin(&self) {
        self.left.store(MAX_TRAFFIC, Ordering::Relaxed);
    }

    /// Whether the server was cut off.
    pub(super) fn flooded(&self) -> bool {
        self.flooded.load(Ordering::Relaxed)
    }

    /// Tells when a message was dropped, or the server cut off, from now on.
    pub(super) fn dropped(&self) -> tokio::sync::watch::Receiver<()> {
        self.dropped.subscribe()
    }

    /// What is said where `what` was dropped.
    pub(super) fn dropped_what(&self, what: &str) -> String {
        if self.flooded() { FLOOD.to_owned() } else { format!("{what} is longer than {MAX_MESSAGE} bytes") }
    }

    /// The server has other tools than before.
    pub(super) fn change(&self) {
        self.changed.store(true, Ordering::Relaxed);
    }

    /// Whether it has had other tools since this was last asked.
    pub(super) fn take_change(&self) -> bool {
        self.changed.swap(false, Ordering::Relaxed)
    }

    fn received(&self, bytes: usize) -> io::Result<()> {
        let bytes = bytes as u64;
        let left = |left: u64| left.checked_sub(bytes);
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left) {
            Ok(_) => Ok(()),
            Err(_) => {
                self.flood();
                Err(io::Error::other(FLOOD))
            }
        }
    }

    /// The server is cut off.
    pub(super) fn flood(&self) {
        self.flooded.store(true, Ordering::Relaxed);
        self.drop_message();
    }

    /// A message is not read, because it is too long.
    pub(super) fn drop_message(&self) {
        self.dropped.send_replace(());
    }
}

/// What is said of a server that was cut off.
pub(super) const FLOOD: &str = "it sent far more than it was asked for, and was cut off";

/// What is said of a message that was dropped.
pub(super) fn too_long() -> String {
    format!("the answer is longer than {MAX_MESSAGE} bytes and was dropped; ask for less at once")
}

/// How messages are told from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// Each is a line.
    Lines,
    /// Each is an event: lines up to an empty one (server-sent events, WHATWG HTML section 9.2.6).
    Events,
}

/// The length of the message that is being received, over the pieces that it comes in.
#[derive(Debug)]
struct Length {
    framing: Framing,
    message: usize,
    /// Whether there is nothing in its line yet.
    empty: bool,
}

impl Length {
    const fn new(framing: Framing) -> Self {
        Self { framing, message: 0, empty: true }
    }

    /// Takes the next piece; says whether a message in it has become too long with it.
    fn grow(&mut self, piece: &[u8]) -> bool {
        let mut too_long = false;
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let before = self.message;
            self.message = self.message.saturating_add(part.len());
            too_long |= before <= MAX_MESSAGE && self.message > MAX_MESSAGE;
            self.empty &= part.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
            if part.ends_with(b"\n") {
                if self.empty || self.framing == Framing::Lines {
                    self.message = 0;
                }
                self.empty = true;
            }
        }
        too_long
    }
}

/// The standard output of a server. Its reader drops the lines that are too long.
pub(super) struct Lines<R> {
    reader: R,
    watch: Arc<Watch>,
    length: Length,
}

impl<R> Lines<R> {
    pub(super) fn new(reader: R, watch: Arc<Watch>) -> Self {
        Self { reader, watch, length: Length::new(Framing::Lines) }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Lines<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.reader).poll_read(cx, buf))?;
        let piece = buf.filled().get(before..).unwrap_or_default();
        this.watch.received(piece.len())?;
        if this.length.grow(piece) {
            this.watch.drop_message();
        }
        Poll::Ready(Ok(()))
    }
}

/// The body of a response with events. It ends at an event that is too long.
pub(super) struct Events {
    body: Incoming,
    watch: Arc<Watch>,
    length: Length,
}

impl Events {
    pub(super) fn new(body: Incoming, watch: Arc<Watch>) -> Self {
        Self { body, watch, length: Length::new(Framing::Events) }
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        let Some(frame) = ready!(Pin::new(&mut this.body).poll_frame(cx)) else { return Poll::Ready(None) };
        let frame = frame.map_err(io::Error::other)?;
        if let Some(piece) = frame.data_ref() {
            this.watch.received(piece.len())?;
            if this.length.grow(piece) {
                this.watch.drop_message();
                return Poll::Ready(Some(Err(io::Error::other(too_long()))));
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After which pieces a message was too long.
    fn reports(framing: Framing, pieces: &[&[u8]]) -> Vec<bool> {
        let mut length = Length::new(framing);
        pieces.iter().map(|piece| length.grow(piece)).collect()
    }

    #[test]
    fn a_long_message_is_reported_once_however_it_comes() {
        let most = vec![b'x'; MAX_MESSAGE];
        let more = [most.as_slice(), b"yy\nnext\n"].concat();
        assert_eq!(
            reports(Framing::Lines, &[&most, b"y", b"zzz", b"\n", b"next\n"]),
            [false, true, false, false, false]
        );
        assert_eq!(reports(Framing::Lines, &[&more]), [true]);
        assert_eq!(reports(Framing::Lines, &[&[most.as_slice(), b"\n"].concat()]), [true]);
        assert_eq!(reports(Framing::Lines, &[most.get(1..).unwrap(), b"\n", b"ok\n"]), [false; 3]);
        assert_eq!(reports(Framing::Events, &[&most, b"\ndata: x\n", b"\n", &most]), [false, true, false, false]);
    }

    #[test]
    fn an_event_goes_on_over_lines_until_an_empty_one() {
        let half = [b"data: ".as_slice(), &vec![b'x'; MAX_MESSAGE / 2], b"\r\n"].concat();
        assert_eq!(reports(Framing::Events, &[&half, &half]), [false, true]);
        assert_eq!(reports(Framing::Events, &[&half, b"\r", b"\n", &half]), [false; 4]);
        assert_eq!(reports(Framing::Events, &[&half, b"\n", &half]), [false; 3]);
        assert_eq!(reports(Framing::Lines, &[&half, &half]), [false; 2]);
    }

    #[test]
    fn a_flood_is_cut_off_and_a_call_begins_anew() {
        let watch = Watch::default();
        let most = usize::try_from(MAX_TRAFFIC).unwrap();
        assert!(watch.received(most).is_ok());
        watch.begin();
        assert!(watch.received(most - 1).is_ok());
        assert!(!watch.flooded());
        assert!(watch.received(2).is_err());
        assert!(watch.flooded());
    }
}
