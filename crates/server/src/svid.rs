//! The identities of cells: an X.509-SVID for each run of a cell of a fleet, held by the control plane, renewed in time and
//! revoked at the end. It never enters the cell: a door knows its cell by the socket that it owns.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use nanoclaw_audit::{AuditError, Fact, IdentityChange, Note, Recorder};
use nanoclaw_identity::StoreError;
use nanoclaw_identity::ca::{Authority, Rotation};
use nanoclaw_request::{CellId, SessionId};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::say;

/// Longest sleep before a look at the clock: it can be set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// The identities of all cells that run. Clones are the same; the default issues none.
#[derive(Clone, Default)]
pub struct Identities {
    authority: Option<Authority>,
    all: Arc<Mutex<BTreeMap<CellId, Rotation>>>,
}

/// What may be known of a cell's identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Shown {
    /// Who: `spiffe://nanoclaw/agent/ID`.
    spiffe_id: String,
    /// The number of the newest certificate.
    serial: String,
    /// Until when that is valid.
    not_after: Timestamp,
}

/// Why a cell has no identity.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    /// None can be issued.
    #[error("no certificate can be issued for it: {0}")]
    Store(#[from] StoreError),
    /// It cannot be recorded.
    #[error("its certificate cannot be recorded: {0}")]
    Audit(#[from] AuditError),
}

/// The identity of one run of a cell, until it ends. Dropped without [`Held::end`] it is not revoked, and valid for an
/// hour at most.
pub(crate) struct Held {
    identities: Identities,
    recorder: Recorder,
    id: CellId,
    session: SessionId,
    /// Renews it; ends with this.
    _renewal: JoinSet<()>,
}

impl Identities {
    /// Identities that `authority` vouches for.
    pub fn of(authority: Authority) -> Self {
        Self { authority: Some(authority), all: Arc::default() }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<CellId, Rotation>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The identity of a cell that runs.
    pub(crate) fn shown(&self, id: &CellId) -> Option<Shown> {
        self.all().get(id).map(|rotation| {
            let svid = rotation.svid();
            let (spiffe_id, serial) = (svid.spiffe_id.clone(), svid.serial.to_string());
            Shown { spiffe_id, serial, not_after: svid.not_after }
        })
    }

    /// Issues one for a run that begins; `None` where there is no authority.
    ///
    /// # Errors
    /// It cannot be issued or recorded.
    pub(crate) async fn begin(
        &self,
        recorder: &Recorder,
        id: &CellId,
        session: SessionId,
    ) -> Result<Option<Held>, IdentityError> {
        let Some(authority) = self.authority.clone() else { return Ok(None) };
        let rotation = Rotation::start(authority, id.clone(), Timestamp::now())?;
        self.all().insert(id.clone(), rotation);
        let mut held = Held {
            identities: self.clone(),
            recorder: recorder.clone(),
            id: id.clone(),
            session,
            _renewal: JoinSet::new(),
        };
        if let Err(error) = note(self, recorder, id, session, IdentityChange::Issued).await {
            self.all().remove(id);
            return Err(error.into());
        }
        held._renewal.spawn(renew(self.clone(), recorder.clone(), id.clone(), session));
        Ok(Some(held))
    }
}

impl Held {
    /// Revokes it: the cell has ended.
    pub(crate) async fn end(self) {
        let Self { identities, recorder, id, session, _renewal } = self;
        drop(_renewal);
        if let Err(error) = note(&identities, &recorder, &id, session, IdentityChange::Revoked).await {
            say(format_args!("the end of the identity of cell `{id}` cannot be recorded: {error}"));
        }
        let Some(rotation) = identities.all().remove(&id) else { return };
        let stopped = tokio::task::spawn_blocking(move || rotation.stop(Timestamp::now())).await;
        if let Ok(Err(error)) = stopped {
            say(format_args!("the certificate of cell `{id}` is not revoked and ends by itself: {error}"));
        }
    }
}

/// Renews the certificate of a cell whenever it is time.
async fn renew(identities: Identities, recorder: Recorder, id: CellId, session: SessionId) {
    loop {
        let Some(due) = identities.all().get(&id).map(Rotation::renew_at) else { return };
        let left = Duration::try_from(due.duration_since(Timestamp::now())).unwrap_or_default();
        if !left.is_zero() {
            sleep(left.min(LONGEST_SLEEP)).await;
            continue;
        }
        let renewed = match identities.all().get_mut(&id) {
            Some(rotation) => rotation.renew(Timestamp::now()),
            None => return,
        };
        let failed = match renewed {
            Ok(true) => match note(&identities, &recorder, &id, session, IdentityChange::Renewed).await {
                Ok(()) => continue,
                Err(error) => error.to_string(),
            },
            Ok(false) => continue,
            Err(error) => error.to_string(),
        };
        say(format_args!("the certificate of cell `{id}` is not renewed: {failed}"));
        sleep(LONGEST_SLEEP).await;
    }
}

async fn note(
    identities: &Identities,
    recorder: &Recorder,
    id: &CellId,
    session: SessionId,
    change: IdentityChange,
) -> Result<(), AuditError> {
    let Some(Shown { spiffe_id, serial, not_after }) = identities.shown(id) else { return Ok(()) };
    recorder.note(Note::of_cell(id.clone(), session, Fact::Identity { change, spiffe_id, serial, not_after })).await
}

#[cfg(test)]
mod tests {
    use nanoclaw_audit::Options;

    use super::*;

    fn actions(directory: &std::path::Path) -> Vec<String> {
        let log = std::fs::read_to_string(directory.join("audit.jsonl")).unwrap();
        let action = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["action"].to_string();
        log.lines().map(action).collect()
    }

    #[tokio::test]
    async fn an_identity_lasts_as_long_as_its_run() {
        let directory = tempfile::tempdir().unwrap();
        let audit = directory.path().join("audit");
        let recorder = Recorder::open(Options::new(audit.clone())).unwrap();
        let authority = Authority::open(&directory.path().join("ca"), Timestamp::now()).unwrap();
        let identities = Identities::of(authority.clone());
        let (id, session) = (CellId::parse("one").unwrap(), SessionId::from_random([7; 16]));
        let held = identities.begin(&recorder, &id, session).await.unwrap().unwrap();
        let shown = identities.shown(&id).unwrap();
        assert_eq!(shown.spiffe_id, "spiffe://nanoclaw/agent/one");
        let before = authority.crl_der();
        held.end().await;
        assert_eq!(identities.shown(&id), None);
        assert_ne!(authority.crl_der(), before, "it is revoked");
        recorder.flush().await.unwrap();
        assert_eq!(actions(&audit), ["\"identity_issued\"", "\"identity_revoked\""]);
    }

    #[tokio::test]
    async fn without_an_authority_there_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let recorder = Recorder::open(Options::new(directory.path().join("audit"))).unwrap();
        let (id, session) = (CellId::parse("one").unwrap(), SessionId::from_random([7; 16]));
        assert!(Identities::default().begin(&recorder, &id, session).await.unwrap().is_none());
    }
}
