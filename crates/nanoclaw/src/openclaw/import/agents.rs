//! `agents.entries` (or `agents.list`, as it was once): one agent of kind `openclaw` each, in a cell of its own.

use super::models::Models;
use super::names::Names;
use super::node::Node;
use super::report::Report;
use super::sandbox;
use super::secrets::Secrets;
use super::tools::{self, Rules};
use super::yaml::{comment, scalar};

/// What is not carried over of one agent, or of the defaults of all.
const LEFT: [(&str, &str); 22] = [
    ("name", "agents are called by their `id`"),
    ("description", "agents are called by their `id`; write what others should know as a comment"),
    ("identity", "who the agent is, is told by the files of its workspace: write `IDENTITY.md` there"),
    ("agentDir", "OpenClaw's state is below `/data` of the cell"),
    ("cwd", "it works in `/workspace`"),
    ("skills", "skills are folders: put them into `skills` of the agent's workspace"),
    ("heartbeat", "turns that start by themselves are NanoClaw's: `schedule: [{ every: 30m, prompt: \"…\" }]`"),
    (
        "utilityModel",
        "each agent has one model in its cell; an alias can stand for several, to be tried one after the other",
    ),
    ("decisionModel", "each agent has one model in its cell"),
    ("imageModel", "each agent has one model in its cell; choose one that sees images"),
    ("pdfModel", "each agent has one model in its cell"),
    ("mediaModels", "models for pictures, music and video are not behind the model door"),
    ("voiceModel", "models for speech are not behind the model door"),
    ("modelPolicy", "an agent may use its own model only; `models: { allow: [...] }` allows more"),
    ("params", "the agent sends its own parameters; NanoClaw passes them on"),
    ("tts", "there are no channels to speak on"),
    ("groupChat", "there are no channels"),
    ("subagents", "subagents are in the cell of their agent, with its limits"),
    ("runtime", "OpenClaw runs its own loop in the cell"),
    ("timeoutSeconds", "`limits: { timeout: … }` ends a cell; a turn is interrupted with Ctrl-C"),
    ("maxConcurrent", "`budget: { concurrent_calls: N }` bounds calls at once"),
    ("memory", "memory is OpenClaw's own, below `/data` of the cell; embeddings go through the model door"),
];

/// What is said of other settings of an agent.
const OTHER: &str = "OpenClaw's own setting; NanoClaw generates OpenClaw's configuration, and does not make it";

/// An agent that is carried over.
struct Agent {
    id: String,
    path: String,
    /// Its model with its path, unless it has the one of all.
    model: Option<(String, String)>,
    rules: Rules,
    /// Where its files are on this machine.
    workspace: Option<(String, String)>,
}

/// All of them.
pub(super) struct Agents(Vec<Agent>);

