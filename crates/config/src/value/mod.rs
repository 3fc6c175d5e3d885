//! The values that a file and the command line have in common, read by one parser each.

mod amount;
mod cron;
mod money;
mod path;
mod url;

pub(crate) use amount::{count, duration, size};
pub use amount::{
    parse_cpus, parse_disk, parse_duration, parse_files, parse_memory, parse_pids, parse_size, parse_timeout,
};
pub(crate) use cron::cron;
pub(crate) use money::usd;
pub(crate) use path::{cell_path, env_name, host_path, mount_target, nested, no_nul};
pub use path::{parse_env, parse_mount, parse_rootfs};
pub(crate) use url::url;

/// Why a value cannot be used, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {help}")]
pub struct ValueError {
    /// What is wrong; names the value.
    pub message: String,
    /// The next step.
    pub help: String,
}

impl ValueError {
    pub(crate) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}
