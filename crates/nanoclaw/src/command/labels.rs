//! `nanoclaw labels`: what agents have read, and having it forgotten.

use std::path::Path;
use std::process::ExitCode;

use nanoclaw_server::control::{Client, Reply, Request};
use nanoclaw_server::fleet::Status;
use serde_json::json;

use crate::cli::{Labels, LabelsCommand};
use crate::output::{self, Failure};
use crate::remote::{self, part};
use crate::terminal::visible;

/// Lists, or has one agent's labels forgotten.
pub fn main(state_dir: Option<&Path>, arguments: Labels) -> Result<ExitCode, Failure> {
    let client = Client::connect(&super::fleet(state_dir)?)?;
    match arguments.command {
        Some(LabelsCommand::Reset { agent }) => {
            client.ask(&Request::ResetLabels { cell: agent }, &[])?;
        }
        None => {
            let Reply::Cells(agents) = client.ask(&Request::List, &[])? else {
                return Err(std::io::Error::from(std::io::ErrorKind::InvalidData).into());
            };
            show(&agents, arguments.json)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The same, of a fleet elsewhere.
pub fn over(client: &remote::Client, arguments: Labels) -> Result<ExitCode, Failure> {
    match arguments.command {
        Some(LabelsCommand::Reset { agent }) => {
            client.order(&format!("/v1/agents/{}/labels/reset", part(&agent)?))?;
        }
        None => show(&client.get::<Vec<Status>>("/v1/agents")?, arguments.json)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn show(agents: &[Status], json: bool) -> Result<(), Failure> {
    if json {
        for agent in agents {
            let labels = json!({ "agent": agent.id, "labels": agent.labels, "since": agent.labels_since });
            output::line(crate::terminal::json(&labels.to_string()));
        }
        return Ok(());
    }
    let width = agents.iter().map(|agent| agent.id.len()).max().unwrap_or(0).max(5);
    output::line(format_args!("{:width$}  {:9}  {:12}  {:9}  SINCE", "AGENT", "TRUST", "DATA", "SUSPICION"));
    for agent in agents {
        let since = agent.labels_since.as_deref().unwrap_or("-");
        let (trust, data) = (agent.labels.trust.name(), agent.labels.data.name());
        let suspicion = agent.labels.suspicion.name();
        output::line(visible(&format!("{:width$}  {trust:9}  {data:12}  {suspicion:9}  {since}", agent.id)));
    }
    Ok(())
}
