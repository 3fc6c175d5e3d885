//! A real small language model on llama-server, in a cell without a network, behind the model door: the way of a call and
//! of a turn with nothing played by a script.
//!
//! `scripts/model.sh` fetches both; without them these tests are skipped. What the model says is its own affair, so
//! nothing is asserted of its words, only of what was done, by the audit log.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what a test cannot set up or read is a failed test"
)]

#[path = "../support/mod.rs"]
mod support;

mod calls;
mod cell;
mod turns;
mod world;
