//! What runs in an agent's cell.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use super::Wants;
use super::agent::{COMMAND_HELP, command, env};
use super::keys::{AGENT_KINDS, MCP};
use super::names::{Naming, name};
use super::reader::{Field, Fields, Reader};
use crate::tree::Kind;
use crate::value::url;
use crate::{AgentDialect, AgentKind, Builtin, McpServer, McpTransport, ModelRef, Models, ProviderKind};

/// Longest name of an MCP server: model APIs take at most 64 characters for a tool, and `NAME__TOOL` must fit.
const MAX_MCP_NAME: usize = 40;
/// Most MCP servers of one agent.
const MAX_MCP: usize = 64;
/// Bounds of `max_steps`.
pub(crate) const STEPS: RangeInclusive<u32> = 1..=1000;
/// The value of `max_steps` where nothing is said.
pub(crate) const DEFAULT_STEPS: u32 = 50;
/// Bounds of `context_tokens`: instructions, tools and one step must fit.
pub(crate) const CONTEXT_TOKENS: RangeInclusive<u32> = 4096..=16_777_216;
/// The value of `context_tokens` where nothing is said, and nobody knows what the model takes.
const DEFAULT_CONTEXT_TOKENS: u32 = 96_000;

/// The word after `kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runs {
    Command,
    Builtin,
    OpenClaw,
    /// It could not be read, and that is reported.
    Unknown,
}

impl Runs {
    /// Whether it can be asked for turns.
    pub(super) fn takes_turns(self) -> bool {
        matches!(self, Self::Builtin | Self::OpenClaw)
    }

    fn word(self) -> Option<&'static str> {
        match self {
            Self::Command => Some("command"),
            Self::Builtin => Some("builtin"),
            Self::OpenClaw => Some("openclaw"),
            Self::Unknown => None,
        }
    }
}

/// Reads what `who` runs, and reports the keys that only other kinds have.
pub(super) fn kind(r: &mut Reader<'_>, fields: &Fields<'_>, who: &str, models: &Models) -> (Runs, Option<AgentKind>) {
    let words = [("command", Runs::Command), ("builtin", Runs::Builtin), ("openclaw", Runs::OpenClaw)];
    let runs = match fields.get("kind") {
        Some(field) => r.choice(&field, &words).unwrap_or(Runs::Unknown),
        None => Runs::Command,
    };
    let foreign = runs.word().is_some_and(|word| r.foreign(fields, &AGENT_KINDS, word));
    let kind = match runs {
        Runs::Command => match fields.get("command") {
            Some(field) => command(r, &field).map(AgentKind::Command),
            None => {
                // What is missing then is its kind, and that was said.
                if !foreign || fields.get("kind").is_some() {
                    r.error(fields.place, format!("{who} has no `command`"), COMMAND_HELP);
                }
                None
            }
        },
        Runs::Builtin => Some(AgentKind::Builtin(builtin(r, fields, models))),
        Runs::OpenClaw => {
            let help = "write the directory where it is installed, such as `./openclaw`";
            let directory = fields.get("openclaw").and_then(|field| r.host_path(&field, Wants::Directory, help));
            Some(AgentKind::OpenClaw { directory })
        }
        Runs::Unknown => None,
    };
    (runs, kind)
}

fn builtin(r: &mut Reader<'_>, fields: &Fields<'_>, models: &Models) -> Builtin {
    let instructions = fields.get("instructions").and_then(|field| {
        r.words(&field, "write what the agent is told before everything else, or remove it").map(str::to_owned)
    });
    let dialects =
        [("chat", AgentDialect::Chat), ("responses", AgentDialect::Responses), ("messages", AgentDialect::Messages)];
    let dialect = fields.get("dialect").and_then(|field| r.choice(&field, &dialects));
    let skills = fields
        .get("skills")
        .and_then(|field| r.host_path(&field, Wants::Directory, "write a directory such as `./skills`"));
    let mcp = fields.get("mcp").map(|field| mcp(r, &field));
    let max_steps = fields.get("max_steps").and_then(|field| r.number(&field, &STEPS));
    let context_tokens = fields.get("context_tokens").and_then(|field| r.number(&field, &CONTEXT_TOKENS));
    Builtin {
        instructions: instructions.unwrap_or_default(),
        dialect: dialect.unwrap_or_default(),
        skills,
        mcp: mcp.unwrap_or_default(),
        max_steps: max_steps.unwrap_or(DEFAULT_STEPS),
        context_tokens: context_tokens.unwrap_or_else(|| usual_context(fields, models)),
    }
}

