//! One sink's thread: reads what is sealed, delivers it, remembers how far it has come, and tries again.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nanoclaw_audit::{Fact, Filter, Note, ReadError, Reader, Recorder};
use nanoclaw_config::RecordFormat;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::Progress;
use crate::place::Place;
use crate::record::{Record, sealed};
use crate::target::{Delivery, Target};

/// How often it is looked for new records.
const POLL: Duration = Duration::from_millis(200);
/// The pause after a first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Most records in one delivery.
const MOST_RECORDS: usize = 500;
/// Most bytes in one delivery; one record may be longer.
const MOST_BYTES: usize = 1 << 20;

/// What one sink's thread works with.
pub(crate) struct Drive {
    pub(crate) log: PathBuf,
    pub(crate) place: Place,
    pub(crate) target: Target,
    pub(crate) progress: Arc<Progress>,
    pub(crate) format: RecordFormat,
    pub(crate) host: String,
    pub(crate) recorder: Recorder,
    pub(crate) say: fn(&str),
}

/// The thread is asked to end.
struct Ended;

impl Drive {
    /// Runs until `ended` says so.
    pub(crate) fn run(mut self, mut ended: watch::Receiver<bool>) {
        match Builder::new_current_thread().enable_all().build() {
            // However it came to its end.
            Ok(runtime) => drop(self.deliver_all(&runtime, &mut ended)),
            Err(error) => self.notice(&format!("gets nothing: {error}")),
        }
    }

    fn deliver_all(&mut self, runtime: &Runtime, ended: &mut watch::Receiver<bool>) -> Result<(), Ended> {
        let mut source = Source { reader: None, ahead: None };
        let mut waiting = VecDeque::new();
        let mut most = MOST_RECORDS;
        let mut pause = FIRST_PAUSE;
        loop {
            let failed = match self.fill(&mut source, &mut waiting) {
                Err(why) => Some(why),
                Ok(()) if waiting.is_empty() => {
                    rest(runtime, ended, POLL)?;
                    continue;
                }
                Ok(()) => {
                    let count = batch(waiting.make_contiguous(), most);
                    let records = waiting.make_contiguous().get(..count).unwrap_or_default();
                    let delivered = runtime.block_on(async {
                        tokio::select! {
                            delivered = self.target.deliver(records) => Ok(delivered),
                            _ = ended.wait_for(|ended| *ended) => Err(Ended),
                        }
                    });
                    match delivered? {
                        Ok(Delivery::TooMuch(_)) if count > 1 => {
                            most = count / 2;
                            continue;
                        }
                        Ok(Delivery::TooMuch(why)) => self.settle(records, &[(0, why)]).err(),
                        Ok(Delivery::Done(rejected)) => self.settle(records, &rejected).err(),
                        Err(why) => Some(why),
                    }
                    .or_else(|| {
                        waiting.drain(..count);
                        most = (most * 2).min(MOST_RECORDS);
                        None
                    })
                }
            };
            match failed {
                None => {
                    if !self.progress.reached.swap(true, Ordering::Relaxed) {
                        self.notice("is reached again");
                    }
                    pause = FIRST_PAUSE;
                }
                Some(why) => {
                    self.progress.failures.fetch_add(1, Ordering::Relaxed);
                    if self.progress.reached.swap(false, Ordering::Relaxed) {
                        self.notice(&format!("is not reached, and what it has not got waits in the log: {why}"));
                    }
                    rest(runtime, ended, pause)?;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Takes what is sealed, so much as one delivery holds.
    fn fill(&mut self, source: &mut Source, waiting: &mut VecDeque<Record>) -> Result<(), String> {
        if !waiting.is_empty() {
            return Ok(());
        }
        let sealed = sealed(&self.log);
        let mut bytes = 0;
        while waiting.len() < MOST_RECORDS && bytes < MOST_BYTES {
            let Some(line) = source.next(self, sealed)? else { break };
            match Record::read(line, self.format, &self.host) {
                Some(record) => {
                    bytes += record.line.len();
                    waiting.push_back(record);
                }
                None => self.notice("gets no record for a line of the log that is none; ask `nanoclaw audit verify`"),
            }
        }
        Ok(())
    }

    /// Remembers that these records are delivered, save those that were rejected, which are kept.
    fn settle(&self, records: &[Record], rejected: &[(usize, String)]) -> Result<(), String> {
        let Some(last) = records.last() else { return Ok(()) };
        let kept: Vec<_> = rejected.iter().filter_map(|(at, why)| Some((records.get(*at)?, why.as_str()))).collect();
        if let Some((first, why)) = kept.first() {
            self.place.reject(&kept)?;
            if self.progress.rejected.fetch_add(kept.len() as u64, Ordering::Relaxed) == 0 {
                self.notice(&format!("refuses record {}: {why}; such records are kept in `rejected.jsonl`", first.seq));
            }
        }
        self.place.advance(last.seq)?;
        self.progress.delivered.store(last.seq, Ordering::Relaxed);
        Ok(())
    }

    fn notice(&self, what: &str) {
        let text: String = what.chars().filter(|c| !c.is_control()).collect();
        let text = format!("sink `{}` {text}", self.progress.name);
        (self.say)(&text);
        // Where nothing can be recorded, nothing is allowed either, and others say so.
        let _ = self.recorder.note_blocking(Note::of_control(Fact::Notice(text)));
    }
}

/// Where the next record comes from.
struct Source {
    reader: Option<Reader>,
    /// One that was read and that no checkpoint counted then.
    ahead: Option<String>,
}

impl Source {
    /// The next record that is sealed.
    fn next(&mut self, drive: &Drive, sealed: u64) -> Result<Option<String>, String> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            None => match Reader::open_behind(&drive.log, Filter::default(), drive.progress.delivered()) {
                Ok(reader) => self.reader.insert(reader),
                Err(ReadError::Missing(_)) => return Ok(None),
                Err(error) => return Err(error.to_string()),
            },
        };
        if self.ahead.is_none() {
            self.ahead = match reader.next() {
                Some(Ok(line)) => Some(line),
                Some(Err(error @ ReadError::NotARecord { .. })) => {
                    drive.notice(&format!("goes on behind a line that is no record: {error}"));
                    None
                }
                Some(Err(error)) => {
                    self.reader = None;
                    return Err(error.to_string());
                }
                None => None,
            };
        }
        let seq = self.reader.as_ref().map_or(0, Reader::position);
        Ok(self.ahead.take_if(|_| seq <= sealed))
    }
}

/// How many of these records one delivery takes.
fn batch(records: &[Record], most: usize) -> usize {
    let mut bytes = 0;
    let fits = |record: &&Record| {
        bytes += record.line.len();
        bytes <= MOST_BYTES
    };
    records.iter().take(most).take_while(fits).count().max(1)
}

fn rest(runtime: &Runtime, ended: &mut watch::Receiver<bool>, pause: Duration) -> Result<(), Ended> {
    match runtime.block_on(async { timeout(pause, ended.wait_for(|ended| *ended)).await }) {
        Err(_) => Ok(()),
        Ok(_) => Err(Ended),
    }
}
