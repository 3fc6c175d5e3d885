//! What an agent keeps: sessions and memories, in one SQLite database in its data directory.
//!
//! Every entry of a session is a transaction of its own and is on disk before the loop goes on (`synchronous=FULL`), so
//! that a call which may have taken effect is known of after a crash, and is never silently made again. That costs one
//! flush of the disk for each entry, which is little beside the answer of a model.
//!
//! Calls block the thread for as long as the disk takes. There is one thread and few writes.

mod memory;
mod sessions;

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

pub(crate) use memory::Memory;
pub(crate) use sessions::{Session, SessionHead};

/// The database's name in the data directory.
pub(crate) const FILE: &str = "agent.db";

/// The form of the database, in `user_version`.
const VERSION: i64 = 1;

/// Memory that SQLite may use for pages, in KiB.
const CACHE_KIB: i64 = 1024;

/// A log (WAL) longer than this many bytes is cut after a checkpoint.
const LONGEST_WAL: i64 = 4 * 1024 * 1024;

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be opened.
    #[error("cannot open the database `{path}`: {cause}")]
    Open {
        /// Where it is.
        path: PathBuf,
        /// What SQLite says.
        cause: rusqlite::Error,
    },
    /// The directory cannot be made.
    #[error("cannot make the data directory `{path}`: {cause}")]
    Directory {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A newer NanoClaw has written it.
    #[error("the database is of version {0}, which this NanoClaw does not know; use the one that wrote it")]
    Newer(i64),
    /// It cannot be read or written.
    #[error("the database of the agent cannot be used: {0}")]
    Use(#[from] rusqlite::Error),
    /// An entry is not of a known form.
    #[error("the session `{session}` has an entry that cannot be read: {cause}")]
    Entry {
        /// Which session.
        session: String,
        /// What is wrong with it.
        cause: serde_json::Error,
    },
}

/// The open database.
#[derive(Debug)]
pub(crate) struct Store {
    db: Connection,
}

impl Store {
    /// Opens the database in `directory`; makes both where they are missing.
    pub(crate) fn open(directory: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(directory)
            .map_err(|cause| StoreError::Directory { path: directory.to_owned(), cause })?;
        let path = directory.join(FILE);
        let open = |cause| StoreError::Open { path: path.clone(), cause };
        let db = Connection::open(&path).map_err(open)?;
        db.pragma_update(None, "journal_mode", "WAL").map_err(open)?;
        db.pragma_update(None, "synchronous", "FULL").map_err(open)?;
        db.pragma_update(None, "cache_size", -CACHE_KIB).map_err(open)?;
        db.pragma_update(None, "journal_size_limit", LONGEST_WAL).map_err(open)?;
        db.busy_timeout(std::time::Duration::from_secs(5)).map_err(open)?;
        let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(open)?;
        match version {
            0 => {
                let step = db.unchecked_transaction()?;
                step.execute_batch(SCHEMA)?;
                step.pragma_update(None, "user_version", VERSION)?;
                step.commit()?;
            }
            VERSION => {}
            newer => return Err(StoreError::Newer(newer)),
        }
        Ok(Self { db })
    }
}

/// `entries.at`, `sessions.updated`, `memories.at`: seconds since 1970. `sessions.replaced`: how many entries the latest
/// summary stands for. `memory_words` finds memories by their words, as `memory` cuts them.
const SCHEMA: &str = "
    CREATE TABLE sessions (
        id TEXT PRIMARY KEY, title TEXT NOT NULL, updated INTEGER NOT NULL, entries INTEGER NOT NULL,
        replaced INTEGER NOT NULL, todo TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE entries (
        session TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (session, seq)
    ) WITHOUT ROWID;
    CREATE TABLE memories (id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, text TEXT NOT NULL);
    CREATE VIRTUAL TABLE memory_words
        USING fts5(words, content='', contentless_delete=1, tokenize='porter unicode61 remove_diacritics 2');
";

/// Now, in seconds since 1970.
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_of_a_newer_version_is_not_touched() {
        let directory = tempfile::tempdir().unwrap();
        drop(Store::open(directory.path()).unwrap());
        let db = Connection::open(directory.path().join(FILE)).unwrap();
        db.pragma_update(None, "user_version", 7).unwrap();
        assert!(matches!(Store::open(directory.path()), Err(StoreError::Newer(7))));
    }

    #[test]
    fn a_commit_is_flushed_and_the_log_is_written_ahead() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let mode: String = store.db.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
        let synchronous: i64 = store.db.query_row("PRAGMA synchronous", [], |row| row.get(0)).unwrap();
        assert_eq!((mode.as_str(), synchronous), ("wal", 2));
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let error = Store::open(Path::new("/proc/nothing-here/data")).unwrap_err().to_string();
        assert!(error.starts_with("cannot make the data directory `/proc/nothing-here/data`: "), "{error}");
    }
}
