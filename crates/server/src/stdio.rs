//! The standard descriptors of a cell's command.
//!
//! A cell never gets a terminal of the host: whoever holds one can push characters into it (TIOCSTI, CVE-2017-5226)
//! or read what is typed. It gets a terminal of its own, or pipes, and the control plane copies. Pipes and files are
//! handed over as they are; a directory or block device would be a way out and is refused.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread::JoinHandle;

use nanoclaw_sandbox::TerminalSize;
use rustix::fs::FileType;
use rustix::termios::{OptionalActions, Termios};

/// Descriptors for a command and the threads that copy for it.
#[derive(Debug)]
pub struct Stdio {
    /// Standard input, output and error for the cell; empty where it gets a terminal.
    pub for_cell: Vec<OwnedFd>,
    /// The size of the terminal to make.
    pub terminal: Option<TerminalSize>,
    copies: Vec<JoinHandle<()>>,
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
        if let [true, true, _] = own.map(rustix::termios::isatty) {
            return Ok(Self { for_cell: Vec::new(), terminal: Some(terminal_size(stdout.as_fd())), copies: Vec::new() });
        }
        let mut stdio = Self { for_cell: Vec::new(), terminal: None, copies: Vec::new() };
        for (number, fd) in own.into_iter().enumerate() {
            let given = stdio.take(number, fd).map_err(|source| StdioError::Unusable { number, source })?;
            stdio.for_cell.push(given.ok_or(StdioError::Unsuitable { number, what: "directory or block device" })?);
        }
        Ok(stdio)
    }

    /// Whether a cell that is given this much must be closed off by a copy, `None` where it must not have it at all.
    fn take(&mut self, number: usize, fd: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
        if rustix::termios::isatty(fd) {
            let (reader, writer) = io::pipe()?;
            let own = File::from(fd.try_clone_to_owned()?);
            return Ok(Some(if number == 0 {
                // Not joined: it may wait for a key forever.
                std::thread::spawn(move || copy(own, File::from(OwnedFd::from(writer))));
                reader.into()
            } else {
                self.copies.push(std::thread::spawn(move || copy(File::from(OwnedFd::from(reader)), own)));
                writer.into()
            }));
        }
        match FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode) {
            FileType::Directory | FileType::BlockDevice => Ok(None),
            _ => fd.try_clone_to_owned().map(Some),
        }
    }

    /// Waits until everything that the cell wrote is written out. Call it when the cell is gone.
    pub fn drain(self) {
        drop(self.for_cell);
        for copy in self.copies {
            let _panicked = copy.join().is_err();
        }
    }
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
        let output = Some(std::thread::spawn(move || copy(output.0, output.1)));
        Ok(Self { before, output, master })
    }

    /// Takes over the size of this process's terminal, after SIGWINCH.
    pub fn resize(&self) -> io::Result<()> {
        let size = rustix::termios::tcgetwinsize(io::stdout())?;
        Ok(rustix::termios::tcsetwinsize(&self.master, size)?)
    }

    /// Waits until everything that the cell wrote is shown. Call it when the cell's command is gone.
    pub fn drain(mut self) {
        if let Some(output) = self.output.take() {
            // The last holder of the other end is gone, so this read ends with EIO.
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