/// How much the agent's model takes, as far as that is known: the least that one takes which its name stands for.
fn usual_context(fields: &Fields<'_>, models: &Models) -> u32 {
    let own = fields.get("model").and_then(|field| match &field.node.kind {
        Kind::Plain(name) | Kind::Quoted(name) => Some(name.as_str()),
        _ => None,
    });
    let name = own.or(models.default.as_deref()).unwrap_or_default();
    let named = ModelRef::parse(name);
    let candidates = models.aliases.get(name).map_or(named.as_slice(), Vec::as_slice);
    let context = |candidate: &ModelRef| {
        let provider = models.providers.iter().find(|provider| provider.name == candidate.provider);
        match provider.map(|provider| &provider.kind) {
            Some(ProviderKind::LlamaServer(server)) => server.context,
            _ => DEFAULT_CONTEXT_TOKENS,
        }
    };
    candidates.iter().map(context).min().unwrap_or(DEFAULT_CONTEXT_TOKENS).max(*CONTEXT_TOKENS.start())
}

fn mcp(r: &mut Reader<'_>, field: &Field<'_>) -> Vec<McpServer> {
    let help = "write a list such as `[{ name: search, url: \"https://mcp.example.com/mcp\" }]`";
    let Some(items) = r.list(field, MAX_MCP, help) else { return Vec::new() };
    let mut servers = Vec::new();
    let mut seen = HashMap::new();
    for node in items {
        let item = field.element(node);
        let Some(fields) = r.fields(&item, &MCP, "write `{ name: search, url: \"https://mcp.example.com/mcp\" }`")
        else {
            continue;
        };
        let name = name(r, &fields, &Naming::MCP, &mut seen).filter(|name| {
            let short = name.as_str().len() <= MAX_MCP_NAME;
            if !short {
                let message = format!("the name `{name}` of an MCP server has more than {MAX_MCP_NAME} characters");
                r.error(fields.place, message, "choose a shorter one: it is part of the names of its tools");
            }
            short
        });
        let transport = transport(r, &fields);
        if let (Some(name), Some(transport)) = (name, transport) {
            servers.push(McpServer { name: name.to_string(), transport });
        }
    }
    servers
}

fn transport(r: &mut Reader<'_>, fields: &Fields<'_>) -> Option<McpTransport> {
    let env = fields.get("env").map(|field| (field.key, env(r, &field)));
    match (fields.get("command"), fields.get("url")) {
        (Some(field), None) => {
            let command = command(r, &field)?;
            Some(McpTransport::Stdio { command, env: env.map(|(_, env)| env).unwrap_or_default() })
        }
        (None, Some(field)) => {
            if let Some((place, _)) = env {
                r.error(place, "`env` is for MCP servers that are started with `command`", "remove it");
            }
            let example = "https://mcp.example.com/mcp";
            let text = r.text(&field, &format!("write a URL such as `{example}`"))?;
            r.check(field.place(), url(text, example))?;
            // With its last slash: the server decides what that means.
            Some(McpTransport::Http { url: text.to_owned() })
        }
        (Some(_), Some(field)) => {
            r.error(field.key, "an MCP server has both `command` and `url`", "keep one of the two");
            None
        }
        (None, None) => {
            let help = "add `command: [\"PROGRAM\"]` to start it in the cell, or `url: \"https://…\"` to reach it";
            r.error(fields.place, "an MCP server has neither `command` nor `url`", help);
            None
        }
    }
}
