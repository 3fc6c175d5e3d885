//! Where the records of the audit log go besides the log: files, syslog, Elasticsearch, Loki, collectors of OpenTelemetry.
//!
//! Each sink reads the log by itself, on a thread of its own, and remembers on disk how far it has come. A sink that is
//! down holds up nothing but itself, and takes no memory: what it has not got yet is in the log. It gets every record at
//! least once and in order, and none that no signed checkpoint covers: whoever holds a record from a sink can ask for the
//! proof of it. What a sink refuses for good stands in a file beside the memory, with the reason.
//!
//! Each kind is one file below `target`, and says what counts as having been delivered there.
#![forbid(unsafe_code)]

mod drive;
mod http;
mod place;
mod record;
mod target;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nanoclaw_audit::Recorder;
use nanoclaw_config::Sink;
use nanoclaw_vault::tls::TlsError;
use nanoclaw_vault::{FileError, SecretError};
use tokio::sync::watch;

use crate::drive::Drive;
use crate::place::Place;
use crate::target::Target;

/// How often it is looked whether the last records have been delivered.
const LOOK: Duration = Duration::from_millis(20);

/// A sink that cannot be begun with.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// Its secret cannot be had.
    #[error("sink `{sink}` has no secret: {error}")]
    Secret {
        /// Its name.
        sink: String,
        /// Why.
        error: SecretError,
    },
    /// TLS cannot be set up for it.
    #[error("sink `{sink}`: {error}")]
    Tls {
        /// Its name.
        sink: String,
        /// Why.
        error: TlsError,
    },
    /// Its address is none.
    #[error("sink `{sink}`: `{url}` cannot be used as an address")]
    Address {
        /// Its name.
        sink: String,
        /// What should be one.
        url: String,
    },
    /// How far it has come cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// What should say how far it has come says something else.
    #[error(
        "`{0}` does not say how far a sink has come; put back the one that was there, or remove it to send all records again"
    )]
    Position(PathBuf),
    /// The log has fewer records than the sink was sent.
    #[error(
        "sink `{sink}` was sent {sent} records, and the checkpoint of the log counts {sealed}: the log was rolled back or is another one; put the right one back, or remove `{position}` to begin again with this one"
    )]
    RolledBack {
        /// Its name.
        sink: String,
        /// How many it was sent.
        sent: u64,
        /// How many there are.
        sealed: u64,
        /// The file that says so.
        position: PathBuf,
    },
    /// No thread for it.
    #[error("sink `{sink}` cannot be started: {error}")]
    Thread {
        /// Its name.
        sink: String,
        /// Why.
        error: std::io::Error,
    },
}

/// How a sink is doing. What counts since the start begins at 0 with each process.
#[derive(Debug)]
pub struct Progress {
    /// Its name.
    pub name: String,
    /// What it is, as in the configuration.
    pub kind: &'static str,
    delivered: AtomicU64,
    rejected: AtomicU64,
    failures: AtomicU64,
    reached: AtomicBool,
}

impl Progress {
    fn new(sink: &Sink, delivered: u64) -> Arc<Self> {
        Arc::new(Self {
            name: sink.name.clone(),
            kind: sink.kind.name(),
            delivered: AtomicU64::new(delivered),
            rejected: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            reached: AtomicBool::new(true),
        })
    }

    /// The last record that it has, or has refused for good; 0 before the first.
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Records that it has refused for good, since the start.
    pub fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }

    /// Attempts that have failed and are made again, since the start.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Whether the last attempt succeeded.
    pub fn is_reached(&self) -> bool {
        self.reached.load(Ordering::Relaxed)
    }
}

/// The sinks of one log. Dropping it ends them; what they have not delivered is delivered after the next start.
pub struct Sinks {
    running: Vec<(Arc<Progress>, JoinHandle<()>)>,
    ending: watch::Sender<bool>,
}

impl Sinks {
    /// Starts them: the log of `recorder` lies in `log`, and how far each has come below `state`. `say` is told what is in
    /// the log as well: when a sink is not reached, reached again, or refuses something.
    ///
    /// # Errors
    /// A secret, certificate or file is not there or not right. Whether anybody answers is not asked.
    pub fn start(
        sinks: &[Sink],
        recorder: &Recorder,
        log: &Path,
        state: &Path,
        say: fn(&str),
    ) -> Result<Self, SinkError> {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let sealed = record::sealed(log);
        let mut drives = Vec::new();
        for sink in sinks {
            let place = Place::open(state, &sink.name)?;
            let sent = place.position()?;
            if sent > sealed {
                let position = place.position_file();
                return Err(SinkError::RolledBack { sink: sink.name.clone(), sent, sealed, position });
            }
            let target = Target::new(sink, &host)?;
            let progress = Progress::new(sink, sent);
            let (format, host) = (sink.format, host.clone());
            let log = log.to_owned();
            drives.push(Drive { log, place, target, progress, format, host, recorder: recorder.clone(), say });
        }
        let mut running = Vec::new();
        let ending = watch::Sender::new(false);
        for drive in drives {
            let progress = Arc::clone(&drive.progress);
            let ended = ending.subscribe();
            let thread = std::thread::Builder::new().name(format!("sink-{}", progress.name));
            let thread = thread
                .spawn(move || drive.run(ended))
                .map_err(|error| SinkError::Thread { sink: progress.name.clone(), error })?;
            running.push((progress, thread));
        }
        Ok(Self { running, ending })
    }

    /// How each is doing.
    pub fn progress(&self) -> Vec<Arc<Progress>> {
        self.running.iter().map(|(progress, _)| Arc::clone(progress)).collect()
    }

    /// Waits until those that answer have got record `last`, for `most` at the longest, and ends them all.
    pub fn finish(self, last: u64, most: Duration) {
        let until = Instant::now() + most;
        let waits = |progress: &Progress| progress.is_reached() && progress.delivered() < last;
        while self.running.iter().any(|(progress, _)| waits(progress)) && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Sinks {
    fn drop(&mut self) {
        self.ending.send_replace(true);
        for (_, thread) in self.running.drain(..) {
            // It ends with an error only if it panicked; then the next start goes on where it was.
            let _ = thread.join();
        }
    }
}
