//! One pass over the words of a text, which finds where the decoders that work on words have something to do.

use std::ops::Range;

use super::hex::{Codes, CodesFinder};
use super::leet::LeetFinder;
use super::scrambled::ScrambledFinder;
use super::spaced::{Singles, SinglesFinder};
use super::turned::TurnedFinder;
use super::words::{self, LONGEST};

/// An ASCII letter.
pub(super) const LETTER: u8 = 1;
/// A decimal digit.
pub(super) const DIGIT: u8 = 2;
/// A part of a character that is not ASCII.
pub(super) const OTHER: u8 = 4;
/// A sign that is used for a letter, within a word.
pub(super) const SIGN: u8 = 8;
/// A hexadecimal digit.
pub(super) const HEX: u8 = 16;

const CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::indexing_slicing, reason = "less than 256, and this is evaluated by the compiler")]
        {
            table[byte] = match byte as u8 {
                b'a'..=b'f' | b'A'..=b'F' => LETTER | HEX,
                b'g'..=b'z' | b'G'..=b'Z' => LETTER,
                b'0'..=b'9' => DIGIT | HEX,
                b'@' | b'$' | b'!' => SIGN,
                128.. => OTHER,
                _ => 0,
            };
        }
        byte += 1;
    }
    table
};

/// What kind of byte it is.
pub(super) fn class(byte: u8) -> u8 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(0)
}

/// A run of letters, digits and characters that are not ASCII.
#[derive(Debug)]
pub(super) struct Token<'a> {
    pub text: &'a str,
    pub start: usize,
    pub end: usize,
    /// All kinds of bytes in it.
    pub any: u8,
    /// What all of its bytes are.
    pub all: u8,
    /// What is known of it as a word.
    pub word: u8,
}

/// What the decoders of words are to look at.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub rotated: Vec<Range<usize>>,
    pub reversed: Vec<Range<usize>>,
    pub leet: Vec<Range<usize>>,
    pub scrambled: Vec<(Range<usize>, &'static str)>,
    pub singles: Vec<Singles>,
    pub codes: Vec<Codes>,
}

/// Whether a sign before this byte is within a word.
fn joins(next: Option<&u8>) -> bool {
    next.is_some_and(|next| class(*next) & (LETTER | DIGIT) != 0)
}

pub(super) fn read(text: &str) -> Found {
    let mut rotated = TurnedFinder::new(text, words::ROTATED);
    let mut reversed = TurnedFinder::new(text, words::REVERSED);
    let mut leet = LeetFinder::new(text);
    let mut scrambled = ScrambledFinder::default();
    let mut singles = SinglesFinder::default();
    let mut codes = CodesFinder::default();
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        // Signs that begin no word are between words, too.
        let gap = rest.iter().take_while(|byte| class(**byte) == 0).count();
        at += gap;
        let rest = rest.get(gap..).unwrap_or_default();
        let (mut any, mut all, mut key, mut length) = (0, u8::MAX, 0_u128, 0);
        for byte in rest {
            let class = class(*byte);
            if class == 0 || class == SIGN && !joins(rest.get(length + 1)) {
                break;
            }
            any |= class;
            all &= class;
            key = key << 8 | u128::from(*byte | 0x20);
            length += 1;
        }
        if length == 0 {
            at += 1;
            continue;
        }
        let mut token = Token {
            text: text.get(at..at + length).unwrap_or_default(),
            start: at,
            end: at + length,
            any,
            all,
            word: 0,
        };
        at = token.end;
        if all & LETTER != 0 && (2..=LONGEST).contains(&length) {
            token.word = words::look_up(key);
            if token.word != 0 {
                rotated.token(&token);
                reversed.token(&token);
            }
            if token.word & words::WORD == 0 {
                scrambled.token(&token);
            }
        } else if any & LETTER != 0 && any & (DIGIT | SIGN) != 0 && any & OTHER == 0 {
            leet.token(&token);
        }
        if length == 1 || all == OTHER && length <= 4 {
            singles.token(text, &token);
        } else {
            singles.end();
        }
        if all & HEX != 0 || any & DIGIT != 0 {
            codes.token(&token);
        } else {
            codes.end();
        }
    }
    Found {
        rotated: rotated.finish(),
        reversed: reversed.finish(),
        leet: leet.finish(),
        scrambled: scrambled.finish(),
        singles: singles.finish(),
        codes: codes.finish(),
    }
}
