//! A proposal, as a piece of a configuration with its reasons.

use std::fmt;

use nanoclaw_config::{Agent, Config, NetRule, ToolRule, parse_net_rule};
use nanoclaw_policy::Case;
use nanoclaw_request::CellId;

use super::seen::Times;

/// Longest name in bytes of a model or tool that is proposed.
const LONGEST_NAME: usize = 128;

/// A list of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    /// `allowed_networks`.
    Networks,
    /// `models.allow`.
    Models,
    /// `tools.allow`.
    Tools,
    /// `mounts`, whose place on the host a person must choose.
    Places,
}

/// One entry that is proposed.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) list: List,
    pub(super) entry: String,
    pub(super) times: Times,
    /// Whether its port is a guess.
    pub(super) assumed: bool,
}

impl Item {
    pub(super) fn is(&self, list: List, entry: &str) -> bool {
        self.list == list && self.entry == entry
    }

    pub(super) fn told(&self) -> String {
        let list = match self.list {
            List::Networks => "allowed_networks",
            List::Models => "models.allow",
            List::Tools => "tools.allow",
            List::Places => "mounts",
        };
        format!("{list}: {}", self.entry)
    }

    /// Whether it is one name and nothing else, however it is read.
    pub(super) fn is_plain(&self) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@+[]".contains(c);
        !self.entry.is_empty() && self.entry.len() <= LONGEST_NAME && self.entry.chars().all(plain)
    }

    /// The question that it is to have answered well; `None` where there is no such question.
    pub(super) fn question(&self, id: &CellId) -> Option<Case> {
        let action = match self.list {
            List::Networks => "net_connect",
            List::Models => "model_call",
            List::Tools => "tool_call",
            List::Places => return None,
        };
        Case::parse(&[id.to_string(), action.to_owned(), self.entry.clone()]).ok()
    }

    /// `config` with this entry; `None` where it cannot be one.
    pub(super) fn added_to(&self, config: &Config, id: &CellId) -> Option<Config> {
        let mut config = config.clone();
        let known = |name: &str| {
            let (aliases, providers) = (&config.models.aliases, &config.models.providers);
            let provider = name.split_once('/').map(|(provider, _)| provider);
            aliases.contains_key(name) || providers.iter().any(|known| Some(known.name.as_str()) == provider)
        };
        let is_known = self.list != List::Models || known(&self.entry);
        let agent = config.agents.iter_mut().find(|agent| agent.id == *id).filter(|_| is_known)?;
        match self.list {
            List::Networks => agent.allowed_networks.push(parse_net_rule("learnt", &self.entry).ok()?),
            List::Models => agent.models.as_mut()?.allow.push(self.entry.clone()),
            List::Tools => {
                let rule =
                    ToolRule { id: "learnt".to_owned(), name: self.entry.clone(), arguments: Default::default() };
                agent.models.as_mut()?.tools.allow.as_mut()?.push(rule);
            }
            List::Places => return None,
        }
        Some(config)
    }
}

/// What is not proposed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Left {
    why: String,
    what: String,
    times: Times,
}

impl Left {
    pub(super) fn new(why: impl Into<String>, what: &str, times: Times) -> Self {
        Self { why: why.into(), what: what.to_owned(), times }
    }
}

/// Rules for one agent. Its `Display` is the piece of configuration.
#[derive(Clone, Debug)]
pub struct Proposal {
    agent: Agent,
    items: Vec<Item>,
    left: Vec<Left>,
    seen: Option<Times>,
    known: u64,
}

impl Proposal {
    /// One that proposes nothing.
    pub(super) fn new(agent: &Agent) -> Self {
        Self { agent: agent.clone(), items: Vec::new(), left: Vec::new(), seen: None, known: 0 }
    }

