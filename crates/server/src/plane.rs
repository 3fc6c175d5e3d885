//! What every part of the control plane shares.

use std::sync::Arc;

use nanoclaw_audit::Recorder;
use nanoclaw_llm::Models;

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
}
