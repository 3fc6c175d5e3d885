//! The descriptor on which notified calls wait.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Room for the kernel's structures, which may grow (`SECCOMP_GET_NOTIF_SIZES`): 80 and 24 bytes in kernel 6.18.
type Buffer = [u64; 32];

/// The two sides take turns on one CPU: a round trip of some 5 µs instead of 25 across CPUs (kernel 6.6).
const SYNC_WAKE_UP: libc::c_ulong = 1;

/// The listener of one cell. Its descriptor is readable while a call waits. Once the last copy is closed, every waiting
/// and every later notified call answers `ENOSYS`.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
}

/// One call that waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notification {
    /// By which it is answered.
    pub id: u64,
    /// The calling thread, as a pid of the host (of this process's PID namespace).
    pub pid: u32,
    /// The call's number.
    pub number: u32,
    /// Its arguments.
    pub arguments: [u64; 6],
}

impl Notification {
    /// Whether the caller wants to run a program.
    pub fn is_exec(&self) -> bool {
        [libc::SYS_execve, libc::SYS_execveat].contains(&libc::c_long::from(self.number))
    }
}

/// What [`Listener::receive`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A call to answer.
    Call(Notification),
    /// A caller that died, or was taken away by a signal, before it was received.
    Vanished,
    /// The last process under the filter is gone: nothing will ever come.
    Over,
}

/// What the caller gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The kernel makes the call, as if it had been allowed.
    Continue,
    /// The kernel does not make the call; it fails with this errno.
    Errno(i32),
}

impl Listener {
    /// Takes a descriptor that [`crate::seccomp::install`] gave. `Unsupported` where the kernel's structures are of
    /// sizes that cannot be.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        let mut sizes = libc::seccomp_notif_sizes { seccomp_notif: 0, seccomp_notif_resp: 0, seccomp_data: 0 };
        // SAFETY: the kernel writes one `seccomp_notif_sizes` into memory that is one.
        let result = unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_NOTIF_SIZES, 0, std::ptr::from_mut(&mut sizes))
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        let fits = |ours: usize, kernels: u16| (ours..=size_of::<Buffer>()).contains(&usize::from(kernels));
        if !fits(size_of::<libc::seccomp_notif>(), sizes.seccomp_notif)
            || !fits(size_of::<libc::seccomp_notif_resp>(), sizes.seccomp_notif_resp)
        {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!(
                    "the kernel's seccomp notifications have {} and {} bytes",
                    sizes.seccomp_notif, sizes.seccomp_notif_resp
                ),
            ));
        }
        // SAFETY: takes a number and no pointer. Older kernels refuse it, and nothing is lost but speed.
        unsafe { libc::ioctl(fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP) };
        Ok(Self { fd })
    }

    /// Takes one waiting call. `WouldBlock` where none waits; never blocks.
    pub fn receive(&self) -> io::Result<Event> {
        let mut ready = [PollFd::new(&self.fd, PollFlags::IN)];
        // The ioctl below would wait, O_NONBLOCK or not. After a poll that says "readable" it does not: if the caller
        // vanishes in between, it says so.
        poll(&mut ready, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
        let events = ready.first().map_or(PollFlags::empty(), PollFd::revents);
        if !events.contains(PollFlags::IN) {
            return if events.contains(PollFlags::HUP) {
                Ok(Event::Over)
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            };
        }
        // The kernel wants zeroes.
        let mut buffer: Buffer = [0; 32];
        // SAFETY: `buffer` is aligned and, as `new` has checked, as large as the kernel's structure or larger.
        let result = unsafe { libc::ioctl(self.raw(), libc::SECCOMP_IOCTL_NOTIF_RECV, buffer.as_mut_ptr()) };
        if result < 0 {
            let error = io::Error::last_os_error();
            return if error.raw_os_error() == Some(libc::ENOENT) { Ok(Event::Vanished) } else { Err(error) };
        }
        // SAFETY: `buffer` is larger than the structure and aligned; all its fields are integers.
        let received = unsafe { buffer.as_ptr().cast::<libc::seccomp_notif>().read() };
        Ok(Event::Call(Notification {
            id: received.id,
            pid: received.pid,
            number: received.data.nr as u32,
            arguments: received.data.args,
        }))
    }

    /// Answers a call. A caller that is gone needs no answer, and that is no error.
    pub fn answer(&self, id: u64, answer: Answer) -> io::Result<()> {
        let response = match answer {
            Answer::Continue => {
                libc::seccomp_notif_resp { id, val: 0, error: 0, flags: libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32 }
            }
            Answer::Errno(errno) => libc::seccomp_notif_resp { id, val: 0, error: -errno, flags: 0 },
        };
        let mut buffer: Buffer = [0; 32];
        // SAFETY: `buffer` is larger than the structure and aligned.
        unsafe { buffer.as_mut_ptr().cast::<libc::seccomp_notif_resp>().write(response) };
        // SAFETY: `buffer` is, as `new` has checked, as large as the kernel's structure or larger.
        let result = unsafe { libc::ioctl(self.raw(), libc::SECCOMP_IOCTL_NOTIF_SEND, buffer.as_mut_ptr()) };
        if result < 0 {
            let error = io::Error::last_os_error();
            if error.raw_os_error() != Some(libc::ENOENT) {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Whether the call still waits for its answer.
    pub(super) fn is_waiting(&self, id: u64) -> bool {
        // SAFETY: the kernel reads one u64, which outlives the call.
        unsafe { libc::ioctl(self.raw(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, std::ptr::from_ref(&id)) == 0 }
    }

    fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.raw()
    }
}
