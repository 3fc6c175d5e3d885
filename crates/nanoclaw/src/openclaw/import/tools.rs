//! Which tools a model may call. The names are OpenClaw's own, as that is what its models call; profiles and groups
//! become lists of them. OpenClaw narrows layer by layer, and NanoClaw has one list: what is in all of the layers.
//! Where something of a layer is not understood, less is allowed, never more.

use nanoclaw_config::glob;

use super::node::Node;
use super::report::Report;
use super::yaml::list;

/// Groups of tools.
const GROUPS: [(&str, &[&str]); 11] = [
    ("runtime", &["exec", "process", "code_execution"]),
    ("fs", &["read", "write", "edit", "apply_patch"]),
    ("sessions", &SESSIONS),
    ("memory", &["memory_search", "memory_get"]),
    ("web", &["web_search", "x_search", "web_fetch"]),
    ("ui", &["browser", "screen", "theme", "dashboard", "terminal", "portal", "canvas", "show_widget"]),
    ("automation", &["heartbeat_respond", "automations", "gateway", "plugins", "openclaw"]),
    ("messaging", &["message"]),
    ("nodes", &["nodes", "computer"]),
    (
        "agents",
        &["agents_list", "get_goal", "create_goal", "update_goal", "progress_card", "ask_user", "skill_workshop"],
    ),
    ("media", &["view_image", "image_generate", "music_generate", "video_generate", "tts", "pdf"]),
];

/// `group:sessions`.
const SESSIONS: [&str; 14] = [
    "sessions",
    "sessions_list",
    "sessions_history",
    "sessions_search",
    "conversations_list",
    "conversations_send",
    "conversations_turn",
    "sessions_send",
    "sessions_spawn",
    "sessions_yield",
    "subagents",
    "session_status",
    "suggest_task",
    "dismiss_task",
];

/// Groups that are in `group:openclaw`, with `process` and the like left out.
const OPENCLAW: [&str; 9] = ["sessions", "memory", "web", "ui", "automation", "messaging", "nodes", "agents", "media"];

/// Profiles, as names of tools and groups.
const PROFILES: [(&str, &[&str]); 3] = [
    ("minimal", &["session_status", "gateway"]),
    (
        "coding",
        &[
            "group:fs",
            "group:runtime",
            "group:web",
            "group:sessions",
            "group:memory",
            "automations",
            "gateway",
            "get_goal",
            "create_goal",
            "update_goal",
            "progress_card",
            "ask_user",
            "skill_workshop",
            "view_image",
            "image_generate",
            "music_generate",
            "video_generate",
            "theme",
        ],
    ),
    (
        "messaging",
        &[
            "group:messaging",
            "sessions",
            "sessions_list",
            "sessions_history",
            "sessions_search",
            "conversations_list",
            "conversations_send",
            "conversations_turn",
            "sessions_send",
            "sessions_spawn",
            "sessions_yield",
            "subagents",
            "session_status",
            "gateway",
            "ask_user",
            "theme",
        ],
    ),
];

/// Tools with which a model calls other tools by name, so that a rule about those would not see the call.
const WRAPPERS: [&str; 2] = ["tool_call", "tool_search_code"];

/// What is not carried over of `tools`.
const LEFT: [(&str, &str); 8] = [
    (
        "byProvider",
        "this restriction is lost: rules do not differ by provider; add what must never be called to `deny`",
    ),
    (
        "toolsBySender",
        "this restriction is lost: there are no channels, and all turns are an operator's; add what must never be called to `deny`",
    ),
    ("elevated", "there is no way out of the cell that could be elevated to"),
    ("exec", "commands run in the cell, with its limits; `limits` bounds them"),
    ("web", "searching and fetching need a network rule: `allowed_networks`, and keys do not go into cells"),
    ("fs", "the cell shows nothing but what the agent may read and write; `mounts` adds to it"),
    ("agentToAgent", "agents are in cells of their own and do not reach each other"),
    ("subagents", "subagents are in the cell of their agent and have its rules"),
];

/// Rules for one agent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rules {
    /// Only these, if there is a list.
    pub(super) allow: Option<Vec<String>>,
    /// Not these.
    pub(super) deny: Vec<String>,
    /// Where they come from.
    paths: Vec<String>,
}

/// Says what of `tools` is not carried over. Called once for each `tools`, also where several agents share it.
pub(super) fn leave(tools: &Node<'_>, report: &mut Report) {
    let handled = ["profile", "allow", "alsoAllow", "deny", "sandbox"];
    tools.leave(report, &handled, &LEFT, "OpenClaw's own setting, which NanoClaw does not make");
    if let Some(sandbox) = tools.get("sandbox") {
        sandbox.leave(report, &["tools"], &[], "NanoClaw's cell is the sandbox");
    }
}

