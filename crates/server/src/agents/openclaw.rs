//! The cell of the real OpenClaw, not modified: Node.js and the npm package, read-only, in gateway mode, with a generated
//! configuration that knows one model provider, the model door.

use std::path::{Path, PathBuf};

use nanoclaw_config::{ModelAccess, Mount, MountMode, ToolRule, ToolRules};
use nanoclaw_sandbox::CellSpec;
use serde_json::{Value, json};

use super::{DATA, FitError, Speech, WORKSPACE, token};
use crate::model_door::{HOST, PLACEHOLDER_KEY};
use crate::plane::Plane;

/// The gateway's port in the cell.
pub(crate) const PORT: u16 = 18_789;
/// Where the installation stands in the cell.
const ROOT: &str = "/opt/openclaw";
/// Where the generated configuration stands in the cell.
const CONFIG: &str = "/etc/openclaw/openclaw.json";
/// Node.js below the installation.
const NODE: &str = "bin/node";
/// OpenClaw below the installation.
const ENTRY: &str = "bin/openclaw";
/// Memory of a cell whose configuration asks for none: less than 768 MiB ends in the kernel's killer.
const MEMORY: u64 = 2 << 30;
/// Longest answer in tokens that OpenClaw asks for.
const MAX_TOKENS: u64 = 8_192;
/// Tools of OpenClaw that call other tools by names among their arguments.
pub(crate) const WRAPPERS: [&str; 2] = ["tool_call", "tool_search_code"];
/// Last part of the ids of the rules that deny them where anything speaks of tools: it would see only their names.
pub(crate) const OWN_NAMES: &str = "each-by-its-own-name";
/// How long OpenClaw waits for an answer, in seconds: longer than any provider may take. It is the model door that
/// watches over time, by what the configuration says of the provider.
const PATIENCE: u64 = 86_400;
/// Length of the context in tokens that OpenClaw plans with.
const CONTEXT: u64 = 128_000;

/// Where OpenClaw is installed unless the configuration says otherwise.
pub fn directory(plane: &Plane) -> PathBuf {
    plane.state.directory().join("openclaw")
}

pub(super) fn fit(
    plane: &Plane,
    chosen: Option<&Path>,
    access: &ModelAccess,
    spec: &mut CellSpec,
) -> Result<Speech, FitError> {
    let model = access.model.as_deref().ok_or(FitError::NoModel)?;
    let own = directory(plane);
    let installed = chosen.unwrap_or(&own);
    if !installed.join(ENTRY).is_file() || !installed.join(NODE).is_file() {
        return Err(FitError::NoOpenClaw(installed.to_path_buf()));
    }
    let mount = Mount { source: installed.to_path_buf(), target: ROOT.into(), mode: MountMode::Ro };
    match chosen {
        Some(_) => spec.mounts.push(mount),
        None => spec.fittings.places.push(mount),
    }
    let token = token()?;
    // As the policies in force have them, which may be newer than the agent.
    let rules = plane.policies.current().rules(&spec.id).models.map(|models| models.tools).unwrap_or_default();
    let config = serde_json::to_string_pretty(&configuration(model, &token, &rules))?;
    spec.fittings.files.insert(CONFIG.into(), config);
    if plane.launcher.cgroups().enforced().memory {
        spec.limits.memory.get_or_insert(MEMORY);
    }
    let state = format!("{DATA}/openclaw");
    for (name, value) in [
        ("OPENCLAW_CONFIG_PATH", CONFIG),
        ("OPENCLAW_STATE_DIR", &state),
        ("OPENCLAW_NO_RESPAWN", "1"),
        // Its native file helper opens with openat2, which no cell has: the flags are out of the filter's sight. The
        // portable one does the same, and what it cannot promise the cell's walls do.
        ("OPENCLAW_FS_SAFE_NATIVE_MODE", "off"),
        // A cell is new each time: a cache in its /tmp would only cost memory.
        ("NODE_DISABLE_COMPILE_CACHE", "1"),
        ("HOME", DATA),
    ] {
        spec.env.insert(name.to_owned(), value.to_owned());
    }
    spec.command = [
        format!("{ROOT}/{NODE}"),
        "--max-old-space-size=1024".to_owned(),
        format!("{ROOT}/{ENTRY}"),
        "gateway".to_owned(),
        "run".to_owned(),
        "--port".to_owned(),
        PORT.to_string(),
    ]
    .into();
    Ok(Speech::OpenClaw { token })
}

