//! `file_list`: what a directory has.

use std::fs;
use std::path::Path;

use nanoclaw_dialect::Tool;
use serde::Deserialize;
use serde_json::json;

use super::{Job, Room, ToolError, files};

/// Most levels of directories.
const MAX_DEPTH: u32 = 8;

/// Most entries that are listed.
const MAX_LISTED: usize = 1000;

/// Most entries of one directory that are read.
const MAX_READ: usize = 20_000;

pub(super) fn tool() -> Tool {
    super::tool(
        "file_list",
        "List a directory: files with their size in bytes, directories with `/`, links with their target.",
        json!({
            "path": {"type": "string", "description": "directory, relative to the workspace or absolute; the workspace if left out"},
            "depth": {"type": "integer", "minimum": 1, "maximum": MAX_DEPTH, "description": "levels to list, 1 if left out"},
        }),
        &[],
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    #[serde(default)]
    path: String,
    depth: Option<u32>,
}

pub(super) fn run(job: &Job, room: &Room) -> Result<String, ToolError> {
    let Arguments { path, depth } = job.arguments()?;
    let path = room.path(&path)?;
    let mut list = List { room, lines: Vec::new(), cut: false };
    list.directory(&path, "", depth.unwrap_or(1).clamp(1, MAX_DEPTH))?;
    if list.cut {
        list.lines
            .push(format!("[cut: only the first {} entries are listed; list a directory below]", list.lines.len()));
    }
    if list.lines.is_empty() {
        list.lines.push("[the directory is empty]".to_owned());
    }
    Ok(list.lines.join("\n"))
}

struct List<'a> {
    room: &'a Room,
    lines: Vec<String>,
    cut: bool,
}

impl List<'_> {
    fn directory(&mut self, path: &Path, prefix: &str, depth: u32) -> Result<(), ToolError> {
        let entries = fs::read_dir(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotADirectory => {
                ToolError(format!("`{}` is not a directory; file_read reads it", self.room.shown(path)))
            }
            _ => files::why(self.room, path, &error),
        })?;
        let mut entries: Vec<_> = entries.filter_map(Result::ok).take(MAX_READ + 1).collect();
        self.cut |= entries.len() > MAX_READ;
        entries.truncate(MAX_READ);
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            if self.lines.len() >= MAX_LISTED {
                self.cut = true;
                return Ok(());
            }
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            // Of the entry itself, not of what a link leads to.
            let Ok(metadata) = entry.metadata() else { continue };
            let kind = metadata.file_type();
            if kind.is_symlink() {
                let target = fs::read_link(entry.path()).unwrap_or_default();
                self.lines.push(format!("{name} -> {}", target.display()));
            } else if kind.is_dir() {
                self.lines.push(format!("{name}/"));
                if depth > 1 && entry.file_name() != ".git" {
                    // A directory that cannot be read is listed, and that is all.
                    let _ = self.directory(&entry.path(), &format!("{name}/"), depth - 1);
                }
            } else {
                self.lines.push(format!("{name} {}", metadata.len()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::tests::Bench;

    #[tokio::test]
    async fn entries_are_sorted_and_directories_are_entered_as_deep_as_asked() {
        let bench = Bench::new();
        assert_eq!(bench.ok("file_list", json!({})).await, "[the directory is empty]");
        bench.put("b.txt", "12345");
        bench.put("a/deep/f", "");
        bench.put(".git/config", "");
        std::os::unix::fs::symlink("/etc/passwd", bench.path("link")).unwrap();
        assert_eq!(bench.ok("file_list", json!({})).await, ".git/\na/\nb.txt 5\nlink -> /etc/passwd");
        assert_eq!(
            bench.ok("file_list", json!({"depth": 8})).await,
            ".git/\na/\na/deep/\na/deep/f 0\nb.txt 5\nlink -> /etc/passwd"
        );
        assert_eq!(bench.ok("file_list", json!({"path": "a"})).await, "deep/");
    }

    #[tokio::test]
    async fn links_are_not_followed() {
        let bench = Bench::new();
        std::os::unix::fs::symlink(".", bench.path("loop")).unwrap();
        assert_eq!(bench.ok("file_list", json!({"depth": 8})).await, "loop -> .");
    }

    #[tokio::test]
    async fn what_is_no_directory_is_named() {
        let bench = Bench::new();
        bench.put("f", "");
        assert_eq!(bench.fails("file_list", json!({"path": "f"})).await, "`f` is not a directory; file_read reads it");
        assert_eq!(
            bench.fails("file_list", json!({"path": "no"})).await,
            "`no` does not exist; file_list shows what does"
        );
    }

    #[tokio::test]
    async fn a_list_has_an_end() {
        let bench = Bench::new();
        for number in 0..=MAX_LISTED {
            bench.put(&format!("d/{number:05}"), "");
        }
        let text = bench.ok("file_list", json!({"depth": 2})).await;
        assert_eq!(text.lines().count(), MAX_LISTED + 1);
        assert!(text.ends_with("[cut: only the first 1000 entries are listed; list a directory below]"));
    }
}
