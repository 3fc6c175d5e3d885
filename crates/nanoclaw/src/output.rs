//! What people and scripts see: data on standard output, everything else on standard error, and exit statuses as
//! container runtimes give them.

use std::fmt::Display;
use std::process::ExitCode;

/// NanoClaw itself failed, or refused.
pub const FAILED: u8 = 125;
/// The program is there but cannot be run.
pub const CANNOT_RUN: u8 = 126;
/// The program is not there.
pub const NOT_FOUND: u8 = 127;
/// The program's time was up.
pub const TIMED_OUT: u8 = 124;

/// What a command ends with when it cannot do its work.
#[derive(Debug)]
pub struct Failure {
    message: String,
    status: u8,
}

impl Failure {
    /// A failure with a status of its own.
    pub fn with_status(error: impl Display, status: u8) -> Self {
        Self { message: error.to_string(), status }
    }

    /// Tells it and gives the exit status.
    pub fn report(&self) -> ExitCode {
        eprintln!("nanoclaw: {}", self.message);
        ExitCode::from(self.status)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::with_status(error, FAILED)
    }
}

/// A notice that must not be missed.
pub fn notice(text: impl Display) {
    eprintln!("nanoclaw: notice: {text}");
}

/// Help, the version, or what is wrong with the command line.
pub fn usage(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    match (error.use_stderr(), printed) {
        (false, Ok(())) => ExitCode::SUCCESS,
        _ => ExitCode::from(FAILED),
    }
}