/// Works the rules out for an agent with these `tools`, under these global ones. `sandboxed`: every one of its turns
/// was in OpenClaw's own sandbox, whose rules counted too.
pub(super) fn rules(global: Option<&Node<'_>>, own: Option<&Node<'_>>, sandboxed: bool, report: &mut Report) -> Rules {
    let mut rules = Rules::default();
    let layers: Vec<&Node<'_>> = global.into_iter().chain(own).collect();
    let profile = layers.iter().rev().find_map(|tools| tools.get("profile"));
    if let Some(profile) = profile {
        let more: Vec<Node<'_>> = layers.iter().filter_map(|tools| tools.get("alsoAllow")).collect();
        rules.add_profile(&profile, &more, report);
    }
    for tools in &layers {
        rules.add(tools, report);
    }
    let sandbox = layers.iter().rev().find_map(|tools| tools.at(&["sandbox", "tools"]));
    if let Some(sandbox) = sandbox.filter(|_| sandboxed) {
        rules.add(&sandbox, report);
    }
    if rules.allow.is_none() && !rules.deny.is_empty() {
        rules.deny.extend(WRAPPERS.map(str::to_owned));
    }
    rules
}

impl Rules {
    fn add_profile(&mut self, node: &Node<'_>, more: &[Node<'_>], report: &mut Report) {
        let name = node.text().unwrap_or_default();
        if name == "full" {
            return;
        }
        let known = PROFILES.iter().find(|(profile, _)| *profile == name);
        let tools = match known {
            Some((_, tools)) => *tools,
            None => {
                report.changed(&node.path, "not a profile that is known; taken for `minimal`, which allows least");
                PROFILES.iter().find(|(profile, _)| *profile == "minimal").map_or(&[][..], |(_, tools)| *tools)
            }
        };
        let mut allowed: Vec<String> = tools.iter().flat_map(|name| expand(name).unwrap_or_default()).collect();
        for node in more {
            allowed.extend(names(node, true, report));
        }
        self.narrow(allowed);
        self.paths.push(node.path.clone());
    }

    /// Adds `allow` and `deny` of one layer.
    fn add(&mut self, tools: &Node<'_>, report: &mut Report) {
        if let Some(allow) = tools.get("allow") {
            self.narrow(names(&allow, true, report));
            self.paths.push(allow.path);
        }
        if let Some(deny) = tools.get("deny") {
            for name in names(&deny, false, report) {
                if !self.deny.contains(&name) {
                    self.deny.push(name);
                }
            }
            self.paths.push(deny.path);
        }
    }

    /// Allows what this layer allows too.
    fn narrow(&mut self, layer: Vec<String>) {
        let before = self.allow.take();
        let mut allow: Vec<String> = Vec::new();
        let both = match before {
            None => layer,
            Some(before) => before.iter().flat_map(|a| layer.iter().filter_map(|b| common(a, b))).collect(),
        };
        for name in both {
            if !allow.contains(&name) {
                allow.push(name);
            }
        }
        self.allow = Some(allow);
    }

    /// The places that the rules come from, for a comment.
    pub(super) fn origin(&self) -> String {
        self.paths.join(", ")
    }

    /// The lines of the configuration, with this indentation.
    pub(super) fn write(&self, indent: &str, out: &mut Vec<String>) {
        if self.allow.is_none() && self.deny.is_empty() {
            return;
        }
        out.push(format!("{indent}tools:"));
        if let Some(allow) = &self.allow {
            out.push(format!("{indent}  allow: {}", list(allow)));
        } else {
            out.push(format!(
                "{indent}  # `tool_call` and `tool_search_code` call other tools, and would hide them from these rules."
            ));
        }
        if !self.deny.is_empty() {
            out.push(format!("{indent}  deny: {}", list(&self.deny)));
        }
    }
}

/// The tools that a list names.
fn names(node: &Node<'_>, allow: bool, report: &mut Report) -> Vec<String> {
    let mut all = Vec::new();
    for (item, text) in node.texts(report) {
        match expand(text) {
            Some(names) => all.extend(names),
            None => {
                report.dropped(&item.path, "no plugin and no MCP server is loaded, so none of these tools is there")
            }
        }
    }
    // Whoever may write may also patch.
    if allow && all.iter().any(|name| name == "write") {
        all.push("apply_patch".to_owned());
    }
    all
}

