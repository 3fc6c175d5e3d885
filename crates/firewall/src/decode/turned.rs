//! Each letter 13 places on, and texts from back to front. Both are found by the words that they make.

use std::ops::Range;

use memchr::{memchr, memrchr};

use crate::view::{Span, View};

use super::Stretches;
use super::tokens::Token;
use super::words::{self, WORD};

/// Fewest words that a stretch makes.
const FEWEST: usize = 3;
/// So many words that are words already end a stretch.
const MOST_PLAIN: usize = 3;
/// Two words further apart, in bytes, are of two stretches.
const GAP: usize = 160;
/// So many bytes in front and behind belong to a stretch if they are on its line.
const MARGIN: usize = 160;
/// Most bytes that are turned around.
const MOST_REVERSED: usize = 256 << 10;

/// Finds stretches of words that are words in another way.
#[derive(Debug)]
pub(super) struct TurnedFinder<'a> {
    text: &'a str,
    bit: u8,
    found: Vec<Range<usize>>,
    start: usize,
    end: usize,
    hits: usize,
    plain: usize,
    /// Plain words since the last hit, and where the first of them begins.
    since: usize,
    stop: usize,
    /// Where the last plain word ends.
    last: usize,
    left: usize,
}

impl<'a> TurnedFinder<'a> {
    pub fn new(text: &'a str, bit: u8) -> Self {
        let found = Vec::new();
        Self { text, bit, found, start: 0, end: 0, hits: 0, plain: 0, since: 0, stop: 0, last: 0, left: 0 }
    }

    /// Takes a word of which something is known.
    pub fn token(&mut self, token: &Token<'_>) {
        if token.word & WORD != 0 {
            self.last = token.end;
            if self.hits > 0 {
                if self.since == 0 {
                    self.stop = token.start;
                }
                self.since += 1;
                if self.since >= MOST_PLAIN {
                    self.close();
                }
            }
        } else if token.word & self.bit != 0 {
            if self.hits > 0 && token.start - self.end > GAP {
                self.close();
            }
            if self.hits == 0 {
                (self.start, self.left) = (token.start, self.last);
            }
            self.hits += 1;
            self.end = token.end;
            self.plain += self.since;
            self.since = 0;
        }
    }

    fn close(&mut self) {
        if self.hits >= FEWEST && self.hits > 2 * self.plain {
            let from = self.text.ceil_char_boundary(self.start.saturating_sub(MARGIN)).max(self.left).min(self.start);
            let before = self.text.get(from..self.start).unwrap_or_default();
            let from = memrchr(b'\n', before.as_bytes()).map_or(from, |line| from + line + 1);
            let most = if self.since > 0 { self.stop } else { self.text.len() };
            let upto = self.text.floor_char_boundary(self.end + MARGIN).min(most).max(self.end);
            let behind = self.text.get(self.end..upto).unwrap_or_default();
            let upto = memchr(b'\n', behind.as_bytes()).map_or(upto, |line| self.end + line);
            match self.found.last_mut() {
                Some(last) if last.end >= from => last.end = last.end.max(upto),
                _ => self.found.push(from..upto),
            }
        }
        (self.hits, self.plain, self.since) = (0, 0, 0);
    }

    pub fn finish(mut self) -> Vec<Range<usize>> {
        if self.hits > 0 {
            self.close();
        }
        self.found
    }
}

pub(super) fn rot13(text: &str, places: &[Range<usize>], room: usize) -> Stretches {
    let mut out = Stretches::new(room);
    for place in places {
        let piece = text.get(place.clone()).unwrap_or_default();
        let turn =
            |c: char| if c.is_ascii() { u8::try_from(c).map_or(c, |byte| char::from(words::rotate(byte))) } else { c };
        let mut view = View::default();
        view.copy(&piece.chars().map(turn).collect::<String>(), place.start);
        out.add(&view);
    }
    out
}

pub(super) fn reversed(text: &str, places: &[Range<usize>], room: usize) -> Stretches {
    let mut out = Stretches::new(room);
    let mut rest = MOST_REVERSED;
    for place in places {
        let end = text.floor_char_boundary(place.end.min(place.start + rest));
        rest -= end.saturating_sub(place.start);
        if end < place.end {
            out.cut();
        }
        let mut view = View::default();
        for (at, c) in text.get(place.start..end).unwrap_or_default().char_indices().rev() {
            let start = place.start + at;
            view.put(c.encode_utf8(&mut [0; 4]), Span { start, end: start + c.len_utf8() });
        }
        out.add(&view);
    }
    out
}
