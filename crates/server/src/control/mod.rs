//! The control socket: how an operator on this machine steers a running fleet.
//!
//! It is a door like the others: the peer is identified by the uid that the kernel vouches for, and what it asks for is
//! authorised, recorded and only then done. One request per connection; descriptors (a log, standard input and output,
//! a terminal) travel beside the messages.

mod approvals;
mod client;
mod policies;
mod quarantine;
mod server;

use nanoclaw_sandbox::TerminalSize;
use serde::{Deserialize, Serialize};

pub use client::{Client, ClientError, Reply};
pub(crate) use policies::forget;
pub use server::Control;

/// What an operator asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// What every agent is doing.
    List,
    /// An agent's output.
    Logs {
        /// Which agent.
        cell: String,
    },
    /// Run one more program in an agent's cell; without a terminal, its three descriptors are beside it.
    Exec {
        /// Which agent.
        cell: String,
        /// Program and arguments.
        command: Vec<String>,
        /// A terminal of this size.
        terminal: Option<TerminalSize>,
    },
    /// Carry out the [`Order`](nanoclaw_agent::protocol::Order) that is beside it in a memory file, as it can be long: a
    /// turn, or a look at an agent's sessions. The answer has a socket beside it, on which
    /// [`Event`](nanoclaw_agent::protocol::Event)s come as JSON lines; closing it interrupts a turn.
    Order {
        /// Which agent.
        cell: String,
    },
    /// What waits for people's answers; where it is watched, questions come as JSON lines on the socket that is beside the
    /// answer.
    Approvals {
        /// Whether to go on with what comes.
        watch: bool,
    },
    /// Give the [`Answer`](nanoclaw_gate::Answer) that is beside it in a memory file, as it can be long.
    Answer {
        /// To which question.
        id: String,
        /// SHA-256 of the request that whoever answers has seen, in hex.
        digest: String,
    },
    /// What is withheld from an agent's model.
    Quarantine {
        /// Which agent.
        cell: String,
        /// One text of it, with what it says; otherwise all of them, without.
        id: Option<String>,
    },
    /// Decide on a text that is withheld from an agent's model.
    QuarantineDecide {
        /// Which agent.
        cell: String,
        /// The text's id.
        id: String,
        /// Whether it may pass; otherwise it is gone.
        release: bool,
    },
    /// Stop one agent.
    Stop {
        /// Which agent.
        cell: String,
    },
    /// Stop the fleet.
    Down,
    /// Read the configuration again, and put its policies in force.
    Reload {
        /// Only say what that would change.
        dry_run: bool,
    },
    /// Forget what an agent has read.
    ResetLabels {
        /// Which agent.
        cell: String,
    },
}

/// What the control plane answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// The list is beside it, in a memory file.
    Cells,
    /// The list of what waits for people's answers is beside it, in a memory file.
    Questions,
    /// What is withheld is beside it, in a memory file.
    Withheld,
    /// The answer counts, and what it did.
    Answered(nanoclaw_gate::Answered),
    /// The log is beside it, open for reading.
    Log,
    /// The program runs; its terminal is beside it, if it has one.
    Started,
    /// The program has ended.
    Exited(i32),
    /// The program could not be started.
    NotRun {
        /// Why, as the kernel says it.
        errno: i32,
        /// Why, as people say it.
        why: String,
    },
    /// Events come on the socket that is beside it.
    Events,
    /// It is under way.
    Done,
    /// The configuration was read again; what that changed is beside it, in a memory file.
    Reloaded,
    /// The fleet is ending. The control plane's process is beside it, so that its end can be waited for.
    Ending,
    /// It was refused, with what to do about it.
    Refused(String),
}
