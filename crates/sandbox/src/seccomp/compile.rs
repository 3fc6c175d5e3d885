//! From a profile to a program.
//!
//! The call's number is found by a binary search over runs of neighbouring numbers with the same decision. Arguments
//! are only loaded below the leaf of a call that depends on them: the kernel proves at install time which calls are
//! allowed whatever their arguments, and does not run the program for them at all (`seccomp_cache_prepare`, kernel
//! 5.11).

use nanoclaw_config::SandboxMode;

use super::assembler::{self, Block, Instruction, Test};
use super::profile;
use super::rule::{ABSENT, Decision, Outcome};

/// The native machine in the kernel's audit numbering (linux/audit.h): its ELF number, 64 bits, little-endian.
#[cfg(target_arch = "x86_64")]
pub(super) const NATIVE: u32 = 0xC000_003E;
/// See the other one.
#[cfg(target_arch = "aarch64")]
pub(super) const NATIVE: u32 = 0xC000_00B7;

/// Marks the calls of the x32 ABI, which share the audit number of x86_64.
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

/// The filter of a mode, for the machine that this is compiled for. A call of another machine's ABI (or of x32) ends
/// the process.
pub fn compile(mode: SandboxMode) -> Vec<Instruction> {
    let mut by_number = vec![assembler::load(assembler::NUMBER)];
    let search = tree(&runs(mode));
    #[cfg(target_arch = "x86_64")]
    let search = assembler::branch(Test::AnyBit(X32), kill(), search);
    by_number.extend(search);

    let mut program = vec![assembler::load(assembler::ARCH)];
    program.extend(assembler::branch(Test::Equal(NATIVE), by_number, kill()));
    program
}

fn kill() -> Block {
    assembler::verdict(libc::SECCOMP_RET_KILL_PROCESS)
}

/// A decision, and the number from which on it holds.
#[derive(Clone, Copy)]
struct Run {
    from: u32,
    decision: Decision,
}

/// The whole range of numbers, in order, as few runs as possible; what no rule names is absent.
fn runs(mode: SandboxMode) -> Vec<Run> {
    let mut calls: Vec<(u32, Decision)> =
        profile::rules().flat_map(|rule| rule.calls.iter().map(move |c| (c.number, *rule.decision(mode)))).collect();
    calls.sort_by_key(|(number, _)| *number);

    let mut runs = vec![Run { from: 0, decision: ABSENT }];
    let mut end = 0;
    let mut push = |from: u32, decision: Decision| match runs.last_mut() {
        Some(last) if last.decision == decision => {}
        Some(last) if last.from == from => last.decision = decision,
        _ => runs.push(Run { from, decision }),
    };
    for (number, decision) in calls {
        if number > end {
            push(end, ABSENT);
        }
        push(number, decision);
        end = number + 1;
    }
    push(end, ABSENT);
    runs
}

fn tree(runs: &[Run]) -> Block {
    match runs {
        [] => block(&ABSENT),
        [only] => block(&only.decision),
        _ => {
            let (lower, upper) = runs.split_at(runs.len() / 2);
            let middle = upper.first().map_or(0, |run| run.from);
            assembler::branch(Test::AtLeast(middle), tree(upper), tree(lower))
        }
    }
}

fn block(decision: &Decision) -> Block {
    match *decision {
        Decision::Always(outcome) => assembler::verdict(action(outcome)),
        Decision::Match { argument, mask, cases, otherwise, .. } => {
            let mut body = vec![assembler::load_low(argument)];
            if mask != u32::MAX {
                body.push(assembler::keep(mask));
            }
            // From the last comparison to the first: each one's "no" is what follows it.
            let comparisons =
                cases.iter().flat_map(|case| case.values.iter().map(move |(_, value)| (*value, &case.then)));
            let chain = comparisons
                .rev()
                .fold(block(otherwise), |no, (value, then)| assembler::branch(Test::Equal(value), block(then), no));
            body.extend(chain);
            body
        }
        Decision::AnyBit { argument, bits, yes, no, .. } => {
            let mut body = vec![assembler::load_low(argument)];
            body.extend(assembler::branch(Test::AnyBit(bits), block(yes), block(no)));
            body
        }
        Decision::Null { argument, yes, no, .. } => {
            let mut high = vec![assembler::load_high(argument)];
            high.extend(assembler::branch(Test::Equal(0), block(yes), block(no)));
            let mut body = vec![assembler::load_low(argument)];
            body.extend(assembler::branch(Test::Equal(0), high, block(no)));
            body
        }
    }
}

/// The kernel's verdict. Asking and refusing are the same to it: both wake the control plane, which looks the
/// difference up with [`super::evaluate`]. (A filter's own `EPERM` would outrank the notification and leave no record.)
fn action(outcome: Outcome) -> u32 {
    match outcome {
        Outcome::Allow => libc::SECCOMP_RET_ALLOW,
        Outcome::Ask | Outcome::Refuse => libc::SECCOMP_RET_USER_NOTIF,
        Outcome::Errno(errno) => libc::SECCOMP_RET_ERRNO | u32::from(errno),
    }
}
