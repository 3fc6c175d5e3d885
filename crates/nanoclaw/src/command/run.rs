//! `nanoclaw run`: one program in a cell of its own.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use nanoclaw_audit::LimitKind;
use nanoclaw_config::{Agent, Limits, Loaded, Restart, Rootfs, SandboxMode};
use nanoclaw_request::CellId;
use nanoclaw_server::cell::{Cell, End, LaunchError, Order, host_services, launch};
use nanoclaw_server::fleet;
use nanoclaw_server::plane::Plane;
use nanoclaw_server::stdio::{Relay, Stdio};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Run;
use crate::output::{CANNOT_RUN, FAILED, Failure, NOT_FOUND, TIMED_OUT};

/// Runs the command and gives its exit status.
pub fn main(state_dir: Option<&Path>, arguments: Run) -> Result<ExitCode, Failure> {
    let loaded = arguments.config.as_deref().map(nanoclaw_config::load).transpose()?;
    let json = arguments.json;
    let (agent, mode) = agent(arguments, loaded.as_ref())?;
    let state = super::state(state_dir)?;
    super::with_plane(state, loaded.as_ref(), async |plane| {
        let stdio = Stdio::inherit()?;
        let mut spec = fleet::spec(&agent, mode, plane.state.directory().to_path_buf());
        spec.terminal = stdio.terminal;
        spec.host_services = host_services(&agent.allowed_networks);
        one(&plane, Order { spec, networks: agent.allowed_networks }, stdio, json).await
    })
}

/// The cell that the options, the configuration and the defaults together ask for.
fn agent(arguments: Run, loaded: Option<&Loaded>) -> Result<(Agent, SandboxMode), Failure> {
    let config = loaded.map(|loaded| &loaded.config);
    let named = arguments.name.as_ref().and_then(|name| config?.agents.iter().find(|agent| agent.id == *name)).cloned();
    let id = match arguments.name {
        Some(name) => name,
        None => CellId::parse(&format!("run-{}", std::process::id()))?,
    };
    let mut agent = named.unwrap_or_else(|| Agent {
        id,
        command: Vec::new(),
        rootfs: Rootfs::default(),
        mounts: Vec::new(),
        env: Default::default(),
        workdir: None,
        limits: config.map(|config| config.limits).unwrap_or_default(),
        allowed_networks: config.map(|config| config.allowed_networks.clone()).unwrap_or_default(),
        restart: Restart::Never,
        health: None,
        stop_grace: std::time::Duration::from_secs(10),
    });
    if !arguments.command.is_empty() {
        agent.command = arguments.command;
    }
    if agent.command.is_empty() {
        return Err(Failure::with_status("no command; write it after `--`, as in `nanoclaw run -- python3 agent.py`", FAILED));
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
    let id = order.spec.id.clone();
    let for_cell = std::mem::take(&mut stdio.for_cell);
    let mut cell = match launch(plane, order, for_cell).await {
        Ok(cell) => cell,
        Err(error) => {
            let status = match &error {
                LaunchError::Command { errno, .. } if *errno == rustix::io::Errno::NOENT.raw_os_error() => NOT_FOUND,
                LaunchError::Command { .. } => CANNOT_RUN,
                LaunchError::Step { .. } | LaunchError::Audit { .. } | LaunchError::Refused { .. } => FAILED,
            };
            return Err(Failure::with_status(error, status));
        }
    };
    let relay = cell.terminal.take().map(Relay::start).transpose()?;
    let end = attend(plane, &mut cell, relay.as_ref()).await?;
    if let Some(relay) = relay {
        relay.drain();
    }
    stdio.drain();
    if let Some(limit) = end.limit {
        eprintln!("nanoclaw: cell `{id}` was ended by its {} limit", limit.name());
    }
    let status = match end.limit {
        Some(LimitKind::Timeout) => TIMED_OUT,
        _ => u8::try_from(end.status).unwrap_or(FAILED),
    };
    if json {
        println!("{}", summary(plane, &id, &end, status, started));
    }
    Ok(ExitCode::from(status))
}

/// Waits for the cell's end, and passes signals and window sizes on until then.
async fn attend(plane: &Plane, cell: &mut Cell, relay: Option<&Relay>) -> Result<End, Failure> {
    let steering = cell.steering(plane);
    let mut hangup = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut user1 = signal(SignalKind::user_defined1())?;
    let mut user2 = signal(SignalKind::user_defined2())?;
    let mut window = signal(SignalKind::window_change())?;
    loop {
        let kind = tokio::select! {
            end = cell.wait() => return Ok(end),
            _ = hangup.recv() => SignalKind::hangup(),
            _ = interrupt.recv() => SignalKind::interrupt(),
            _ = quit.recv() => SignalKind::quit(),
            _ = terminate.recv() => SignalKind::terminate(),
            _ = user1.recv() => SignalKind::user_defined1(),
            _ = user2.recv() => SignalKind::user_defined2(),
            _ = window.recv() => {
                if let Some(relay) = relay {
                    relay.resize()?;
                }
                continue;
            }
        };
        steering.signal(0, kind.as_raw_value());
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
