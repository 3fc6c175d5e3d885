//! `nanoclaw run`: one program in a cell, seen from outside. Everything here starts the shipped binary as a user would.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test"
)]

#[path = "../support/mod.rs"]
mod support;

mod actions;
mod configuration;
mod descriptors;
mod exit;
mod guide;
mod learn;
mod limits;
mod mounts;
mod policy;
mod policy_proofs;
mod questions;
mod rootfs;
mod rootless;
mod state;
mod stdio;
mod summary;
mod terminal;
