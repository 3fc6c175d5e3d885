//! `nanoclaw chat`: a conversation with an agent, turn by turn.

mod input;
mod slash;

use std::io::{self, Stderr, Stdout};
use std::path::Path;
use std::process::ExitCode;

use nanoclaw_agent::protocol::{Event, Order};
use nanoclaw_server::control::{Client, Reply, Request};
use nanoclaw_server::fleet::Status;
use nanoclaw_server::state::State;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use self::input::{Input, Read};
use self::slash::Slash;
use crate::cli::Chat;
use crate::output::{FAILED, Failure};
use crate::talk::{Detail, Events, Leave, Transcript};
use crate::terminal::{Ink, Look};

/// The exit status of a conversation that was interrupted where nobody types: 128 + SIGINT.
const INTERRUPTED: u8 = 130;
/// The exit status of a conversation in which a turn failed.
const TURN_FAILED: u8 = 1;

/// What is said to whoever asks for OpenClaw's sessions.
const OPENCLAW_KEEPS: &str =
    "OpenClaw keeps its sessions itself, in /data of its cell, and does not list them; /session NAME goes on with one";

/// Talks until the person leaves, or standard input ends.
pub fn main(state_dir: Option<&Path>, arguments: Chat) -> Result<ExitCode, Failure> {
    let state = super::fleet(state_dir)?;
    let Reply::Cells(fleet) = Client::connect(&state)?.ask(&Request::List, &[])? else {
        return Err(io::Error::from(io::ErrorKind::InvalidData).into());
    };
    let agent = choose(&fleet, arguments.agent.as_deref()).map_err(|why| Failure::with_status(why, FAILED))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stdout, stderr) = (io::stdout(), io::stderr());
    let (answer, notes) = (Look::of(&stdout), Look::of(&stderr));
    let mut conversation = Conversation {
        agent: agent.id.clone(),
        is_openclaw: agent.kind == "openclaw",
        session: arguments.session,
        transcript: Transcript::new((stdout, answer), (stderr, notes), Detail::Results),
        failed: false,
        state,
        runtime,
    };
    conversation.run()
}

/// Who is spoken to: the agent that was named, or the only one there is.
pub(super) fn choose<'f>(fleet: &'f [Status], named: Option<&str>) -> Result<&'f Status, String> {
    let speaks = |agent: &&Status| matches!(agent.kind.as_str(), "builtin" | "openclaw");
    let able: Vec<&Status> = fleet.iter().filter(speaks).collect();
    let names = || able.iter().map(|agent| format!("`{}`", agent.id)).collect::<Vec<_>>().join(", ");
    let Some(named) = named else {
        return match able.as_slice() {
            [only] => Ok(only),
            [] => Err("no agent of this fleet can be spoken to; add one of kind `builtin` or `openclaw`".to_owned()),
            _ => Err(format!("several agents can be spoken to; name one of {}", names())),
        };
    };
    match fleet.iter().find(|agent| agent.id == named) {
        Some(agent) if speaks(&agent) => Ok(agent),
        Some(agent) => Err(format!(
            "`{named}` is a {}, which cannot be spoken to; agents of kind `builtin` and `openclaw` can{}",
            agent.kind,
            if able.is_empty() { String::new() } else { format!(": {}", names()) }
        )),
        None => Err(format!("there is no agent `{}` in this fleet; `nanoclaw ps` lists them", named.escape_debug())),
    }
}

struct Conversation {
    state: State,
    runtime: Runtime,
    agent: String,
    /// Whether it is an OpenClaw, which keeps its sessions itself and does not list them.
    is_openclaw: bool,
    /// The session, once there is one.
    session: Option<String>,
    transcript: Transcript<Stdout, Stderr>,
    /// Whether any turn failed.
    failed: bool,
}

/// How an order ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Done,
    Interrupted,
}

impl Conversation {
    fn run(&mut self) -> Result<ExitCode, Failure> {
        let mut input = Input::open(&self.state, &self.agent);
        if input.is_terminal() {
            let greeting = format!("talking with {}; /help lists the commands, Ctrl-D leaves", self.agent);
            self.transcript.note(Ink::Dim, &greeting)?;
        }
        loop {
            let text = match input.read(&self.runtime)? {
                Read::Text(text) => text,
                Read::Again => {
                    self.transcript.note(Ink::Dim, "Ctrl-C again, or Ctrl-D, leaves")?;
                    continue;
                }
                Read::End => break,
            };
            let order = match Slash::parse(&text) {
                None => Order::Turn { session: self.session.clone(), prompt: text, untrusted: None, schema: None },
                Some(Slash::Quit) => break,
                Some(slash) => match self.obey(slash)? {
                    Some(order) => order,
                    None => continue,
                },
            };
            if self.carry_out(order)? == Ended::Interrupted {
                if !input.is_terminal() {
                    return Ok(ExitCode::from(INTERRUPTED));
                }
                // The terminal has shown what was pressed, and stays on that line.
                self.transcript.note(Ink::Dim, "")?;
                self.transcript.note(Ink::Dim, "interrupted; the session stays at its last completed step")?;
            }
            self.transcript.finish();
        }
        Ok(if self.failed { ExitCode::from(TURN_FAILED) } else { ExitCode::SUCCESS })
    }

