//! What is withheld from models, at the control socket: people look at it and decide.

use std::io;
use std::os::fd::OwnedFd;

use nanoclaw_audit::Outcome;
use nanoclaw_gate::{Person, QuarantineError, Shelf, State};
use nanoclaw_request::{CellId, Refusal, RefusalCode, Stage};
use nanoclaw_sandbox::wire;

use super::Answer;
use crate::plane::Plane;

/// What is withheld from an agent's model; one text with what it says, or all without. Gives the outcome, the answer and what
/// stands beside it.
pub(super) async fn look(
    plane: &Plane,
    cell: &str,
    id: Option<String>,
) -> io::Result<(Outcome, Answer, Option<OwnedFd>)> {
    let quarantine = plane.sessions.quarantine(&CellId::parse(cell).map_err(io::Error::other)?);
    let looked = tokio::task::spawn_blocking(move || match id {
        Some(id) => quarantine.show(&id).map(|withheld| Shelf { withheld: vec![withheld], unkept: 0 }),
        None => quarantine.shelf(),
    });
    match looked.await.map_err(io::Error::other)? {
        Ok(shelf) => Ok((Outcome::default(), Answer::Withheld, Some(wire::to_memory(&shelf)?))),
        Err(error) => {
            let (outcome, answer) = failed(&error);
            Ok((outcome, answer, None))
        }
    }
}

/// `person` decides on a text.
pub(super) async fn decide(
    plane: &Plane,
    cell: &str,
    id: String,
    release: bool,
    person: &Person,
) -> io::Result<(Outcome, Answer)> {
    let quarantine = plane.sessions.quarantine(&CellId::parse(cell).map_err(io::Error::other)?);
    let (state, by) = (if release { State::Released } else { State::Dropped }, person.name().to_owned());
    let decided = tokio::task::spawn_blocking(move || quarantine.decide(&id, state, &by));
    Ok(match decided.await.map_err(io::Error::other)? {
        Ok(()) => (Outcome::default(), Answer::Done),
        Err(error) => failed(&error),
    })
}

fn failed(error: &QuarantineError) -> (Outcome, Answer) {
    let reason = error.to_string();
    let (stage, code) = (Stage::Act, RefusalCode::Unreachable);
    let refusal = Refusal { stage, code, reason: reason.clone(), help: String::new() };
    (Outcome::failed(refusal), Answer::Refused(reason))
}
