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
use tokio::sync::Mutex;

use desk::Settled;
pub use desk::{Answer, Answered, Desk, DeskError, Ended, Question};
pub use memory::Memory;

/// The gate of one run of one cell, which all of its doors share. Clones are the same gate.
#[derive(Clone)]
pub struct Gate {
    engine: Arc<Engine>,
    recorder: Recorder,
    desk: Desk,
    memory: Memory,
    /// Held while something is read: whoever reads the same next waits until it is remembered.
    reading: Arc<Mutex<()>>,
}

impl Gate {
    /// A gate at which `engine` decides, people answer at `desk`, and `memory` keeps what was read.
    pub fn new(engine: Arc<Engine>, recorder: Recorder, desk: Desk, memory: Memory) -> Self {
        Self { engine, recorder, desk, memory, reading: Arc::default() }
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
        let settled = match self.engine.judge(proposed) {
            Ok(verdict) => verdict.into(),
            Err(asked) => self.desk.settle(&self.engine, &self.recorder, *asked).await?,
        };
        self.conclude(settled).await
    }

    /// The same for a caller who may leave: when `gone` is ready while people are asked, the question is withdrawn, and there
    /// is nothing to act on (`None`). A decision that needs nobody is made whoever leaves.
    ///
    /// # Errors
    /// As of [`Gate::pass`].
    pub async fn pass_unless(
        &self,
        proposed: Result<Proposal, Declined>,
        gone: impl Future<Output = ()>,
    ) -> Result<Option<Recorded>, AuditError> {
        let settled = match self.engine.judge(proposed) {
            Ok(verdict) => verdict.into(),
            Err(asked) => tokio::select! {
                // An answer that was taken counts, also in the last moment.
                biased;
                settled = self.desk.settle(&self.engine, &self.recorder, *asked) => settled?,
                () = gone => return Ok(None),
            },
        };
        self.conclude(settled).await.map(Some)
    }

    async fn conclude(&self, Settled { verdict, told }: Settled) -> Result<Recorded, AuditError> {
        Ok(match (self.record(verdict).await?, told) {
            (Recorded::Stop(declined), Some(told)) => Recorded::Stop(declined.telling(told)),
            (recorded, _) => recorded,
        })
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
            self.read(id, *session, self.engine.label_of_connection(connect)).await?;
        }
        self.recorder.record(verdict).await
    }

    /// The cell reads something with this label. When this returns, it is remembered and on its way into the log.
    ///
    /// # Errors
    /// It cannot be recorded, or not be remembered. The door must close.
    pub async fn read(&self, cell: &CellId, session: SessionId, label: Label) -> Result<(), AuditError> {
        let _reading = self.reading.lock().await;
        let Some(risen) = self.engine.session().read(label) else { return Ok(()) };
        self.memory.keep(self.engine.session()).await?;
        self.recorder.note(Note::of_cell(cell.clone(), session, Fact::LabelsRose(risen))).await
    }
}
