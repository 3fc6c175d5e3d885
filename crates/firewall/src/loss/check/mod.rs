//! Check digits. Every function takes a number without separators, letters in upper case, and says whether it can be one.

pub mod americas;
pub mod asia;
pub mod europe;

use sha2::{Digest as _, Sha256};

/// The value of a digit.
pub(super) fn digit(byte: u8) -> Option<u32> {
    byte.is_ascii_digit().then(|| u32::from(byte - b'0'))
}

/// The values of all digits; `None` where something else is among them.
pub(super) fn digits(number: &[u8]) -> Option<Vec<u32>> {
    number.iter().map(|byte| digit(*byte)).collect()
}

/// Digits times weights, added up, for as many as there are weights.
pub(super) fn weighted(number: &[u8], weights: &[u32]) -> Option<u32> {
    if number.len() < weights.len() {
        return None;
    }
    number.iter().zip(weights).map(|(byte, weight)| digit(*byte).map(|digit| digit * weight)).sum()
}

/// What a few digits say, as a number.
pub(super) fn value(number: &[u8], from: usize, length: usize) -> Option<u32> {
    number.get(from..from + length)?.iter().try_fold(0, |value, byte| digit(*byte).map(|digit| value * 10 + digit))
}

/// What is left of a number of any length after division.
pub(super) fn remainder(number: &[u8], by: u32) -> Option<u32> {
    number.iter().try_fold(0, |rest, byte| digit(*byte).map(|digit| (rest * 10 + digit) % by))
}

/// The last character.
pub(super) fn last(number: &[u8]) -> Option<u8> {
    number.last().copied()
}

/// Whether there is such a day. A `year` of two digits may be of any century.
pub(super) fn date(year: u32, month: u32, day: u32) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400) || year == 0);
    let longest = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return false,
    };
    (1..=longest).contains(&day)
}

/// Whether all characters are the same.
pub(super) fn uniform(number: &[u8]) -> bool {
    number.iter().all(|byte| Some(byte) == number.first())
}

/// The check digit of cards and of many other numbers (ISO/IEC 7812-1).
pub fn luhn(number: &[u8]) -> bool {
    let sum = number.iter().rev().enumerate().try_fold(0, |sum, (place, byte)| {
        let digit = digit(*byte)?;
        let doubled = if place % 2 == 1 { digit * 2 } else { digit };
        Some(sum + doubled / 10 + doubled % 10)
    });
    !uniform(number) && sum.is_some_and(|sum| sum % 10 == 0)
}

/// The check digits of accounts (ISO/IEC 7064, MOD 97-10), with the country and the check digits in front, as in an IBAN.
pub fn mod97(number: &[u8]) -> bool {
    let Some((front, rest)) = number.split_at_checked(4) else { return false };
    let rest = rest.iter().chain(front).try_fold(0_u32, |rest, byte| match byte {
        b'0'..=b'9' => Some((rest * 10 + u32::from(byte - b'0')) % 97),
        b'A'..=b'Z' => Some((rest * 100 + u32::from(byte - b'A') + 10) % 97),
        _ => None,
    });
    rest == Some(1)
}

/// ISO/IEC 7064, MOD 11-10.
pub(super) fn mod11_10(number: &[u8]) -> bool {
    let Some((check, front)) = number.split_last() else { return false };
    let product = front.iter().try_fold(10, |product, byte| {
        let sum = (digit(*byte)? + product) % 10;
        Some((if sum == 0 { 10 } else { sum }) * 2 % 11)
    });
    product.zip(digit(*check)).is_some_and(|(product, check)| (11 - product) % 10 == check)
}

/// The check digit of Verhoeff, which is that of an Aadhaar.
pub fn verhoeff(number: &[u8]) -> bool {
    // The product in the dihedral group of a pentagon: rotations are 0 to 4, reflections 5 to 9.
    let product = |a: u32, b: u32| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b) % 5 + 5,
        (false, true) => (a - 5 + 5 - b) % 5 + 5,
        (false, false) => (a + 5 - b) % 5,
    };
    // How often the permutation (1 5 8 9 4 2 7 0)(3 6) is done depends on the place.
    let step = |digit: u32| [1_u32, 5, 7, 6, 2, 8, 3, 0, 9, 4].get(digit as usize).copied().unwrap_or_default();
    let sum = number.iter().rev().enumerate().try_fold(0, |sum, (place, byte)| {
        let permuted = (0..place % 8).fold(digit(*byte)?, |digit, _| step(digit));
        Some(product(sum, permuted))
    });
    number.len() > 1 && sum == Some(0)
}

/// The checksum of an address in bech32 or bech32m (BIP 173, BIP 350), all in lower case.
pub(super) fn bech32(address: &[u8]) -> bool {
    const LETTERS: &[u8] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let Some(one) = address.iter().rposition(|byte| *byte == b'1') else { return false };
    let (Some(human), Some(data)) = (address.get(..one), address.get(one + 1..)) else { return false };
    let values = data.iter().map(|byte| LETTERS.iter().position(|letter| letter == byte));
    let all = (human.iter().map(|byte| Some(usize::from(byte >> 5))).chain([Some(0)]))
        .chain(human.iter().map(|byte| Some(usize::from(byte & 31))))
        .chain(values);
    let sum = all.into_iter().try_fold(1_u32, |sum, value| {
        let top = sum >> 25;
        let shifted = (sum & 0x01ff_ffff) << 5 ^ u32::try_from(value?).ok()?;
        Some(
            GENERATOR
                .iter()
                .enumerate()
                .fold(shifted, |sum, (bit, generator)| if top >> bit & 1 == 1 { sum ^ generator } else { sum }),
        )
    });
    data.len() >= 6 && matches!(sum, Some(1 | 0x2bc8_30a3))
}

/// The checksum of an address of 21 bytes in base58: the first bytes of SHA-256 of SHA-256, no secret of any kind.
pub(super) fn base58(address: &[u8]) -> bool {
    const LETTERS: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut bytes = [0_u8; 25];
    for letter in address {
        let Some(value) = LETTERS.iter().position(|other| other == letter) else { return false };
        let mut carry = value as u32;
        for byte in bytes.iter_mut().rev() {
            carry += 58 * u32::from(*byte);
            *byte = (carry & 0xff) as u8;
            carry >>= 8;
        }
        if carry > 0 {
            return false;
        }
    }
    let (body, sum) = bytes.split_at(21);
    Sha256::digest(Sha256::digest(body)).starts_with(sum)
}

#[cfg(test)]
mod tests;
