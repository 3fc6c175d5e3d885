//! Bodies of answers, which may come slowly or never end.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

/// The script asked for the connection to be dropped here.
#[derive(Debug, thiserror::Error)]
#[error("the script cuts the connection here")]
pub struct Cut;

/// A body.
pub struct Reply {
    writes: VecDeque<Bytes>,
    /// Of the whole body, where the answer says it in advance.
    length: Option<u64>,
    gap: Option<Duration>,
    cut: bool,
    wait: Wait,
}

/// What happens before the next write.
enum Wait {
    Nothing,
    /// Being polled again only later makes the server send what it has: an error would discard that.
    Flush,
    Time(Pin<Box<Sleep>>),
}

impl Reply {
    /// A body of known length; with `cut`, only its first half comes.
    pub fn whole(body: impl Into<Bytes>, cut: bool) -> Self {
        let mut body = body.into();
        let length = Some(body.len() as u64);
        if cut {
            body.truncate(body.len() / 2);
        }
        Self { writes: [body].into(), length, gap: None, cut, wait: Wait::Nothing }
    }

    /// A stream of events; with `gap`, each on its own and so long after the one before; with `cut`, only so many.
    pub fn stream(mut events: Vec<String>, gap: Option<Duration>, cut: Option<usize>) -> Self {
        if let Some(cut) = cut {
            events.truncate(cut);
        }
        let writes = match gap {
            Some(_) => events.into_iter().map(Bytes::from).collect(),
            None => [Bytes::from(events.concat())].into(),
        };
        Self { writes, length: None, gap, cut: cut.is_some(), wait: Wait::Nothing }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match &mut self.wait {
            Wait::Nothing => {}
            Wait::Flush => {
                self.wait = Wait::Nothing;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Wait::Time(time) => {
                ready!(time.as_mut().poll(context));
                self.wait = Wait::Nothing;
            }
        }
        let Some(write) = self.writes.pop_front() else {
            return Poll::Ready(self.cut.then_some(Err(Cut)));
        };
        self.wait = match self.gap {
            Some(gap) if !gap.is_zero() && !self.writes.is_empty() => Wait::Time(Box::pin(sleep(gap))),
            _ if !self.writes.is_empty() || self.cut => Wait::Flush,
            _ => Wait::Nothing,
        };
        Poll::Ready(Some(Ok(Frame::data(write))))
    }

    fn is_end_stream(&self) -> bool {
        self.writes.is_empty() && !self.cut
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
