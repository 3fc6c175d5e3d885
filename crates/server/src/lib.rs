//! The control plane: starts cells, keeps their doors, supervises the fleet and answers the operator.
#![forbid(unsafe_code)]

pub mod agents;
pub mod announce;
pub mod api;
pub mod cell;
pub mod clock;
pub mod control;
mod disk;
mod doors;
pub mod firewall;
pub mod fleet;
mod health;
mod kernel_door;
mod launcher;
pub mod learn;
pub mod listener;
mod log;
mod memory;
mod metrics;
mod model_door;
mod packet_door;
pub mod plane;
pub mod policies;
pub mod program;
pub mod proof;
pub mod providers;
mod readiness;
pub mod reload;
pub mod state;
pub mod stdio;
pub mod svid;
pub mod turn;
mod voice;

pub use launcher::Launcher;
pub use voice::say;
