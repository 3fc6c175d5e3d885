//! Words from outside, in a form in which nothing is hidden: for lists that a model reads and for the log.

use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory;

/// Put where something was cut.
const MARK: char = '…';

/// What one character of a text from outside becomes.
enum Shown {
    /// It stays.
    Itself,
    /// Something that separates words.
    Space,
    /// Something that is not seen, and so may say to a model what a person does not read.
    Nothing,
}

fn shown(c: char) -> Shown {
    // Variation selectors beyond the usual ones have no use in words, and 240 of them are enough to write any byte.
    if ('\u{e0100}'..='\u{e01ef}').contains(&c) {
        return Shown::Nothing;
    }
    match CodePointMapData::<GeneralCategory>::new().get(c) {
        GeneralCategory::Control if c.is_whitespace() => Shown::Space,
        GeneralCategory::LineSeparator | GeneralCategory::ParagraphSeparator => Shown::Space,
        GeneralCategory::Control
        | GeneralCategory::Format
        | GeneralCategory::PrivateUse
        | GeneralCategory::Unassigned => Shown::Nothing,
        _ => Shown::Itself,
    }
}

/// `text` as one line of at most `most` bytes, without anything that is not seen.
pub(crate) fn line(text: &str, most: usize) -> String {
    let mut out = String::new();
    for c in text.trim().chars() {
        let c = match shown(c) {
            Shown::Itself => c,
            Shown::Space => ' ',
            Shown::Nothing => continue,
        };
        if c == ' ' && out.ends_with(' ') {
            continue;
        }
        if out.len() + c.len_utf8() + MARK.len_utf8() > most {
            out.push(MARK);
            break;
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_and_what_is_not_seen_goes() {
        for (text, is) in [
            ("Größe 银行 ok", "Größe 银行 ok"),
            ("  one\r\n\ttwo\u{2028}three ", "one two three"),
            ("a\u{1b}[31mb\u{7}", "a[31mb"),
            ("\u{202e}evil\u{202c} \u{200b}x\u{feff}", "evil x"),
            ("hi\u{e0041}\u{e0042}\u{e007f}", "hi"),
            ("v\u{e0101}\u{e01ef}", "v"),
            ("", ""),
        ] {
            assert_eq!(line(text, 100), is, "{text:?}");
        }
    }

    #[test]
    fn a_long_line_is_cut_between_characters_and_says_so() {
        assert_eq!(line(&"é".repeat(100), 20), format!("{}…", "é".repeat(8)));
        assert!(line(&"x".repeat(1_000_000), 20).len() <= 20);
    }
}
