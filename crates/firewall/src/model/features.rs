//! What the model sees of a folded text: words and their neighbours, concepts, how words begin, and the marks between them.

use super::concepts::{Concept, Concepts};
use super::hash::{self, Key, join, pair, spread};

/// How many bits the number of a feature has.
pub const BITS: u32 = 20;
/// How many features there are.
pub const COUNT: usize = 1 << BITS;
/// Changes whenever the same text has other features than before: weights are of no use then.
pub const VERSION: u16 = 1;

/// Concepts farther apart than this have nothing to do with one another. A word counts as 2, a Chinese character as 1.
const REACH: u32 = 24;
/// Concepts this near stand together.
const NEAR: u32 = 8;
/// What stands for any number.
const NUMBER: Key = 0x30;
/// Marks are told from words by these bits.
const MARK: Key = 0x4d00_0000;

/// Kinds of features are told apart by these numbers.
mod kind {
    pub const WORD: u64 = 1;
    pub const TWO: u64 = 2;
    pub const THREE: u64 = 3;
    pub const SKIP: u64 = 4;
    pub const START: u64 = 6;
    pub const START_TWO: u64 = 7;
    pub const MARKED: u64 = 8;
    pub const MARKED_TWO: u64 = 9;
    pub const HAN: [u64; 4] = [10, 11, 12, 13];
    pub const CONCEPT: u64 = 14;
    pub const CONCEPTS: u64 = 15;
    pub const CONCEPTS_NEAR: u64 = 16;
    pub const CONCEPTS_THREE: u64 = 17;
    pub const LOOSE_TWO: u64 = 18;
    pub const LOOSE_THREE: u64 = 19;
    pub const STEM: u64 = 20;
    pub const STEM_TWO: u64 = 21;
    pub const LETTERS: u64 = 22;
}

/// What a byte begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Digit,
    Space,
    Mark,
    /// A character of a script that has no spaces.
    Han,
    /// Some other character, which is no letter.
    Symbol,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Mark; 256];
    let mut byte = 0_u8;
    loop {
        let class = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | 0x80..=0xbf | 0xc3..=0xe1 => Class::Letter,
            b'0'..=b'9' => Class::Digit,
            b' ' | b'\t' | b'\r' | 0 => Class::Space,
            0xe3..=0xed => Class::Han,
            0xc0..=0xc2 | 0xe2 | 0xee..=0xff => Class::Symbol,
            _ => Class::Mark,
        };
        #[expect(clippy::indexing_slicing, reason = "computed at compile time")]
        {
            classes[byte as usize] = class;
        }
        if byte == u8::MAX {
            break;
        }
        byte += 1;
    }
    classes
};

fn class(byte: u8) -> Class {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(Class::Mark)
}

/// Hands all features of a folded text to `take`, with the byte at which each is complete, in that order.
pub fn features(concepts: &Concepts, text: &str, take: impl FnMut(usize, u32)) {
    let mut reader = Reader {
        concepts,
        take,
        at: 0,
        words: (0, 0, 0),
        loose: (0, 0),
        tokens: (0, 0),
        since_start: 0,
        stem: 0,
        han: (0, 0, 0),
        near: [(0, 0); 4],
        count: 2 * REACH,
    };
    reader.read(text);
}

struct Reader<'a, F> {
    concepts: &'a Concepts,
    take: F,
    /// How far the text was read, in bytes.
    at: usize,
    /// The last words, the newest first.
    words: (Key, Key, Key),
    /// The same, where a word that has a concept is that.
    loose: (Key, Key),
    /// The last words and marks, the newest first.
    tokens: (Key, Key),
    /// How many words this sentence has so far.
    since_start: u32,
    /// How the last word begins.
    stem: Key,
    /// The last character, the last two, the last three of a script without spaces.
    han: (Key, Key, Key),
    /// The last concepts and where they stood, the newest first.
    near: [(Concept, u32); 4],
    /// Where we are, in the measure of [`REACH`].
    count: u32,
}

