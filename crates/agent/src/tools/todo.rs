//! `todo`: the list of what is to be done in this session.

use nanoclaw_dialect::Tool;
use serde::Deserialize;
use serde_json::json;

use super::{Job, Room, ToolError};

/// Most items of a list.
const MAX_ITEMS: usize = 100;

/// Longest item in bytes.
const LONGEST_ITEM: usize = 500;

pub(super) fn tool() -> Tool {
    super::tool(
        "todo",
        "Keep the list of steps of a longer task. With `items`, they replace the list; without, it is only shown.",
        json!({
            "items": {
                "type": "array", "maxItems": MAX_ITEMS, "description": "the whole new list",
                "items": {
                    "type": "object", "required": ["text", "state"], "additionalProperties": false,
                    "properties": {
                        "text": {"type": "string"},
                        "state": {"type": "string", "enum": ["open", "doing", "done"]},
                    },
                },
            },
        }),
        &[],
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    items: Option<Vec<Item>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    text: String,
    state: State,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Open,
    Doing,
    Done,
}

pub(super) fn run(job: &Job, room: &Room) -> Result<String, ToolError> {
    let Arguments { items } = job.arguments()?;
    let list = match items {
        None => room.store.todo(&job.session)?,
        Some(items) => {
            if items.len() > MAX_ITEMS {
                return Err(ToolError(format!("a list has at most {MAX_ITEMS} items")));
            }
            if items.iter().any(|item| item.text.len() > LONGEST_ITEM) {
                return Err(ToolError(format!("an item is longer than {LONGEST_ITEM} bytes; make it shorter")));
            }
            let list = items.iter().map(line).collect::<Vec<_>>().join("\n");
            room.store.set_todo(&job.session, &list)?;
            list
        }
    };
    Ok(if list.is_empty() { "[the list is empty]".to_owned() } else { list })
}

fn line(item: &Item) -> String {
    let mark = match item.state {
        State::Open => "[ ]",
        State::Doing => "[~]",
        State::Done => "[x]",
    };
    format!("{mark} {}", item.text.replace('\n', " "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::tests::Bench;

    #[tokio::test]
    async fn a_list_is_written_whole_and_read_again() {
        let bench = Bench::new();
        assert_eq!(bench.ok("todo", json!({})).await, "[the list is empty]");
        let items = json!({"items": [
            {"text": "read\nit", "state": "done"}, {"text": "write", "state": "doing"}, {"text": "test", "state": "open"}
        ]});
        assert_eq!(bench.ok("todo", items).await, "[x] read it\n[~] write\n[ ] test");
        assert_eq!(bench.ok("todo", json!({})).await, "[x] read it\n[~] write\n[ ] test");
        assert_eq!(bench.ok("todo", json!({"items": []})).await, "[the list is empty]");
    }

    #[tokio::test]
    async fn lists_and_items_have_an_end() {
        let bench = Bench::new();
        let item = |text: &str| json!({"text": text, "state": "open"});
        let many: Vec<_> = (0..=MAX_ITEMS).map(|_| item("x")).collect();
        assert_eq!(bench.fails("todo", json!({"items": many})).await, "a list has at most 100 items");
        let long = item(&"x".repeat(LONGEST_ITEM + 1));
        assert!(bench.fails("todo", json!({"items": [long]})).await.starts_with("an item is longer than 500 bytes"));
        assert!(bench.fails("todo", json!({"items": [{"text": "x", "state": "lost"}]})).await.contains("lost"));
    }
}
