//! The kernel door: system calls of a cell that the seccomp filter hands over for a decision or for the record.
//!
//! The kernel's own layers (read-only mounts, permissions, Landlock, namespaces) remain what enforces; this door knows
//! what they will answer, says so in the log, and closes the calls that no cell may make.

use std::sync::{Arc, Mutex, PoisonError};

use nanoclaw_audit::{AuditError, Recorded};
use nanoclaw_gate::Gate;
use nanoclaw_identity::CellSockets;
use nanoclaw_request::{Action, Arrived, Door, Exec, Syscall};
use nanoclaw_sandbox::notify::{self, Answer, CellView, DecodeError, Decoded, Event, Listener, Notification};

use crate::readiness::watch;
use crate::say;

/// The program that a cell's init is starting at this moment, if any.
#[derive(Clone, Debug)]
pub(crate) struct Starting {
    init: u32,
    program: Arc<Mutex<Option<Vec<String>>>>,
}

impl Starting {
    /// Of the cell with this init.
    pub(crate) fn of(init: i32) -> Self {
        Self { init: init.unsigned_abs(), program: Arc::default() }
    }

    /// Says what is being started; `None` when it runs or failed.
    pub(crate) fn set(&self, program: Option<Vec<String>>) {
        *self.program.lock().unwrap_or_else(PoisonError::into_inner) = program;
    }

    /// Whether a program is being started.
    pub(crate) fn is_busy(&self) -> bool {
        self.program().is_some()
    }

    fn program(&self) -> Option<Vec<String>> {
        self.program.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The parent of a process, as the host sees it.
fn parent(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// Serves until the last process of the cell is gone. An error of the recorder ends it, and with the listener closed
/// the kernel answers every such call with ENOSYS.
pub(crate) async fn serve(
    listener: Listener,
    view: CellView,
    starting: Starting,
    sockets: CellSockets,
    gate: Gate,
) -> Result<(), AuditError> {
    let Ok(listener) = watch(listener) else { return Ok(()) };
    loop {
        let Ok(mut ready) = listener.readable().await else { return Ok(()) };
        match ready.try_io(|listener| listener.get_ref().receive()) {
            Ok(Ok(Event::Call(call))) => decide(listener.get_ref(), &call, &view, &starting, &sockets, &gate).await?,
            Ok(Ok(Event::Vanished)) | Err(_) => {}
            // The cell is gone.
            Ok(Ok(Event::Over) | Err(_)) => return Ok(()),
        }
    }
}

async fn decide(
    listener: &Listener,
    call: &Notification,
    view: &CellView,
    starting: &Starting,
    sockets: &CellSockets,
    gate: &Gate,
) -> Result<(), AuditError> {
    // Init itself runs no code but ours, and opens nothing but a terminal of the cell. Where we have no privilege, it
    // is closed even to us.
    if call.pid == starting.init {
        return reply(listener, call, Answer::Continue);
    }
    let Decoded { action, beside, answer } = match notify::decode(listener, call, view) {
        Ok(Some(decoded)) => decoded,
        Ok(None) => return reply(listener, call, Answer::Continue),
        Err(DecodeError::Gone) => return Ok(()),
        // Init's own child on its way to becoming a program: a copy of the launcher, so nobody may look into it
        // without privilege. What it runs is what init was just told to run. Only that one is closed to us: an orphan of
        // the cell is init's child too, and can be unreadable for other reasons, such as a directory with too long a path.
        Err(DecodeError::Unreadable { source, .. })
            if source.kind() == std::io::ErrorKind::PermissionDenied
                && call.is_exec()
                && parent(call.pid) == Some(starting.init) =>
        {
            match starting.program() {
                Some(command) => {
                    let path = command.first().cloned().unwrap_or_default();
                    let action = Action::Exec(Exec { path, command, obstacle: None });
                    Decoded { action, beside: None, answer: Answer::Continue }
                }
                None => return reply(listener, call, Answer::Errno(EPERM)),
            }
        }
        // What cannot be put on record is not done.
        Err(error @ DecodeError::Unreadable { .. }) => {
            let (name, detail) = (format!("number {}", call.number), error.to_string());
            Decoded { action: Action::Syscall(Syscall { name, detail }), beside: None, answer: Answer::Errno(EPERM) }
        }
    };
    // What one name forbids is not put on record as allowed under the other.
    let passes = |action: &Action| gate.engine().would(action).is_ok_and(|would| would.asking.is_none());
    let beside = beside.filter(|_| passes(&action));
    for action in beside.into_iter().chain([action]) {
        let identified = sockets.identify(Arrived::now(Door::Kernel, ()));
        match gate.pass_at_once(identified.propose(|()| Ok(action))).await? {
            Recorded::Proceed(warrant) => {
                let (_action, _ticket) = warrant.spend();
            }
            Recorded::Stop(_) => {
                let refused = if answer == Answer::Continue { Answer::Errno(EPERM) } else { answer };
                return reply(listener, call, refused);
            }
        }
    }
    reply(listener, call, answer)
}

const EPERM: i32 = rustix::io::Errno::PERM.raw_os_error();

/// Answers; a caller that is gone needs none.
fn reply(listener: &Listener, call: &Notification, answer: Answer) -> Result<(), AuditError> {
    if let Err(error) = listener.answer(call.id, answer) {
        say(format_args!("cannot answer a system call of a cell: {error}"));
    }
    Ok(())
}
