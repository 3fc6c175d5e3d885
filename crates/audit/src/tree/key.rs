//! The keys that the log signs with: the seeds of two, in hex, in a file that nobody else may read.

use nanoclaw_tlog::sign::{SEED, Signer};
use nanoclaw_vault::private;

use super::{TreeError, TreeOptions};

/// Length of the file, in bytes: two digits a byte, and the end of the line.
const LENGTH: usize = 2 * (2 * SEED) + 1;

/// The keys, made where there are none yet, and the name that the log has.
pub(super) fn signer(options: &TreeOptions) -> Result<(String, Signer), TreeError> {
    if let Some(directory) = options.key.parent() {
        private::directory(directory)?;
    }
    let seeds = match private::read(&options.key, LENGTH)? {
        Some(text) => seeds(&text).ok_or_else(|| TreeError::NotAKey(options.key.clone()))?,
        None => {
            let seeds = Signer::seeds()?;
            let text: String = seeds.iter().map(|byte| format!("{byte:02x}")).chain(["\n".to_owned()]).collect();
            match private::create(&options.key, text.as_bytes()) {
                Ok(()) => seeds,
                // Another process was first.
                Err(error) => {
                    let text = private::read(&options.key, LENGTH)?.ok_or(error)?;
                    self::seeds(&text).ok_or_else(|| TreeError::NotAKey(options.key.clone()))?
                }
            }
        }
    };
    let origin = match &options.origin {
        Some(origin) => origin.clone(),
        None => {
            let [key, _] = Signer::of_log("nanoclaw", &seeds)?.keys().clone();
            format!("nanoclaw/{:08x}", u32::from_be_bytes(key.id()))
        }
    };
    let signer = Signer::of_log(&origin, &seeds)?;
    Ok((origin, signer))
}

fn seeds(text: &[u8]) -> Option<[u8; 2 * SEED]> {
    let digits = text.strip_suffix(b"\n").unwrap_or(text);
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let (pairs, rest) = digits.as_chunks::<2>();
    let bytes: Option<Vec<u8>> = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    bytes.filter(|_| rest.is_empty())?.try_into().ok()
}
