//! Keys in memory, and where they come from.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use nanoclaw_config::SecretSource;
use zeroize::Zeroizing;

use crate::file::{self, Access, FileError};

/// Longest secret, in bytes.
const MAX_SECRET_BYTES: usize = 64 * 1024;
/// Shortest secret, in bytes. A shorter one stands by chance in ordinary text, so it could not be masked there.
const MIN_SECRET_BYTES: usize = 8;

/// A key, a token, a password: at least one character, all of them visible ASCII, so that it can stand in an HTTP
/// header.
///
/// Prints itself as `***` and is compared in constant time. Clones share one place in memory, which is overwritten when
/// the last of them is dropped. What it is copied into (a header, the environment that it came from) is not.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<String>>);

/// A secret that cannot be had. Never says what it is.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// There is no such variable.
    #[error("the environment variable `{0}` is not set; set it before you start nanoclaw")]
    NotSet(String),
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// Nothing there.
    #[error("the secret in {0} is empty")]
    Empty(Place),
    /// Too short to be masked.
    #[error(
        "the secret in {0} is shorter than {MIN_SECRET_BYTES} bytes, so it could not be masked in texts; use a longer one, or name none where none is wanted"
    )]
    TooShort(Place),
    /// Too long for a secret.
    #[error("the secret in {0} is longer than {MAX_SECRET_BYTES} bytes")]
    TooLong(Place),
    /// It cannot stand in an HTTP header.
    #[error(
        "the secret in {0} holds a space, a line break or another character that no key has; write only the key there"
    )]
    Text(Place),
}

/// Where a secret was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(SecretSource);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            SecretSource::Env(name) => write!(f, "the environment variable `{name}`"),
            SecretSource::File(path) => write!(f, "`{}`", path.display()),
        }
    }
}

/// Reads the secret that `source` names. This is the only way from a configuration to a secret.
///
/// A file must be a regular one, no link, that belongs to this process's user or to root and that nobody else has
/// access to; a line break at its end is left out. A variable stays in this process's environment, where it was before
/// this process began; cells are started with an environment of their own.
///
/// # Errors
/// There is none, others could have read it, it is too short to be masked or too long, or it is not what [`Secret`] says.
pub fn read(source: &SecretSource) -> Result<Secret, SecretError> {
    let place = || Place(source.clone());
    let mut text = match source {
        SecretSource::Env(name) => from_environment(name)?,
        SecretSource::File(path) => from_file(path)?,
    };
    if text.is_empty() {
        return Err(SecretError::Empty(place()));
    }
    if text.len() < MIN_SECRET_BYTES {
        return Err(SecretError::TooShort(place()));
    }
    if text.len() > MAX_SECRET_BYTES {
        return Err(SecretError::TooLong(place()));
    }
    let text = String::from_utf8(std::mem::take(&mut *text)).unwrap_or_else(|error| {
        // Wiped like any other, though it is none.
        drop(Zeroizing::new(error.into_bytes()));
        String::new()
    });
    Secret::new(text).ok_or_else(|| SecretError::Text(place()))
}

fn from_environment(name: &str) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let value = std::env::var_os(name).ok_or_else(|| SecretError::NotSet(name.to_owned()))?;
    Ok(Zeroizing::new(value.into_encoded_bytes()))
}

fn from_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let mut text = file::read(path, Access::Private, MAX_SECRET_BYTES)?;
    if text.ends_with(b"\n") {
        text.pop();
        if text.ends_with(b"\r") {
            text.pop();
        }
    }
    Ok(text)
}

impl Secret {
    /// Takes `text` as a secret. `None` if it is empty or not all visible ASCII.
    pub fn new(text: String) -> Option<Self> {
        let text = Zeroizing::new(text);
        let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(Arc::new(text)))
    }

    /// The secret itself. Only for the place where it is used: never for a message, a log or a cell.
    pub fn dangerously_expose(&self) -> &str {
        &self.0
    }

    /// Whether `given` is this secret, in a time that depends only on the lengths.
    pub fn matches(&self, given: &[u8]) -> bool {
        verify_slices_are_equal(self.0.as_bytes(), given).is_ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
