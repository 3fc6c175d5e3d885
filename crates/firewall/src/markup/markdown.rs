//! Markdown: what its readers do not see. Titles of links, alternatives to images, references, comments made of them.

use memchr::{memchr, memchr_iter};

use crate::decode::Stretches;
use crate::view::View;

/// Longest destination and title of a link, and longest alternative to an image, in bytes.
const LONGEST: usize = 2048;
/// Shortest text that is looked at, in bytes.
const SHORTEST: usize = 12;

/// The hidden texts.
pub(crate) fn markdown(text: &str, room: usize) -> Stretches {
    let bytes = text.as_bytes();
    let mut out = Stretches::new(room);
    let mut upto = 0;
    for at in memchr_iter(b'[', bytes) {
        if at < upto {
            continue;
        }
        // All that belongs to it is on its line.
        let Some(closed) = bytes.get(at..(at + LONGEST).min(bytes.len())).and_then(|rest| memchr(b']', rest)) else {
            upto = at + LONGEST;
            continue;
        };
        let inside = text.get(at + 1..at + closed).unwrap_or_default();
        let behind = at + closed + 1;
        if inside.contains('\n') {
            continue;
        }
        if at.checked_sub(1).and_then(|before| bytes.get(before)) == Some(&b'!') {
            add(&mut out, text, at + 1, inside);
        }
        match bytes.get(behind) {
            // `[label]: destination "title"`
            Some(b':') if begins_line(bytes, at) => {
                let line = rest_of_line(text, behind + 1);
                add(&mut out, text, behind + 1, line);
                upto = behind + line.len();
            }
            // `[text](destination "title")`
            Some(b'(') => {
                let line = rest_of_line(text, behind + 1);
                let link = memchr(b')', line.as_bytes()).and_then(|end| line.get(..end)).unwrap_or_default();
                if let Some(quote) = link.find(['"', '\'']) {
                    add(&mut out, text, behind + 1 + quote + 1, link.get(quote + 1..).unwrap_or_default());
                }
            }
            _ => {}
        }
    }
    out
}

/// At most [`LONGEST`] bytes of it.
fn rest_of_line(text: &str, from: usize) -> &str {
    let end = text.floor_char_boundary(from.saturating_add(LONGEST));
    let rest = text.get(from..end).unwrap_or_default();
    memchr(b'\n', rest.as_bytes()).and_then(|line| rest.get(..line)).unwrap_or(rest)
}

fn begins_line(bytes: &[u8], at: usize) -> bool {
    let before = bytes.get(at.saturating_sub(4)..at).unwrap_or_default();
    let spaces = before.iter().rev().take_while(|byte| **byte == b' ').count();
    spaces < 4 && before.iter().rev().nth(spaces).is_none_or(|byte| matches!(byte, b'\n' | b'>'))
}

fn add(out: &mut Stretches, text: &str, from: usize, inside: &str) {
    // One word is a name, a date or an address.
    if inside.len() < SHORTEST || !inside.trim().contains(|c: char| c == ' ' || !c.is_ascii()) {
        return;
    }
    let mut view = View::default();
    view.copy(text.get(from..from + inside.len()).unwrap_or_default(), from);
    out.add(&view);
}