    /// How many entries it proposes.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether it proposes nothing.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    #[cfg(test)]
    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }

    pub(super) fn count(&self, list: List) -> usize {
        self.items.iter().filter(|item| item.list == list).count()
    }

    pub(super) fn saw(&mut self, times: Times) {
        match &mut self.seen {
            Some(seen) => seen.add(times),
            None => self.seen = Some(times),
        }
    }

    pub(super) fn known(&mut self, times: Times) {
        self.known += times.count;
    }

    pub(super) fn add(&mut self, item: Item) {
        self.items.push(item);
    }

    pub(super) fn leave(&mut self, left: Left) {
        match self.left.iter_mut().find(|known| known.why == left.why && known.what == left.what) {
            Some(known) => known.times.add(left.times),
            None => self.left.push(left),
        }
    }

    /// The entries of a list that are there, and those that are proposed with their reasons.
    fn list(&self, f: &mut fmt::Formatter<'_>, indent: &str, list: List, there: &[String]) -> fmt::Result {
        for entry in there {
            writeln!(f, "{indent}- {entry}")?;
        }
        for item in self.items.iter().filter(|item| item.list == list) {
            let guess =
                if item.assumed { "; the name was refused before a port was known, so 443 is a guess" } else { "" };
            writeln!(f, "{indent}- {}  # refused {}{guess}", quoted(&item.entry), item.times)?;
        }
        Ok(())
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = &self.agent.id;
        match &self.seen {
            None => return writeln!(f, "# Agent {id} was refused nothing that could be learnt from."),
            Some(seen) => writeln!(f, "# What agent {id} was refused, as rules that would allow it: refused {seen}.")?,
        }
        f.write_str(
            "# None of it holds until you put it into the configuration. Read each line: what the agent has no\n",
        )?;
        f.write_str(
            "# business with does not belong there. Each list takes the place of the agent's own of that name.\n",
        )?;
        if self.known > 0 {
            writeln!(f, "# {} of the refusals would be allowed already.", self.known)?;
        }
        let has = |list| self.count(list) > 0;
        if has(List::Networks) || has(List::Models) || has(List::Tools) {
            writeln!(f, "agents:\n  - id: {id}")?;
        }
        if has(List::Networks) {
            f.write_str("    allowed_networks:\n")?;
            let there: Vec<String> = self.agent.allowed_networks.iter().map(network).collect();
            self.list(f, "      ", List::Networks, &there)?;
        }
        let access = self.agent.models.as_ref();
        if has(List::Models) {
            f.write_str("    models:\n      allow:\n")?;
            let there: Vec<String> = access.iter().flat_map(|access| &access.allow).map(|name| quoted(name)).collect();
            self.list(f, "        ", List::Models, &there)?;
            let denied: Vec<String> = access.iter().flat_map(|access| &access.deny).map(|name| quoted(name)).collect();
            if !denied.is_empty() {
                writeln!(f, "      deny: [{}]", denied.join(", "))?;
            }
        }
        if has(List::Tools) {
            f.write_str("    tools:\n      allow:\n")?;
            let rules = access.map(|access| &access.tools);
            let there: Vec<String> =
                rules.iter().filter_map(|rules| rules.allow.as_ref()).flatten().map(tool).collect();
            self.list(f, "        ", List::Tools, &there)?;
            let denied: Vec<String> = rules.iter().flat_map(|rules| &rules.deny).map(tool).collect();
            if !denied.is_empty() {
                writeln!(f, "      deny: [{}]", denied.join(", "))?;
            }
        }
        if has(List::Places) {
            f.write_str(
                "# Places that it wanted to write. Choose what of this host they are, and add them to its `mounts`:\n",
            )?;
            for item in self.items.iter().filter(|item| item.list == List::Places) {
                let target = quoted(&item.entry);
                writeln!(
                    f,
                    "#   - {{ source: HOST_DIRECTORY, target: {target}, mode: rw }}  # refused {}",
                    item.times
                )?;
            }
        }
        if !self.left.is_empty() {
            f.write_str("# Not proposed:\n")?;
        }
        for Left { why, what, times } in &self.left {
            let what = if what.is_empty() { String::new() } else { format!("{}: ", shown(what)) };
            writeln!(f, "#   {what}{} ({times})", shown(why))?;
        }
        Ok(())
    }
}

/// A text that ends no comment and steers no terminal.
fn shown(text: &str) -> String {
    text.escape_debug().to_string()
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A rule as it was written.
fn network(rule: &NetRule) -> String {
    if rule.text.starts_with('{') { rule.text.clone() } else { quoted(&rule.text) }
}

fn tool(rule: &ToolRule) -> String {
    if rule.arguments.is_empty() {
        return quoted(&rule.name);
    }
    let arguments: Vec<String> =
        rule.arguments.iter().map(|(key, pattern)| format!("{}: {}", quoted(key), quoted(pattern))).collect();
    format!("{{ name: {}, arguments: {{ {} }} }}", quoted(&rule.name), arguments.join(", "))
}
