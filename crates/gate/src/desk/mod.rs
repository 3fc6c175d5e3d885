//! Where questions wait for people.
//!
//! A question is about one try of one cell: an answer is for its id and for the digest of the whole request, is good once,
//! and ends with whoever waits. That it was asked is on record before anybody can answer; each answer is an action of its
//! own (`approve`) that whoever takes it in authorises and records before it comes here. When enough people agree, policy is
//! asked once more, since it may have changed.

mod arguments;
mod board;
mod digest;
mod habits;
mod person;
mod plain;
mod question;
mod show;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use nanoclaw_audit::{AuditError, Fact, Note, Recorder, shown};
use nanoclaw_config::Approvals;
use nanoclaw_identity::Caller;
use nanoclaw_policy::{Asked, Engine, Verdict};
use nanoclaw_request::{Action, CellId, Refusal, RefusalCode, SessionId, Stage};
use nanoclaw_vault::{digest as sha, random};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until};

use board::{Board, End, Request};
pub use person::Person;
pub use question::{Answer, Answered, DeskError, Ended, Question};

/// The questions of a fleet that wait for people. Clones are the same desk.
#[derive(Clone, Debug)]
pub struct Desk(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    board: Mutex<Board>,
    /// Counts what happens, for those who watch.
    changes: watch::Sender<u64>,
}

/// What came of a question.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) verdict: Verdict,
    /// What whoever asked is told instead of the refusal's help, and no log holds.
    pub(crate) told: Option<String>,
}

impl From<Verdict> for Settled {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, told: None }
    }
}

impl Default for Desk {
    fn default() -> Self {
        Self::closed()
    }
}

impl Desk {
    /// A desk at which questions wait as `approvals` says.
    pub fn new(approvals: Approvals) -> Self {
        let board = Mutex::new(Board::new(approvals));
        Self(Some(Arc::new(Inner { board, changes: watch::Sender::new(0) })))
    }

    /// A desk at which nobody can answer: what policy leaves to people is refused at once.
    pub fn closed() -> Self {
        Self(None)
    }

    /// What waits for an answer, in the order in which it was asked.
    pub fn waiting(&self) -> Vec<Question> {
        self.0.as_ref().map(|inner| inner.board().waiting(Instant::now())).unwrap_or_default()
    }

    /// The agent that a question is about, also for a while when it is over; `None` where there was no such question.
    pub fn about(&self, id: &str) -> Option<String> {
        self.0.as_ref().and_then(|inner| inner.board().about(id).map(str::to_owned))
    }

    /// Changes with each question that comes, each answer and each end.
    pub fn changes(&self) -> watch::Receiver<u64> {
        match &self.0 {
            Some(inner) => inner.changes.subscribe(),
            // Nothing ever comes.
            None => watch::Sender::new(0).subscribe(),
        }
    }

    /// The person `by` answers question `id`, having seen the request with this digest. Whoever calls this has authorised
    /// and recorded the answer, and records what comes of it.
    ///
    /// # Errors
    /// It does not count, and why.
    pub fn answer(&self, by: impl Into<Person>, id: &str, digest: &str, answer: Answer) -> Result<Answered, DeskError> {
        let Some(inner) = &self.0 else { return Err(DeskError::Unknown(id.to_owned())) };
        let answered = inner.board().answer(&by.into(), id, digest, answer, Instant::now());
        inner.changed();
        answered
    }

    /// Has these rules hold from now on. What waits does not become easier to approve than when it was asked.
    pub fn set(&self, approvals: Approvals) {
        if let Some(inner) = &self.0 {
            inner.board().set(approvals);
            inner.changed();
        }
    }

    /// Waits for people's answer. Dropped, the question is withdrawn.
    ///
    /// # Errors
    /// It cannot be recorded that it was asked.
    pub(crate) async fn settle(
        &self,
        engine: &Engine,
        recorder: &Recorder,
        asked: Asked,
    ) -> Result<Settled, AuditError> {
        let Some(inner) = &self.0 else {
            let help = "agents of `nanoclaw up` can wait for people";
            return Ok(refuse(asked, "nobody can be asked here", help).into());
        };
        let Caller::Cell { id: cell, session } = asked.proposal().caller() else {
            return Ok(refuse(asked, "people are asked about what agents do, and about nothing else", "").into());
        };
        let (cell, session) = (cell.clone(), *session);
        let mut place = match inner.place(engine, &asked, &cell, session) {
            Ok(Place::Agreed(people)) => return Ok(engine.agreed(asked, people).into()),
            Ok(Place::Waits(place)) => place,
            Err((code, why)) => {
                let reason = format!("{}; {why}", asked.why());
                let refusal = Refusal { stage: Stage::Authorise, code, reason, help: String::new() };
                return Ok(asked.decline(refusal).into());
            }
        };
        let id = place.question.id.clone();
        let mut waiting = Waiting { inner, recorder, cell, session, id, listed: false, how: Ended::Withdrawn };
        recorder.note(waiting.note(asked_of(&place.question))).await?;
        waiting.list();
        let end = tokio::select! {
            // An answer that was taken counts, also in the last moment; when the time is up, none is taken any more.
            biased;
            end = &mut place.answer => end.ok(),
            () = sleep_until(place.until) => None,
        };
        waiting.how = Ended::TimedOut;
        drop(waiting);
        Ok(match end {
            Some(End::Agreed(people)) => engine.agreed(asked, people).into(),
            Some(End::Denied { by, reason }) => {
                let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                refuse(asked, &format!("`{}` denied it{because}", shown(&by)), "").into()
            }
            Some(End::Edited { by, arguments }) => {
                let digest = sha::hex(&sha::sha256(arguments.as_bytes()));
                let told = told(asked.proposal().action(), &arguments, place.wait);
                let how = format!("`{}` wants it done with other arguments, sha256 {digest}", shown(&by));
                Settled { verdict: refuse(asked, &how, "the agent was told which"), told: Some(told) }
            }
            None => {
                let help = "the next try asks again; `nanoclaw approvals` shows what waits";
                refuse(asked, &format!("nobody answered within {}", words(place.wait)), help).into()
            }
        })
    }
}

