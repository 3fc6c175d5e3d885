//! The one way through a door: what was proposed is decided on, people are asked where policy says so, and the verdict is on
//! record before anything is done. What a cell reads on the way is remembered, since it decides what it may do next.
#![forbid(unsafe_code)]

mod agreement;
mod desk;
mod memory;
mod quarantine;

use std::sync::Arc;

use nanoclaw_audit::{AuditError, Fact, Note, Recorded, Recorder};
use nanoclaw_config::Label;
use nanoclaw_identity::{Caller, Declined, Proposal};
use nanoclaw_policy::{Engine, Verdict};
use nanoclaw_request::{Action, CellId, SessionId};
use tokio::sync::Mutex;

pub use agreement::Agreement;
use desk::Settled;
pub use desk::{Answer, Answered, Desk, DeskError, Ended, Person, Question};
pub use memory::Memory;
pub use quarantine::{Quarantine, QuarantineError, Shelf, State, Withheld, id as quarantine_id};

/// The gate of one run of one cell, which all of its doors share. Clones are the same gate.
#[derive(Clone)]
pub struct Gate {
    engine: Arc<Engine>,
    recorder: Recorder,
    desk: Desk,
    memory: Memory,
    quarantine: Quarantine,
    /// Held while something is read: whoever reads the same next waits until it is remembered.
    reading: Arc<Mutex<()>>,
}

impl Gate {
    /// A gate at which `engine` decides, people answer at `desk`, and `memory` keeps what was read.
    pub fn new(engine: Arc<Engine>, recorder: Recorder, desk: Desk, memory: Memory) -> Self {
        Self { engine, recorder, desk, memory, quarantine: Quarantine::none(), reading: Arc::default() }
    }

    /// The same, and what is withheld from models is kept in `quarantine`.
    #[must_use]
    pub fn with_quarantine(self, quarantine: Quarantine) -> Self {
        Self { quarantine, ..self }
    }

    /// What is withheld from models until a person decides.
    pub fn quarantine(&self) -> &Quarantine {
        &self.quarantine
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
        self.sees(&proposed).await?;
        let settled = match self.engine.judge(proposed) {
            Ok(verdict) => verdict.into(),
            Err(asked) => self.desk.settle(&self.engine, &self.recorder, *asked).await?,
        };
        self.conclude(settled).await
    }

