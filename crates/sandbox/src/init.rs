//! The first process of a cell: builds it from inside, confines itself, starts the command, reaps, and passes
//! signals on. It holds no secret, answers only to the control plane's socket, and when that closes, it ends, and the
//! kernel ends everything else in its pid namespace.

use std::collections::HashMap;
use std::ffi::CString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use serde::{Deserialize, Serialize};

use crate::error::{Step, StepError};
use crate::plan::{LaunchPlan, Program};
use crate::spawn::{Stdio, spawn};
use crate::spec::TerminalSize;
use crate::sys;
use crate::{confine, net, rootfs, seccomp, wire};

/// What init tells the control plane.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromInit {
    /// The cell stands; beside it, in this order: listeners, proxy listeners, DNS sockets, packet log, seccomp
    /// listener, root.
    Ready { tcp: usize, proxy: usize, dns: usize },
    /// It could not be built.
    Failed(StepError),
    /// Program `n` runs; its terminal's master is beside it, if it has one.
    Started { n: u64 },
    /// Program `n` could not be run.
    NotStarted { n: u64, errno: i32 },
    /// Program `n` has ended.
    Exited { n: u64, status: i32 },
    /// Connection `n` is on its way; its socket is beside it.
    Dialled { n: u64 },
    /// Connection `n` could not be begun.
    NotDialled { n: u64, errno: i32 },
}

/// What the control plane tells init.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToInit {
    /// Run program `n`: beside it a memory file with the [`Program`] and, without a terminal, three descriptors.
    /// Number 0 is the cell's command: when it ends, the cell ends.
    Run { n: u64 },
    /// Send a signal to the process group of program `n`.
    Signal { n: u64, signal: i32 },
    /// Begin connection `n` to a port of the cell's own loopback. Connections are numbered apart from programs.
    Dial { n: u64, port: u16 },
}

/// Everything that init was given.
pub(crate) struct Init<'a> {
    pub(crate) plan: &'a LaunchPlan,
    pub(crate) control: OwnedFd,
    /// One byte arrives here when the id maps are written.
    pub(crate) go: OwnedFd,
    /// Files of control groups into which this process writes itself.
    pub(crate) groups: Vec<OwnedFd>,
    /// Mounts that the launcher opened, by the number of their step.
    pub(crate) mounts: HashMap<usize, OwnedFd>,
    /// Where the launcher cannot open mounts for us (rootless), we do.
    pub(crate) state_dir: &'a Path,
    pub(crate) privileged: bool,
}

impl Init<'_> {
    /// Never returns: init's end is the cell's end.
    pub(crate) fn run(self) -> ! {
        let host_services = &self.plan.net.host_services;
        let status = match self.build() {
            Ok((control, signals)) => serve(&control, &signals, host_services),
            Err((control, error)) => {
                // Without this the control plane still sees the socket close.
                let told = wire::send(&control, &FromInit::Failed(error), &[]);
                i32::from(told.is_err()) + 125
            }
        };
        sys::exit_now(status)
    }

    fn build(mut self) -> Result<(OwnedFd, OwnedFd), (OwnedFd, StepError)> {
        match self.assemble() {
            Ok(signals) => Ok((self.control, signals)),
            Err(error) => Err((self.control, error)),
        }
    }

    fn assemble(&mut self) -> Result<OwnedFd, StepError> {
        let mut keep: Vec<BorrowedFd<'_>> = vec![self.control.as_fd(), self.go.as_fd()];
        keep.extend(self.groups.iter().chain(self.mounts.values()).map(AsFd::as_fd));
        rustix::thread::set_name(c"nanoclaw-init").step("name the process")?;
        confine::close_others(&keep)?;
        for group in self.groups.drain(..) {
            rustix::io::write(&group, b"0").step("join the control groups")?;
        }
        let mut byte = [0];
        if rustix::io::read(&self.go, &mut byte).step("wait for the launcher")? != 1 {
            return Err(StepError::new("wait for the launcher", "it gave up", ""));
        }
        rustix::process::umask(Mode::empty());
        confine::become_cell_user(self.privileged)?;
        sys::unshare_cgroup_namespace().step("unshare the cgroup namespace")?;
        sys::set_host_name(&self.plan.id).step("set the host name")?;
        let sockets = net::build(&self.plan.net).step("build the network")?;
        rootfs::build(&self.plan.root, |step, bind| match self.mounts.remove(&step) {
            Some(mount) => Ok(mount),
            None => crate::source::open(bind, Some(self.state_dir), |_, _| Ok(None)),
        })?;
        rustix::process::umask(Mode::from_raw_mode(0o022));
        confine::limit(&self.plan.process_limits)?;
        let root = confine::root_descriptor()?;
        sys::set_signal_mask(&[libc::SIGCHLD], libc::SIG_BLOCK);
        let signals = sys::signal_descriptor(&[libc::SIGCHLD]).step("watch for children")?;
        confine::drop_privileges()?;
        confine::landlock(&self.plan.landlock)?;
        let program = seccomp::compile(self.plan.mode);
        let listener = seccomp::install(&program, true)
            .step_help(
                "install the seccomp filter",
                "the kernel must have seccomp with user notification (Linux 5.0 or later)",
            )?
            .ok_or_else(|| StepError::new("install the seccomp filter", "no listener", ""))?;
        let fds: Vec<BorrowedFd<'_>> = sockets
            .tcp
            .iter()
            .chain(&sockets.proxy)
            .chain(&sockets.dns)
            .chain([&sockets.log, &listener, &root])
            .map(AsFd::as_fd)
            .collect();
        let ready = FromInit::Ready { tcp: sockets.tcp.len(), proxy: sockets.proxy.len(), dns: sockets.dns.len() };
        wire::send(&self.control, &ready, &fds).step("hand over the sockets")?;
        Ok(signals)
    }
}

