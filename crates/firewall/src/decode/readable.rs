//! Whether bytes are a text that somebody wrote.

use crate::view::{Span, View};

/// Shortest text that counts, in bytes.
const SHORTEST: usize = 6;
/// Shortest text among bytes that are none, in bytes.
const SHORTEST_PART: usize = 12;

/// Whether a text is one that can be read: mostly letters, hardly a control character.
pub(crate) fn is_readable(text: &str) -> bool {
    let (mut letters, mut bad, mut all) = (0, 0, 0_usize);
    for c in text.chars() {
        all += 1;
        match c {
            'a'..='z' | 'A'..='Z' | ' ' => letters += 1,
            '0'..='9' | '\n' | '\r' | '\t' | '!'..='~' => {}
            _ if c.is_control() || c == '\u{fffd}' => bad += 1,
            _ if c.is_alphanumeric() => letters += 1,
            _ => {}
        }
    }
    text.len() >= SHORTEST && bad * 32 <= all && letters * 2 >= all
}

/// The readable parts of bytes, in a view of the text that they were decoded from. `source` says what bytes are made of; it
/// is asked in order.
pub(crate) fn readable(bytes: &[u8], mut source: impl FnMut(usize) -> Span) -> Vec<View> {
    let mut found = Vec::new();
    let mut at = 0;
    for chunk in bytes.utf8_chunks() {
        let mut from = at;
        for text in chunk.valid().split(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            if (text.len() >= SHORTEST_PART || text.len() == bytes.len()) && is_readable(text) {
                found.push(view(text, from, &mut source));
            }
            from += text.len();
            from += chunk.valid().get(from - at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        }
        at += chunk.valid().len() + chunk.invalid().len();
    }
    found
}

/// A text that begins at `at` in the bytes.
fn view(text: &str, at: usize, source: &mut impl FnMut(usize) -> Span) -> View {
    let mut view = View::default();
    let mut from = 0;
    while from < text.len() {
        // Bytes that were made of the same are one unit, grown to whole characters.
        let mut span = source(at + from);
        let mut end = from + 1;
        while end < text.len() {
            let next = source(at + end);
            if next != span && text.is_char_boundary(end) {
                break;
            }
            span.end = span.end.max(next.end);
            end += 1;
        }
        view.put(text.get(from..end).unwrap_or_default(), span);
        from = end;
    }
    view
}
