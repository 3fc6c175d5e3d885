//! What agents have asked lately: nobody is asked again and again until they agree in the end.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use nanoclaw_request::{CellId, RefusalCode};
use tokio::time::Instant;

/// How long a no holds.
pub(super) const LONGEST_NO: Duration = Duration::from_secs(10 * 60);
/// Most questions of an agent that are denied in a row before it may ask no more for that long.
pub(super) const MOST_NOES: usize = 5;
/// Most requests of one agent that were denied and are remembered.
pub(super) const MOST_DENIED: usize = 16;
/// Most questions that an agent takes back within [`WITHIN`] before it may ask no more.
pub(super) const MOST_WITHDRAWN: usize = 32;
/// How long it counts that a question was taken back.
pub(super) const WITHIN: Duration = Duration::from_secs(5 * 60);

/// What the agents of a fleet have asked lately, over all their runs.
#[derive(Debug, Default)]
pub(super) struct Habits(BTreeMap<CellId, Habit>);

#[derive(Debug, Default)]
struct Habit {
    /// What was denied last, and by whom.
    denied: VecDeque<Denied>,
    /// Denials since somebody last agreed, and until when they count.
    noes: usize,
    muted: Option<Instant>,
    /// When questions were taken back.
    withdrawn: VecDeque<Instant>,
}

#[derive(Debug)]
struct Denied {
    content: String,
    by: String,
    until: Instant,
}

impl Habits {
    /// Whether `cell` may ask about what has the digest `content`.
    ///
    /// # Errors
    /// Somebody has said no to it, or to so much else, or the agent asks too often.
    pub(super) fn may_ask(&mut self, cell: &CellId, content: &str, now: Instant) -> Result<(), (RefusalCode, String)> {
        let Some(habit) = self.0.get_mut(cell) else { return Ok(()) };
        habit.denied.retain(|denied| now < denied.until);
        habit.withdrawn.retain(|at| now.saturating_duration_since(*at) < WITHIN);
        if let Some(Denied { by, .. }) = habit.denied.iter().find(|denied| denied.content == content) {
            return Err((
                RefusalCode::NotApproved,
                format!("`{by}` has denied the same, and nobody is asked again so soon"),
            ));
        }
        if habit.noes >= MOST_NOES && habit.muted.is_some_and(|until| now < until) {
            let reason =
                format!("{MOST_NOES} questions of agent {cell} in a row were denied, and nobody is asked more for now");
            return Err((RefusalCode::Limit, reason));
        }
        if habit.withdrawn.len() >= MOST_WITHDRAWN {
            let reason = format!(
                "agent {cell} did not wait for the answers to {MOST_WITHDRAWN} questions, and nobody is asked more for now"
            );
            return Err((RefusalCode::Limit, reason));
        }
        Ok(())
    }

    /// `by` denies `cell` what has the digest `content`.
    pub(super) fn denied(&mut self, cell: &CellId, content: String, by: String, now: Instant) {
        let habit = self.0.entry(cell.clone()).or_default();
        let until = now + LONGEST_NO;
        habit.noes += 1;
        habit.muted = Some(until);
        habit.denied.push_front(Denied { content, by, until });
        habit.denied.truncate(MOST_DENIED);
    }

    /// Somebody agrees to what has the digest `content`, whoever has said no to it before.
    pub(super) fn agreed(&mut self, cell: &CellId, content: &str) {
        if let Some(habit) = self.0.get_mut(cell) {
            habit.noes = 0;
            habit.denied.retain(|denied| denied.content != content);
        }
    }

    /// Nobody waits for the answer to a question of `cell` any more.
    pub(super) fn withdrawn(&mut self, cell: &CellId, now: Instant) {
        let habit = self.0.entry(cell.clone()).or_default();
        habit.withdrawn.push_front(now);
        habit.withdrawn.truncate(MOST_WITHDRAWN);
    }
}
