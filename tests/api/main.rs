//! The REST API of a running fleet, from the outside: the shipped binary, asked over its unix socket and over TLS.

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
#[expect(dead_code, reason = "the tests of fleets use it")]
mod fleet;
#[path = "../agents/provider.rs"]
#[expect(dead_code, reason = "the tests of agents use more of it")]
mod provider;

mod asked;
mod attacks;
mod client;
mod fuzzed;
mod issuer;
mod people;
mod raw;
mod remote;
mod roles;
mod schema;
mod steering;
mod turns;
mod wire;
mod world;
