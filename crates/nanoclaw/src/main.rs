//! `nanoclaw`: run AI agents, and any other program, that nobody has to trust.
#![forbid(unsafe_code)]

mod cli;
mod command;
mod comparison;
mod openclaw;
mod output;
mod remote;
mod talk;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = match cli::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return output::usage(&error),
    };
    let state_dir = arguments.state_dir.as_deref();
    let elsewhere = match context(&arguments) {
        Ok(context) => context,
        Err(error) => return output::Failure::from(error).report(),
    };
    let result = match arguments.command {
        cli::Command::Operator(operators) => command::people::Api::of(state_dir, elsewhere.as_ref())
            .and_then(|api| command::people::operators(&api, operators)),
        cli::Command::Token(tokens) => command::people::Api::of(state_dir, elsewhere.as_ref())
            .and_then(|api| command::people::tokens(&api, tokens)),
        cli::Command::Certificate(certificates) => command::people::Api::of(state_dir, elsewhere.as_ref())
            .and_then(|api| command::people::certificates(&api, certificates)),
        command if let Some(context) = &elsewhere => command::elsewhere::main(context, command),
        cli::Command::Run(run) => command::run::main(state_dir, *run),
        cli::Command::Up(up) => command::up::main(state_dir, &up),
        cli::Command::Ps(ps) => command::ps::main(state_dir, &ps),
        cli::Command::Logs(logs) => command::logs::main(state_dir, &logs),
        cli::Command::Exec(exec) => command::exec::main(state_dir, exec),
        cli::Command::Chat(chat) => command::chat::main(state_dir, chat),
        cli::Command::Ask(ask) => command::ask::main(state_dir, ask),
        cli::Command::Approvals(approvals) => command::approvals::main(state_dir, approvals),
        cli::Command::Stop(stop) => command::stop::main(state_dir, stop),
        cli::Command::Reload(reload) => command::reload::main(state_dir, &reload),
        cli::Command::Labels(labels) => command::labels::main(state_dir, labels),
        cli::Command::Down => command::down::main(state_dir),
        cli::Command::Doctor(doctor) => command::doctor::main(state_dir, &doctor),
        cli::Command::Audit(audit) => command::audit::main(state_dir, &audit),
        cli::Command::Config(config) => command::config::main(&config),
        cli::Command::Policy(policy) => command::policy::main(state_dir, &policy),
        cli::Command::Firewall(firewall) => command::firewall::main(state_dir, &firewall),
        cli::Command::Api(api) => command::api::main(&api),
        cli::Command::Context(context) => command::context::main(context),
        cli::Command::OpenClaw(openclaw) => command::openclaw::main(state_dir, &openclaw),
        cli::Command::AgentInside { settings } => command::agent_inside::main(&settings),
        cli::Command::AttackInside { arguments } => {
            return nanoclaw_sandbox::attack::main_inside(&arguments);
        }
    };
    result.unwrap_or_else(|error| error.report())
}

/// The server elsewhere that a command is about; `None` if it is about this machine. A state directory that is named on
/// the command line counts more than a variable.
fn context(arguments: &cli::Arguments) -> Result<Option<remote::Context>, remote::ContextError> {
    if arguments.state_dir.is_some() || !command::elsewhere::concerns(&arguments.command) {
        return Ok(None);
    }
    remote::Context::chosen(arguments.context.as_deref())
}
