//! One file per command.

pub mod agent_inside;
pub mod api;
pub mod approvals;
pub mod ask;
pub mod audit;
pub mod chat;
pub mod config;
pub mod context;
pub mod doctor;
pub mod down;
pub mod elsewhere;
pub mod exec;
pub mod firewall;
pub mod labels;
pub mod logs;
pub mod openclaw;
pub mod people;
pub mod policy;
pub mod prove;
pub mod ps;
pub mod quarantine;
pub mod reload;
pub mod run;
pub mod stop;
pub mod up;

use std::path::Path;
use std::sync::Arc;

use nanoclaw_audit::{Fact, Note, Options, Recorder, TreeOptions};
use nanoclaw_config::{Labels, Loaded, Notice, RuleSet};
use nanoclaw_gate::Desk;
use nanoclaw_llm::{Models, SetUp};
use nanoclaw_policy::{Generation, Policies};
use nanoclaw_sandbox::LauncherHandle;
use nanoclaw_sandbox::cgroup::Support;
use nanoclaw_server::Launcher;
use nanoclaw_server::plane::{Plane, Sessions};
use nanoclaw_server::policies;
use nanoclaw_server::providers::Providers;
use nanoclaw_server::state::State;
use nanoclaw_server::svid::Identities;
use rustix::process::{Resource, Rlimit};

use crate::output::{self, Failure};

/// Runs `work` with a control plane, with models if `asks_models`. The launcher is forked first, while this process has one thread.
fn with_plane<T>(
    state: State,
    loaded: Option<&Loaded>,
    asks_models: bool,
    work: impl AsyncFnOnce(Plane) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let generation = match loaded.map(|loaded| &loaded.config) {
        Some(config) => Generation::new(policies::read(config)?, config.labels.clone(), config.rule_sets.clone())
            .with_firewall(nanoclaw_server::firewall::of(config)?),
        None => Generation::new(Arc::default(), Labels::default(), vec![RuleSet::SuspiciousAsks]),
    };
    let handle = LauncherHandle::fork(state.directory().to_path_buf())?;
    let mut notices: Vec<String> =
        loaded.map(|loaded| loaded.notices.iter().map(notice_text).collect()).unwrap_or_default();
    if let Support::None { why } = handle.cgroups() {
        notices.push(format!(
            "this host gives NanoClaw no control group ({why}): CPU is not limited, and memory is watched by NanoClaw instead of limited by the kernel"
        ));
    }
    let enabled = loaded.is_none_or(|loaded| loaded.config.audit_enabled);
    // A door with many connections needs many descriptors; cells have a limit of their own.
    let files = rustix::process::getrlimit(Resource::Nofile);
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files })?;
    let every = loaded.map_or(TreeOptions::EVERY, |loaded| loaded.config.audit.checkpoint_every);
    let recorder = Recorder::open(Options {
        enabled,
        tree: Some(TreeOptions { every, ..TreeOptions::new(state.audit_key()) }),
        ..Options::new(state.audit())
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let providers = Providers::default();
        let models = match loaded
            .map(|loaded| &loaded.config)
            .filter(|config| asks_models && !config.models.providers.is_empty())
        {
            Some(config) => {
                nanoclaw_vault::tls::self_check()?;
                notices.extend(nanoclaw_llm::unpriced(config)?);
                let set_up = SetUp { journal: state.budgets(), bodies: state.bodies(), dial: Some(providers.dial()) };
                Some(Models::new(config, set_up)?)
            }
            None => None,
        };
        notices.extend(models.as_ref().and_then(Models::notice).map(str::to_owned));
        let launcher = Launcher::new(handle)?;
        let plane = Plane {
            launcher,
            recorder: recorder.clone(),
            state: Arc::new(state),
            models,
            providers,
            policies: Policies::new(generation),
            desk: Desk::closed(),
            sessions: Sessions::default(),
            identities: Identities::default(),
            sinks: Arc::default(),
        };
        for notice in notices {
            output::notice(&notice);
            recorder.note(Note::of_control(Fact::Notice(notice))).await?;
        }
        let result = work(plane).await;
        recorder.flush().await?;
        result
    })
}

/// The state directory that was chosen, which is made where it is missing.
fn state(chosen: Option<&Path>) -> Result<State, Failure> {
    Ok(State::open(chosen)?)
}

/// The same, to steer the fleet that runs from it or to read its log: that of another user too, where root asks.
fn fleet(chosen: Option<&Path>) -> Result<State, Failure> {
    Ok(State::of_fleet(chosen)?)
}

/// A notice about a configuration, with its place.
fn notice_text(notice: &Notice) -> String {
    format!("line {}, column {}: {}", notice.line, notice.column, notice.message)
}
