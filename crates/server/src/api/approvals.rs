//! What waits for people, their answers, and the reload of what policy decides by.

use hyper::StatusCode;
use nanoclaw_audit::Ticket;
use nanoclaw_gate::{Answer as Said, DeskError, Person, Question};
use nanoclaw_request::{RefusalCode, Stage};

use super::Api;
use super::answer::{self, Answer, Fault};
use super::call::no_such;

/// Longest reason in bytes why a configuration was not taken; `nanoclaw config check` says all of it.
const LONGEST_WHY: usize = 8 * 1024;

/// Why an answer does not count.
pub(super) fn fault(error: &DeskError) -> Fault {
    let status = match error {
        DeskError::Unknown(_) => StatusCode::NOT_FOUND,
        DeskError::Over { .. } | DeskError::OtherDigest(_) | DeskError::Again { .. } | DeskError::NotEditable(_) => {
            StatusCode::CONFLICT
        }
        DeskError::Requester { .. } => StatusCode::FORBIDDEN,
        DeskError::Unreadable => StatusCode::BAD_REQUEST,
        DeskError::TooManyEdits => StatusCode::TOO_MANY_REQUESTS,
    };
    Fault { status, refusal: error.refusal(), field: None }
}

impl Api {
    pub(super) fn approvals(&self) -> Answer {
        answer::json(StatusCode::OK, &self.plane.desk.waiting())
    }

    pub(super) fn approval(&self, id: &str) -> Result<Answer, Fault> {
        let found: Option<Question> = self.plane.desk.waiting().into_iter().find(|question| question.id == id);
        found.map(|question| answer::json(StatusCode::OK, &question)).ok_or_else(|| no_such("question", id))
    }

    pub(super) fn answer_question(&self, by: Person, id: &str, digest: &str, said: Said) -> Result<Answer, Fault> {
        let answered = self.plane.desk.answer(by, id, digest, said).map_err(|error| fault(&error))?;
        Ok(answer::json(StatusCode::OK, &answered))
    }

    /// Reads the configuration again. What came of it is recorded by whoever does it.
    pub(super) async fn reload(&self, ticket: Ticket) -> Result<Answer, Fault> {
        match self.reload.carry_out(ticket).await.map_err(Fault::failed)? {
            Ok(reloaded) => Ok(answer::json(StatusCode::OK, &reloaded)),
            Err(error) => {
                let mut why = error.to_string();
                why.truncate(why.floor_char_boundary(LONGEST_WHY));
                let help = "nothing has changed; `nanoclaw config check` says the same";
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                Err(Fault::of(status, Stage::Act, RefusalCode::Malformed, why, help))
            }
        }
    }
}
