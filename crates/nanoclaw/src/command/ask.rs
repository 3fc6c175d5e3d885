//! `nanoclaw ask`: one turn of an agent. Its text goes to standard output, everything else to standard error.

use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use nanoclaw_agent::protocol::{Event, LONGEST_ORDER, Order};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Ask;
use crate::output::{FAILED, Failure};
use crate::talk::{Detail, Events, Transcript};
use crate::terminal::Look;

/// The exit status of a turn that was interrupted: 128 + SIGINT.
const INTERRUPTED: u8 = 130;
/// The exit status of a turn that failed.
const TURN_FAILED: u8 = 1;

/// Has the turn done: 0 when it is, 1 when it failed, 130 when it was interrupted.
pub fn main(state_dir: Option<&Path>, arguments: Ask) -> Result<ExitCode, Failure> {
    let prompt = prompt(arguments.prompt)?;
    let schema = arguments.schema.as_deref().map(schema).transpose()?;
    let whole = schema.is_some();
    let state = super::state(state_dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let order = Order::Turn { session: arguments.session, prompt, untrusted: None, schema };
        let mut events = Events::of(&state, &arguments.agent, order)?;
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let (answer, notes) = (Look::of(&stdout), Look::of(&stderr));
        let mut transcript = Transcript::new((stdout.lock(), answer), (stderr, notes), Detail::Short);
        if whole {
            transcript = transcript.only_final();
        }
        let mut failed = false;
        loop {
            let event = tokio::select! {
                event = events.next() => event?,
                // The events are dropped with this, and the turn is interrupted.
                _ = interrupt.recv() => return Ok(ExitCode::from(INTERRUPTED)),
                _ = terminate.recv() => return Ok(ExitCode::from(128 + 15)),
            };
            let Some(event) = event else { break };
            failed |= matches!(event, Event::Failed { .. });
            let shown = if arguments.json { print(&event) } else { transcript.event(&event) };
            match shown {
                // Whoever reads us has seen enough.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
                shown => shown?,
            }
        }
        Ok(if failed { ExitCode::from(TURN_FAILED) } else { ExitCode::SUCCESS })
    })
}

/// One event as one line of JSON.
fn print(event: &Event) -> io::Result<()> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    let mut stdout = io::stdout();
    stdout.write_all(&line)?;
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
    if schema.is_object() { Ok(schema) } else { Err(bad("it is no JSON Schema, which is a JSON object".to_owned())) }
}
