//! `nanoclaw down`: end the fleet.

use std::path::Path;
use std::process::ExitCode;

use nanoclaw_server::control::{Client, Request};

use crate::output::Failure;

/// Asks for it; every agent gets its grace period.
pub fn main(state_dir: Option<&Path>) -> Result<ExitCode, Failure> {
    Client::connect(&super::state(state_dir)?)?.ask(&Request::Down, &[])?;
    Ok(ExitCode::SUCCESS)
}
