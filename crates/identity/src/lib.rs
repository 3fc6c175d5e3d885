//! Who a request comes from. A caller is known by the socket or descriptor that it owns, never by what it says.
#![forbid(unsafe_code)]

use nanoclaw_request::{Action, Arrived, CellId, Door, Refusal, RefusalCode, SessionId, Stage};

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
    /// A person at this machine, by the uid of the process.
    Operator {
        /// Host uid.
        uid: u32,
    },
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
        Ok(Identified { caller: Caller::Operator { uid: peer_uid }, arrived })
    } else {
        Err(Refusal {
            stage: Stage::Identify,
            code: RefusalCode::NotYou,
            reason: format!("uid {peer_uid} does not own this control plane"),
            help: format!("run the command as uid {owner_uid} or as root"),
        })
    }
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
        Declined { proposal: Box::new(self), refusal }
    }
}

/// A proposal that was refused. It still goes through the recorder.
#[derive(Debug)]
pub struct Declined {
    proposal: Box<Proposal>,
    refusal: Refusal,
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
}
