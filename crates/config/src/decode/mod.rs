//! From the tree to a [`Config`]: every key of the reference, each read in one place.

mod access;
mod agent;
mod audit;
mod firewall;
pub(crate) mod keys;
mod kind;
mod labels;
mod models;
mod names;
mod network;
mod operators;
mod reader;
mod secret;
mod together;
mod tool_labels;
mod turns;

use std::path::PathBuf;

use nanoclaw_firewall::Settings;
use nanoclaw_request::CellId;

use self::agent::Fleet;
use self::network::networks;
use self::reader::{Field, Reader};
use crate::report::Mistakes;
use crate::source::{Place, Source};
use crate::tree::{Kind, Node};
use crate::{Agent, Approvals, Audit, Budget, Config, Labels, Limits, Models, Notice, Report, RuleSet, SandboxMode};

/// Most files with policies.
const MAX_POLICIES: usize = 64;
/// Most agents in one file.
const MAX_AGENTS: usize = 256;

/// A path of the host that the file names.
#[derive(Debug)]
pub(crate) struct HostPlace {
    pub(crate) place: Place,
    pub(crate) path: PathBuf,
    pub(crate) wants: Wants,
}

/// What must be at a path of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    /// Whatever it is.
    Anything,
    /// A directory that becomes the root of a cell.
    Root,
    /// A directory.
    Directory,
    /// Something to read.
    File,
    /// A model in GGUF.
    Gguf,
}

/// What came out of a file, complete only where nothing is wrong.
pub(crate) struct Decoded<'s> {
    config: Config,
    notices: Vec<Notice>,
    pub(crate) mistakes: Mistakes<'s>,
    pub(crate) host_places: Vec<HostPlace>,
}

impl Decoded<'_> {
    /// The configuration, or the report on `file`.
    pub(crate) fn finish(self, file: &str) -> Result<(Config, Vec<Notice>), Report> {
        let report = self.mistakes.into_report(file);
        if report.mistakes().is_empty() { Ok((self.config, self.notices)) } else { Err(report) }
    }
}

/// Reads `text`, whose lines are `source`. Relative host paths are resolved against `base`.
pub(crate) fn decode<'s>(text: &str, source: &'s Source<'s>, base: &'s std::path::Path) -> Decoded<'s> {
    let mut mistakes = Mistakes::new(source);
    let root = crate::tree::read(text, source, &mut mistakes);
    // Keys that are there twice are not in the tree, and a file that is not YAML has none.
    if root.is_none() || !mistakes.is_empty() {
        secret::hide_likely(source, &mut mistakes);
    }
    if let Some(root) = &root {
        secret::hide(root, &mut mistakes);
    }
    let mut reader = Reader { mistakes, base, notices: Vec::new(), host_places: Vec::new() };
    let config = root.as_ref().map(|root| top(&mut reader, root)).unwrap_or_else(empty);
    let Reader { mistakes, mut notices, host_places, .. } = reader;
    notices.sort_by_key(|notice| (notice.line, notice.column));
    Decoded { config, notices, mistakes, host_places }
}

fn empty() -> Config {
    Config {
        sandbox_mode: SandboxMode::default(),
        audit_enabled: true,
        audit: Audit::default(),
        firewall: Settings::default(),
        policies: Vec::new(),
        rule_sets: vec![RuleSet::SuspiciousAsks],
        labels: Labels::default(),
        approvals: Approvals::default(),
        allowed_networks: Vec::new(),
        limits: Limits::default(),
        models: Models::default(),
        budget: Budget::default(),
        groups: Vec::new(),
        listen: None,
        api: None,
        oidc: None,
        agents: Vec::new(),
    }
}

