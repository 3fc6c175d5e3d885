//! The vocabulary of NanoClaw. No I/O and no decisions live here.
//!
//! Every request walks one way: a door makes an [`Arrived`], `identity` turns it into an
//! `Identified`, the door's parser proposes an [`Action`], `policy` answers with a permit or a
//! [`Refusal`], `audit` writes it down and hands out a warrant, and only a warrant lets the door act.
//! The types of the later stages live in the crate that makes them, so that no other crate can.
#![forbid(unsafe_code)]

mod action;
mod host;
mod ids;
pub mod json;
mod refusal;

pub use action::{
    Action, Approve, AuditRead, Connect, Datagram, Evidence, Exec, FileWrite, HttpRequest, Launch, Manage, ModelCall,
    ModelOperation, Origin, ProposedCall, Resolve, Syscall, Traced, Via,
};
pub use host::{Destination, DnsName, Host, HostError};
pub use ids::{CellId, IdError, SessionId};
pub use refusal::{Refusal, RefusalCode, Stage};

/// The kind of door that a request came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Door {
    /// A request to start a cell.
    Launcher,
    /// A system call that the kernel handed to NanoClaw for a decision.
    Kernel,
    /// The network door.
    Egress,
    /// The model door.
    Model,
    /// The control socket.
    Control,
    /// The REST API.
    Api,
    /// The control plane's own clock.
    Clock,
    /// A webhook.
    Webhook,
}

impl Door {
    /// The stable name, as it stands in the audit log.
    pub const fn name(self) -> &'static str {
        match self {
            Door::Launcher => "launcher",
            Door::Kernel => "kernel",
            Door::Egress => "egress",
            Door::Model => "model",
            Door::Control => "control",
            Door::Api => "api",
            Door::Clock => "clock",
            Door::Webhook => "webhook",
        }
    }
}

/// What came in at a door, before anything is believed about it.
#[derive(Debug)]
pub struct Arrived<B> {
    /// Where it came in.
    pub door: Door,
    /// When it came in.
    pub at: jiff::Timestamp,
    /// What came in.
    pub body: B,
}

impl<B> Arrived<B> {
    /// A request that arrives now.
    pub fn now(door: Door, body: B) -> Self {
        Self { door, at: jiff::Timestamp::now(), body }
    }
}
