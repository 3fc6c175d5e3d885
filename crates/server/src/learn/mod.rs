//! Rules that would have allowed what an agent was refused, for a person to read and accept.
//!
//! Every refusal is on record, so there is nothing to switch on, and nothing is let through meanwhile. What is proposed is
//! exact: hosts with their ports, names of models and of tools, never a pattern. What may be an attack is never proposed.

mod proposal;
mod seen;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::str::FromStr;

use nanoclaw_audit::ReadError;
use nanoclaw_config::{Agent, Config};
use nanoclaw_policy::{Case, Engine, Policies, Written};
use nanoclaw_request::{Action, CellId};

pub use proposal::Proposal;
use proposal::{Item, Left, List};
use seen::{Refused, Times};

use crate::policies;

/// Most different refusals that are told apart; more are counted.
const MOST_TOLD_APART: usize = 2_000;
/// Most entries that one list of a proposal gets; nobody reads more.
const MOST_PROPOSED: usize = 100;

/// A kind of action that can be learnt from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Connections, and looking names up for them.
    Connect,
    /// HTTP requests.
    Request,
    /// Calls of tools.
    Tool,
    /// Programs.
    Exec,
    /// Changes to files.
    Write,
    /// Calls of models.
    Model,
}

impl Kind {
    const ALL: [(&'static str, Self); 6] = [
        ("net_connect", Self::Connect),
        ("http_request", Self::Request),
        ("tool_call", Self::Tool),
        ("exec", Self::Exec),
        ("file_write", Self::Write),
        ("model_call", Self::Model),
    ];

    /// The kind of a recorded action; `None` where nothing can be learnt from it.
    fn of(action: &str) -> Option<Self> {
        let action = if action == "net_resolve" { "net_connect" } else { action };
        Self::ALL.into_iter().find(|(name, _)| *name == action).map(|(_, kind)| kind)
    }
}

/// A text is not the name of a [`Kind`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no kind of action to learn from; use net_connect, http_request, tool_call, exec, file_write, model_call"
)]
pub struct UnknownKind(String);

impl FromStr for Kind {
    type Err = UnknownKind;
    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        let named = Self::ALL.into_iter().find(|(name, _)| *name == text);
        named.map(|(_, kind)| kind).ok_or_else(|| UnknownKind(text.to_owned()))
    }
}

/// What is learnt from.
pub struct Sources<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The policies of its files.
    pub written: std::sync::Arc<Written>,
    /// The agent.
    pub agent: &'a Agent,
    /// Which kinds of actions; all where it is empty.
    pub kinds: &'a [Kind],
}

/// Proposes rules after `lines`, the agent's refusals as they stand in the audit log.
///
/// # Errors
/// The log cannot be read.
pub fn learn(
    sources: &Sources<'_>,
    lines: impl Iterator<Item = Result<String, ReadError>>,
) -> Result<Proposal, ReadError> {
    let mut proposal = Proposal::new(sources.agent);
    let mut told: BTreeMap<Refused, Times> = BTreeMap::new();
    for line in lines {
        let Some((refused, times)) = seen::read(&line?) else { continue };
        let kind = Kind::of(&refused.action);
        if !sources.kinds.is_empty() && !kind.is_some_and(|kind| sources.kinds.contains(&kind)) {
            continue;
        }
        proposal.saw(times);
        let room = told.len() < MOST_TOLD_APART;
        match told.entry(refused) {
            Entry::Occupied(mut known) => known.get_mut().add(times),
            Entry::Vacant(new) if room => {
                new.insert(times);
            }
            Entry::Vacant(_) => proposal.leave(Left::new("too many different refusals to tell apart", "", times)),
        }
    }
    let with_ports = told.keys().filter_map(seen::host_with_port).collect();
    let mut items: Vec<Item> = Vec::new();
    for (refused, times) in &told {
        match propose(sources, refused, &with_ports) {
            Ok(Some((list, entry, assumed))) => match items.iter_mut().find(|item| item.is(list, &entry)) {
                Some(item) => item.times.add(*times),
                None => items.push(Item { list, entry, times: *times, assumed }),
            },
            Ok(None) => {}
            Err(why) => proposal.leave(Left::new(why, &refused.told(), *times)),
        }
    }
    proved(sources, items, &mut proposal);
    Ok(proposal)
}