fn top(r: &mut Reader<'_>, root: &Node) -> Config {
    let mut config = empty();
    let help = "begin the file with a key, such as `sandbox_mode: restricted`";
    let field = Field::new("the file", root.place, root);
    match &root.kind {
        Kind::Map(entries) if !entries.is_empty() => {}
        Kind::Map(_) => {
            // Not so where its keys were refused already.
            if r.mistakes.is_empty() {
                r.error(root.place, "the configuration is empty", help);
            }
            return config;
        }
        _ => {
            r.error(root.place, "the file is not a mapping of keys to values", help);
            return config;
        }
    }
    let Some(fields) = r.fields(&field, &keys::TOP, help) else { return config };
    if let Some(field) = fields.get("sandbox_mode") {
        let words = [("restricted", SandboxMode::Restricted), ("standard", SandboxMode::Standard)];
        config.sandbox_mode = r.choice(&field, &words).unwrap_or_default();
    }
    if let Some(field) = fields.get("audit_enabled")
        && r.boolean(&field) == Some(false)
    {
        config.audit_enabled = false;
        r.notice(field.place(), true, "`audit_enabled: false`: nothing that any agent does or tries is recorded");
    }
    if let Some(field) = fields.get("audit") {
        config.audit = audit::audit(r, &field);
        if !config.audit_enabled {
            let message = "`audit` says where records go, and `audit_enabled: false` says that there are none";
            r.error(field.key, message, "remove one of the two");
        }
    }
    config.firewall = firewall::settings(r, fields.get("prompt_filters"), fields.get("firewall"));
    if let Some(field) = fields.get("policies") {
        let help = "write a list of files with Cedar policies, such as `[./policies/bank.cedar]`";
        let files = r.list(&field, MAX_POLICIES, help).unwrap_or_default();
        config.policies =
            files.iter().filter_map(|node| r.host_path(&field.element(node), Wants::File, help)).collect();
    }
    if let Some(field) = fields.get("rule_sets") {
        config.rule_sets = labels::rule_sets(r, &field);
    }
    if let Some(field) = fields.get("labels") {
        config.labels = labels::labels(r, &field);
    }
    if let Some(field) = fields.get("approvals") {
        config.approvals = operators::approvals(r, &field);
    }
    if let Some(field) = fields.get("allowed_networks") {
        config.allowed_networks = networks(r, &field, "allowed_networks");
    }
    if let Some(field) = fields.get("limits") {
        config.limits = agent::limits(r, &field);
    }
    let (models, mut names) = models::models(r, fields.get("models"));
    config.models = models;
    if let Some(field) = fields.get("budget") {
        config.budget = access::budget(r, &field);
    }
    config.groups = access::groups(r, fields.get("groups"), &mut names);
    config.listen = fields.get("listen").and_then(|field| turns::listen(r, &field));
    config.api = fields.get("api").and_then(|field| operators::api(r, &field, config.listen));
    config.oidc = fields.get("operators").and_then(|field| operators::operators(r, &field));
    if let Some(field) = fields.get("agents") {
        let listens = fields.get("listen").is_some();
        let (networks, models) = (&config.allowed_networks, &config.models);
        let fleet = Fleet { networks, limits: config.limits, names: &names, models, listens };
        config.agents = agents(r, &field, &fleet);
    }
    if let Some(field) = fields.get("models") {
        cells_of_models(r, field.place(), &config);
    }
    let asks = fields.get("suspicious_asks").and_then(|field| Some((r.boolean(&field)?, field.place())));
    match asks {
        Some((false, place)) => {
            let message = "`suspicious_asks: false`: agents go on alone after they have read what looks like an attack";
            r.notice(place, true, message);
            if fields.get("rule_sets").is_none() {
                config.rule_sets.clear();
            }
        }
        Some((true, _)) | None => {
            let of_agents = config.agents.iter_mut().filter_map(|agent| agent.rule_sets.as_mut());
            for sets in of_agents.chain([&mut config.rule_sets]) {
                if !sets.contains(&RuleSet::SuspiciousAsks) {
                    sets.push(RuleSet::SuspiciousAsks);
                }
            }
        }
    }
    config
}

/// Models on this machine run in cells of their own, whose names agents must leave free.
fn cells_of_models(r: &mut Reader<'_>, place: Place, config: &Config) {
    for provider in &config.models.providers {
        let crate::ProviderKind::LlamaServer(_) = provider.kind else { continue };
        let (name, cell) = (&provider.name, format!("model-{}", provider.name));
        if cell.len() > CellId::MAX {
            let most = CellId::MAX - "model-".len();
            let help = format!("choose one of at most {most} characters");
            r.error(place, format!("the name `{name}` is too long for a provider of kind `llama-server`"), help);
        }
        if config.agents.iter().any(|agent| agent.id.as_str() == cell) {
            let message = format!("the id `{cell}` is that of the cell in which provider `{name}` runs");
            r.error(place, message, "choose another id for the agent, or another name for the provider");
        }
    }
}

fn agents(r: &mut Reader<'_>, field: &Field<'_>, fleet: &Fleet<'_>) -> Vec<Agent> {
    let help = "write a list of agents: `- id: nano-001`, and `command` below it";
    let Some(items) = r.list(field, MAX_AGENTS, help) else { return Vec::new() };
    let mut agents = Vec::new();
    let mut seen = std::collections::HashMap::new();
    for (index, node) in items.iter().enumerate() {
        let item = field.element(node);
        agents.extend(agent::agent(r, &item, index, &mut seen, fleet));
    }
    agents
}

impl Reader<'_> {
    /// Notes something that is valid and that people should know.
    fn notice(&mut self, place: Place, loud: bool, message: impl Into<String>) {
        self.notices.push(Notice { line: place.line, column: place.column, loud, message: message.into() });
    }
}

/// What the published schema says too.
#[cfg(test)]
pub(crate) mod bounds {
    pub(crate) use super::access::COUNT;
    pub(crate) use super::firewall::MAX_FILTERS;
    pub(crate) use super::kind::{CONTEXT_TOKENS, DEFAULT_STEPS, STEPS};
    pub(crate) use super::labels::MAX_LABELS;
    pub(crate) use super::models::{CONTEXT, DEFAULT_CONTEXT, RETRIES};
    pub(crate) use super::operators::PEOPLE;
}

#[cfg(test)]
mod tests;
