//! Models: who provides them, who may use them, and how much.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::Limits;

/// Where models come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Models {
    /// Those who run models.
    pub providers: Vec<Provider>,
    /// The model of agents that name none.
    pub default: Option<String>,
    /// Other names: each stands for one model, or for several to be tried in this order.
    pub aliases: BTreeMap<String, Vec<ModelRef>>,
    /// A file with prices that are not in the built-in table, or differ.
    pub prices: Option<PathBuf>,
    /// Whether the bodies of calls are kept, apart from the audit log.
    pub keep_bodies: bool,
}

/// A model at a provider: `main/some-model`. The model's own name may hold further slashes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelRef {
    /// The provider's name.
    pub provider: String,
    /// The model's name there.
    pub model: String,
}

impl ModelRef {
    /// Reads `provider/model`; `None` where either is missing.
    pub fn parse(text: &str) -> Option<Self> {
        let (provider, model) = text.split_once('/')?;
        (!provider.is_empty() && !model.is_empty())
            .then(|| Self { provider: provider.to_owned(), model: model.to_owned() })
    }
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}

/// Somebody who runs models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its name in this configuration, unique: a [`nanoclaw_request::CellId`]'s characters.
    pub name: String,
    /// What it is and where.
    pub kind: ProviderKind,
    /// Longest time until a connection stands.
    pub connect_timeout: Duration,
    /// Longest silence within an answer. Before it, it is this and `connect_timeout` together.
    pub idle_timeout: Duration,
    /// Longest time for a whole answer.
    pub timeout: Duration,
    /// Further attempts after one that failed before anything was answered.
    pub retries: u32,
}

/// What a provider is and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderKind {
    /// Speaks OpenAI's dialects.
    OpenAi(Remote),
    /// Speaks Anthropic's dialect.
    Anthropic(Remote),
    /// Speaks Gemini's dialect.
    Gemini(Remote),
    /// llama-server in a cell of its own, run by NanoClaw.
    LlamaServer(LlamaServer),
}

/// A provider that is reached over the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// `http` or `https`, without a slash at its end: paths of the dialect are added to it.
    pub base_url: String,
    /// Its key, where it needs one.
    pub api_key: Option<SecretSource>,
    /// The header that the key goes into, in lower case, where it is not the dialect's own (`api-key` for Azure).
    pub key_header: Option<String>,
    /// Certificates of further authorities that it is believed by, as a PEM file.
    pub ca: Option<PathBuf>,
    /// Whether it also speaks OpenAI responses; otherwise those are translated to chat completions.
    pub responses: bool,
}

/// A GGUF file, served by llama-server in a cell without a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LlamaServer {
    /// The GGUF file.
    pub model_file: PathBuf,
    /// The program; a directory beside it with its libraries is shown to the cell too.
    pub program: PathBuf,
    /// Length of its context in tokens.
    pub context: u32,
    /// Limits of its cell.
    pub limits: Limits,
}

/// Where a secret is. Never the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A variable of the control plane's environment.
    Env(String),
    /// A file that only the control plane's user can read.
    File(PathBuf),
}

/// What an agent may do with models.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelAccess {
    /// The model that it uses where it names `default` or nothing; an alias or `provider/model`.
    pub model: Option<String>,
    /// Further models that it may use: names of aliases or models, where `*` stands for any characters.
    pub allow: Vec<String>,
    /// Models that it may not use, whatever else is said.
    pub deny: Vec<String>,
    /// Which tools its models may call.
    pub tools: ToolRules,
    /// How much it may use.
    pub budget: Budget,
    /// The group whose budget it shares.
    pub group: Option<String>,
    /// Whether the agent makes calls of what its model says in text. That follows from what the agent is, not from the
    /// file: whoever gives it access says so.
    pub text_calls: bool,
    /// Whether the control plane tells the agent what its users say, so that nobody else's words are theirs. That too
    /// follows from what the agent is.
    pub told: bool,
}

/// Which tools a model may call for an agent. `deny` wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolRules {
    /// If there is one, only these.
    pub allow: Option<Vec<ToolRule>>,
    /// Not these.
    pub deny: Vec<ToolRule>,
}

impl ToolRules {
    /// Whether there is no rule, so that every tool may be called.
    pub fn is_empty(&self) -> bool {
        self.allow.is_none() && self.deny.is_empty()
    }
}

/// A kind of tool call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolRule {
    /// How the decision names it in the audit log: `agents.analyst.tools.allow[0]`.
    pub id: String,
    /// The tool's name; `*` stands for any characters.
    pub name: String,
    /// What its arguments must look like for the rule to hold: by key, a pattern for the value as text, where `*` stands for any
    /// characters. An argument that is missing matches no pattern.
    pub arguments: BTreeMap<String, String>,
}

