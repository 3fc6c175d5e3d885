//! `nanoclaw ps`: the running fleet.

use std::path::Path;
use std::process::ExitCode;

use nanoclaw_server::control::{Client, Reply, Request};
use nanoclaw_server::fleet::{Phase, Status};

use crate::cli::Ps;
use crate::output::{self, Failure};
use crate::remote;
use crate::terminal::visible;

/// Prints one line per agent.
pub fn main(state_dir: Option<&Path>, arguments: &Ps) -> Result<ExitCode, Failure> {
    let state = super::fleet(state_dir)?;
    let Reply::Cells(agents) = Client::connect(&state)?.ask(&Request::List, &[])? else {
        return Err(std::io::Error::from(std::io::ErrorKind::InvalidData).into());
    };
    show(&agents, arguments.json)
}

/// The same, of a fleet elsewhere.
pub fn over(client: &remote::Client, arguments: &Ps) -> Result<ExitCode, Failure> {
    show(&client.get::<Vec<Status>>("/v1/agents")?, arguments.json)
}

fn show(agents: &[Status], json: bool) -> Result<ExitCode, Failure> {
    if json {
        for agent in agents {
            output::line(crate::terminal::json(&serde_json::to_string(agent)?));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let width = agents.iter().map(|agent| agent.id.len()).max().unwrap_or(0).max(5);
    output::line(format_args!(
        "{:width$}  {:8}  {:9}  {:>9}  {:>9}  {:>9}  {:>5}  {:>8}  {:>8}  LAST EXIT",
        "AGENT", "KIND", "STATE", "UPTIME", "CPU", "MEMORY", "PIDS", "REFUSED", "RESTARTS"
    ));
    for agent in agents {
        output::line(visible(&line(agent, width)));
    }
    Ok(ExitCode::SUCCESS)
}

fn line(agent: &Status, width: usize) -> String {
    let state = match agent.phase {
        Phase::Starting => "starting",
        Phase::Running => "running",
        Phase::Unwell => "unwell",
        Phase::Waiting => "waiting",
        Phase::Stopping => "stopping",
        Phase::Stopped => "stopped",
    };
    let exit = match (&agent.problem, agent.last_exit) {
        (Some(problem), _) => problem.clone(),
        (None, Some(status)) => status.to_string(),
        (None, None) => "-".to_owned(),
    };
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    format!(
        "{:width$}  {:8}  {state:9}  {:>8}s  {:>9}  {:>9}  {:>5}  {:>8}  {:>8}  {exit}",
        agent.id,
        agent.kind,
        agent.uptime_seconds,
        or_dash(agent.cpu_us.map(|us| format!("{:.2}s", us as f64 / 1e6))),
        or_dash(agent.memory_bytes.map(|bytes| format!("{:.1}Mi", bytes as f64 / f64::from(1 << 20)))),
        or_dash(agent.pids.map(|pids| pids.to_string())),
        agent.refusals,
        agent.restarts,
    )
}
