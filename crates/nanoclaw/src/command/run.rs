//! `nanoclaw run`: one program in a cell of its own.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use nanoclaw_audit::LimitKind;
use nanoclaw_config::{Agent, AgentKind, Limits, Loaded, Restart, Rootfs, SandboxMode};
use nanoclaw_request::CellId;
use nanoclaw_server::agents;
use nanoclaw_server::cell::{Cell, End, LaunchError, Order, launch};
use nanoclaw_server::plane::Plane;
use nanoclaw_server::say;
use nanoclaw_server::stdio::{Relay, Stdio};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::Run;
use crate::output::{self, FAILED, Failure, TIMED_OUT};

/// Runs the command and gives its exit status.
pub fn main(state_dir: Option<&Path>, arguments: Run) -> Result<ExitCode, Failure> {
    let loaded = arguments.config.as_deref().map(nanoclaw_config::load).transpose()?;
    let json = arguments.json;
    let (agent, mode) = agent(arguments, loaded.as_ref())?;
    let state = super::state(state_dir)?;
    super::with_plane(state, loaded.as_ref(), agent.models.is_some(), async |plane| {
        let stdio = Stdio::inherit()?;
        let mut order = agents::order(&plane, &agent, mode)?;
        order.spec.terminal = stdio.terminal;
        one(&plane, order, stdio, json).await
    })
}

/// The cell that the options, the configuration and the defaults together ask for.
fn agent(arguments: Run, loaded: Option<&Loaded>) -> Result<(Agent, SandboxMode), Failure> {
    let config = loaded.map(|loaded| &loaded.config);
    let named = arguments.name.as_ref().and_then(|name| config?.agents.iter().find(|agent| agent.id == *name)).cloned();
    if let (Some(name), Some(config), None) = (&arguments.name, config, &named)
        && !config.agents.is_empty()
    {
        output::notice(format_args!("the configuration has no agent `{name}`; it runs with the fleet's defaults"));
    }
    let id = match arguments.name {
        Some(name) => name,
        None => CellId::parse(&format!("run-{}", std::process::id()))?,
    };
    let mut agent = named.unwrap_or_else(|| Agent {
        id,
        kind: AgentKind::Command(Vec::new()),
        models: None,
        schedule: Vec::new(),
        webhook: None,
        rootfs: Rootfs::default(),
        mounts: Vec::new(),
        env: Default::default(),
        workdir: None,
        limits: config.map(|config| config.limits).unwrap_or_default(),
        allowed_networks: config.map(|config| config.allowed_networks.clone()).unwrap_or_default(),
        rule_sets: None,
        restart: Restart::Never,
        health: None,
        stop_grace: std::time::Duration::from_secs(10),
    });
    if !arguments.command.is_empty() {
        agent.kind = AgentKind::Command(arguments.command);
    }
    let AgentKind::Command(command) = &agent.kind else {
        return Err(Failure::with_status(
            format!(
                "agent `{}` runs no command of its own; write one after `--`, or start it with `nanoclaw up`",
                agent.id
            ),
            FAILED,
        ));
    };
    if command.is_empty() {
        return Err(Failure::with_status(
            "no command; write it after `--`, as in `nanoclaw run -- python3 agent.py`",
            FAILED,
        ));
    }
    if let Some(rootfs) = arguments.rootfs {
        agent.rootfs = rootfs;
    }
    agent.workdir = arguments.workdir.or(agent.workdir);
    agent.mounts.extend(arguments.ro.into_iter().chain(arguments.rw));
    agent.env.extend(arguments.env);
    agent.allowed_networks.extend(arguments.allow_net);
    let typed = Limits {
        cpu_millis: arguments.cpus,
        memory: arguments.memory,
        pids: arguments.pids,
        disk: arguments.disk,
        files: arguments.files,
        timeout: arguments.timeout,
    };
    agent.limits = typed.or(agent.limits);
    Ok((agent, config.map(|config| config.sandbox_mode).unwrap_or_default()))
}

