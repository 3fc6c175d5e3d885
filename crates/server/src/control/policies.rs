//! What operators do about policy: have the configuration read again, and have what an agent has read forgotten.

use std::io;
use std::os::fd::OwnedFd;

use nanoclaw_audit::{Fact, Note, Outcome, Ticket};
use nanoclaw_request::{CellId, Refusal, RefusalCode, Stage};
use nanoclaw_sandbox::wire;

use super::Answer;
use crate::plane::Plane;
use crate::reload::Reload;

/// Longest reason in bytes why a configuration was not taken; `nanoclaw config check` says all of it.
const LONGEST_WHY: usize = 8 * 1024;

/// Reads the configuration again. Gives the answer, and what stands beside it.
pub(super) async fn reload(reload: &Reload, ticket: Ticket, dry_run: bool) -> io::Result<(Answer, Option<OwnedFd>)> {
    let done = if dry_run { reload.rehearse(ticket).await } else { reload.carry_out(ticket).await };
    match done.map_err(io::Error::other)? {
        Ok(reloaded) => Ok((Answer::Reloaded, Some(wire::to_memory(&reloaded)?))),
        Err(error) => {
            let mut why = error.to_string();
            why.truncate(why.floor_char_boundary(LONGEST_WHY));
            Ok((Answer::Refused(why), None))
        }
    }
}

/// Forgets what an agent has read.
pub(super) async fn reset_labels(plane: &Plane, ticket: Ticket, cell: &str) -> io::Result<Answer> {
    let done = match CellId::parse(cell) {
        Ok(id) => forget(plane, &id).await,
        Err(error) => Err(io::Error::other(error)),
    };
    let (outcome, answer) = match done {
        Ok(()) => (Outcome::default(), Answer::Done),
        Err(error) => {
            let reason = format!("what agent `{cell}` has read is not forgotten: {error}");
            let (stage, code) = (Stage::Act, RefusalCode::Unreachable);
            let refusal = Refusal { stage, code, reason: reason.clone(), help: String::new() };
            (Outcome::failed(refusal), Answer::Refused(reason))
        }
    };
    plane.recorder.outcome(ticket, outcome).await.map_err(io::Error::other)?;
    Ok(answer)
}

/// That it is forgotten is on record before it is.
pub(crate) async fn forget(plane: &Plane, id: &CellId) -> io::Result<()> {
    let fact = Fact::LabelsReset { cell: id.clone(), from: plane.sessions.label(id) };
    plane.recorder.note(Note::of_control(fact)).await.map_err(io::Error::other)?;
    plane.recorder.flush().await.map_err(io::Error::other)?;
    let (sessions, id) = (plane.sessions.clone(), id.clone());
    tokio::task::spawn_blocking(move || sessions.reset(&id)).await.map_err(io::Error::other)?
}
