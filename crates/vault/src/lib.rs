//! Keys, and the cryptography that they are used with: the only crate that names a cryptographic library.
//!
//! - [`tls`] says how NanoClaw speaks TLS: with which module, which groups, and whom it believes;
//! - [`Secret`] is a key in memory, and [`read`] the one place that a key comes from;
//! - [`Scrubber`] takes keys out of text that others wrote;
//! - [`digest`] hashes, and [`password`] does so slowly;
//! - [`x509`] issues certificates, and [`jws`] verifies what others signed;
//! - [`private`] keeps files that nobody else may read, and [`random`] makes what nobody can guess.
//!
//! The library is AWS-LC, by default its FIPS module (feature `fips`). A second one would be a second set of flaws, so
//! `deny.toml` bans the others.
#![forbid(unsafe_code)]

pub mod digest;
mod file;
pub mod jws;
pub mod password;
pub mod private;
pub mod random;
mod scrub;
mod secret;
pub mod tls;
pub mod x509;

pub use file::FileError;
pub use scrub::Scrubber;
pub use secret::{Secret, SecretError, read};
