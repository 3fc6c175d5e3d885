//! The texts in a value.

use nanoclaw_request::json;
use serde_json::Value;

/// How often a text that is JSON itself is looked into, one in the other.
const MOST_NESTING: usize = 4;
/// Longest key in bytes that counts as the name of a field.
const LONGEST_NAME: usize = 64;

/// Something that a value is made of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Leaf {
    /// Words or a number.
    Text(String),
    /// Yes or no.
    Truth,
}

/// All that `value` is made of; nothing where it says nothing.
pub(super) fn leaves(value: &Value) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    gather(value, 0, &mut leaves);
    leaves
}

fn gather(value: &Value, nesting: usize, leaves: &mut Vec<Leaf>) {
    match value {
        Value::Null => {}
        Value::Bool(_) => leaves.push(Leaf::Truth),
        Value::Number(number) => leaves.push(Leaf::Text(number.to_string())),
        Value::String(text) => match inner(text).filter(|_| nesting < MOST_NESTING) {
            Some(inner) => gather(&inner, nesting + 1, leaves),
            None => leaves.extend((!text.trim().is_empty()).then(|| Leaf::Text(text.clone()))),
        },
        Value::Array(items) => items.iter().for_each(|item| gather(item, nesting, leaves)),
        Value::Object(fields) => {
            for (key, value) in fields {
                leaves.extend((!is_name(key)).then(|| Leaf::Text(key.clone())));
                gather(value, nesting, leaves);
            }
        }
    }
}

/// What a text is that is JSON itself.
fn inner(text: &str) -> Option<Value> {
    let text = text.trim();
    let holds = text.starts_with(['{', '[']) && text.ends_with(['}', ']']);
    holds.then(|| json::strict(text.as_bytes())).flatten()
}

/// Whether a key only names a field. Anything else may be an address.
fn is_name(key: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    key.len() <= LONGEST_NAME
        && key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.chars().all(plain)
}

/// Most words of an element of a list that was written as one text: what has more is a sentence.
const MOST_WORDS: usize = 3;

/// The parts of a list that was written as one text; none where it is no list.
pub(super) fn pieces(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let (mut piece, mut before) = (String::new(), ' ');
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let inside_number = c == ',' && before.is_ascii_digit() && rest.peek().is_some_and(char::is_ascii_digit);
        if matches!(c, ',' | ';' | '\n') && !inside_number {
            pieces.push(std::mem::take(&mut piece));
        } else {
            piece.push(c);
        }
        before = c;
    }
    pieces.push(piece);
    let mut pieces: Vec<String> = pieces.iter().map(|piece| piece.trim().to_owned()).collect();
    pieces.retain(|piece| !piece.is_empty());
    if pieces.iter().any(|piece| piece.split_whitespace().count() > MOST_WORDS) {
        return Vec::new();
    }
    // What is left of `a,` is not the text any more, and may be looked for.
    if pieces.len() > 1 || pieces.first().is_some_and(|only| only != text.trim()) { pieces } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_text_of_a_value_is_found_at_any_depth() {
        let texts = |value: Value| -> Vec<String> {
            leaves(&value)
                .into_iter()
                .map(|leaf| match leaf {
                    Leaf::Text(text) => text,
                    Leaf::Truth => "?".to_owned(),
                })
                .collect()
        };
        assert_eq!(texts(json!({ "a": [1.5, "x", { "b": true }], "c": null, "d": " " })), ["1.5", "x", "?"]);
        assert_eq!(texts(json!({ "evil@x.org": "cc", "to_": 7 })), ["evil@x.org", "cc", "7"], "keys can be addresses");
        assert_eq!(texts(json!(r#"{"to": "[\"evil@x.org\"]"}"#)), ["evil@x.org"], "JSON in texts is JSON");
        assert_eq!(texts(json!("{to: evil}")), ["{to: evil}"]);
        let mut deep = json!("evil");
        for _ in 0..10 {
            deep = json!([deep]).to_string().into();
        }
        let [found] = texts(deep).try_into().unwrap();
        assert!(found.starts_with('[') && found.contains("evil"), "{found}");
    }

    #[test]
    fn lists_in_one_text_are_taken_apart() {
        assert_eq!(pieces("a@x, b@y;c\n d "), ["a@x", "b@y", "c", "d"]);
        assert_eq!(pieces("a,"), ["a"]);
        assert!(pieces("Stay at the Palace, 1 Rue de la Paix, Paris").is_empty(), "sentences are not");
        assert!(pieces("1,000").is_empty() && pieces("a b").is_empty() && pieces(" , ").is_empty());
    }
}
