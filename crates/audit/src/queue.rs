//! The bounded queue between the doors and the thread that writes.
//!
//! The thread takes everything that is queued, writes it as one batch, and only then makes room: so memory is bounded,
//! a slow disk slows the doors down, and what arrives during one `fdatasync` shares the next.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, oneshot, watch};

use crate::AuditError;
use crate::flood::{Flood, Tallies};
use crate::log::Log;
use crate::record::Record;

/// Records that may wait. A record is at most some 20 KiB, so this bounds the queue to some 20 MiB.
pub(crate) const CAPACITY: usize = 1024;

/// How long a record that nobody waits for may wait for others to share its batch.
const GATHER: Duration = Duration::from_millis(5);
/// So many records are a batch in any case.
const BATCH: usize = 256;

/// Told when the batch is on disk.
pub(crate) type Ack = oneshot::Sender<Result<(), AuditError>>;

/// One record on its way to the disk.
pub(crate) struct Entry {
    pub record: Record,
    /// Where the record's sequence number is wanted.
    pub seq: Option<Arc<AtomicU64>>,
    /// The number of the record that this one belongs to.
    pub request: Option<Arc<AtomicU64>>,
    pub ack: Option<Ack>,
}

struct State {
    entries: Vec<Entry>,
    /// When the first of these was queued.
    since: Instant,
    flushes: Vec<Ack>,
    tallies: Tallies,
    /// The error that closed the doors.
    failed: Option<AuditError>,
    closing: bool,
}

/// Shared by the doors and the writer.
pub(crate) struct Queue {
    state: Mutex<State>,
    /// Signalled when there is something to do.
    work: Condvar,
    /// One permit for each record that may still be queued; closed on failure.
    room: Semaphore,
    /// The last record that is on disk.
    pub(crate) written: watch::Sender<u64>,
}

struct Work {
    entries: Vec<Entry>,
    folds: Vec<Record>,
    flushes: Vec<Ack>,
}

impl Queue {
    pub(crate) fn new(flood: Flood) -> Self {
        Self {
            state: Mutex::new(State {
                entries: Vec::new(),
                since: Instant::now(),
                flushes: Vec::new(),
                tallies: Tallies::new(flood),
                failed: None,
                closing: false,
            }),
            work: Condvar::new(),
            room: Semaphore::new(CAPACITY),
            written: watch::Sender::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the doors are closed, if they are.
    pub(crate) fn failed(&self) -> Option<AuditError> {
        self.state().failed.clone()
    }

    /// Why the doors are closed.
    pub(crate) fn failure(&self) -> AuditError {
        self.state().failed.clone().unwrap_or(AuditError::Stopped)
    }

    /// Counts the record without writing it.
    pub(crate) fn count(&self, record: &Record) -> Result<(), AuditError> {
        let mut state = self.state();
        if let Some(error) = &state.failed {
            return Err(error.clone());
        }
        state.tallies.admit(record, false, Instant::now());
        Ok(())
    }

    /// Counts the record and queues it, or folds it. Waits while the queue is full.
    pub(crate) async fn push(&self, entry: Entry, foldable: bool) -> Result<(), AuditError> {
        let Ok(room) = self.room.acquire().await else { return Err(self.failure()) };
        let mut state = self.state();
        if let Some(error) = &state.failed {
            return Err(error.clone());
        }
        let waited_for = state.tallies.due();
        if state.tallies.admit(&entry.record, foldable, Instant::now()) {
            room.forget();
            let (first, urgent) = (state.entries.is_empty(), entry.ack.is_some());
            if first {
                state.since = Instant::now();
            }
            state.entries.push(entry);
            if first || urgent || state.entries.len() == BATCH {
                self.work.notify_one();
            }
        } else if waited_for.is_none() {
            // The first that folds sets the writer's alarm.
            self.work.notify_one();
        }
        Ok(())
    }

    /// Asks to be told when all that is queued now, and all counts, are on disk.
    pub(crate) fn flush(&self, ack: Ack) -> Result<(), AuditError> {
        let mut state = self.state();
        if let Some(error) = &state.failed {
            return Err(error.clone());
        }
        state.flushes.push(ack);
        self.work.notify_one();
        Ok(())
    }

    /// Lets the writer finish what is queued, and end.
    pub(crate) fn close(&self) {
        self.state().closing = true;
        self.work.notify_one();
    }

    /// Reads the live counts.
    pub(crate) fn tallies<T>(&self, read: impl FnOnce(&Tallies) -> T) -> T {
        read(&self.state().tallies)
    }

    /// Waits for work; `None` when there will be no more.
    fn next(&self) -> Option<Work> {
        let mut state = self.state();
        loop {
            let now = Instant::now();
            let due = state.tallies.due();
            let unfold = state.closing || !state.flushes.is_empty() || due.is_some_and(|due| due <= now);
            let folds = if unfold { state.tallies.unfold() } else { Vec::new() };
            let gathered = state.since + GATHER;
            let urgent = state.closing
                || now >= gathered
                || state.entries.len() >= BATCH
                || state.entries.iter().any(|entry| entry.ack.is_some());
            if !state.entries.is_empty() && urgent || !state.flushes.is_empty() || !folds.is_empty() {
                let entries = std::mem::take(&mut state.entries);
                return Some(Work { entries, folds, flushes: std::mem::take(&mut state.flushes) });
            }
            if state.closing {
                return None;
            }
            let gathered = (!state.entries.is_empty()).then_some(gathered);
            state = match due.into_iter().chain(gathered).min() {
                Some(due) => {
                    let pause = due.saturating_duration_since(now);
                    self.work.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Closes the doors.
    pub(crate) fn fail(&self, error: AuditError) {
        let mut state = self.state();
        state.failed = Some(error);
        // Their acknowledgements are dropped with them, which wakes those who wait.
        state.entries.clear();
        state.flushes.clear();
        self.room.close();
    }
}

/// The writer: runs until the queue is closed or a write fails.
pub(crate) fn write_all(queue: &Queue, mut log: Log) {
    while let Some(mut work) = queue.next() {
        let records = work.entries.len();
        let mut acks = std::mem::take(&mut work.flushes);
        acks.extend(work.entries.iter_mut().filter_map(|entry| entry.ack.take()));
        let written = write(&mut log, work).map(|last| {
            if let Some(last) = last {
                queue.written.send_replace(last);
            }
        });
        if let Err(error) = &written {
            queue.fail(error.clone());
        }
        for ack in acks {
            // Nobody may be waiting any more.
            let _ = ack.send(written.clone());
        }
        if written.is_err() {
            return;
        }
        queue.room.add_permits(records);
    }
}

/// Gives the number of the last record that it has written, if any.
fn write(log: &mut Log, work: Work) -> Result<Option<u64>, AuditError> {
    if work.entries.is_empty() && work.folds.is_empty() {
        return Ok(None);
    }
    let mut batch = log.begin()?;
    let mut last = None;
    for entry in work.entries {
        let mut record = entry.record;
        record.request_seq = entry.request.map(|seq| seq.load(Ordering::Relaxed)).filter(|seq| *seq != 0);
        let seq = batch.push(record)?;
        last = Some(seq);
        if let Some(wanted) = entry.seq {
            wanted.store(seq, Ordering::Relaxed);
        }
    }
    for record in work.folds {
        last = Some(batch.push(record)?);
    }
    batch.finish()?;
    Ok(last)
}
