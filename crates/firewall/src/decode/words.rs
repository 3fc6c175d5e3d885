//! Words that tell a language: common ones of English, and those that attacks are made of.

use std::collections::HashMap;
use std::sync::LazyLock;

/// It is a word.
pub(super) const WORD: u8 = 1;
/// It is one when each letter is moved 13 places.
pub(super) const ROTATED: u8 = 2;
/// It is one from back to front.
pub(super) const REVERSED: u8 = 4;
/// Longest word that is known, in bytes.
pub(super) const LONGEST: usize = 16;

const SLOTS: usize = 2048;

/// Lower case, with spaces between them.
const WORDS: &str = "the and you that this with for all are not was but have from they will your what when can there which \
    their said each she how has had more about would them these some could into time than first been who its now people my \
    over down only use may water called just where most know get through back much before also around another came come \
    work three word must because does part even place well such here take why things help put years different away again \
    off went old number great tell men say small every found still between name should home big give set own under read \
    last never left end along while might next sound below saw something thought both few those always looked show large \
    often together asked house don world going want school important until form food keep children feet land side without \
    boy once animals life enough took four head above kind began almost live page got earth need far hand high year mother \
    light country father let night picture being study second book to of in is it on as at be or by an do if we so no up \
    me us go he his her him our out one any new very then after other many did too see make like long made find \
    ignore ignoring disregard forget previous prior preceding earlier instructions instruction directions rules rule prompt \
    prompts system developer assistant user admin administrator mode override bypass jailbreak reveal output print repeat \
    display secret secrets password passwords key keys token tokens credentials confidential hidden private policy policies \
    safety guidelines restrictions restricted unrestricted filter filters content message messages respond response answer \
    act pretend roleplay character role model language openai chatgpt claude commands command execute run send email data \
    information file files delete access link click visit url http https now follow following stop start begin new task \
    instead anything allowed enabled disable disabled activate note please write text code says exactly everything sensitive \
    internal configuration transfer money account bank attacker exfiltrate upload download request context above given \
    hello hacked pwned make create bomb weapon drugs steal attack exploit malware virus illegal harmful";

/// Words of some language from back to front or 13 places on.
const AMBIGUOUS: [&str; 31] = [
    "won", "ton", "tub", "era", "saw", "was", "trap", "evil", "live", "trop", "tel", "fur", "bar", "reh", "sah", "war",
    "raw", "dna", "nem", "tes", "net", "yob", "dog", "god", "tog", "nac", "sus", "edam", "flow", "nam", "bus",
];

/// Each slot is a hash whose lowest three bits say what is known of the word; an empty one is 0.
struct Table {
    slots: Vec<u64>,
}

const BITS: u64 = 7;

impl Table {
    fn add(&mut self, word: &str, bit: u8) {
        let hash = hash(key(word));
        let mut at = place(hash);
        for _ in 0..SLOTS {
            let Some(slot) = self.slots.get_mut(at) else { return };
            if *slot == 0 || *slot & !BITS == hash & !BITS {
                *slot = hash & !BITS | *slot & BITS | u64::from(bit);
                return;
            }
            at = (at + 1) % SLOTS;
        }
    }

    fn get(&self, hash: u64) -> u8 {
        let mut at = place(hash);
        loop {
            match self.slots.get(at) {
                Some(slot) if *slot == 0 => return 0,
                Some(slot) if *slot & !BITS == hash & !BITS => return (*slot & BITS) as u8,
                Some(_) => at = (at + 1) % SLOTS,
                None => return 0,
            }
        }
    }
}

/// The first slot of a hash.
fn place(hash: u64) -> usize {
    (hash >> 53) as usize % SLOTS
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table { slots: vec![0; SLOTS] };
    for word in WORDS.split_ascii_whitespace() {
        table.add(word, WORD);
    }
    for word in WORDS.split_ascii_whitespace().filter(|word| word.len() > 2) {
        let rotated: String = word.bytes().map(|byte| char::from(rotate(byte))).collect();
        let reversed: String = word.chars().rev().collect();
        for (other, bit) in [(rotated, ROTATED), (reversed, REVERSED)] {
            if !AMBIGUOUS.contains(&other.as_str()) && table.get(hash(key(&other))) & WORD == 0 {
                table.add(&other, bit);
            }
        }
    }
    table
});

/// The words by what stays the same when their inner letters change places; of two that share it, neither.
static SCRAMBLED: LazyLock<HashMap<u128, Option<&'static str>>> = LazyLock::new(|| {
    let mut known = HashMap::<u128, Option<&'static str>>::new();
    for word in WORDS.split_ascii_whitespace() {
        known
            .entry(outline(word))
            .and_modify(|other| *other = other.filter(|other| *other == word))
            .or_insert(Some(word));
    }
    known
});

/// The first letter, those between in the order of the alphabet, and the last, of a word of at most [`LONGEST`] letters.
fn outline(word: &str) -> u128 {
    let mut letters = [0; LONGEST];
    for (place, byte) in letters.iter_mut().zip(word.bytes()) {
        *place = byte.to_ascii_lowercase();
    }
    if let Some(inner) = letters.get_mut(1..word.len().clamp(2, LONGEST) - 1) {
        inner.sort_unstable();
    }
    u128::from_be_bytes(letters)
}

/// The known word whose inner letters these are in another order, of at most [`LONGEST`] letters.
pub(super) fn unscrambled(word: &str) -> Option<&'static str> {
    SCRAMBLED.get(&outline(word)).copied().flatten()
}

/// A letter 13 places on; other bytes stay.
pub(super) const fn rotate(byte: u8) -> u8 {
    match byte {
        b'a'..=b'm' | b'A'..=b'M' => byte + 13,
        b'n'..=b'z' | b'N'..=b'Z' => byte - 13,
        _ => byte,
    }
}

/// A word of at most [`LONGEST`] lower-case letters as a number.
pub(super) fn key(word: &str) -> u128 {
    word.bytes().fold(0, |key, byte| key << 8 | u128::from(byte))
}

fn hash(key: u128) -> u64 {
    let (low, high) = (key as u64, (key >> 64) as u64);
    let mixed = (low ^ high.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93)
}

/// What is known of a word: [`WORD`], [`ROTATED`], [`REVERSED`].
pub(super) fn look_up(key: u128) -> u8 {
    TABLE.get(hash(key))
}

/// The keys of the words of a text that are long enough to tell something and short enough to be known.
pub(super) fn of(text: &str) -> impl Iterator<Item = u128> {
    let words = text.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| (3..=LONGEST).contains(&word.len()));
    words.map(|word| key(&word.to_ascii_lowercase()))
}
