//! The rules: who may answer what, and what comes of it. One value, without time or tasks of its own, so that every order
//! of events can be tried on it.

use std::collections::{BTreeMap, VecDeque};

use nanoclaw_config::{Approvals, Label};
use nanoclaw_request::{CellId, RefusalCode, SessionId};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::arguments::canonical;
use super::digest;
use super::habits::Habits;
use super::person::Person;
use super::question::{Answer, Answered, DeskError, Ended, MAX_EDIT_BYTES, MOST_EDITS, Question};
use super::show::text_of;

/// Most questions of one agent that wait at once.
pub(super) const MOST_OF_CELL: usize = 16;
/// Most questions of a fleet that wait at once.
pub(super) const MOST_WAITING: usize = 256;
/// Most questions that are remembered when they are over, to say how they ended.
const MOST_ENDED: usize = 256;

/// What people decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All of these agree.
    Agreed(Vec<String>),
    /// This person does not.
    Denied { by: String, reason: String },
    /// This person wants it done otherwise.
    Edited { by: String, arguments: String },
}

/// Who asks for what.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// The cell.
    pub(super) cell: CellId,
    /// Its run.
    pub(super) session: SessionId,
    /// The tool, where it is the call of one whose arguments can be changed.
    pub(super) tool: Option<String>,
    /// The digest of what is asked for, whichever try of whichever run it is.
    pub(super) content: String,
    /// What the session has read.
    pub(super) held: Label,
    /// Whether those who asked the agent for it may approve.
    pub(super) own: bool,
    /// Who has approved.
    pub(super) approved: Vec<Person>,
}

#[derive(Debug)]
struct Open {
    question: Question,
    request: Request,
    until: Instant,
    /// Whether it is on record that it was asked, so that it can be answered.
    listed: bool,
    reply: oneshot::Sender<End>,
}

/// A call as a person changed it, which may be made once.
#[derive(Debug)]
struct Edit {
    digest: String,
    by: Person,
    until: Instant,
    /// What the person knew: which policies asked, and what the session had read.
    policies: Vec<String>,
    held: Label,
}

/// Everything that waits.
#[derive(Debug, Default)]
pub(super) struct Board {
    pub(super) approvals: Approvals,
    open: BTreeMap<String, Open>,
    ended: VecDeque<(String, String, Ended)>,
    edits: Vec<Edit>,
    habits: Habits,
}

impl Board {
    /// One with these rules, on which nothing waits.
    pub(super) fn new(approvals: Approvals) -> Self {
        Self { approvals, ..Self::default() }
    }

    /// A place for a question. It cannot be answered yet.
    ///
    /// # Errors
    /// So many wait already, of this agent or of all, or people have heard enough of it.
    pub(super) fn put(
        &mut self,
        question: Question,
        request: Request,
        (now, until): (Instant, Instant),
    ) -> Result<oneshot::Receiver<End>, (RefusalCode, String)> {
        self.habits.may_ask(&request.cell, &request.content, now)?;
        let limit = |what: String| Err((RefusalCode::Limit, format!("{what} wait for people already")));
        let of_cell = self.open.values().filter(|open| open.request.cell == request.cell).count();
        if of_cell >= MOST_OF_CELL {
            return limit(format!("{MOST_OF_CELL} questions of agent {}", request.cell));
        }
        if self.open.len() >= MOST_WAITING {
            return limit(format!("{MOST_WAITING} questions of this fleet"));
        }
        let (reply, receiver) = oneshot::channel();
        let id = question.id.clone();
        self.open.insert(id, Open { question, request, until, listed: false, reply });
        Ok(receiver)
    }

