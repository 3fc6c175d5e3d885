//! What every part of the control plane shares.

use std::sync::Arc;

use nanoclaw_audit::Recorder;

use crate::Launcher;
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
}
