//! The text of a file by lines, and places in it.

use std::ops::Range;

use saphyr_parser::{Marker, Span};

use crate::display::{push_visible, shown};

/// Lines longer than this are shown as a window around the mistake.
const WINDOW: usize = 120;

/// A place in a file: where it begins, and how far it reaches on that line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Line, from 1.
    pub(crate) line: usize,
    /// Column in characters, from 1.
    pub(crate) column: usize,
    /// Characters; what reaches past the end of the line is cut when shown.
    pub(crate) width: usize,
}

/// A stretch of the file that no message shows, because it may be a key or a password.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hidden {
    /// Where it begins, and how far it reaches on that line.
    pub(crate) place: Place,
    /// The last line of it, from 1; the lines behind the first are hidden whole.
    pub(crate) last: usize,
}

impl Hidden {
    /// The characters that it covers on a line, from 0.
    fn on(&self, line: usize) -> Range<usize> {
        let start = self.place.column.saturating_sub(1);
        if line == self.place.line {
            start..start.saturating_add(self.place.width)
        } else if (self.place.line..=self.last).contains(&line) {
            0..usize::MAX
        } else {
            0..0
        }
    }
}

/// The lines of a file, without their ends (LF, CR LF or CR, as YAML 1.2 counts them).
pub(crate) struct Source<'t> {
    lines: Vec<&'t str>,
}

/// One line made ready for a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Excerpt {
    /// The line, or the window of it that holds the place, with control characters escaped.
    pub(crate) line: String,
    /// Terminal columns before the place.
    pub(crate) indent: usize,
    /// Terminal columns of the place, at least 1.
    pub(crate) carets: usize,
    /// What stands at the place, escaped and cut.
    pub(crate) text: String,
}

impl<'t> Source<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let mut lines = Vec::new();
        let mut rest = text;
        while let Some((line, after)) = rest.split_once(['\n', '\r']) {
            let crlf = rest.as_bytes().get(line.len()) == Some(&b'\r') && after.starts_with('\n');
            lines.push(line);
            rest = if crlf { after.strip_prefix('\n').unwrap_or(after) } else { after };
        }
        lines.push(rest);
        Self { lines }
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = &'t str> {
        self.lines.iter().copied()
    }

    fn line(&self, number: usize) -> &'t str {
        number.checked_sub(1).and_then(|n| self.lines.get(n)).copied().unwrap_or_default()
    }

    /// The place of a span of the parser. What the parser misses at the end of the file is missed on the last line that
    /// has text.
    pub(crate) fn span(&self, span: Span) -> Place {
        let one_line = span.start.line() == span.end.line();
        let width = if one_line { span.end.col().saturating_sub(span.start.col()) } else { usize::MAX };
        if span.start.line() > self.lines.len() {
            return Place { width, ..self.mark(span.start) };
        }
        Place { line: span.start.line(), column: span.start.col() + 1, width }
    }

    /// The place of a mark of the parser. Marks at the end of the file move to the last line that has text.
    pub(crate) fn mark(&self, mark: Marker) -> Place {
        let at_end = mark.line() > self.lines.len() || (mark.line() == self.lines.len() && mark.col() == 0);
        if at_end && let Some(last) = self.lines.iter().rposition(|line| !line.trim().is_empty()) {
            return Place { line: last + 1, column: self.line(last + 1).chars().count() + 1, width: 1 };
        }
        Place { line: mark.line(), column: mark.col() + 1, width: 1 }
    }

    /// One line for a message. What is hidden is an ellipsis there.
    pub(crate) fn excerpt(&self, place: Place, hidden: &[Hidden]) -> Excerpt {
        let line = self.line(place.line);
        let start = place.column.saturating_sub(1);
        let length = line.chars().count();
        let first = if length > WINDOW { start.saturating_sub(WINDOW / 3).min(length) } else { 0 };
        let mut out = Excerpt { line: String::new(), indent: 0, carets: 0, text: String::new() };
        if first > 0 {
            out.line.push('…');
            out.indent = 1;
        }
        let end = start.saturating_add(place.width);
        let mut covered = [false; WINDOW + 1];
        for range in hidden.iter().map(|hidden| hidden.on(place.line)) {
            let from = range.start.saturating_sub(first).min(covered.len());
            let to = range.end.saturating_sub(first).min(covered.len());
            covered.get_mut(from..to).unwrap_or_default().fill(true);
        }
        let covered = |n: usize| n.checked_sub(first).and_then(|n| covered.get(n)).is_some_and(|covered| *covered);
        for (n, c) in line.chars().enumerate().skip(first).take(WINDOW) {
            let columns = match (covered(n), n > 0 && covered(n - 1)) {
                (false, _) => push_visible(&mut out.line, c),
                (true, false) => push_visible(&mut out.line, '…'),
                (true, true) => 0,
            };
            if n < start {
                out.indent += columns;
            } else if n < end {
                out.carets += columns;
            }
        }
        if first + WINDOW < length {
            out.line.push('…');
        }
        out.carets = out.carets.max(1);
        let text = line.chars().enumerate().skip(start).take(place.width.min(WINDOW)).filter(|(n, _)| !covered(*n));
        out.text = shown(&text.map(|(_, c)| c).collect::<String>());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_as_yaml_says() {
        assert_eq!(Source::new("a\r\nb\rc\n\nd").lines().collect::<Vec<_>>(), ["a", "b", "c", "", "d"]);
        assert_eq!(Source::new("a\n").lines().collect::<Vec<_>>(), ["a", ""]);
    }

    #[test]
    fn long_lines_are_shown_as_a_window() {
        let text = format!("{}HERE{}", "x".repeat(1000), "y".repeat(1000));
        let excerpt = Source::new(&text).excerpt(Place { line: 1, column: 1001, width: 4 }, &[]);
        assert_eq!(excerpt.line, format!("…{}HERE{}…", "x".repeat(40), "y".repeat(76)));
        assert_eq!((excerpt.indent, excerpt.carets, excerpt.text.as_str()), (41, 4, "HERE"));
    }

    #[test]
    fn what_is_hidden_is_not_shown_and_carets_stay_in_place() {
        let source = Source::new("{ key: SECRET, kind: x }\nSECRET\nSECRET, y }");
        let hidden = [Hidden { place: Place { line: 1, column: 8, width: 6 }, last: 1 }];
        let excerpt = source.excerpt(Place { line: 1, column: 22, width: 1 }, &hidden);
        assert_eq!((excerpt.line.as_str(), excerpt.indent, excerpt.carets), ("{ key: …, kind: x }", 16, 1));
        let excerpt = source.excerpt(hidden[0].place, &hidden);
        assert_eq!((excerpt.indent, excerpt.carets, excerpt.text.as_str()), (7, 1, ""));
        let hidden = [Hidden { place: Place { line: 1, column: 8, width: usize::MAX }, last: 3 }];
        let lines = [1, 2, 3].map(|line| source.excerpt(Place { line, column: 1, width: usize::MAX }, &hidden));
        assert_eq!(lines.each_ref().map(|excerpt| excerpt.line.as_str()), ["{ key: …", "…", "…"]);
        assert_eq!(lines.map(|excerpt| excerpt.text), ["{ key: ", "", ""]);
    }
}
