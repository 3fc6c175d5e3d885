//! A server that is a program in the cell, spoken to over its standard streams.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rmcp::RoleClient;
use rmcp::transport::async_rw::AsyncRwTransport;
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::journal::Journal;
use super::watch::{Lines, MAX_MESSAGE, Watch};
use crate::group::Group;

/// How long a program's end is waited for when it has closed its output.
const LONGEST_END: Duration = Duration::from_secs(1);

/// How long what a program has left in its standard error is waited for.
const LONGEST_DRAIN: Duration = Duration::from_secs(1);

/// The way to a program and back.
pub(super) type Pipes = AsyncRwTransport<RoleClient, Lines<ChildStdout>, ChildStdin>;

/// A program that runs. It is killed, with all that is in its process group, when this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    _stop: oneshot::Sender<()>,
    end: watch::Receiver<Option<String>>,
}

impl Process {
    /// How the program ended, if it has, or does so soon.
    pub(super) async fn end(&self) -> Option<String> {
        let mut end = self.end.clone();
        let ended = timeout(LONGEST_END, end.wait_for(Option::is_some)).await;
        ended.ok().and_then(Result::ok).and_then(|end| end.clone())
    }
}

/// Starts a program. The error says why it cannot be.
pub(super) fn start(
    command: &[String],
    env: &BTreeMap<String, String>,
    directory: &Path,
    journal: &Rc<Journal>,
    watch: &Arc<Watch>,
) -> Result<(Pipes, Process), String> {
    let (program, arguments) = command.split_first().ok_or("its command is empty")?;
    let mut command = Command::new(program);
    command.args(arguments).envs(env).current_dir(directory).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("there is no program `{program}` in this cell"),
        _ => format!("`{program}` cannot be started: {error}"),
    })?;
    let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(group), (Some(stdin), Some(stdout), Some(stderr))) = (Group::of(&child), streams) else {
        return Err(format!("`{program}` ended before it began"));
    };
    let (stop, stopped) = oneshot::channel();
    let (told, end) = watch::channel(None);
    tokio::task::spawn_local(keep(child, group, stderr, Rc::clone(journal), stopped, told));
    let lines = Lines::new(stdout, Arc::clone(watch));
    Ok((AsyncRwTransport::new(lines, stdin).with_max_line_length(MAX_MESSAGE), Process { _stop: stop, end }))
}

/// Waits for the end of a program, or ends it.
async fn keep(
    mut child: tokio::process::Child,
    group: Group,
    stderr: ChildStderr,
    journal: Rc<Journal>,
    stopped: oneshot::Receiver<()>,
    told: watch::Sender<Option<String>>,
) {
    let logging = journal.copy(stderr);
    tokio::pin!(logging);
    let mut logged = false;
    tokio::pin!(stopped);
    let status = loop {
        tokio::select! {
            () = &mut logging, if !logged => logged = true,
            status = child.wait() => {
                // Before anybody else can have its number.
                drop(group);
                break status.ok();
            }
            // The other end is never used, only dropped.
            _ = &mut stopped => {
                drop(group);
                break child.wait().await.ok();
            }
        }
    };
    if !logged {
        // What has left the group may hold the pipe open.
        let _ = timeout(LONGEST_DRAIN, logging).await;
    }
    told.send_replace(Some(status.map_or("it ended".to_owned(), describe)));
}

fn describe(status: std::process::ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("it ended with exit status {code}"),
        (None, Some(signal)) => format!("it was killed by signal {signal}"),
        (None, None) => "it ended".to_owned(),
    }
}
