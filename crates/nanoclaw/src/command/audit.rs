//! `nanoclaw audit`: read the log.

use std::collections::VecDeque;
use std::io::{ErrorKind, StdoutLock, Write};
use std::path::Path;
use std::process::ExitCode;

use nanoclaw_audit::{Filter, ReadError, Reader, ResultKind};

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
    let mut stdout = std::io::stdout().lock();
    if let Some(lines) = tail.lines {
        let mut last = VecDeque::new();
        for record in reader.by_ref() {
            last.push_back(record);
            if last.len() > lines {
                last.pop_front();
            }
        }
        show(&mut stdout, last, tail.json)?;
    }
    reader.set_follow(tail.follow);
    show(&mut stdout, reader, tail.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints until there are no more records, or nobody reads.
fn show(
    stdout: &mut StdoutLock<'_>,
    records: impl IntoIterator<Item = Result<String, ReadError>>,
    json: bool,
) -> std::io::Result<()> {
    for record in records {
        let line = match record {
            Ok(line) if json => line,
            Ok(line) => nanoclaw_audit::render(&line),
            Err(error) => {
                output::notice(error);
                continue;
            }
        };
        match writeln!(stdout, "{line}") {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
            written => written?,
        }
    }
    Ok(())
}
