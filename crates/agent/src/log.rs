//! The agent's log: lines on its standard error, which the control plane keeps within bounds of its own.

use std::io::Write as _;

use crate::plain;

/// Longest line of the log in bytes.
pub(crate) const LONGEST_NOTE: usize = 1024;

/// Writes one line. What it quotes may come from anywhere.
pub(crate) fn note(text: &str) {
    // Without anybody who reads it there is nobody to tell.
    let _ = writeln!(std::io::stderr().lock(), "{}", plain::line(text, LONGEST_NOTE));
}