async fn one(plane: &Plane, order: Order, mut stdio: Stdio, json: bool) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    // First of all: what arrives from now on is for the program.
    let mut signals = Signals::catch()?;
    let id = order.spec.id.clone();
    let for_cell = std::mem::take(&mut stdio.for_cell);
    let mut cell = match launch(plane, order, for_cell).await {
        Ok(cell) => cell,
        Err(error) => {
            let status = match &error {
                LaunchError::Command { errno, .. } => output::not_started(*errno),
                LaunchError::Directory { .. } => output::CANNOT_RUN,
                LaunchError::Step { .. } | LaunchError::Audit { .. } | LaunchError::Refused { .. } => FAILED,
            };
            if json {
                print_summary(&json!({ "id": id.as_str(), "exit": status, "error": error.to_string() }));
            }
            return Err(Failure::with_status(error, status));
        }
    };
    let relay = cell.terminal.take().map(Relay::start).transpose()?;
    let end = attend(plane, &mut cell, relay.as_ref(), &mut signals).await?;
    if let Some(relay) = relay {
        relay.drain();
    }
    stdio.drain();
    if let Some(limit) = end.limit {
        say(format_args!("cell `{id}` was ended by its {} limit", limit.name()));
    }
    if let Some(killed @ 1..) = end.usage.oom_kills {
        say(format_args!(
            "the memory limit of cell `{id}` killed {killed} of its processes; raise `--memory` if they need more"
        ));
    }
    let status = match end.limit {
        Some(LimitKind::Timeout) => TIMED_OUT,
        _ => u8::try_from(end.status).unwrap_or(FAILED),
    };
    if json {
        print_summary(&summary(plane, &id, &end, status, started));
    }
    Ok(ExitCode::from(status))
}

/// Prints it on a line of its own, whatever the program wrote last.
fn print_summary(summary: &serde_json::Value) {
    let _nobody_reads = writeln!(std::io::stdout(), "\n{summary}").is_err();
}

/// The signals that are passed on, and the one that tells of a new window size.
struct Signals {
    kinds: [(SignalKind, Signal); 6],
    window: Signal,
}

impl Signals {
    fn catch() -> std::io::Result<Self> {
        let caught = |kind| Ok::<_, std::io::Error>((kind, signal(kind)?));
        let kinds = [
            caught(SignalKind::hangup())?,
            caught(SignalKind::interrupt())?,
            caught(SignalKind::quit())?,
            caught(SignalKind::terminate())?,
            caught(SignalKind::user_defined1())?,
            caught(SignalKind::user_defined2())?,
        ];
        Ok(Self { kinds, window: signal(SignalKind::window_change())? })
    }

    /// The next one.
    async fn next(&mut self) -> SignalKind {
        let Self { kinds: [hangup, interrupt, quit, terminate, user1, user2], window } = self;
        tokio::select! {
            _ = hangup.1.recv() => hangup.0,
            _ = interrupt.1.recv() => interrupt.0,
            _ = quit.1.recv() => quit.0,
            _ = terminate.1.recv() => terminate.0,
            _ = user1.1.recv() => user1.0,
            _ = user2.1.recv() => user2.0,
            _ = window.recv() => SignalKind::window_change(),
        }
    }
}

/// Waits for the cell's end, and passes signals and window sizes on until then.
async fn attend(plane: &Plane, cell: &mut Cell, relay: Option<&Relay>, signals: &mut Signals) -> Result<End, Failure> {
    let steering = cell.steering(plane);
    loop {
        tokio::select! {
            end = cell.wait() => return Ok(end),
            kind = signals.next() => match (kind == SignalKind::window_change(), relay) {
                (true, Some(relay)) => relay.resize()?,
                (true, None) => {}
                (false, _) => steering.signal(0, kind.as_raw_value()),
            },
        }
    }
}

fn summary(plane: &Plane, id: &CellId, end: &End, status: u8, started: Instant) -> serde_json::Value {
    let usage = &end.usage;
    let refusals: Vec<_> = plane
        .recorder
        .refusals(id)
        .into_iter()
        .map(|refusal| {
            json!({
                "action": refusal.action,
                "code": refusal.code,
                "count": refusal.count,
                "first": {
                    "timestamp": refusal.first.timestamp.to_string(),
                    "path": refusal.first.path,
                    "resource": refusal.first.resource,
                    "reason": refusal.first.reason,
                    "help": refusal.first.help,
                },
            })
        })
        .collect();
    json!({
        "id": id.as_str(),
        "exit": status,
        "limit": end.limit.map(LimitKind::name),
        "wall_ms": started.elapsed().as_secs_f64() * 1e3,
        "usage": {
            "cpu_ms": usage.cpu_us.map(|us| us as f64 / 1e3),
            "memory_peak_bytes": usage.memory_peak_bytes,
            "io_read_bytes": usage.io_read_bytes,
            "io_write_bytes": usage.io_write_bytes,
            "oom_kills": usage.oom_kills,
        },
        "refusals": refusals,
    })
}
