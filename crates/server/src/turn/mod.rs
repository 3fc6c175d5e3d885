//! Telling an agent something and hearing what it does: one way for every kind of agent and for everybody who starts a
//! turn (a person, the clock, a webhook). What an agent answers comes out of its cell and is believed no more than that.

mod builtin;
mod events;
mod openclaw;

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use jiff::Timestamp;

use nanoclaw_agent::protocol::{Event, Order};
use nanoclaw_audit::{AuditError, Outcome};
use nanoclaw_gate::{Desk, Gate, Person, Question};
use nanoclaw_llm::Models;
use nanoclaw_request::{CellId, Manage, Refusal, RefusalCode, SessionId, Stage};
use nanoclaw_vault::digest::{Sha256, hex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use crate::agents::{Speech, llama};
use crate::cell::Steering;

pub(crate) use events::{Events, events};

/// How long an order waits for an agent that has just started.
const START: Duration = Duration::from_secs(180);
/// Pause between two looks at whether it has.
const LOOK: Duration = Duration::from_millis(100);
/// How far apart the end of a cell and the end of what it says may be seen.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A running agent that can be spoken to.
#[derive(Clone)]
pub struct Target {
    pub(crate) id: CellId,
    pub(crate) speech: Speech,
    pub(crate) steering: Steering,
    pub(crate) models: Option<Models>,
    pub(crate) session: SessionId,
    pub(crate) gate: Gate,
    pub(crate) desk: Desk,
}

/// Who has an agent do something.
#[derive(Clone, Copy, Debug)]
pub(crate) enum By<'a> {
    /// This person.
    Operator(&'a Person),
    /// The clock.
    Schedule,
    /// Somebody who holds the token of a webhook; the prompt is the configuration's.
    Webhook,
}

/// Why an agent did not do as it was told.
#[derive(Debug, thiserror::Error)]
enum TurnError {
    /// The cell does not answer.
    #[error("the agent does not answer: {0}")]
    Cell(#[from] io::Error),
    /// It answers, but not to the end.
    #[error("the agent's answer broke off: {0}")]
    BrokenOff(String),
    /// It answers, but not as it should.
    #[error("the agent's answer cannot be read: {0}")]
    Answer(String),
    /// It says that it cannot.
    #[error("the agent refused: {0}")]
    Agent(String),
    /// Its cell has ended.
    #[error("the agent ended before it was done")]
    Ended,
    /// What it hears cannot be recorded.
    #[error("what it is told cannot be recorded, so it is not told: {0}")]
    Unrecorded(#[from] AuditError),
    /// Nobody hears it any more.
    #[error("interrupted: whoever asked for it left")]
    Left,
    /// It is no agent that listens.
    #[error("it is a program that cannot be spoken to")]
    NotSpokenTo,
}

impl Target {
    /// Carries out an order. The last event is one that ends it ([`Event::is_last`]), unless the reader left. Gives what
    /// is to be recorded of it.
    pub(crate) async fn carry_out(&self, order: &Order, by: By<'_>, events: Events) -> Outcome {
        // Until it is done, this person asked for all that the agent does.
        let session = self.gate.engine().session();
        let _requested: Vec<_> = match (by, order) {
            (By::Operator(person), Order::Turn { .. }) => person.names().map(|name| session.requested(name)).collect(),
            // To look at sessions is to ask for nothing.
            (By::Operator(_) | By::Schedule | By::Webhook, _) => Vec::new(),
        };
        let ended = async {
            self.steering.ended().await;
            sleep(LAST_WORDS).await;
        };
        let done = tokio::select! {
            done = self.obey(order, by, &events) => done,
            () = ended => Err(TurnError::Ended),
            left = self.tell_questions(order, &events) => Err(left),
        };
        let done = match done {
            Err(TurnError::Cell(_) | TurnError::BrokenOff(_))
                if timeout(LAST_WORDS, self.steering.ended()).await.is_ok() =>
            {
                Err(TurnError::Ended)
            }
            done => done,
        };
        let last = match done {
            Ok(last) => last,
            Err(TurnError::Left) => return interrupted(),
            Err(error) => Event::Failed { help: self.help(&error, &events), error: error.to_string() },
        };
        let outcome = match &last {
            Event::Failed { error, .. } => Outcome::failed(failure(error.clone())),
            _ => Outcome::default(),
        };
        match events.tell(last, 0).await {
            Ok(()) => outcome,
            Err(_) => interrupted(),
        }
    }

    /// Tells of everything that the agent waits for people with while a turn is under way. Ends when nobody hears it.
    async fn tell_questions(&self, order: &Order, events: &Events) -> TurnError {
        let mut changes = self.desk.changes();
        let mut told = BTreeSet::new();
        let mut asks = matches!(order, Order::Turn { .. });
        while asks {
            let mut waiting = self.desk.waiting();
            waiting.retain(|question| question.cell == self.id.as_str());
            told.retain(|id| waiting.iter().any(|question| question.id == *id));
            for question in waiting {
                if told.insert(question.id.clone())
                    && let Err(left) = events.tell(waits(&question), question.why.len()).await
                {
                    return left;
                }
            }
            asks = changes.changed().await.is_ok();
        }
        std::future::pending().await
    }

    /// Gives the last event.
    async fn obey(&self, order: &Order, by: By<'_>, events: &Events) -> Result<Event, TurnError> {
        tokio::select! {
            () = self.starts() => {}
            () = events.closed() => return Err(TurnError::Left),
        }
        self.hear(order, by).await?;
        match &self.speech {
            Speech::Builtin => builtin::carry_out(self, order, events).await,
            Speech::OpenClaw { token } => openclaw::carry_out(self, token, order, events).await,
            Speech::None | Speech::LlamaServer => Err(TurnError::NotSpokenTo),
        }
    }

    /// What the agent is told enters its session, before the agent has it. The words of users who are trusted say later
    /// where things may go; data that comes with them does not, whoever sends it.
    async fn hear(&self, order: &Order, by: By<'_>) -> Result<(), AuditError> {
        let Order::Turn { prompt, untrusted, .. } = order else { return Ok(()) };
        let engine = self.gate.engine();
        let users = engine.policies().current().labels().users;
        let user = match by {
            By::Operator(_) => users.operator,
            // Both prompts stand in the configuration.
            By::Schedule | By::Webhook => users.schedule,
        };
        let label = engine.hear(user, prompt);
        let label = if untrusted.is_some() { label.join(users.webhook) } else { label };
        self.gate.read(&self.id, self.session, label).await
    }

    /// What to do about an error.
    fn help(&self, error: &TurnError, events: &Events) -> String {
        let id = &self.id;
        match (error, events.session()) {
            (TurnError::Ended, Some(session)) => format!(
                "what it had completed is kept; when `nanoclaw ps` says that it runs again, go on with `nanoclaw ask {id} --session {session} 'go on'`"
            ),
            (TurnError::Ended | TurnError::Cell(_), _) => {
                format!("`nanoclaw ps` shows its state, `nanoclaw logs {id}` what it said")
            }
            (TurnError::NotSpokenTo, _) => "agents of kind `builtin` and `openclaw` can be spoken to".to_owned(),
            _ => format!("`nanoclaw logs {id}` shows what it said"),
        }
    }

    /// Waits while it starts, but not for ever: what is wrong with it then is told by the order itself.
    async fn starts(&self) {
        let ready = async {
            while self.is_ready().await == Some(false) {
                sleep(LOOK).await;
            }
        };
        let _in_time = timeout(START, ready).await.is_ok();
    }

    /// Whether it can be spoken to now. `None` for programs that never can.
    pub(crate) async fn is_ready(&self) -> Option<bool> {
        match &self.speech {
            Speech::Builtin => Some(builtin::is_ready(self).await),
            Speech::OpenClaw { .. } => Some(openclaw::is_ready(self).await),
            Speech::LlamaServer => Some(llama::is_ready(&self.steering).await),
            Speech::None => None,
        }
    }
}

/// What an order is for policy and record.
pub(crate) fn manage(cell: &str, order: Option<&Order>) -> Manage {
    match order {
        Some(Order::Turn { prompt, untrusted, .. }) => {
            let mut digest = Sha256::default();
            digest.update(prompt.as_bytes());
            digest.update(untrusted.as_deref().unwrap_or_default().as_bytes());
            Manage::Turn { cell: cell.to_owned(), digest: hex(&digest.finish()) }
        }
        Some(Order::Sessions | Order::Transcript { .. }) | None => Manage::Sessions { cell: cell.to_owned() },
    }
}

/// Carries out an order and writes the events to `stream`, a JSON line each, until it is done or `stream` is closed.
/// Gives what is to be recorded of it.
pub(crate) async fn to_lines(target: &Target, order: &Order, by: By<'_>, stream: UnixStream) -> Outcome {
    let (sender, mut heard) = events();
    let (mut reader, mut writer) = stream.into_split();
    let relay = async move {
        let mut byte = [0];
        loop {
            let event = tokio::select! {
                event = heard.next() => event,
                // Nothing is expected from there but its end.
                _ = reader.read(&mut byte) => None,
            };
            let Some(event) = event else { break false };
            let last = event.is_last();
            let Ok(mut line) = serde_json::to_vec(&event) else { break false };
            drop(event);
            line.push(b'\n');
            if writer.write_all(&line).await.is_err() {
                break false;
            }
            if last {
                break true;
            }
        }
        // What it hears with ends here, which interrupts the turn.
    };
    let (outcome, whole) = tokio::join!(target.carry_out(order, by, sender), relay);
    if whole { outcome } else { interrupted() }
}

/// What whoever asked for a turn hears of a question.
fn waits(question: &Question) -> Event {
    let Question { id, action, resource, why, expires_at, .. } = question;
    let left = expires_at.duration_since(Timestamp::now()).as_secs();
    Event::Waiting {
        seconds: u64::try_from(left).unwrap_or_default(),
        reason: format!("question {id} ({action} {resource}) waits for a person: {why}"),
    }
}

/// How a turn that could not be done stands in the log.
pub(crate) fn failure(reason: String) -> Refusal {
    Refusal { stage: Stage::Act, code: RefusalCode::Unreachable, reason, help: String::new() }
}

/// How a turn that nobody waited for to its end stands in the log.
fn interrupted() -> Outcome {
    Outcome::failed(failure(TurnError::Left.to_string()))
}
