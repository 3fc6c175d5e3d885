//! `nanoclaw up`: the fleet of a configuration, supervised, in the foreground or under systemd.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use nanoclaw_audit::{Fact, Note};
use nanoclaw_config::Config;
use nanoclaw_gate::Desk;
use nanoclaw_identity::operators::Operators;
use nanoclaw_policy::Policies;
use nanoclaw_server::announce::announce;
use nanoclaw_server::control::Control;
use nanoclaw_server::fleet::Fleet;
use nanoclaw_server::plane::{Plane, Sessions};
use nanoclaw_server::reload::Reload;
use nanoclaw_server::svid::Identities;
use nanoclaw_server::{agents, api, clock, listener, policies, say};
use nanoclaw_sinks::Sinks;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Up;
use crate::output::{self, FAILED, Failure};

/// How long sinks have at the end for what they have not got yet, which waits for its checkpoint as well.
const LAST_DELIVERY: Duration = Duration::from_secs(5);

/// Runs the fleet until every agent has ended for good, or until it is told to stop.
pub fn main(state_dir: Option<&Path>, arguments: &Up) -> Result<ExitCode, Failure> {
    let loaded = nanoclaw_config::load(&arguments.config)?;
    if loaded.config.agents.is_empty() {
        let message = format!(
            "`{}` has no `agents`, so there is no fleet to run; add some, or run one program with `nanoclaw run -c`",
            arguments.config.display()
        );
        return Err(Failure::with_status(message, FAILED));
    }
    let state = super::state(state_dir)?;
    let _lock = state.lock_fleet()?;
    agents::prepare(&state, &loaded.config)?;
    super::with_plane(state, Some(&loaded), true, async |mut plane| {
        let first = plane.policies.current();
        let written = first.written().clone();
        policies::notices(&loaded.config, &written).iter().for_each(output::notice);
        let generation = policies::generation(&loaded.config, written).with_firewall(first.firewall().clone());
        plane.policies = Policies::new(generation);
        plane.sessions = Sessions::kept(plane.state.labels()?);
        plane.desk = Desk::new(loaded.config.approvals);
        let operators = Arc::new(Operators::open(plane.state.directory(), Timestamp::now())?);
        plane.identities = Identities::of(operators.authority().clone());
        let sinks = sinks(&plane, &loaded.config)?;
        plane.sinks = sinks.progress().into();
        tokio::spawn(announce(plane.desk.clone()));
        plane.recorder.note(Note::of_control(Fact::ControlStarted)).await?;
        let fleet = Fleet::new(plane.clone(), &loaded.config);
        let reload = Reload::new(plane.clone(), arguments.config.clone(), loaded.config.clone());
        let control = Control::listen(plane.clone(), fleet.clone(), reload.clone())?;
        tokio::spawn(control.serve());
        listener::start(&plane, &fleet, &loaded.config).await?;
        api::start(&plane, &fleet, &loaded.config, &operators, &reload).await?;
        clock::start(&plane, &fleet, &loaded.config);
        let count = loaded.config.agents.len();
        let agents = if count == 1 { "agent" } else { "agents" };
        say(format_args!("{count} {agents} from `{}`", arguments.config.display()));
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let attended = has_terminal();
        let run = fleet.run();
        let lost = plane.launcher.lost();
        tokio::pin!(run, lost);
        let mut crippled = false;
        loop {
            tokio::select! {
                () = &mut run => break,
                _ = interrupt.recv() => stop(&fleet),
                _ = terminate.recv() => stop(&fleet),
                // The terminal that it was started from is gone, and whoever watched it there.
                _ = hangup.recv() => if attended && !has_terminal() { stop(&fleet) } else { again(&reload).await? },
                // Nothing can be started any more; whoever supervises us starts us anew.
                () = &mut lost, if !crippled => {
                    crippled = true;
                    fleet.stop_all();
                }
            }
        }
        plane.recorder.note(Note::of_control(Fact::ControlStopped)).await?;
        let last = *plane.recorder.written().borrow();
        // How it ended is told to those who can be told; the rest is with them after the next start.
        let _ended = tokio::task::spawn_blocking(move || sinks.finish(last, LAST_DELIVERY)).await;
        let failed = fleet.status().await.iter().any(|agent| agent.problem.is_some() && agent.last_exit.is_none());
        Ok(if failed || crippled { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
    })
}

/// Starts to send the records to those who get them.
fn sinks(plane: &Plane, config: &Config) -> Result<Sinks, Failure> {
    if !config.audit.sinks.is_empty() {
        nanoclaw_vault::tls::self_check()?;
    }
    let (log, state) = (plane.state.audit(), plane.state.sinks());
    Ok(Sinks::start(&config.audit.sinks, &plane.recorder, &log, &state, |text| say(text))?)
}

/// Whether this process has a terminal that it can be steered from.
fn has_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}

/// Reads the configuration again because of a signal, and says what came of it.
async fn again(reload: &Reload) -> Result<(), Failure> {
    match reload.signalled().await? {
        Ok(reloaded) => {
            reloaded.notices.iter().for_each(output::notice);
            say(format_args!("generation {} of the policies is in force", reloaded.generation));
        }
        Err(why) => say(format_args!("the configuration is not taken, and nothing has changed: {why}")),
    }
    Ok(())
}

fn stop(fleet: &Fleet) {
    say("stopping; an agent that has not ended after its `stop_grace` is killed");
    fleet.stop_all();
}
