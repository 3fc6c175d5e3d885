//! Agents that ask models, from the outside: a fleet of the shipped binary, a scripted provider (a mock, see
//! `tests/scripted-model`), and everything that an attacker or an ordinary client would do with them.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test"
)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../fleet/fleet.rs"]
#[expect(dead_code, reason = "the tests of fleets use more of it")]
mod fleet;

mod actions;
mod approvals;
mod asked;
mod budgets;
mod builtin;
mod clients;
mod fake_openclaw;
mod hostile;
mod injected;
mod keys;
mod labels;
mod leaving;
mod openclaw;
mod provider;
mod unattended;
