//! `nanoclaw exec`: one more program in a running agent's cell.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process::ExitCode;

use nanoclaw_server::control::{Client, ClientError, Reply, Request};
use nanoclaw_server::stdio::{Relay, Stdio};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Exec;
use crate::output::{self, FAILED, Failure};

/// Runs the program and gives its exit status.
pub fn main(state_dir: Option<&Path>, arguments: Exec) -> Result<ExitCode, Failure> {
    let state = super::fleet(state_dir)?;
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let status = match runtime.block_on(attend(client, relay.as_ref()))? {
        Ended::Program(status) => status,
        Ended::Us(signal) => {
            // The control plane sees the connection close and ends the program; the terminal is put back here.
            drop(relay);
            std::process::exit(128 + signal.as_raw_value());
        }
    };
    if let Some(relay) = relay {
        relay.drain();
    }
    stdio.drain();
    Ok(ExitCode::from(u8::try_from(status).unwrap_or(FAILED)))
}

/// Who ended first.
enum Ended {
    /// The program, with this exit status.
    Program(i32),
    /// We, by this signal.
    Us(SignalKind),
}

/// Waits for the program's end, or ours, and passes window sizes on until then.
async fn attend(client: Client, relay: Option<&Relay>) -> Result<Ended, Failure> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut window = signal(SignalKind::window_change())?;
    let mut waiting = tokio::task::spawn_blocking(move || client.wait());
    loop {
        tokio::select! {
            status = &mut waiting => return Ok(Ended::Program(status??)),
            _ = hangup.recv() => return Ok(Ended::Us(SignalKind::hangup())),
            _ = interrupt.recv() => return Ok(Ended::Us(SignalKind::interrupt())),
            _ = terminate.recv() => return Ok(Ended::Us(SignalKind::terminate())),
            _ = window.recv() => {
                if let Some(relay) = relay {
                    relay.resize()?;
                }
            }
        }
    }
}
