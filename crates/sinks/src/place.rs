//! What a sink keeps on disk: how far it has come, and what was refused.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nanoclaw_vault::private;

use crate::SinkError;
use crate::record::Record;

/// Longest file that says how far a sink has come, in bytes: digits and the end of the line.
const LONGEST_POSITION: usize = 21;

/// The files of one sink.
#[derive(Debug)]
pub(crate) struct Place {
    directory: PathBuf,
}

impl Place {
    /// Those of the sink `name` below `state`, which nobody else may look into.
    pub(crate) fn open(state: &Path, name: &str) -> Result<Self, SinkError> {
        let directory = state.join(name);
        private::directory(&directory)?;
        let place = Self { directory };
        private::tidy(&place.position_file())?;
        Ok(place)
    }

    pub(crate) fn position_file(&self) -> PathBuf {
        self.directory.join("position")
    }

    /// The last record that was delivered; 0 before the first.
    pub(crate) fn position(&self) -> Result<u64, SinkError> {
        let path = self.position_file();
        let Some(bytes) = private::read(&path, LONGEST_POSITION)? else { return Ok(0) };
        let text = std::str::from_utf8(&bytes).ok().and_then(|text| text.strip_suffix('\n'));
        let digits = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|digits| digits.parse().ok()).ok_or(SinkError::Position(path))
    }

    /// Remembers it, on disk when this has returned.
    pub(crate) fn advance(&self, position: u64) -> Result<(), String> {
        let path = self.position_file();
        private::replace(&path, format!("{position}\n").as_bytes()).map_err(|error| error.to_string())
    }

    /// Keeps what a sink refused, each with its reason, on disk when this has returned.
    pub(crate) fn reject(&self, rejected: &[(&Record, &str)]) -> Result<(), String> {
        let path = self.directory.join("rejected.jsonl");
        let mut lines = Vec::new();
        for (record, reason) in rejected {
            // What it was to get is kept as a text: some refuse what they cannot parse.
            let line = serde_json::json!({ "seq": record.seq, "reason": reason, "record": record.line });
            lines.extend_from_slice(line.to_string().as_bytes());
            lines.push(b'\n');
        }
        let write = || {
            let flags = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
            let mut options = OpenOptions::new();
            let mut file = options.create(true).append(true).mode(0o600).custom_flags(flags).open(&path)?;
            file.write_all(&lines)?;
            file.sync_data()
        };
        write().map_err(|error: std::io::Error| format!("`{}`: {error}", path.display()))
    }
}
