//! The launcher, for tasks: requests go in from anywhere, events come out at the cell they are about.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use nanoclaw_sandbox::cgroup::Usage;
use nanoclaw_sandbox::plan::LaunchPlan;
use nanoclaw_sandbox::{CellSpec, InitHandle, LauncherEvent, LauncherHandle, StepError};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot, watch};

use crate::readiness;
use crate::say;

/// What happens to one cell, as the launcher sees it.
#[derive(Debug)]
pub(crate) enum LaunchEvent {
    Launched(InitHandle),
    Failed(StepError),
    Gone { usage: Usage },
}

#[derive(Default)]
struct Waiting {
    cells: HashMap<u64, mpsc::UnboundedSender<LaunchEvent>>,
    usage: HashMap<u64, Vec<oneshot::Sender<Usage>>>,
}

/// The running launcher. Cheap to clone.
#[derive(Clone)]
pub struct Launcher {
    handle: Arc<AsyncFd<LauncherHandle>>,
    waiting: Arc<Mutex<Waiting>>,
    lost: Arc<watch::Sender<bool>>,
}

impl Launcher {
    /// Takes the forked launcher over into the runtime and serves its events until the runtime ends.
    pub fn new(handle: LauncherHandle) -> io::Result<Self> {
        let launcher =
            Self { handle: Arc::new(readiness::watch(handle)?), waiting: Arc::default(), lost: Arc::default() };
        tokio::spawn(launcher.clone().serve());
        Ok(launcher)
    }

    /// Which limits control groups enforce here, or why none.
    pub fn cgroups(&self) -> &nanoclaw_sandbox::cgroup::Support {
        self.handle.get_ref().cgroups()
    }

    pub(crate) fn plan(&self, spec: &CellSpec) -> Result<LaunchPlan, StepError> {
        self.handle.get_ref().plan(spec)
    }

    /// Asks for a cell; what happens to it comes out of the channel.
    pub(crate) fn prepare(&self, plan: &LaunchPlan) -> io::Result<(u64, mpsc::UnboundedReceiver<LaunchEvent>)> {
        // Held across the request, so that the answer cannot come before somebody waits for it.
        let mut waiting = self.waiting();
        let n = self.handle.get_ref().prepare(plan)?;
        let (sender, receiver) = mpsc::unbounded_channel();
        waiting.cells.insert(n, sender);
        Ok((n, receiver))
    }

    pub(crate) async fn usage(&self, n: u64) -> Usage {
        let (sender, receiver) = oneshot::channel();
        self.waiting().usage.entry(n).or_default().push(sender);
        if self.handle.get_ref().ask_usage(n).is_err() {
            return Usage::default();
        }
        receiver.await.unwrap_or_default()
    }

    pub(crate) fn kill(&self, n: u64) -> io::Result<()> {
        self.handle.get_ref().kill(n)
    }

    /// Waits until the launcher is gone, which it is before its time only when somebody killed it. No cell outlives it.
    pub async fn lost(&self) {
        let mut lost = self.lost.subscribe();
        // The sender lives as long as `self`.
        let _lives = lost.wait_for(|lost| *lost).await.is_err();
    }

    async fn serve(self) {
        // The end of the launcher is the end of every cell: their channels close with `waiting`.
        while let Ok(Some(event)) = self.handle.async_io(Interest::READABLE, LauncherHandle::event).await {
            let mut waiting = self.waiting();
            match event {
                LauncherEvent::Launched { n, init } => tell(&mut waiting, n, LaunchEvent::Launched(init)),
                LauncherEvent::Failed { n, error } => tell(&mut waiting, n, LaunchEvent::Failed(error)),
                LauncherEvent::Usage { n, usage } => {
                    for asker in waiting.usage.remove(&n).unwrap_or_default() {
                        let _asker_left = asker.send(usage).is_err();
                    }
                }
                LauncherEvent::Gone { n, usage, .. } => {
                    tell(&mut waiting, n, LaunchEvent::Gone { usage });
                    waiting.cells.remove(&n);
                }
            }
        }
        *self.waiting() = Waiting::default();
        say("the launcher is gone, and every cell with it");
        self.lost.send_replace(true);
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(waiting: &mut Waiting, n: u64, event: LaunchEvent) {
    if let Some(cell) = waiting.cells.get(&n) {
        let _cell_left = cell.send(event).is_err();
    }
}
