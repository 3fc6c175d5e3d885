//! Addresses of wallets. Those in base58 have a check that needs a hash, so words near them have to tell.

use crate::loss::check::bech32;
use crate::loss::context::WALLET;
use crate::loss::{Found, Page};

pub(super) fn word(page: &Page<'_>, start: usize, end: usize, found: &mut Vec<Found>) {
    let Some(word) = page.bytes.get(start..end) else { return };
    let near = || page.near(start, start) & WALLET != 0;
    let base58 = |byte: &u8| byte.is_ascii_alphanumeric() && !matches!(byte, b'0' | b'O' | b'I' | b'l');
    let mixed = word.iter().any(u8::is_ascii_lowercase) && word.iter().any(u8::is_ascii_uppercase);
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
        [b'1' | b'3', ..] if (26..=35).contains(&word.len()) && mixed && word.iter().all(base58) && near() => {
            "bitcoin-address"
        }
        [b'0', b'x' | b'X', rest @ ..] if rest.len() == 40 && rest.iter().all(u8::is_ascii_hexdigit) && near() => {
            "ethereum-address"
        }
        [b'T', ..] if word.len() == 34 && mixed && word.iter().all(base58) && near() => "tron-address",
        _ => return,
    };
    found.push(Found { kind, start, end, rank: 70 });
}
