//! `file_edit`: replaces an exact text in a file.

use nanoclaw_dialect::Tool;
use serde::Deserialize;
use serde_json::json;

use super::{Job, Room, ToolError, file_write, files};

pub(super) fn tool() -> Tool {
    super::tool(
        "file_edit",
        "Replace a text in a file. `old` must stand there exactly once, character by character; add lines around it \
         until it does.",
        json!({
            "path": {"type": "string", "description": "file, relative to the workspace or absolute"},
            "old": {"type": "string", "description": "text that is there now"},
            "new": {"type": "string", "description": "text in its place"},
            "all": {"type": "boolean", "description": "replace every occurrence instead"},
        }),
        &["path", "old", "new"],
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    path: String,
    old: String,
    new: String,
    #[serde(default)]
    all: bool,
}

pub(super) fn run(job: &Job, room: &Room) -> Result<String, ToolError> {
    let Arguments { path, old, new, all } = job.arguments()?;
    let path = room.path(&path)?;
    let shown = room.shown(&path);
    if old.is_empty() {
        return Err(ToolError::new("`old` is empty; file_write writes whole files"));
    }
    if old == new {
        return Err(ToolError::new("`old` and `new` are the same, so there is nothing to do"));
    }
    let content = String::from_utf8(files::whole(room, &path)?)
        .map_err(|_| ToolError(format!("`{shown}` is not UTF-8 text; use the shell")))?;
    let edited = match content.matches(&old).count() {
        0 => return Err(ToolError(format!("`old` does not stand in `{shown}`; read it and copy the text exactly"))),
        1 => content.replacen(&old, &new, 1),
        _ if all => content.replace(&old, &new),
        count => {
            let help = "make it longer until it is the only one, or set `all`";
            return Err(ToolError(format!("`old` stands {count} times in `{shown}`; {help}")));
        }
    };
    file_write::write(room, &path, edited.as_bytes())?;
    Ok(format!("edited `{shown}`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::tests::Bench;

    #[tokio::test]
    async fn exactly_one_place_is_replaced() {
        let bench = Bench::new();
        bench.put("f", "a = 1\nb = 1\n");
        assert_eq!(bench.ok("file_edit", json!({"path": "f", "old": "b = 1", "new": "b = 2"})).await, "edited `f`");
        assert_eq!(bench.get("f"), "a = 1\nb = 2\n");
    }

    #[tokio::test]
    async fn what_is_not_there_or_not_unique_changes_nothing() {
        let bench = Bench::new();
        bench.put("f", "x x");
        let edit = |old: &str, all: bool| json!({"path": "f", "old": old, "new": "y", "all": all});
        assert_eq!(
            bench.fails("file_edit", edit("x", false)).await,
            "`old` stands 2 times in `f`; make it longer until it is the only one, or set `all`"
        );
        assert_eq!(
            bench.fails("file_edit", edit("z", true)).await,
            "`old` does not stand in `f`; read it and copy the text exactly"
        );
        bench.fails("file_edit", edit("", true)).await;
        bench.fails("file_edit", edit("y", true)).await;
        assert_eq!(bench.get("f"), "x x");
        bench.ok("file_edit", edit("x", true)).await;
        assert_eq!(bench.get("f"), "y y");
    }

    #[tokio::test]
    async fn files_that_are_no_text_or_too_long_are_left_alone() {
        let bench = Bench::new();
        let edit = |path: &str| json!({"path": path, "old": "a", "new": "b"});
        bench.put("binary", b"a\xff");
        assert_eq!(bench.fails("file_edit", edit("binary")).await, "`binary` is not UTF-8 text; use the shell");
        bench.put("long", "a".repeat(usize::try_from(files::MAX_WHOLE).unwrap() + 1));
        assert!(bench.fails("file_edit", edit("long")).await.starts_with("`long` is longer than 4194304 bytes"));
    }
}
