//! `nanoclaw api`: about the REST API of the control plane.

use std::process::ExitCode;

use crate::cli::Api;
use crate::output::{self, Failure};

/// Prints what is asked for.
pub fn main(arguments: &Api) -> Result<ExitCode, Failure> {
    match arguments {
        Api::Schema => output::line(serde_json::to_string_pretty(&nanoclaw_server::api::document())?),
    }
    Ok(ExitCode::SUCCESS)
}
