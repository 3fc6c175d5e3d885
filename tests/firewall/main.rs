//! `nanoclaw firewall`: the prompt firewall without a fleet, seen from outside.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test"
)]

#[path = "../support/mod.rs"]
mod support;

mod cases;
mod explain;
mod scan;
