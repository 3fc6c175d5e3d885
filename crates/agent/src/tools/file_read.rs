//! `file_read`: lines of a text file.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};

use nanoclaw_dialect::Tool;
use serde::Deserialize;
use serde_json::json;

use super::{Job, Room, ToolError, bound, files};

/// Most lines that one call gives.
const MOST_LINES: u64 = 2000;

/// Most bytes that are read to get at them.
const MAX_SCANNED: u64 = 64 * 1024 * 1024;

/// Room for the line that says what is not shown, in bytes.
const MARK: usize = 120;

pub(super) fn tool() -> Tool {
    super::tool(
        "file_read",
        "Read a text file. Long files come in pieces: the end of the text says how to go on.",
        json!({
            "path": {"type": "string", "description": "file, relative to the workspace or absolute"},
            "offset": {"type": "integer", "minimum": 1, "description": "first line, from 1"},
            "limit": {"type": "integer", "minimum": 1, "description": "most lines"},
        }),
        &["path"],
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    path: String,
    offset: Option<u64>,
    limit: Option<u64>,
}

pub(super) fn run(job: &Job, room: &Room) -> Result<String, ToolError> {
    let Arguments { path, offset, limit } = job.arguments()?;
    let path = room.path(&path)?;
    lines(files::open(room, &path)?, &room.shown(&path), offset, limit, job.most)
}

/// Lines of an open file that is called `shown`, at most `most` bytes.
pub(super) fn lines(
    file: File,
    shown: &str,
    offset: Option<u64>,
    limit: Option<u64>,
    most: usize,
) -> Result<String, ToolError> {
    let failed = |error: std::io::Error| ToolError(format!("`{shown}`: {error}"));
    let mut file = BufReader::new(file.take(MAX_SCANNED));
    if files::binary(file.fill_buf().map_err(failed)?) {
        return Err(ToolError(format!("`{shown}` is not text; look at it with the shell")));
    }
    let first = offset.unwrap_or(1).max(1);
    for skipped in 0..first - 1 {
        if file.skip_until(b'\n').map_err(failed)? == 0 {
            return Err(ToolError(format!("`{shown}` has only {skipped} lines")));
        }
    }
    let end = first.saturating_add(limit.unwrap_or(MOST_LINES).clamp(1, MOST_LINES));
    let most = most.saturating_sub(MARK);
    let (mut text, mut line, mut next) = (String::new(), Vec::new(), first);
    while next < end {
        line.clear();
        let left = most.saturating_sub(text.len());
        // One byte more than there is room for shows that a line does not fit.
        if (&mut file).take(left as u64 + 1).read_until(b'\n', &mut line).map_err(failed)? == 0 {
            break;
        }
        let read = String::from_utf8_lossy(&line);
        if read.len() > left {
            if text.is_empty() {
                text.push_str(read.get(..bound::floor(&read, left)).unwrap_or_default());
                text.push_str(&format!("\n[cut: line {next} is too long to be shown whole; use the shell]"));
            } else {
                text.push_str(&format!("[cut: lines {first} to {} are shown; go on with offset {next}]", next - 1));
            }
            return Ok(text);
        }
        text.push_str(&read);
        next += 1;
    }
    if !file.fill_buf().map_err(failed)?.is_empty() {
        text.push_str(&format!("[cut: lines {first} to {} are shown; go on with offset {next}]", next - 1));
    } else if file.get_ref().limit() == 0 {
        text.push_str(&format!("\n[cut: what lies behind the first {MAX_SCANNED} bytes is not shown; use the shell]"));
    } else if text.is_empty() {
        text.push_str("[the file is empty]");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::tests::Bench;

    #[tokio::test]
    async fn a_file_is_read_as_it_is() {
        let bench = Bench::new();
        bench.put("notes/a.txt", "one\ntwo\nthree");
        assert_eq!(bench.ok("file_read", json!({"path": "notes/a.txt"})).await, "one\ntwo\nthree");
        let absolute = bench.path("notes/a.txt");
        assert_eq!(bench.ok("file_read", json!({"path": absolute})).await, "one\ntwo\nthree");
        bench.put("empty", "");
        assert_eq!(bench.ok("file_read", json!({"path": "empty"})).await, "[the file is empty]");
    }

    #[tokio::test]
    async fn pieces_say_how_to_go_on() {
        let bench = Bench::new();
        bench.put("a", "1\n2\n3\n4\n5\n");
        assert_eq!(
            bench.ok("file_read", json!({"path": "a", "offset": 2, "limit": 2})).await,
            "2\n3\n[cut: lines 2 to 3 are shown; go on with offset 4]"
        );
        assert_eq!(bench.ok("file_read", json!({"path": "a", "offset": 4, "limit": 2})).await, "4\n5\n");
        assert_eq!(bench.fails("file_read", json!({"path": "a", "offset": 9})).await, "`a` has only 5 lines");
        bench.put("long", "x\n".repeat(3000));
        let text = bench.ok("file_read", json!({"path": "long"})).await;
        assert!(text.ends_with("[cut: lines 1 to 2000 are shown; go on with offset 2001]"), "{text}");
    }

    #[tokio::test]
    async fn lines_that_do_not_fit_are_for_the_next_call_or_cut() {
        let bench = Bench::new();
        bench.put("a", format!("{}\n{}\n", "a".repeat(500), "b".repeat(500)));
        let text = bench.bounded("file_read", json!({"path": "a"}), 1000).await.text;
        assert!(text.ends_with("a\n[cut: lines 1 to 1 are shown; go on with offset 2]"), "{text}");
        bench.put("b", "é".repeat(5000));
        let text = bench.bounded("file_read", json!({"path": "b"}), 1000).await.text;
        assert!(text.ends_with("é\n[cut: line 1 is too long to be shown whole; use the shell]"), "{text}");
        assert!(text.len() <= 1000);
    }

    #[tokio::test]
    async fn what_is_no_text_file_is_refused_without_waiting() {
        let bench = Bench::new();
        bench.put("binary", b"\x7fELF\0\0");
        let status = std::process::Command::new("mkfifo").arg(bench.path("fifo")).status().unwrap();
        assert!(status.success());
        for (path, says) in [
            ("binary", "`binary` is not text; look at it with the shell"),
            ("fifo", "`fifo` is not a regular file"),
            ("/dev/zero", "`/dev/zero` is not a regular file"),
            ("", "`.` is a directory; file_list lists it"),
            ("missing", "`missing` does not exist; file_list shows what does"),
            ("a\0b", "the path has a NUL byte in it"),
        ] {
            assert_eq!(bench.fails("file_read", json!({"path": path})).await, says);
        }
    }

    #[tokio::test]
    async fn a_huge_file_is_not_read_to_its_end() {
        let bench = Bench::new();
        let file = std::fs::File::create(bench.path("huge")).unwrap();
        std::io::Write::write_all(&mut &file, "x".repeat(10_000).as_bytes()).unwrap();
        file.set_len(1 << 40).unwrap();
        let text = bench.fails("file_read", json!({"path": "huge", "offset": 3})).await;
        assert_eq!(text, "`huge` has only 1 lines");
    }
}
