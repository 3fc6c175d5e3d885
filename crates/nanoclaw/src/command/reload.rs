//! `nanoclaw reload`: have a running fleet read its configuration again.

use std::path::Path;
use std::process::ExitCode;

use nanoclaw_server::control::{Client, Reply, Request};
use nanoclaw_server::reload::Reloaded;

use crate::cli::Reload;
use crate::comparison;
use crate::output::{self, Failure};
use crate::remote;
use crate::terminal::visible;

/// Asks for it, and says what changed and what waits.
pub fn main(state_dir: Option<&Path>, arguments: &Reload) -> Result<ExitCode, Failure> {
    let Reply::Reloaded(reloaded) = Client::connect(&super::state(state_dir)?)?.ask(&Request::Reload, &[])? else {
        return Err(std::io::Error::from(std::io::ErrorKind::InvalidData).into());
    };
    show(&reloaded, arguments.json)
}

/// The same, of a fleet elsewhere, which reads its own configuration.
pub fn over(client: &remote::Client, arguments: &Reload) -> Result<ExitCode, Failure> {
    let reloaded: Reloaded =
        serde_json::from_str(&client.order("/v1/reload")?.text).map_err(|error| client.unreadable(error))?;
    show(&reloaded, arguments.json)
}

fn show(reloaded: &Reloaded, json: bool) -> Result<ExitCode, Failure> {
    if json {
        output::line(crate::terminal::json(&serde_json::to_string(reloaded)?));
    } else {
        tell(reloaded);
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(reloaded: &Reloaded) {
    let Reloaded { generation, digest, notices, comparison, later, removed, added } = reloaded;
    notices.iter().for_each(output::notice);
    output::line(format_args!("generation {generation} is in force, sha256 {digest}"));
    comparison::tell(comparison);
    if !later.is_empty() || !added.is_empty() {
        output::line("with the next `nanoclaw up`:");
    }
    for later in later {
        let whose = later.agent.as_ref().map_or_else(|| "the fleet".to_owned(), |agent| format!("agent {agent}"));
        output::line(format_args!("  {whose}: {}", visible(&later.keys.join(", "))));
    }
    for agent in added {
        output::line(format_args!("  agent {agent}: it is new, and does not run"));
    }
    for agent in removed {
        output::line(format_args!(
            "agent {agent} is gone from the configuration: its cell runs and has lost every rule; `nanoclaw stop {agent}` ends it"
        ));
    }
}
