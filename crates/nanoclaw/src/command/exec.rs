//! `nanoclaw exec`: one more program in a running agent's cell.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process::ExitCode;

use nanoclaw_server::control::{Client, ClientError, Reply, Request};
use nanoclaw_server::stdio::{Relay, Stdio};

use crate::cli::Exec;
use crate::output::{self, FAILED, Failure};

/// Runs the program and gives its exit status.
pub fn main(state_dir: Option<&Path>, arguments: Exec) -> Result<ExitCode, Failure> {
    let state = super::state(state_dir)?;
    let client = Client::connect(&state)?;
    let mut stdio = Stdio::inherit()?;
    let for_cell = std::mem::take(&mut stdio.for_cell);
    let request = Request::Exec { cell: arguments.agent, command: arguments.command, terminal: stdio.terminal };
    let descriptors: Vec<BorrowedFd<'_>> = for_cell.iter().map(AsFd::as_fd).collect();
    let reply = client.ask(&request, &descriptors).map_err(|error| match error {
        ClientError::NotRun { errno, .. } => Failure::with_status(error, output::not_started(errno)),
        other => other.into(),
    })?;
    drop(descriptors);
    drop(for_cell);
    let Reply::Started { terminal } = reply else {
        return Err(std::io::Error::from(std::io::ErrorKind::InvalidData).into());
    };
    let relay = terminal.map(Relay::start).transpose()?;
    let status = client.wait()?;
    if let Some(relay) = relay {
        relay.drain();
    }
    stdio.drain();
    Ok(ExitCode::from(u8::try_from(status).unwrap_or(FAILED)))
}
