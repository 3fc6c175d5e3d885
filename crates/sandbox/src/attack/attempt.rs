//! From results to outcomes.

use std::io;
use std::path::Path;

use super::{Context, Outcome, Stopped};

/// A result that says whether an attempt got through.
pub(super) trait Attempt {
    /// Success is what the attacker wanted, an errno is how it was stopped.
    fn outcome(self) -> Outcome;
}

impl Attempt for Result<i64, i32> {
    fn outcome(self) -> Outcome {
        match self {
            Ok(value) => Outcome::Succeeded(format!("the call returned {value}")),
            Err(errno) => Outcome::Stopped(Stopped::Errno(errno)),
        }
    }
}

impl<T> Attempt for io::Result<T> {
    fn outcome(self) -> Outcome {
        match self {
            Ok(_) => Outcome::Succeeded("the call succeeded".to_owned()),
            Err(error) => error.raw_os_error().map_or_else(
                || Outcome::Broken(format!("the attempt ended without an errno: {error}")),
                |errno| Outcome::Stopped(Stopped::Errno(errno)),
            ),
        }
    }
}

impl<T> Attempt for rustix::io::Result<T> {
    fn outcome(self) -> Outcome {
        self.map_err(io::Error::from).outcome()
    }
}

/// `Absent` where there is no evidence, else a success with the evidence.
pub(super) fn absent_unless(evidence: Vec<String>) -> Outcome {
    if evidence.is_empty() { Outcome::Stopped(Stopped::Absent) } else { Outcome::Succeeded(evidence.join("; ")) }
}

/// The same attempt on several targets: the first success counts, and all must be stopped in the same way.
pub(super) fn each<T: Clone + std::fmt::Debug>(
    targets: impl IntoIterator<Item = T>,
    attempt: impl Fn(T) -> Outcome,
) -> Outcome {
    let outcomes: Vec<(T, Outcome)> = targets.into_iter().map(|target| (target.clone(), attempt(target))).collect();
    let Some((_, first)) = outcomes.first() else {
        return Outcome::NotApplicable("there is nothing to try it on".to_owned());
    };
    if outcomes.iter().all(|(_, outcome)| outcome == first && matches!(outcome, Outcome::Stopped(_))) {
        return first.clone();
    }
    let listed = |wanted: fn(&Outcome) -> bool| {
        let found = outcomes.iter().filter(|(_, outcome)| wanted(outcome));
        found.map(|(target, outcome)| format!("{target:?}: {}", describe(outcome))).collect::<Vec<_>>().join("; ")
    };
    if outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Succeeded(_))) {
        Outcome::Succeeded(listed(|outcome| matches!(outcome, Outcome::Succeeded(_))))
    } else {
        Outcome::Broken(format!("not one answer for all: {}", listed(|_| true)))
    }
}

/// The same for attempts that were made already.
pub(super) fn all<const N: usize>(outcomes: [Outcome; N]) -> Outcome {
    each(outcomes, |outcome| outcome)
}

/// One line on how an attempt went.
pub(super) fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Stopped(stopped) => stopped.to_string(),
        Outcome::Succeeded(text) | Outcome::NotApplicable(text) | Outcome::Broken(text) => text.clone(),
    }
}

/// Runs `attempt` on a value that an earlier step must give; the attempt is broken where that step fails.
pub(super) fn given<T, E: std::fmt::Display>(
    step: &str,
    value: Result<T, E>,
    attempt: impl FnOnce(T) -> Outcome,
) -> Outcome {
    match value {
        Ok(value) => attempt(value),
        Err(error) => Outcome::Broken(format!("cannot {step}: {error}")),
    }
}

/// Runs `attempt` on a setting that the caller may have left out.
pub(super) fn with_setting<T>(name: &str, value: Option<T>, attempt: impl FnOnce(T) -> Outcome) -> Outcome {
    value.map_or_else(|| Outcome::NotApplicable(format!("`--{name}` was not given")), attempt)
}

/// The control of a write that a read-only place refuses: `workspace` takes one.
pub(super) fn workspace_is_writable(context: &Context) -> Result<(), String> {
    let path = context.scratch("control");
    std::fs::write(&path, b"written by a control").map_err(|error| format!("{}: {error}", path.display()))?;
    std::fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The control of a read that finds nothing: a file that must be readable is.
pub(super) fn known_file_is_readable(context: &Context) -> Result<(), String> {
    let path = context.known();
    std::fs::read(&path).map(drop).map_err(|error| format!("{}: {error}", path.display()))
}

/// Whether an attempt that is a control succeeded.
pub(super) fn must_succeed(outcome: &Outcome) -> Result<(), String> {
    match outcome {
        Outcome::Succeeded(_) => Ok(()),
        other => Err(describe(other)),
    }
}

/// Opens a file for writing, without creating or truncating it: harmless where it works.
pub(super) fn open_for_write(path: impl AsRef<Path>) -> Outcome {
    std::fs::OpenOptions::new().write(true).open(path).outcome()
}

/// Opens a file or directory for reading.
pub(super) fn open_for_read(path: impl AsRef<Path>) -> Outcome {
    std::fs::File::open(path).outcome()
}
