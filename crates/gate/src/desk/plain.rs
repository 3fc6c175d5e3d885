//! Text for whoever has to judge it: what looks like something else is written out.
//!
//! `раypal` with two Cyrillic letters is not `paypal`, and a hundred blanks end in what looks like the next line. Everything that
//! a terminal obeys, and what is not seen at all, is written out already when text comes here.

/// Most blanks in a row that are shown as they are, as programs are indented with.
const MOST_BLANKS: usize = 16;

/// `text` with these written as `escape` writes a character: characters that look like ASCII in words that have some,
/// blanks that are not ASCII, and those of a long row.
pub(super) fn plain(text: &str, escape: impl Fn(char, &mut String)) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(splits).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let mixed = word.chars().any(|c| c.is_ascii_alphanumeric());
        for c in word.chars() {
            if mixed && resembles_ascii(c) { escape(c, &mut out) } else { out.push(c) }
        }
        let end = after.find(|c| !splits(c)).unwrap_or(after.len());
        let end = end + written_out(after, end);
        let (between, after) = after.split_at(end);
        let mut blanks = 0;
        for c in between.chars() {
            blanks = if c == ' ' { blanks + 1 } else { 0 };
            if blanks > MOST_BLANKS || (is_blank(c) && !c.is_ascii()) { escape(c, &mut out) } else { out.push(c) }
        }
        rest = after;
    }
    out
}

/// As JSON writes it in a text.
pub(super) fn json_escape(c: char, out: &mut String) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        out.push_str(&format!("\\u{unit:04x}"));
    }
}

/// As Rust does.
pub(super) fn escape(c: char, out: &mut String) {
    out.extend(c.escape_unicode());
}

/// How many bytes from `at` on are the rest of a character that is written out, as `\n` or `\u202e`: no part of a word.
fn written_out(text: &str, at: usize) -> usize {
    let (before, after) = text.split_at(at);
    let mut chars = after.chars();
    match chars.next() {
        Some('u') if before.ends_with('\\') && chars.clone().take(4).filter(char::is_ascii_hexdigit).count() == 4 => 5,
        Some(c) if before.ends_with('\\') && c.is_ascii_lowercase() => 1,
        _ => 0,
    }
}

/// Whether a word ends here.
fn splits(c: char) -> bool {
    is_blank(c) || matches!(c, '"' | '\\' | ',' | '[' | ']' | '{' | '}' | '(' | ')' | '<' | '>')
}

/// The braille pattern without dots is one too.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c == '\u{2800}'
}

/// Whether a character can be taken for one of ASCII, or belongs to a script in which many can (Unicode Technical Standard
/// 39); combining marks, which change the one before, among them.
const fn resembles_ascii(c: char) -> bool {
    matches!(c,
        // Latin letters of phonetics, marks.
        '\u{250}'..='\u{36f}'
        // Greek and Coptic, Cyrillic, Armenian.
        | '\u{370}'..='\u{58f}'
        // Cherokee, phonetic and Cyrillic extensions, Greek with accents.
        | '\u{13a0}'..='\u{13ff}' | '\u{1c80}'..='\u{1c8f}' | '\u{1d00}'..='\u{1dff}' | '\u{1f00}'..='\u{1fff}'
        // One dot, fraction slash, letters and numerals for mathematics.
        | '\u{2024}' | '\u{2044}' | '\u{2102}' | '\u{210a}'..='\u{2115}' | '\u{2119}'..='\u{211d}' | '\u{2124}'
        | '\u{2128}'..='\u{2138}' | '\u{2145}'..='\u{2149}' | '\u{2160}'..='\u{217f}'
        // Minus, slashes, bars and colons of mathematics.
        | '\u{2212}' | '\u{2215}'..='\u{2217}' | '\u{2223}' | '\u{2236}' | '\u{2571}' | '\u{29f5}' | '\u{29f8}'
        // Coptic, Cyrillic extensions, Lisu, Latin extensions with a colon, Cherokee.
        | '\u{2c80}'..='\u{2cff}' | '\u{2de0}'..='\u{2dff}' | '\u{a4d0}'..='\u{a4ff}' | '\u{a640}'..='\u{a69f}'
        | '\u{a720}'..='\u{a7ff}' | '\u{ab30}'..='\u{abbf}'
        // Letters, digits, dot, slash and `@` of full width, but for the marks that stand in every Chinese sentence.
        | '\u{ff0e}'..='\u{ff19}' | '\u{ff20}'..='\u{ff3a}' | '\u{ff41}'..='\u{ff5a}'
        // Small forms, mathematical alphabets, letters in squares.
        | '\u{fe50}'..='\u{fe6f}' | '\u{1d400}'..='\u{1d7ff}' | '\u{1f100}'..='\u{1f1ff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        plain(text, escape)
    }

    #[test]
    fn a_letter_that_looks_like_another_is_written_out() {
        assert_eq!(shown("p\u{430}ypal.example"), "p\\u{430}ypal.example");
        assert_eq!(shown("\u{430}\u{440}\u{440}\u{4cf}\u{435}.com"), "\\u{430}\\u{440}\\u{440}\\u{4cf}\\u{435}.com");
        assert_eq!(shown("bank.example\u{2215}evil.example"), "bank.example\\u{2215}evil.example");
        assert_eq!(shown("DE\u{ff10}\u{ff12} \u{1d7ce}1 e\u{301}"), "DE\\u{ff10}\\u{ff12} \\u{1d7ce}1 e\\u{301}");
        assert_eq!(plain("\\\u{430}dmin \\n\u{430}me", json_escape), "\\\\u0430dmin \\n\\u0430me");
    }

    #[test]
    fn people_can_still_read_their_own_language() {
        for text in [
            "Привет, мир: 10 рублей",
            "付款100元，给alice：谢谢（25℃）",
            "naïve Müller, 5 €",
            "γειά σου",
            "“it’s here”",
            "a 🙂",
        ] {
            assert_eq!(shown(text), text);
        }
        for json in ["\"\\nПривет\"", "{\"to\":[\"Иван\",\"\\u202eПётр\"]}"] {
            assert_eq!(plain(json, json_escape), json);
        }
    }

    #[test]
    fn no_row_of_blanks_makes_a_line() {
        let indented = format!("a{}b", " ".repeat(MOST_BLANKS));
        assert_eq!(shown(&indented), indented);
        assert_eq!(shown(&format!("{} b", &indented[..MOST_BLANKS + 1])), indented.replace('b', "\\u{20}b"));
        assert_eq!(shown("a\u{3000}\u{2003}\u{2800}b\u{a0}"), "a\\u{3000}\\u{2003}\\u{2800}b\\u{a0}");
        assert_eq!(plain("\"\u{3000}\"", json_escape), "\"\\u3000\"");
    }
}