    /// The same for a caller who may leave: when `gone` is ready while people are asked, the question is withdrawn, and there
    /// is nothing to act on (`None`). A decision that needs nobody is made whoever leaves. Nobody is asked what they `agreed` to
    /// already.
    ///
    /// # Errors
    /// As of [`Gate::pass`].
    pub async fn pass_unless(
        &self,
        proposed: Result<Proposal, Declined>,
        agreed: Option<&Agreement>,
        gone: impl Future<Output = ()>,
    ) -> Result<Option<Recorded>, AuditError> {
        self.sees(&proposed).await?;
        let settled = match self.engine.judge(proposed) {
            Ok(verdict) => verdict.into(),
            Err(asked) => match agreed.filter(|agreed| agreed.covers(&asked)) {
                Some(agreed) => self.engine.agreed(*asked, agreed.people().to_vec()).into(),
                None => tokio::select! {
                    // An answer that was taken counts, also in the last moment.
                    biased;
                    settled = self.desk.settle(&self.engine, &self.recorder, *asked) => settled?,
                    () = gone => return Ok(None),
                },
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
        self.sees(&proposed).await?;
        self.record(self.engine.decide(proposed)).await
    }

    /// What labelled places in the cell hold counts as read before anything is decided: nobody sees what its programs read.
    async fn sees(&self, proposed: &Result<Proposal, Declined>) -> Result<(), AuditError> {
        if let Some(label) = self.engine.label_of_places()
            && let Ok(proposal) = proposed
            && let Caller::Cell { id, session } = proposal.caller()
        {
            self.read(id, *session, label).await?;
        }
        Ok(())
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
        let reading = self.reading.lock().await;
        if self.holds(label) {
            return Ok(());
        }
        drop(reading);
        // By a task of its own: whoever reads may leave in the middle, and what it read must be remembered all the same.
        let (gate, cell) = (self.clone(), cell.clone());
        let remembered = tokio::spawn(async move {
            let _reading = gate.reading.lock().await;
            // A person may have all forgotten at the same time, but not what is read after that.
            while !gate.holds(label) {
                let risen = gate.engine.session().read(label).is_some();
                let kept = gate.memory.keep(gate.engine.session()).await?;
                if risen || kept {
                    let held = gate.engine.session().label();
                    gate.recorder.note(Note::of_cell(cell.clone(), session, Fact::LabelsRose(held))).await?;
                }
            }
            Ok(())
        });
        remembered.await.unwrap_or(Err(AuditError::Stopped))
    }

    /// Whether that is read already, and remembered.
    fn holds(&self, label: Label) -> bool {
        let held = self.engine.session().label();
        held.join(label) == held && self.memory.holds(label)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nanoclaw_audit::Options;
    use nanoclaw_config::{DataClass, Trust};

    use super::*;

    #[tokio::test]
    async fn what_is_read_is_remembered_though_the_reader_leaves() {
        let directory = tempfile::tempdir().unwrap();
        let recorder = Recorder::open(Options::new(directory.path().join("log"))).unwrap();
        let cell = CellId::parse("a").unwrap();
        let memory = Memory::at(directory.path().join("a.json"));
        let engine = Arc::new(Engine::new(cell.clone(), Vec::new()));
        let gate = Gate::new(engine, recorder, Desk::closed(), memory.clone());
        let label = Label::new(Trust::Untrusted, DataClass::Secret);
        let session = SessionId::from_random([0; 16]);
        tokio::select! {
            biased;
            _ = gate.read(&cell, session, label) => {}
            () = tokio::task::yield_now() => {}
        }
        let log = directory.path().join("log/audit.jsonl");
        while !std::fs::read_to_string(&log).unwrap_or_default().contains("labels_rose") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(memory.resume().unwrap().label(), label);
        assert_eq!(gate.engine().session().label(), label);
    }

    #[tokio::test]
    async fn what_the_disk_did_not_take_is_not_read_before_it_does() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let recorder = Recorder::open(Options::new(log.clone())).unwrap();
        let cell = CellId::parse("a").unwrap();
        let memory = Memory::at(directory.path().join("a.json"));
        let engine = Arc::new(Engine::new(cell.clone(), Vec::new()));
        let gate = || Gate::new(Arc::clone(&engine), recorder.clone(), Desk::closed(), memory.clone());
        let label = Label::new(Trust::Untrusted, DataClass::Secret);
        let session = SessionId::from_random([0; 16]);
        std::fs::create_dir(directory.path().join("a.new")).unwrap();
        // The next run of the cell shares the session.
        for gate in [gate(), gate()] {
            assert!(matches!(gate.read(&cell, session, label).await, Err(AuditError::Unremembered { .. })));
        }
        assert_eq!(engine.session().label(), label, "to be on the safe side");
        std::fs::remove_dir(directory.path().join("a.new")).unwrap();
        for _ in 0..2 {
            gate().read(&cell, session, label).await.unwrap();
        }
        assert_eq!(memory.resume().unwrap().label(), label);
        recorder.flush().await.unwrap();
        let log = std::fs::read_to_string(log.join("audit.jsonl")).unwrap();
        assert_eq!(log.matches("labels_rose").count(), 1, "{log}");
    }

    #[test]
    fn a_damaged_memory_is_named_and_nothing_begins_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        for damaged in ["", "{", r#"{"trust":"trusted"}"#, r#"{"trust":"trusted","data":"nothing"}"#, "null"] {
            std::fs::write(&path, damaged).unwrap();
            let error = Memory::at(path.clone()).resume().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{}` cannot be read: ", path.display())), "{damaged}: {error}");
        }
    }
}
