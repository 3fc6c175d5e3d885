//! What a server may write into the agent's log.

use std::cell::Cell;

use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::log::{self, LONGEST_NOTE};

/// Most bytes of the log that a server may fill between two starts, with what it writes on its standard error and with
/// what is noted about it.
pub(crate) const MAX_LOG: usize = 64 * 1024;

/// The log of one server.
#[derive(Debug)]
pub(super) struct Journal {
    name: String,
    left: Cell<usize>,
}

impl Journal {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), left: Cell::new(MAX_LOG) }
    }

    /// The server is started, and may write again.
    pub(super) fn begin(&self) {
        self.left.set(MAX_LOG);
    }

    /// Writes a line, if there is room for it.
    pub(super) fn note(&self, text: &str) {
        let left = self.left.get();
        if left == 0 {
            return;
        }
        let text = text.get(..crate::tools::floor(text, LONGEST_NOTE)).unwrap_or_default();
        let rest = left.checked_sub(text.len() + 1);
        self.left.set(rest.unwrap_or(0));
        match rest {
            Some(_) => log::note(&format!("mcp {}: {text}", self.name)),
            None => log::note(&format!("mcp {}: further lines are left out", self.name)),
        }
    }

    /// Writes what comes, line by line, until nothing more comes.
    pub(super) async fn copy(&self, mut from: impl AsyncRead + Unpin) {
        let mut buffer = vec![0; 4096];
        let mut line: Vec<u8> = Vec::new();
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            for part in buffer.get(..count).unwrap_or_default().split_inclusive(|byte| *byte == b'\n') {
                let room = LONGEST_NOTE.saturating_sub(line.len());
                line.extend_from_slice(part.get(..room.min(part.len())).unwrap_or_default());
                if part.ends_with(b"\n") {
                    self.line(&mut line);
                }
            }
        }
        self.line(&mut line);
    }

    fn line(&self, line: &mut Vec<u8>) {
        if !line.trim_ascii().is_empty() {
            self.note(&String::from_utf8_lossy(line));
        }
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_fills_its_share_of_the_log_and_no_more() {
        let journal = Journal::new("x");
        let endless = [vec![b'e'; 1 << 20], b"\n\n  \nshort\n".to_vec()].concat();
        journal.copy(endless.as_slice()).await;
        assert_eq!(journal.left.get(), MAX_LOG - LONGEST_NOTE - 1 - "short\n".len() - 1);
        let flood = "line\n".repeat(100_000);
        journal.copy(flood.as_bytes()).await;
        assert_eq!(journal.left.get(), 0);
        journal.begin();
        assert_eq!(journal.left.get(), MAX_LOG);
    }
}
