//! Turns that nobody asks for: those that are due, and those that a webhook starts. They walk the path like every other
//! request, and what becomes of them stands in the agent's log and in the audit log.

use std::time::Duration;

use jiff::Timestamp;
use nanoclaw_agent::protocol::{Event, Order};
use nanoclaw_audit::{AuditError, Outcome, Recorded};
use nanoclaw_config::{Agent, Config, Scheduled, When};
use nanoclaw_identity::{Caller, Identified, identify_schedule};
use nanoclaw_request::{Action, Arrived, CellId, Door, Refusal, RefusalCode, Stage};
use tokio::time::{sleep, timeout};

use crate::fleet::Fleet;
use crate::log::Log;
use crate::plane::Plane;
use crate::turn::By;
use crate::{say, turn};

/// Longest sleep: the wall clock can be set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// Longest turn that nobody waits for.
const LONGEST_TURN: Duration = Duration::from_secs(60 * 60);
/// Longest part in bytes of the answer to such a turn that stands in the agent's log.
const LONGEST_LOGGED: usize = 16 * 1024;

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
    let by = if matches!(identified.caller(), Caller::Webhook { .. }) { By::Webhook } else { By::Schedule };
    let mut carried = None;
    let verdict = plane.engine(id.clone()).decide(identified.propose(|order| {
        let manage = turn::manage(id.as_str(), Some(&order));
        carried = Some(order);
        Ok(Action::Manage(manage))
    }));
    let ticket = match plane.recorder.record(verdict).await? {
        Recorded::Proceed(warrant) => warrant.spend().1,
        Recorded::Stop(declined) => {
            log(plane, (id, rule), &format!("refused: {}", declined.refusal()));
            return Ok(());
        }
    };
    let outcome = match (fleet.target(id), carried) {
        (Some(target), Some(order)) => attend(plane, (id, rule), &target, &order, by).await,
        (None, _) | (_, None) => {
            log(plane, (id, rule), "failed: the agent is not running");
            Outcome::failed(Refusal {
                stage: Stage::Act,
                code: RefusalCode::NoSuchCell,
                reason: format!("agent `{id}` is not running"),
                help: String::new(),
            })
        }
    };
    plane.recorder.outcome(ticket, outcome).await
}

/// Carries it out; the agent's log says what it answered.
async fn attend(
    plane: &Plane,
    (id, rule): (&CellId, &str),
    target: &turn::Target,
    order: &Order,
    by: By<'_>,
) -> Outcome {
    let (sender, mut heard) = turn::events();
    let hear = async {
        let mut last = None;
        while let Some(event) = heard.next().await {
            if event.is_last() {
                last = Some(event);
            }
        }
        last
    };
    // Where its time is up the sender is dropped, which interrupts it.
    let (outcome, last) = tokio::join!(timeout(LONGEST_TURN, target.carry_out(order, by, sender)), hear);
    let outcome = outcome.unwrap_or_else(|_| {
        Outcome::failed(turn::failure(format!("it was interrupted, as it took longer than {LONGEST_TURN:?}")))
    });
    let text = match (&outcome.error, last) {
        (None, Some(Event::Done { text, .. })) => logged(text),
        (Some(refusal), _) => logged(format!("failed: {}", refusal.reason)),
        (None, _) => "it ended without an answer".to_owned(),
    };
    log(plane, (id, rule), &text);
    outcome
}

/// Writes it into the agent's log.
fn log(plane: &Plane, (id, rule): (&CellId, &str), text: &str) {
    let line = format!("[{rule}] {text}\n");
    let written = Log::open(plane.state.log(id.as_str())).and_then(|mut log| log.write(line.as_bytes()));
    if let Err(error) = written {
        say(format_args!("log of agent `{id}`: {error}"));
    }
}

/// As much of an answer as the log gets.
fn logged(mut text: String) -> String {
    let end = text.floor_char_boundary(LONGEST_LOGGED);
    let missing = text.len() - end;
    if missing > 0 {
        text.truncate(end);
        text.push_str(&format!("… [{missing} more bytes]"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_answer_is_cut_for_the_log() {
        assert_eq!(logged("short".to_owned()), "short");
        let cut = logged("\u{e4}".repeat(LONGEST_LOGGED));
        assert!(cut.ends_with(&format!("\u{e4}… [{LONGEST_LOGGED} more bytes]")), "{}", cut.len());
    }
}
