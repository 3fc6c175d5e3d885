//! What tools do, and how far their results are to be trusted: the configuration first, then a table of names that are
//! known, and for all others the worst.

use std::collections::{BTreeMap, BTreeSet};

use nanoclaw_config::{DataClass, Label, Labels, ToolClass, Trust, glob};

use ToolClass::{Executes, Pays, Reads, Sends, Writes};

/// What is known of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolFacts {
    /// Of its results.
    pub label: Label,
    /// What it does.
    pub does: BTreeSet<ToolClass>,
    /// The arguments that say where something goes; `None` where nobody said.
    pub destinations: Option<Vec<String>>,
    /// Values of them that need nobody's word: patterns, by argument.
    pub allow: BTreeMap<String, Vec<String>>,
    /// Fields of its results whose values vouch, though the result as a whole is not trusted.
    pub vouches: Vec<String>,
    /// Whether it may read any file that its cell sees.
    pub reads_files: bool,
}

/// A row of the table: names, what they do, trust in the results, destinations, whether it may read files.
type Row = (&'static [&'static str], &'static [ToolClass], Trust, &'static [&'static str], bool);

/// Tools of NanoClaw's own agent, of OpenClaw, and of common MCP servers. Patterns as in rules.
const KNOWN: &[Row] = &[
    (&["file_read", "file_list", "file_search", "read", "grep", "find", "ls", "glob"], &[Reads], Trust::Trusted, &[], true),
    (&["file_write", "file_edit", "write", "edit", "apply_patch"], &[Writes], Trust::Trusted, &[], true),
    (&["shell", "exec", "bash", "process"], &[Executes], Trust::Trusted, &[], true),
    (&["http_fetch", "web_fetch", "fetch"], &[Reads], Trust::Untrusted, &["url"], false),
    (&["web_search", "brave_web_search", "x_search"], &[Reads], Trust::Untrusted, &[], false),
    (&["browser", "browser_*"], &[Reads, Sends], Trust::Untrusted, &["url", "targetUrl"], false),
    (&["memory_search", "memory_get", "memory_save", "memory_delete"], &[Reads], Trust::Trusted, &[], false),
    (&["todo", "skill_read", "session_status", "sessions_list", "agents_list"], &[Reads], Trust::Trusted, &[], false),
    (&["message", "sessions_send", "send_*", "*_send_message"], &[Sends], Trust::Trusted, DESTINATIONS, false),
];

/// How arguments that say where something goes are usually called.
pub const DESTINATIONS: &[&str] = &[
    "recipient", "recipients", "to", "cc", "bcc", "target", "targets", "url", "uri", "webhook", "host", "address", "email",
    "emails", "user", "user_email", "users", "participants", "channel", "channel_id", "channelId", "chat_id", "phone",
    "number", "account", "iban", "sessionKey",
];

/// What is known of `tool`.
pub(crate) fn facts(labels: &Labels, tool: &str) -> ToolFacts {
    let mut facts = known(tool);
    if let Some(label) = labels.tools.iter().find(|label| glob::matches(&label.name, tool)) {
        facts.label.trust = label.trust.unwrap_or(facts.label.trust);
        facts.label.data = label.data.unwrap_or(facts.label.data);
        // Whoever says how confidential its results are knows what it reads.
        facts.reads_files &= label.data.is_none();
        facts.does = label.does.clone().unwrap_or(facts.does);
        facts.destinations = label.destinations.clone().or(facts.destinations);
        facts.allow.clone_from(&label.allow);
        facts.vouches.clone_from(&label.vouches);
    }
    facts
}

fn known(tool: &str) -> ToolFacts {
    let row = KNOWN.iter().find(|(names, ..)| names.iter().any(|name| glob::matches(name, tool)));
    match row {
        Some((_, does, trust, destinations, reads_files)) => ToolFacts {
            label: Label { trust: *trust, data: DataClass::Public },
            does: does.iter().copied().collect(),
            destinations: Some(destinations.iter().map(|name| (*name).to_owned()).collect()),
            allow: BTreeMap::new(),
            vouches: Vec::new(),
            reads_files: *reads_files,
        },
        None => ToolFacts {
            label: Label { trust: Trust::Untrusted, data: DataClass::Internal },
            does: BTreeSet::from([Reads, Writes, Sends, Pays, Executes]),
            destinations: None,
            allow: BTreeMap::new(),
            vouches: Vec::new(),
            reads_files: true,
        },
    }
}

impl ToolFacts {
    /// Whether a value of `argument` needs nobody's word.
    pub(crate) fn allows(&self, argument: &str, value: &str) -> bool {
        self.allow.get(argument).is_some_and(|patterns| patterns.iter().any(|pattern| glob::matches(pattern, value)))
    }

    /// Whether `argument` says where something goes. Where nobody said, the usual names do, and if a call has none of
    /// them, every argument.
    pub(crate) fn is_destination(&self, argument: &str, all: &[&str]) -> bool {
        match &self.destinations {
            Some(named) => named.iter().any(|name| name == argument),
            None if all.iter().any(|name| DESTINATIONS.contains(name)) => DESTINATIONS.contains(&argument),
            None => true,
        }
    }
}
