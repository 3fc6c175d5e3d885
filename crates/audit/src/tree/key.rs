//! The keys that a log or a witness signs with: the seeds of two, in hex, in a file that nobody else may read.

use std::path::{Path, PathBuf};

use nanoclaw_tlog::sign::{SEED, SignError, Signer};
use nanoclaw_vault::digest::hex;
use nanoclaw_vault::{FileError, private};

use super::{TreeError, TreeOptions};

/// Length of the file, in bytes: two digits a byte, and the end of the line.
const LENGTH: usize = 2 * (2 * SEED) + 1;

/// The private keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or made.
    #[error(transparent)]
    File(#[from] FileError),
    /// It holds something else.
    #[error(
        "`{0}` is not a file of signing keys; put back the one that was there, or move it away and a new key is made"
    )]
    NotAKey(PathBuf),
    /// There is no randomness.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// The name that the log has, and the seeds of its keys.
pub(super) fn origin(options: &TreeOptions) -> Result<(String, [u8; 2 * SEED]), TreeError> {
    let seeds = seeds(&options.key)?;
    let origin = match &options.origin {
        Some(origin) => origin.clone(),
        None => {
            let key = Signer::quick_key_of_log("nanoclaw", &seeds)?;
            format!("nanoclaw/{:08x}", u32::from_be_bytes(key.id()))
        }
    };
    Ok((origin, seeds))
}

/// The seeds in the file `path`, made where there are none yet.
///
/// # Errors
/// They cannot be read or made.
pub fn seeds(path: &Path) -> Result<[u8; 2 * SEED], KeyError> {
    if let Some(directory) = path.parent() {
        private::directory(directory)?;
    }
    let read = |text: &[u8]| parse(text).ok_or_else(|| KeyError::NotAKey(path.to_owned()));
    if let Some(text) = private::read(path, LENGTH)? {
        return read(&text);
    }
    let seeds = Signer::seeds()?;
    let text = hex(&seeds) + "\n";
    match private::create(path, text.as_bytes()) {
        Ok(()) => Ok(seeds),
        // Another process was first.
        Err(error) => read(&private::read(path, LENGTH)?.ok_or(error)?),
    }
}

fn parse(text: &[u8]) -> Option<[u8; 2 * SEED]> {
    let digits = text.strip_suffix(b"\n").unwrap_or(text);
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let (pairs, rest) = digits.as_chunks::<2>();
    let bytes: Option<Vec<u8>> = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    bytes.filter(|_| rest.is_empty())?.try_into().ok()
}