/// Bounds on what may be used. `None` is no bound. Periods are those of the UTC calendar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Calls in a minute.
    pub requests_per_minute: Option<u64>,
    /// Tokens, in and out, in a minute.
    pub tokens_per_minute: Option<u64>,
    /// Tokens in an hour.
    pub tokens_per_hour: Option<u64>,
    /// Tokens in a day.
    pub tokens_per_day: Option<u64>,
    /// Tokens in a month.
    pub tokens_per_month: Option<u64>,
    /// Money in an hour.
    pub usd_per_hour: Option<NanoUsd>,
    /// Money in a day.
    pub usd_per_day: Option<NanoUsd>,
    /// Money in a month.
    pub usd_per_month: Option<NanoUsd>,
    /// Calls at the same time.
    pub concurrent_calls: Option<u64>,
    /// Longest answer in tokens.
    pub max_output_tokens: Option<u64>,
}

/// An amount of money in thousand-millionths of a US dollar, so that the price of one token is a whole number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NanoUsd(pub u64);

impl NanoUsd {
    /// One dollar.
    pub const USD: u64 = 1_000_000_000;
}

impl fmt::Display for NanoUsd {
    /// In dollars with as many decimals as it takes, at least two: `0.50`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / Self::USD, self.0 % Self::USD);
        let decimals = format!("{part:09}");
        let kept = decimals.trim_end_matches('0').len().max(2);
        write!(f, "{whole}.{}", decimals.get(..kept).unwrap_or(&decimals))
    }
}

/// A budget that several agents share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// What its agents may use together.
    pub budget: Budget,
}

/// NanoClaw's own agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Builtin {
    /// What it is told before everything else.
    pub instructions: String,
    /// How it speaks to the model door: `chat`, `responses` or `messages`.
    pub dialect: AgentDialect,
    /// A directory of skills: folders with a `SKILL.md`. Shown to the cell read-only.
    pub skills: Option<PathBuf>,
    /// MCP servers that it uses.
    pub mcp: Vec<McpServer>,
    /// Most steps (model calls) of one turn.
    pub max_steps: u32,
    /// When a conversation is longer than this many tokens, its older part is summarised.
    pub context_tokens: u32,
}

/// The tools of NanoClaw's own agent. Besides them it has those of its MCP servers.
pub const BUILTIN_TOOLS: [&str; 12] = [
    "file_read",
    "file_write",
    "file_edit",
    "file_list",
    "file_search",
    "shell",
    "http_fetch",
    "memory_save",
    "memory_search",
    "memory_delete",
    "todo",
    "skill_read",
];

/// How the built-in agent speaks to the model door.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AgentDialect {
    /// OpenAI chat completions.
    #[default]
    Chat,
    /// OpenAI responses.
    Responses,
    /// Anthropic messages.
    Messages,
}

/// An MCP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpServer {
    /// Its name; its tools are called `name__tool`.
    pub name: String,
    /// How to reach it.
    pub transport: McpTransport,
}

/// How an MCP server is reached, from inside the cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum McpTransport {
    /// A program in the cell, spoken to over its standard streams.
    Stdio {
        /// Program and arguments.
        command: Vec<String>,
        /// Its environment on top of the agent's.
        env: BTreeMap<String, String>,
    },
    /// A server that the cell's network rules allow (streamable HTTP).
    Http {
        /// Its address.
        url: String,
    },
}

/// When a turn starts by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduled {
    /// When.
    pub when: When,
    /// What the agent is told.
    pub prompt: String,
}

/// A moment that comes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// At times of the calendar, UTC.
    Cron(Cron),
    /// After this time, again and again: first from the start of the fleet, then from the end of the turn before.
    Every(Duration),
}

/// Five fields as in crontab(5): minutes, hours, days of the month, months, days of the week. Each is the set of its values
/// as bits, bit 0 being value 0; Sunday is bit 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    /// As it was written.
    pub text: String,
    /// 0 to 59.
    pub minutes: u64,
    /// 0 to 23.
    pub hours: u32,
    /// 1 to 31.
    pub days: u32,
    /// 1 to 12.
    pub months: u16,
    /// 0 to 6.
    pub weekdays: u8,
    /// Whether either of days and weekdays suffices: so it is where both are restricted.
    pub either_day: bool,
}

/// A turn that starts when somebody calls `POST /hooks/AGENT` on the control plane's own address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// What the caller must present as a bearer token.
    pub token: SecretSource,
    /// What the agent is told before the body of the call, which it is told not to trust.
    pub prompt: String,
}
