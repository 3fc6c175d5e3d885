//! Codes of characters as numbers: hexadecimal in pairs, decimal, binary.

use std::ops::Range;

use crate::view::Span;

use super::tokens::{DIGIT, HEX, Token};
use super::words::{self, WORD};
use super::{Stretches, readable};

/// Fewest bytes that are a text.
const FEWEST: usize = 8;

/// How the numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// In pairs of hexadecimal digits.
    Sixteen,
    /// In decimal, of two or three digits.
    Ten,
    /// In eight bits.
    Two,
}

/// A row of numbers with little between them.
#[derive(Clone, Debug)]
pub(super) struct Codes {
    pub base: Base,
    /// Where their digits stand, of all numbers or of several in one.
    pub digits: Vec<Range<usize>>,
    pub bytes: usize,
}

pub(super) fn decode(text: &str, rows: &[Codes], room: usize) -> Stretches {
    let mut out = Stretches::new(room);
    for row in rows.iter().filter(|row| row.bytes >= FEWEST) {
        let (mut bytes, mut spans) = (Vec::with_capacity(row.bytes), Vec::with_capacity(row.bytes));
        for place in &row.digits {
            let digits = text.get(place.clone()).unwrap_or_default();
            let (radix, width) = match row.base {
                Base::Sixteen => (16, 2),
                Base::Ten => (10, digits.len()),
                Base::Two => (2, 8),
            };
            let mut at = place.start;
            for number in digits.as_bytes().chunks(width) {
                let number = std::str::from_utf8(number).unwrap_or_default();
                bytes.push(u8::from_str_radix(number, radix).unwrap_or(0));
                spans.push(Span { start: at, end: at + number.len() });
                at += number.len();
            }
        }
        let views = readable(&bytes, |at| spans.get(at).copied().unwrap_or(Span { start: 0, end: 0 }));
        for view in &views {
            // Tables hold rows of small numbers.
            if row.base == Base::Sixteen || words::of(view.text()).any(|word| words::look_up(word) & WORD != 0) {
                out.add(view);
            }
        }
    }
    out
}

/// Most bytes between two numbers of a row.
const GAP: usize = 4;

/// Finds rows of numbers. What is a row in decimal may be one of pairs as well.
#[derive(Debug, Default)]
pub(super) struct CodesFinder {
    found: Vec<Codes>,
    decimal: Option<(Codes, usize)>,
    other: Option<(Codes, usize)>,
}

impl CodesFinder {
    /// Takes a token with a digit of some base.
    pub fn token(&mut self, token: &Token<'_>) {
        step(&mut self.decimal, &mut self.found, token, decimal(token));
        step(&mut self.other, &mut self.found, token, number(token));
    }

    /// Something else comes between.
    #[inline]
    pub fn end(&mut self) {
        for row in [&mut self.decimal, &mut self.other] {
            if row.is_some() {
                self.found.extend(row.take().map(|(row, _)| row).filter(|row| row.bytes >= FEWEST));
            }
        }
    }

    pub fn finish(mut self) -> Vec<Codes> {
        let rows = [self.decimal, self.other].into_iter().flatten().map(|(row, _)| row);
        self.found.extend(rows.filter(|row| row.bytes >= FEWEST));
        self.found.sort_by_key(|row| row.digits.first().map(|place| place.start));
        self.found
    }
}

/// Adds a number to a row, or ends the row.
fn step(
    row: &mut Option<(Codes, usize)>,
    found: &mut Vec<Codes>,
    token: &Token<'_>,
    number: Option<(Base, Range<usize>)>,
) {
    let Some((base, digits)) = number else {
        found.extend(row.take().map(|(row, _)| row).filter(|row| row.bytes >= FEWEST));
        return;
    };
    if row.as_ref().is_some_and(|(row, end)| row.base != base || token.start - end > GAP) {
        found.extend(row.take().map(|(row, _)| row).filter(|row| row.bytes >= FEWEST));
    }
    let (row, end) = row.get_or_insert_with(|| (Codes { base, digits: Vec::new(), bytes: 0 }, 0));
    row.bytes += if base == Base::Sixteen { digits.len() / 2 } else { 1 };
    row.digits.push(digits);
    *end = token.end;
}

fn decimal(token: &Token<'_>) -> Option<(Base, Range<usize>)> {
    let value = (token.all & DIGIT != 0 && token.text.len() <= 3).then(|| token.text.parse::<u8>().ok())??;
    matches!(value, 10 | 13 | 32..127).then_some((Base::Ten, token.start..token.end))
}

/// Where the digits of a number stand that may be a code in hexadecimal or binary digits.
fn number(token: &Token<'_>) -> Option<(Base, Range<usize>)> {
    let bytes = token.text.as_bytes();
    if bytes.len() == 8 && bytes.iter().all(|byte| matches!(byte, b'0' | b'1')) {
        return Some((Base::Two, token.start..token.end));
    }
    if token.all & HEX != 0 && bytes.len().is_multiple_of(2) {
        return Some((Base::Sixteen, token.start..token.end));
    }
    let skip = match bytes {
        [b'0', b'x' | b'X', ..] => 2,
        [b'x' | b'X', ..] => 1,
        _ => return None,
    };
    let digits = bytes.get(skip..).filter(|digits| digits.len() >= 2 && digits.len().is_multiple_of(2))?;
    digits.iter().all(u8::is_ascii_hexdigit).then_some((Base::Sixteen, token.start + skip..token.end))
}
