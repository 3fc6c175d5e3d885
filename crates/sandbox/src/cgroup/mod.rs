//! Control groups: what a cell may use at most, what it used, and an end for all of it at once.
//!
//! [`detect`] finds out, by reading only, where this process may make groups ([`Support`]): the unified hierarchy
//! (cgroup v2), the hierarchies per controller (v1), or neither. [`Cgroup`] is one cell's group, `nanoclaw/<name>` below
//! that place; with v1 it is one directory in each hierarchy, and in the unified one too where that is mounted beside
//! them, because only there all processes can be killed at once. A limit that cannot be enforced is an error, never
//! dropped: callers ask [`Support::enforced`] first.
//!
//! Making, joining and removing a group takes about 0.5 ms with six v1 hierarchies, most of it the kernel's mkdir and
//! rmdir. For this reason CPU time is read from the unified hierarchy where there is one, which saves `cpuacct`.

mod detect;
#[cfg(test)]
mod fake;
mod files;
mod group;
mod kill;
mod v1;
mod v2;

pub use detect::detect;
pub use group::{Cgroup, Entrance, sweep};
use std::fmt;
use std::io;
use std::path::PathBuf;

/// The directory that holds the groups of all cells.
const PARENT: &str = "nanoclaw";
/// The period over which CPU time is shared out, in microseconds.
const CPU_PERIOD_US: u64 = 100_000;

/// Where control groups of cells can be made.
#[derive(Clone, Debug)]
pub enum Support {
    /// In the unified hierarchy.
    V2(v2::Place),
    /// In hierarchies of their own per controller.
    V1(v1::Places),
    /// Nowhere.
    None {
        /// The reason, and the mending step.
        why: String,
    },
}

/// Which limits the kernel enforces here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Enforced {
    /// [`Limits::memory_bytes`]
    pub memory: bool,
    /// [`Limits::cpu_millis`]
    pub cpu: bool,
    /// [`Limits::pids`]
    pub pids: bool,
    /// Input and output of block devices are counted.
    pub io: bool,
}

impl Support {
    /// Which limits are enforced, and whether I/O is counted.
    pub fn enforced(&self) -> Enforced {
        match self {
            Self::V2(place) => place.enforced(),
            Self::V1(places) => places.enforced(),
            Self::None { .. } => Enforced::default(),
        }
    }
}

impl fmt::Display for Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V2(place) => place.fmt(f),
            Self::V1(places) => places.fmt(f),
            Self::None { why } => f.write_str(why),
        }
    }
}

/// What the processes of a group may use together. `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Limits {
    /// Memory, in bytes, with the page cache and without any swap on top. The kernel rounds to whole pages.
    pub memory_bytes: Option<u64>,
    /// CPU time in thousandths of one CPU; 1500 is one and a half. The kernel's least is 10.
    pub cpu_millis: Option<u32>,
    /// Processes and threads.
    pub pids: Option<u32>,
}

/// What the processes of a group have used. `None` where the host does not count it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Usage {
    /// CPU time in microseconds.
    pub cpu_us: Option<u64>,
    /// The most memory that was in use at once, in bytes.
    pub memory_peak_bytes: Option<u64>,
    /// Memory in use, in bytes.
    pub memory_now_bytes: Option<u64>,
    /// Processes and threads.
    pub pids_now: Option<u64>,
    /// Bytes read from block devices; what the page cache had is not among them.
    pub io_read_bytes: Option<u64>,
    /// Bytes written to block devices; with v1 only those that the processes themselves wrote through.
    pub io_write_bytes: Option<u64>,
    /// Processes that were killed because the memory limit was reached.
    pub oom_kills: Option<u64>,
    /// Forks that were refused because the limit of processes was reached.
    pub pids_refused: Option<u64>,
}

/// A control group could not be made, changed or removed.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// No groups can be made here.
    #[error("{why}")]
    Unsupported {
        /// The reason, and the mending step.
        why: String,
    },
    /// A limit was asked for that this host does not enforce.
    #[error("this host enforces no limit of {what}; delegate the `{what}` controller to this user, or run as root")]
    NotEnforced {
        /// The controller: `memory`, `cpu` or `pids`.
        what: &'static str,
    },
    /// The name cannot be that of a group.
    #[error("`{name}` cannot name a control group; use up to 200 of a-z, A-Z, 0-9, `-` and `_`")]
    Name {
        /// The name.
        name: String,
    },
    /// The kernel refused a step.
    #[error("cannot {action} `{}`: {source}; {}", .path.display(), help(.source))]
    Step {
        /// What was being done, as in `create`.
        action: String,
        /// The file or directory.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
}

fn help(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AlreadyExists => "a cell of this name is running, or its group is to be swept",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "run as root, or under `systemd-run --user --scope -p Delegate=yes`"
        }
        io::ErrorKind::ResourceBusy => "processes are still in it: end them, or move them to a group below it",
        _ => "run `nanoclaw doctor` to see which control groups work here",
    }
}

/// The value that `key` has in lines of `key value`.
fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Microseconds of each [`CPU_PERIOD_US`] for so many thousandths of a CPU; the kernel takes 1000 at least.
fn quota_us(millis: u32) -> u64 {
    (u64::from(millis) * CPU_PERIOD_US / 1000).max(1000)
}
