//! What the model can call. A tool gets JSON arguments and gives text; what goes wrong is a result too, in words that
//! the model can act on.
//!
//! [`Toolbox`] is the one place that knows which tools there are: it offers those that the settings allow, and executes
//! only what it offers. Those of MCP servers ([`crate::mcp`]) come and go; what is offered at a time is [`Offers`].
//!
//! Paths are relative to the workspace, and absolute ones are taken as they are: the wall is the cell, not the tool. So
//! nothing here guards against the model; the bounds keep the agent's process small and the context short.

mod bound;
mod file_edit;
mod file_list;
mod file_read;
mod file_search;
mod file_write;
mod files;
mod html;
mod http_fetch;
mod location;
mod memory;
mod shell;
mod skill_read;
mod todo;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nanoclaw_dialect::Tool;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) use bound::floor;
pub(crate) use location::Location;

use crate::mcp::{Patience, Servers, Target};
use crate::settings::Settings;
use crate::skills::Skills;
use crate::store::Store;
use crate::turn::Events;

/// What a call gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    /// For the model.
    pub text: String,
    /// Whether the call failed.
    pub failed: bool,
}

/// A failure, in words for the model: what is wrong and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ToolError(String);

impl ToolError {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl From<crate::store::StoreError> for ToolError {
    fn from(error: crate::store::StoreError) -> Self {
        Self(error.to_string())
    }
}

/// What tools work with.
#[derive(Debug)]
pub(crate) struct Room {
    workspace: PathBuf,
    shell: PathBuf,
    skills: Skills,
    store: Rc<Store>,
}

impl Room {
    /// Where a path of the model leads: from the workspace on.
    fn path(&self, path: &str) -> Result<PathBuf, ToolError> {
        if path.contains('\0') {
            return Err(ToolError::new("the path has a NUL byte in it"));
        }
        Ok(self.workspace.join(path))
    }

    /// A path for the model: relative where it is in the workspace.
    fn shown(&self, path: &Path) -> String {
        let shown = path.strip_prefix(&self.workspace).unwrap_or(path);
        if shown.as_os_str().is_empty() { ".".to_owned() } else { shown.display().to_string() }
    }
}

/// One call, for the tool that makes it.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// JSON text of the arguments.
    pub arguments: String,
    /// The session that it belongs to.
    pub session: String,
    /// Most bytes of text that it may give.
    pub most: usize,
}

impl Job {
    /// The arguments, as the tool wants them.
    pub(crate) fn arguments<T: DeserializeOwned>(&self) -> Result<T, ToolError> {
        let json = if self.arguments.trim().is_empty() { "{}" } else { &self.arguments };
        serde_json::from_str(json)
            .map_err(|error| ToolError(format!("the arguments do not fit this tool: {error}; see its schema")))
    }
}

/// A tool that is offered.
#[derive(Clone, Debug)]
struct Offer {
    tool: Tool,
    kind: Kind,
}

/// Who executes a tool.
#[derive(Clone, Debug)]
enum Kind {
    /// This program.
    Builtin(Builtin),
    /// An MCP server.
    Mcp(Target),
}

/// The tools of this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Builtin {
    FileRead,
    FileWrite,
    FileEdit,
    FileList,
    FileSearch,
    Shell,
    HttpFetch,
    MemorySave,
    MemorySearch,
    MemoryDelete,
    Todo,
    SkillRead,
}

impl Builtin {
    const ALL: [Self; 12] = [
        Self::FileRead,
        Self::FileWrite,
        Self::FileEdit,
        Self::FileList,
        Self::FileSearch,
        Self::Shell,
        Self::HttpFetch,
        Self::MemorySave,
        Self::MemorySearch,
        Self::MemoryDelete,
        Self::Todo,
        Self::SkillRead,
    ];

    fn tool(self) -> Tool {
        match self {
            Builtin::FileRead => file_read::tool(),
            Builtin::FileWrite => file_write::tool(),
            Builtin::FileEdit => file_edit::tool(),
            Builtin::FileList => file_list::tool(),
            Builtin::FileSearch => file_search::tool(),
            Builtin::Shell => shell::tool(),
            Builtin::HttpFetch => http_fetch::tool(),
            Builtin::MemorySave => memory::save_tool(),
            Builtin::MemorySearch => memory::search_tool(),
            Builtin::MemoryDelete => memory::delete_tool(),
            Builtin::Todo => todo::tool(),
            Builtin::SkillRead => skill_read::tool(),
        }
    }

    /// Whether a call changes nothing, so that it can be made beside others.
    fn only_reads(self, arguments: &str) -> bool {
        match self {
            Builtin::FileRead
            | Builtin::FileList
            | Builtin::FileSearch
            | Builtin::MemorySearch
            | Builtin::SkillRead => true,
            Builtin::HttpFetch => http_fetch::only_reads(arguments),
            Builtin::FileWrite
            | Builtin::FileEdit
            | Builtin::Shell
            | Builtin::MemorySave
            | Builtin::MemoryDelete
            | Builtin::Todo => false,
        }
    }

    async fn run(self, job: &Job, room: &Room) -> Result<Output, ToolError> {
        let text = match self {
            Builtin::FileRead => file_read::run(job, room),
            Builtin::FileWrite => file_write::run(job, room),
            Builtin::FileEdit => file_edit::run(job, room),
            Builtin::FileList => file_list::run(job, room),
            Builtin::FileSearch => file_search::run(job, room).await,
            Builtin::Shell => return shell::run(job, room).await,
            Builtin::HttpFetch => return http_fetch::run(job).await,
            Builtin::MemorySave => memory::save(job, room),
            Builtin::MemorySearch => memory::search(job, room),
            Builtin::MemoryDelete => memory::delete(job, room),
            Builtin::Todo => todo::run(job, room),
            Builtin::SkillRead => skill_read::run(job, room),
        }?;
        Ok(Output { text, failed: false })
    }
}

