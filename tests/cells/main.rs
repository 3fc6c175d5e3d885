//! `nanoclaw run`: one program in a cell, seen from outside. Everything here starts the shipped binary as a user would.

#[path = "../support/mod.rs"]
mod support;

mod configuration;
mod descriptors;
mod exit;
mod limits;
mod mounts;
mod rootfs;
mod rootless;
mod state;
mod stdio;
mod summary;
mod terminal;
