//! The control plane's side: start the launcher, ask it for cells, speak to their inits.
//!
//! Nothing here blocks for long or starts a thread. Sockets are handed out as descriptors; the caller waits for them
//! to become readable in whatever way it waits for everything else.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use nanoclaw_audit::Warrant;

use crate::cgroup::{Support, Usage};
use crate::error::{Step, StepError};
use crate::host;
use crate::init::{FromInit, ToInit};
use crate::launcher::{FromLauncher, Launcher, Settings, ToLauncher};
use crate::plan::{LaunchPlan, Program, plan};
use crate::spec::CellSpec;
use crate::sys::{self, Fork};
use crate::wire;

/// The running launcher process. Dropping it ends every cell.
#[derive(Debug)]
pub struct LauncherHandle {
    socket: OwnedFd,
    pid: i32,
    cgroups: Support,
    next: AtomicU64,
    living: AtomicU64,
}

/// What the launcher reports.
#[derive(Debug)]
pub enum LauncherEvent {
    /// Cell `n` exists. Its init is building it.
    Launched {
        /// The cell's number.
        n: u64,
        /// The connection to its init.
        init: InitHandle,
    },
    /// Cell `n` could not be made.
    Failed {
        /// The cell's number.
        n: u64,
        /// Why.
        error: StepError,
    },
    /// What cell `n` has used so far.
    Usage {
        /// The cell's number.
        n: u64,
        /// What it used.
        usage: Usage,
    },
    /// Cell `n` is gone, with every process of it.
    Gone {
        /// The cell's number.
        n: u64,
        /// What its init ended with.
        status: i32,
        /// What it used in all.
        usage: Usage,
    },
}

impl LauncherHandle {
    /// Forks the launcher. Call this first of all, while the process has one thread.
    pub fn fork(state_dir: PathBuf) -> Result<Self, StepError> {
        let cgroups = host::cgroups();
        let privileged = rustix::process::geteuid().is_root();
        let (socket, plane) = wire::pair().step("make the launcher's socket")?;
        // Only this side: the launcher itself may block.
        rustix::io::ioctl_fionbio(&socket, true).step("make the launcher's socket")?;
        match sys::fork().step("fork the launcher")? {
            Fork::Child => {
                drop(socket);
                Launcher::run(plane, Settings { state_dir, cgroups, privileged })
            }
            Fork::Parent(pid) => Ok(Self { socket, pid, cgroups, next: AtomicU64::new(0), living: AtomicU64::new(0) }),
        }
    }

    /// Plans a cell for this host.
    pub fn plan(&self, spec: &CellSpec) -> Result<LaunchPlan, StepError> {
        let facts = host::facts(&spec.rootfs, &self.cgroups)?;
        plan(spec, &facts).step("plan the cell")
    }

    /// Asks for a cell and gives its number. It is built at once, but its command does not run before [`InitHandle::start`]. The answer
    /// comes as an event with that number.
    pub fn prepare(&self, plan: &LaunchPlan) -> io::Result<u64> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let memory = wire::to_memory(plan)?;
        wire::send(&self.socket, &ToLauncher::Launch { n }, &[memory.as_fd()])?;
        self.living.fetch_add(1, Ordering::Relaxed);
        Ok(n)
    }

    /// Asks what a cell has used; the answer comes as an event.
    pub fn ask_usage(&self, n: u64) -> io::Result<()> {
        wire::send(&self.socket, &ToLauncher::Usage { n }, &[])
    }

    /// Ends a cell at once; [`LauncherEvent::Gone`] follows.
    pub fn kill(&self, n: u64) -> io::Result<()> {
        wire::send(&self.socket, &ToLauncher::Kill { n }, &[])
    }

    /// Which limits control groups enforce here, or why none.
    pub fn cgroups(&self) -> &Support {
        &self.cgroups
    }

    /// The next event; `WouldBlock` where there is none yet, `None` when the launcher is gone.
    pub fn event(&self) -> io::Result<Option<LauncherEvent>> {
        let Some((message, fds)) = wire::receive(&self.socket)? else { return Ok(None) };
        if matches!(message, FromLauncher::Failed { .. } | FromLauncher::Gone { .. }) {
            self.living.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(Some(match message {
            FromLauncher::Launched { n, pid, host_id } => {
                let socket = fds.into_iter().next().ok_or(io::ErrorKind::UnexpectedEof)?;
                rustix::io::ioctl_fionbio(&socket, true)?;
                LauncherEvent::Launched { n, init: InitHandle { socket, pid, host_id } }
            }
            FromLauncher::Failed { n, error } => LauncherEvent::Failed { n, error },
            FromLauncher::Usage { n, usage } => LauncherEvent::Usage { n, usage },
            FromLauncher::Gone { n, status, usage } => LauncherEvent::Gone { n, status, usage },
        }))
    }
}

