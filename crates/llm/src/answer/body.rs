//! The body of a streamed answer towards the agent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Pieces that wait for an agent that reads slowly; when they are so many, the provider is read no further.
const WAITING: usize = 16;
/// How long an answer may wait for its agent while so many wait, all waits together; the agent counts as gone then. So it
/// holds a call no longer than this beyond the time that the provider has.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// A body that is fed through a channel. If that ends before the feeder says so, the connection is broken off: nobody
/// takes a part for the whole.
pub(super) struct Fed {
    pieces: mpsc::Receiver<Bytes>,
    whole: Arc<AtomicBool>,
}

/// Where its pieces go in.
pub(super) struct Feeder {
    pieces: mpsc::Sender<Bytes>,
    whole: Arc<AtomicBool>,
    /// How long it may still wait.
    patience: Duration,
}

/// The agent has left.
pub(super) struct Gone;

/// A body, and where its pieces go in.
pub(super) fn fed() -> (Feeder, Fed) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let whole = Arc::new(AtomicBool::new(false));
    let feeder = Feeder { pieces: sender, whole: Arc::clone(&whole), patience: LONGEST_PAUSE };
    (feeder, Fed { pieces: receiver, whole })
}

impl Feeder {
    /// Waits while the agent reads slowly.
    pub(super) async fn send(&mut self, piece: Bytes) -> Result<(), Gone> {
        if piece.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        let sent = self.pieces.send_timeout(piece, self.patience).await.map_err(|_| Gone);
        self.patience = self.patience.saturating_sub(begun.elapsed());
        sent
    }

    /// Is ready when the agent has left.
    pub(super) async fn closed(&self) {
        self.pieces.closed().await;
    }

    /// The last piece; the body is whole with it.
    pub(super) async fn finish(mut self, piece: Bytes) -> Result<(), Gone> {
        self.send(piece).await?;
        self.whole.store(true, Ordering::Release);
        Ok(())
    }
}

impl Body for Fed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(match ready!(self.pieces.poll_recv(context)) {
            Some(piece) => Some(Ok(Frame::data(piece))),
            None if self.whole.load(Ordering::Acquire) => None,
            None => Some(Err(io::Error::other("the answer is not whole"))),
        })
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_takes_a_piece_now_and_then_has_left_after_the_same_time() {
        let (mut feeder, mut body) = fed();
        let before = Instant::now();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LONGEST_PAUSE / 3 - Duration::from_secs(1)).await;
                body.frame().await.unwrap().unwrap();
            }
        });
        let mut sent = 0;
        while feeder.send(Bytes::from_static(b"x")).await.is_ok() {
            sent += 1;
        }
        assert_eq!((sent, before.elapsed()), (WAITING + 3, LONGEST_PAUSE));
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_takes_nothing_for_too_long_has_left() {
        let (mut feeder, _body) = fed();
        for _ in 0..WAITING {
            assert!(feeder.send(Bytes::from_static(b"x")).await.is_ok());
        }
        let before = Instant::now();
        assert!(feeder.send(Bytes::from_static(b"x")).await.is_err());
        assert_eq!(before.elapsed(), LONGEST_PAUSE);
    }

    #[tokio::test]
    async fn a_body_is_whole_only_if_its_feeder_says_so() {
        let (mut feeder, body) = fed();
        assert!(feeder.send(Bytes::from_static(b"a")).await.is_ok());
        assert!(feeder.finish(Bytes::from_static(b"b")).await.is_ok());
        assert_eq!(body.collect().await.unwrap().to_bytes(), "ab");

        let (mut feeder, body) = fed();
        assert!(feeder.send(Bytes::from_static(b"a")).await.is_ok());
        drop(feeder);
        assert!(body.collect().await.is_err());
    }
}
