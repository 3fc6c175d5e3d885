//! The API of a control plane, from the client's side: over the unix socket of a fleet on this machine, or over TLS to a
//! server that a *context* names, with the certificate that was got for it.
//!
//! A context ([`Context`]) is all that this side knows of a server. [`enrol`] makes one of an invitation. A [`Client`]
//! asks; its errors say what to do next. What a server says is shown to people, so it is treated as text of somebody whom
//! nobody trusts.

mod client;
mod context;
mod enrol;
mod error;
mod stream;

pub use client::{Client, part, query};
pub use context::{Context, ContextError};
pub use enrol::{Invited, enrol, fingerprint, same_fingerprint};
pub use error::RemoteError;
pub use stream::Stream;
