//! `nanoclaw agent-inside`: the built-in agent, as the control plane starts it in a cell.

use std::path::Path;
use std::process::ExitCode;

use crate::output::Failure;

/// Runs it until the cell ends.
pub fn main(settings: &Path) -> Result<ExitCode, Failure> {
    nanoclaw_agent::main(settings)?;
    Ok(ExitCode::SUCCESS)
}