/// OpenClaw's configuration: nothing but what it needs to work through the doors. For models of one format of thoughts it
/// makes calls of a notation that may stand anywhere in a text, so the format is another. (All others stand alone, and
/// the model door reads them: `ModelAccess::text_calls`.) Where there are rules for tools
/// ([`OWN_NAMES`] among them, where policies speak of tools), each tool is called by its own name: otherwise most are called
/// through one that finds and calls others, and the model door would see only that name. Tools that the door would refuse
/// in any case are not offered to the model.
fn configuration(model: &str, token: &str, rules: &ToolRules) -> Value {
    let mut configuration = json!({
        "gateway": {
            "mode": "local",
            "bind": "loopback",
            "port": PORT,
            "auth": { "mode": "token", "token": token },
            "http": { "endpoints": { "chatCompletions": { "enabled": true } } },
        },
        "models": {
            "mode": "replace",
            "providers": {
                "nanoclaw": {
                    "baseUrl": format!("http://{HOST}/v1"),
                    "apiKey": PLACEHOLDER_KEY,
                    "api": "openai-completions",
                    "timeoutSeconds": PATIENCE,
                    "models": [{
                        "id": model,
                        "name": model,
                        "reasoning": false,
                        "input": ["text", "image"],
                        "cost": { "input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0 },
                        "contextWindow": CONTEXT,
                        "maxTokens": MAX_TOKENS,
                        "compat": { "thinkingFormat": "openai" },
                    }],
                },
            },
        },
        "agents": {
            "defaults": {
                "model": { "primary": format!("nanoclaw/{model}") },
                "skipBootstrap": true,
                "heartbeat": { "every": "0m" },
                "workspace": WORKSPACE,
            },
        },
        "discovery": { "mdns": { "mode": "off" } },
        "update": { "checkOnStart": false },
    });
    if !rules.is_empty()
        && let Some(all) = configuration.as_object_mut()
    {
        let names =
            |rules: &mut dyn Iterator<Item = &ToolRule>| rules.map(|rule| rule.name.clone()).collect::<Vec<_>>();
        // A rule about arguments does not take the whole tool away.
        let deny = names(&mut rules.deny.iter().filter(|rule| rule.arguments.is_empty()));
        let mut tools = serde_json::Map::from_iter([
            ("toolSearch".to_owned(), false.into()),
            ("codeMode".to_owned(), false.into()),
            ("deny".to_owned(), deny.into()),
        ]);
        if let Some(allow) = &rules.allow {
            tools.insert("allow".to_owned(), names(&mut allow.iter()).into());
        }
        all.insert("tools".to_owned(), tools.into());
    }
    configuration
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str, arguments: &[(&str, &str)]) -> ToolRule {
        let arguments = arguments.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        ToolRule { id: "id".to_owned(), name: name.to_owned(), arguments }
    }

    #[test]
    fn without_rules_openclaw_keeps_its_own_choice_of_tools() {
        assert_eq!(configuration("m", "t", &ToolRules::default()).get("tools"), None);
    }

    #[test]
    fn openclaw_does_not_read_the_calls_of_deepseek() {
        let model = configuration("m", "t", &ToolRules::default());
        assert_eq!(model.pointer("/models/providers/nanoclaw/models/0/compat/thinkingFormat"), Some(&json!("openai")));
    }

    #[test]
    fn tools_that_are_always_refused_are_not_offered() {
        let allow = Some(vec![rule("read", &[]), rule("exec", &[("command", "ls*")])]);
        let deny = vec![rule("write", &[]), rule("read", &[("path", "/etc/*")])];
        assert_eq!(
            configuration("m", "t", &ToolRules { allow, deny: deny.clone() })["tools"],
            json!({ "toolSearch": false, "codeMode": false, "allow": ["read", "exec"], "deny": ["write"] })
        );
        assert_eq!(
            configuration("m", "t", &ToolRules { allow: None, deny })["tools"],
            json!({ "toolSearch": false, "codeMode": false, "deny": ["write"] })
        );
    }
}
