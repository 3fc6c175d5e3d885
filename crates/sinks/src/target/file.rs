//! A file with a record per line. Delivered is what is on disk. The file may be moved away between deliveries, as
//! `logrotate` does; then a new one begins.

use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use rustix::fs::OFlags;
use serde_json::Value;

use super::Delivery;
use crate::record::Record;

/// How much of the end of a file is looked at, in bytes: more than the longest line, an event of OCSF with its record.
const TAIL: u64 = 1 << 20;

pub(crate) struct File {
    path: PathBuf,
    /// Whether this process has looked at what an earlier one has left.
    known: bool,
}

impl File {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, known: false }
    }

    pub(crate) fn deliver(&mut self, records: &[Record]) -> Result<Delivery, String> {
        self.append(records).map_err(|error| format!("`{}`: {error}", self.path.display()))?;
        Ok(Delivery::Done(Vec::new()))
    }

    fn append(&mut self, records: &[Record]) -> io::Result<()> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
        let mut options = fs::OpenOptions::new();
        let mut file = options.create(true).read(true).append(true).mode(0o600).custom_flags(flags).open(&self.path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        // A delivery that was interrupted, by an error or a crash, has left a part of itself.
        let last = if self.known { 0 } else { mend(&mut file)? };
        self.known = false;
        let mut lines = Vec::new();
        for record in records.iter().filter(|record| record.seq > last) {
            lines.extend_from_slice(record.line.as_bytes());
            lines.push(b'\n');
        }
        file.write_all(&lines)?;
        file.sync_data()?;
        self.known = true;
        Ok(())
    }
}

/// Cuts off half a line at the end, and gives the number of the record in the last whole one, or 0.
fn mend(file: &mut fs::File) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    if whole == 0 && from > 0 {
        return Err(io::Error::other("its last line is too long to be a record, so it is not written to"));
    }
    if whole < tail.len() {
        file.set_len(from + whole as u64)?;
    }
    let lines = tail.get(..whole).unwrap_or_default();
    let last = lines.strip_suffix(b"\n").and_then(|lines| lines.rsplit(|byte| *byte == b'\n').next());
    let last: Option<Value> = last.and_then(|line| serde_json::from_slice(line).ok());
    let seq = |record: &Value| record.get("seq").or_else(|| record.get("unmapped")?.get("seq"))?.as_u64();
    Ok(last.as_ref().and_then(seq).unwrap_or(0))
}
