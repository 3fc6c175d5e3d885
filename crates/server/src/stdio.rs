//! The standard descriptors of a cell's command.
//!
//! A cell never gets a terminal of the host: whoever holds one can push characters into it (TIOCSTI, CVE-2017-5226)
//! or read what is typed. It gets a terminal of its own, or pipes, and the control plane copies. It does not get the
//! operator's files and pipes either, as it could truncate a file or change its mode, and open a pipe again for the
//! other direction, but pipes that are copied: so input is read ahead, also where the program does not ask for it. A
//! directory or block device would be a way out and is refused.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use nanoclaw_sandbox::TerminalSize;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{FileType, Stat};
use rustix::termios::{OptionalActions, Termios};

/// Descriptors for a command and the threads that copy for it.
#[derive(Debug)]
pub struct Stdio {
    /// Standard input, output and error for the cell; where it gets a terminal, only an error that is not one.
    pub for_cell: Vec<OwnedFd>,
    /// The size of the terminal to make.
    pub terminal: Option<TerminalSize>,
    copies: Vec<JoinHandle<()>>,
    ended: Arc<AtomicBool>,
}

/// Why the standard descriptors cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StdioError {
    /// One of them would open a way out of the cell.
    #[error("descriptor {number} is a {what}, which must not reach into a cell; redirect it to a file or a pipe")]
    Unsuitable {
        /// Which.
        number: usize,
        /// What it is.
        what: &'static str,
    },
    /// One of them cannot be used at all.
    #[error("descriptor {number} cannot be used: {source}")]
    Unusable {
        /// Which.
        number: usize,
        /// Why.
        source: io::Error,
    },
}

impl Stdio {
    /// Takes this process's own standard descriptors for a cell.
    pub fn inherit() -> Result<Self, StdioError> {
        let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
        let own = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
        let mut stdio = Self { for_cell: Vec::new(), terminal: None, copies: Vec::new(), ended: Arc::default() };
        let given = match own.map(rustix::termios::isatty) {
            [true, true, error_too] => {
                stdio.terminal = Some(terminal_size(stdout.as_fd()));
                if error_too { 3.. } else { 2.. }
            }
            _ => 0..,
        };
        let mut output = None;
        for (number, fd) in own.into_iter().enumerate().skip(given.start) {
            let given =
                stdio.take(number, fd, &mut output).map_err(|source| StdioError::Unusable { number, source })?;
            stdio.for_cell.push(given.ok_or(StdioError::Unsuitable { number, what: "directory or block device" })?);
        }
        Ok(stdio)
    }

    /// What the cell gets for one of our descriptors, `None` where it must not have it at all. `output` is the output
    /// that was taken before: where the error goes to the same place, it takes the same way, and nothing gets out of
    /// order.
    fn take(
        &mut self,
        number: usize,
        fd: BorrowedFd<'_>,
        output: &mut Option<(Stat, OwnedFd)>,
    ) -> io::Result<Option<OwnedFd>> {
        let stat = rustix::fs::fstat(fd)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if matches!(kind, FileType::Directory | FileType::BlockDevice) {
            return Ok(None);
        }
        let input = number == 0;
        // Not even an input that can only be read: the cell could open a pipe again for writing, and as its owner
        // change the mode of a file.
        if harmless(&stat) {
            return fd.try_clone_to_owned().map(Some);
        }
        if let Some((before, writer)) = output
            && (before.st_dev, before.st_ino) == (stat.st_dev, stat.st_ino)
        {
            return writer.try_clone().map(Some);
        }
        let (reader, writer) = io::pipe()?;
        let own = File::from(fd.try_clone_to_owned()?);
        if input {
            // Not joined: it may wait for a key forever.
            std::thread::spawn(move || copy(own, File::from(OwnedFd::from(writer))));
            return Ok(Some(reader.into()));
        }
        let ended = self.ended.clone();
        self.copies.push(std::thread::spawn(move || copy_until(File::from(OwnedFd::from(reader)), own, &ended)));
        let writer = OwnedFd::from(writer);
        *output = Some((stat, writer.try_clone()?));
        Ok(Some(writer))
    }