/// What would allow it, and whether its port is a guess; nothing where something else proposed already does. The error
/// says why nothing is proposed.
fn propose(
    sources: &Sources<'_>,
    refused: &Refused,
    with_ports: &std::collections::BTreeSet<String>,
) -> Result<Option<(List, String, bool)>, String> {
    let Refused { action, subject, code, severity, policies, at_provider } = refused;
    let exactly = |list, entry: &str| Ok(Some((list, entry.to_owned(), false)));
    if severity == "high" {
        return Err(format!("{code}: a known way of attack, or nobody knows what it was"));
    }
    if code == "not-approved" {
        return Err("people decide about it".to_owned());
    }
    // A mount moves that wall.
    let forbidding: Vec<&str> = policies.iter().map(String::as_str).filter(|id| *id != "cell.not-writable").collect();
    if !forbidding.is_empty() {
        return Err(format!("a policy forbids it: {}", forbidding.join(", ")));
    }
    if subject.is_empty() {
        return Err("the log only counts these".to_owned());
    }
    match (action.as_str(), code.as_str()) {
        ("net_connect" | "http_request" | "net_resolve", "host-not-allowed") => {
            if seen::has_port(subject) {
                return exactly(List::Networks, subject);
            }
            // A name that was refused before anybody knew what for.
            match with_ports.contains(subject) {
                true => Ok(None),
                false => Ok(Some((List::Networks, format!("{subject}:443"), true))),
            }
        }
        ("net_connect", "protocol-not-allowed") => {
            Err(format!("neither TLS nor HTTP, which nobody can look into; if it is meant, write `tcp://{subject}`"))
        }
        ("model_call", "model-not-allowed") => match &sources.agent.models {
            None => Err("the agent may use no models; give it a `model` first".to_owned()),
            Some(_) => exactly(List::Models, subject),
        },
        ("tool_call", "tool-not-allowed") => {
            match sources.agent.models.as_ref().and_then(|access| access.tools.allow.as_ref()) {
                None if *at_provider => Err(
                    "it runs at the provider and must be named, but a first `tools.allow` would take all others away"
                        .to_owned(),
                ),
                None => Err("the agent has no `tools.allow` that it could be added to".to_owned()),
                Some(rules) if rules.iter().any(|rule| rule.name == *subject) => {
                    Err("there is a rule for it that looks at its arguments".to_owned())
                }
                Some(_) => exactly(List::Tools, subject),
            }
        }
        ("file_write", "read-only") => match seen::directory(subject) {
            Some(directory) => exactly(List::Places, &directory),
            None => Err("a place of the system".to_owned()),
        },
        ("exec", _) => Err("programs run only from where the cell cannot write".to_owned()),
        (_, code) => Err(format!("{code}: no rule of the configuration can allow it")),
    }
}

/// Keeps what, added to the configuration, is allowed.
fn proved(sources: &Sources<'_>, items: Vec<Item>, proposal: &mut Proposal) {
    let id = &sources.agent.id;
    let now = engine(sources, sources.config);
    for item in items {
        let case = item.question(id);
        if case.as_ref().is_some_and(|case| allows(sources, &now, case)) {
            proposal.known(item.times);
            continue;
        }
        let works = || {
            let config = item.added_to(sources.config, id)?;
            Some(allows(sources, &engine(sources, &config), case.as_ref()?))
        };
        let why = if !item.is_plain() {
            "its name is no plain one, so that a rule could mean more than it"
        } else if proposal.count(item.list) >= MOST_PROPOSED {
            "there are too many to read"
        } else if item.list == List::Places {
            // What of the host it is to be is for a person to say.
            proposal.add(item);
            continue;
        } else {
            match works() {
                Some(true) => {
                    proposal.add(item);
                    continue;
                }
                Some(false) => "it would still be refused",
                None => "no rule can name it",
            }
        };
        let (told, times) = (item.told(), item.times);
        proposal.leave(Left::new(why, &told, times));
    }
}

fn engine(sources: &Sources<'_>, config: &Config) -> Engine {
    let generation = policies::generation(config, std::sync::Arc::clone(&sources.written));
    Engine::of(Policies::new(generation), sources.agent.id.clone(), std::sync::Arc::default())
}

fn allows(sources: &Sources<'_>, engine: &Engine, case: &Case) -> bool {
    let mut action = case.action.clone();
    if let Action::CallModel(call) = &mut action {
        policies::resolve(sources.config, &case.agent, call);
    }
    engine.would(&action).is_ok()
}

/// The agent of this name.
pub fn agent<'c>(config: &'c Config, id: &CellId) -> Option<&'c Agent> {
    config.agents.iter().find(|agent| agent.id == *id)
}

#[cfg(test)]
mod tests;
