//! Numbers: every word with a digit in it, alone and together with the words that follow it at one separator's distance, is
//! held against the papers of its length.
//!
//! A text is read once. What is tried at a word reaches at most [`LONGEST_NUMBER`] bytes, so the work grows with the text only.

mod address;
mod iban;
mod papers;
mod payment;
mod phone;
mod wallet;

use std::cell::OnceCell;

use super::context::Topics;
use super::{Found, Page};

/// Bytes of a number with its separators.
pub(super) const LONGEST_NUMBER: usize = 48;
/// Letters and digits of a number.
const MOST_CHARACTERS: usize = 34;
/// Groups of letters and digits of a number.
const MOST_GROUPS: usize = 10;
/// Groups of one character in a number; there may be two more of two characters. A row of numbers has more.
const MOST_SHORT_GROUPS: usize = 2;
/// Letters and digits of the shortest number of a paper.
const SHORTEST: usize = 7;
/// Letters and digits of a word that is looked at.
const LONGEST_WORD: usize = 64;

/// What a number needs besides its form and its check digits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Nothing.
    Nothing,
    /// That it is not a part of something longer, or the right words near it.
    Clear,
    /// That it is written in its groups, or the right words near it.
    Groups,
    /// The right words near it.
    Words,
}

/// A run of letters and digits, or several with one separator between each two.
struct Number<'a> {
    page: &'a Page<'a>,
    /// Its letters, in upper case, and its digits.
    characters: [u8; MOST_CHARACTERS],
    length: usize,
    /// How many there are in each group.
    group_lengths: [u8; MOST_GROUPS],
    /// What stands behind each group but the last.
    between: [u8; MOST_GROUPS],
    parts: usize,
    start: usize,
    end: usize,
    /// Whether it has small letters other than an `x` at its end.
    small: bool,
    /// The topics of the words near it, once they have been asked for.
    topics: OnceCell<Topics>,
}

impl<'a> Number<'a> {
    fn at(page: &'a Page<'a>, start: usize) -> Self {
        Self {
            page,
            characters: [0; MOST_CHARACTERS],
            length: 0,
            group_lengths: [0; MOST_GROUPS],
            between: [0; MOST_GROUPS],
            parts: 0,
            start,
            end: start,
            small: false,
            topics: OnceCell::new(),
        }
    }

    /// Adds a word of the text; `false` if there is no room for it.
    fn push(&mut self, word: &[u8], end: usize) -> bool {
        let (Some(room), Some(group)) =
            (self.characters.get_mut(self.length..self.length + word.len()), self.group_lengths.get_mut(self.parts))
        else {
            return false;
        };
        room.copy_from_slice(word);
        room.make_ascii_uppercase();
        *group = u8::try_from(word.len()).unwrap_or(u8::MAX);
        let front = word.strip_suffix(b"x").unwrap_or(word);
        self.small |= front.iter().any(u8::is_ascii_lowercase);
        self.length += word.len();
        self.parts += 1;
        self.end = end;
        self.topics = OnceCell::new();
        true
    }

    fn compact(&self) -> &[u8] {
        self.characters.get(..self.length).unwrap_or_default()
    }

    fn groups(&self) -> &[u8] {
        self.group_lengths.get(..self.parts).unwrap_or_default()
    }

    fn separators(&self) -> &[u8] {
        self.between.get(..self.parts.saturating_sub(1)).unwrap_or_default()
    }

    fn topics(&self) -> Topics {
        *self.topics.get_or_init(|| self.page.near(self.start, self.end))
    }

    fn before(&self, back: usize) -> Option<u8> {
        self.start.checked_sub(back).and_then(|at| self.page.bytes.get(at)).copied()
    }

    fn after(&self, on: usize) -> Option<u8> {
        self.page.bytes.get(self.end + on).copied()
    }

    /// Whether it is the end or the beginning of a number with a point.
    fn is_decimal(&self) -> bool {
        let digit = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_digit());
        (self.before(1) == Some(b'.') && digit(self.before(2))) || (self.after(0) == Some(b'.') && digit(self.after(1)))
    }

    /// Whether it hangs together with more: a name, a path, a version.
    fn is_glued(&self) -> bool {
        let glue =
            |byte: Option<u8>| matches!(byte, Some(b'-' | b'.' | b'/' | b'+' | b':' | b'@' | b'~' | b'\\' | b'#'));
        let word = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        let near = |byte: Option<u8>| matches!(byte, Some(b'_' | b'%' | b'$'));
        near(self.before(1))
            || near(self.after(0))
            || (glue(self.before(1)) && (word(self.before(2)) || self.before(2) == self.before(1)))
            || (glue(self.after(0)) && word(self.after(1)))
    }

    /// Whether it stands in a row of groups of the same form, as in a table or in an identifier of many parts.
    fn is_in_a_row(&self) -> bool {
        let digit = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_digit());
        let word = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        let Some(separator) = self.separators().first().copied() else { return false };
        if separator != b' ' {
            return (self.before(1) == Some(separator) && word(self.before(2)))
                || (self.after(0) == Some(separator) && word(self.after(1)));
        }
        let first = usize::from(self.groups().first().copied().unwrap_or_default());
        let row_after =
            self.after(0) == Some(b' ') && (1..=first).all(|on| digit(self.after(on))) && !word(self.after(first + 1));
        let row_before = self.before(1) == Some(b' ')
            && (2..first + 2).all(|back| digit(self.before(back)))
            && !word(self.before(first + 2));
        row_after || row_before
    }

    /// Whether the groups are one of these, with one and the same separator between all of them.
    fn is_grouped(&self, groupings: &[&[u8]], separators: &[u8]) -> bool {
        let one = self.separators().first().is_some_and(|first| self.separators().iter().all(|other| other == first));
        let known = self.separators().iter().all(|separator| separators.contains(separator));
        one && known && groupings.contains(&self.groups())
    }

    /// Whether what it needs besides its form is there.
    fn is_met(&self, need: Need, topics: Topics) -> bool {
        if self.is_decimal() {
            return false;
        }
        let plain = match need {
            Need::Nothing => !self.small,
            Need::Clear => !self.small && !self.is_glued(),
            Need::Groups => !self.small && self.groups().len() > 1,
            Need::Words => false,
        };
        plain || self.topics() & topics != 0
    }

    /// What was found, more certain where the words near it say so.
    fn found(&self, kind: &'static str, rank: u8, topics: Topics) -> Found {
        let sure = if topics != 0 && self.topics() & topics != 0 { 20 } else { 0 };
        Found { kind, start: self.start, end: self.end, rank: rank + sure }
    }
}

