//! `nanoclaw stop`: end one agent for good.

use std::path::Path;
use std::process::ExitCode;

use nanoclaw_server::control::{Client, Request};

use crate::cli::Stop;
use crate::output::Failure;

/// Asks for it; the agent gets its grace period.
pub fn main(state_dir: Option<&Path>, arguments: Stop) -> Result<ExitCode, Failure> {
    Client::connect(&super::fleet(state_dir)?)?.ask(&Request::Stop { cell: arguments.agent }, &[])?;
    Ok(ExitCode::SUCCESS)
}
