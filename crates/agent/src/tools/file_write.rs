//! `file_write`: a whole file.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nanoclaw_dialect::Tool;
use rustix::fs::OFlags;
use serde::Deserialize;
use serde_json::json;

use super::{Job, Room, ToolError, files};

pub(super) fn tool() -> Tool {
    super::tool(
        "file_write",
        "Write a whole file; what was in it is gone. Directories are made as needed.",
        json!({
            "path": {"type": "string", "description": "file, relative to the workspace or absolute"},
            "content": {"type": "string", "description": "all of its new content"},
        }),
        &["path", "content"],
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    path: String,
    content: String,
}

pub(super) fn run(job: &Job, room: &Room) -> Result<String, ToolError> {
    let Arguments { path, content } = job.arguments()?;
    let path = room.path(&path)?;
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|error| files::why(room, parent, &error))?;
    }
    let new = !path.exists();
    write(room, &path, content.as_bytes())?;
    let (what, shown) = (if new { "new file" } else { "file" }, room.shown(&path));
    Ok(format!("wrote {} bytes to the {what} `{shown}`", content.len()))
}

/// Replaces the content of a regular file. It is written in place, so links to it, its owner and its mode stay; whoever
/// ends the agent in the middle leaves half a file.
pub(super) fn write(room: &Room, path: &Path, content: &[u8]) -> Result<(), ToolError> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let failed = |error: std::io::Error| files::why(room, path, &error);
    let file = OpenOptions::new().write(true).create(true).truncate(false).custom_flags(flags).open(path);
    let mut file: File = files::regular(room, path, file.map_err(failed)?)?;
    file.set_len(0).map_err(failed)?;
    file.write_all(content).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::tests::Bench;

    #[tokio::test]
    async fn a_file_and_its_directories_are_made_and_replaced() {
        let bench = Bench::new();
        let write = |content: &str| json!({"path": "deep/er/f", "content": content});
        assert_eq!(bench.ok("file_write", write("hello")).await, "wrote 5 bytes to the new file `deep/er/f`");
        assert_eq!(bench.ok("file_write", write("x")).await, "wrote 1 bytes to the file `deep/er/f`");
        assert_eq!(bench.get("deep/er/f"), "x");
    }

    #[tokio::test]
    async fn only_regular_files_are_written() {
        let bench = Bench::new();
        let status = std::process::Command::new("mkfifo").arg(bench.path("fifo")).status().unwrap();
        assert!(status.success());
        std::fs::create_dir(bench.path("d")).unwrap();
        for path in ["fifo", "d", "/dev/null"] {
            bench.fails("file_write", json!({"path": path, "content": "x"})).await;
        }
        bench.put("file", "");
        bench.fails("file_write", json!({"path": "file/below", "content": "x"})).await;
    }
}
