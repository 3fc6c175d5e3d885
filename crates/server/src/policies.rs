//! What a configuration and its files with policies amount to.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nanoclaw_config::{Agent, Config, ModelAccess, ModelRef};
use nanoclaw_policy::{CellRules, Comparison, Generation, Side, Written, WrittenError};
use nanoclaw_request::{CellId, ModelCall};
use nanoclaw_vault::digest::{hex, sha256};

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
    config
        .agents
        .iter()
        .fold(empty, |generation, agent| generation.with_cell(agent.id.clone(), rules(agent, access(config, agent))))
}

/// What the cell of `agent`, which may do `models` with models, is decided on by.
pub(crate) fn rules(agent: &Agent, models: Option<ModelAccess>) -> CellRules {
    CellRules {
        networks: agent.allowed_networks.clone(),
        models,
        rule_sets: agent.rule_sets.clone(),
        mounts: agent.mounts.iter().map(|mount| mount.target.clone()).collect(),
    }
}

/// What an agent may do with models, its own model included where that is the fleet's.
pub fn access(config: &Config, agent: &Agent) -> Option<ModelAccess> {
    let access = agent.models.clone()?;
    Some(ModelAccess { model: access.model.or_else(|| config.models.default.clone()), ..access })
}

/// What `config` and the policies of its files amount to in a fleet that runs as `started` says: its agents keep asking for
/// the models that they were told of.
pub(crate) fn generation_beside(config: &Config, written: Arc<Written>, started: &Config) -> Generation {
    let own =
        |id: &CellId| started.agents.iter().find(|agent| agent.id == *id).and_then(|agent| access(started, agent));
    let empty = Generation::new(written, config.labels.clone(), config.rule_sets.clone());
    config.agents.iter().fold(empty, |generation, agent| {
        let mut models = access(config, agent);
        if let (Some(access), Some(own)) = (&mut models, own(&agent.id)) {
            access.model = own.model;
        }
        generation.with_cell(agent.id.clone(), rules(agent, models))
    })
}

/// SHA-256 of all that a generation decides by, in hex.
pub fn digest(generation: &Generation) -> String {
    hex(&sha256(generation.text().as_bytes()))
}

/// Fills in what a call of a model means where `config` routes it.
pub fn resolve(config: &Config, agent: &CellId, call: &mut ModelCall) {
    let agent = config.agents.iter().find(|known| known.id == *agent);
    let own = agent.and_then(|agent| access(config, agent)).and_then(|access| access.model);
    if let ("default", Some(own)) = (call.asked.as_str(), own) {
        call.asked = own;
    }
    let aliased = config.models.aliases.get(&call.asked).cloned();
    let candidates = aliased.unwrap_or_else(|| ModelRef::parse(&call.asked).into_iter().collect());
    call.candidates = candidates.iter().map(ModelRef::to_string).collect();
}

/// What differs between two generations, each with the configuration that routes its calls of models.
pub fn compare(before: (&Config, &Generation), after: (&Config, &Generation)) -> Comparison {
    let route = |config: &'_ Config| {
        let config = config.clone();
        move |agent: &CellId, call: &mut ModelCall| resolve(&config, agent, call)
    };
    let named = |config: &Config| {
        let targets = config.models.aliases.values().flatten().map(ModelRef::to_string);
        config.models.aliases.keys().cloned().chain(targets).collect::<Vec<_>>()
    };
    let (old, new) = (route(before.0), route(after.0));
    nanoclaw_policy::compare(
        &Side { generation: before.1, models: named(before.0), resolve: &old },
        &Side { generation: after.1, models: named(after.0), resolve: &new },
    )
}
