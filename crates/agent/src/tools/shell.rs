//! `shell`: a command in the cell.
//!
//! It runs in a process group of its own, which is killed when the command is over, takes too long, or nobody waits for
//! it any more (the future is dropped). Whatever a command wants to leave running must leave the group (setsid(1)).

use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::Duration;

use nanoclaw_dialect::Tool;
use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::process::Command;
use tokio::time::timeout;

use super::bound::Ends;
use super::{Job, Output, Room, ToolError, files};
use crate::group::Group;

/// How long a command may run if the call does not say.
const USUAL_TIME: u64 = 120;

/// The longest that a call may say, in seconds.
const LONGEST_TIME: u64 = 3600;

/// How long output is waited for after the command has ended, for what it left in the pipe.
const LONGEST_DRAIN: Duration = Duration::from_secs(2);

/// Room for the line that says how the command ended, in bytes.
const MARK: usize = 200;

pub(super) fn tool() -> Tool {
    super::tool(
        "shell",
        "Run a command with the shell and get what it prints. It has no input. When it ends, so does everything that it \
         started, unless that was started with setsid.",
        json!({
            "command": {"type": "string", "description": "what to run"},
            "directory": {"type": "string", "description": "where to run it; the workspace if left out"},
            "timeout_s": {
                "type": "integer", "minimum": 1, "maximum": LONGEST_TIME,
                "description": "seconds until it is killed, 120 if left out"
            },
        }),
        &["command"],
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    command: String,
    #[serde(default)]
    directory: String,
    timeout_s: Option<u64>,
}

pub(super) async fn run(job: &Job, room: &Room) -> Result<Output, ToolError> {
    let Arguments { command, directory, timeout_s } = job.arguments()?;
    let seconds = timeout_s.unwrap_or(USUAL_TIME).clamp(1, LONGEST_TIME);
    let directory = room.path(&directory)?;
    if command.contains('\0') {
        return Err(ToolError::new("the command has a NUL byte in it"));
    }
    if !directory.is_dir() {
        return Err(ToolError(format!("`{}` is not a directory to run a command in", room.shown(&directory))));
    }
    let failed = |what: &str, error: &dyn std::fmt::Display| ToolError(format!("cannot {what}: {error}"));
    let (mut reader, writer) = pipe().map_err(|error| failed("make a pipe", &error))?;
    let both = writer.try_clone().map_err(|error| failed("make a pipe", &error))?;
    let mut child = {
        let mut shell = Command::new(&room.shell);
        shell.arg("-c").arg(&command).current_dir(&directory).process_group(0);
        // One pipe for both keeps what is printed in its order.
        shell.stdin(Stdio::null()).stdout(writer).stderr(both);
        shell.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                ToolError(format!("this cell has no shell at `{}`; work with the other tools", room.shell.display()))
            }
            _ => files::why(room, &room.shell, &error),
        })?
        // Here the writing ends of the pipe are closed, so that it ends with the command.
    };
    let Some(group) = Group::of(&child) else {
        return Err(ToolError::new("the command ended before it began"));
    };
    let mut ends = Ends::new(job.most.saturating_sub(MARK));
    let ended = {
        let reading = read_all(&mut reader, &mut ends);
        tokio::pin!(reading);
        let run = async {
            tokio::select! {
                // All output is read when everybody has closed the pipe; the command may go on without one.
                () = &mut reading => child.wait().await,
                status = child.wait() => {
                    drop(group);
                    // What has left the group may hold the pipe open.
                    let _ = timeout(LONGEST_DRAIN, &mut reading).await;
                    status
                }
            }
        };
        timeout(Duration::from_secs(seconds), run).await
    };
    let mut text = ends.text();
    let end = match ended {
        Ok(Ok(status)) if status.success() => None,
        Ok(Ok(status)) => Some(describe(status)),
        Ok(Err(error)) => Some(format!("it is not known how it ended: {error}")),
        Err(_) => Some(format!("killed after {seconds} s; give a longer `timeout_s`, or start it with setsid")),
    };
    match &end {
        None if text.is_empty() => text.push_str("[no output]"),
        None => {}
        Some(end) => {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(&format!("[{end}]"));
        }
    }
    Ok(Output { text, failed: end.is_some() })
}

