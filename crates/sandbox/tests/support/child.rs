//! A process of the test's own, which becomes somebody else, does something, and tells how it went.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Whether this run has root's powers.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A forked process that runs one closure and tells whether that panicked.
pub struct Child {
    /// Its process id, until it has been waited for.
    pub pid: libc::pid_t,
    /// To the stream that the closure has.
    pub stream: UnixStream,
    report: UnixStream,
}

impl Child {
    /// Forks. The child has one thread and never returns from here.
    pub fn start(inside: impl FnOnce(&mut UnixStream)) -> Self {
        let (stream, mut theirs) = UnixStream::pair().unwrap();
        let (report, mut their_report) = UnixStream::pair().unwrap();
        // SAFETY: the child runs `inside` and ends by `_exit`. It allocates, which glibc makes safe after a fork, and
        // takes no lock that a thread of the parent could hold: the panic hook, which writes to a captured output, is
        // replaced.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        if pid == 0 {
            drop((stream, report));
            std::panic::set_hook(Box::new(|_| {}));
            let outcome = catch_unwind(AssertUnwindSafe(|| inside(&mut theirs)));
            let message = outcome.err().map_or(String::new(), |panic| {
                panic.downcast::<String>().map_or_else(|other| format!("{:?}", other.downcast::<&str>()), |text| *text)
            });
            let _parent_left = their_report.write_all(message.as_bytes()).is_err();
            // SAFETY: ends this process at once, as is meant; nothing of the parent's is run at exit.
            unsafe { libc::_exit(i32::from(!message.is_empty())) };
        }
        Self { pid, stream, report }
    }

    /// What the closure panicked with, once it has ended; empty if it did not.
    pub fn failure(&self) -> String {
        let mut message = String::new();
        (&self.report).read_to_string(&mut message).unwrap();
        message
    }

    /// Waits for the end and fails if the closure did.
    pub fn end(&mut self) {
        let (failure, status) = (self.failure(), self.wait());
        assert_eq!(failure, "");
        assert_eq!(status, 0, "the child was ended by something else");
    }

    /// The status of the ended child, as of waitpid(2).
    pub fn wait(&mut self) -> i32 {
        let mut status = 0;
        // SAFETY: `status` is valid for the write; the pid is of our own child, which is waited for only here.
        let waited = unsafe { libc::waitpid(self.pid, &raw mut status, 0) };
        assert_eq!(waited, self.pid);
        self.pid = 0;
        status
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.pid > 0 {
            // SAFETY: the pid is of our own child that was not waited for, so it names no other process.
            unsafe {
                libc::kill(self.pid, libc::SIGKILL);
                libc::waitpid(self.pid, std::ptr::null_mut(), 0);
            }
        }
    }
}

/// Lets the other side of the stream go on.
pub fn signal(stream: &mut UnixStream) {
    stream.write_all(b"!").unwrap();
}

/// Waits for the other side of the stream.
pub fn wait(stream: &mut UnixStream) {
    stream.read_exact(&mut [0]).unwrap();
}

/// Makes this process one of uid and gid 1000 without privileges, if it is root's.
pub fn become_plain() {
    if !is_root() {
        return;
    }
    // SAFETY: these calls take plain numbers and change only this process, which has one thread.
    unsafe {
        assert_eq!(libc::setgroups(0, std::ptr::null()), 0);
        assert_eq!(libc::setresgid(1000, 1000, 1000), 0);
        assert_eq!(libc::setresuid(1000, 1000, 1000), 0);
        // Otherwise its files in /proc, as its id maps, belong to root.
        assert_eq!(libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
    }
}
