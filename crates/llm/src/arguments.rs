//! The arguments of a call, read in one way or not at all.

use nanoclaw_policy::same_argument;
use nanoclaw_request::json;
use serde_json::Value;

/// Most arguments of one call that are looked at one by one; a call with more cannot be read in one way only.
const MOST_ARGUMENTS: usize = 256;

/// The arguments of a call by key, in their order; `None` where they are no object, hold a key twice at any depth, hold
/// two that a reader may take for one ([`same_argument`]), or are too many.
pub(crate) fn read(text: &str) -> Option<Vec<(String, Value)>> {
    // No arguments at all is how some models say that there are none.
    if text.trim().is_empty() {
        return Some(Vec::new());
    }
    match json::strict(text.as_bytes())? {
        Value::Object(fields) if fields.len() <= MOST_ARGUMENTS => {
            let pairs: Vec<(String, Value)> = fields.into_iter().collect();
            let again = pairs
                .iter()
                .enumerate()
                .any(|(number, (name, _))| pairs.iter().skip(number + 1).any(|(other, _)| same_argument(name, other)));
            (!again).then_some(pairs)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_are_read_in_one_way_or_not_at_all() {
        let pair = |key: &str, value: Value| (key.to_owned(), value);
        assert_eq!(
            read(r#" {"command": "ls", "n": -3, "deep": {"a": [1.5, true, null]}} "#),
            Some(vec![
                pair("command", json!("ls")),
                pair("n", json!(-3)),
                pair("deep", json!({ "a": [1.5, true, null] }))
            ])
        );
        assert_eq!(read(""), Some(Vec::new()));
        for text in [
            r#"{"command": "ls", "command": "rm"}"#,
            r#"{"command": "ls", "c\u006fmmand": "rm"}"#,
            r#"{"to": "bob@x.com", "To": "evil@x.org"}"#,
            r#"{"to": [{"address": "bob@x.com", "address": "evil@x.org"}]}"#,
            r#"{"command": "ls"} {"command": "rm"}"#,
            r#"["ls"]"#,
            r#"{"command": "ls""#,
            "null",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        let many =
            |count: usize| json!((0..count).map(|n| (n.to_string(), json!(n))).collect::<serde_json::Map<_, _>>());
        assert_eq!(read(&many(MOST_ARGUMENTS).to_string()).map(|pairs| pairs.len()), Some(MOST_ARGUMENTS));
        assert_eq!(read(&many(MOST_ARGUMENTS + 1).to_string()), None);
    }
}
