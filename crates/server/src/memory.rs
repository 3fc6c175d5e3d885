//! The memory limit where the host gives no control group: the cell's memory is counted a few times a second, and
//! while it is over the limit its largest process is killed, as the kernel does it in a control group.
//!
//! Between two counts a cell can go over its limit; the kernel bounds each process besides (`ProcessLimits::data`).

use std::fs;
use std::time::Duration;

use nanoclaw_audit::{AuditError, Fact, LimitKind, Note, Recorder};
use nanoclaw_request::{CellId, SessionId};
use rustix::process::{Pid, PidfdFlags, Signal};

/// The pause between two counts.
const TICK: Duration = Duration::from_millis(50);

/// Watches over one run of a cell, whose init is `init` on the host. Ends when it cannot record.
pub(crate) async fn guard(
    recorder: Recorder,
    cell: (CellId, SessionId),
    init: i32,
    limit: u64,
) -> Result<(), AuditError> {
    loop {
        tokio::time::sleep(TICK).await;
        // Off the thread that all doors share: there may be many processes.
        let counted = tokio::task::spawn_blocking(move || over(init, limit)).await;
        let Ok(Some(process)) = counted else { continue };
        let detail = format!("a process of {} bytes was killed, as the cell was over {limit} bytes", process.bytes);
        if process.kill() {
            let fact = Fact::LimitReached { limit: LimitKind::Memory, detail };
            recorder.note(Note::of_cell(cell.0.clone(), cell.1, fact)).await?;
        }
    }
}

struct Process {
    pid: Pid,
    bytes: u64,
}

impl Process {
    /// Kills it, if it still is the process that was counted.
    fn kill(&self) -> bool {
        let Ok(handle) = rustix::process::pidfd_open(self.pid, PidfdFlags::empty()) else { return false };
        // Read again through the number that the handle now holds on to: a new process of that number outside the
        // cell has only one pid.
        Counted::read(self.pid).is_some_and(|now| now.inside)
            && rustix::process::pidfd_send_signal(&handle, Signal::KILL).is_ok()
    }
}

/// The largest process of a cell that uses more than `limit` bytes.
fn over(init: i32, limit: u64) -> Option<Process> {
    let mut waiting = vec![Pid::from_raw(init)?];
    let mut all = 0u64;
    let mut largest: Option<Process> = None;
    while let Some(pid) = waiting.pop() {
        waiting.extend(children(pid));
        let Some(counted) = Counted::read(pid) else { continue };
        all = all.saturating_add(counted.bytes);
        let larger = largest.as_ref().is_none_or(|largest| largest.bytes < counted.bytes);
        if pid.as_raw_nonzero().get() != init && larger {
            largest = Some(Process { pid, bytes: counted.bytes });
        }
    }
    largest.filter(|_| all > limit)
}

/// What any thread of a process has started and not yet seen the end of. Orphans are children of init.
fn children(pid: Pid) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())).into_iter().flatten().flatten();
    tasks
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| text.split_whitespace().filter_map(|n| Pid::from_raw(n.parse().ok()?)).collect::<Vec<_>>())
        .collect()
}

struct Counted {
    /// Anonymous and shared memory; not files, which the kernel can take back.
    bytes: u64,
    /// Whether it has a pid of its own in a namespace below ours.
    inside: bool,
}

impl Counted {
    fn read(pid: Pid) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kibibytes = |name| field(name).and_then(|value| value.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        Some(Self {
            bytes: (kibibytes("RssAnon").unwrap_or(0) + kibibytes("RssShmem").unwrap_or(0)) * 1024,
            inside: field("NSpid").is_some_and(|pids| pids.split_whitespace().count() > 1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_found_and_only_the_largest_is_named() {
        let mut child = std::process::Command::new("sleep").arg("30").spawn().unwrap();
        let own = std::process::id().cast_signed();
        let found = over(own, 0).unwrap();
        assert_eq!(found.pid.as_raw_nonzero().get(), child.id().cast_signed());
        assert!(over(own, u64::MAX).is_none());
        // It is not in a namespace of its own, so it is not killed.
        assert!(!found.kill());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
