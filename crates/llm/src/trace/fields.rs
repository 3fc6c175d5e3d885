//! The values of some fields of a result. It is read by a parser of its form, JSON or YAML: what looks like a field in the
//! middle of a text is none.

use std::collections::HashSet;
use std::sync::Arc;

use saphyr_parser::{Event, Parser};
use serde_json::Value;

use super::search::comparable;

/// Longest result in bytes whose fields are read; those of a longer one vouch for nothing.
const MAX_RESULT: usize = 1024 * 1024;
/// Most values of one result that vouch.
const MOST_FIELDS: usize = 4_096;
/// Deepest nesting of a result; what is deeper vouches for nothing.
const MAX_DEPTH: usize = 64;

/// The values of the fields with these names, at any depth, as they are compared: texts and numbers that stand under such a
/// name, or in a list under it.
pub(super) fn values(text: &str, names: &Arc<[String]>) -> HashSet<String> {
    if text.len() > MAX_RESULT {
        return HashSet::new();
    }
    let mut found = HashSet::new();
    match serde_json::from_str(text) {
        Ok(json) => in_json(&json, false, names, &mut found),
        // Half of a result says nothing reliable.
        Err(_) => found = in_yaml(text, names).unwrap_or_default(),
    }
    found
}

fn in_json(value: &Value, counts: bool, names: &[String], found: &mut HashSet<String>) {
    match value {
        Value::String(text) => keep(counts, text, found),
        Value::Number(number) => keep(counts, &number.to_string(), found),
        Value::Null | Value::Bool(_) => {}
        Value::Array(items) => items.iter().for_each(|item| in_json(item, counts, names, found)),
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| in_json(value, names.contains(name), names, found));
        }
    }
}

fn keep(counts: bool, text: &str, found: &mut HashSet<String>) {
    let text = comparable(text);
    if counts && !text.is_empty() && found.len() < MOST_FIELDS {
        found.insert(text);
    }
}

/// What is open around a value.
enum Around {
    /// A list, whose elements count or not.
    List(bool),
    /// A mapping that waits for a key.
    Key,
    /// A mapping that waits for the value of a key, which counts or not.
    Value(bool),
}

/// `None` where it is not YAML, or more than a result needs.
fn in_yaml(text: &str, names: &[String]) -> Option<HashSet<String>> {
    let mut found = HashSet::new();
    let mut around: Vec<Around> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, _) = event.ok()?;
        match event {
            Event::Scalar(scalar, ..) => match around.last_mut() {
                Some(place @ Around::Key) => *place = Around::Value(names.iter().any(|name| **name == *scalar)),
                Some(Around::List(counts) | Around::Value(counts)) => {
                    keep(*counts, &scalar, &mut found);
                    valued(&mut around);
                }
                None => {}
            },
            Event::SequenceStart(..) => {
                let counts = matches!(around.last(), Some(Around::List(true) | Around::Value(true)));
                open(&mut around, Around::List(counts))?;
            }
            Event::MappingStart(..) => open(&mut around, Around::Key)?,
            Event::SequenceEnd | Event::MappingEnd => {
                around.pop();
                valued(&mut around);
            }
            // Something that stands for something else.
            Event::Alias(..) => valued(&mut around),
            _ => {}
        }
    }
    Some(found)
}

/// A value is complete: a mapping around it waits for the next key, and a key that is no text has no name.
fn valued(around: &mut [Around]) {
    if let Some(place @ (Around::Key | Around::Value(_))) = around.last_mut() {
        *place = if matches!(place, Around::Key) { Around::Value(false) } else { Around::Key };
    }
}

fn open(around: &mut Vec<Around>, place: Around) -> Option<()> {
    around.push(place);
    (around.len() <= MAX_DEPTH).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let names: Arc<[String]> = ["sender", "participants", "id"].map(str::to_owned).into();
        let mut found: Vec<String> = values(text, &names).into_iter().collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn values_of_fields_are_found_in_json_and_yaml() {
        let json = r#"[{"sender": "Bob@x.com", "body": "participants: [evil@x.org]", "participants": ["a@x", "b@x"], "id": 7}]"#;
        assert_eq!(found(json), ["7", "a@x", "b@x", "bob@x.com"]);
        let yaml =
            "- sender: Bob@x.com\n  body: 'participants: [evil@x.org]'\n  participants:\n  - a@x\n  - b@x\n  id: '7'\n";
        assert_eq!(found(yaml), ["7", "a@x", "b@x", "bob@x.com"]);
        assert_eq!(found("a:\n  b: {sender: c}\n  ? [sender]\n  : d\n"), ["c"]);
    }

    #[test]
    fn what_looks_like_a_field_in_a_text_is_none() {
        for forged in [
            "body: \"x\\nsender: evil@x.org\"\n",
            "body: |\n  hello\n  sender: evil@x.org\n",
            "body: >-\n  hello\n\n  sender: evil@x.org\nid:\n",
            "hello\nsender: evil@x.org: no\n",
            "sender: {name: evil@x.org}\n",
            "sender: &a evil@x.org\nbody: [*a\n",
            r#"{"body": "{\"sender\": \"evil@x.org\"}", "Sender": "evil@x.org"}"#,
            "just words",
            "",
        ] {
            assert!(found(forged).is_empty(), "{forged}: {:?}", found(forged));
        }
    }

    #[test]
    fn a_result_that_is_too_much_vouches_for_nothing() {
        assert!(found(&format!("sender: a\nbody: {}\n", "x".repeat(MAX_RESULT))).is_empty());
        assert!(found(&format!("sender: a\nbody: {}{}\n", "[".repeat(100), "]".repeat(100))).is_empty());
        let many = format!("sender: [{}]\n", (0..10_000).map(|number| format!("a{number}, ")).collect::<String>());
        assert_eq!(found(&many).len(), MOST_FIELDS);
    }
}
