//! The thread that lets the tree grow, at its own pace: nobody waits for it.

use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use super::{Tree, TreeOptions};
use crate::AuditError;
use crate::queue::Queue;

/// Ends the thread when it is dropped, after a last checkpoint.
pub(crate) struct Keeper {
    /// Closed to end it.
    ending: Mutex<Option<Sender<()>>>,
    thread: Option<JoinHandle<()>>,
    /// Entries that the newest checkpoint counts.
    pub(crate) size: watch::Receiver<u64>,
}

impl Keeper {
    /// Starts it. Nobody waits for the keys either: the self-test of ML-DSA takes longer than the start of a cell.
    pub(crate) fn start(path: PathBuf, options: TreeOptions, queue: Arc<Queue>) -> Result<Self, AuditError> {
        let (ending, ended) = channel::<()>();
        let (told, size) = watch::channel(0);
        let mut written = queue.written.subscribe();
        let directory = path.clone();
        let keep = move || {
            let mut tree = match Tree::open(&directory, &options) {
                Ok(tree) => tree,
                Err(error) => return queue.fail(error),
            };
            // What an earlier process has left comes first.
            let mut due = true;
            loop {
                let last = ended.recv_timeout(if due { Duration::ZERO } else { options.every })
                    == Err(RecvTimeoutError::Disconnected);
                due |= written.has_changed().unwrap_or(false);
                if due {
                    written.mark_unchanged();
                    match tree.advance() {
                        Ok((size, flow)) => {
                            told.send_replace(size);
                            due = flow.is_break();
                        }
                        Err(error) => {
                            queue.fail(error);
                            return;
                        }
                    }
                }
                if last && !due {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("audit-tree".to_owned()).spawn(keep);
        let thread = thread.map_err(|error| AuditError::Open { path, source: Arc::new(error) })?;
        Ok(Self { ending: Mutex::new(Some(ending)), thread: Some(thread), size })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Ok(ending) = self.ending.get_mut() {
            *ending = None;
        }
        if let Some(thread) = self.thread.take() {
            // It ends with an error only if it panicked; then the last checkpoint is missing, which the next one mends.
            let _ = thread.join();
        }
    }
}
