//! `nanoclaw audit`: read the log.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use nanoclaw_audit::{Filter, Reader, ResultKind};

use crate::cli::{Audit, Tail};
use crate::output::{self, Failure};

/// Prints records.
pub fn main(state_dir: Option<&Path>, arguments: &Audit) -> Result<ExitCode, Failure> {
    match arguments {
        Audit::Tail(tail) => print(state_dir, tail),
    }
}

fn print(state_dir: Option<&Path>, tail: &Tail) -> Result<ExitCode, Failure> {
    let state = super::state(state_dir)?;
    let result = tail.result.as_deref().map(str::parse::<ResultKind>).transpose()?;
    let mut reader = Reader::open(&state.audit(), Filter { agent: tail.agent.clone(), result })?;
    reader.set_follow(tail.follow);
    let mut stdout = std::io::stdout().lock();
    for record in reader {
        let line = match record {
            Ok(line) if tail.json => line,
            Ok(line) => nanoclaw_audit::render(&line),
            Err(error) => {
                output::notice(error);
                continue;
            }
        };
        match writeln!(stdout, "{line}") {
            Ok(()) => {}
            // Whoever reads us has seen enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(ExitCode::SUCCESS)
}
