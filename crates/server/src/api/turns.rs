//! Speaking to agents: turns, whose events are told as they come, and the sessions that there are.

use std::collections::btree_map::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use nanoclaw_agent::protocol::{Event, Order};
use nanoclaw_audit::{Outcome, Ticket};
use nanoclaw_gate::Person;
use nanoclaw_identity::Operator;
use nanoclaw_request::{Action, CellId, Refusal, RefusalCode, Stage};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

use super::Api;
use super::answer::{self, Answer, Fault};
use super::caller::{Lasting, Shown};
use crate::agents::Speech;
use crate::say;
use crate::turn::{self, By, Target};

/// Most turns that callers of the API have under way in one agent; more are refused.
const MOST_UNDER_WAY: usize = 16;
/// Events that wait for somebody who reads slowly; then the agent waits.
const WAITING: usize = 16;
/// Most sessions that are listed.
const MOST_SESSIONS: usize = 1_000;
/// How long an agent may take to list them.
const LISTING_TIME: Duration = Duration::from_secs(60);

impl Api {
    fn place(&self, cell: &CellId) -> Result<OwnedSemaphorePermit, Fault> {
        let mut all: std::sync::MutexGuard<'_, BTreeMap<CellId, Arc<Semaphore>>> =
            self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let turns = all.entry(cell.clone()).or_insert_with(|| Arc::new(Semaphore::new(MOST_UNDER_WAY)));
        Arc::clone(turns).try_acquire_owned().map_err(|_| {
            let reason = format!("{MOST_UNDER_WAY} turns are under way in agent `{cell}`, and there can be no more");
            let help = "wait for one to end, or interrupt one".to_owned();
            Refusal { stage: Stage::Act, code: RefusalCode::Limit, reason, help }.into()
        })
    }

    fn target(&self, cell: &CellId) -> Result<Target, Fault> {
        self.fleet.target(cell).ok_or_else(|| {
            let reason = format!("agent `{cell}` is not running");
            let help = "`GET /v1/agents` shows its state".to_owned();
            Refusal { stage: Stage::Act, code: RefusalCode::NoSuchCell, reason, help }.into()
        })
    }

    /// Has an agent carry out a turn. The record of its end is written when the agent is done, or the client left.
    pub(super) async fn turn(
        &self,
        (action, ticket): (Action, Ticket),
        (operator, shown): (Operator, Shown),
        cell: CellId,
        order: Order,
    ) -> Result<Answer, Fault> {
        let ready = self.target(&cell).and_then(|target| Ok((target, self.place(&cell)?)));
        let (target, place) = match ready {
            Ok(ready) => ready,
            Err(fault) => return self.finished(ticket, Err(fault)).await,
        };
        let (events, heard) = mpsc::channel(WAITING);
        let Some(api) = self.itself.upgrade() else { return Err(Fault::failed("the control plane ends")) };
        tokio::spawn(async move {
            let over = api.until_over(&shown, &operator, &action, Lasting::Turn);
            let outcome = told(&target, &shown.person(&operator), &order, events, over).await;
            drop(place);
            if let Err(error) = api.plane.recorder.outcome(ticket, outcome).await {
                say(format_args!("the end of a turn of agent `{cell}` cannot be recorded: {error}"));
            }
        });
        Ok(answer::events(heard))
    }

    /// The sessions of an agent, as far as it says.
    pub(super) async fn sessions(&self, by: &Person, cell: &CellId) -> Result<Answer, Fault> {
        let (target, _place) = (self.target(cell)?, self.place(cell)?);
        if let Speech::None | Speech::LlamaServer = target.speech {
            let help = "agents of kind `builtin` and `openclaw` have sessions";
            let reason = format!("agent `{cell}` is a program that cannot be spoken to");
            return Err(Fault::of(StatusCode::CONFLICT, Stage::Act, RefusalCode::Unreachable, reason, help));
        }
        let (sender, mut heard) = turn::events();
        let hear = async {
            let (mut sessions, mut failed) = (Vec::new(), None);
            while let Some(event) = heard.next().await {
                match event {
                    Event::Listed { id, title, updated, entries } if sessions.len() < MOST_SESSIONS => {
                        sessions.push(json!({ "id": id, "title": title, "updated": updated, "entries": entries }));
                    }
                    Event::Failed { error, help } => failed = Some((error, help)),
                    _ => {}
                }
            }
            (sessions, failed)
        };
        let listing = async { tokio::join!(target.carry_out(&Order::Sessions, By::Operator(by), sender), hear).1 };
        let Ok((sessions, failed)) = timeout(LISTING_TIME, listing).await else {
            return Err(Fault::failed(format_args!("agent `{cell}` does not list them in time")));
        };
        match failed {
            None => Ok(answer::json(StatusCode::OK, &sessions)),
            Some((error, help)) => {
                let refusal = Refusal { stage: Stage::Act, code: RefusalCode::Unreachable, reason: error, help };
                Err(refusal.into())
            }
        }
    }
}

/// Carries out an order and tells its events, until it is `over`. Gives what is to be recorded of it.
async fn told(
    target: &Target,
    by: &Person,
    order: &Order,
    events: mpsc::Sender<Bytes>,
    over: impl Future<Output = ()>,
) -> Outcome {
    let (sender, mut heard) = turn::events();
    let tell = async move {
        loop {
            let event = tokio::select! {
                event = heard.next() => event,
                () = events.closed() => None,
            };
            let Some(event) = event else { break };
            let Ok(line) = serde_json::to_string(&event) else { break };
            if events.send(answer::event(None, &line)).await.is_err() {
                break;
            }
        }
        // What it hears with ends here, which interrupts the turn where it is not done.
    };
    let relay = async {
        tokio::select! {
            () = tell => {}
            () = over => {}
        }
    };
    tokio::join!(target.carry_out(order, By::Operator(by), sender), relay).0
}
