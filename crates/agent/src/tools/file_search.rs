//! `file_search`: lines that contain a text.
//!
//! It gives way to other turns after each file, and ends at the border of the file system it begins in, so that a
//! search of `/` does not wander into `/proc`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nanoclaw_config::glob;
use nanoclaw_dialect::Tool;
use serde::Deserialize;
use serde_json::json;

use super::{Job, Room, ToolError, bound, files};

/// Most lines that are shown.
const MOST_MATCHES: usize = 200;

/// Longest line that is shown, in bytes.
const LONGEST_LINE: usize = 300;

/// Most files that are searched.
const MAX_SEARCHED: usize = 20_000;

/// Most directories that are waiting to be searched.
const MAX_WAITING: usize = 20_000;

pub(super) fn tool() -> Tool {
    super::tool(
        "file_search",
        "Find lines that contain a text (not a pattern) in files below a directory. Gives `file:line: text`.",
        json!({
            "text": {"type": "string", "description": "what the lines contain"},
            "path": {"type": "string", "description": "directory or file; the workspace if left out"},
            "name": {"type": "string", "description": "only files of this name; `*` stands for any characters, as in `*.rs`"},
            "ignore_case": {"type": "boolean", "description": "whether upper and lower case are the same"},
        }),
        &["text"],
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    text: String,
    #[serde(default)]
    path: String,
    name: Option<String>,
    #[serde(default)]
    ignore_case: bool,
}

pub(super) async fn run(job: &Job, room: &Room) -> Result<String, ToolError> {
    let Arguments { text, path, name, ignore_case } = job.arguments()?;
    if text.is_empty() {
        return Err(ToolError::new("`text` is empty; say what to look for"));
    }
    let asked = room.path(&path)?;
    // A link that was asked for is followed, those below are not.
    let start = fs::canonicalize(&asked).map_err(|error| files::why(room, &asked, &error))?;
    let device = fs::metadata(&start).map_err(|error| files::why(room, &asked, &error))?.dev();
    let text = if ignore_case { text.to_lowercase() } else { text };
    let mut search = Search { text, ignore_case, matches: Vec::new(), files: 0, unread: 0, cut: None };
    let mut waiting = vec![start];
    while let Some(path) = waiting.pop() {
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.is_dir() && metadata.dev() == device {
            let mut entries: Vec<PathBuf> =
                fs::read_dir(&path).into_iter().flatten().filter_map(|e| Some(e.ok()?.path())).collect();
            entries.retain(|entry| entry.file_name().is_some_and(|name| name != ".git"));
            // The last comes off first.
            entries.sort_unstable_by(|a, b| b.cmp(a));
            if waiting.len() + entries.len() > MAX_WAITING {
                search.cut = Some(format!("there are more than {MAX_WAITING} files; search a directory below"));
                break;
            }
            waiting.append(&mut entries);
        } else if metadata.is_file() && fits(&path, name.as_deref()) {
            search.file(room, &path);
        }
        if search.cut.is_some() {
            break;
        }
        tokio::task::yield_now().await;
    }
    Ok(search.report())
}

fn fits(path: &Path, pattern: Option<&str>) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    pattern.is_none_or(|pattern| glob::matches(pattern, &name))
}

struct Search {
    text: String,
    ignore_case: bool,
    matches: Vec<String>,
    files: usize,
    /// Files that are no text, too long, or cannot be read.
    unread: usize,
    /// Why the search ended early.
    cut: Option<String>,
}

impl Search {
    fn file(&mut self, room: &Room, path: &Path) {
        if self.files >= MAX_SEARCHED {
            self.cut = Some(format!("{MAX_SEARCHED} files were searched; search a directory below"));
            return;
        }
        self.files += 1;
        let content = match files::whole(room, path) {
            Ok(content) if !files::binary(&content) => content,
            Ok(_) | Err(_) => {
                self.unread += 1;
                return;
            }
        };
        for (number, line) in String::from_utf8_lossy(&content).lines().enumerate() {
            let found =
                if self.ignore_case { line.to_lowercase().contains(&self.text) } else { line.contains(&self.text) };
            if !found {
                continue;
            }
            if self.matches.len() >= MOST_MATCHES {
                self.cut = Some(format!("{MOST_MATCHES} lines are shown; look for something rarer"));
                return;
            }
            let shown = line.get(..bound::floor(line, LONGEST_LINE)).unwrap_or(line);
            let more = if shown.len() < line.len() { "…" } else { "" };
            self.matches.push(format!("{}:{}: {shown}{more}", room.shown(path), number + 1));
        }
    }

    fn report(mut self) -> String {
        if self.matches.is_empty() {
            self.matches.push(format!("[no line found in {} files]", self.files));
        }
        if self.unread > 0 {
            self.matches.push(format!("[{} files are not text, too long or unreadable]", self.unread));
        }
        if let Some(why) = self.cut {
            self.matches.push(format!("[cut: {why}]"));
        }
        self.matches.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::tests::Bench;

    #[tokio::test]
    async fn lines_are_found_with_their_place() {
        let bench = Bench::new();
        bench.put("a.txt", "one\ntwo Needle\n");
        bench.put("sub/b.rs", "needle\r\n");
        bench.put("sub/c.txt", "nothing");
        assert_eq!(bench.ok("file_search", json!({"text": "needle"})).await, "sub/b.rs:1: needle");
        assert_eq!(
            bench.ok("file_search", json!({"text": "NEEDLE", "ignore_case": true})).await,
            "a.txt:2: two Needle\nsub/b.rs:1: needle"
        );
        assert_eq!(
            bench.ok("file_search", json!({"text": "n", "name": "*.rs", "path": "sub"})).await,
            "sub/b.rs:1: needle"
        );
        assert_eq!(bench.ok("file_search", json!({"text": "Needle", "path": "a.txt"})).await, "a.txt:2: two Needle");
    }

    #[tokio::test]
    async fn what_is_not_searched_is_counted() {
        let bench = Bench::new();
        bench.put("binary", b"needle\0");
        bench.put("text", "other");
        assert_eq!(
            bench.ok("file_search", json!({"text": "needle"})).await,
            "[no line found in 2 files]\n[1 files are not text, too long or unreadable]"
        );
        assert!(bench.fails("file_search", json!({"text": ""})).await.starts_with("`text` is empty"));
        assert!(
            bench.fails("file_search", json!({"text": "x", "path": "no"})).await.starts_with("`no` does not exist")
        );
    }

    #[tokio::test]
    async fn matches_and_lines_have_an_end() {
        let bench = Bench::new();
        bench.put("f", "needle\n".repeat(MOST_MATCHES + 1));
        let text = bench.ok("file_search", json!({"text": "needle"})).await;
        assert_eq!(text.lines().count(), MOST_MATCHES + 1);
        assert!(text.ends_with("[cut: 200 lines are shown; look for something rarer]"), "{text}");
        bench.put("f", "é".repeat(1000));
        let text = bench.ok("file_search", json!({"text": "é"})).await;
        assert_eq!(text, format!("f:1: {}…", "é".repeat(LONGEST_LINE / 2)));
    }

    #[tokio::test]
    async fn a_search_does_not_follow_links_or_leave_its_file_system() {
        let bench = Bench::new();
        std::os::unix::fs::symlink("/proc", bench.path("proc")).unwrap();
        std::os::unix::fs::symlink(".", bench.path("loop")).unwrap();
        assert_eq!(bench.ok("file_search", json!({"text": "a"})).await, "[no line found in 0 files]");
    }
}
