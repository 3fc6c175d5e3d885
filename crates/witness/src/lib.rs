//! Somebody else who vouches for an audit log (C2SP tlog-witness), and asking them to.
//!
//! Whoever owns a machine has the keys of its log, and can write another one. A [`Witness`] runs where they cannot: it
//! remembers the newest checkpoint of each log that it watches, and vouches for a newer one only if that grew out of it.
//! [`serve`] lets logs ask it over HTTP, and [`cosign`] asks. What is sent is signed both ways, so that TLS adds only that
//! nobody else sees how long a log is.
#![forbid(unsafe_code)]

mod ask;
mod serve;
mod state;

pub use ask::{AskError, cosign};
pub use serve::serve;
pub use state::{Refused, Witness, WitnessError};
