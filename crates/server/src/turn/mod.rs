//! Telling an agent something and hearing what it does: one way for every kind of agent and for everybody who starts a
//! turn (a person, the clock, a webhook). What an agent answers comes out of its cell and is believed no more than that.

mod builtin;
mod openclaw;

use std::io;
use std::time::Duration;

use nanoclaw_agent::protocol::{Event, Order};
use nanoclaw_audit::Outcome;
use nanoclaw_llm::Models;
use nanoclaw_request::{CellId, Manage, Refusal, RefusalCode, Stage};
use nanoclaw_vault::digest::{Sha256, hex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::agents::{Speech, llama};
use crate::cell::Steering;

/// How long an order waits for an agent that has just started.
const START: Duration = Duration::from_secs(180);
/// Pause between two looks at whether it has.
const LOOK: Duration = Duration::from_millis(100);
/// Events that wait for somebody who reads slowly.
const WAITING: usize = 64;

/// A running agent that can be spoken to.
#[derive(Clone)]
pub struct Target {
    pub(crate) id: CellId,
    pub(crate) speech: Speech,
    pub(crate) steering: Steering,
    pub(crate) models: Option<Models>,
}

/// Where events go. When it is closed, the turn is interrupted.
pub type Events = mpsc::Sender<Event>;

/// A channel for events.
pub fn events() -> (Events, mpsc::Receiver<Event>) {
    mpsc::channel(WAITING)
}

/// Whoever hears the events has left.
struct Left;

/// Why an agent did not do as it was told.
#[derive(Debug, thiserror::Error)]
enum TurnError {
    /// The cell does not answer.
    #[error("the agent does not answer: {0}")]
    Cell(#[from] io::Error),
    /// It answers, but not as it should.
    #[error("the agent's answer cannot be read: {0}")]
    Answer(String),
    /// It says that it cannot.
    #[error("the agent refused: {0}")]
    Agent(String),
    /// It is no agent that listens.
    #[error("it is a program that cannot be spoken to")]
    NotSpokenTo,
}

impl Target {
    /// Carries out an order. The last event is one that ends it ([`Event::is_last`]), unless the reader left.
    pub async fn carry_out(&self, order: &Order, events: Events) {
        tokio::select! {
            () = self.starts() => {}
            () = events.closed() => return,
        }
        let done = match &self.speech {
            Speech::Builtin => builtin::carry_out(self, order, &events).await,
            Speech::OpenClaw { token } => openclaw::carry_out(self, token, order, &events).await,
            Speech::None | Speech::LlamaServer => Err(TurnError::NotSpokenTo),
        };
        if let Err(error) = done {
            let help = match &error {
                TurnError::Cell(_) => {
                    format!("`nanoclaw ps` shows its state, `nanoclaw logs {}` what it said", self.id)
                }
                TurnError::NotSpokenTo => "agents of kind `builtin` and `openclaw` can be spoken to".to_owned(),
                TurnError::Answer(_) | TurnError::Agent(_) => format!("`nanoclaw logs {}` shows what it said", self.id),
            };
            let _reader_left = events.send(Event::Failed { error: error.to_string(), help }).await.is_err();
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
            Speech::Builtin => Some(self.steering.dial(nanoclaw_agent::settings::PORT).await.is_ok()),
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
pub(crate) async fn to_lines(target: &Target, order: &Order, stream: UnixStream) -> Outcome {
    let (sender, mut receiver) = events();
    let (mut reader, mut writer) = stream.into_split();
    let relay = async {
        let mut failed = None;
        let mut byte = [0];
        loop {
            let event = tokio::select! {
                event = receiver.recv() => event,
                // Nothing is expected from there but its end.
                _ = reader.read(&mut byte) => None,
            };
            let Some(event) = event else { break };
            if let Event::Failed { error, .. } = &event {
                failed = Some(error.clone());
            }
            let Ok(mut line) = serde_json::to_vec(&event) else { break };
            line.push(b'\n');
            if writer.write_all(&line).await.is_err() {
                break;
            }
        }
        // The turn is interrupted by this.
        drop(receiver);
        failed
    };
    let ((), failed) = tokio::join!(target.carry_out(order, sender), relay);
    failed.map_or_else(Outcome::default, |reason| Outcome::failed(failure(reason)))
}

/// How a turn that could not be done stands in the log.
pub(crate) fn failure(reason: String) -> Refusal {
    Refusal { stage: Stage::Act, code: RefusalCode::Unreachable, reason, help: String::new() }
}

async fn tell(events: &Events, event: Event) -> Result<(), Left> {
    events.send(event).await.map_err(|_| Left)
}
