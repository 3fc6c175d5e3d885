//! A terminal with somebody sitting at it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use super::process::appears;

/// A pseudo-terminal of the host and what was shown on it.
pub struct Terminal {
    master: File,
    /// The side that programs have. Kept open, so that its modes can be looked at when they are gone.
    pub peer: File,
    /// Its name on the host.
    pub name: String,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// One with so many rows and columns.
    pub fn new(rows: u16, columns: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&master).expect("a terminal");
        unlockpt(&master).expect("a terminal");
        let name = ptsname(&master, Vec::new()).expect("a name").into_string().expect("UTF-8");
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
        let peer = rustix::fs::open(&name, flags, rustix::fs::Mode::empty()).expect("the other side");
        let terminal = Self { master: master.into(), peer: peer.into(), name, shown: Arc::default() };
        terminal.resize(rows, columns);
        let (mut from, into) = (terminal.master.try_clone().expect("a descriptor"), terminal.shown.clone());
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n) = from.read(&mut buffer)
                && n > 0
            {
                into.lock().expect("the lock").extend_from_slice(&buffer[..n]);
            }
        });
        terminal
    }

    /// This side, as a standard descriptor of a program.
    pub fn stdio(&self) -> Stdio {
        OwnedFd::from(self.peer.try_clone().expect("a descriptor")).into()
    }

    /// Starts a program with this as its controlling terminal. What `command` says of its descriptors holds.
    pub fn start(&self, command: &Command) -> Child {
        let mut session = self.session(command);
        session.stdin(self.stdio()).stdout(self.stdio()).stderr(self.stdio());
        session.spawn().expect("setsid")
    }

    /// The same, for the caller to give it descriptors; standard input must be the terminal.
    pub fn session(&self, command: &Command) -> Command {
        let mut session = Command::new("setsid");
        session.arg("--ctty").arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => session.env(key, value),
                None => session.env_remove(key),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            session.current_dir(directory);
        }
        session
    }

    /// Types something.
    pub fn type_keys(&self, keys: &str) {
        (&self.master).write_all(keys.as_bytes()).expect("a terminal");
    }

    /// Gives it another size; the kernel tells the programs on it.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).expect("a terminal");
    }

    /// Its modes.
    pub fn modes(&self) -> Termios {
        tcgetattr(&self.peer).expect("a terminal")
    }

    /// What was shown so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().expect("the lock")).into_owned()
    }

    /// Waits until this is shown.
    #[track_caller]
    pub fn shows(&self, text: &str) {
        assert!(appears(|| self.text().contains(text)), "`{text}` is not shown:\n{}", self.text());
    }

    /// Waits for a program's end, and gives its exit status.
    #[track_caller]
    pub fn wait(&self, mut child: Child) -> Option<i32> {
        let ended = appears(|| matches!(child.try_wait(), Ok(Some(_))));
        if !ended {
            let killed = child.kill();
            panic!("it does not end ({killed:?}):\n{}", self.text());
        }
        child.wait().expect("a child").code()
    }
}
