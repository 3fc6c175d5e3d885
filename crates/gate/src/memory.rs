//! What cells have read, on disk: an agent that is started again still has what it has.

use std::fmt::Display;
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
    /// What the file is known to say.
    on_disk: Mutex<Option<Label>>,
}

impl Memory {
    /// Nowhere: the cell ends with its only run.
    pub fn none() -> Self {
        Self(None)
    }

    /// In the file `path`.
    pub fn at(path: PathBuf) -> Self {
        Self(Some(Arc::new(Kept { path, writing: Mutex::default(), on_disk: Mutex::default() })))
    }

    /// The session as it was left.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else. The cell must not start: it may hold anything.
    pub fn resume(&self) -> io::Result<Session> {
        let Some(kept) = &self.0 else { return Ok(Session::default()) };
        let _alone = lock(&kept.writing);
        let unreadable =
            |error: &dyn Display| io::Error::other(format!("`{}` cannot be read: {error}", kept.path.display()));
        let label = match fs::read(&kept.path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| unreadable(&error))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => NOTHING_READ,
            Err(error) => return Err(unreadable(&error)),
        };
        *lock(&kept.on_disk) = Some(label);
        Ok(Session::resumed(label))
    }

    /// Forgets what the session has read, first on disk.
    ///
    /// # Errors
    /// The disk does not let go of it; the session has still read what it has.
    pub fn forget(&self, session: &Session) -> io::Result<()> {
        let Some(kept) = &self.0 else {
            session.reset();
            return Ok(());
        };
        let _alone = lock(&kept.writing);
        *lock(&kept.on_disk) = None;
        match fs::remove_file(&kept.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        fs::File::open(kept.path.parent().unwrap_or(Path::new("/")))?.sync_all()?;
        session.reset();
        *lock(&kept.on_disk) = Some(NOTHING_READ);
        Ok(())
    }

    /// When it was last kept; `None` where nothing is.
    pub fn since(&self) -> Option<SystemTime> {
        fs::metadata(&self.0.as_ref()?.path).and_then(|metadata| metadata.modified()).ok()
    }

    /// Whether what has this label is on disk, where anything is.
    pub(crate) fn holds(&self, label: Label) -> bool {
        self.0.as_ref().is_none_or(|kept| lock(&kept.on_disk).is_some_and(|kept| kept.join(label) == kept))
    }

    /// Keeps what the session has read. Gives whether it was not kept before.
    ///
    /// # Errors
    /// The disk does not take it.
    pub(crate) async fn keep(&self, session: &Arc<Session>) -> Result<bool, AuditError> {
        let Some(at) = self.0.clone() else { return Ok(false) };
        if self.holds(session.label()) {
            return Ok(false);
        }
        let (session, path) = (Arc::clone(session), at.path.clone());
        let written = tokio::task::spawn_blocking(move || {
            let _alone = lock(&at.writing);
            let label = session.label();
            *lock(&at.on_disk) = None;
            write(&at.path, label)?;
            *lock(&at.on_disk) = Some(label);
            Ok(())
        });
        let source = match written.await {
            Ok(Ok(())) => return Ok(true),
            Ok(Err(error)) => error,
            Err(error) => io::Error::other(error),
        };
        Err(AuditError::Unremembered { path, source: Arc::new(source) })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