    /// Waits until everything that the cell's program wrote is written out. Call it when the program is gone; what
    /// other programs that it left behind in the cell write later is not waited for.
    pub fn drain(self) {
        drop(self.for_cell);
        self.ended.store(true, Ordering::Relaxed);
        for copy in self.copies {
            let _panicked = copy.join().is_err();
        }
    }
}

/// Whether a descriptor is of `/dev/null` or one of its kin (major number 1), which tell and keep nothing.
fn harmless(stat: &Stat) -> bool {
    const NULL_ZERO_FULL_RANDOM_URANDOM: [u32; 5] = [3, 5, 7, 8, 9];
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && rustix::fs::major(stat.st_rdev) == 1
        && NULL_ZERO_FULL_RANDOM_URANDOM.contains(&rustix::fs::minor(stat.st_rdev))
}

/// Copies until one side ends.
fn copy(mut from: File, mut to: File) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(n) = from.read(&mut buffer)
        && n > 0
    {
        if to.write_all(buffer.get(..n).unwrap_or_default()).is_err() {
            break;
        }
    }
}

/// Copies until one side ends, or until nothing more comes after `ended` was set, or more than the program can have
/// left behind: others in the cell may hold the other end, and write to it for ever.
fn copy_until(mut from: File, mut to: File, ended: &AtomicBool) {
    const QUIET: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    /// The largest pipe that a user may make (pipe(7), `pipe-max-size`), in bytes.
    const LEFT_BEHIND: usize = 1 << 20;
    let mut buffer = vec![0; 64 * 1024];
    let mut copied_late = 0;
    loop {
        let late = ended.load(Ordering::Relaxed);
        if copied_late > LEFT_BEHIND {
            return;
        }
        match rustix::event::poll(&mut [PollFd::new(&from, PollFlags::IN)], Some(&QUIET)) {
            Ok(0) if late => return,
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Ok(_) => {}
            Err(_) => return,
        }
        match from.read(&mut buffer) {
            Ok(n) if n > 0 && to.write_all(buffer.get(..n).unwrap_or_default()).is_ok() => {
                copied_late += if late { n } else { 0 };
            }
            _ => return,
        }
    }
}

/// The size of the terminal that `fd` is; 24 × 80 where it does not say.
pub fn terminal_size(fd: BorrowedFd<'_>) -> TerminalSize {
    match rustix::termios::tcgetwinsize(fd) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => TerminalSize { rows: size.ws_row, columns: size.ws_col },
        _ => TerminalSize { rows: 24, columns: 80 },
    }
}

/// This process's terminal, connected to the master of a cell's terminal until dropped.
pub struct Relay {
    before: Option<Termios>,
    output: Option<JoinHandle<()>>,
    ended: Arc<AtomicBool>,
    master: OwnedFd,
}

impl Relay {
    /// Puts this process's terminal in raw mode and copies both ways.
    pub fn start(master: OwnedFd) -> io::Result<Self> {
        let stdin = io::stdin();
        let before = rustix::termios::tcgetattr(&stdin).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            rustix::termios::tcsetattr(&stdin, OptionalActions::Now, &raw)?;
        }
        let input = (File::from(stdin.as_fd().try_clone_to_owned()?), File::from(master.try_clone()?));
        std::thread::spawn(move || copy(input.0, input.1));
        let output = (File::from(master.try_clone()?), File::from(io::stdout().as_fd().try_clone_to_owned()?));
        let ended = Arc::<AtomicBool>::default();
        let output = std::thread::spawn({
            let ended = ended.clone();
            move || copy_until(output.0, output.1, &ended)
        });
        Ok(Self { before, output: Some(output), ended, master })
    }

    /// Takes over the size of this process's terminal, after SIGWINCH.
    pub fn resize(&self) -> io::Result<()> {
        let size = rustix::termios::tcgetwinsize(io::stdout())?;
        Ok(rustix::termios::tcsetwinsize(&self.master, size)?)
    }

    /// Waits until everything that the program wrote is shown. Call it when the program is gone; others in the cell may
    /// still hold its terminal, and are not waited for.
    pub fn drain(mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(output) = self.output.take() {
            let _panicked = output.join().is_err();
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _terminal_gone = rustix::termios::tcsetattr(io::stdin(), OptionalActions::Now, before).is_err();
        }
    }
}
