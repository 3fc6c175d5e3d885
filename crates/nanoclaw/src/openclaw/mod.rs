//! The real OpenClaw: how it is installed, and how its configuration becomes one of NanoClaw's.

pub mod import;
pub mod install;
