//! What a configuration and its files with policies amount to.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nanoclaw_config::{Agent, AgentKind, Approvals, Builtin, Config, ModelAccess, ModelRef, Rootfs, RuleSet, ToolRule};
use nanoclaw_identity::Role;
use nanoclaw_policy::{CellRules, Comparison, Generation, Side, Written, WrittenError, too_deep};
use nanoclaw_request::{CellId, ModelCall};
use nanoclaw_vault::digest::{hex, sha256};

use crate::agents::builtin::SKILLS;
use crate::agents::{DATA, WORKSPACE, openclaw};

/// Longest file with policies in bytes.
const MAX_FILE: u64 = 1024 * 1024;
/// The stack of a thread that reads or compares policies, in bytes: Cedar walks through expressions by recursion.
const STACK: usize = 64 * 1024 * 1024;

/// Does what walks through policies, on a stack that is deep enough for those that are taken.
///
/// # Errors
/// There is no thread for it, or it failed within this program.
pub fn deep<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work)?;
        thread.join().map_err(|_| io::Error::other("the policies could not be read to their end"))
    })
}

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
        match read_text(path, MAX_FILE) {
            Ok(text) => match too_deep(path, &text) {
                None => texts.push((path.as_path(), text)),
                Some(mistake) => mistakes.push(mistake),
            },
            Err(error) => mistakes.push(unreadable(path, &error)),
        }
    }
    match deep(|| Written::read(texts.iter().map(|(path, text)| (*path, text.as_str())))) {
        Ok(Ok(written)) if mistakes.is_empty() => Ok(Arc::new(written)),
        Ok(Ok(_)) => Err(PoliciesError(mistakes)),
        Ok(Err(more)) => Err(PoliciesError(mistakes.into_iter().chain(more).collect())),
        Err(error) => Err(PoliciesError(vec![unreadable(Path::new("policies"), &error)])),
    }
}

/// What whoever wrote the policies should know though they are valid: what can never hold, and whom they speak of though
/// the configuration has nobody of that name.
pub fn notices(config: &Config, written: &Written) -> Vec<String> {
    let is_there = |kind: &str, name: &str| match kind {
        "Agent" => config.agents.iter().any(|agent| agent.id.as_str() == name),
        "Group" => config.groups.iter().any(|group| group.name == name),
        "Role" => Role::ALL.iter().any(|role| role.name() == name),
        _ => true,
    };
    let missing = written.names().filter(|(_, kind, name)| !is_there(kind, name));
    let strangers = missing.map(|(id, kind, name)| {
        let kind = kind.to_lowercase();
        format!("policy `{id}` speaks of {kind} `{name}`, and there is no such {kind}")
    });
    written.notices().iter().cloned().chain(strangers).collect()
}

/// All of a regular file of at most `most` bytes.
pub(crate) fn read_text(path: &Path, most: u64) -> io::Result<String> {
    let mut text = String::new();
    // What is no file may keep whoever reads it waiting for ever.
    let not_waiting = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(not_waiting).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let length = file.take(most + 1).read_to_string(&mut text)?;
    if length as u64 > most {
        return Err(io::Error::other(format!("it is longer than {most} bytes")));
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
        mounts: places(agent),
    }
}

/// What the cell of `agent` sees, as it sees it: what is mounted, what NanoClaw itself puts there, and its root.
fn places(agent: &Agent) -> Vec<PathBuf> {
    let root: &[&str] = match agent.rootfs {
        Rootfs::Directory(_) => &["/"],
        Rootfs::Host => &["/usr", "/nix"],
        Rootfs::Minimal => &[],
    };
    let own: &[&str] = match &agent.kind {
        AgentKind::Command(_) => &[],
        AgentKind::Builtin(Builtin { skills: Some(_), .. }) => &[WORKSPACE, DATA, SKILLS],
        AgentKind::Builtin(_) | AgentKind::OpenClaw { .. } => &[WORKSPACE, DATA],
    };
    let mounted = agent.mounts.iter().map(|mount| mount.target.clone());
    mounted.chain(own.iter().chain(root).map(PathBuf::from)).collect()
}

/// What an agent may do with models, its own model included where that is the fleet's.
pub fn access(config: &Config, agent: &Agent) -> Option<ModelAccess> {
    let mut access = agent.models.clone()?;
    if matches!(agent.kind, AgentKind::OpenClaw { .. }) && speaks_of_tools(config, agent) {
        let deny = |name: &&str| {
            let id = format!("agents.{}.tools.{}", agent.id, openclaw::OWN_NAMES);
            ToolRule { id, name: (*name).to_owned(), arguments: BTreeMap::new() }
        };
        access.tools.deny.extend(openclaw::WRAPPERS.iter().map(deny));
    }
    Some(ModelAccess { model: access.model.or_else(|| config.models.default.clone()), ..access })
}

/// Whether anything that decides about an agent can tell one tool from another. What asks about suspicious sessions takes a tool
/// that nobody knows for one that does everything, so that no name leads past it.
fn speaks_of_tools(config: &Config, agent: &Agent) -> bool {
    !config.policies.is_empty()
        || agent.rule_sets.as_ref().unwrap_or(&config.rule_sets).iter().any(|set| *set != RuleSet::SuspiciousAsks)
        || !config.labels.tools.is_empty()
        || agent.models.as_ref().is_some_and(|access| !access.tools.is_empty())
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
    // As the model door reads it.
    if let ("default" | "nanoclaw/default", Some(own)) = (call.asked.as_str(), own) {
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

/// How people approve otherwise than before, and whether less is asked of them.
pub fn approvals(before: Approvals, after: Approvals) -> (Vec<String>, bool) {
    let differing = [
        ("people", before.people.to_string(), after.people.to_string()),
        ("wait", format!("{:?}", before.wait), format!("{:?}", after.wait)),
        ("own", before.own.to_string(), after.own.to_string()),
    ];
    let differing = differing.into_iter().filter(|(_, old, new)| old != new);
    let lines = differing.map(|(key, old, new)| format!("approvals.{key}: {new} instead of {old}")).collect();
    (lines, after.people < before.people || after.own && !before.own)
}
