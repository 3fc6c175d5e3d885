//! The control plane: starts cells, keeps their doors, supervises the fleet and answers the operator.
#![forbid(unsafe_code)]

pub mod cell;
pub mod control;
mod disk;
mod doors;
pub mod fleet;
mod kernel_door;
mod launcher;
mod memory;
mod packet_door;
pub mod plane;
pub mod program;
pub mod proof;
mod readiness;
pub mod state;
pub mod stdio;
mod voice;

pub use launcher::Launcher;
pub use voice::say;
