//! Who a request comes from. A caller is known by the socket or descriptor that it owns, never by what it says.
#![forbid(unsafe_code)]

pub mod accounts;
mod backoff;
pub mod ca;
pub mod oidc;
pub mod operators;
mod store;
pub mod tokens;

use std::collections::BTreeSet;

pub use accounts::OperatorName;
use nanoclaw_request::{Action, Arrived, CellId, Door, Refusal, RefusalCode, SessionId, Stage};
pub use store::StoreError;

/// Somebody that policy can speak about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A cell, in one run of it.
    Cell {
        /// Its id.
        id: CellId,
        /// Which run.
        session: SessionId,
    },
    /// A person who steers the fleet.
    Operator(Operator),
    /// The control plane's own clock, for a schedule of the configuration.
    Schedule {
        /// Which: `agents.analyst.schedule[0]`.
        rule: String,
    },
    /// Somebody who holds the token of a webhook.
    Webhook {
        /// Which: `agents.analyst.webhook`.
        rule: String,
    },
}

/// A person who steers the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// `uid:1000` for a user of this machine, otherwise the name of an account.
    pub name: String,
    /// What they may be.
    pub roles: BTreeSet<Role>,
}

/// What a person may be to a fleet. What each may do is written in the policies (`role.viewer`…).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Sees what runs.
    Viewer,
    /// Talks with agents, starts and stops them.
    Operator,
    /// Answers what policy asks people.
    Approver,
    /// Reads the audit log.
    Auditor,
    /// Everything.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 5] = [Role::Viewer, Role::Operator, Role::Approver, Role::Auditor, Role::Admin];

    /// The stable name, as it stands in policies and configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Approver => "approver",
            Role::Auditor => "auditor",
            Role::Admin => "admin",
        }
    }

    /// The role of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// The claim of one cell to the sockets that NanoClaw made for it. Whoever holds this decides who is identified,
/// so it is made once, at launch, and never leaves the control plane.
#[derive(Clone, Debug)]
pub struct CellSockets {
    caller: Caller,
}

impl CellSockets {
    /// The sockets of one run of a cell.
    pub fn of(id: CellId, session: SessionId) -> Self {
        Self { caller: Caller::Cell { id, session } }
    }

    /// Whatever comes in on these sockets comes from their cell.
    pub fn identify<B>(&self, arrived: Arrived<B>) -> Identified<B> {
        Identified { caller: self.caller.clone(), arrived }
    }
}

/// Identifies the peer of the control socket by the uid that the kernel vouches for (`SO_PEERCRED`, unix(7)).
/// Only root and the user who owns the state may steer.
pub fn identify_operator<B>(arrived: Arrived<B>, peer_uid: u32, owner_uid: u32) -> Result<Identified<B>, Refusal> {
    if peer_uid == owner_uid || peer_uid == 0 {
        Ok(identify_person(arrived, Operator { name: format!("uid:{peer_uid}"), roles: BTreeSet::from([Role::Admin]) }))
    } else {
        Err(Refusal {
            stage: Stage::Identify,
            code: RefusalCode::NotYou,
            reason: format!("uid {peer_uid} does not own this control plane"),
            help: format!("run the command as uid {owner_uid} or as root"),
        })
    }
}

/// Identifies a person whom a certificate or token vouches for; whoever calls this has verified it.
pub fn identify_person<B>(arrived: Arrived<B>, operator: Operator) -> Identified<B> {
    Identified { caller: Caller::Operator(operator), arrived }
}

/// Identifies the control plane's clock: `rule` is the schedule that is due.
pub fn identify_schedule<B>(arrived: Arrived<B>, rule: String) -> Identified<B> {
    Identified { caller: Caller::Schedule { rule }, arrived }
}

/// Identifies a caller of a webhook by its token. `matches` says whether the token presented is the one of `rule`; the
/// comparison takes the same time for every token and so is made where the token is kept.
pub fn identify_webhook<B>(arrived: Arrived<B>, rule: &str, matches: bool) -> Result<Identified<B>, Refusal> {
    if matches {
        return Ok(Identified { caller: Caller::Webhook { rule: rule.to_owned() }, arrived });
    }
    Err(Refusal {
        stage: Stage::Identify,
        code: RefusalCode::NotYou,
        reason: format!("the caller does not hold the token of {rule}"),
        help: "send it as `Authorization: Bearer TOKEN`".to_owned(),
    })
}

/// A request whose caller is known.
#[derive(Debug)]
pub struct Identified<B> {
    caller: Caller,
    arrived: Arrived<B>,
}

impl<B> Identified<B> {
    /// Who.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Reads the body into an action. What cannot be read is declined, with `attempted` for the record.
    pub fn propose(self, parse: impl FnOnce(B) -> Result<Action, (Action, Refusal)>) -> Result<Proposal, Declined> {
        let Arrived { door, at, body } = self.arrived;
        match parse(body) {
            Ok(action) => Ok(Proposal { caller: self.caller, door, at, action }),
            Err((attempted, refusal)) => {
                Err(Proposal { caller: self.caller, door, at, action: attempted }.decline(refusal))
            }
        }
    }
}

/// A canonical action of a known caller, ready for a decision.
#[derive(Debug)]
pub struct Proposal {
    caller: Caller,
    door: Door,
    at: jiff::Timestamp,
    action: Action,
}

impl Proposal {
    /// Who proposes it.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Where it came in.
    pub fn door(&self) -> Door {
        self.door
    }

    /// When it came in.
    pub fn at(&self) -> jiff::Timestamp {
        self.at
    }

    /// What is proposed.
    pub fn action(&self) -> &Action {
        &self.action
    }

    /// Turns it down. Anyone may refuse; only `policy` may permit.
    pub fn decline(self, refusal: Refusal) -> Declined {
        Declined { proposal: Box::new(self), refusal, policies: Vec::new() }
    }
}

/// A proposal that was refused. It still goes through the recorder.
#[derive(Debug)]
pub struct Declined {
    proposal: Box<Proposal>,
    refusal: Refusal,
    policies: Vec<String>,
}

impl Declined {
    /// What was refused.
    pub fn proposal(&self) -> &Proposal {
        &self.proposal
    }

    /// Why.
    pub fn refusal(&self) -> &Refusal {
        &self.refusal
    }

    /// The same, with help for whoever asked that is for no log. Call it when the refusal is on record.
    pub fn telling(mut self, help: String) -> Self {
        self.refusal.help = help;
        self
    }

    /// The same, forbidden by policies with these ids.
    pub fn forbidden_by(self, policies: Vec<String>) -> Self {
        Self { policies, ..self }
    }

    /// The ids of the policies that forbid it; none where it only is not permitted.
    pub fn policies(&self) -> &[String] {
        &self.policies
    }
}
