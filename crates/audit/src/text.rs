//! Text that came from a cell, made safe to keep and to print.
//!
//! A log is read with `cat` by somebody who trusts it. So a name that holds escape sequences, a right-to-left override
//! or a line separator is written with `\u` escapes, and a long one is cut with a count of what is missing.

use std::fmt::Write as _;
use std::io;

use serde::Serialize;
use serde_json::ser::Formatter;

/// Longest text of one field, in bytes before escaping.
pub(crate) const LONGEST: usize = 4096;

/// Cuts `text` to [`LONGEST`] bytes at a character boundary and says how many bytes are missing.
pub(crate) fn clip(text: String) -> String {
    clip_to(LONGEST, text)
}

/// The same, to so many bytes.
pub(crate) fn clip_to(most: usize, mut text: String) -> String {
    if text.len() > most {
        let end = text.floor_char_boundary(most);
        let missing = text.len() - end;
        text.truncate(end);
        // Writing to a String cannot fail.
        let _ = write!(text, "…[+{missing} bytes]");
    }
    text
}

/// Characters that a terminal acts on or that make a line look like another one: controls, line separators,
/// bidirectional overrides (Unicode Technical Report 36), tags, and all others that are shown as nothing
/// (`Default_Ignorable_Code_Point`).
pub(crate) const fn deceives(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Escapes for a terminal what [`deceives`], and leaves the rest as it is.
pub(crate) fn printable(text: &str, out: &mut String) {
    for c in text.chars() {
        if deceives(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
}

/// `text` for people: what a terminal acts on, and what is there without being seen, is written as `\u{…}`.
pub fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    printable(text, &mut out);
    out
}

/// `value` for people, as one line of JSON in which the same is written as `\u…`; empty where it is no JSON.
pub fn shown_json<T: Serialize>(value: &T) -> String {
    let mut out = Vec::new();
    match json_line(value, &mut out) {
        Ok(()) => String::from_utf8(out).unwrap_or_default().trim_end_matches('\n').to_owned(),
        Err(_) => String::new(),
    }
}

/// Appends `value` to `out` as one line of JSON.
pub(crate) fn json_line<T: Serialize>(value: &T, out: &mut Vec<u8>) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(&mut *out, Escaping);
    value.serialize(&mut serializer)?;
    out.push(b'\n');
    Ok(())
}

/// Compact JSON in which everything that [`deceives`] is escaped, which RFC 8259 allows for any character.
struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut plain = fragment;
        while let Some((at, c)) = plain.char_indices().find(|(_, c)| deceives(*c)) {
            let (before, rest) = plain.split_at(at);
            out.write_all(before.as_bytes())?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            plain = rest.get(c.len_utf8()..).unwrap_or_default();
        }
        out.write_all(plain.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_acts_on_is_written_raw() {
        let hostile: String = (0..=0x2fff_u32).chain(0xe0000..0xe0100).filter_map(char::from_u32).collect();
        let mut line = Vec::new();
        json_line(&hostile, &mut line).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), hostile, "escaping loses nothing");
        assert_eq!(line.trim_end_matches('\n').chars().find(|c| deceives(*c) || c.is_control()), None);
        let mut shown = String::new();
        printable(&hostile, &mut shown);
        assert_eq!(shown.chars().find(|c| deceives(*c) || c.is_control()), None);
    }

    #[test]
    fn what_is_shown_as_nothing_is_escaped() {
        let invisible = "\u{34f}\u{1160}\u{180b}\u{200d}\u{3164}\u{fe0f}\u{ffa0}\u{1d173}\u{e0100}";
        let mut shown = String::new();
        printable(invisible, &mut shown);
        assert!(shown.is_ascii(), "{shown}");
    }

    #[test]
    fn the_escapes_are_the_ones_of_json() {
        let mut line = Vec::new();
        json_line(&"a\u{1b}[2Jb\u{202e}c\u{9b}\u{2028}\u{e0041}銀行", &mut line).unwrap();
        let expected = r#""a\u001b[2Jb\u202ec\u009b\u2028\udb40\udc41銀行""#;
        assert_eq!(String::from_utf8(line).unwrap(), format!("{expected}\n"));
    }

    #[test]
    fn long_text_is_cut_and_counted() {
        assert_eq!(clip("x".repeat(LONGEST)), "x".repeat(LONGEST));
        assert_eq!(clip("x".repeat(LONGEST + 7)), format!("{}…[+7 bytes]", "x".repeat(LONGEST)));
        // 4096 is not a multiple of three: the cut falls before the character that would be split.
        assert_eq!(clip("銀".repeat(2000)), format!("{}…[+1905 bytes]", "銀".repeat(1365)));
    }
}
