//! What can go wrong with the log. Every one of these closes the doors.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A record cannot be written, or the log cannot be trusted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AuditError {
    /// A file of the log cannot be opened or made.
    #[error("cannot open the audit log `{path}`: {source}; check that this user may write there")]
    Open {
        /// The file or directory.
        path: PathBuf,
        /// What the kernel said.
        source: Arc<io::Error>,
    },
    /// A file of the log is not one that NanoClaw made for itself.
    #[error("the audit log `{path}` {problem}; move it away or choose another state directory")]
    Untrusted {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A record was not written. The recorder stays failed.
    #[error(
        "the audit log `{path}` cannot be written: {source}; nothing is allowed without a record: \
         free space or repair the disk, then start nanoclaw again"
    )]
    Write {
        /// The directory of the log.
        path: PathBuf,
        /// What the kernel said.
        source: Arc<io::Error>,
    },
    /// What a cell has read cannot be remembered.
    #[error(
        "`{path}`, where it is kept what an agent has read, cannot be written: {source}; nothing is allowed until it can"
    )]
    Unremembered {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: Arc<io::Error>,
    },
    /// The tree over the log cannot go on, so what is recorded could be changed unseen. The recorder stays failed.
    #[error(
        "the audit log in `{path}` cannot be sealed: {source}; nothing is allowed without a sealed record: \
         `nanoclaw audit verify` says what was changed, and a log that was moved away is begun anew"
    )]
    Tree {
        /// The directory of the log.
        path: PathBuf,
        /// What is wrong.
        source: Arc<crate::TreeError>,
    },
    /// The writer is gone.
    #[error("the audit writer has stopped; nothing is allowed without a record: start nanoclaw again")]
    Stopped,
}
