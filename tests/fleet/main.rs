//! x
#[path = "../support/mod.rs"]
mod support;
