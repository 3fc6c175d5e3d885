//! Bodies of calls, kept apart from the audit log where the configuration asks for it. A body is one file, named by its
//! SHA-256, which stands in the log: so it can be erased without the log losing its proof.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use nanoclaw_dialect::sse::Parser;
use nanoclaw_request::Refusal;

use crate::inspect::Pipeline;

/// Bytes of a stream that are searched at once.
const PIECE: usize = 64 * 1024;

/// Makes the directory, mode 0700.
pub(crate) fn prepare(directory: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Whether a key stands in a stream of events as it came: also where nobody reads it, such as behind the last event.
pub(crate) fn stream_holds_key(pipeline: &Pipeline, stream: &[u8]) -> bool {
    let mut parser = Parser::default();
    let mut pieces = stream.chunks(PIECE);
    // What is no event ends the answer, so that little follows it.
    let in_events = pieces.any(|piece| {
        parser.push(piece).is_ok()
            && std::iter::from_fn(|| parser.next()).any(|event| pipeline.finds_in_json(&event.data))
    });
    in_events || pipeline.finds_in_json(&String::from_utf8_lossy(stream))
}

/// What the record of a call says whose answer is not kept, as a key stands in it.
pub(crate) fn not_kept(pipeline: &Pipeline) -> Refusal {
    let leak = pipeline.leak();
    Refusal { reason: format!("{}, so its body is not kept", leak.reason), ..leak }
}

/// Keeps a body whose digest is `digest`. The same body is kept once, and under its name stands nothing but all of it.
pub(crate) async fn keep(directory: &Path, digest: &str, body: Bytes) -> io::Result<()> {
    static PARTS: AtomicU64 = AtomicU64::new(0);
    let part = directory.join(format!("{digest}.{}.part", PARTS.fetch_add(1, Ordering::Relaxed)));
    let path = directory.join(format!("{digest}.body"));
    let written = tokio::task::spawn_blocking(move || {
        if path.exists() {
            return Ok(());
        }
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        let kept = file.write_all(&body).and_then(|()| std::fs::rename(&part, &path));
        if kept.is_err() {
            // A part that cannot be removed either is found by its name.
            let _ = std::fs::remove_file(&part);
        }
        kept
    });
    written.await.map_err(io::Error::other)?
}
