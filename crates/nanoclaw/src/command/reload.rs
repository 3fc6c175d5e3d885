//! `nanoclaw reload`: have a running fleet read its configuration again.

use std::path::Path;
use std::process::ExitCode;

use nanoclaw_server::control::{Client, ClientError, Reply, Request};
use nanoclaw_server::reload::Reloaded;

use crate::cli::Reload;
use crate::comparison;
use crate::output::{self, FAILED, Failure};
use crate::remote;

/// Asks for it, and says what changed and what waits.
pub fn main(state_dir: Option<&Path>, arguments: &Reload) -> Result<ExitCode, Failure> {
    let request = Request::Reload { dry_run: arguments.dry_run };
    let reply = Client::connect(&super::fleet(state_dir)?)?.ask(&request, &[]).map_err(|error| match error {
        ClientError::Refused(why) => Failure::with_status(format_args!("{why}\nnothing has changed"), FAILED),
        other => other.into(),
    })?;
    let Reply::Reloaded(reloaded) = reply else {
        return Err(std::io::Error::from(std::io::ErrorKind::InvalidData).into());
    };
    show(&reloaded, arguments)
}

/// The same, of a fleet elsewhere, which reads its own configuration.
pub fn over(client: &remote::Client, arguments: &Reload) -> Result<ExitCode, Failure> {
    if arguments.dry_run {
        let message = "`--dry-run` is for a fleet of this machine; `nanoclaw policy diff` compares two files";
        return Err(Failure::with_status(message, FAILED));
    }
    let reloaded: Reloaded =
        serde_json::from_str(&client.order("/v1/reload")?.text).map_err(|error| client.unreadable(error))?;
    show(&reloaded, arguments)
}

fn show(reloaded: &Reloaded, arguments: &Reload) -> Result<ExitCode, Failure> {
    if arguments.json {
        output::line(crate::terminal::json(&serde_json::to_string(reloaded)?));
    } else {
        tell(reloaded, arguments.dry_run);
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(reloaded: &Reloaded, dry_run: bool) {
    let Reloaded { generation, digest, notices, comparison, later, removed, added } = reloaded;
    notices.iter().for_each(output::notice);
    let is = if dry_run { "would be" } else { "is" };
    output::line(format_args!("generation {generation} {is} in force, sha256 {digest}"));
    comparison::tell(comparison);
    if !later.is_empty() || !added.is_empty() {
        output::line("with the next `nanoclaw up`:");
    }
    comparison::waiting(later);
    for agent in added {
        output::line(format_args!("  agent {agent}: it is new, and does not run"));
    }
    for agent in removed {
        output::line(format_args!(
            "agent {agent} is gone from the configuration: its cell runs and has lost every rule; `nanoclaw stop {agent}` ends it"
        ));
    }
}
