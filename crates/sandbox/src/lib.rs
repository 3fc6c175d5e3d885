//! The cell: a container that NanoClaw builds itself, without privileges, without a network interface, with hard
//! limits.
//!
//! [`LauncherHandle::fork`] starts the launcher, a process of its own with one thread. A [`CellSpec`] becomes a
//! [`plan::LaunchPlan`], which is data; the launcher clones a process into fresh namespaces, and that process, the
//! cell's init, builds the cell around itself, gives up everything, hands its sockets to the control plane and waits.
//! The command runs when the control plane has the launch on record: [`InitHandle::start`] takes the warrant.
//!
//! This is the crate with `unsafe` in it: each block says why it is sound.

pub mod attack;
mod cell;
pub mod cgroup;
mod confine;
pub mod doctor;
mod error;
mod host;
mod init;
mod launcher;
pub mod net;
pub mod notify;
pub mod plan;
mod rootfs;
pub mod seccomp;
mod source;
mod spawn;
mod spec;
mod sys;
pub mod wire;

pub use cell::{CellDescriptors, InitEvent, InitHandle, LauncherEvent, LauncherHandle};
pub use error::StepError;
pub use spec::{CellSpec, Fittings, TerminalSize};
pub use sys::landlock_abi;