    /// Whether an id is taken, or was not long ago.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.open.contains_key(id) || self.ended.iter().any(|(ended, ..)| ended == id)
    }

    /// It is on record that it was asked: now it can be answered.
    pub(super) fn list(&mut self, id: &str) {
        if let Some(open) = self.open.get_mut(id) {
            open.listed = true;
        }
    }

    /// What waits for answers, in the order in which it was asked.
    pub(super) fn waiting(&self, now: Instant) -> Vec<Question> {
        let answerable = self.open.values().filter(|open| open.listed && now < open.until);
        let mut waiting: Vec<Question> = answerable.map(|open| open.question.clone()).collect();
        waiting.sort_by(|one, other| (one.asked_at, &one.id).cmp(&(other.asked_at, &other.id)));
        waiting
    }

    /// The agent that a question is about, also when it is over.
    pub(super) fn about(&self, id: &str) -> Option<&str> {
        let open = self.open.get(id).filter(|open| open.listed).map(|open| open.request.cell.as_str());
        open.or_else(|| self.ended.iter().find(|(ended, ..)| ended == id).map(|(_, cell, _)| cell.as_str()))
    }

    /// Rules that hold from now on. What waits does not become easier to approve than when it was asked.
    pub(super) fn set(&mut self, approvals: Approvals) {
        self.approvals = approvals;
        for open in self.open.values_mut() {
            open.question.needs = open.question.needs.max(approvals.people);
            open.request.own &= approvals.own;
        }
    }

    /// `by` answers.
    pub(super) fn answer(
        &mut self,
        by: &Person,
        id: &str,
        digest: &str,
        answer: Answer,
        now: Instant,
    ) -> Result<Answered, DeskError> {
        let Some(open) = self.open.get_mut(id).filter(|open| open.listed) else {
            let how = self.ended.iter().find(|(ended, ..)| ended == id).map(|(.., how)| *how);
            let id = id.to_owned();
            return Err(how.map_or(DeskError::Unknown(id.clone()), |how| DeskError::Over { id, how }));
        };
        if now >= open.until {
            return Err(DeskError::Over { id: id.to_owned(), how: Ended::TimedOut });
        }
        if open.question.digest != digest {
            return Err(DeskError::OtherDigest(id.to_owned()));
        }
        // Whoever asked for something may well take it back.
        if let Answer::Deny { reason } = answer {
            let Request { cell, content, .. } = open.request.clone();
            let by = by.name().to_owned();
            self.habits.denied(&cell, content, by.clone(), now);
            self.end(id, Ended::Denied, End::Denied { by, reason: text_of(&reason) });
            return Ok(Answered::Denied);
        }
        if !open.request.own && open.question.requesters.iter().any(|requester| by.is(requester)) {
            return Err(DeskError::Requester { by: by.name().to_owned(), cell: open.question.cell.clone() });
        }
        if let Answer::Edit { arguments } = answer {
            return self.edit(by, id, &arguments, now);
        }
        let Open { question: Question { needs, approved_by, .. }, request, .. } = open;
        let missing = |approved: &[Person]| needs.saturating_sub(u8::try_from(approved.len()).unwrap_or(u8::MAX));
        if request.approved.iter().any(|approver| approver.is_same(by)) {
            let (by, missing) = (by.name().to_owned(), missing(&request.approved));
            return Err(DeskError::Again { by, id: id.to_owned(), missing });
        }
        request.approved.push(by.clone());
        approved_by.push(by.name().to_owned());
        let missing = missing(&request.approved);
        if missing > 0 {
            return Ok(Answered::Counted { missing });
        }
        let people = approved_by.clone();
        self.habits.agreed(&open.request.cell, &open.request.content);
        self.end(id, Ended::Approved, End::Agreed(people));
        Ok(Answered::Approved)
    }

    fn edit(&mut self, by: &Person, id: &str, arguments: &str, now: Instant) -> Result<Answered, DeskError> {
        let open = self.open.get(id).map(|open| (open.request.clone(), open.question.policies.clone()));
        let Some((Request { cell, session, tool: Some(tool), content, held, .. }, policies)) = open else {
            return Err(DeskError::NotEditable(id.to_owned()));
        };
        let short = arguments.len() <= MAX_EDIT_BYTES && !arguments.trim().is_empty();
        let Some(arguments) = short.then(|| canonical(arguments)).flatten() else { return Err(DeskError::Unreadable) };
        self.edits.retain(|edit| now < edit.until);
        if self.edits.len() >= MOST_EDITS {
            return Err(DeskError::TooManyEdits);
        }
        let digest = digest::of_call(&cell, session, &tool, &arguments);
        self.edits.push(Edit { digest, by: by.clone(), until: now + self.approvals.wait, policies, held });
        self.habits.agreed(&cell, &content);
        self.end(id, Ended::Edited, End::Edited { by: by.name().to_owned(), arguments: arguments.to_string() });
        Ok(Answered::Edited)
    }

    /// Who wants the call with this digest made, knew what `question` is asked for and what the session has read, and may
    /// approve it. To ask uses it up.
    pub(super) fn take_edit(&mut self, digest: &str, question: &Question, held: Label, now: Instant) -> Option<Person> {
        self.edits.retain(|edit| now < edit.until);
        let at = self.edits.iter().position(|edit| edit.digest == digest)?;
        let edit = self.edits.swap_remove(at);
        let knew = edit.held.join(held) == edit.held && question.policies.iter().all(|id| edit.policies.contains(id));
        let asked = !self.approvals.own && question.requesters.iter().any(|requester| edit.by.is(requester));
        (knew && !asked).then_some(edit.by)
    }

    /// Nobody answers any more. `false` where it was over already.
    pub(super) fn close(&mut self, id: &str, how: Ended, now: Instant) -> bool {
        let Some(open) = self.open.remove(id) else { return false };
        if how == Ended::Withdrawn {
            self.habits.withdrawn(&open.request.cell, now);
        }
        if open.listed {
            self.remember(open.question, how);
        }
        true
    }

    fn end(&mut self, id: &str, how: Ended, end: End) {
        let Some(Open { question, reply, .. }) = self.open.remove(id) else { return };
        // If nobody waits any more, nothing is done.
        let _gone = reply.send(end).is_err();
        self.remember(question, how);
    }

    fn remember(&mut self, question: Question, how: Ended) {
        self.ended.push_front((question.id, question.cell, how));
        self.ended.truncate(MOST_ENDED);
    }
}
