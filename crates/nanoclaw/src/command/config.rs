//! `nanoclaw config`: check configurations.

use std::process::ExitCode;

use crate::cli::Config;
use crate::output::{self, Failure};

/// Checks, or prints the schema.
pub fn main(arguments: &Config) -> Result<ExitCode, Failure> {
    match arguments {
        Config::Check { file } => {
            let loaded = nanoclaw_config::load(file)?;
            for notice in &loaded.notices {
                output::notice(super::notice_text(notice));
            }
            output::line(format_args!("`{}` is valid", file.display()));
        }
        Config::Schema => output::line(nanoclaw_config::schema().trim_end()),
    }
    Ok(ExitCode::SUCCESS)
}
