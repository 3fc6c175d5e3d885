//! Bodies of calls, kept apart from the audit log where the configuration asks for it. A body is one file, named by its
//! SHA-256, which stands in the log: so it can be erased without the log losing its proof.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Makes the directory, mode 0700.
pub(crate) fn prepare(directory: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Keeps a body whose digest is `digest`. The same body is kept once.
pub(crate) async fn keep(directory: &Path, digest: &str, body: &[u8]) -> io::Result<()> {
    let path = directory.join(format!("{digest}.body"));
    let body = body.to_vec();
    let written = tokio::task::spawn_blocking(move || {
        match File::options().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(mut file) => file.write_all(&body),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    });
    written.await.map_err(io::Error::other)?
}
