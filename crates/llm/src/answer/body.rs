//! The body of a streamed answer towards the agent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;

/// Pieces that wait for an agent that reads slowly; when they are so many, the provider is read no further.
const WAITING: usize = 16;

/// A body that is fed through a channel. An error in it breaks the connection off.
pub(super) struct Fed(mpsc::Receiver<io::Result<Bytes>>);

/// A body, and where its pieces go in.
pub(super) fn fed() -> (mpsc::Sender<io::Result<Bytes>>, Fed) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (sender, Fed(receiver))
}

impl Body for Fed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
