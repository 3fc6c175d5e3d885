//! Commands about a fleet that runs elsewhere: those that its API offers. The others say that they need the host itself.

use std::process::ExitCode;

use nanoclaw_server::say;

use super::{approvals, ask, audit, labels, logs, ps, reload};
use crate::cli::{Audit, Command, Firewall, Policy};
use crate::output::{FAILED, Failure};
use crate::remote::{Client, Context, part};

/// Whether a command is about a running fleet, so that it matters where that is.
pub fn concerns(command: &Command) -> bool {
    match command {
        Command::Config(_)
        | Command::Api(_)
        | Command::Context(_)
        | Command::OpenClaw(_)
        | Command::AgentInside { .. }
        | Command::AttackInside { .. } => false,
        Command::Firewall(firewall) => matches!(firewall, Firewall::Quarantine(_)),
        Command::Audit(Audit::Witness(_)) => false,
        Command::Audit(Audit::Verify(verify)) => verify.directory.is_none(),
        // What a file says is the same everywhere; what an audit log says is not.
        Command::Policy(policy) => matches!(policy, Policy::Explain { seq: Some(_), .. } | Policy::Learn { .. }),
        _ => true,
    }
}

/// Has a command done through the API.
pub fn main(context: &Context, command: Command) -> Result<ExitCode, Failure> {
    let name = match command {
        Command::Ps(ps) => return ps::over(&context.client()?, &ps),
        Command::Logs(logs) => return logs::over(&context.client()?, &logs),
        Command::Ask(ask) => return ask::over(&context.client()?, ask),
        Command::Approvals(approvals) => return approvals::over(context.client()?, approvals),
        Command::Reload(reload) => return reload::over(&context.client()?, &reload),
        Command::Labels(labels) => return labels::over(&context.client()?, labels),
        Command::Audit(Audit::Tail(tail)) => return audit::over(&context.client()?, &tail),
        Command::Stop(stop) => return begun(&context.client()?, &format!("/v1/agents/{}/stop", part(&stop.agent)?)),
        Command::Down => return begun(&context.client()?, "/v1/down"),
        Command::Audit(_) => "this part of `audit`",
        Command::Policy(_) => "`policy` about the audit log",
        Command::Firewall(_) => "`firewall quarantine`",
        Command::Run(_) => "`run`",
        Command::Up(_) => "`up`",
        Command::Exec(_) => "`exec`",
        Command::Chat(_) => "`chat`",
        Command::Doctor(_) => "`doctor`",
        _ => "this command",
    };
    let message = format!(
        "{name} needs the host itself, and context `{}` is a server elsewhere; run it there, or leave out `--context` \
         and unset NANOCLAW_CONTEXT",
        context.name
    );
    Err(Failure::with_status(message, FAILED))
}

/// Asks for something that takes its time.
fn begun(client: &Client, path: &str) -> Result<ExitCode, Failure> {
    client.order(path)?;
    say("it is under way; agents get their `stop_grace`");
    Ok(ExitCode::SUCCESS)
}
