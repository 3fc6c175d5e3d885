//! `memory_save`, `memory_search`, `memory_delete`: what the agent knows beyond one session.

use nanoclaw_dialect::Tool;
use serde::Deserialize;
use serde_json::json;

use super::{Job, Room, ToolError};

/// Longest memory in bytes.
const LONGEST_MEMORY: usize = 8 * 1024;

/// Most memories that a search gives.
const MOST_FOUND: u64 = 50;

pub(super) fn save_tool() -> Tool {
    super::tool(
        "memory_save",
        "Remember a fact for later conversations. One fact for each call, so that it can be deleted alone.",
        json!({"text": {"type": "string", "description": "the fact, understandable without this conversation"}}),
        &["text"],
    )
}

pub(super) fn search_tool() -> Tool {
    super::tool(
        "memory_search",
        "Look for remembered facts by words; any word counts. Without words: the latest.",
        json!({
            "query": {"type": "string", "description": "words to look for"},
            "limit": {"type": "integer", "minimum": 1, "maximum": MOST_FOUND, "description": "most facts, 10 if left out"},
        }),
        &[],
    )
}

pub(super) fn delete_tool() -> Tool {
    super::tool(
        "memory_delete",
        "Forget a remembered fact that is wrong or not needed any more.",
        json!({"id": {"type": "integer", "description": "its number, as memory_search gives it"}}),
        &["id"],
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Save {
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Search {
    #[serde(default)]
    query: String,
    limit: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Delete {
    id: i64,
}

pub(super) fn save(job: &Job, room: &Room) -> Result<String, ToolError> {
    let Save { text } = job.arguments()?;
    if text.trim().is_empty() {
        return Err(ToolError::new("there is nothing to remember: `text` is empty"));
    }
    if text.len() > LONGEST_MEMORY {
        return Err(ToolError(format!("the text is longer than {LONGEST_MEMORY} bytes; write it to a file")));
    }
    match room.store.remember(&text)? {
        Some(id) => Ok(format!("remembered as {id}")),
        None => Err(ToolError::new("the memory is full; delete what is not needed any more")),
    }
}

pub(super) fn search(job: &Job, room: &Room) -> Result<String, ToolError> {
    let Search { query, limit } = job.arguments()?;
    let found = room.store.recall(&query, limit.unwrap_or(10).clamp(1, MOST_FOUND))?;
    if found.is_empty() {
        return Ok("[nothing is remembered that fits]".to_owned());
    }
    let line = |memory: crate::store::Memory| {
        let day = jiff::Timestamp::from_second(memory.at).unwrap_or_default().strftime("%Y-%m-%d").to_string();
        format!("{} ({day}): {}", memory.id, memory.text)
    };
    Ok(found.into_iter().map(line).collect::<Vec<_>>().join("\n"))
}

pub(super) fn delete(job: &Job, room: &Room) -> Result<String, ToolError> {
    let Delete { id } = job.arguments()?;
    match room.store.forget(id)? {
        Some(text) => Ok(format!("forgotten: {text}")),
        None => Err(ToolError(format!("there is no memory {id}; memory_search shows their numbers"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::tests::Bench;

    #[tokio::test]
    async fn facts_are_saved_found_and_deleted() {
        let bench = Bench::new();
        assert_eq!(bench.ok("memory_search", json!({})).await, "[nothing is remembered that fits]");
        assert_eq!(bench.ok("memory_save", json!({"text": "the limit is 5"})).await, "remembered as 1");
        let text = bench.ok("memory_search", json!({"query": "LIMIT?"})).await;
        assert!(text.starts_with("1 (20") && text.ends_with("): the limit is 5"), "{text}");
        assert_eq!(bench.ok("memory_delete", json!({"id": 1})).await, "forgotten: the limit is 5");
        assert_eq!(
            bench.fails("memory_delete", json!({"id": 1})).await,
            "there is no memory 1; memory_search shows their numbers"
        );
    }

    #[tokio::test]
    async fn a_memory_is_neither_empty_nor_long() {
        let bench = Bench::new();
        bench.fails("memory_save", json!({"text": " \n"})).await;
        bench.ok("memory_save", json!({"text": "x".repeat(LONGEST_MEMORY)})).await;
        assert_eq!(
            bench.fails("memory_save", json!({"text": "x".repeat(LONGEST_MEMORY + 1)})).await,
            "the text is longer than 8192 bytes; write it to a file"
        );
    }

    #[tokio::test]
    async fn a_search_gives_as_many_as_asked_and_not_more_than_there_may_be() {
        let bench = Bench::new();
        for number in 0..60 {
            bench.ok("memory_save", json!({"text": format!("fact {number}")})).await;
        }
        for (limit, lines) in [(json!({"query": "fact"}), 10), (json!({"limit": 3}), 3), (json!({"limit": 1000}), 50)] {
            assert_eq!(bench.ok("memory_search", limit).await.lines().count(), lines);
        }
    }
}
