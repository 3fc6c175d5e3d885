//! What waits for people's answers, at the control socket.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use nanoclaw_audit::{Outcome, Warrant};
use nanoclaw_gate::{Answer as Said, Desk, Person};
use nanoclaw_identity::Caller;
use nanoclaw_request::{Action, Approve, Refusal};
use nanoclaw_sandbox::wire;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;

use super::Answer;
use super::server::{answer, too_many};
use crate::plane::Plane;

/// Most operators who watch for questions at once; more are refused.
pub(super) const MOST_WATCHERS: usize = 16;

/// What an answer is for policy and record.
///
/// # Errors
/// There is no such question, so that nobody knows which agent it is about.
pub(super) fn propose(desk: &Desk, id: &str, digest: &str, said: &Said) -> Result<Action, (Action, Refusal)> {
    let about = desk.about(id);
    let approve = Approve {
        question: id.to_owned(),
        digest: digest.to_owned(),
        cell: about.clone().unwrap_or_default(),
        answer: said.name(),
    };
    match about {
        Some(_) => Ok(Action::Approve(approve)),
        None => Err((Action::Approve(approve), nanoclaw_gate::DeskError::Unknown(id.to_owned()).refusal())),
    }
}

/// The operator who may do it.
pub(super) fn person(warrant: &Warrant) -> Person {
    match warrant.caller() {
        Caller::Operator(operator) => Person::from(&operator.name),
        Caller::Cell { .. } | Caller::Schedule { .. } | Caller::Webhook { .. } => Person::from(""),
    }
}

/// Gives an answer, and records what came of it.
pub(super) async fn give(
    plane: &Plane,
    warrant: Warrant,
    (id, digest): (&str, &str),
    said: Said,
    connection: &AsyncFd<OwnedFd>,
) -> io::Result<()> {
    let by = person(&warrant);
    let (_action, ticket) = warrant.spend();
    let (outcome, told) = match plane.desk.answer(by, id, digest, said) {
        Ok(answered) => (Outcome::default(), Answer::Answered(answered)),
        Err(error) => (Outcome::failed(error.refusal()), Answer::Refused(error.to_string())),
    };
    plane.recorder.outcome(ticket, outcome).await.map_err(io::Error::other)?;
    answer(connection, &told, &[])
}

/// Lists what waits.
pub(super) fn list(desk: &Desk, connection: &AsyncFd<OwnedFd>) -> io::Result<()> {
    let list = wire::to_memory(&desk.waiting())?;
    answer(connection, &Answer::Questions, &[list.as_fd()])
}

/// Writes each question as it comes, and first those that wait, as JSON lines to a socket, until its other end is closed.
pub(super) async fn watch(
    plane: &Plane,
    warrant: Warrant,
    watchers: &Arc<Semaphore>,
    connection: &AsyncFd<OwnedFd>,
) -> io::Result<()> {
    let (_action, ticket) = warrant.spend();
    let Ok(_own) = watchers.try_acquire() else {
        let refusal = too_many(MOST_WATCHERS, "operators watch for questions");
        let told = Answer::Refused(refusal.to_string());
        plane.recorder.outcome(ticket, Outcome::failed(refusal)).await.map_err(io::Error::other)?;
        return answer(connection, &told, &[]);
    };
    let (ours, theirs) = UnixStream::pair()?;
    let theirs = theirs.into_std()?;
    // Whoever reads it does so without a runtime.
    theirs.set_nonblocking(false)?;
    answer(connection, &Answer::Events, &[theirs.as_fd()])?;
    drop(theirs);
    plane.recorder.outcome(ticket, Outcome::default()).await.map_err(io::Error::other)?;
    let (mut reader, mut writer) = ours.into_split();
    let mut changes = plane.desk.changes();
    let mut told = BTreeSet::new();
    let tell = async {
        loop {
            let waiting = plane.desk.waiting();
            told.retain(|id| waiting.iter().any(|question| question.id == *id));
            for question in waiting {
                let mut line = serde_json::to_vec(&question)?;
                line.push(b'\n');
                if told.insert(question.id) {
                    writer.write_all(&line).await?;
                }
            }
            changes.changed().await.map_err(io::Error::other)?;
        }
    };
    let mut byte = [0];
    tokio::select! {
        told = tell => told,
        // Nothing is expected from there but its end.
        _ = reader.read(&mut byte) => Ok(()),
    }
}
