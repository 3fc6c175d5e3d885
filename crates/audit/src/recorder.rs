//! The recorder: verdicts in, warrants out.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;

use jiff::Timestamp;
use nanoclaw_identity::Declined;
use nanoclaw_policy::Verdict;
use nanoclaw_request::{Action, CellId};
use tokio::sync::{oneshot, watch};

use crate::AuditError;
use crate::blocking::wait_for;
use crate::flood::{Counters, Flood, RefusalCount};
use crate::log::Log;
use crate::note::{Note, Outcome};
use crate::queue::{Ack, Entry, Queue, write_all};
use crate::record::{Record, ResultKind, Severity, control};
use crate::tree::{self, Keeper, TreeOptions};
use crate::warrant::{Ticket, Warrant};

/// How to record.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the log is. Made with mode 0700 where it is missing; its files have mode 0600.
    pub dir: PathBuf,
    /// Whether to record at all. When not, that fact alone is recorded, and warrants are made without a record.
    pub enabled: bool,
    /// The length of a segment in bytes, beyond which the next one begins. A single longer record is a segment.
    pub segment_bytes: u64,
    /// How many like records are written one by one.
    pub flood: Flood,
    /// How the log is sealed; without this it is not, and changes to it cannot be seen.
    pub tree: Option<TreeOptions>,
}

impl Options {
    /// 64 MiB.
    pub const SEGMENT_BYTES: u64 = 64 << 20;

    /// Records everything in `dir`, in segments of 64 MiB.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, enabled: true, segment_bytes: Self::SEGMENT_BYTES, flood: Flood::default(), tree: None }
    }
}

/// What to do with a verdict that is on record.
#[must_use]
#[derive(Debug)]
pub enum Recorded {
    /// Act.
    Proceed(Warrant),
    /// Tell the caller why not.
    Stop(Declined),
}

/// The only maker of [`Warrant`]s. Clones share one writer and one set of counts.
///
/// Dropping the last clone waits until everything queued is on disk; a failure then goes unseen, so call
/// [`Recorder::flush`] first where that matters.
#[derive(Clone)]
pub struct Recorder {
    inner: Arc<Inner>,
}

struct Inner {
    queue: Arc<Queue>,
    enabled: bool,
    writer: Option<JoinHandle<()>>,
    /// Dropped behind the writer has ended.
    keeper: Option<Keeper>,
}

impl Recorder {
    /// Opens the log and starts the writer thread. Does not wait for the disk.
    pub fn open(options: Options) -> Result<Recorder, AuditError> {
        let log = Log::open(&options.dir, options.segment_bytes)?;
        if let Some(tree) = &options.tree {
            tree::check(&options.dir, tree)?;
        }
        let queue = Arc::new(Queue::new(options.flood));
        let writer = {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new().name("audit".to_owned()).spawn(move || write_all(&queue, log))
        };
        let writer = writer.map_err(|error| AuditError::Open { path: options.dir.clone(), source: Arc::new(error) })?;
        let keeper = options.tree.map(|tree| Keeper::start(options.dir, tree, Arc::clone(&queue))).transpose()?;
        let inner = Inner { queue, enabled: options.enabled, writer: Some(writer), keeper };
        let recorder = Recorder { inner: Arc::new(inner) };
        if !options.enabled {
            let record = Record {
                severity: Severity::High,
                detail: Some("audit_enabled is false: nothing that follows is recorded until it is true".to_owned()),
                ..Record::new(Timestamp::now(), control(), "audit_disabled", ResultKind::Noted)
            };
            wait_for(recorder.inner.queue.push(entry(record), false))?;
        }
        Ok(recorder)
    }

    /// Records a verdict. The record of an allowed consequential action is on disk when this returns; all others are
    /// queued in order, and wait only while the queue is full. If the future is dropped before it is ready, the record
    /// may exist without its warrant, never the other way round.
    ///
    /// # Errors
    /// The record could not be written, now or earlier. Nothing may be done.
    pub async fn record(&self, verdict: Verdict) -> Result<Recorded, AuditError> {
        match verdict {
            Verdict::Allowed(permit) => {
                let seq = Arc::new(AtomicU64::new(0));
                let record = Record::allowed(&permit);
                if permit.proposal().action().is_consequential() {
                    self.on_disk(|ack| Entry { seq: Some(Arc::clone(&seq)), ack: Some(ack), ..entry(record) }).await?;
                } else {
                    // Each agreement of people has a record of its own.
                    let foldable = permit.approved().is_empty();
                    self.queued(Entry { seq: Some(Arc::clone(&seq)), ..entry(record) }, foldable).await?;
                }
                Ok(Recorded::Proceed(Warrant { permit, seq }))
            }
            Verdict::Refused(declined) => {
                // Refused connections are as cheap to make as any system call; refused launches and commands are not.
                let foldable = match declined.proposal().action() {
                    Action::Launch(_) | Action::Manage(_) | Action::Approve(_) | Action::AuditRead(_) => false,
                    Action::Resolve(_)
                    | Action::Connect(_)
                    | Action::Http(_)
                    | Action::Datagram(_)
                    | Action::FileWrite(_)
                    | Action::Exec(_)
                    | Action::Syscall(_)
                    | Action::CallModel(_)
                    | Action::ToolCall(_) => true,
                };
                self.queued(entry(Record::denied(&declined)), foldable).await?;
                Ok(Recorded::Stop(declined))
            }
        }
    }

