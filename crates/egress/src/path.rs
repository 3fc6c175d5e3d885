//! The one way from a request to a warrant. Nothing in this crate reaches outside but by spending one.

use std::io;
use std::sync::Arc;

use nanoclaw_audit::{AuditError, Outcome, Recorded, Ticket, Warrant};
use nanoclaw_gate::{Agreement, Gate};
use nanoclaw_identity::CellSockets;
use nanoclaw_request::{Action, Arrived, Door, Refusal, RefusalCode, Stage};

use crate::traffic::Meter;

/// Why something that a cell asked for does not happen, or no longer.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It was refused, or is not allowed any more, and that is on record.
    Refused(Refusal),
    /// It was allowed and could not be done; that is on record as its outcome.
    Failed(Refusal),
    /// The cell's own connection is gone: there is nobody to tell.
    Gone,
    /// It cannot be recorded, so the door must close.
    Closed(AuditError),
}

impl From<AuditError> for Stop {
    fn from(error: AuditError) -> Self {
        Stop::Closed(error)
    }
}

/// What a door's parser makes of a request: an action, or the refusal of one that cannot be read, with what was
/// attempted as far as it is known.
pub(crate) type Parsed = Result<Action, (Action, Refusal)>;

/// Everything between a request and a warrant.
pub(crate) struct Path {
    cell: CellSockets,
    pub(crate) gate: Gate,
    meter: Arc<Meter>,
}

impl Path {
    pub(crate) fn new(cell: CellSockets, gate: Gate, meter: Arc<Meter>) -> Self {
        Self { cell, gate, meter }
    }

    /// Walks the path: identify, propose, authorise, record. What people would have to agree to is refused.
    pub(crate) async fn walk<B>(&self, body: B, parse: impl FnOnce(B) -> Parsed) -> Result<Warrant, Stop> {
        let identified = self.cell.identify(Arrived::now(Door::Egress, body));
        self.told(self.gate.pass_at_once(identified.propose(parse)).await?)
    }

    /// The same, and people are asked where policy says so, for as long as it takes and until `gone`; not where it is what they
    /// `agreed` to already.
    pub(crate) async fn walk_and_wait<B>(
        &self,
        body: B,
        parse: impl FnOnce(B) -> Parsed,
        agreed: Option<&Agreement>,
        gone: impl Future<Output = ()>,
    ) -> Result<Warrant, Stop> {
        let identified = self.cell.identify(Arrived::now(Door::Egress, body));
        self.told(self.gate.pass_unless(identified.propose(parse), agreed, gone).await?.ok_or(Stop::Gone)?)
    }

    /// Whether it would be allowed now, without asking anybody. Permits nothing.
    pub(crate) fn would(&self, action: &Action) -> bool {
        self.gate.engine().would(action).is_ok_and(|would| would.asking.is_none())
    }

    fn told(&self, recorded: Recorded) -> Result<Warrant, Stop> {
        match recorded {
            Recorded::Proceed(warrant) => Ok(warrant),
            Recorded::Stop(declined) => {
                self.meter.refusal();
                Err(Stop::Refused(declined.refusal().clone()))
            }
        }
    }

    /// Records what came of an act.
    pub(crate) async fn outcome(&self, ticket: Ticket, outcome: Outcome) -> Result<(), AuditError> {
        self.gate.recorder().outcome(ticket, outcome).await
    }

    /// Records that an act failed, and gives the reason back to be told to the cell.
    pub(crate) async fn failed(&self, ticket: Ticket, refusal: Refusal) -> Stop {
        match self.outcome(ticket, Outcome::failed(refusal.clone())).await {
            Ok(()) => Stop::Failed(refusal),
            Err(error) => Stop::Closed(error),
        }
    }
}

/// A request that cannot be read.
pub(crate) fn malformed(reason: String, help: &str) -> Refusal {
    Refusal { stage: Stage::Inspect, code: RefusalCode::Malformed, reason, help: help.to_owned() }
}

/// The far side does not do its part.
pub(crate) fn unreachable(reason: String) -> Refusal {
    Refusal { stage: Stage::Act, code: RefusalCode::Unreachable, reason, help: String::new() }
}

/// One bound of the door is reached.
pub(crate) fn over_limit(stage: Stage, reason: String) -> Refusal {
    Refusal { stage, code: RefusalCode::Limit, reason, help: String::new() }
}

/// The text of an error from the network, without "(os error N)".
pub(crate) fn cause(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}
