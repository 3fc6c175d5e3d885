//! What people and scripts see: data on standard output, everything else on standard error, and exit statuses as
//! container runtimes give them.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use nanoclaw_server::say;

/// NanoClaw itself failed, or refused.
pub const FAILED: u8 = 125;
/// The program is there but cannot be run.
pub const CANNOT_RUN: u8 = 126;
/// The program is not there.
const NOT_FOUND: u8 = 127;
/// The program's time was up.
pub const TIMED_OUT: u8 = 124;

/// The exit status for a program that could not be started, as a shell gives it.
pub fn not_started(errno: i32) -> u8 {
    if errno == rustix::io::Errno::NOENT.raw_os_error() { NOT_FOUND } else { CANNOT_RUN }
}

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
        say(&self.message);
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
    say(format_args!("notice: {text}"));
}

/// Whether whoever read standard output has gone.
static UNREAD: AtomicBool = AtomicBool::new(false);

/// Whether nobody reads standard output any more. What goes on until it is interrupted ends then.
pub fn unread() -> bool {
    UNREAD.load(Ordering::Relaxed)
}

/// One line of data on standard output. Where nobody reads it, the command goes on without: its exit status may be the
/// answer.
pub fn line(text: impl Display) {
    if !unread() {
        written(writeln!(io::stdout(), "{text}"));
    }
}

/// Data on standard output, as it is.
pub fn data(bytes: &[u8]) {
    let mut stdout = io::stdout().lock();
    if !unread() {
        written(stdout.write_all(bytes).and_then(|()| stdout.flush()));
    }
}

fn written(result: io::Result<()>) {
    match result {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => UNREAD.store(true, Ordering::Relaxed),
        Err(error) => {
            say(format_args!("standard output: {error}"));
            std::process::exit(i32::from(FAILED));
        }
    }
}

/// That a file which was named cannot be read.
pub fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let path = path.display();
    let message = match error.kind() {
        ErrorKind::NotFound => format!("there is no file `{path}`; write one, or name the one that is meant"),
        ErrorKind::InvalidData => format!("`{path}` is no text in UTF-8; write it as one"),
        _ => format!("cannot read `{path}`: {error}"),
    };
    Failure::with_status(message, FAILED)
}

/// Help, the version, or what is wrong with the command line.
pub fn usage(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    match (error.use_stderr(), printed) {
        (false, Ok(())) => ExitCode::SUCCESS,
        _ => ExitCode::from(FAILED),
    }
}