/// What the agent is told of a changed call.
fn told(action: &Action, arguments: &str, wait: Duration) -> String {
    let tool = if let Action::ToolCall(call) = action { call.tool.as_str() } else { "it" };
    format!(
        "a person changed the arguments: to have it done, call `{tool}` once more within {}, with exactly these arguments: {arguments}",
        words(wait)
    )
}

fn refuse(asked: Asked, how: &str, help: &str) -> Verdict {
    let reason = format!("{}; {how}", asked.why());
    asked.decline(Refusal { stage: Stage::Authorise, code: RefusalCode::NotApproved, reason, help: help.to_owned() })
}

/// A time in words, in the largest unit that it is a whole number of.
fn words(time: Duration) -> String {
    let (seconds, millis) = (time.as_secs(), time.subsec_millis());
    match seconds {
        _ if millis > 0 => format!("{} ms", time.as_millis()),
        _ if seconds % 3600 == 0 => format!("{} h", seconds / 3600),
        _ if seconds % 60 == 0 => format!("{} m", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

/// What comes first of a proposal that people decide on.
enum Place {
    /// Those who changed it wanted just this, and they are enough.
    Agreed(Vec<String>),
    /// It waits.
    Waits(Box<Placed>),
}

struct Placed {
    question: Question,
    until: Instant,
    wait: Duration,
    answer: oneshot::Receiver<End>,
}

impl Inner {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn place(
        &self,
        engine: &Engine,
        asked: &Asked,
        cell: &CellId,
        session: SessionId,
    ) -> Result<Place, (RefusalCode, String)> {
        let action = asked.proposal().action();
        let Some(digest) = digest::of_request(cell, session, action) else {
            return Err((RefusalCode::NotApproved, format!("nobody can be asked about {}", action.name())));
        };
        let call = match action {
            Action::ToolCall(call) if !call.at_provider => {
                arguments::canonical(&call.written).map(|arguments| (call.tool.clone(), arguments))
            }
            _ => None,
        };
        let content = digest::of_content(cell, action).unwrap_or_default();
        let (resource, detail, why) = (show::resource(action), show::detail(action), show::text_of(asked.why()));
        let asked_at = Timestamp::now();
        let (now, mut board) = (Instant::now(), self.board());
        let Approvals { wait, people: needs, own } = board.approvals;
        let id = loop {
            let bytes = random::bytes::<4>().map_err(|error| (RefusalCode::Undecided, error.to_string()))?;
            let id = sha::hex(&bytes);
            if !board.knows(&id) {
                break id;
            }
        };
        let mut question = Question {
            id,
            digest,
            cell: cell.to_string(),
            action: action.name().to_owned(),
            resource,
            detail,
            why,
            policies: asked.policies().to_vec(),
            asked_at,
            expires_at: asked_at.checked_add(wait).unwrap_or(Timestamp::MAX),
            needs,
            approved_by: Vec::new(),
            requesters: engine.session().requesters(),
        };
        let wanted = call.as_ref().and_then(|(tool, arguments)| {
            board.take_edit(&digest::of_call(cell, session, tool, arguments), &question, asked.held(), now)
        });
        question.approved_by.extend(wanted.iter().map(|person| person.name().to_owned()));
        if !question.approved_by.is_empty() && question.approved_by.len() >= usize::from(needs) {
            return Ok(Place::Agreed(question.approved_by));
        }
        let tool = call.map(|(tool, _)| tool);
        let approved = wanted.into_iter().collect();
        let request = Request { cell: cell.clone(), session, tool, content, held: asked.held(), own, approved };
        let until = now + wait;
        let answer = board.put(question.clone(), request, (now, until))?;
        Ok(Place::Waits(Box::new(Placed { question, until, wait, answer })))
    }
}

fn asked_of(question: &Question) -> Fact {
    Fact::Asked {
        question: question.id.clone(),
        digest: question.digest.clone(),
        action: question.action.clone(),
        resource: question.resource.clone(),
        why: question.why.clone(),
        policies: question.policies.clone(),
        people: question.needs,
        requesters: question.requesters.clone(),
    }
}

/// A question's place at the desk. When it is dropped, nobody waits any more.
struct Waiting<'a> {
    inner: &'a Inner,
    recorder: &'a Recorder,
    cell: CellId,
    session: SessionId,
    id: String,
    listed: bool,
    /// How it ends, if nobody has answered.
    how: Ended,
}

impl Waiting<'_> {
    fn note(&self, fact: Fact) -> Note {
        Note::of_cell(self.cell.clone(), self.session, fact)
    }

    fn list(&mut self) {
        self.listed = true;
        self.inner.board().list(&self.id);
        self.inner.changed();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let unanswered = self.inner.board().close(&self.id, self.how, Instant::now());
        if !unanswered || !self.listed {
            return;
        }
        self.inner.changed();
        if self.how == Ended::Withdrawn
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (recorder, note) = (self.recorder.clone(), self.note(Fact::Withdrawn { question: self.id.clone() }));
            // Whether the log takes it or not: nothing was done.
            runtime.spawn(async move { recorder.note(note).await.is_ok() });
        }
    }
}
