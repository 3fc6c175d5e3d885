//! The network door of the shipped binary, from end to end: ordinary programs in a cell, and real servers outside. Each
//! test says what the program saw, what the servers saw, and what is on record.
//!
//! The outside is a network namespace without a way out of it; making one takes root.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what a test cannot set up or read is a failed test"
)]

#[path = "../support/mod.rs"]
mod support;

mod addresses;
mod http;
mod https;
mod labels;
mod leaving;
mod load;
mod names;
mod policies;
mod raw;
mod world;