/// Runs programs, passes signals on, dials and reaps until the command ends or the control plane is gone.
fn serve(control: &OwnedFd, signals: &OwnedFd, host_services: &[SocketAddr]) -> i32 {
    let mut running: HashMap<i32, u64> = HashMap::new();
    loop {
        let mut polled = [PollFd::new(control, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
        if rustix::io::retry_on_intr(|| rustix::event::poll(&mut polled, None)).is_err() {
            return 125;
        }
        let ready = polled.map(|fd| !fd.revents().is_empty());
        if ready == [true, false] || ready == [true, true] {
            match wire::receive::<ToInit>(control) {
                Ok(Some((ToInit::Run { n }, fds))) => {
                    if let Err(errno) = run(control, n, fds, &mut running)
                        && (wire::send(control, &FromInit::NotStarted { n, errno }, &[]).is_err() || n == 0)
                    {
                        return 125;
                    }
                }
                Ok(Some((ToInit::Signal { n, signal }, _))) => {
                    for (pid, _) in running.iter().filter(|(_, number)| **number == n) {
                        // The group may be gone already; its exit is on the way then.
                        let _gone = sys::kill(-pid, signal).is_err();
                    }
                }
                Ok(Some((ToInit::Dial { n, port }, _))) => {
                    if let Err(errno) = dial(control, n, port, host_services)
                        && wire::send(control, &FromInit::NotDialled { n, errno }, &[]).is_err()
                    {
                        return 125;
                    }
                }
                Ok(None) | Err(_) => return 125,
            }
        }
        if ready[1] {
            let mut drained = [0; 128];
            while rustix::io::read(signals, &mut drained).is_ok_and(|n| n > 0) {}
            while let Some(reaped) = sys::reap() {
                let Some(n) = running.remove(&reaped.pid) else { continue };
                let told = wire::send(control, &FromInit::Exited { n, status: reaped.status }, &[]);
                if n == 0 || told.is_err() {
                    return reaped.status;
                }
            }
        }
    }
}

/// Starts one program and says so; the error is the errno of whatever failed.
fn run(control: &OwnedFd, n: u64, fds: Vec<OwnedFd>, running: &mut HashMap<i32, u64>) -> Result<(), i32> {
    let errno = |error: io::Error| error.raw_os_error().unwrap_or(libc::EIO);
    let mut fds = fds.into_iter();
    let memory = fds.next().ok_or(libc::EPROTO)?;
    let program: Program = wire::from_memory(memory).map_err(errno)?;
    let (master, stdio) = match program.terminal {
        Some(size) => {
            let (master, peer, path) = open_terminal(size).map_err(errno)?;
            (Some(master), Stdio::Terminal { path, peer, error: fds.next() })
        }
        None => (None, Stdio::Given(fds.collect())),
    };
    let pid = spawn(&program, &stdio).map_err(errno)?;
    drop(stdio);
    running.insert(pid, n);
    let beside: Vec<BorrowedFd<'_>> = master.iter().map(AsFd::as_fd).collect();
    wire::send(control, &FromInit::Started { n }, &beside).map_err(errno)
}

/// Begins a connection to 127.0.0.1 and passes its socket out; the error is the errno of whatever failed. Whether
/// somebody answers is for the control plane to wait for: this process waits for nobody.
fn dial(control: &OwnedFd, n: u64, port: u16, host_services: &[SocketAddr]) -> Result<(), i32> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    // A door of ours answers there, and to it the connection would be one that the cell has made.
    if port == net::PROXY_PORT || host_services.contains(&address) {
        return Err(libc::EADDRINUSE);
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket =
        rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).map_err(Errno::raw_os_error)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(errno) => return Err(errno.raw_os_error()),
    }
    wire::send(control, &FromInit::Dialled { n }, &[socket.as_fd()])
        .map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))
}

/// A new terminal: its master, its other end, and the path of that in the cell.
fn open_terminal(size: TerminalSize) -> io::Result<(OwnedFd, OwnedFd, CString)> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = rustix::fs::open("/dev/pts/ptmx", flags, Mode::empty())?;
    rustix::pty::unlockpt(&master)?;
    let path = rustix::pty::ptsname(&master, Vec::new())?;
    let peer = rustix::fs::open(&path, flags, Mode::empty())?;
    let size = rustix::termios::Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&master, size)?;
    Ok((master, peer, path))
}
