//! Leaving when told to, also while whoever reads our output does not.
//!
//! A command that talks has one thread, and writing waits for as long as the reader wants. What is told to such a process
//! (Ctrl-C, SIGTERM) is then heard here.

use std::io;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::select;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::sleep;

/// How long the command may take to leave by itself.
const LONGEST_GOODBYE: Duration = Duration::from_secs(1);

/// Sees to it, until it is dropped, that the process ends soon after one of its signals.
#[derive(Debug)]
pub struct Leave {
    _done: oneshot::Sender<()>,
}

impl Leave {
    /// From now on, for these signals. The exit status is 128 and the signal's number.
    ///
    /// # Errors
    /// There is no thread, or no way to hear of signals.
    pub fn upon(kinds: &[SignalKind]) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let told: Vec<(SignalKind, Signal)> =
            kinds.iter().map(|kind| Ok((*kind, signal(*kind)?))).collect::<io::Result<_>>()?;
        drop(entered);
        let (done, mut is_done) = oneshot::channel();
        std::thread::Builder::new().name("leave".to_owned()).spawn(move || {
            runtime.block_on(async {
                let number = select! {
                    number = first(told) => number,
                    _ = &mut is_done => return,
                };
                select! {
                    () = sleep(LONGEST_GOODBYE) => std::process::exit(128 + number),
                    _ = is_done => {}
                }
            });
        })?;
        Ok(Self { _done: done })
    }
}

/// The number of the signal that comes first.
async fn first(told: Vec<(SignalKind, Signal)>) -> i32 {
    let mut told = told;
    std::future::poll_fn(|context| {
        for (kind, signal) in &mut told {
            if signal.poll_recv(context).is_ready() {
                return std::task::Poll::Ready(kind.as_raw_value());
            }
        }
        std::task::Poll::Pending
    })
    .await
}
