//! The kernel door: system calls of a cell that the seccomp filter hands over for a decision or for the record.
//!
//! The kernel's own layers (read-only mounts, permissions, Landlock, namespaces) remain what enforces; this door knows
//! what they will answer, says so in the log, and closes the calls that no cell may make.

use std::sync::Arc;

use nanoclaw_audit::{AuditError, Recorded, Recorder};
use nanoclaw_identity::CellSockets;
use nanoclaw_policy::{Engine, Verdict};
use nanoclaw_request::{Action, Arrived, Door, Syscall};
use nanoclaw_sandbox::notify::{self, Answer, CellView, DecodeError, Decoded, Event, Listener, Notification};

use crate::readiness::watch;

/// Serves until the last process of the cell is gone. An error of the recorder ends it, and with the listener closed
/// the kernel answers every such call with ENOSYS.
pub(crate) async fn serve(
    listener: Listener,
    view: CellView,
    sockets: CellSockets,
    engine: Arc<Engine>,
    recorder: Recorder,
) -> Result<(), AuditError> {
    let Ok(listener) = watch(listener) else { return Ok(()) };
    loop {
        let Ok(mut ready) = listener.readable().await else { return Ok(()) };
        match ready.try_io(|listener| listener.get_ref().receive()) {
            Ok(Ok(Event::Call(call))) => decide(listener.get_ref(), &call, &view, &sockets, &engine, &recorder).await?,
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
    sockets: &CellSockets,
    engine: &Engine,
    recorder: &Recorder,
) -> Result<(), AuditError> {
    let Decoded { action, answer } = match notify::decode(listener, call, view) {
        Ok(Some(decoded)) => decoded,
        Ok(None) => return reply(listener, call, Answer::Continue),
        Err(DecodeError::Gone) => return Ok(()),
        // What cannot be put on record is not done.
        Err(error @ DecodeError::Unreadable { .. }) => Decoded {
            action: Action::Syscall(Syscall { name: format!("number {}", call.number), detail: error.to_string() }),
            answer: Answer::Errno(EPERM),
        },
    };
    let identified = sockets.identify(Arrived::now(Door::Kernel, ()));
    let verdict = match identified.propose(|()| Ok(action)) {
        Ok(proposal) => engine.authorise(proposal),
        Err(declined) => Verdict::Refused(declined),
    };
    let answer = match recorder.record(verdict).await? {
        Recorded::Proceed(warrant) => {
            let (_action, _ticket) = warrant.spend();
            answer
        }
        Recorded::Stop(_) => match answer {
            Answer::Errno(errno) => Answer::Errno(errno),
            Answer::Continue => Answer::Errno(EPERM),
        },
    };
    reply(listener, call, answer)
}

const EPERM: i32 = rustix::io::Errno::PERM.raw_os_error();

/// Answers; a caller that is gone needs none.
fn reply(listener: &Listener, call: &Notification, answer: Answer) -> Result<(), AuditError> {
    if let Err(error) = listener.answer(call.id, answer) {
        eprintln!("nanoclaw: cannot answer a system call of a cell: {error}");
    }
    Ok(())
}
