//! `nanoclaw config`: check configurations.

use std::path::Path;
use std::process::ExitCode;

use crate::cli::Config;
use crate::output::{self, FAILED, Failure};

/// Checks, or prints the schema.
pub fn main(arguments: &Config) -> Result<ExitCode, Failure> {
    match arguments {
        Config::Check { file } => check(file),
        Config::Schema => {
            output::line(nanoclaw_config::schema().trim_end());
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Checks a configuration, and the policies that it names.
pub fn check(file: &Path) -> Result<ExitCode, Failure> {
    let loaded = nanoclaw_config::load(file)?;
    // What is checked beyond the file itself is said as its mistakes are.
    let unpriced = nanoclaw_llm::unpriced(&loaded.config)
        .map_err(|error| Failure::with_status(format_args!("error: {error}"), FAILED))?;
    let written = nanoclaw_server::policies::read(&loaded.config)
        .map_err(|error| Failure::with_status(format_args!("error: {error}"), FAILED))?;
    nanoclaw_server::firewall::of(&loaded.config)
        .map_err(|error| Failure::with_status(format_args!("error: {error}"), FAILED))?;
    let of_policies = nanoclaw_server::policies::notices(&loaded.config, &written);
    loaded.notices.iter().map(super::notice_text).chain(unpriced).chain(of_policies).for_each(output::notice);
    output::line(format_args!("`{}` is valid", file.display()));
    Ok(ExitCode::SUCCESS)
}
