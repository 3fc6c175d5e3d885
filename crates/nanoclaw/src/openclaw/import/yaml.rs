//! Writing YAML that means exactly what was asked for, whatever is in the texts.

use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory;

use crate::terminal::line;

/// Longest comment in columns.
const COMMENT: usize = 110;

/// A text as a YAML scalar: plain where nobody could take it for anything else, else in double quotes.
pub(super) fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    let word = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n" | "inf" | "nan"
    );
    if plain && !word {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        let category = CodePointMapData::<GeneralCategory>::new().get(c);
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            _ if matches!(
                category,
                GeneralCategory::Control
                    | GeneralCategory::Format
                    | GeneralCategory::LineSeparator
                    | GeneralCategory::ParagraphSeparator
                    | GeneralCategory::PrivateUse
                    | GeneralCategory::Unassigned
            ) =>
            {
                out.push_str(&format!("\\U{:08x}", u32::from(c)));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A list on one line.
pub(super) fn list(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| scalar(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// A comment on one line.
pub(super) fn comment(text: &str) -> String {
    format!("# {}", line(text, COMMENT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_taken_for_yaml() {
        assert_eq!(scalar("main"), "main");
        assert_eq!(scalar("no"), "\"no\"");
        assert_eq!(scalar("007"), "\"007\"");
        assert_eq!(scalar("a: b # c"), "\"a: b # c\"");
        assert_eq!(scalar("a\"\\\n\u{202e}"), "\"a\\\"\\\\\\U0000000a\\U0000202e\"");
        assert_eq!(scalar(""), "\"\"");
        assert_eq!(list(&["a".into(), "b/c".into()]), "[a, \"b/c\"]");
        assert_eq!(comment("a\nb: c"), "# a b: c");
    }
}
