//! What every part of the control plane shares.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use nanoclaw_audit::Recorder;
use nanoclaw_gate::{Desk, Memory};
use nanoclaw_llm::Models;
use nanoclaw_policy::{Engine, Policies, Session};
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
    /// The policies in force.
    pub policies: Policies,
    /// Where questions wait for people.
    pub desk: Desk,
    /// What cells have read.
    pub sessions: Sessions,
}

/// The sessions of cells, which last longer than their runs. Clones are the same.
#[derive(Clone, Default)]
pub struct Sessions {
    all: Arc<Mutex<BTreeMap<CellId, Arc<Session>>>>,
    directory: Option<PathBuf>,
}

impl Sessions {
    /// Those whose labels are kept in `directory`, which is there. Others end with this process.
    pub fn kept(directory: PathBuf) -> Self {
        Self { all: Arc::default(), directory: Some(directory) }
    }

    /// Where the labels of a cell's session are kept.
    pub(crate) fn memory(&self, cell: &CellId) -> Memory {
        let path = self.directory.as_ref().map(|directory| directory.join(format!("{cell}.json")));
        path.map_or_else(Memory::none, Memory::at)
    }

    /// The session of a cell, as it was left.
    ///
    /// # Errors
    /// Nobody knows how it was left.
    pub(crate) fn of(&self, cell: &CellId) -> io::Result<Arc<Session>> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = all.get(cell) {
            return Ok(Arc::clone(session));
        }
        let session = Arc::new(self.memory(cell).resume()?);
        all.insert(cell.clone(), Arc::clone(&session));
        Ok(session)
    }
}

impl Plane {
    /// What decides about `cell` for those who steer it.
    pub(crate) fn engine(&self, cell: CellId) -> Engine {
        Engine::of(self.policies.clone(), cell, Arc::default())
    }
}
