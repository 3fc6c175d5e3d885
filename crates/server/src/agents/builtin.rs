//! The cell of NanoClaw's own agent: its binary, and its settings in a file that it can only read.

use std::path::{Path, PathBuf};

use nanoclaw_agent::settings::{McpServer, Settings, Speech, ToolNames};
use nanoclaw_config::{Agent, AgentDialect, Builtin, ModelAccess, Mount, MountMode, Rootfs, ToolRule};
use nanoclaw_sandbox::CellSpec;

use super::FitError;

/// Where NanoClaw's own program stands in the cell.
const PROGRAM: &str = "/opt/nanoclaw/nanoclaw";
/// Where the settings stand in the cell.
const SETTINGS: &str = "/etc/nanoclaw/agent.json";
/// Where the skills stand in the cell.
pub(crate) const SKILLS: &str = "/opt/skills";

/// `program` is the copy of this program that cells run.
pub(super) fn fit(
    agent: &Agent,
    builtin: &Builtin,
    access: &ModelAccess,
    program: &Path,
    spec: &mut CellSpec,
) -> Result<(), FitError> {
    let model = access.model.clone().ok_or(FitError::NoModel)?;
    // A rule about arguments does not take the whole tool away: the model door looks at each call.
    let whole = |rule: &&ToolRule| rule.arguments.is_empty();
    let settings = Settings {
        instructions: builtin.instructions.clone(),
        dialect: match builtin.dialect {
            AgentDialect::Chat => Speech::Chat,
            AgentDialect::Responses => Speech::Responses,
            AgentDialect::Messages => Speech::Messages,
        },
        tools: ToolNames {
            allow: access.tools.allow.as_ref().map(|rules| rules.iter().map(|rule| rule.name.clone()).collect()),
            deny: access.tools.deny.iter().filter(whole).map(|rule| rule.name.clone()).collect(),
        },
        max_steps: builtin.max_steps,
        context_tokens: builtin.context_tokens.into(),
        skills: builtin.skills.as_ref().map(|_| SKILLS.into()),
        mcp: builtin.mcp.iter().map(McpServer::from).collect(),
        ..Settings::new(agent.id.as_str(), model)
    };
    settings.check()?;
    if let Some(skills) = &builtin.skills {
        spec.mounts.push(Mount { source: skills.clone(), target: SKILLS.into(), mode: MountMode::Ro });
    }
    let binary = match spec.rootfs {
        // A minimal root has the binary anyway.
        Rootfs::Minimal => PathBuf::from("/nanoclaw"),
        Rootfs::Host | Rootfs::Directory(_) => {
            spec.fittings.places.push(Mount {
                source: program.to_path_buf(),
                target: PROGRAM.into(),
                mode: MountMode::Ro,
            });
            PROGRAM.into()
        }
    };
    spec.fittings.files.insert(SETTINGS.into(), serde_json::to_string_pretty(&settings)?);
    spec.command = vec![binary.to_string_lossy().into_owned(), "agent-inside".to_owned(), SETTINGS.to_owned()];
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use nanoclaw_config::{AgentKind, SandboxMode};
    use nanoclaw_sandbox::Fittings;
    use serde_json::{Value, json};

    use super::*;

    /// The cell of an agent with these further lines.
    fn fitted(lines: &str) -> Result<CellSpec, FitError> {
        let text = format!(
            "models: {{ providers: [{{ name: p, kind: openai, base_url: 'http://127.0.0.1:1/v1' }}], default: p/m }}\n\
             agents:\n  - id: a\n    kind: builtin\n{lines}"
        );
        let loaded = nanoclaw_config::parse(&text, Path::new("f"), Path::new("/base")).unwrap();
        let agent = loaded.config.agents.first().unwrap();
        let AgentKind::Builtin(builtin) = &agent.kind else { panic!("{:?}", agent.kind) };
        let mut spec = CellSpec {
            id: agent.id.clone(),
            mode: SandboxMode::Restricted,
            command: Vec::new(),
            rootfs: Rootfs::Host,
            mounts: Vec::new(),
            env: BTreeMap::new(),
            workdir: None,
            limits: agent.limits,
            host_services: Vec::new(),
            terminal: None,
            fittings: Fittings::default(),
        };
        let access = ModelAccess { model: Some("p/m".into()), ..agent.models.clone().unwrap_or_default() };
        fit(agent, builtin, &access, Path::new("/state/inside/nanoclaw"), &mut spec)?;
        Ok(spec)
    }

    fn settings(spec: &CellSpec) -> Value {
        serde_json::from_str(spec.fittings.files.get(Path::new(SETTINGS)).unwrap()).unwrap()
    }

    #[test]
    fn skills_and_servers_of_the_configuration_reach_the_agent() {
        let spec = fitted(
            "    skills: skills\n    tools: { allow: ['files__*'] }\n    mcp:\n\
             \x20     - { name: files, command: [srv, /workspace], env: { A: b } }\n\
             \x20     - { name: web, url: 'https://mcp.example.com/mcp' }\n",
        )
        .unwrap();
        let mount = Mount { source: "/base/skills".into(), target: SKILLS.into(), mode: MountMode::Ro };
        assert_eq!(spec.mounts, [mount]);
        let settings = settings(&spec);
        assert_eq!(settings["skills"], SKILLS);
        assert_eq!(settings["tools"]["allow"], json!(["files__*"]));
        assert_eq!(
            settings["mcp"],
            json!([
                {"name": "files", "command": ["srv", "/workspace"], "env": {"A": "b"}},
                {"name": "web", "url": "https://mcp.example.com/mcp"},
            ])
        );
    }

    #[test]
    fn the_context_of_the_configuration_reaches_the_agent() {
        assert_eq!(settings(&fitted("    context_tokens: 5000\n").unwrap())["context_tokens"], 5000);
        assert_eq!(settings(&fitted("").unwrap())["context_tokens"], 96_000);
    }

    #[test]
    fn an_agent_without_skills_has_none_mounted() {
        let spec = fitted("").unwrap();
        assert!(spec.mounts.is_empty());
        assert_eq!(settings(&spec)["skills"], Value::Null);
    }

    #[test]
    fn the_longest_name_of_a_server_that_a_configuration_takes_suits_the_agent() {
        let name = "n".repeat(40);
        let spec = fitted(&format!("    mcp: [{{ name: {name}, command: [x] }}]\n")).unwrap();
        assert_eq!(settings(&spec)["mcp"][0]["name"], *name);
    }
}
