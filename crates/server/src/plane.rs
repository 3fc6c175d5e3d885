//! What every part of the control plane shares.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use nanoclaw_audit::Recorder;
use nanoclaw_config::{DataClass, Label, Trust};
use nanoclaw_firewall::Level;
use nanoclaw_gate::{Desk, Memory, Quarantine};
use nanoclaw_llm::Models;
use nanoclaw_policy::{Engine, Policies, Session};
use nanoclaw_request::CellId;
use nanoclaw_sinks::Progress;

use crate::Launcher;
use crate::providers::Providers;
use crate::state::State;
use crate::svid::Identities;

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
    /// Who cells are, where an authority vouches for them.
    pub identities: Identities,
    /// How those are doing who get the records of the audit log.
    pub sinks: Arc<[Arc<Progress>]>,
}

/// The sessions of cells, which last longer than their runs. Clones are the same.
#[derive(Clone, Default)]
pub struct Sessions {
    all: Arc<Mutex<BTreeMap<CellId, Known>>>,
    directory: Option<PathBuf>,
}

/// What is known of one session.
#[derive(Clone)]
struct Known {
    memory: Memory,
    quarantine: Quarantine,
    /// Once the cell has been started.
    session: Option<Arc<Session>>,
}

impl Sessions {
    /// Those whose labels are kept in `directory`, which is there. Others end with this process.
    pub fn kept(directory: PathBuf) -> Self {
        Self { all: Arc::default(), directory: Some(directory) }
    }

    fn known<T>(&self, cell: &CellId, with: impl FnOnce(&mut Known) -> T) -> T {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.entry(cell.clone()).or_insert_with(|| {
            let path = self.directory.as_ref().map(|directory| directory.join(format!("{cell}.json")));
            let apart = self.directory.as_ref().map(|directory| directory.join(format!("{cell}.withheld")));
            Known {
                memory: path.map_or_else(Memory::none, Memory::at),
                quarantine: apart.map_or_else(Quarantine::none, Quarantine::at),
                session: None,
            }
        });
        with(known)
    }

    /// Where the labels of a cell's session are kept.
    pub(crate) fn memory(&self, cell: &CellId) -> Memory {
        self.known(cell, |known| known.memory.clone())
    }

    /// What is withheld from a cell's model.
    pub(crate) fn quarantine(&self, cell: &CellId) -> Quarantine {
        self.known(cell, |known| known.quarantine.clone())
    }

    /// The session of a cell, as it was left.
    ///
    /// # Errors
    /// Nobody knows how it was left.
    pub(crate) fn of(&self, cell: &CellId) -> io::Result<Arc<Session>> {
        self.known(cell, |known| match &known.session {
            Some(session) => Ok(Arc::clone(session)),
            None => Ok(Arc::clone(known.session.insert(Arc::new(known.memory.resume()?)))),
        })
    }

    /// What a cell has read; what cannot be read of it counts as the worst.
    pub(crate) fn label(&self, cell: &CellId) -> Label {
        let worst = Label { suspicion: Level::Certain, ..Label::new(Trust::Untrusted, DataClass::Secret) };
        self.of(cell).map_or(worst, |session| session.label())
    }

    /// Since when it has read that.
    pub(crate) fn since(&self, cell: &CellId) -> Option<Timestamp> {
        self.memory(cell).since().and_then(|since| Timestamp::try_from(since).ok())
    }

    /// Forgets what a cell has read. A person decides that, and it is on record.
    ///
    /// # Errors
    /// The disk does not let go of it; nothing is forgotten.
    pub(crate) fn reset(&self, cell: &CellId) -> io::Result<()> {
        let Known { memory, session, .. } = self.known(cell, |known| known.clone());
        memory.forget(&session.unwrap_or_default())
    }
}

impl Plane {
    /// What decides about `cell` for those who steer it.
    pub(crate) fn engine(&self, cell: CellId) -> Engine {
        Engine::of(self.policies.clone(), cell, Arc::default())
    }
}
