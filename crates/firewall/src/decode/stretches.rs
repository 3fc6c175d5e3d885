//! The decoded parts of a text, put together.

use std::ops::Range;

use memchr::{memchr, memrchr};

use crate::view::{Span, View};

/// Decoded stretches, one a line, up to a number of bytes.
#[derive(Debug)]
pub(crate) struct Stretches {
    view: View,
    room: usize,
    cut: bool,
}

impl Stretches {
    /// None yet, and never more than `room` bytes.
    pub fn new(room: usize) -> Self {
        Self { view: View::default(), room, cut: false }
    }

    /// Adds a stretch, as much of it as there is room for.
    pub fn add(&mut self, stretch: &View) {
        let left = self.left();
        if stretch.text().is_empty() {
            return;
        }
        if left == 0 {
            self.cut = true;
            return;
        }
        if !self.view.text().is_empty() {
            let at = stretch.source(0..1).start;
            self.view.put("\n", Span { start: at, end: at });
        }
        if stretch.text().len() > left {
            self.cut = true;
            self.view.append(&stretch.clone().prefix(left));
        } else {
            self.view.append(stretch);
        }
    }

    /// How many bytes of a stretch there is still room for.
    pub fn left(&self) -> usize {
        self.room.saturating_sub(self.view.text().len() + 1)
    }

    /// Says that there was more than there is room for.
    pub fn cut(&mut self) {
        self.cut = true;
    }

    /// All of them, and whether there were more.
    pub fn into_view(self) -> (View, bool) {
        (self.view, self.cut)
    }
}

/// How much of a line is kept around what is decoded in it, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Around {
    /// In front.
    pub before: usize,
    /// Behind.
    pub after: usize,
}

/// Stretches in which single places are decoded and what stands between and around them is kept.
#[derive(Debug)]
pub(crate) struct Patches<'a> {
    text: &'a str,
    around: Around,
    /// What the places in one stretch have to weigh together.
    need: usize,
    done: Stretches,
    now: View,
    weight: usize,
    upto: usize,
}

impl<'a> Patches<'a> {
    /// No places yet.
    pub fn new(text: &'a str, around: Around, need: usize, room: usize) -> Self {
        Self { text, around, need, done: Stretches::new(room), now: View::default(), weight: 0, upto: 0 }
    }

    /// What is decoded at `place`, which is behind all places so far; `false` when there is no room for more.
    pub fn put(&mut self, place: Range<usize>, text: &str, weight: usize) -> bool {
        let span = Span { start: place.start, end: place.end };
        self.place(&place);
        self.now.put(text, span);
        self.end(place.end, weight)
    }

    /// The same with a view of the whole text.
    pub fn put_view(&mut self, place: Range<usize>, view: &View, weight: usize) -> bool {
        self.place(&place);
        self.now.append(view);
        self.end(place.end, weight)
    }

    fn place(&mut self, place: &Range<usize>) {
        if self.weight > 0 && place.start.saturating_sub(self.upto) > self.around.before + self.around.after {
            self.close();
        }
        let from = if self.weight > 0 { self.upto } else { self.before(place.start) };
        self.now.copy(self.text.get(from..place.start).unwrap_or_default(), from);
    }

    fn end(&mut self, end: usize, weight: usize) -> bool {
        self.upto = end;
        self.weight += weight.max(1);
        let fits = self.now.text().len() <= self.done.left();
        if !fits {
            self.close();
            self.done.cut();
        }
        fits
    }

    /// Where the kept part in front of `at` begins: in its line, and behind what was kept before.
    fn before(&self, at: usize) -> usize {
        let from = self.text.ceil_char_boundary(at.saturating_sub(self.around.before)).max(self.upto).min(at);
        let piece = self.text.get(from..at).unwrap_or_default();
        memrchr(b'\n', piece.as_bytes()).map_or(from, |line| from + line + 1)
    }

    fn close(&mut self) {
        let end = self.text.floor_char_boundary(self.upto + self.around.after).max(self.upto);
        let piece = self.text.get(self.upto..end).unwrap_or_default();
        let piece = memchr(b'\n', piece.as_bytes()).and_then(|line| piece.get(..line)).unwrap_or(piece);
        self.now.copy(piece, self.upto);
        self.upto += piece.len();
        let now = std::mem::take(&mut self.now);
        if self.weight >= self.need {
            self.done.add(&now);
        }
        self.weight = 0;
    }

    /// All stretches.
    pub fn finish(mut self) -> Stretches {
        if self.weight > 0 {
            self.close();
        }
        self.done
    }
}
