//! Hashes of words and of what stands beside them: fast, and of no use against an adversary, who gains nothing by collisions
//! that he could not have by other words.

/// What stands for a word, a character or a run of them.
pub type Key = u32;

const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;

/// Spreads the bits of a number.
#[inline]
pub const fn spread(of: u64) -> Key {
    let mixed = of.wrapping_mul(PRIME);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32) as Key
}

/// Two in this order.
#[inline]
pub const fn pair(first: Key, second: Key) -> Key {
    spread(((first as u64) << 32 | second as u64) ^ 0x5bd1_e995)
}

/// A word. In one of four letters or more those between the first and the last count, not their order, as people and
/// models read it in any.
#[inline]
pub fn word(bytes: &[u8]) -> Key {
    match bytes {
        [] => 0,
        [first, middle @ .., last] if !middle.is_empty() => {
            let sum: u64 = middle
                .iter()
                .map(|byte| LETTERS.get(usize::from(*byte)).copied().unwrap_or_default())
                .fold(0, u64::wrapping_add);
            spread(sum ^ (u64::from(*first) << 56 | u64::from(*last) << 48 | bytes.len() as u64))
        }
        _ => spread(bytes.iter().fold(7, |sum, byte| sum << 8 | u64::from(*byte))),
    }
}

/// How a word begins.
#[inline]
pub const fn stem(bytes: &[u8; 5]) -> Key {
    let [a, b, c, d, e] = *bytes;
    spread(u64::from_be_bytes([1, 0, 0, a, b, c, d, e]))
}

/// Adds a character to a run of characters of a script without spaces.
#[inline]
pub const fn join(run: Key, c: char) -> Key {
    pair(run, c as Key)
}

/// A run of characters of a script without spaces.
pub fn han(text: &str) -> Key {
    text.chars().fold(0, join)
}

/// A number for each byte.
const LETTERS: [u64; 256] = {
    let mut letters = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let a = spread(byte as u64 + 1) as u64;
        #[expect(clippy::indexing_slicing, reason = "computed at compile time")]
        {
            letters[byte] = (a << 20) ^ spread(a ^ 0xa5a5) as u64;
        }
        byte += 1;
    }
    letters
};
