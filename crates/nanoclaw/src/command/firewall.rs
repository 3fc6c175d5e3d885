//! `nanoclaw firewall`: judge texts with the prompt firewall, without a fleet.

mod answer;
mod batches;
mod cases;
mod explain;
mod scan;

use std::fmt::Display;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use nanoclaw_firewall::filter::Intent;
use nanoclaw_firewall::{Firewall, Settings};

use crate::cli;
use crate::output::{self, FAILED, Failure};

/// An expectation is not met, or a verdict is one on which the command was to fail.
const MISSED: u8 = 1;
/// Longest text in bytes, and longest line of JSON.
const MAX_TEXT: usize = 64 * 1024 * 1024;

/// Judges, tests or explains, or goes to what is withheld.
pub fn main(state_dir: Option<&Path>, arguments: &cli::Firewall) -> Result<ExitCode, Failure> {
    match arguments {
        cli::Firewall::Scan(scan) => scan::main(scan),
        cli::Firewall::Test { config, file } => cases::main(config.as_deref(), file),
        cli::Firewall::Quarantine(quarantine) => super::quarantine::main(state_dir, quarantine),
        cli::Firewall::Hash { file } => hash(file),
        cli::Firewall::Explain { config, names } => explain::main(config.as_deref(), names),
    }
}

/// The firewall of a configuration. Without one: data that must not leave does not.
fn firewall(config: Option<&Path>) -> Result<Arc<Firewall>, Failure> {
    if let Some(file) = config {
        return Ok(nanoclaw_server::firewall::of(&nanoclaw_config::load(file)?.config)?);
    }
    let mut settings = Settings::default();
    Intent::NoSensitiveOutput.apply(&mut settings);
    Ok(Arc::new(Firewall::new(&settings)?))
}

/// Writes the list of these values, one a line.
fn hash(file: &Path) -> Result<ExitCode, Failure> {
    let values = text(file)?;
    // A value that is refused is not to be seen, so nothing but the line is told.
    output::data(nanoclaw_server::firewall::hash(&values)?.as_bytes());
    Ok(ExitCode::SUCCESS)
}

/// A file that is text.
fn text(file: &Path) -> Result<String, Failure> {
    let invalid = |error| output::unreadable(file, &io::Error::new(ErrorKind::InvalidData, error));
    String::from_utf8(read(file, MAX_TEXT)?).map_err(|error| invalid(error.utf8_error()))
}

/// All of a file, or of standard input where it is `-`: at most `most` bytes.
fn read(file: &Path, most: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let limit = most as u64 + 1;
    let read = match file.as_os_str() == "-" {
        true => io::stdin().take(limit).read_to_end(&mut bytes),
        false => File::open(file).and_then(|file| file.take(limit).read_to_end(&mut bytes)),
    };
    read.map_err(|error| output::unreadable(file, &error))?;
    if bytes.len() > most {
        return Err(failed(format_args!("`{}` is longer than {most} bytes; give it in parts", file.display())));
    }
    Ok(bytes)
}

fn failed(error: impl Display) -> Failure {
    Failure::with_status(error, FAILED)
}