    /// Does what a command says. Some are orders to the agent.
    fn obey(&mut self, slash: Slash) -> Result<Option<Order>, Failure> {
        let said = match slash {
            Slash::Help => slash::HELP.to_owned(),
            Slash::New => {
                self.session = self.is_openclaw.then(new_session);
                "the next turn begins a new session".to_owned()
            }
            Slash::Session(Some(name)) => {
                let said = format!("the next turn is in session {}", name.escape_debug());
                self.session = Some(name);
                said
            }
            Slash::Session(None) => match &self.session {
                Some(name) => format!("session {}", name.escape_debug()),
                None => "no session yet; the next turn begins one".to_owned(),
            },
            Slash::Sessions | Slash::History if self.is_openclaw => OPENCLAW_KEEPS.to_owned(),
            Slash::Sessions => return Ok(Some(Order::Sessions)),
            Slash::History => match &self.session {
                Some(session) => return Ok(Some(Order::Transcript { session: session.clone() })),
                None => "no session yet; the next turn begins one".to_owned(),
            },
            Slash::Verbose => {
                let whole = self.transcript.detail != Detail::Whole;
                self.transcript.detail = if whole { Detail::Whole } else { Detail::Results };
                let how = if whole { "whole, with the model's thoughts" } else { "in short" };
                format!("tool calls and results are shown {how}")
            }
            Slash::Unknown(word) => format!("unknown command `{word}`; /help lists the commands"),
            Slash::Quit => return Ok(None),
        };
        for line in said.lines() {
            self.transcript.note(Ink::Dim, line)?;
        }
        Ok(None)
    }

    /// Has the agent carry out an order, and shows what comes of it.
    fn carry_out(&mut self, order: Order) -> Result<Ended, Failure> {
        let Self { state, runtime, agent, session, transcript, failed, .. } = self;
        let carried = runtime.block_on(async {
            // One of its own for each order: what was pressed before does not count.
            let mut interrupt = signal(SignalKind::interrupt())?;
            // While somebody types, Ctrl-C means something else.
            let _leave = Leave::upon(&[SignalKind::interrupt()])?;
            let mut events = match Events::of(state, agent, order) {
                Ok(events) => events,
                Err(error) => {
                    *failed = true;
                    transcript.note(Ink::Failure, &error.to_string())?;
                    return Ok(Ended::Done);
                }
            };
            loop {
                let event = tokio::select! {
                    event = events.next() => event,
                    // The events are dropped with this, and the turn is interrupted.
                    _ = interrupt.recv() => return Ok(Ended::Interrupted),
                };
                match event {
                    Ok(Some(event)) => {
                        if let Event::Session { id, .. } = &event {
                            *session = Some(id.clone());
                        }
                        *failed |= matches!(event, Event::Failed { .. });
                        transcript.event(&event)?;
                    }
                    Ok(None) => return Ok(Ended::Done),
                    Err(error) => {
                        *failed = true;
                        transcript.note(Ink::Failure, &error.to_string())?;
                        return Ok(Ended::Done);
                    }
                }
            }
        });
        carried.or_else(|error: io::Error| match error.kind() {
            // Whoever reads us has seen enough.
            io::ErrorKind::BrokenPipe => std::process::exit(0),
            _ => Err(error.into()),
        })
    }
}

/// A name for a session that nobody has named.
fn new_session() -> String {
    jiff::Timestamp::now().strftime("chat-%Y%m%d-%H%M%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nanoclaw_server::fleet::Phase;

    fn agent(id: &str, kind: &str) -> Status {
        Status {
            id: id.to_owned(),
            kind: kind.to_owned(),
            phase: Phase::Running,
            restarts: 0,
            uptime_seconds: 0,
            cpu_us: None,
            memory_bytes: None,
            pids: None,
            refusals: 0,
            labels: nanoclaw_policy::NOTHING_READ,
            labels_since: None,
            last_exit: None,
            problem: None,
        }
    }

    fn chosen(fleet: &[Status], named: Option<&str>) -> Result<String, String> {
        choose(fleet, named).map(|agent| agent.id.clone())
    }

    #[test]
    fn the_only_agent_that_can_be_spoken_to_needs_no_name() {
        let fleet = [agent("worker", "command"), agent("analyst", "builtin"), agent("local", "model")];
        assert_eq!(chosen(&fleet, None), Ok("analyst".to_owned()));
        assert_eq!(chosen(&fleet, Some("analyst")), Ok("analyst".to_owned()));
    }

    #[test]
    fn whoever_cannot_be_chosen_is_explained() {
        let fleet = [agent("worker", "command"), agent("analyst", "builtin"), agent("claw", "openclaw")];
        assert_eq!(chosen(&fleet, None).unwrap_err(), "several agents can be spoken to; name one of `analyst`, `claw`");
        assert_eq!(
            chosen(&fleet, Some("worker")).unwrap_err(),
            "`worker` is a command, which cannot be spoken to; agents of kind `builtin` and `openclaw` can: `analyst`, `claw`"
        );
        assert_eq!(
            chosen(&fleet, Some("x")).unwrap_err(),
            "there is no agent `x` in this fleet; `nanoclaw ps` lists them"
        );
        assert_eq!(
            chosen(&fleet[..1], None).unwrap_err(),
            "no agent of this fleet can be spoken to; add one of kind `builtin` or `openclaw`"
        );
    }

    #[test]
    fn a_session_that_nobody_named_has_a_valid_name() {
        let name = new_session();
        assert!(name.len() <= nanoclaw_agent::protocol::LONGEST_SESSION_NAME, "{name}");
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{name}");
    }
}
