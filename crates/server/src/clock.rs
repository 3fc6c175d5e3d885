//! Turns that nobody asks for: those that are due, and those that a webhook starts. They walk the path like every other
//! request, and what becomes of them stands in the agent's log and in the audit log.

use std::time::Duration;

use jiff::Timestamp;
use nanoclaw_agent::protocol::{Event, Order};
use nanoclaw_audit::{AuditError, Outcome, Recorded};
use nanoclaw_config::{Agent, Config, Scheduled, When};
use nanoclaw_identity::{Identified, identify_schedule};
use nanoclaw_policy::Engine;
use nanoclaw_request::{Action, Arrived, CellId, Door, Refusal, RefusalCode, Stage};
use tokio::time::sleep;

use crate::fleet::Fleet;
use crate::plane::Plane;
use crate::{log, say, turn};

/// Longest sleep: the wall clock can be set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Starts the schedules of all agents. They end with the runtime.
pub fn start(plane: &Plane, fleet: &Fleet, config: &Config) {
    for agent in &config.agents {
        for (index, scheduled) in agent.schedule.iter().enumerate() {
            let rule = format!("agents.{}.schedule[{index}]", agent.id);
            tokio::spawn(keep(plane.clone(), fleet.clone(), agent.clone(), rule, scheduled.clone()));
        }
    }
}

/// Starts a turn whenever it is due. A turn that takes longer than its interval leaves those out that fall into it.
async fn keep(plane: Plane, fleet: Fleet, agent: Agent, rule: String, scheduled: Scheduled) {
    loop {
        let now = Timestamp::now();
        let due = match &scheduled.when {
            When::Cron(cron) => cron.next_after(now),
            When::Every(interval) => {
                jiff::SignedDuration::try_from(*interval).ok().and_then(|pause| now.checked_add(pause).ok())
            }
        };
        let Some(due) = due else { return };
        while let Ok(left) = Duration::try_from(due.duration_since(Timestamp::now()))
            && !left.is_zero()
        {
            sleep(left.min(LONGEST_SLEEP)).await;
        }
        let order = Order::Turn { session: None, prompt: scheduled.prompt.clone(), untrusted: None, schema: None };
        let identified = identify_schedule(Arrived::now(Door::Clock, order), rule.clone());
        if let Err(error) = unattended(&plane, &fleet, &agent.id, &rule, identified).await {
            say(format_args!("{rule} cannot be recorded, so it is not done: {error}"));
        }
    }
}

/// Has an agent carry out an order that nobody waits for.
///
/// # Errors
/// It cannot be recorded.
pub(crate) async fn unattended(
    plane: &Plane,
    fleet: &Fleet,
    id: &CellId,
    rule: &str,
    identified: Identified<Order>,
) -> Result<(), AuditError> {
    let mut carried = None;
    let verdict = Engine::new(id.clone(), Vec::new()).decide(identified.propose(|order| {
        let manage = turn::manage(id.as_str(), Some(&order));
        carried = Some(order);
        Ok(Action::Manage(manage))
    }));
    let ticket = match plane.recorder.record(verdict).await? {
        Recorded::Proceed(warrant) => warrant.spend().1,
        Recorded::Stop(_) => return Ok(()),
    };
    let outcome = match (fleet.target(id), carried) {
        (Some(target), Some(order)) => attend(plane, id, rule, &target, &order).await,
        (None, _) | (_, None) => Outcome::failed(Refusal {
            stage: Stage::Act,
            code: RefusalCode::NoSuchCell,
            reason: format!("agent `{id}` is not running"),
            help: String::new(),
        }),
    };
    plane.recorder.outcome(ticket, outcome).await
}

/// Carries it out; the agent's log says what it answered.
async fn attend(plane: &Plane, id: &CellId, rule: &str, target: &turn::Target, order: &Order) -> Outcome {
    let (sender, mut receiver) = turn::events();
    let hear = async {
        let mut last = None;
        while let Some(event) = receiver.recv().await {
            if event.is_last() {
                last = Some(event);
            }
        }
        last
    };
    let ((), last) = tokio::join!(target.carry_out(order, sender), hear);
    let (text, outcome) = match last {
        Some(Event::Done { text, .. }) => (text, Outcome::default()),
        Some(Event::Failed { error, .. }) => (format!("failed: {error}"), Outcome::failed(turn::failure(error))),
        Some(_) | None => {
            ("it ended without an answer".to_owned(), Outcome::failed(turn::failure("no answer".to_owned())))
        }
    };
    if let Err(error) = log::append(plane.state.log(id.as_str()), &format!("[{rule}] {text}\n")) {
        say(format_args!("log of agent `{id}`: {error}"));
    }
    outcome
}