/// The tools that a name of a tool, an alias or a group stands for; `None` for groups of plugins.
fn expand(text: &str) -> Option<Vec<String>> {
    let name = text.trim().to_ascii_lowercase();
    let one = |name: &str| vec![name.to_owned()];
    match name.as_str() {
        "" | "bundle-mcp" | "group:plugins" => None,
        "bash" => Some(one("exec")),
        "cron" => Some(one("automations")),
        "image" => Some(one("view_image")),
        "group:openclaw" => {
            let mut all = one("code_execution");
            for group in OPENCLAW {
                all.extend(expand(&format!("group:{group}"))?.into_iter().filter(|name| name != "canvas"));
            }
            Some(all)
        }
        name => match name.strip_prefix("group:") {
            Some(group) => {
                let (_, tools) = GROUPS.iter().find(|(known, _)| *known == group)?;
                Some(tools.iter().map(|tool| (*tool).to_owned()).collect())
            }
            None if name.chars().any(|c| c.is_whitespace() || c.is_control()) || name.len() > 256 => None,
            None => Some(one(name)),
        },
    }
}

/// A pattern for what both patterns fit; `None` where there is none, or none that can be written.
fn common(a: &str, b: &str) -> Option<String> {
    if a == b || glob::matches(b, a) {
        Some(a.to_owned())
    } else if glob::matches(a, b) {
        Some(b.to_owned())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn worked_out(global: &Value, own: &Value, sandboxed: bool) -> (Rules, Report) {
        let mut report = Report::default();
        let (global, own) = (Node::root(global), Node::root(own));
        (rules(Some(&global), Some(&own), sandboxed, &mut report), report)
    }

    #[test]
    fn layers_narrow_and_denials_add_up() {
        let (rules, _) = worked_out(
            &json!({ "profile": "coding", "deny": ["browser", "Cron"] }),
            &json!({ "allow": ["group:fs", "exec", "browser"], "deny": ["browser"] }),
            false,
        );
        let allow = ["read", "write", "edit", "apply_patch", "exec"].map(str::to_owned).to_vec();
        assert_eq!(rules.allow, Some(allow));
        assert_eq!(rules.deny, ["browser", "automations"]);
    }

    #[test]
    fn patterns_meet_in_the_narrower_one() {
        let (rules, _) = worked_out(
            &json!({ "allow": ["sessions_*", "*exec"] }),
            &json!({ "allow": ["sessions_list", "exec*", "read"] }),
            false,
        );
        assert_eq!(rules.allow, Some(vec!["sessions_list".to_owned()]), "what cannot be written is not allowed");
    }

    #[test]
    fn a_profile_of_its_own_replaces_the_global_one_and_an_unknown_one_allows_least() {
        let (rules, _) =
            worked_out(&json!({ "profile": "coding" }), &json!({ "profile": "minimal", "alsoAllow": ["read"] }), false);
        assert_eq!(rules.allow, Some(vec!["session_status".into(), "gateway".into(), "read".into()]));
        let (rules, report) = worked_out(&json!({ "profile": "everything" }), &json!({}), false);
        assert_eq!(rules.allow, Some(vec!["session_status".into(), "gateway".into()]));
        assert!(report.said("changed", "profile").contains("allows least"));
        let (rules, _) = worked_out(&json!({ "profile": "coding" }), &json!({ "profile": "full" }), false);
        assert_eq!(rules.allow, None);
    }

    #[test]
    fn denials_hold_also_for_tools_that_call_tools() {
        let (rules, _) = worked_out(&json!({ "deny": ["browser"] }), &json!({}), false);
        assert_eq!(
            (rules.allow, rules.deny),
            (None, vec!["browser".into(), "tool_call".into(), "tool_search_code".into()])
        );
    }

    #[test]
    fn rules_of_the_sandbox_count_where_everything_ran_in_it() {
        let global = json!({ "sandbox": { "tools": { "allow": ["read"], "deny": ["gateway"] } } });
        assert_eq!(worked_out(&global, &json!({}), true).0.allow, Some(vec!["read".into()]));
        assert_eq!(worked_out(&global, &json!({}), false).0, Rules::default());
    }

    #[test]
    fn what_plugins_bring_is_left_out_and_never_widens() {
        let (rules, report) = worked_out(&json!({ "allow": ["bundle-mcp", 5, "group:nonsense"] }), &json!({}), false);
        assert_eq!(rules.allow, Some(Vec::new()), "nothing is left, so nothing is allowed");
        assert!(report.said("dropped", "allow[0]").contains("no plugin"));
        assert!(report.said("dropped", "allow[1]").contains("not a text"));
    }
}
