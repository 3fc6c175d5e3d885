//! Addresses of wallets.

use crate::loss::check::{base58, bech32};
use crate::loss::context::WALLET;
use crate::loss::{Found, Page};

pub(super) fn word(page: &Page<'_>, start: usize, end: usize, found: &mut Vec<Found>) {
    let Some(word) = page.bytes.get(start..end) else { return };
    let near = || page.near(start, start) & WALLET != 0;
    let lower = word.to_ascii_lowercase();
    let is_bech32 = lower == word || word.iter().all(|byte| !byte.is_ascii_lowercase());
    let kind = match word {
        [b'b' | b'B', b'c' | b'C', b'1', ..]
        | [b'l' | b'L', b't' | b'T', b'c' | b'C', b'1', ..]
        | [b't' | b'T', b'b' | b'B', b'1', ..]
            if is_bech32 && bech32(&lower) =>
        {
            "bitcoin-address"
        }
        [b'1' | b'3', ..] if (26..=35).contains(&word.len()) && base58(word) => "bitcoin-address",
        [b'0', b'x' | b'X', rest @ ..] if rest.len() == 40 && rest.iter().all(u8::is_ascii_hexdigit) && near() => {
            "ethereum-address"
        }
        [b'T', ..] if word.len() == 34 && base58(word) => "tron-address",
        _ => return,
    };
    found.push(Found { kind, start, end, rank: 70 });
}
