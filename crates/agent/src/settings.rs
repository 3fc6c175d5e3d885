//! What the control plane tells an agent about itself: a JSON file that the cell can only read.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use nanoclaw_config::glob;
use nanoclaw_dialect::Dialect;
use serde::{Deserialize, Serialize};

use crate::mcp::MOST_SERVERS;
pub use crate::mcp::McpServer;

/// Largest settings file in bytes.
pub const MAX_SETTINGS: u64 = 4 * 1024 * 1024;

/// Shortest context in tokens that an agent can work with: instructions, tools and one step must fit.
pub const SHORTEST_CONTEXT: u64 = 4096;

/// Most steps (model calls) that one turn may be given.
pub const MOST_STEPS: u32 = 1000;

/// The port on the cell's loopback that turns are served on.
pub const PORT: u16 = 7373;

/// Settings of one agent. Fields that are left out have the value of [`Settings::new`]; unknown fields are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The agent's id in the fleet.
    pub agent: String,
    /// What it is told before everything else.
    #[serde(default)]
    pub instructions: String,
    /// The model that it asks for at the door.
    pub model: String,
    /// How it speaks to the door.
    #[serde(default)]
    pub dialect: Speech,
    /// How the model is asked for tool calls.
    #[serde(default)]
    pub tool_mode: ToolMode,
    /// Where the model door is: `http://`, host and perhaps port, no path.
    #[serde(default = "base_url")]
    pub base_url: String,
    /// Which tools are offered to the model.
    #[serde(default)]
    pub tools: ToolNames,
    /// Most steps (model calls) of one turn.
    #[serde(default = "max_steps")]
    pub max_steps: u32,
    /// When a conversation is longer than this many tokens, its older part is summarised.
    #[serde(default = "context_tokens")]
    pub context_tokens: u64,
    /// Longest answer of the model in tokens; `None` leaves it to the door.
    #[serde(default)]
    pub max_output_tokens: Option<u64>,
    /// The directory of the database.
    #[serde(default = "data")]
    pub data: PathBuf,
    /// The directory that the tools work in.
    #[serde(default = "workspace")]
    pub workspace: PathBuf,
    /// The directory of the agent's skills, if it has any.
    #[serde(default)]
    pub skills: Option<PathBuf>,
    /// MCP servers whose tools it has.
    #[serde(default)]
    pub mcp: Vec<McpServer>,
    /// The port on loopback that turns are served on; 0 takes any.
    #[serde(default = "port")]
    pub port: u16,
    /// What runs the commands of the tool `shell`, with `-c` and the command.
    #[serde(default = "shell")]
    pub shell: PathBuf,
}

fn base_url() -> String {
    "http://llm.nanoclaw.internal".to_owned()
}

fn max_steps() -> u32 {
    50
}

fn context_tokens() -> u64 {
    96_000
}

fn data() -> PathBuf {
    PathBuf::from("/data")
}

fn workspace() -> PathBuf {
    PathBuf::from("/workspace")
}

fn port() -> u16 {
    PORT
}

fn shell() -> PathBuf {
    PathBuf::from("/bin/sh")
}

/// The dialects that an agent can speak to the door.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speech {
    /// OpenAI chat completions.
    #[default]
    Chat,
    /// OpenAI responses.
    Responses,
    /// Anthropic messages.
    Messages,
}

impl Speech {
    /// The wire format.
    pub const fn dialect(self) -> Dialect {
        match self {
            Speech::Chat => Dialect::Chat,
            Speech::Responses => Dialect::Responses,
            Speech::Messages => Dialect::Messages,
        }
    }

    /// Where requests are posted.
    pub const fn path(self) -> &'static str {
        match self {
            Speech::Chat => "/v1/chat/completions",
            Speech::Responses => "/v1/responses",
            Speech::Messages => "/v1/messages",
        }
    }
}

/// How a model is asked for tool calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolMode {
    /// As the dialect has it.
    #[default]
    Native,
    /// Each step is JSON of a schema, for providers that enforce schemas but know no tools.
    Schema,
}

/// Names of tools; `*` stands for any characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolNames {
    /// If there is one, only these.
    #[serde(default)]
    pub allow: Option<Vec<String>>,
    /// Not these, whatever else is said.
    #[serde(default)]
    pub deny: Vec<String>,
}

