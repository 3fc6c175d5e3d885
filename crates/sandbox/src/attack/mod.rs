//! What a hijacked agent tries from inside a cell, as data: nearly three hundred [`Attack`]s, each with the one
//! thing that must happen to it and a control that shows it could have gone otherwise.
//!
//! They ship in the binary, so that `nanoclaw doctor --attack` proves the cell of this very host and kernel, and
//! `tests/escape` runs the same table. [`main_inside`] is the program that runs in the cell.
//!
//! Three rules keep the table honest:
//! - An attack is stopped only if the kernel or a door gave *exactly* the answer that the responsible layer gives.
//!   `EPERM` where `EROFS` was expected is a failure: it means that another layer happened to be in the way.
//! - Each attack has a [`Control`]: the same code run outside gets through (so the code is right), or a sibling
//!   operation in the cell succeeds (so the cell is not simply broken).
//! - What cannot be tried here is [`Outcome::NotApplicable`], counted and named; what went wrong in the attempt
//!   itself is [`Outcome::Broken`] and counts as a failure.
//!
//! Calls that could harm the host carry arguments that the kernel rejects once they get through, so that the
//! outside controls are safe even for root. What has no such arguments has inside controls only.

mod attempt;
mod child;
mod context;
mod control;
mod devices;
mod entry;
mod exec;
mod files;
#[cfg(target_arch = "x86_64")]
mod gates;
mod links;
mod mounts;
mod network;
mod peer;
mod privileges;
mod processes;
mod proxy;
mod report;
mod resources;
mod syscalls;
mod system;
mod talk;

pub use context::{Context, HostUser, Mode, Settings, SettingsError};
pub use entry::main_inside;
pub use report::{Report, Summary};

use serde::{Deserialize, Serialize};

/// Part of the attack list, in the order of the threat model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// Reading and changing what the policy does not name.
    Files,
    /// Other processes, privileges and namespaces.
    Processes,
    /// The kernel's own surface.
    Syscalls,
    /// Every way out but the door, and every trick at the door.
    Network,
    /// Using the host up.
    Resources,
    /// NanoClaw itself.
    Control,
}

impl Group {
    /// Every group.
    pub const ALL: [Group; 6] =
        [Group::Files, Group::Processes, Group::Syscalls, Group::Network, Group::Resources, Group::Control];

    /// The name, as it stands in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Group::Files => "files",
            Group::Processes => "processes",
            Group::Syscalls => "syscalls",
            Group::Network => "network",
            Group::Resources => "resources",
            Group::Control => "control",
        }
    }

    /// Its attacks.
    pub fn attacks(self) -> impl Iterator<Item = &'static Attack> {
        let tables: &[&'static [Attack]] = match self {
            Group::Files => &[files::ATTACKS, links::ATTACKS, devices::ATTACKS],
            Group::Processes => &[processes::ATTACKS, privileges::ATTACKS, exec::ATTACKS],
            Group::Syscalls => &[
                syscalls::ATTACKS,
                mounts::ATTACKS,
                #[cfg(target_arch = "x86_64")]
                gates::ATTACKS,
            ],
            Group::Network => &[network::ATTACKS, peer::ATTACKS, proxy::ATTACKS],
            Group::Resources => &[resources::ATTACKS],
            Group::Control => &[control::ATTACKS],
        };
        tables.iter().copied().flatten().collect::<Vec<_>>().into_iter()
    }
}

/// One thing that a hijacked agent tries.
#[derive(Debug)]
pub struct Attack {
    /// What is tried, as a fact in kebab case; unique.
    pub name: &'static str,
    /// The same for people, one line.
    pub what: &'static str,
    /// Where it was seen: a CVE, an issue, or empty.
    pub reference: &'static str,
    /// What must happen: one of these, usually the only one.
    pub expect: &'static [Stopped],
    /// The layer that makes it happen.
    pub layer: &'static str,
    /// Where it is worth trying.
    pub scope: Scope,
    /// The attempt. Runs in a process of its own that may be killed.
    pub run: fn(&Context) -> Outcome,
    /// What shows that the attempt is well-formed.
    pub control: Control,
}

/// How an attempt was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stopped {
    /// The system call failed with this errno.
    Errno(i32),
    /// The kernel killed the process with this signal.
    KilledBy(i32),
    /// The network door refused with this HTTP status, and said that it was the door.
    Status(u16),
    /// The stub DNS answered with this response code (RFC 1035 section 4.1.1); 0 stands for an empty answer.
    Rcode(u8),
    /// The connection was reset before a byte came back.
    Reset,
    /// The network door refused with this TLS alert (RFC 8446 section 6.2).
    Alert(u8),
    /// The program ended with this status.
    Exit(i32),
    /// What the attack looks for is not there.
    Absent,
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stopped::Errno(errno) => f.write_str(&system::errno_name(*errno)),
            Stopped::KilledBy(signal) => f.write_str(&system::signal_name(*signal)),
            Stopped::Status(status) => write!(f, "HTTP {status}"),
            Stopped::Rcode(0) => f.write_str("no data"),
            Stopped::Rcode(3) => f.write_str("NXDOMAIN"),
            Stopped::Rcode(code) => write!(f, "DNS response code {code}"),
            Stopped::Reset => f.write_str("reset"),
            Stopped::Alert(49) => f.write_str("TLS alert access_denied"),
            Stopped::Alert(code) => write!(f, "TLS alert {code}"),
            Stopped::Exit(status) => write!(f, "exit status {status}"),
            Stopped::Absent => f.write_str("not there"),
        }
    }
}

/// How an attempt went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was stopped in this way.
    Stopped(Stopped),
    /// It worked; with the evidence.
    Succeeded(String),
    /// It makes no sense here; with the reason.
    NotApplicable(String),
    /// The attempt itself failed before it could tell anything; with the reason. Counts as a failure.
    Broken(String),
}

/// Where an attack is worth trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everywhere.
    Everywhere,
    /// Only in `restricted` mode: `standard` allows it by design.
    Restricted,
}

/// What shows that an attempt is well-formed and that its test can fail.
#[derive(Clone, Copy, Debug)]
pub enum Control {
    /// Run outside a cell by any host user, the attempt ends in one of these, none of which is expected inside.
    Outside(&'static [Seen]),
    /// The same for root; for other users the kernel's own answer is the one expected inside.
    OutsideRoot(&'static [Seen]),
    /// This sibling operation succeeds inside the cell.
    Inside(fn(&Context) -> Result<(), String>),
}

/// How an attempt ends outside a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It works.
    Success,
    /// The kernel took the call and found fault with it.
    Errno(i32),
    /// The kernel took the call and killed the process.
    KilledBy(i32),
}

impl Seen {
    /// Whether `outcome` is this.
    pub fn is(self, outcome: &Outcome) -> bool {
        match (self, outcome) {
            (Seen::Success, Outcome::Succeeded(_)) => true,
            (Seen::Errno(wanted), Outcome::Stopped(Stopped::Errno(got))) => wanted == *got,
            (Seen::KilledBy(wanted), Outcome::Stopped(Stopped::KilledBy(got))) => wanted == *got,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