impl AsRawFd for LauncherHandle {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for LauncherHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for LauncherHandle {
    fn drop(&mut self) {
        // The launcher sees the socket close, ends the cells and cleans up. Where there are cells, we wait, so that
        // none outlives us.
        let _closed = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both).is_err();
        if self.living.load(Ordering::Relaxed) > 0 {
            sys::wait_for(self.pid);
        }
    }
}

/// The connection to one cell's init.
#[derive(Debug)]
pub struct InitHandle {
    socket: OwnedFd,
    /// The init's pid on the host.
    pub pid: i32,
    /// The uid and gid on the host that the cell's user is.
    pub host_id: (u32, u32),
}

/// The sockets and descriptors of a cell that stands.
#[derive(Debug)]
pub struct CellDescriptors {
    /// Where every TCP connection of the cell arrives.
    pub tcp: Vec<OwnedFd>,
    /// The cell's HTTP proxy.
    pub proxy: Vec<OwnedFd>,
    /// The cell's DNS.
    pub dns: Vec<OwnedFd>,
    /// Packets that are neither.
    pub log: OwnedFd,
    /// System calls to decide.
    pub seccomp: OwnedFd,
    /// The cell's root, `O_PATH`.
    pub root: OwnedFd,
}

/// What an init reports.
#[derive(Debug)]
pub enum InitEvent {
    /// The cell stands.
    Ready(Box<CellDescriptors>),
    /// It could not be built.
    Failed(StepError),
    /// Program `n` runs.
    Started {
        /// The program's number.
        n: u64,
        /// The master of its terminal.
        terminal: Option<OwnedFd>,
    },
    /// Program `n` could not be run.
    NotStarted {
        /// The program's number.
        n: u64,
        /// Why.
        errno: i32,
    },
    /// Program `n` has ended.
    Exited {
        /// The program's number.
        n: u64,
        /// Exit status, or 128 + signal.
        status: i32,
    },
    /// Connection `n` is on its way.
    Dialled {
        /// The connection's number.
        n: u64,
        /// A non-blocking TCP socket of the cell's network. It becomes writable when the connection stands or has
        /// failed, and `SO_ERROR` tells which.
        socket: OwnedFd,
    },
    /// Connection `n` could not be begun.
    NotDialled {
        /// The connection's number.
        n: u64,
        /// Why.
        errno: i32,
    },
}

