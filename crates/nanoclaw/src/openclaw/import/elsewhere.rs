//! The sections of an OpenClaw configuration that have no place in one of NanoClaw's.

use super::node::Node;
use super::report::Report;

/// Sections, each with why it is not carried over and what to do.
const SECTIONS: [(&str, &str); 37] = [
    (
        "channels",
        "no channel is connected; speak to agents with `nanoclaw chat` and `ask`, or let a bridge call `webhook`",
    ),
    ("bindings", "there are no channels; agents are spoken to by name"),
    ("broadcast", "there are no channels"),
    ("messages", "there are no channels"),
    ("commands", "there are no channels; `nanoclaw chat` has commands of its own"),
    ("accessGroups", "there are no channels; who may use NanoClaw's control socket may speak to agents"),
    ("attachments", "there are no channels; put files into the agent's workspace"),
    ("talk", "there is no speech"),
    ("tts", "there is no speech"),
    ("transcripts", "sessions are kept by OpenClaw, below `/data` of the cell"),
    ("session", "OpenClaw's defaults hold; `--session` of `chat` and `ask` names sessions"),
    ("plugins", "no plugin is loaded: it would run beside the agent, in its cell, with what it brings unchecked"),
    ("skills", "skills are folders: put them into `skills` of the agent's workspace; keys do not go into cells"),
    ("mcp", "MCP servers are not started for OpenClaw; an agent of kind `builtin` takes them as `mcp: [...]`"),
    (
        "cron",
        "jobs are in OpenClaw's database, not in this file; write `schedule: [{ cron: \"…\", prompt: \"…\" }]` on the agent",
    ),
    ("hooks", "write `webhook: { token: { env: NAME }, prompt: \"…\" }` on the agent, and `listen` at the top level"),
    ("gateway", "NanoClaw generates it: local, on the cell's loopback, with a token of its own for each run"),
    ("browser", "there is no browser in the cell"),
    ("desktop", "there is no desktop in the cell"),
    ("nodeHost", "no other machine is paired"),
    ("cloudWorkers", "cells are on this machine"),
    ("discovery", "nothing is announced in the network"),
    ("proxy", "the cell's only way out is NanoClaw's door; `allowed_networks` says where to"),
    (
        "env",
        "variables of OpenClaw's own process; keys go into NanoClaw's environment, and `env` of an agent holds what is no secret",
    ),
    ("auth", "profiles are in OpenClaw's database; each provider's key is where `api_key` says"),
    ("secrets", "each provider's key is where `api_key` says; no other secret goes into a cell"),
    (
        "approvals",
        "a person is asked where a policy with `@ask` says so (`policies`, `rule_sets`), and answers with `nanoclaw approvals`",
    ),
    ("security", "what may be done is said by NanoClaw's configuration"),
    ("memory", "memory is OpenClaw's own, below `/data` of the cell; embeddings go through the model door"),
    ("acp", "other agents' programs are not started"),
    ("logging", "`nanoclaw logs` shows what an agent wrote, `nanoclaw audit tail` what it did"),
    ("diagnostics", "metrics are served at `listen`"),
    ("telemetry", "nothing is sent"),
    ("update", "checks for updates are off; `nanoclaw openclaw install` installs the version that was tried"),
    ("ui", "OpenClaw's own pages are not served"),
    ("surfaces", "OpenClaw's own pages are not served"),
    ("worktreeRoot", "work is done in `/workspace`"),
];

/// Parts of sections that are named one by one, because each is something that somebody set up.
const ONE_BY_ONE: [&[&str]; 8] = [
    &["channels"],
    &["plugins", "entries"],
    &["plugins", "load"],
    &["skills", "entries"],
    &["mcp", "servers"],
    &["gateway"],
    &["hooks"],
    &["env", "vars"],
];

/// Sections that say something about the file, or that are carried over elsewhere.
const HANDLED: [&str; 8] = ["$schema", "meta", "wizard", "models", "agents", "tools", "sandbox", "$include"];

/// Says of every other section why it is not carried over.
pub(super) fn leave(root: &Node<'_>, report: &mut Report) {
    for (key, section) in root.entries() {
        if HANDLED.contains(&key) {
            continue;
        }
        let known = SECTIONS.iter().find(|(name, _)| *name == key);
        let why = known
            .map_or("NanoClaw does not know this section; see what it does in OpenClaw's documentation", |(_, why)| {
                why
            });
        let parts: Vec<Node<'_>> = ONE_BY_ONE
            .iter()
            .filter(|path| path.first() == Some(&key))
            .filter_map(|path| root.at(path))
            .flat_map(|node| node.entries().into_iter().map(|(_, node)| node))
            .collect();
        if parts.is_empty() {
            report.dropped(&section.path, why);
        }
        for part in &parts {
            report.dropped(&part.path, why);
        }
        // What else is in a section of which only a part is named one by one.
        let named = |node: &Node<'_>| parts.iter().any(|part| part.path.starts_with(&node.path));
        if !parts.is_empty() {
            for (_, rest) in section.entries().into_iter().filter(|(_, node)| !named(node)) {
                report.dropped(&rest.path, why);
            }
        }
    }
}
