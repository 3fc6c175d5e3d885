//! Looks for thousands of words at once, without an automaton whose table would not fit into the caches.
//!
//! Of each word the four bytes are its key that are rarest in ordinary text. A text is read once, four bytes at a time; a bit
//! tells whether a key may be there, and only then words are compared.

use std::collections::BTreeMap;

/// Length of a key, in bytes. No word is shorter.
pub(super) const KEY: usize = 4;
/// Bits by which keys are told apart at first.
const BITS: u32 = 16;

/// Words that are looked for, each with what it stands for.
pub(super) struct Anchors {
    /// A bit for each slot that has words.
    taken: Vec<u64>,
    /// Where the words of each slot begin in `words`.
    first: Vec<u16>,
    /// In the order of their slots.
    words: Vec<Word>,
}

struct Word {
    slot: usize,
    text: Vec<u8>,
    /// Where its key is in it.
    key: usize,
    rules: Vec<usize>,
}

impl Anchors {
    /// Those that are shorter than [`KEY`] are left out; a test sees to it that there are none.
    pub fn new(rules_by_word: BTreeMap<&str, Vec<usize>>) -> Self {
        let mut words: Vec<Word> = rules_by_word
            .into_iter()
            .filter_map(|(text, rules)| {
                let (key, bytes) = text.as_bytes().windows(KEY).enumerate().min_by_key(|(_, key)| commonness(key))?;
                Some(Word { slot: slot(bytes), text: text.into(), key, rules })
            })
            .collect();
        words.sort_by_key(|word| word.slot);
        let slots = 1_usize << BITS;
        let (mut taken, mut first) = (vec![0_u64; slots / 64], vec![0_u16; slots]);
        for (number, word) in words.iter().enumerate().rev() {
            if let (Some(bits), Some(first)) = (taken.get_mut(word.slot / 64), first.get_mut(word.slot)) {
                *bits |= 1 << (word.slot % 64);
                *first = u16::try_from(number).unwrap_or(u16::MAX);
            }
        }
        Self { taken, first, words }
    }

    /// Calls `found` with the start, the end and the rules of each word in a text, in the order of their keys.
    pub fn each(&self, text: &[u8], mut found: impl FnMut(usize, usize, &[usize])) {
        for (at, key) in text.windows(KEY).enumerate() {
            let slot = slot(key);
            if self.taken.get(slot / 64).is_some_and(|bits| bits >> (slot % 64) & 1 == 1) {
                self.compare(text, at, slot, &mut found);
            }
        }
    }

    #[inline(never)]
    fn compare(&self, text: &[u8], at: usize, slot: usize, found: &mut impl FnMut(usize, usize, &[usize])) {
        let first = self.first.get(slot).copied().map_or(0, usize::from);
        for word in self.words.iter().skip(first).take_while(|word| word.slot == slot) {
            let Some(start) = at.checked_sub(word.key) else { continue };
            if text.get(start..).is_some_and(|rest| rest.starts_with(&word.text)) {
                found(start, start + word.text.len(), &word.rules);
            }
        }
    }
}

/// Where a key is looked for.
fn slot(key: &[u8]) -> usize {
    let &[a, b, c, d] = key else { return 0 };
    (u32::from_le_bytes([a, b, c, d]).wrapping_mul(0x9e37_79b1) >> (32 - BITS)) as usize
}

/// How common four bytes are, by a rough measure: spaces, then the letters of English in their order.
fn commonness(key: &[u8]) -> u32 {
    let common = |byte: &u8| match byte {
        b' ' => 12,
        b'e' | b't' | b'a' => 9,
        b'o' | b'i' | b'n' | b's' | b'r' => 8,
        b'h' | b'l' | b'd' => 5,
        b'u' | b'c' | b'm' => 4,
        b'a'..=b'z' => 3,
        _ => 2,
    };
    key.iter().map(common).sum()
}