impl InitHandle {
    /// Runs the cell's command. Starting a cell is what the warrant is for, and it is spent here.
    pub fn start(
        &self,
        warrant: Warrant,
        program: &Program,
        stdio: &[BorrowedFd<'_>],
    ) -> io::Result<nanoclaw_audit::Ticket> {
        let (_action, ticket) = warrant.spend();
        self.send_program(0, program, stdio)?;
        Ok(ticket)
    }

    /// Runs one more program in the cell, as number `n` (not 0). Gives the claim to record what comes of it, and whether init
    /// was told at all.
    pub fn run(
        &self,
        warrant: Warrant,
        n: u64,
        program: &Program,
        stdio: &[BorrowedFd<'_>],
    ) -> (nanoclaw_audit::Ticket, io::Result<()>) {
        let (_action, ticket) = warrant.spend();
        (ticket, self.send_program(n, program, stdio))
    }

    fn send_program(&self, n: u64, program: &Program, stdio: &[BorrowedFd<'_>]) -> io::Result<()> {
        for fd in stdio.get(usize::from(program.terminal.is_none())..).unwrap_or_default() {
            own(*fd, self.host_id)?;
        }
        let memory = wire::to_memory(program)?;
        let mut fds = vec![memory.as_fd()];
        fds.extend_from_slice(stdio);
        wire::send(&self.socket, &ToInit::Run { n }, &fds)
    }

    /// Sends a signal to the process group of program `n`.
    pub fn signal(&self, n: u64, signal: i32) -> io::Result<()> {
        wire::send(&self.socket, &ToInit::Signal { n, signal }, &[])
    }

    /// Asks for a connection, as number `n`, to `port` on 127.0.0.1 inside the cell. The answer comes as an event with
    /// that number. `EADDRINUSE` in it means that not the cell but one of its doors answers there.
    ///
    /// Who listens is a program of the cell, and what it says is no more to be believed than anything else from there.
    pub fn dial(&self, n: u64, port: u16) -> io::Result<()> {
        wire::send(&self.socket, &ToInit::Dial { n, port }, &[])
    }

    /// The next event; `WouldBlock` where there is none yet, `None` when init is gone.
    pub fn event(&self) -> io::Result<Option<InitEvent>> {
        let Some((message, fds)) = wire::receive::<FromInit>(&self.socket)? else { return Ok(None) };
        let mut fds = fds.into_iter();
        Ok(Some(match message {
            FromInit::Ready { tcp, proxy, dns } => {
                let mut several = |count: usize| fds.by_ref().take(count).collect::<Vec<_>>();
                let (tcp, proxy, dns) = (several(tcp), several(proxy), several(dns));
                let mut one = || fds.next().ok_or(io::ErrorKind::UnexpectedEof);
                InitEvent::Ready(Box::new(CellDescriptors {
                    tcp,
                    proxy,
                    dns,
                    log: one()?,
                    seccomp: one()?,
                    root: one()?,
                }))
            }
            FromInit::Failed(error) => InitEvent::Failed(error),
            FromInit::Started { n } => InitEvent::Started { n, terminal: fds.next() },
            FromInit::NotStarted { n, errno } => InitEvent::NotStarted { n, errno },
            FromInit::Exited { n, status } => InitEvent::Exited { n, status },
            FromInit::Dialled { n } => match fds.next() {
                Some(socket) => InitEvent::Dialled { n, socket },
                // The kernel drops a descriptor for which this process has no place left.
                None => InitEvent::NotDialled { n, errno: libc::EMFILE },
            },
            FromInit::NotDialled { n, errno } => InitEvent::NotDialled { n, errno },
        }))
    }
}

impl AsRawFd for InitHandle {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for InitHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Gives an output pipe to the cell's user, so that programs can open it by its name (`/dev/stderr`). Only a pipe that
/// has no name on the host; anything else keeps its owner, and so does a pipe of another user, such as root's who steers the
/// fleet of an ordinary user.
fn own(fd: BorrowedFd<'_>, (uid, gid): (u32, u32)) -> io::Result<()> {
    const PIPEFS_MAGIC: u64 = 0x5049_5045;
    if u64::try_from(rustix::fs::fstatfs(fd)?.f_type) != Ok(PIPEFS_MAGIC) {
        return Ok(());
    }
    let (uid, gid) = (rustix::process::Uid::from_raw(uid), rustix::process::Gid::from_raw(gid));
    match rustix::fs::fchown(fd, Some(uid), Some(gid)) {
        Ok(()) | Err(rustix::io::Errno::PERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
