//! What a configuration and its files with policies amount to.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nanoclaw_config::{Agent, Config, ModelAccess};
use nanoclaw_policy::{CellRules, Generation, Written, WrittenError};

/// Longest file with policies in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// Why the policies of a configuration are not taken: every mistake in every file.
#[derive(Debug)]
pub struct PoliciesError(Vec<WrittenError>);

impl fmt::Display for PoliciesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, mistake) in self.0.iter().enumerate() {
            write!(f, "{}{mistake}", if number == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for PoliciesError {}

/// Reads the files that `config` names.
///
/// # Errors
/// A file cannot be read, or is no file with policies that suit the schema.
pub fn read(config: &Config) -> Result<Arc<Written>, PoliciesError> {
    let (mut texts, mut mistakes) = (Vec::new(), Vec::new());
    for path in &config.policies {
        match text(path) {
            Ok(text) => texts.push((path.as_path(), text)),
            Err(error) => mistakes.push(unreadable(path, &error)),
        }
    }
    match Written::read(texts.iter().map(|(path, text)| (*path, text.as_str()))) {
        Ok(written) if mistakes.is_empty() => Ok(Arc::new(written)),
        Ok(_) => Err(PoliciesError(mistakes)),
        Err(more) => Err(PoliciesError(mistakes.into_iter().chain(more).collect())),
    }
}

fn text(path: &PathBuf) -> io::Result<String> {
    let mut text = String::new();
    let length = File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if length as u64 > MAX_FILE {
        return Err(io::Error::other(format!("it is longer than {MAX_FILE} bytes")));
    }
    Ok(text)
}

fn unreadable(path: &Path, error: &io::Error) -> WrittenError {
    let help = "`policies` of the configuration names it".to_owned();
    WrittenError { path: path.to_path_buf(), place: None, message: error.to_string(), help }
}

/// What `config` and the policies of its files amount to.
pub fn generation(config: &Config, written: Arc<Written>) -> Generation {
    let empty = Generation::new(written, config.labels.clone(), config.rule_sets.clone());
    config.agents.iter().fold(empty, |generation, agent| generation.with_cell(agent.id.clone(), rules(config, agent)))
}

/// What `config` says about an agent of it.
fn rules(config: &Config, agent: &Agent) -> CellRules {
    CellRules {
        networks: agent.allowed_networks.clone(),
        models: access(config, agent),
        rule_sets: agent.rule_sets.clone(),
        mounts: agent.mounts.iter().map(|mount| mount.target.clone()).collect(),
    }
}

/// What an agent may do with models, its own model included where that is the fleet's.
pub fn access(config: &Config, agent: &Agent) -> Option<ModelAccess> {
    let access = agent.models.clone()?;
    Some(ModelAccess { model: access.model.or_else(|| config.models.default.clone()), ..access })
}
