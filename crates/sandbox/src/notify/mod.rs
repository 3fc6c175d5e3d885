//! Calls that the kernel hands to the control plane for a decision (seccomp_unotify(2)): what a cell tries to write, to
//! run, or to call although it may not.
//!
//! [`Listener`] receives and answers; [`decode`] turns a [`Notification`] into an [`Action`] for the audit log, and
//! proposes the answer. It reads the path out of the caller's memory, walks it inside the cell's root, and predicts
//! what the kernel will say: `EROFS` on a read-only mount, `EACCES` and `EPERM` by owner and mode bits.
//!
//! The prediction makes the record and nothing else. Between the answer "go on" and the call itself another thread of
//! the cell can put a different path into the same memory, so nothing here can be a wall; the walls are read-only
//! mounts, file permissions and Landlock, which look at the call that really happens. What a prediction leaves out is
//! therefore harmless: where it cannot know (an ACL, groups that cannot be read), it says "go on". An answer that is
//! an error is always final, because the kernel then makes no call.
//!
//! Reading another process needs access as for ptrace: the control plane is root, or it owns the cell's user namespace
//! and the caller is dumpable.

mod describe;
mod listener;
mod locate;
mod predict;
mod process;
pub mod request;
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::OwnedFd;

use nanoclaw_config::SandboxMode;
use nanoclaw_request::{Action, Exec, FileWrite, Syscall};

pub use listener::{Answer, Event, Listener, Notification};

use crate::seccomp::{self, Outcome};
use locate::Locator;
use predict::Prediction;
use process::Process;
use request::Subject;

/// Most arguments of a program that are put on record, and most bytes of each.
const ARGUMENTS: usize = 32;
const ARGUMENT: usize = 512;

/// What is needed to see files as a cell sees them.
#[derive(Debug)]
pub struct CellView {
    root: OwnedFd,
    mode: SandboxMode,
    uid: u32,
    gid: u32,
}

impl CellView {
    /// A cell with this mode whose `/` is `root` (`O_PATH` suffices), and whose only user and group are `uid` and
    /// `gid` on the host.
    pub fn new(root: OwnedFd, mode: SandboxMode, uid: u32, gid: u32) -> Self {
        Self { root, mode, uid, gid }
    }
}

/// A call that belongs on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// What is tried.
    pub action: Action,
    /// The same about the old name of what is moved, or gets another name: that place changes too.
    pub beside: Option<Action>,
    /// What to answer. It is an error exactly where the action has an obstacle or may never be done, and so is refused
    /// by policy.
    pub answer: Answer,
}

/// Why a notification could not be decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The caller died, or a signal took it away. There is nobody left to answer.
    #[error("the caller is gone")]
    Gone,
    /// The caller's memory or state cannot be read. [`Answer::Continue`] is a safe answer for a call that
    /// [`crate::seccomp::evaluate`] says to ask about: the walls stand without the record.
    #[error("cannot read process `{pid}`, which waits in a system call")]
    Unreadable {
        /// Host pid.
        pid: u32,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Says what a notified call is about. `None`: nothing that belongs on record, because it changes and runs nothing (a
/// path that does not exist, a device, a pipe); answer [`Answer::Continue`], and the kernel gives the ordinary result.
pub fn decode(listener: &Listener, call: &Notification, cell: &CellView) -> Result<Option<Decoded>, DecodeError> {
    let decoded = examine(call, cell);
    // The kernel reuses pids, but not while a call waits: if it still does, all that was read was the caller's.
    if !listener.is_waiting(call.id) {
        return Err(DecodeError::Gone);
    }
    decoded.map_err(|source| DecodeError::Unreadable { pid: call.pid, source })
}

fn examine(call: &Notification, cell: &CellView) -> io::Result<Option<Decoded>> {
    let refused = seccomp::evaluate(cell.mode, call.number, &call.arguments) == Outcome::Refuse;
    let locator = Locator::new(call.pid, cell);
    Ok(match request::subject(call.number, &call.arguments) {
        Subject::File(change) => {
            let prediction = if refused {
                Prediction::forbidden(locator.name(&change.place)?, libc::EPERM)
            } else {
                predict::file(&locator, &change)?
            };
            prediction.into_decoded(|path, obstacle| {
                Action::FileWrite(FileWrite { operation: change.operation, path, obstacle })
            })
        }
        Subject::Exec(place) => {
            let prediction = if refused {
                Prediction::forbidden(locator.name(&place)?, libc::EPERM)
            } else {
                predict::exec(&locator, cell.mode, &place)?
            };
            let list = request::arguments(call.number, &call.arguments);
            let command = Process::new(call.pid).strings(list, ARGUMENTS, ARGUMENT);
            prediction.into_decoded(|path, obstacle| Action::Exec(Exec { path, command: command.clone(), obstacle }))
        }
        Subject::Other => {
            let (name, detail) = describe::describe(call.number, &call.arguments);
            let action = Action::Syscall(Syscall { name, detail });
            Some(Decoded { action, beside: None, answer: Answer::Errno(libc::EPERM) })
        }
    })
}
