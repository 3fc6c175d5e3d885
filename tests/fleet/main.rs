//! `nanoclaw up` and what steers it, and what is left when a part of it is killed. Everything here starts the shipped
//! binary as a user would.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test"
)]

#[path = "../support/mod.rs"]
mod support;

mod connections;
mod crash;
mod errand;
mod fleet;
mod manage;
mod records;
mod reload;
mod supervise;
