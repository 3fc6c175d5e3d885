//! What cells have read, on disk: an agent that is started again still has what it has.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nanoclaw_audit::AuditError;
use nanoclaw_config::Label;
use nanoclaw_policy::{NOTHING_READ, Session};

/// Where the labels of one cell's session are kept.
#[derive(Clone, Debug)]
pub struct Memory(Option<Arc<PathBuf>>);

impl Memory {
    /// Nowhere: the cell ends with its only run.
    pub fn none() -> Self {
        Self(None)
    }

    /// In the file `path`.
    pub fn at(path: PathBuf) -> Self {
        Self(Some(Arc::new(path)))
    }

    /// The session as it was left.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else. The cell must not start: it may hold anything.
    pub fn resume(&self) -> io::Result<Session> {
        let Some(path) = &self.0 else { return Ok(Session::default()) };
        match fs::read(path.as_path()) {
            Ok(bytes) => Ok(Session::resumed(serde_json::from_slice(&bytes).map_err(io::Error::other)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Session::resumed(NOTHING_READ)),
            Err(error) => Err(error),
        }
    }

    /// Keeps what the session has read.
    ///
    /// # Errors
    /// The disk does not take it.
    pub(crate) async fn keep(&self, session: &Arc<Session>) -> Result<(), AuditError> {
        let Some(path) = self.0.clone() else { return Ok(()) };
        let (session, at) = (Arc::clone(session), Arc::clone(&path));
        let kept = tokio::task::spawn_blocking(move || write(&at, session.label())).await;
        let source = match kept {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(error) => io::Error::other(error),
        };
        Err(AuditError::Unremembered { path: path.to_path_buf(), source: Arc::new(source) })
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
