//! A permission that is on record.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use nanoclaw_identity::Caller;
use nanoclaw_policy::Permit;
use nanoclaw_request::Action;

/// The right to do one thing, once. Only [`Recorder::record`](crate::Recorder::record) makes one.
#[must_use = "a warrant is spent by acting on it"]
#[derive(Debug)]
pub struct Warrant {
    pub(crate) permit: Permit,
    pub(crate) seq: Arc<AtomicU64>,
}

impl Warrant {
    /// What may be done.
    pub fn action(&self) -> &Action {
        self.permit.proposal().action()
    }

    /// On whose behalf.
    pub fn caller(&self) -> &Caller {
        self.permit.proposal().caller()
    }

    /// The permission itself.
    pub fn permit(&self) -> &Permit {
        &self.permit
    }

    /// The people who agreed, where policy asked for some.
    pub fn approved(&self) -> &[String] {
        self.permit.approved()
    }

    /// Uses it up: one permission, one act. Hand the ticket to [`Recorder::outcome`](crate::Recorder::outcome) when it
    /// is known what came of it.
    pub fn spend(self) -> (Action, Ticket) {
        (self.action().clone(), Ticket { permit: self.permit, seq: self.seq })
    }
}

/// The claim to record what came of one act.
#[derive(Debug)]
pub struct Ticket {
    pub(crate) permit: Permit,
    /// The sequence number of the permission's record, once it has one; 0 when it was folded or not written.
    pub(crate) seq: Arc<AtomicU64>,
}
