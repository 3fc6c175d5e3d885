//! The one way through a door: what was proposed is decided on, people are asked where policy says so, and the verdict is on
//! record before anything is done. What a cell reads on the way is remembered, since it decides what it may do next.
#![forbid(unsafe_code)]

mod desk;
mod memory;

use std::sync::Arc;

use nanoclaw_audit::{AuditError, Fact, Note, Recorded, Recorder};
use nanoclaw_config::Label;
use nanoclaw_identity::{Caller, Declined, Proposal};
use nanoclaw_policy::{Engine, Verdict};
use nanoclaw_request::{Action, CellId, SessionId};

pub use desk::Desk;
pub use memory::Memory;

/// The gate of one run of one cell, which all of its doors share. Clones are the same gate.
#[derive(Clone)]
pub struct Gate {
    engine: Arc<Engine>,
    recorder: Recorder,
    desk: Desk,
    memory: Memory,
}

impl Gate {
    /// A gate at which `engine` decides, people answer at `desk`, and `memory` keeps what was read.
    pub fn new(engine: Arc<Engine>, recorder: Recorder, desk: Desk, memory: Memory) -> Self {
        Self { engine, recorder, desk, memory }
    }

    /// What decides here.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// What writes everything down.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Decides, waits for people where policy says so, and records.
    ///
    /// # Errors
    /// It cannot be recorded. The door must close.
    pub async fn pass(&self, proposed: Result<Proposal, Declined>) -> Result<Recorded, AuditError> {
        let verdict = match self.engine.judge(proposed) {
            Ok(verdict) => verdict,
            Err(asked) => self.desk.settle(&self.engine, &self.recorder, *asked).await?,
        };
        self.record(verdict).await
    }

    /// The same for doors that cannot wait: what people would have to agree to is refused.
    ///
    /// # Errors
    /// As of [`Gate::pass`].
    pub async fn pass_at_once(&self, proposed: Result<Proposal, Declined>) -> Result<Recorded, AuditError> {
        self.record(self.engine.decide(proposed)).await
    }

    async fn record(&self, verdict: Verdict) -> Result<Recorded, AuditError> {
        if let Verdict::Allowed(permit) = &verdict
            && let (Caller::Cell { id, session }, Action::Connect(connect)) =
                (permit.proposal().caller(), permit.proposal().action())
        {
            // Before a byte of it comes.
            self.read(id, *session, self.engine.label_of_host(&connect.destination)).await?;
        }
        self.recorder.record(verdict).await
    }

    /// The cell reads something with this label. When this returns, it is remembered and on its way into the log.
    ///
    /// # Errors
    /// It cannot be recorded, or not be remembered. The door must close.
    pub async fn read(&self, cell: &CellId, session: SessionId, label: Label) -> Result<(), AuditError> {
        let Some(risen) = self.engine.session().read(label) else { return Ok(()) };
        self.memory.keep(self.engine.session()).await?;
        self.recorder.note(Note::of_cell(cell.clone(), session, Fact::LabelsRose(risen))).await
    }
}
