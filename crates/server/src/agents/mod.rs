//! What the cell of each kind of agent is made of.

pub(crate) mod builtin;
pub mod llama;
pub mod openclaw;

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nanoclaw_config::{Agent, AgentKind, Config, Mount, MountMode, SandboxMode};
use nanoclaw_sandbox::{CellSpec, Fittings};

use crate::cell::{Order, host_services};
use crate::model_door;
use crate::plane::Plane;
use crate::policies;
use crate::state::State;

/// Where an agent works.
pub(crate) const WORKSPACE: &str = "/workspace";
/// Where an agent keeps what must outlive its cell.
pub(crate) const DATA: &str = "/data";

/// How an agent is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    /// It is a program like any other, and is not spoken to.
    None,
    /// It is no agent but a model, at its port.
    LlamaServer,
    /// NanoClaw's own agent, at its port.
    Builtin,
    /// OpenClaw's gateway, which wants this token.
    OpenClaw {
        /// Drawn anew for every run.
        token: String,
    },
}

/// An agent's cell, ready to be ordered.
pub(crate) struct Fitted {
    pub(crate) order: Order,
    pub(crate) speech: Speech,
}

/// Why there is no cell for an agent.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    /// A place of NanoClaw's own state cannot be made.
    #[error("`{}`: {source}", .path.display())]
    Place {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// OpenClaw is not installed.
    #[error("OpenClaw is not installed in `{}`; run `nanoclaw openclaw install`", .0.display())]
    NoOpenClaw(PathBuf),
    /// The agent has no model.
    #[error("it has no model; add `model: MODEL`, or `models.default` for all agents")]
    NoModel,
    /// NanoClaw's own agent would not take its settings.
    #[error(transparent)]
    Builtin(#[from] nanoclaw_agent::settings::SettingsError),
    /// Settings cannot be written.
    #[error("its settings: {0}")]
    Settings(#[from] serde_json::Error),
    /// There is no randomness.
    #[error("draw random bytes: {0}")]
    Random(io::Error),
}

/// Puts what all cells of a fleet share where they find it. Called once, by whoever holds the lock of the fleet.
///
/// # Errors
/// It cannot be written.
pub fn prepare(state: &State, config: &Config) -> Result<(), FitError> {
    if !config.agents.iter().any(|agent| matches!(agent.kind, AgentKind::Builtin(_))) {
        return Ok(());
    }
    // A copy, so that no cell holds a handle on the file that everything else runs from (cf. CVE-2019-5736); one for all,
    // so that they share its pages. Cells that still run an older one keep it.
    let program = state.program();
    let new = program.with_extension("new");
    let copied = std::fs::create_dir_all(state.inside()).and_then(|()| {
        std::fs::copy("/proc/self/exe", &new)?;
        std::fs::set_permissions(&new, Permissions::from_mode(0o555))?;
        std::fs::rename(&new, &program)
    });
    copied.map_err(|source| FitError::Place { path: program, source })
}

/// Makes the order for an agent's cell.
pub(crate) fn fit(plane: &Plane, agent: &Agent, mode: SandboxMode) -> Result<Fitted, FitError> {
    let models = plane.models.as_ref().and_then(|models| models.access(agent));
    let mut env = BTreeMap::new();
    if models.is_some() {
        env.extend(model_door::environment());
    }
    let mut spec = CellSpec {
        id: agent.id.clone(),
        mode,
        command: Vec::new(),
        rootfs: agent.rootfs.clone(),
        mounts: agent.mounts.clone(),
        env,
        workdir: agent.workdir.clone(),
        limits: agent.limits,
        host_services: host_services(&agent.allowed_networks),
        terminal: None,
        fittings: Fittings::default(),
    };
    let speech = match &agent.kind {
        AgentKind::Command(command) => {
            spec.command.clone_from(command);
            Speech::None
        }
        AgentKind::Builtin(builtin) => {
            let access = models.as_ref().ok_or(FitError::NoModel)?;
            places(plane, agent, &mut spec)?;
            builtin::fit(agent, builtin, access, &plane.state.program(), &mut spec)?;
            Speech::Builtin
        }
        AgentKind::OpenClaw { directory } => {
            places(plane, agent, &mut spec)?;
            let access = models.as_ref().ok_or(FitError::NoModel)?;
            openclaw::fit(plane, directory.as_deref(), access, &mut spec)?
        }
    };
    // What the configuration says has the last word.
    spec.env.extend(agent.env.clone());
    Ok(Fitted { order: Order { spec, rules: policies::rules(agent, models) }, speech })
}

/// Makes the order for the cell of an agent that is not spoken to.
///
/// # Errors
/// There is no cell for it.
pub fn order(plane: &Plane, agent: &Agent, mode: SandboxMode) -> Result<Order, FitError> {
    fit(plane, agent, mode).map(|fitted| fitted.order)
}

/// Gives the agent its own `/workspace` and `/data`, where the configuration mounts nothing there.
fn places(plane: &Plane, agent: &Agent, spec: &mut CellSpec) -> Result<(), FitError> {
    for (name, target) in [("workspace", WORKSPACE), ("data", DATA)] {
        if spec.mounts.iter().any(|mount| mount.target == Path::new(target)) {
            continue;
        }
        let source = plane.state.agent(agent.id.as_str()).join(name);
        std::fs::create_dir_all(&source).map_err(|error| FitError::Place { path: source.clone(), source: error })?;
        spec.fittings.places.push(Mount { source, target: target.into(), mode: MountMode::Rw });
    }
    Ok(())
}

/// Random text that nobody guesses, in hex.
pub(crate) fn token() -> Result<String, FitError> {
    let mut bytes = [0; 24];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| FitError::Random(error.into()))?;
    Ok(nanoclaw_vault::digest::hex(&bytes))
}