    /// Records what came of a warranted act. Queued.
    ///
    /// # Errors
    /// The log cannot be written.
    pub async fn outcome(&self, ticket: Ticket, outcome: Outcome) -> Result<(), AuditError> {
        let foldable = !ticket.permit.proposal().action().is_consequential();
        let record = outcome.record(&ticket.permit);
        self.queued(Entry { request: Some(ticket.seq), ..entry(record) }, foldable).await
    }

    /// Records a fact. Queued.
    ///
    /// # Errors
    /// The log cannot be written.
    pub async fn note(&self, note: Note) -> Result<(), AuditError> {
        let foldable = note.is_foldable();
        self.queued(entry(note.record()), foldable).await
    }

    /// Waits until everything queued before, and every count of folded records, is on disk.
    ///
    /// # Errors
    /// Some of it could not be written.
    pub async fn flush(&self) -> Result<(), AuditError> {
        let (ack, done) = oneshot::channel();
        self.inner.queue.flush(ack)?;
        done.await.unwrap_or_else(|_| Err(self.inner.queue.failure()))
    }

    /// [`Recorder::record`] for threads outside a runtime.
    ///
    /// # Errors
    /// As there.
    pub fn record_blocking(&self, verdict: Verdict) -> Result<Recorded, AuditError> {
        wait_for(self.record(verdict))
    }

    /// [`Recorder::outcome`] for threads outside a runtime.
    ///
    /// # Errors
    /// As there.
    pub fn outcome_blocking(&self, ticket: Ticket, outcome: Outcome) -> Result<(), AuditError> {
        wait_for(self.outcome(ticket, outcome))
    }

    /// [`Recorder::note`] for threads outside a runtime.
    ///
    /// # Errors
    /// As there.
    pub fn note_blocking(&self, note: Note) -> Result<(), AuditError> {
        wait_for(self.note(note))
    }

    /// [`Recorder::flush`] for threads outside a runtime.
    ///
    /// # Errors
    /// As there.
    pub fn flush_blocking(&self) -> Result<(), AuditError> {
        wait_for(self.flush())
    }

    /// The number of the last record of this recorder that is on disk, 0 before the first; it tells of each change.
    pub fn written(&self) -> watch::Receiver<u64> {
        self.inner.queue.written.subscribe()
    }

    /// How many records the newest checkpoint of this recorder counts, 0 before the first; it tells of each change.
    /// `None` where the log is not sealed.
    pub fn checkpoints(&self) -> Option<watch::Receiver<u64>> {
        self.inner.keeper.as_ref().map(|keeper| keeper.size.clone())
    }

    /// Why nothing can be recorded any more, and so nothing is allowed; `None` while it can.
    pub fn failure(&self) -> Option<AuditError> {
        self.inner.queue.failed()
    }

    /// How often a cell was allowed and refused something since this recorder was opened, folded records included.
    pub fn counters(&self, cell: &CellId) -> Counters {
        self.inner.queue.tallies(|tallies| tallies.counters(cell.as_str()))
    }

    /// What a cell was refused since this recorder was opened, in the order in which it was first tried.
    pub fn refusals(&self, cell: &CellId) -> Vec<RefusalCount> {
        self.inner.queue.tallies(|tallies| tallies.refusals(cell.as_str()))
    }

    async fn queued(&self, entry: Entry, foldable: bool) -> Result<(), AuditError> {
        if self.inner.enabled {
            self.inner.queue.push(entry, foldable).await
        } else {
            self.inner.queue.count(&entry.record)
        }
    }

    async fn on_disk(&self, entry: impl FnOnce(Ack) -> Entry) -> Result<(), AuditError> {
        let (ack, done) = oneshot::channel();
        self.queued(entry(ack), false).await?;
        if !self.inner.enabled {
            return Ok(());
        }
        done.await.unwrap_or_else(|_| Err(self.inner.queue.failure()))
    }
}

fn entry(record: Record) -> Entry {
    Entry { record, seq: None, request: None, ack: None }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(writer) = self.writer.take() {
            // It ends with an error only if it panicked, and then the doors are closed already.
            let _ = writer.join();
        }
        self.keeper = None;
    }
}
