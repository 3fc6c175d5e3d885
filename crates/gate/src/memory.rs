//! What cells have read, on disk: an agent that is started again still has what it has.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use nanoclaw_audit::AuditError;
use nanoclaw_config::Label;
use nanoclaw_policy::{NOTHING_READ, Session};

/// Where the labels of one cell's session are kept.
#[derive(Clone, Debug)]
pub struct Memory(Option<Arc<Kept>>);

#[derive(Debug)]
struct Kept {
    path: PathBuf,
    /// Whoever writes it or takes it away holds this, so that the file never says less than the session.
    writing: Mutex<()>,
}

impl Memory {
    /// Nowhere: the cell ends with its only run.
    pub fn none() -> Self {
        Self(None)
    }

    /// In the file `path`.
    pub fn at(path: PathBuf) -> Self {
        Self(Some(Arc::new(Kept { path, writing: Mutex::default() })))
    }

    /// The session as it was left.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else. The cell must not start: it may hold anything.
    pub fn resume(&self) -> io::Result<Session> {
        let Some(kept) = &self.0 else { return Ok(Session::default()) };
        match fs::read(&kept.path) {
            Ok(bytes) => Ok(Session::resumed(serde_json::from_slice(&bytes).map_err(io::Error::other)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Session::resumed(NOTHING_READ)),
            Err(error) => Err(error),
        }
    }

    /// Forgets what the session has read, first on disk.
    ///
    /// # Errors
    /// The disk does not let go of it; the session has still read what it has.
    pub fn forget(&self, session: &Session) -> io::Result<()> {
        if let Some(kept) = &self.0 {
            let _alone = kept.alone();
            match fs::remove_file(&kept.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            fs::File::open(kept.path.parent().unwrap_or(Path::new("/")))?.sync_all()?;
            session.reset();
        } else {
            session.reset();
        }
        Ok(())
    }

    /// When it was last kept; `None` where nothing is.
    pub fn since(&self) -> Option<SystemTime> {
        fs::metadata(&self.0.as_ref()?.path).and_then(|metadata| metadata.modified()).ok()
    }

    /// Keeps what the session has read.
    ///
    /// # Errors
    /// The disk does not take it.
    pub(crate) async fn keep(&self, session: &Arc<Session>) -> Result<(), AuditError> {
        let Some(at) = self.0.clone() else { return Ok(()) };
        let (session, path) = (Arc::clone(session), at.path.clone());
        let written = tokio::task::spawn_blocking(move || {
            let _alone = at.alone();
            write(&at.path, session.label())
        });
        let source = match written.await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(error) => io::Error::other(error),
        };
        Err(AuditError::Unremembered { path, source: Arc::new(source) })
    }
}

impl Kept {
    fn alone(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whole or not at all, and on disk.
fn write(path: &Path, label: Label) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = fs::File::create(&new)?;
    serde_json::to_writer(&mut file, &label)?;
    file.flush()?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    fs::File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}
