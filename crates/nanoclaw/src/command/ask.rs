//! `nanoclaw ask`: one turn of an agent. Its text goes to standard output, everything else to standard error.

mod schema;

use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use nanoclaw_agent::protocol::{Ending, Event, LONGEST_ORDER, Order};
use nanoclaw_server::control::{Client, Reply, Request};
use nanoclaw_server::fleet::Status;
use nanoclaw_server::state::State;
use tokio::signal::unix::{SignalKind, signal};

use super::chat::choose;
use crate::cli::Ask;
use crate::output::{FAILED, Failure};
use crate::remote;
use crate::talk::{Detail, Events, Leave, Transcript};
use crate::terminal::{Look, json};

/// The exit status of a turn that was interrupted: 128 + SIGINT.
const INTERRUPTED: u8 = 130;
/// The exit status of a turn that was ended: 128 + SIGTERM.
const TERMINATED: u8 = 143;
/// The exit status of a turn that failed.
const TURN_FAILED: u8 = 1;
/// The exit status of a turn that ended before its agent was done.
const ENDED_EARLY: u8 = 3;

/// Has the turn done: 0 when it is, 1 when it failed, 3 when it ended early, 130 or 143 when it was interrupted.
pub fn main(state_dir: Option<&Path>, arguments: Ask) -> Result<ExitCode, Failure> {
    turn(&Place::Here(super::fleet(state_dir)?), arguments)
}

/// The same, of an agent of a fleet elsewhere.
pub fn over(client: &remote::Client, arguments: Ask) -> Result<ExitCode, Failure> {
    turn(&Place::There(client), arguments)
}

/// Where the agent is.
enum Place<'c> {
    /// On this machine.
    Here(State),
    /// Elsewhere.
    There(&'c remote::Client),
}

fn turn(place: &Place<'_>, arguments: Ask) -> Result<ExitCode, Failure> {
    let prompt = prompt(arguments.prompt)?;
    let schema = arguments.schema.as_deref().map(schema).transpose()?;
    let whole = schema.is_some();
    let fleet = match place {
        Place::Here(state) => {
            let Reply::Cells(fleet) = Client::connect(state)?.ask(&Request::List, &[])? else {
                return Err(io::Error::from(io::ErrorKind::InvalidData).into());
            };
            fleet
        }
        Place::There(client) => client.get("/v1/agents")?,
    };
    check(&fleet, &arguments.agent, whole)?;
    // Before the first word is written: from here on writing may wait for the reader.
    let _leave = Leave::upon(&[SignalKind::interrupt(), SignalKind::terminate()])?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let session = arguments.session;
        let mut events = match place {
            Place::Here(state) => {
                Events::of(state, &arguments.agent, Order::Turn { session, prompt, untrusted: None, schema })?
            }
            Place::There(client) => Events::over(client, &arguments.agent, session, prompt, schema).await?,
        };
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let (answer, notes) = (Look::of(&stdout), Look::of(&stderr));
        let mut transcript = Transcript::new((stdout.lock(), answer), (stderr, notes), Detail::Short);
        if whole {
            transcript = transcript.only_final();
        }
        let mut status = 0;
        loop {
            let event = tokio::select! {
                event = events.next() => event?,
                // The events are dropped with this, and the turn is interrupted.
                _ = interrupt.recv() => return Ok(ExitCode::from(INTERRUPTED)),
                _ = terminate.recv() => return Ok(ExitCode::from(TERMINATED)),
            };
            let Some(event) = event else { break };
            match &event {
                Event::Failed { .. } => status = TURN_FAILED,
                Event::Done { stop, .. } if *stop != Ending::Answered => status = ENDED_EARLY,
                _ => {}
            }
            let shown = if arguments.json { print(&event, answer.terminal) } else { transcript.event(&event) };
            match shown {
                // Whoever reads us has seen enough.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
                shown => shown?,
            }
        }
        Ok(ExitCode::from(status))
    })
}

/// Refuses what can be seen to be in vain, before it is begun and on record.
fn check(fleet: &[Status], agent: &str, schema: bool) -> Result<(), Failure> {
    if !fleet.iter().any(|one| one.id == agent) {
        // To ask for one that is not there is an attempt, which the control plane refuses and records.
        return Ok(());
    }
    let agent = choose(fleet, Some(agent)).map_err(|why| Failure::with_status(why, FAILED))?;
    if schema && agent.kind == "openclaw" {
        let why = "OpenClaw cannot be held to a schema; agents of kind `builtin` can";
        return Err(Failure::with_status(why, FAILED));
    }
    Ok(())
}

/// One event as one line of JSON, of which a terminal obeys nothing.
fn print(event: &Event, terminal: bool) -> io::Result<()> {
    let text = serde_json::to_string(event)?;
    let shown = if terminal { json(&text) } else { text.as_str().into() };
    let mut stdout = io::stdout();
    writeln!(stdout, "{shown}")?;
    stdout.flush()
}

/// What was typed, or else what standard input has.
fn prompt(typed: Option<String>) -> Result<String, Failure> {
    let stdin = io::stdin();
    let prompt = match typed {
        Some(typed) if typed != "-" => typed,
        None if stdin.is_terminal() => {
            let message =
                "no prompt; write it after the agent's name, or pipe it in, as in `nanoclaw ask AGENT - < task.txt`";
            return Err(Failure::with_status(message, FAILED));
        }
        _ => {
            let mut text = String::new();
            stdin.lock().take(LONGEST_ORDER as u64 + 1).read_to_string(&mut text)?;
            text
        }
    };
    if prompt.len() > LONGEST_ORDER {
        return Err(Failure::with_status(format!("the prompt is longer than {LONGEST_ORDER} bytes"), FAILED));
    }
    if prompt.trim().is_empty() {
        return Err(Failure::with_status("the prompt is empty; write what the agent is to do", FAILED));
    }
    Ok(prompt)
}

fn schema(path: &Path) -> Result<serde_json::Value, Failure> {
    let bad = |why: String| Failure::with_status(format!("schema `{}`: {why}", path.display()), FAILED);
    let text = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
    let schema: serde_json::Value = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
    schema::check(&schema).map_err(bad)?;
    Ok(schema)
}
