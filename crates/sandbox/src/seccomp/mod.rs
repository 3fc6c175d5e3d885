//! The system calls that a cell may make: an allow list, as data with reasons, compiled to one BPF program.
//!
//! [`profile`] holds the list, one [`Rule`] per group of calls; [`compile`] makes the program of a mode, [`install`]
//! puts it into the cell's init, and everything in the cell inherits it. [`document`] is the reference page.
//!
//! A call is allowed, silently absent (`ENOSYS`, and everything that no rule names is), or *notified*: the thread waits
//! while the control plane looks at the call ([`crate::notify`]). A dangerous call is notified too, because a filter's
//! own `EPERM` would leave no record. When the control plane is gone, notified calls answer `ENOSYS`.
//!
//! What a filter cannot see is what a pointer points at. Calls that hide their flags in memory (`clone3`, `openat2`) are
//! therefore absent, and C libraries fall back to their older forms. An allowed call costs nothing, a notified one a
//! round trip between two processes.

mod assembler;
mod compile;
mod document;
mod install;
mod profile;
mod rule;

pub use assembler::Instruction;
pub use compile::compile;
pub use document::document;
pub use install::install;
pub use rule::{Call, Case, Decision, Outcome, Rule};

use nanoclaw_config::SandboxMode;

/// What the profile of `mode` says about a call: the same as the compiled program does, and the difference between
/// [`Outcome::Ask`] and [`Outcome::Refuse`], which the kernel does not pass on.
pub fn evaluate(mode: SandboxMode, number: u32, arguments: &[u64; 6]) -> Outcome {
    find(number).map_or(rule::ABSENT, |(_, rule)| *rule.decision(mode)).evaluate(arguments)
}

/// The name of a call, where a rule knows it.
pub fn name(number: u32) -> Option<&'static str> {
    find(number).map(|(call, _)| call.name())
}

/// The name that the profile has for the value of an argument, such as `TIOCSTI` for the second argument of `ioctl`.
pub(crate) fn value_name(number: u32, argument: u8, value: u32) -> Option<&'static str> {
    find(number)?.1.decision(SandboxMode::Restricted).name_of(argument, value)
}

fn find(number: u32) -> Option<(&'static Call, &'static Rule)> {
    profile::rules().find_map(|rule| Some((rule.calls.iter().find(|call| call.number == number)?, rule)))
}

#[cfg(test)]
pub(crate) mod tests;