impl Agents {
    /// Takes over every agent that has a model.
    pub(super) fn read(root: &Node<'_>, models: &mut Models<'_>, secrets: &Secrets<'_>, report: &mut Report) -> Self {
        let defaults = root.at(&["agents", "defaults"]);
        let global_tools = root.get("tools");
        if let Some(tools) = &global_tools {
            tools::leave(tools, report);
        }
        if let Some(defaults) = &defaults {
            defaults.leave(report, &["model", "models", "sandbox", "workspace"], &LEFT, OTHER);
        }
        let mut entries = root.at(&["agents", "entries"]).map(|entries| entries.entries()).unwrap_or_default();
        let list = root.at(&["agents", "list"]).map(|list| list.items()).unwrap_or_default();
        for node in list {
            match node.get("id").and_then(|id| id.text()) {
                Some(id) => entries.push((id, node)),
                None => report.dropped(&node.path, "an agent without `id`"),
            }
        }
        if let Some(agents) = root.get("agents") {
            let known = [("ownership", "each agent is spoken to by its name, so none owns anything")];
            agents.leave(report, &["defaults", "entries", "list"], &known, OTHER);
        }
        let shared = sandbox::read(root, defaults.as_ref(), report);
        let mut agents = Vec::new();
        let mut names = Names::default();
        let workspace = defaults.as_ref().and_then(|defaults| defaults.get("workspace"));
        if entries.is_empty() {
            let model = models.has_default();
            if model {
                report.changed("agents", "no agent is named, so there is one called `main`, as in OpenClaw");
                agents.push(Agent {
                    id: names.take("main"),
                    path: "agents".to_owned(),
                    model: None,
                    rules: tools::rules(global_tools.as_ref(), None, shared.all(), report),
                    workspace: place(workspace.as_ref(), secrets),
                });
            }
        }
        let several = entries.len() > 1;
        for (key, node) in entries {
            let own_sandbox = sandbox::own(&node, report).unwrap_or(shared);
            let id = {
                let name = names.take(key);
                if name != key {
                    report.changed(&node.path, format!("called `{name}`: names are of a-z, 0-9 and `-`"));
                }
                name
            };
            node.leave(report, &["id", "default", "model", "tools", "sandbox", "workspace"], &LEFT, OTHER);
            let own_tools = node.get("tools");
            if let Some(tools) = &own_tools {
                tools::leave(tools, report);
            }
            let said = node.get("model");
            let model = said.as_ref().and_then(|model| models.choice(model, &id, report));
            let model = match (model, said) {
                (Some(model), Some(said)) => Some((model, said.path)),
                (_, said) => {
                    if !models.has_default() {
                        report.dropped(&node.path, "it has no model that could be carried over");
                        continue;
                    }
                    if let Some(said) = said {
                        report.changed(&said.path, "it has the model of all agents instead");
                    }
                    None
                }
            };
            report.carried(&node.path, format!("agent `{id}` of kind `openclaw`, in a cell of its own"));
            agents.push(Agent {
                id,
                path: node.path.clone(),
                model,
                rules: tools::rules(global_tools.as_ref(), own_tools.as_ref(), own_sandbox.all(), report),
                workspace: place(node.get("workspace").as_ref(), secrets).or_else(|| {
                    // Of several agents, each has a folder of its own in the common place.
                    let (path, from) = place(workspace.as_ref(), secrets)?;
                    Some((path, if several { format!("{from}/{key}") } else { from }))
                }),
            });
        }
        for agent in &agents {
            if !agent.rules.origin().is_empty() {
                report.carried(&agent.rules.origin(), format!("`tools` of agent `{}`", agent.id));
            }
            if let Some((path, from)) = &agent.workspace {
                let what = format!(
                    "agent `{}` begins with an empty `/workspace`; copy what it needs from `{from}`, or take the `#` before `mounts` away",
                    agent.id
                );
                report.changed(path, what);
            }
        }
        Self(agents)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The lines of the configuration.
    pub(super) fn write(&self, out: &mut Vec<String>) {
        out.push("agents:".to_owned());
        for agent in &self.0 {
            out.push(format!("  {}", comment(&agent.path)));
            out.push(format!("  - id: {}", scalar(&agent.id)));
            out.push("    kind: openclaw".to_owned());
            if let Some((model, path)) = &agent.model {
                out.push(format!("    {}", comment(path)));
                out.push(format!("    model: {}", scalar(model)));
            }
            if !agent.rules.origin().is_empty() {
                out.push(format!("    {}", comment(&format!("What {} leave.", agent.rules.origin()))));
                agent.rules.write("    ", out);
            }
            if let Some((path, from)) = &agent.workspace {
                out.push(format!(
                    "    {}",
                    comment(&format!("{path}: without this it has an empty /workspace of its own."))
                ));
                out.push(format!("    # mounts: [{{ source: {}, target: /workspace, mode: rw }}]", scalar(from)));
            }
        }
    }
}

/// Where a workspace is on this machine, with the path that says so.
fn place(node: Option<&Node<'_>>, secrets: &Secrets<'_>) -> Option<(String, String)> {
    let node = node?;
    let from = secrets.expand(node.text()?)?;
    Some((node.path.clone(), from.to_str()?.to_owned()))
}