impl<F: FnMut(usize, u32)> Reader<'_, F> {
    fn emit(&mut self, kind: u64, key: Key) {
        (self.take)(self.at, spread(kind << 40 | u64::from(key)) >> (32 - BITS));
    }

    fn read(&mut self, text: &str) {
        let bytes = text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            let from = self.at;
            match class(*byte) {
                Class::Letter => {
                    self.skip(bytes, Class::Letter);
                    let word = bytes.get(from..self.at).unwrap_or_default();
                    // Five letters, each time two on.
                    for letters in word.windows(5).skip(1).step_by(2).filter_map(<[u8]>::first_chunk) {
                        self.emit(kind::LETTERS, hash::stem(letters));
                    }
                    self.word(hash::word(word), word.first_chunk().map_or(0, hash::stem));
                }
                Class::Digit => {
                    self.skip(bytes, Class::Digit);
                    self.word(NUMBER, 0);
                }
                Class::Space => self.skip(bytes, Class::Space),
                Class::Mark => {
                    let run = bytes.iter().skip(from).take_while(|next| *next == byte).count();
                    self.at += run;
                    self.mark(Key::from(*byte), run);
                }
                Class::Han | Class::Symbol => {
                    let Some(c) = text.get(from..).and_then(|rest| rest.chars().next()) else { break };
                    self.at += c.len_utf8();
                    match c {
                        '\u{3000}'..='\u{303f}' => self.mark(c as Key, 1),
                        '\u{20000}'.. => self.han(c),
                        _ if class(*byte) == Class::Han => self.han(c),
                        _ => self.mark(c as Key, 1),
                    }
                }
            }
        }
    }

    fn skip(&mut self, bytes: &[u8], of: Class) {
        self.at += bytes.iter().skip(self.at).take_while(|byte| class(**byte) == of).count();
    }

    fn word(&mut self, word: Key, stem: Key) {
        self.han = (0, 0, 0);
        self.count += 2;
        let concept = self.concepts.of(word);
        let loose = if concept == 0 { word } else { Key::from(concept) };
        let (one, two, three) = self.words;
        self.emit(kind::WORD, word);
        if stem != 0 {
            self.emit(kind::STEM, stem);
            self.emit(kind::STEM_TWO, pair(self.stem, stem));
            self.stem = stem;
        }
        self.emit(kind::TWO, pair(one, word));
        self.emit(kind::THREE, pair(pair(two, one), word));
        self.emit(kind::SKIP, pair(two, word));
        self.emit(kind::SKIP + 1, pair(three, word));
        if loose != word || self.loose.0 != one {
            self.emit(kind::LOOSE_TWO, pair(self.loose.0, loose));
        }
        if loose != word || self.loose.0 != one || self.loose.1 != two {
            self.emit(kind::LOOSE_THREE, pair(pair(self.loose.1, self.loose.0), loose));
        }
        match self.since_start {
            0 => self.emit(kind::START, word),
            1 => self.emit(kind::START_TWO, pair(self.loose.0, loose)),
            2 => self.emit(kind::START_TWO, pair(pair(self.loose.1, self.loose.0), loose)),
            _ => {}
        }
        self.after_mark(loose);
        self.since_start += 1;
        self.words = (word, one, two);
        self.loose = (loose, self.loose.0);
        if concept != 0 {
            self.concept(concept);
        }
    }

    /// What stands behind a mark.
    fn after_mark(&mut self, token: Key) {
        let (one, two) = self.tokens;
        if one & 0xff00_0000 == MARK {
            self.emit(kind::MARKED, pair(one, token));
            self.emit(kind::MARKED_TWO, pair(pair(two, one), token));
        }
        self.tokens = (token & !MARK, one);
    }

    fn mark(&mut self, mark: Key, run: usize) {
        self.han = (0, 0, 0);
        let run = if run > 3 { 3 } else { run as Key };
        let token = MARK | (mark << 2 & 0x00ff_ffff) | run;
        let (one, two) = self.tokens;
        self.emit(kind::MARKED, pair(one, token));
        self.emit(kind::MARKED_TWO, pair(pair(two, one), token));
        self.tokens = (token, one);
        if matches!(char::from_u32(mark), Some('\n' | '.' | '!' | '?' | ':' | ';' | '。' | '"' | '\'')) {
            self.since_start = 0;
        }
    }

    fn han(&mut self, c: char) {
        self.count += 1;
        let (one, two, three) = self.han;
        let runs = (join(0, c), join(one, c), join(two, c));
        let four = join(three, c);
        let concept = [(three, four), (two, runs.2), (one, runs.1), (1, runs.0)]
            .into_iter()
            .filter(|(before, _)| *before != 0)
            .map(|(_, run)| self.concepts.of(run))
            .find(|concept| *concept != 0);
        let all = [(1, runs.0), (one, runs.1), (two, runs.2), (three, four)];
        for ((before, run), kind) in all.into_iter().zip(kind::HAN) {
            if before != 0 {
                self.emit(kind, run);
            }
        }
        match self.since_start {
            1 => self.emit(kind::START, runs.1),
            2 => self.emit(kind::START_TWO, runs.2),
            _ => {}
        }
        self.after_mark(runs.0);
        self.since_start += 1;
        self.han = (runs.0, if one == 0 { 0 } else { runs.1 }, if two == 0 { 0 } else { runs.2 });
        if let Some(concept) = concept {
            self.concept(concept);
        }
    }

    fn concept(&mut self, concept: Concept) {
        let here = self.count;
        let [first, second, third, fourth] = self.near;
        if first.0 == concept && here - first.1 <= 3 {
            self.near = [(concept, here), second, third, fourth];
            return;
        }
        let key = Key::from(concept);
        self.emit(kind::CONCEPT, key);
        for (other, at) in [first, second, third, fourth] {
            let away = here - at;
            if other == 0 || away > REACH {
                break;
            }
            self.emit(kind::CONCEPTS, pair(Key::from(other), key));
            if away <= NEAR {
                self.emit(kind::CONCEPTS_NEAR, pair(Key::from(other), key));
            }
        }
        if second.0 != 0 && here - second.1 <= REACH {
            self.emit(kind::CONCEPTS_THREE, pair(pair(Key::from(second.0), Key::from(first.0)), key));
        }
        self.near = [(concept, here), first, second, third];
    }
}
