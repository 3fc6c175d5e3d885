//! Children: every attempt runs in a process of its own, so that being killed, crashing or hanging is an outcome.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

use super::{Outcome, Stopped};

/// How long one attempt may take before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(20);

/// Forks; the child runs `work` and ends with the status that it gives. Returns the child.
pub(super) fn fork(work: impl FnOnce() -> i32) -> io::Result<Pid> {
    // SAFETY: fork takes no pointers. The program inside a cell has one thread; where a test harness has more, the
    // child only runs code of this module and the allocator, which the C library makes safe to use after fork.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let status = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or(101);
        // SAFETY: takes no pointers and does not return; destructors and exit handlers belong to the parent.
        unsafe { libc::_exit(status) }
    }
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    Pid::from_raw(pid).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// Runs `attempt` in a child that leads its own process group, and says how it ended.
pub(super) fn outcome_of(attempt: impl FnOnce() -> Outcome) -> Outcome {
    match run(attempt) {
        Ok(outcome) => outcome,
        Err(error) => Outcome::Broken(format!("cannot run the attempt in a process of its own: {error}")),
    }
}

fn run(attempt: impl FnOnce() -> Outcome) -> io::Result<Outcome> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let reader = File::from(reader);
    let child = fork(|| {
        // Where it fails the parent's kill misses the grandchildren, which the cell's end collects.
        let _ = rustix::process::setpgid(None, None);
        tell(&writer, &attempt())
    })?;
    drop(writer);
    let ended = wait(child);
    let _ = rustix::process::kill_process_group(child, Signal::KILL);
    Ok(match ended? {
        None => Outcome::Broken(format!("still running after {} seconds", PATIENCE.as_secs())),
        Some(status) => match status.terminating_signal() {
            Some(signal) => Outcome::Stopped(Stopped::KilledBy(signal)),
            None => heard(reader).unwrap_or_else(|error| {
                Outcome::Broken(format!("ended with status {:?} and no report: {error}", status.exit_status()))
            }),
        },
    })
}

fn tell(writer: &OwnedFd, outcome: &Outcome) -> i32 {
    let told = serde_json::to_vec(outcome).map_err(io::Error::from).and_then(|text| {
        let mut file = File::from(writer.try_clone()?);
        file.write_all(&text)
    });
    if told.is_ok() { 0 } else { 1 }
}

/// What a child that has ended wrote. Reads what is there and not up to the end of file: a grandchild may hold the
/// other end.
fn heard(mut reader: File) -> io::Result<Outcome> {
    rustix::io::ioctl_fionbio(&reader, true)?;
    let mut text = Vec::new();
    match reader.read_to_end(&mut text) {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(serde_json::from_slice(&text)?),
    }
}

/// Waits for `child`, at most [`PATIENCE`]; after that it is killed and `None` comes back.
fn wait(child: Pid) -> io::Result<Option<WaitStatus>> {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some((_, status)) = rustix::process::waitpid(Some(child), WaitOptions::NOHANG)? {
            return Ok(Some(status));
        }
        if Instant::now() > deadline {
            end(child);
            return Ok(None);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// Kills a child and collects it.
pub(super) fn end(child: Pid) {
    let _ = rustix::process::kill_process(child, Signal::KILL);
    let _ = rustix::process::waitpid(Some(child), WaitOptions::empty());
}

/// Runs `attempt` against a child that does nothing but wait.
pub(super) fn with_victim(attempt: impl FnOnce(Pid) -> Outcome) -> Outcome {
    match idle() {
        Ok(victim) => {
            let outcome = attempt(victim);
            end(victim);
            outcome
        }
        Err(error) => Outcome::Broken(format!("cannot fork a victim: {error}")),
    }
}

/// A child that sleeps until it is killed, or for as long as an attempt may take.
pub(super) fn idle() -> io::Result<Pid> {
    fork(|| {
        std::thread::sleep(PATIENCE);
        0
    })
}

/// Waits for a child of this process to end.
pub(super) fn collect(child: Pid) -> io::Result<WaitStatus> {
    match rustix::process::waitpid(Some(child), WaitOptions::empty())? {
        Some((_, status)) => Ok(status),
        None => Err(io::Error::from(io::ErrorKind::WouldBlock)),
    }
}