/// Looks for numbers in a text.
pub(super) fn scan(page: &Page<'_>, found: &mut Vec<Found>) {
    let bytes = page.bytes;
    let mut at = 0;
    while let Some(digit) = bytes.get(at..).and_then(|rest| rest.iter().position(u8::is_ascii_digit)) {
        let digit = at + digit;
        let letters = bytes
            .get(at..digit)
            .map_or(0, |front| front.iter().rev().take_while(|byte| byte.is_ascii_alphabetic()).count());
        let start = digit - letters;
        let end = word_end(bytes, digit);
        if end - start <= LONGEST_WORD {
            word(page, start, end, found);
        }
        at = end;
    }
}

fn word_end(bytes: &[u8], from: usize) -> usize {
    bytes
        .get(from..)
        .and_then(|rest| rest.iter().position(|byte| !byte.is_ascii_alphanumeric()))
        .map_or(bytes.len(), |length| from + length)
}

/// What begins with a word: the word alone, then with those that follow.
fn word(page: &Page<'_>, start: usize, end: usize, found: &mut Vec<Found>) {
    address::word(page, start, end, found);
    let Some(word) = page.bytes.get(start..end) else { return };
    if word.len() >= 26 {
        wallet::word(page, start, end, found);
    }
    if word.len() > MOST_CHARACTERS {
        return;
    }
    phone::word(page, start, found);
    groups(page, start, found);
    // What begins with letters only: `AB 12 34 56 C`.
    if let Some(letters) = letters_before(page.bytes, start) {
        groups(page, letters, found);
    }
}

/// Where a short word of letters begins that ends a separator before `start`.
fn letters_before(bytes: &[u8], start: usize) -> Option<usize> {
    let separator = start.checked_sub(1)?;
    if !matches!(bytes.get(separator), Some(b' ' | b'-')) {
        return None;
    }
    let length = bytes.get(..separator)?.iter().rev().take(4).take_while(|byte| byte.is_ascii_alphabetic()).count();
    let first = separator - length;
    let apart = first.checked_sub(1).and_then(|at| bytes.get(at)).is_none_or(|byte| !byte.is_ascii_alphanumeric());
    ((1..=2).contains(&length) && apart).then_some(first)
}

/// The numbers that begin at a word: of one group, of two, and so on.
fn groups(page: &Page<'_>, start: usize, found: &mut Vec<Found>) {
    let mut number = Number::at(page, start);
    let mut from = start;
    loop {
        let end = word_end(page.bytes, from);
        let Some(word) = page.bytes.get(from..end) else { return };
        // Capitals may be the letters of a bank in an account number.
        let capitals = word.len() == 4 && word.iter().all(u8::is_ascii_uppercase);
        let prose = word.len() > 2 && !capitals && !word.iter().any(u8::is_ascii_digit);
        if word.is_empty() || prose || end - start > LONGEST_NUMBER || !number.push(word, end) {
            return;
        }
        let short = |length| number.groups().iter().filter(|group| **group == length).count();
        if short(1) > MOST_SHORT_GROUPS || short(2) > MOST_SHORT_GROUPS + 2 {
            return;
        }
        if number.length >= SHORTEST {
            papers::check(&number, found);
            payment::check(&number, found);
            iban::check(&number, found);
        }
        let Some((separator, next)) = separator(page.bytes, end) else { return };
        let Some(last) = number.parts.checked_sub(1).and_then(|part| number.between.get_mut(part)) else { return };
        *last = separator;
        from = next;
    }
}

/// The separator at a place, if a letter or a digit follows it: what it counts as, and where it ends.
fn separator(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let (separator, next) = match *bytes.get(at..)? {
        [one @ (b' ' | b'-' | b'.' | b'/' | b'('), ..] => (one, at + 1),
        // Hyphens and dashes, and the sign of subtraction.
        [0xe2, 0x80, 0x90..=0x95, ..] | [0xe2, 0x88, 0x92, ..] => (b'-', at + 3),
        _ => return None,
    };
    bytes.get(next).is_some_and(u8::is_ascii_alphanumeric).then_some((separator, next))
}
