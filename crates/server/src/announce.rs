//! Whoever watches the control plane hears that agents wait for people.

use std::collections::BTreeSet;
use std::time::Duration;

use nanoclaw_gate::Desk;

use crate::say;

/// Shortest time between two lines: an agent can ask and go away as often as it likes.
const PAUSE: Duration = Duration::from_secs(1);

/// Says when something waits at `desk`, for ever.
pub async fn announce(desk: Desk) {
    let mut changes = desk.changes();
    let mut told: BTreeSet<String> = BTreeSet::new();
    while changes.changed().await.is_ok() {
        let waiting = desk.waiting();
        told.retain(|id| waiting.iter().any(|question| question.id == *id));
        let new: Vec<_> = waiting.iter().filter(|question| !told.contains(&question.id)).collect();
        match new.as_slice() {
            [] => continue,
            [question] => say(format_args!(
                "agent `{}` waits for a person: {} {}; `nanoclaw approvals show {}`",
                question.cell, question.action, question.resource, question.id
            )),
            more => say(format_args!("{} more questions wait for people; `nanoclaw approvals` lists them", more.len())),
        }
        told.extend(waiting.into_iter().map(|question| question.id));
        tokio::time::sleep(PAUSE).await;
    }
}
