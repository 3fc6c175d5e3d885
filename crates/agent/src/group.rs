//! The processes of a program that the agent started.

use rustix::process::{Pid, Signal, kill_process_group};

/// A process group, which is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Group(Pid);

impl Group {
    /// The group of a child that was started in one of its own (`process_group(0)`) and not yet waited for.
    pub(crate) fn of(child: &tokio::process::Child) -> Option<Self> {
        child.id().and_then(|id| Pid::from_raw(id.cast_signed())).map(Self)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The number stays the group's own while any process is in it. When none is, nothing is there to be killed: no
        // process of this cell can have got the number in the instant since the program was waited for.
        let _ = kill_process_group(self.0, Signal::KILL);
    }
}
