//! Where the bytes of a view came from.

use super::{Span, View};

/// The segments of a view, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Map {
    segments: Vec<Segment>,
}

/// A row of equal units, up to where the next segment begins. No unit begins or ends within a character of the source.
///
/// The exception is units of one byte for one byte: characters of the view stand for characters of the same length there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    /// Where it begins in the view.
    at: u32,
    /// Where it begins in the source.
    from: u32,
    /// Bytes of the view in a unit.
    long: u32,
    /// Bytes of the source in a unit.
    wide: u32,
}

/// Texts are never as long as this: see [`super::LONGEST_TEXT`].
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Segment {
    /// Where the unit begins that holds the byte at `at` of the view.
    fn start(&self, at: usize) -> usize {
        let into = at.saturating_sub(self.at as usize);
        self.from as usize + into / (self.long as usize).max(1) * self.wide as usize
    }

    /// Where the units end of which the first bytes, up to `at` in the view, are made.
    fn end(&self, at: usize) -> usize {
        let into = at.saturating_sub(self.at as usize);
        self.from as usize + into.div_ceil((self.long as usize).max(1)) * self.wide as usize
    }

    fn is_same(&self) -> bool {
        self.long == 1 && self.wide == 1
    }
}

impl Map {
    /// Adds `length` bytes at the end of a view of `at` bytes: in units of `long` bytes, each made of `wide` bytes of the
    /// source, from `from` on. A last unit may be shorter than `long`.
    pub fn push(&mut self, at: usize, length: usize, long: usize, from: usize, wide: usize) {
        if length == 0 {
            return;
        }
        let new = Segment { at: narrow(at), from: narrow(from), long: narrow(long), wide: narrow(wide) };
        match self.segments.last() {
            Some(last)
                if last.long == new.long
                    && last.wide == new.wide
                    && (at - last.at as usize).is_multiple_of(long.max(1))
                    && last.end(at) == from => {}
            _ => self.segments.push(new),
        }
    }

    /// Adds the map of another view of the same source, of `length` bytes, at the end of a view of `at` bytes.
    pub fn append(&mut self, at: usize, other: &Map, length: usize) {
        for (segment, end) in other.rows(length) {
            let from = segment.from as usize;
            self.push(
                at + segment.at as usize,
                end - segment.at as usize,
                segment.long as usize,
                from,
                segment.wide as usize,
            );
        }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.segments.len()
    }

    /// Forgets what is behind the first `length` bytes of the view.
    pub fn truncate(&mut self, length: usize) {
        let kept = self.segments.partition_point(|segment| (segment.at as usize) < length);
        self.segments.truncate(kept);
    }

    /// What begins at `at` of the view begins here in the source.
    pub fn start(&self, at: usize) -> usize {
        self.segments.get(self.index(at)).map_or(0, |segment| segment.start(at))
    }

    /// What `start..end` of the view, which is not empty, was made of.
    pub fn span(&self, start: usize, end: usize) -> Span {
        let (first, last) = (self.index(start), self.index(end - 1));
        let (Some(head), Some(tail)) = (self.segments.get(first), self.segments.get(last)) else {
            return Span { start: 0, end: 0 };
        };
        let mut span = Span { start: head.start(start), end: tail.end(end) };
        if span.start < span.end && first == last {
            return span;
        }
        // What was turned around has its end in front.
        let pieces = self.segments.get(first..=last).unwrap_or_default();
        if pieces.windows(2).any(|pair| matches!(pair, [one, next] if next.from < one.from)) {
            let ends = pieces.iter().skip(1).map(|next| next.at as usize).chain([end]);
            for (piece, stop) in pieces.iter().zip(ends) {
                span.start = span.start.min(piece.start(start.max(piece.at as usize)));
                span.end = span.end.max(piece.end(stop));
            }
        }
        span.end = span.end.max(span.start);
        span
    }

    /// The map of a view of `length` bytes whose source is the text of `parent`, as a map into what that was made of.
    pub fn within(self, length: usize, parent: &View) -> Map {
        if parent.map.is_identity() {
            return self;
        }
        let mut map = Map { segments: Vec::with_capacity(self.segments.len()) };
        let mut hint = 0;
        for (segment, end) in self.rows(length) {
            let (at, from) = (segment.at as usize, segment.from as usize);
            if segment.is_same() {
                hint = parent.map.copy_into(&mut map, at, from, end - at, parent.text.len(), hint);
                continue;
            }
            let (long, wide) = ((segment.long as usize).max(1), segment.wide as usize);
            for unit in 0..(end - at).div_ceil(long) {
                let (start, stop) = (at + unit * long, (at + (unit + 1) * long).min(end));
                let source = from + unit * wide;
                hint = parent.map.index_near(source, hint);
                let span = if wide == 0 {
                    let place = parent.map.start(source);
                    Span { start: place, end: place }
                } else {
                    parent.map.span_from(hint, source, source + wide)
                };
                map.push(start, stop - start, long, span.start, span.end - span.start);
            }
        }
        map
    }

    /// Adds `length` bytes of this map, those from `from` on, to another one whose view has `at` bytes. Returns where the
    /// next look-up may begin.
    fn copy_into(&self, to: &mut Map, at: usize, from: usize, length: usize, whole: usize, hint: usize) -> usize {
        let mut index = self.index_near(from, hint);
        let mut done = 0;
        while done < length {
            let Some(segment) = self.segments.get(index) else { break };
            let end = self.segments.get(index + 1).map_or(whole, |next| next.at as usize).min(from + length);
            let (begin, unit) = (from + done, (segment.long as usize).max(1));
            if end <= begin {
                break;
            }
            let wide = segment.wide as usize;
            let into = (begin - segment.at as usize) % unit;
            if into != 0 || end - begin < unit {
                // A part of a unit is made of all of it.
                let piece = (unit - into).min(end - begin);
                to.push(at + done, piece, piece, segment.start(begin), wide);
                done += piece;
            } else {
                let pieces = (end - begin) / unit * unit;
                to.push(at + done, pieces, unit, segment.start(begin), wide);
                done += pieces;
            }
            if from + done >= end && from + done < from + length {
                index += 1;
            }
        }
        index
    }

    /// [`Self::span`], where the segment that holds `start` is known.
    fn span_from(&self, first: usize, start: usize, end: usize) -> Span {
        let inside = self.segments.get(first + 1).is_none_or(|next| end <= next.at as usize);
        match self.segments.get(first) {
            Some(segment) if inside => Span { start: segment.start(start), end: segment.end(end) },
            _ => self.span(start, end),
        }
    }

    /// Each segment and where it ends in the view, which has `length` bytes.
    fn rows(&self, length: usize) -> impl Iterator<Item = (&Segment, usize)> {
        let ends = self.segments.iter().skip(1).map(|next| next.at as usize).chain([length]);
        self.segments.iter().zip(ends)
    }

    fn is_identity(&self) -> bool {
        matches!(self.segments.as_slice(), [only] if only.is_same() && only.from == 0)
    }

    /// Which segment holds the byte at `at` of the view.
    fn index(&self, at: usize) -> usize {
        self.segments.partition_point(|segment| segment.at as usize <= at).saturating_sub(1)
    }

    /// [`Self::index`] of a place that is probably a little behind that of `hint`.
    fn index_near(&self, at: usize, hint: usize) -> usize {
        for index in hint..hint + 2 {
            let next = self.segments.get(index + 1);
            if self.segments.get(index).is_some_and(|segment| segment.at as usize <= at)
                && next.is_none_or(|next| at < next.at as usize)
            {
                return index;
            }
        }
        self.index(at)
    }
}