/// What is offered at a time. It stays the same for who holds it.
#[derive(Clone, Debug)]
pub(crate) struct Offers(Rc<Offered>);

#[derive(Debug)]
struct Offered {
    offers: Vec<Offer>,
    about: String,
}

impl Offers {
    /// What the model is offered.
    pub(crate) fn tools(&self) -> impl Iterator<Item = &Tool> {
        self.0.offers.iter().map(|offer| &offer.tool)
    }

    /// What it is told about that in its system prompt.
    pub(crate) fn about(&self) -> &str {
        &self.0.about
    }

    fn find(&self, name: &str) -> Option<Kind> {
        self.0.offers.iter().find(|offer| offer.tool.name == name).map(|offer| offer.kind.clone())
    }
}

/// The tools of an agent.
#[derive(Debug)]
pub(crate) struct Toolbox {
    builtin: Vec<Offer>,
    servers: Servers,
    current: RefCell<Offers>,
    room: Room,
}

impl Toolbox {
    /// Those tools that the settings allow.
    pub(crate) fn new(settings: &Settings, store: Rc<Store>) -> Self {
        Self::with(settings, store, Patience::USUAL)
    }

    /// See [`Toolbox::new`].
    pub(crate) fn with(settings: &Settings, store: Rc<Store>, patience: Patience) -> Self {
        let skills = settings.skills.as_deref().map(Skills::find).unwrap_or_default();
        let offered = |builtin: &Builtin| match builtin {
            Builtin::SkillRead => !skills.is_empty(),
            _ => true,
        };
        let builtin = Builtin::ALL.into_iter().filter(offered);
        let builtin = builtin.map(|builtin| Offer { tool: builtin.tool(), kind: Kind::Builtin(builtin) });
        let builtin = builtin.filter(|offer| settings.tools.offers(&offer.tool.name)).collect();
        let room = Room { workspace: settings.workspace.clone(), shell: settings.shell.clone(), skills, store };
        let nothing = Offers(Rc::new(Offered { offers: Vec::new(), about: String::new() }));
        let toolbox = Self { builtin, servers: Servers::new(settings, patience), current: RefCell::new(nothing), room };
        toolbox.offer();
        toolbox
    }

    /// A turn of `session` begins. Returns when all tools are there that will be.
    pub(crate) async fn begin(&self, session: &str, events: &Events) {
        if !self.servers.is_empty() && self.servers.begin(session, events).await {
            self.offer();
        }
    }

    /// A step of a turn begins. Says whether other tools may be offered than before.
    pub(crate) async fn refresh(&self) -> bool {
        let changed = !self.servers.is_empty() && self.servers.refresh().await;
        if changed {
            self.offer();
        }
        changed
    }

    /// Offers what there is now.
    fn offer(&self) {
        let mut offers = self.builtin.clone();
        let mut about = String::new();
        if offers.iter().any(|offer| matches!(offer.kind, Kind::Builtin(Builtin::SkillRead))) {
            about.push_str(
                "Skills are instructions for certain tasks. Where one fits, read it with skill_read before you begin:\n",
            );
            about.push_str(&self.room.skills.list());
        }
        about.push_str(&self.servers.about());
        let of_servers = self.servers.offers().into_iter();
        offers.extend(of_servers.map(|(tool, target)| Offer { tool, kind: Kind::Mcp(target) }));
        self.current.replace(Offers(Rc::new(Offered { offers, about })));
    }

    /// What is offered now.
    pub(crate) fn current(&self) -> Offers {
        self.current.borrow().clone()
    }

    /// Whether a tool of this name is offered.
    pub(crate) fn offers(&self, name: &str) -> bool {
        self.current().find(name).is_some()
    }

    /// Whether this call changes nothing. Of a tool that is not offered, nothing is executed.
    pub(crate) fn only_reads(&self, name: &str, arguments: &str) -> bool {
        match self.current().find(name) {
            Some(Kind::Builtin(builtin)) => builtin.only_reads(arguments),
            // What a server says about that is no more than a hint.
            Some(Kind::Mcp(_)) => false,
            None => true,
        }
    }

    /// Makes a call. Its text is at most `job.most` bytes long, and a mark where something was cut.
    pub(crate) async fn call(&self, name: &str, job: &Job) -> Output {
        let current = self.current();
        let result = match current.find(name) {
            Some(Kind::Builtin(builtin)) => builtin.run(job, &self.room).await,
            Some(Kind::Mcp(target)) => target.call(job).await,
            None => {
                let known: Vec<&str> = current.tools().map(|tool| tool.name.as_str()).collect();
                Err(ToolError(format!("there is no tool `{name}`; there are: {}", known.join(", "))))
            }
        };
        let (text, failed) = match result {
            Ok(output) => (output.text, output.failed),
            Err(ToolError(text)) => (text, true),
        };
        Output { text: bound::head(text, job.most), failed }
    }
}

/// A tool of this name, whose arguments have these properties.
fn tool(name: &str, description: &str, properties: Value, required: &[&str]) -> Tool {
    Tool {
        name: name.to_owned(),
        description: description.to_owned(),
        parameters: serde_json::json!({
            "type": "object", "properties": properties, "required": required, "additionalProperties": false
        }),
    }
}

#[cfg(test)]
pub(crate) mod tests;
