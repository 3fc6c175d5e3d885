//! Digits and signs that stand for letters.

use std::ops::Range;

use memchr::{memchr, memrchr};

use crate::view::View;

use super::Stretches;
use super::tokens::{DIGIT, LETTER, SIGN, Token, class};
use super::words::{self, LONGEST, WORD};

/// So many words that are known once they are read so, or one and [`FEWEST_TOKENS`] that may be.
const FEWEST_WORDS: usize = 2;
const FEWEST_TOKENS: usize = 3;
/// Two further apart, in bytes, are of two stretches.
const GAP: usize = 80;
/// So many bytes in front and behind belong to a stretch if they are on its line.
const MARGIN: usize = 80;

/// What a digit or sign stands for; `1` and its kind are `i` or `l`.
const fn letter(byte: u8) -> u8 {
    match byte {
        b'0' => b'o',
        b'1' | b'!' => b'i',
        b'2' => b'z',
        b'3' => b'e',
        b'4' | b'@' => b'a',
        b'5' | b'$' => b's',
        b'6' | b'9' => b'g',
        b'7' => b't',
        b'8' => b'b',
        _ => byte.to_ascii_lowercase(),
    }
}

const fn is_one(byte: u8) -> bool {
    matches!(byte, b'1' | b'!')
}

/// What a word says when it is read so: the way that makes it a known one, else the likelier one.
fn read(word: &str) -> (String, bool) {
    let with_i: String = word.bytes().map(|byte| char::from(letter(byte))).collect();
    let known = |word: &str| word.len() <= LONGEST && words::look_up(words::key(word)) & WORD != 0;
    if known(&with_i) {
        return (with_i, true);
    }
    if !word.bytes().any(is_one) {
        return (with_i, false);
    }
    let with_l: String = word.bytes().map(|byte| char::from(if is_one(byte) { b'l' } else { letter(byte) })).collect();
    let known = known(&with_l);
    // Two in a row are `ll`.
    let twice = word.as_bytes().windows(2).any(|pair| matches!(pair, [one, two] if is_one(*one) && is_one(*two)));
    if known || twice { (with_l, known) } else { (with_i, false) }
}

/// Finds stretches of such words.
#[derive(Debug)]
pub(super) struct LeetFinder<'a> {
    text: &'a str,
    found: Vec<Range<usize>>,
    start: usize,
    end: usize,
    tokens: usize,
    words: usize,
}

impl<'a> LeetFinder<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, found: Vec::new(), start: 0, end: 0, tokens: 0, words: 0 }
    }

    /// Takes a token in which there are letters and digits or signs.
    pub fn token(&mut self, token: &Token<'_>) {
        if token.text.len() > LONGEST {
            return;
        }
        if self.tokens > 0 && token.start - self.end > GAP {
            self.close();
        }
        if self.tokens == 0 {
            self.start = token.start;
        }
        self.end = token.end;
        self.tokens += 1;
        self.words += usize::from(token.text.len() > 2 && read(token.text).1);
    }

    fn close(&mut self) {
        if self.words >= FEWEST_WORDS || self.words == 1 && self.tokens >= FEWEST_TOKENS {
            let from = self.text.ceil_char_boundary(self.start.saturating_sub(MARGIN)).min(self.start);
            let before = self.text.get(from..self.start).unwrap_or_default();
            let from = memrchr(b'\n', before.as_bytes()).map_or(from, |line| from + line + 1);
            let upto = self.text.floor_char_boundary(self.end + MARGIN).max(self.end);
            let behind = self.text.get(self.end..upto).unwrap_or_default();
            let upto = memchr(b'\n', behind.as_bytes()).map_or(upto, |line| self.end + line);
            match self.found.last_mut() {
                Some(last) if last.end >= from => last.end = last.end.max(upto),
                _ => self.found.push(from..upto),
            }
        }
        (self.tokens, self.words) = (0, 0);
    }

    pub fn finish(mut self) -> Vec<Range<usize>> {
        if self.tokens > 0 {
            self.close();
        }
        self.found
    }
}

pub(super) fn decode(text: &str, places: &[Range<usize>], room: usize) -> Stretches {
    let mut out = Stretches::new(room);
    for place in places {
        let piece = text.get(place.clone()).unwrap_or_default();
        let bytes = piece.as_bytes();
        let mut view = View::default();
        let (mut at, mut kept) = (0, 0);
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let kinds = |byte: &u8| class(*byte) & (LETTER | DIGIT | SIGN);
            let length = rest.iter().take_while(|byte| kinds(byte) != 0).count();
            // A sign at the end is one of punctuation.
            let ends = rest.iter().take(length).rev().take_while(|byte| kinds(byte) == SIGN).count();
            let word = piece.get(at..at + length - ends).unwrap_or_default();
            let any = word.bytes().fold(0, |any, byte| any | kinds(&byte));
            if any & LETTER != 0 && any & (DIGIT | SIGN) != 0 {
                let (decoded, _) = read(word);
                view.copy(piece.get(kept..at).unwrap_or_default(), place.start + kept);
                view.copy(&decoded, place.start + at);
                kept = at + word.len();
            }
            at += length.max(1);
        }
        view.copy(piece.get(kept..).unwrap_or_default(), place.start + kept);
        out.add(&view);
    }
    out
}
