//! The text of a file by lines, and places in it.

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

    /// The place of a span of the parser.
    pub(crate) fn span(&self, span: Span) -> Place {
        let one_line = span.start.line() == span.end.line();
        let width = if one_line { span.end.col().saturating_sub(span.start.col()) } else { usize::MAX };
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

    pub(crate) fn excerpt(&self, place: Place) -> Excerpt {
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
        for (n, c) in line.chars().enumerate().skip(first).take(WINDOW) {
            let columns = push_visible(&mut out.line, c);
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
        out.text = shown(&line.chars().skip(start).take(place.width).collect::<String>());
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
        let excerpt = Source::new(&text).excerpt(Place { line: 1, column: 1001, width: 4 });
        assert_eq!(excerpt.line, format!("…{}HERE{}…", "x".repeat(40), "y".repeat(76)));
        assert_eq!((excerpt.indent, excerpt.carets, excerpt.text.as_str()), (41, 4, "HERE"));
    }
}
