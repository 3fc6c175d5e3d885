//! How text of a file is shown in a message: nothing in it reaches the terminal as a control character.

use icu_properties::CodePointMapData;
use icu_properties::props::{EastAsianWidth, GeneralCategory};

/// Longest quotation in a message, in characters.
const QUOTE: usize = 80;

/// `text` as it may stand between backticks: control and format characters escaped, long texts cut.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == QUOTE {
            out.push('…');
            break;
        }
        push_visible(&mut out, c);
    }
    out
}

/// Appends `c` in a visible form and says how many terminal columns that takes.
pub(crate) fn push_visible(out: &mut String, c: char) -> usize {
    if c == '\t' {
        out.push_str("    ");
        return 4;
    }
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    match category {
        GeneralCategory::Control
        | GeneralCategory::Format
        | GeneralCategory::LineSeparator
        | GeneralCategory::ParagraphSeparator => {
            let before = out.len();
            out.extend(c.escape_unicode());
            out.len() - before
        }
        GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark => {
            out.push(c);
            0
        }
        _ => {
            out.push(c);
            let wide = CodePointMapData::<EastAsianWidth>::new().get(c);
            if matches!(wide, EastAsianWidth::Wide | EastAsianWidth::Fullwidth) { 2 } else { 1 }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_bidi_overrides_do_not_reach_the_terminal() {
        assert_eq!(shown("a\u{1b}[31mb\u{202e}c\u{2028}\n"), "a\\u{1b}[31mb\\u{202e}c\\u{2028}\\u{a}");
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(shown(&"a".repeat(81)), format!("{}…", "a".repeat(80)));
        assert_eq!(shown(&"a".repeat(80)), "a".repeat(80));
    }

    #[test]
    fn wide_characters_count_twice_and_marks_not_at_all() {
        let mut out = String::new();
        let width: usize = "a敏e\u{301}\u{7}".chars().map(|c| push_visible(&mut out, c)).sum();
        assert_eq!((width, out.as_str()), (1 + 2 + 1 + 5, "a敏e\u{301}\\u{7}"));
    }
}
