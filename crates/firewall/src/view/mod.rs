//! Text that was made of another one, with the way back.
//!
//! A [`View`] is a text and a map. The map is a list of segments, each a row of equal units: so many bytes of the view were
//! made of so many bytes of the source. What stands as it stood has units of one byte, letters of full width have three to
//! one, base64 three of four. So a map is small where the text is large, and a look-up is one binary search.

mod fold;
mod invisible;
mod letters;
mod map;
mod reading;
#[cfg(test)]
mod tests;

use std::ops::Range;

use serde::Serialize;

pub use invisible::Invisible;
pub use reading::{Form, LONGEST_TEXT, MAX_DEPTH, MAX_READINGS, Reading, Readings, SPARE};

use map::Map;

/// A range of bytes of the original text, from one boundary of characters to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Span {
    /// Its first byte.
    pub start: usize,
    /// The byte behind its last one.
    pub end: usize,
}

/// A text that was made of another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    text: String,
    map: Map,
}

impl View {
    /// The text as it is.
    pub fn of(text: &str) -> Self {
        let mut view = Self::default();
        view.copy(text, 0);
        view
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What a range of the view was made of: whole characters of the source. An empty range is an empty span.
    ///
    /// What is no boundary of characters in the view is taken to the next one outwards.
    pub fn source(&self, range: Range<usize>) -> Span {
        let start = self.text.floor_char_boundary(range.start);
        let end = self.text.ceil_char_boundary(range.end.max(range.start));
        if start >= end {
            let at = self.map.start(start);
            return Span { start: at, end: at };
        }
        self.map.span(start, end)
    }

    /// Adds a text whose characters are as long as those at `from` in the source, one for one.
    pub(crate) fn copy(&mut self, text: &str, from: usize) {
        self.map.push(self.text.len(), text.len(), 1, from, 1);
        self.text.push_str(text);
    }

    /// Adds a text that was made of all of `source`.
    pub(crate) fn put(&mut self, text: &str, source: Span) {
        self.map.push(self.text.len(), text.len(), text.len(), source.start, source.end - source.start);
        self.text.push_str(text);
    }

    /// The first characters, of `length` bytes at most.
    pub(crate) fn prefix(mut self, length: usize) -> Self {
        self.text.truncate(self.text.floor_char_boundary(length));
        self.map.truncate(self.text.len());
        self
    }

    /// Adds another view of the same source.
    pub(crate) fn append(&mut self, other: &View) {
        self.map.append(self.text.len(), &other.map, other.text.len());
        self.text.push_str(&other.text);
    }

    #[cfg(test)]
    fn rows(&self) -> usize {
        self.map.len()
    }

    fn reserve(&mut self, bytes: usize) {
        self.text.reserve(bytes);
    }

    /// The last `length` bytes in lower case where they are ASCII.
    fn lower_last(&mut self, length: usize) {
        let from = self.text.len().saturating_sub(length);
        if let Some(tail) = self.text.get_mut(from..) {
            tail.make_ascii_lowercase();
        }
    }

    /// The same text, as made of what the source of this view was made of.
    pub(crate) fn within(self, parent: &View) -> View {
        View { map: self.map.within(self.text.len(), parent), text: self.text }
    }
}
