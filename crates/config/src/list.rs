//! A list in YAML that is no configuration, such as the cases of a test: the same YAML, with the same messages.

use std::path::Path;

use serde_json::Value;

use crate::MAX_FILE;
use crate::load::{name_of, too_large};
use crate::report::{Mistakes, Report};
use crate::source::Source;
use crate::tree::{self, Kind, Node};

/// One element of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Where it begins: a line, from 1.
    pub line: usize,
    /// What it is. Unquoted, `true`, `false` and nothing mean themselves; everything else is text.
    pub value: Value,
}

/// Reads a list. `file` is how messages call it.
pub fn list(text: &str, file: &Path) -> Result<Vec<Item>, Report> {
    let name = name_of(file);
    if text.len() > MAX_FILE {
        return Err(too_large(&name));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let source = Source::new(text);
    let mut mistakes = Mistakes::new(&source);
    let items = match tree::read(text, &source, &mut mistakes) {
        Some(Node { kind: Kind::List(items), .. }) => items,
        Some(node) => {
            mistakes.add(node.place, "this is no list", "write a list: `- text: …` and what belongs to it below");
            Vec::new()
        }
        None => Vec::new(),
    };
    if !mistakes.is_empty() {
        return Err(mistakes.into_report(&name));
    }
    Ok(items.into_iter().map(|node| Item { line: node.place.line, value: value(node.kind) }).collect())
}

/// As deep as the tree, which is bounded.
fn value(kind: Kind) -> Value {
    match kind {
        Kind::Null | Kind::Rejected => Value::Null,
        Kind::Plain(text) if text == "true" => Value::Bool(true),
        Kind::Plain(text) if text == "false" => Value::Bool(false),
        Kind::Plain(text) | Kind::Quoted(text) => Value::String(text),
        Kind::List(items) => items.into_iter().map(|node| value(node.kind)).collect(),
        Kind::Map(entries) => entries.into_iter().map(|entry| (entry.key, value(entry.value.kind))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn elements_come_with_their_lines() {
        let text = "# cases\n- text: \"a\\u200bb\"\n  flagged: true\n-\n  - x\n  - ~\n- 7\n";
        let items = list(text, Path::new("cases.yaml")).unwrap();
        let found: Vec<(usize, Value)> = items.into_iter().map(|item| (item.line, item.value)).collect();
        let first = json!({ "text": "a\u{200b}b", "flagged": true });
        assert_eq!(found, [(2, first), (5, json!(["x", null])), (7, json!("7"))]);
    }

    #[test]
    fn what_is_no_list_is_a_mistake_with_its_place() {
        for (text, expected) in [("a: b\n", "this is no list"), ("- &x a\n- *x\n", "anchor"), ("- [\n", "cases.yaml")] {
            let report = list(text, Path::new("cases.yaml")).unwrap_err().to_string();
            assert!(report.contains(expected) && report.contains("cases.yaml:"), "{report}");
        }
    }
}