fn pipe() -> std::io::Result<(Receiver, OwnedFd)> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    Ok((Receiver::from_owned_fd(reader)?, writer))
}

async fn read_all(reader: &mut Receiver, ends: &mut Ends) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = reader.read(&mut buffer).await {
        ends.push(buffer.get(..count).unwrap_or_default());
    }
}

fn describe(status: std::process::ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::tests::Bench;

    fn gone(pid: &str) -> bool {
        // Killed, or killed and not yet waited for by whoever inherited it.
        std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).map_or(true, |stat| stat.contains(") Z "))
    }

    async fn until_gone(pid: &str) {
        while !gone(pid) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn output_comes_in_order_with_the_exit_status() {
        let bench = Bench::new();
        bench.put("d/f", "");
        assert_eq!(bench.ok("shell", json!({"command": "ls", "directory": "d"})).await, "f\n");
        assert_eq!(bench.ok("shell", json!({"command": "true"})).await, "[no output]");
        let text = bench.fails("shell", json!({"command": "echo a; echo b >&2; echo c; exit 3"})).await;
        assert_eq!(text, "a\nb\nc\n[exit status 3]");
        assert_eq!(bench.fails("shell", json!({"command": "kill -9 $$"})).await, "[killed by signal 9]");
        assert_eq!(bench.ok("shell", json!({"command": "cat"})).await, "[no output]");
    }

    #[tokio::test]
    async fn long_output_keeps_both_ends() {
        let bench = Bench::new();
        let output = bench.bounded("shell", json!({"command": "seq 1 100000"}), 1000).await;
        assert!(output.text.starts_with("1\n2\n3\n"), "{}", output.text);
        assert!(output.text.ends_with("99999\n100000\n"), "{}", output.text);
        assert!(output.text.contains("[cut: "));
    }

    #[tokio::test]
    async fn a_command_that_takes_too_long_is_killed_with_all_it_started() {
        let bench = Bench::new();
        let command = "sleep 1000 & echo $!; wait";
        let text = bench.fails("shell", json!({"command": command, "timeout_s": 1})).await;
        let (pid, end) = text.split_once('\n').unwrap();
        assert_eq!(end, "[killed after 1 s; give a longer `timeout_s`, or start it with setsid]");
        until_gone(pid).await;
    }

    #[tokio::test]
    async fn what_is_left_in_the_background_is_killed_and_not_waited_for() {
        let bench = Bench::new();
        let text = bench.ok("shell", json!({"command": "sleep 1000 & echo $!"})).await;
        until_gone(&text).await;
    }

    #[tokio::test]
    async fn a_command_nobody_waits_for_any_more_is_killed() {
        let bench = Bench::new();
        let pid = bench.path("pid");
        let call = bench.call("shell", json!({"command": "sleep 1000 & echo $! > pid.new; mv pid.new pid; wait"}));
        let started = async {
            while !pid.exists() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            output = call => panic!("it ended: {}", output.text),
            () = started => {}
        }
        until_gone(&bench.get("pid")).await;
    }

    #[tokio::test]
    async fn a_cell_without_a_shell_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = crate::settings::Settings::new("a", "m");
        settings.shell = "/no/shell".into();
        settings.workspace = directory.path().to_owned();
        let store = std::rc::Rc::new(crate::store::Store::open(directory.path()).unwrap());
        let toolbox = super::super::Toolbox::new(&settings, store);
        let job = Job { arguments: json!({"command": "ls"}).to_string(), session: "s".into(), most: 1000 };
        assert_eq!(
            toolbox.call("shell", &job).await.text,
            "this cell has no shell at `/no/shell`; work with the other tools"
        );
    }

    #[tokio::test]
    async fn a_missing_directory_is_named() {
        let bench = Bench::new();
        assert_eq!(
            bench.fails("shell", json!({"command": "ls", "directory": "no"})).await,
            "`no` is not a directory to run a command in"
        );
    }
}
