//! Keys, and the cryptography that they are used with: the only crate that names a cryptographic library.
//!
//! - [`tls`] says how NanoClaw speaks TLS: with which module, which groups, and whom it believes;
//! - [`Secret`] is a key in memory, and [`read`] the one place that a key comes from;
//! - [`Scrubber`] takes keys out of text that others wrote;
//! - [`digest`] hashes.
//!
//! The library is AWS-LC, by default its FIPS module (feature `fips`). A second one would be a second set of flaws, so
//! `deny.toml` bans the others.
#![forbid(unsafe_code)]

pub mod digest;
mod file;
mod scrub;
mod secret;
pub mod tls;

pub use file::FileError;
pub use scrub::Scrubber;
pub use secret::{Secret, SecretError, read};
