//! Letters that were set apart, by spaces, dashes, dots or line ends.

use std::ops::Range;

use crate::view::{Span, View};

use super::stretches::Around;
use super::tokens::{LETTER, OTHER, Token};
use super::words::{self, LONGEST, WORD};
use super::{Patches, Stretches};

const AROUND: Around = Around { before: 40, after: 40 };
/// Fewest letters in a row.
const FEWEST: usize = 5;
/// What stands between two letters is no longer, in bytes.
const WIDEST: usize = 8;
/// So many letters without a mark between words are cut into words.
const FEWEST_TO_CUT: usize = 10;

/// Single letters in a row.
#[derive(Clone, Debug)]
pub(super) struct Singles {
    pub place: Range<usize>,
    /// The least that stands between two of them, in bytes.
    gap: usize,
    /// Whether there is somewhere more.
    uneven: bool,
    /// Whether no white space stands between most of them: then it stands between words.
    marked: bool,
}

/// Finds single letters in a row.
#[derive(Debug, Default)]
pub(super) struct SinglesFinder {
    found: Vec<Singles>,
    start: usize,
    end: usize,
    letters: usize,
    gap: usize,
    widest: usize,
    /// How often there is white space between two, and how often not.
    white: usize,
    marks: usize,
}

impl SinglesFinder {
    /// Takes a short token, which may be a single letter.
    pub fn token(&mut self, text: &str, token: &Token<'_>) {
        if token.text.chars().nth(1).is_some() {
            self.end();
            return;
        }
        let gap = token.start - self.end;
        let between = text.get(self.end..token.start).unwrap_or_default();
        if self.letters > 0 && (gap > WIDEST || is_listed(between)) {
            self.close();
        }
        if self.letters == 0 {
            (self.start, self.gap, self.widest) = (token.start, usize::MAX, 0);
            (self.white, self.marks) = (0, 0);
        } else {
            (self.gap, self.widest) = (self.gap.min(gap), self.widest.max(gap));
            *if is_white(between) { &mut self.white } else { &mut self.marks } += 1;
        }
        self.end = token.end;
        // Digits may be between letters, but do not count.
        let letter = token.any & LETTER != 0 || token.any & OTHER != 0 && token.text.chars().all(char::is_alphabetic);
        self.letters += usize::from(letter || self.letters > 0);
    }

    /// Something else comes between.
    #[inline]
    pub fn end(&mut self) {
        if self.letters > 0 {
            self.close();
        }
    }

    fn close(&mut self) {
        if self.letters >= FEWEST {
            let marked = self.marks > self.white;
            self.found.push(Singles {
                place: self.start..self.end,
                gap: self.gap,
                uneven: self.widest > self.gap || marked && self.white > 0,
                marked,
            });
        }
        self.letters = 0;
    }

    pub fn finish(mut self) -> Vec<Singles> {
        self.close();
        self.found
    }
}

fn is_white(gap: &str) -> bool {
    gap.contains(char::is_whitespace)
}

/// Whether this stands between the members of a list of a program.
fn is_listed(gap: &str) -> bool {
    gap.contains(['"', '\'', '[', ']', '(', ')', '{', '}', '=', '<', '>', '&'])
}

pub(super) fn decode(text: &str, rows: &[Singles], room: usize) -> Stretches {
    let mut out = Patches::new(text, AROUND, 1, room);
    for row in rows {
        if !out.put_view(row.place.clone(), &join(text, row), 1) {
            break;
        }
    }
    out.finish()
}

fn join(text: &str, row: &Singles) -> View {
    let piece = text.get(row.place.clone()).unwrap_or_default();
    let mut letters: Vec<(Span, char, bool)> = Vec::with_capacity(piece.len() / 2 + 1);
    let mut last = 0;
    for (at, c) in piece.char_indices().filter(|(_, c)| c.is_alphanumeric() || !c.is_ascii()) {
        let span = Span { start: row.place.start + at, end: row.place.start + at + c.len_utf8() };
        let between = piece.get(last..at).unwrap_or_default();
        letters.push((span, c, at > 0 && (between.len() > row.gap || row.marked && is_white(between))));
        last = at + c.len_utf8();
    }
    if !row.uneven && letters.len() >= FEWEST_TO_CUT {
        cut(&mut letters);
    }
    let mut view = View::default();
    let mut letters = letters.into_iter().peekable();
    while let Some((span, c, begins)) = letters.next() {
        if begins {
            view.put(" ", Span { start: span.start, end: span.start });
        }
        // What is between two letters goes with the first.
        let end = letters.peek().map_or(span.end, |(next, _, _)| next.start);
        view.put(c.encode_utf8(&mut [0; 4]), Span { start: span.start, end });
    }
    view
}

/// Marks where the words begin in letters that have no mark of it: always the longest one that is known.
fn cut(letters: &mut [(Span, char, bool)]) {
    let mut at = 0;
    let mut known = true;
    while at < letters.len() {
        let (mut key, mut best) = (0_u128, 0);
        for (length, (_, c, _)) in letters.iter().skip(at).take(LONGEST).enumerate() {
            let Some(byte) = u8::try_from(*c).ok().filter(u8::is_ascii_alphabetic) else { break };
            key = key << 8 | u128::from(byte.to_ascii_lowercase());
            if length > 0 && words::look_up(key) & WORD != 0 {
                best = length + 1;
            }
        }
        if let Some((_, _, begins)) = letters.get_mut(at) {
            *begins = at > 0 && (best > 0 || known);
        }
        known = best > 0;
        at += best.max(1);
    }
}