impl ToolNames {
    /// Whether a tool of this name is offered.
    pub fn offers(&self, name: &str) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| glob::matches(pattern, name));
        self.allow.as_deref().is_none_or(any) && !any(&self.deny)
    }

    /// Whether a tool whose name begins with `prefix` may be offered, as far as the patterns tell.
    pub(crate) fn may_offer(&self, prefix: &str) -> bool {
        let possible = |pattern: &String| match pattern.split_once('*') {
            Some((before, _)) => before.starts_with(prefix) || prefix.starts_with(before),
            None => pattern.starts_with(prefix),
        };
        let all = |pattern: &String| pattern.strip_suffix('*').is_some_and(|before| prefix.starts_with(before));
        self.allow.as_ref().is_none_or(|allow| allow.iter().any(possible)) && !self.deny.iter().any(all)
    }
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read the settings file `{path}`: {cause}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// It is no JSON of the right form.
    #[error("the settings file `{path}` is not valid: {cause}")]
    Form {
        /// Which file.
        path: PathBuf,
        /// What is wrong and where.
        cause: serde_json::Error,
    },
    /// A value is out of its range.
    #[error("the setting `{name}` is wrong: {what}")]
    Value {
        /// Which one.
        name: &'static str,
        /// What is wrong with it.
        what: String,
    },
}

