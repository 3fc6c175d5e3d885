//! What every part of the control plane shares.

use std::sync::Arc;

use nanoclaw_audit::Recorder;
use nanoclaw_config::NetRule;
use nanoclaw_llm::Models;
use nanoclaw_policy::{Engine, Written};
use nanoclaw_request::CellId;

use crate::Launcher;
use crate::providers::Providers;
use crate::state::State;

/// The control plane of one process. Cheap to clone.
#[derive(Clone)]
pub struct Plane {
    /// Makes cells.
    pub launcher: Launcher,
    /// Writes everything down.
    pub recorder: Recorder,
    /// Where everything lies.
    pub state: Arc<State>,
    /// The models, where the configuration has some.
    pub models: Option<Models>,
    /// The cells of models on this machine.
    pub providers: Providers,
    /// The policies that stand in files of their own.
    pub policies: Arc<Written>,
}

impl Plane {
    /// What decides for `cell`, which may reach `networks`.
    pub(crate) fn engine(&self, cell: CellId, networks: Vec<NetRule>) -> Engine {
        Engine::new(cell, networks).with_policies(Arc::clone(&self.policies))
    }
}
