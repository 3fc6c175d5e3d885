//! Reading the configuration again while the fleet runs.
//!
//! What policy decides by is replaced as a whole, or not at all: a file with a mistake changes nothing. It is on record
//! before it is in force. What a running cell is made of cannot be changed; it is named, and waits for the next start.

mod later;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nanoclaw_audit::{AuditError, Fact, Note, Outcome, Recorded, Ticket};
use nanoclaw_config::{Approvals, Config, LoadError};
use nanoclaw_identity::identify_operator;
use nanoclaw_llm::PriceError;
use nanoclaw_policy::{Comparison, Generation};
use nanoclaw_request::{Action, Arrived, CellId, Door, IdError, Manage, Refusal, RefusalCode, Stage};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

pub use later::{Later, of as waiting};

use crate::firewall::{self, FirewallError};
use crate::plane::Plane;
use crate::policies::{self, PoliciesError};

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The file cannot be read, or is wrong.
    #[error(transparent)]
    Config(#[from] LoadError),
    /// A file with policies cannot be read, or is wrong.
    #[error("error: {0}")]
    Policies(#[from] PoliciesError),
    /// There is no such firewall.
    #[error("error: {0}")]
    Firewall(#[from] FirewallError),
    /// So is the file with prices.
    #[error("error: {0}")]
    Prices(#[from] PriceError),
    /// No agent is left.
    #[error("error: `{}` has no `agents`; `nanoclaw down` stops the fleet", .0.display())]
    NoAgents(PathBuf),
    /// It cannot be recorded.
    #[error("it cannot be recorded, so it is not in force: {0}")]
    Unrecordable(#[from] AuditError),
    /// The work was cut off.
    #[error("it was not read to its end: {0}")]
    CutOff(#[from] tokio::task::JoinError),
    /// There is no room to do it in.
    #[error("it cannot be read: {0}")]
    NoRoom(#[from] io::Error),
}

/// What a reload did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// The number of the generation that is in force.
    pub generation: u64,
    /// SHA-256 of all that it decides by, in hex.
    pub digest: String,
    /// What whoever wrote the configuration should know.
    pub notices: Vec<String>,
    /// What differs from before.
    pub comparison: Comparison,
    /// What differs from the running fleet and waits for its next start.
    pub later: Vec<Later>,
    /// Agents that the configuration has no more. Their cells run, and have lost every rule.
    pub removed: Vec<String>,
    /// Agents that it has now, and that do not run.
    pub added: Vec<String>,
}

/// The configuration of a running fleet. Clones are the same.
#[derive(Clone)]
pub struct Reload {
    plane: Plane,
    path: Arc<PathBuf>,
    started: Arc<Config>,
    /// One at a time. How people approve now.
    turn: Arc<Mutex<Approvals>>,
}

/// A configuration that is ready to be put in force.
struct Ready {
    next: Generation,
    approvals: Approvals,
    reloaded: Reloaded,
}

impl Reload {
    /// A fleet that was started with what stood in the file `path`.
    pub fn new(plane: Plane, path: PathBuf, started: Config) -> Self {
        let turn = Arc::new(Mutex::new(started.approvals));
        Self { plane, path: Arc::new(path), started: Arc::new(started), turn }
    }

    async fn ready(&self, approvals: Approvals) -> Result<Ready, ReloadError> {
        let (path, started) = (Arc::clone(&self.path), Arc::clone(&self.started));
        let current = self.plane.policies.current();
        let ready = move || policies::deep(|| ready(&path, &started, &current, approvals));
        tokio::task::spawn_blocking(ready).await??
    }

    /// Reads the file again and puts it in force.
    ///
    /// # Errors
    /// Nothing has changed.
    pub async fn again(&self) -> Result<Reloaded, ReloadError> {
        let mut in_force = self.turn.lock().await;
        let Ready { next, approvals, mut reloaded } = self.ready(*in_force).await?;
        let Reloaded { generation, digest, comparison, .. } = &reloaded;
        let (more, less) = (comparison.newly_allowed().count(), comparison.newly_refused().count());
        let found = format!("of {} questions asked, {more} are newly allowed, {less} newly refused", comparison.asked);
        let fact = Fact::PolicyReloaded { generation: *generation, digest: digest.clone(), found };
        self.plane.recorder.note(Note::of_control(fact)).await?;
        self.plane.recorder.flush().await?;
        reloaded.generation = self.plane.policies.replace(next);
        self.plane.desk.set(approvals);
        *in_force = approvals;
        Ok(reloaded)
    }

    /// Reads the file again and says what it would change. Nothing is in force of it.
    ///
    /// # Errors
    /// It is wrong.
    pub async fn tried(&self) -> Result<Reloaded, ReloadError> {
        let in_force = self.turn.lock().await;
        Ok(self.ready(*in_force).await?.reloaded)
    }

    /// What whoever holds this ticket is allowed: to reload. The outcome is recorded.
    ///
    /// # Errors
    /// The outcome cannot be recorded.
    pub async fn carry_out(&self, ticket: Ticket) -> Result<Result<Reloaded, ReloadError>, AuditError> {
        let done = self.again().await;
        self.told(ticket, done).await
    }

    /// What whoever holds this ticket is allowed: to see what a reload would change. The outcome is recorded.
    ///
    /// # Errors
    /// The outcome cannot be recorded.
    pub async fn rehearse(&self, ticket: Ticket) -> Result<Result<Reloaded, ReloadError>, AuditError> {
        let done = self.tried().await;
        self.told(ticket, done).await
    }

    async fn told(
        &self,
        ticket: Ticket,
        done: Result<Reloaded, ReloadError>,
    ) -> Result<Result<Reloaded, ReloadError>, AuditError> {
        let outcome = match &done {
            Ok(_) => Outcome::default(),
            Err(error) => Outcome::failed(Refusal {
                stage: Stage::Act,
                code: RefusalCode::Malformed,
                reason: error.to_string(),
                help: "nothing has changed; `nanoclaw config check` says the same".to_owned(),
            }),
        };
        self.plane.recorder.outcome(ticket, outcome).await?;
        Ok(done)
    }

    /// The same for a signal, which only this process's own user and root can send.
    ///
    /// # Errors
    /// It cannot be recorded, so nothing has changed.
    pub async fn signalled(&self) -> Result<Result<Reloaded, String>, AuditError> {
        let uid = rustix::process::geteuid().as_raw();
        let identified = match identify_operator(Arrived::now(Door::Control, ()), uid, uid) {
            Ok(identified) => identified,
            Err(refusal) => return Ok(Err(refusal.to_string())),
        };
        let engine = match CellId::parse("control").map_err(|error: IdError| error.to_string()) {
            Ok(id) => self.plane.engine(id),
            Err(error) => return Ok(Err(error)),
        };
        let verdict = engine.decide(identified.propose(|()| Ok(Action::Manage(Manage::Reload))));
        match self.plane.recorder.record(verdict).await? {
            Recorded::Proceed(warrant) => {
                Ok(self.carry_out(warrant.spend().1).await?.map_err(|error| error.to_string()))
            }
            Recorded::Stop(declined) => Ok(Err(declined.refusal().to_string())),
        }
    }
}

/// Reads and checks everything that `config check` does.
fn ready(path: &Path, started: &Config, current: &Generation, approvals: Approvals) -> Result<Ready, ReloadError> {
    let loaded = nanoclaw_config::load(path)?;
    let config = loaded.config;
    if config.agents.is_empty() {
        return Err(ReloadError::NoAgents(path.to_path_buf()));
    }
    let unpriced = nanoclaw_llm::unpriced(&config)?;
    let written = policies::read(&config)?;
    let firewall = firewall::of(&config)?;
    let next = policies::generation_beside(&config, written, started).with_firewall(firewall).after(current);
    // Calls go where they went when the fleet was started.
    let mut comparison = policies::compare((started, current), (started, &next));
    comparison.settings.extend(policies::approvals(approvals, config.approvals).0);
    if current.firewall().text() != next.firewall().text() {
        comparison.settings.push("prompt_filters, firewall: texts are judged by other rules than before".to_owned());
    }
    let place = |notice: &nanoclaw_config::Notice| {
        format!("line {}, column {}: {}", notice.line, notice.column, notice.message)
    };
    let of_policies = policies::notices(&config, next.written());
    let notices = loaded.notices.iter().map(place).chain(unpriced).chain(of_policies).collect();
    let (later, removed, added) = later::of(started, &config);
    let (generation, digest) = (current.number() + 1, policies::digest(&next));
    let reloaded = Reloaded { generation, digest, notices, comparison, later, removed, added };
    Ok(Ready { next, approvals: config.approvals, reloaded })
}
