//! The recorder from outside: what a door, a second process, a full disk and a hostile directory would see.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic, also in the functions that its tests share"
)]

mod disk;
mod flood;
mod path;
mod reading;
mod recovery;
mod sharing;
mod support;
mod tree;
