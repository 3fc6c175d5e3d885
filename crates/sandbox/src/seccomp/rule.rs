//! What a profile is made of: calls, what is decided about them, and why.

use nanoclaw_config::SandboxMode;

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The kernel runs it and nobody hears of it.
    Allow,
    /// The control plane hears of it, writes it down and decides.
    Ask,
    /// The control plane hears of it, writes it down and answers `EPERM`.
    Refuse,
    /// The kernel answers this error and nobody hears of it. A C library takes `ENOSYS` for an older kernel and falls
    /// back.
    Errno(u16),
}

/// A decision over the arguments. Only the low 32 bits of an argument count, as in the kernel: every argument that
/// is looked at is an `int` or narrower there, or cut to one (CVE-2019-7303 came of looking at 64).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The arguments do not matter.
    Always(Outcome),
    /// By the value of an argument.
    Match {
        /// Which argument, from 0.
        argument: u8,
        /// The bits of it that count.
        mask: u32,
        /// What it is called in the man page.
        what: &'static str,
        /// Tried in order.
        cases: &'static [Case],
        /// Where no case has the value.
        otherwise: &'static Decision,
    },
    /// By whether an argument has one of the bits.
    AnyBit {
        /// Which argument, from 0.
        argument: u8,
        /// The bits.
        bits: u32,
        /// What they are called in the man page.
        what: &'static str,
        /// Where one of them is set.
        yes: &'static Decision,
        /// Where none is.
        no: &'static Decision,
    },
    /// By whether a pointer is null, in all its 64 bits.
    Null {
        /// Which argument, from 0.
        argument: u8,
        /// What it is called in the man page.
        what: &'static str,
        /// Where it is null.
        yes: &'static Decision,
        /// Where it is not.
        no: &'static Decision,
    },
}

/// Values of an argument that are treated alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Name and value of each.
    pub values: &'static [(&'static str, u32)],
    /// What is decided.
    pub then: Decision,
}

/// See [`Outcome::Allow`].
pub(super) const ALLOW: Decision = Decision::Always(Outcome::Allow);
/// See [`Outcome::Ask`].
pub(super) const ASK: Decision = Decision::Always(Outcome::Ask);
/// See [`Outcome::Refuse`].
pub(super) const REFUSE: Decision = Decision::Always(Outcome::Refuse);
/// As if the kernel did not have the call.
pub(super) const ABSENT: Decision = errno(libc::ENOSYS);

/// This error, without a word to the control plane.
pub(super) const fn errno(errno: i32) -> Decision {
    // Error numbers are below 4096 (MAX_ERRNO).
    Decision::Always(Outcome::Errno(errno as u16))
}

impl Decision {
    /// What is decided about a call with these arguments.
    pub fn evaluate(&self, arguments: &[u64; 6]) -> Outcome {
        let whole = |argument: u8| arguments.get(usize::from(argument)).copied().unwrap_or_default();
        let low = |argument: u8| whole(argument) as u32;
        match *self {
            Decision::Always(outcome) => outcome,
            Decision::Match { argument, mask, cases, otherwise, .. } => {
                let value = low(argument) & mask;
                let case = cases.iter().find(|case| case.values.iter().any(|(_, v)| *v == value));
                case.map_or(otherwise, |case| &case.then).evaluate(arguments)
            }
            Decision::AnyBit { argument, bits, yes, no, .. } => {
                if low(argument) & bits != 0 { yes } else { no }.evaluate(arguments)
            }
            Decision::Null { argument, yes, no, .. } => if whole(argument) == 0 { yes } else { no }.evaluate(arguments),
        }
    }

    /// The name that the decision has for a value of `argument`, for records.
    pub(super) fn name_of(&self, argument: u8, value: u32) -> Option<&'static str> {
        match self {
            Decision::Match { argument: looked_at, mask, cases, .. } if *looked_at == argument => {
                cases.iter().flat_map(|case| case.values).find(|(_, v)| *v == value & *mask).map(|(name, _)| *name)
            }
            _ => None,
        }
    }
}

/// One system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    pub(super) symbol: &'static str,
    pub(super) number: u32,
}

impl Call {
    /// Its name, as in the man pages.
    pub fn name(&self) -> &'static str {
        self.symbol.strip_prefix("SYS_").unwrap_or(self.symbol)
    }
}

/// Calls that are treated alike, and the reason.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    pub(super) calls: &'static [Call],
    pub(super) decision: Decision,
    /// Where `standard` differs.
    pub(super) standard: Option<Decision>,
    pub(super) why: &'static str,
}

impl Rule {
    pub(super) fn decision(&self, mode: SandboxMode) -> &Decision {
        match (mode, &self.standard) {
            (SandboxMode::Standard, Some(standard)) => standard,
            (SandboxMode::Standard, None) | (SandboxMode::Restricted, _) => &self.decision,
        }
    }
}

/// Rules about one subject, as a table of the reference.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chapter {
    pub(super) title: &'static str,
    pub(super) about: &'static str,
    pub(super) rules: &'static [Rule],
}

/// By the value of an argument, all its bits.
pub(super) const fn by(
    argument: u8,
    what: &'static str,
    cases: &'static [Case],
    otherwise: &'static Decision,
) -> Decision {
    Decision::Match { argument, mask: u32::MAX, what, cases, otherwise }
}

/// By whether an argument has one of the bits.
pub(super) const fn any_bit(
    argument: u8,
    bits: u32,
    what: &'static str,
    yes: &'static Decision,
    no: &'static Decision,
) -> Decision {
    Decision::AnyBit { argument, bits, what, yes, no }
}

/// Values that are treated alike.
pub(super) const fn case(values: &'static [(&'static str, u32)], then: Decision) -> Case {
    Case { values, then }
}

/// A [`Rule`] that is the same in both modes.
pub(super) const fn rule(decision: Decision, why: &'static str, calls: &'static [Call]) -> Rule {
    Rule { calls, decision, standard: None, why }
}

/// A [`Rule`] with a wider form in `standard`.
pub(super) const fn wider(restricted: Decision, standard: Decision, why: &'static str, calls: &'static [Call]) -> Rule {
    Rule { calls, decision: restricted, standard: Some(standard), why }
}

/// A list of [`Call`]s. A name that starts with `SYS_` takes its number from the C library's headers; the others are
/// too new for some of them and bring it along (it is the same on every machine from 424 on).
macro_rules! calls {
    ($($symbol:ident $(= $number:expr)?),+ $(,)?) => {
        &[$($crate::seccomp::rule::Call {
            symbol: stringify!($symbol),
            number: $crate::seccomp::rule::number!($symbol $($number)?),
        }),+]
    };
}
macro_rules! number {
    ($symbol:ident) => {
        libc::$symbol as u32
    };
    ($symbol:ident $number:expr) => {
        $number
    };
}
/// Named values, `(name, value)`, from constants of the C library's headers or with the number given.
macro_rules! values {
    ($($name:ident $(= $number:expr)?),+ $(,)?) => {
        &[$((stringify!($name), $crate::seccomp::rule::number!($name $($number)?))),+]
    };
}
pub(super) use {calls, number, values};
