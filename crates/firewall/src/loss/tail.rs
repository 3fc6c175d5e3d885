//! How much of the end of a text may still become a hit.

use super::context;
use super::number::LONGEST_NUMBER;
use super::{LONGEST, LONGEST_RUN, secret};

/// Bytes at the end of a text in which a number may go on, or be followed by a word that says what it is.
const NUMBERS: usize = LONGEST_NUMBER + context::AFTER + 16;
/// Bytes of the announcement of a key.
const ANNOUNCEMENT: &[u8] = b"-----BEGIN ";

/// Whatever comes after a text, hits that begin before this offset are those that are there now; the offset is a boundary of
/// characters. A hit that crosses it begins before it and may yet grow: who lets go of text lowers the offset to its start.
pub(super) fn unfinished(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut from = run(bytes).min(numbers(bytes)).min(short_word(bytes));
    for start in blocks(bytes) {
        from = from.min(start);
    }
    (0..=from).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// The last run without white space. A longer one is no token, unless it may be one of those without a bound.
fn run(bytes: &[u8]) -> usize {
    let length = bytes.iter().rev().take(LONGEST_RUN).take_while(|byte| byte.is_ascii_graphic()).count();
    let start = bytes.len() - length;
    if length <= LONGEST {
        return start;
    }
    let jwt = bytes.get(start..).and_then(|run| memchr::memmem::find(run, b"eyJ")).map(|at| start + at);
    jwt.unwrap_or(bytes.len()).min(bytes.len() - LONGEST)
}

/// The first word with a digit near the end, and the short word before it.
fn numbers(bytes: &[u8]) -> usize {
    let near = bytes.len().saturating_sub(NUMBERS);
    let Some(digit) = bytes.get(near..).and_then(|rest| rest.iter().position(u8::is_ascii_digit)) else {
        return bytes.len();
    };
    let at = near + digit;
    let before = bytes.get(..at).unwrap_or_default();
    let word = before.iter().rev().take(64).take_while(|byte| byte.is_ascii_graphic()).count();
    let start = at - word;
    let front = bytes.get(..start).unwrap_or_default();
    let gap = front.iter().rev().take(1).take_while(|byte| **byte == b' ').count();
    let letters = front.iter().rev().skip(gap).take(4).take_while(|byte| byte.is_ascii_alphabetic()).count();
    start - gap - letters
}

/// A word of a few letters at the end, with a blank behind it: a number may begin so.
fn short_word(bytes: &[u8]) -> usize {
    let blank = bytes.iter().rev().take(1).take_while(|byte| **byte == b' ').count();
    let letters = bytes.iter().rev().skip(blank).take(4).take_while(|byte| byte.is_ascii_alphabetic()).count();
    let short = if letters <= 2 { letters } else { 0 };
    bytes.len() - blank - short
}

/// Keys that have begun and have not ended.
fn blocks(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let from = bytes.len().saturating_sub(LONGEST_RUN);
    let near = bytes.get(from..).unwrap_or_default();
    let pem = memchr::memmem::rfind(near, ANNOUNCEMENT).map(|at| from + at);
    let pem = pem.filter(|start| match secret::pem(bytes, *start) {
        Some((_, open)) => open,
        // The announcement itself is unfinished.
        None => bytes.len() - start < 96,
    });
    let putty = memchr::memmem::rfind(near, b"Private-Lines: ").map(|at| from + at);
    pem.into_iter().chain(putty.filter(|start| secret::putty(bytes, *start).1))
}
