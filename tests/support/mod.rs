//! What the tests of the shipped binary share: a host of their own, and programs that always end.
#![allow(dead_code, unused_imports, reason = "each test target uses its own part of this module")]

mod host;
mod process;
mod terminal;

pub use host::{Host, NOBODY};
pub use process::{Background, Finished, appears, eventually, finish, gone, marked};
pub use terminal::Terminal;

/// Says loudly that something was not tried.
pub fn skip(what: &str) {
    eprintln!("SKIPPED: {what}");
}
