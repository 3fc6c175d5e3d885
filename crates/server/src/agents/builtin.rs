//! The cell of NanoClaw's own agent: its binary, and its settings in a file that it can only read.

use std::path::PathBuf;

use nanoclaw_agent::settings::{McpServer, Settings, Speech, ToolNames};
use nanoclaw_config::{Agent, AgentDialect, Builtin, ModelAccess, Mount, MountMode, Rootfs, ToolRule};
use nanoclaw_sandbox::CellSpec;

use super::{BINARY, FitError};

/// Where the settings stand in the cell.
const SETTINGS: &str = "/etc/nanoclaw/agent.json";
/// Where the skills stand in the cell.
const SKILLS: &str = "/opt/skills";

pub(super) fn fit(agent: &Agent, builtin: &Builtin, access: &ModelAccess, spec: &mut CellSpec) -> Result<(), FitError> {
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
            spec.fittings.own_binary = Some(BINARY.into());
            BINARY.into()
        }
    };
    spec.fittings.files.insert(SETTINGS.into(), serde_json::to_string_pretty(&settings)?);
    spec.command = vec![binary.to_string_lossy().into_owned(), "agent-inside".to_owned(), SETTINGS.to_owned()];
    Ok(())
}
