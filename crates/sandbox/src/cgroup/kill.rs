//! Killing all processes of a group where the kernel cannot do it in one step.

use super::files::Files;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::io;
use std::path::Path;
use std::time::Duration;

/// Rounds of killing what is left, one millisecond apart.
const ROUNDS: u32 = 1000;

/// Kills what is in the group until nothing is. New processes that appear meanwhile are killed in the next round.
pub(super) fn all_in(files: &dyn Files, group: &Path) -> io::Result<()> {
    for _ in 0..ROUNDS {
        if round(files, group)? {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(Errno::BUSY.into())
}

/// Kills once; whether the group was empty.
pub(super) fn round(files: &dyn Files, group: &Path) -> io::Result<bool> {
    let members = members(files, group)?;
    // A number may name another process by the time it is used. A descriptor cannot, and if the number is still in the
    // group when the descriptor is open, the descriptor is of a process of the group.
    let mut open = Vec::new();
    for pid in &members {
        match pidfd_open(*pid, PidfdFlags::empty()) {
            Ok(process) => open.push((*pid, process)),
            Err(Errno::SRCH) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    let still = self::members(files, group)?;
    for (_, process) in open.iter().filter(|(pid, _)| still.contains(pid)) {
        match pidfd_send_signal(process, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(members.is_empty())
}

fn members(files: &dyn Files, group: &Path) -> io::Result<Vec<Pid>> {
    let text = files.read(&group.join("cgroup.procs"))?;
    Ok(text.lines().filter_map(|line| Pid::from_raw(line.trim().parse().ok()?)).collect())
}