impl Settings {
    /// Settings with every default: the places of a cell, all tools, the door's usual name.
    pub fn new(agent: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            agent: agent.into(),
            instructions: String::new(),
            model: model.into(),
            dialect: Speech::default(),
            tool_mode: ToolMode::default(),
            base_url: base_url(),
            tools: ToolNames::default(),
            max_steps: max_steps(),
            context_tokens: context_tokens(),
            max_output_tokens: None,
            data: data(),
            workspace: workspace(),
            skills: None,
            mcp: Vec::new(),
            port: port(),
            shell: shell(),
        }
    }

    /// Reads and checks a settings file.
    ///
    /// # Errors
    /// It cannot be read, is not valid, or a value is out of range.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let file = std::fs::File::open(path).map_err(|cause| SettingsError::Read { path: path.to_owned(), cause })?;
        let settings: Self = serde_json::from_reader(std::io::BufReader::new(file.take(MAX_SETTINGS)))
            .map_err(|cause| SettingsError::Form { path: path.to_owned(), cause })?;
        settings.check()?;
        Ok(settings)
    }

    /// Checks every value.
    ///
    /// # Errors
    /// A value is out of range.
    pub fn check(&self) -> Result<(), SettingsError> {
        let wrong = |name, what: String| Err(SettingsError::Value { name, what });
        if self.agent.is_empty() {
            return wrong("agent", "it is empty; give the agent's id".to_owned());
        }
        if self.model.is_empty() {
            return wrong("model", "it is empty; name a model, an alias or `default`".to_owned());
        }
        if !(1..=MOST_STEPS).contains(&self.max_steps) {
            return wrong("max_steps", format!("it must be from 1 to {MOST_STEPS}, not {}", self.max_steps));
        }
        if self.context_tokens < SHORTEST_CONTEXT {
            return wrong(
                "context_tokens",
                format!("{} is too short; give {SHORTEST_CONTEXT} or more", self.context_tokens),
            );
        }
        if let Err(what) = crate::door::authority(&self.base_url) {
            return wrong("base_url", what);
        }
        if self.mcp.len() > MOST_SERVERS {
            return wrong("mcp", format!("there are {} servers, and there may be {MOST_SERVERS}", self.mcp.len()));
        }
        let mut names = BTreeSet::new();
        for server in &self.mcp {
            if let Err(what) = server.check() {
                return wrong("mcp", what);
            }
            if !names.insert(server.name()) {
                return wrong("mcp", format!("there are two servers `{}`", server.name()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, SettingsError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Settings::read(file.path())
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        assert_eq!(read(r#"{"agent":"a","model":"m"}"#).unwrap(), Settings::new("a", "m"));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut settings = Settings::new("a", "m");
        settings.tools = ToolNames { allow: Some(vec!["file_*".into()]), deny: vec!["file_write".into()] };
        settings.dialect = Speech::Messages;
        settings.tool_mode = ToolMode::Schema;
        settings.max_output_tokens = Some(7);
        assert_eq!(read(&serde_json::to_string(&settings).unwrap()).unwrap(), settings);
    }

    #[test]
    fn unknown_fields_and_values_out_of_range_are_refused() {
        let what = |text: &str| read(text).unwrap_err().to_string();
        assert!(what(r#"{"agent":"a","model":"m","colour":1}"#).contains("unknown field `colour`"));
        assert_eq!(
            what(r#"{"agent":"","model":"m"}"#),
            "the setting `agent` is wrong: it is empty; give the agent's id"
        );
        assert!(what(r#"{"agent":"a","model":""}"#).starts_with("the setting `model` is wrong"));
        assert_eq!(
            what(r#"{"agent":"a","model":"m","max_steps":0}"#),
            "the setting `max_steps` is wrong: it must be from 1 to 1000, not 0"
        );
        assert!(what(r#"{"agent":"a","model":"m","context_tokens":100}"#).contains("give 4096 or more"));
        assert!(what(r#"{"agent":"a","model":"m","base_url":"https://door"}"#).contains("`base_url`"));
    }

    #[test]
    fn a_settings_file_over_the_limit_is_not_valid() {
        let long = "x".repeat(usize::try_from(MAX_SETTINGS).unwrap());
        assert!(matches!(
            read(&format!(r#"{{"agent":"a","model":"m","instructions":"{long}"}}"#)),
            Err(SettingsError::Form { .. })
        ));
    }

    #[test]
    fn deny_wins_and_no_allow_list_means_all() {
        let names = |allow: Option<&[&str]>, deny: &[&str]| ToolNames {
            allow: allow.map(|a| a.iter().map(|s| (*s).to_owned()).collect()),
            deny: deny.iter().map(|s| (*s).to_owned()).collect(),
        };
        assert!(names(None, &[]).offers("shell"));
        assert!(!names(None, &["sh*"]).offers("shell"));
        assert!(!names(Some(&[]), &[]).offers("shell"));
        assert!(names(Some(&["file_*"]), &[]).offers("file_read"));
        assert!(!names(Some(&["file_*"]), &[]).offers("shell"));
        assert!(!names(Some(&["*"]), &["file_read"]).offers("file_read"));
        for (may, allow, deny) in [
            (true, None, [].as_slice()),
            (true, Some(["srv__read"].as_slice()), &["srv__write"]),
            (true, Some(&["*_read"]), &["srv__*x", "*y"]),
            (true, Some(&["s*"]), &["other__*", "srv_"]),
            (false, Some(&["srv_", "file_*", "other__*"]), &[]),
            (false, Some(&[]), &[]),
            (false, None, &["srv__*"]),
            (false, Some(&["srv__read"]), &["*"]),
        ] {
            assert_eq!(names(allow, deny).may_offer("srv__"), may, "{allow:?} {deny:?}");
        }
    }

    #[test]
    fn servers_are_read_and_checked() {
        let settings = |mcp: &str| read(&format!(r#"{{"agent":"a","model":"m","mcp":[{mcp}]}}"#));
        let program = r#"{"name":"files","command":["srv","-x"],"env":{"A":"b"}}"#;
        let web = r#"{"name":"web","url":"https://mcp.example/mcp"}"#;
        let both = settings(&format!("{program},{web}")).unwrap();
        assert_eq!(both.mcp.iter().map(McpServer::name).collect::<Vec<_>>(), ["files", "web"]);
        assert_eq!(read(&serde_json::to_string(&both).unwrap()).unwrap(), both);
        let long = "n".repeat(41);
        for (mcp, says) in [
            (format!("{web},{web}"), "the setting `mcp` is wrong: there are two servers `web`"),
            (program.replace("files", "fi_les"), "characters of a-z, 0-9 and `-`"),
            (program.replace("files", &long), "must be 1 to 40 characters"),
            (r#"{"name":"a","command":[]}"#.to_owned(), "`a` has an empty command"),
            (r#"{"name":"a","url":"ftp://x/"}"#.to_owned(), "is neither http nor https"),
            (r#"{"name":"a","url":"http://x/","env":{}}"#.to_owned(), "is not valid"),
            (r#"{"name":"a"}"#.to_owned(), "is not valid"),
        ] {
            let error = settings(&mcp).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
