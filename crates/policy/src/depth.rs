//! How deep a text with policies nests. Cedar reads, prints and evaluates expressions by recursion, so what nests without
//! bound would end this program.

use std::path::Path;

use crate::WrittenError;
use crate::written::place;

/// Deepest that brackets and `if`s nest in one policy.
const MOST_NESTED: usize = 32;
/// Most operators of one policy, each of which is a step deeper.
const MOST_OPERATORS: usize = 200;

/// Where the text of a file first nests too deeply; nothing where it does not.
pub fn too_deep(path: &Path, text: &str) -> Option<WrittenError> {
    let (at, message) = deepest(text)?;
    let help = "write several policies, or compare with a set: `[\"a\", \"b\"].contains(resource.name)`".to_owned();
    Some(WrittenError { path: path.to_path_buf(), place: Some(place(text, at)), message, help })
}

/// Where a text is too deep, in bytes, and how.
fn deepest(text: &str) -> Option<(usize, String)> {
    let (mut brackets, mut ifs, mut operators) = (0_usize, 0_usize, 0_usize);
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let at = text.len() - rest.len();
        let length = match character {
            '"' => quoted(rest),
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '_' | 'a'..='z' | 'A'..='Z' => {
                let word = |c: char| c == '_' || c.is_ascii_alphanumeric();
                let length = rest.find(|c| !word(c)).unwrap_or(rest.len());
                match rest.get(..length) {
                    Some("if") => ifs += 1,
                    // Conditions that stand one behind the other are joined.
                    Some("when" | "unless") => operators += 1,
                    _ => {}
                }
                length
            }
            '&' | '|' => {
                operators += 1;
                if matches!(rest.get(1..2), Some("&" | "|")) { 2 } else { 1 }
            }
            other => {
                match other {
                    '(' | '{' => brackets += 1,
                    // Or an attribute, of which the next may be taken.
                    '[' => (brackets, operators) = (brackets + 1, operators + 1),
                    ')' | ']' | '}' => brackets = brackets.saturating_sub(1),
                    '.' | '+' | '-' | '*' => operators += 1,
                    ';' => (brackets, ifs, operators) = (0, 0, 0),
                    _ => {}
                }
                other.len_utf8()
            }
        };
        if brackets + ifs > MOST_NESTED {
            return Some((at, format!("a policy nests deeper than {MOST_NESTED} brackets and `if`s")));
        }
        if operators > MOST_OPERATORS {
            return Some((at, format!("a policy has more than {MOST_OPERATORS} operators")));
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    None
}

/// The length of the text in quotes that `rest` begins with.
fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    let end = rest.char_indices().skip(1).find(|(_, character)| {
        let ends = *character == '"' && !escaped;
        escaped = *character == '\\' && !escaped;
        ends
    });
    end.map_or(rest.len(), |(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(condition: &str) -> String {
        format!("@id(\"x\")\nforbid(principal, action, resource) when {{ {condition} }};\n")
    }

    #[test]
    fn what_nests_without_end_is_found_however_it_does() {
        for (before, inside, after) in [
            ("(", "true", ")"),
            ("[", "true", "]"),
            ("{a: ", "1", "}"),
            ("if true then true else ", "true", ""),
            ("if ", "true", " then true else true"),
            ("context.now.hour == 1 && ", "true", ""),
            ("false || ", "true", ""),
            ("1 + ", "1 == 1", ""),
            ("", "context", ".now"),
            ("", "context", "[\"now\"]"),
            ("", "true", " } when { true"),
        ] {
            let nested =
                |times: usize| policy(&[before.repeat(times), inside.to_owned(), after.repeat(times)].concat());
            assert_eq!(deepest(&nested(10)), None, "{before}{after}");
            let (at, _) = deepest(&nested(300)).unwrap_or_else(|| panic!("{before}{after}"));
            assert!(nested(300).is_char_boundary(at));
        }
    }

    #[test]
    fn texts_comments_and_long_lists_do_not_nest() {
        let brackets = "([{".repeat(100);
        let names = vec!["\"a.example.com\""; 5_000].join(", ");
        for text in [
            policy(&format!("resource.name == \"{brackets}\\\"{brackets}\"")),
            format!("// {brackets} if && \"\n{}", policy("true")),
            policy(&format!("[{names}].contains(resource.name)")),
            policy("resource.name like \"*.银行\"").repeat(500),
        ] {
            assert_eq!(deepest(&text), None, "{text:.80}");
        }
        assert!(deepest(&policy(&format!("\"\\\\\" == {brackets}"))).is_some());
        assert!(deepest(&format!("\"{brackets}")).is_none());
    }
}
