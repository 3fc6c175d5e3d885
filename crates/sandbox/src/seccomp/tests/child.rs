//! A child process that confines itself and says what happened to it.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;

/// How a child ended, and what it reported.
pub(crate) struct Report {
    /// What `body` returned; empty where the child did not get that far.
    pub(crate) values: Vec<i32>,
    /// As from waitpid(2).
    pub(crate) status: i32,
}

/// Runs `body` in a child of this process. It should make few library calls: the parent has other threads.
pub(crate) fn spawn(body: impl FnOnce() -> Vec<i32>) -> Child {
    let (reader, writer) = std::io::pipe().unwrap();
    // SAFETY: takes no pointers. The child calls what glibc and musl keep usable after fork (their allocators), and
    // leaves with _exit.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork");
    if pid == 0 {
        drop(reader);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
        let bytes: Vec<u8> = result.unwrap_or_default().into_iter().flat_map(i32::to_le_bytes).collect();
        let status = std::fs::File::from(OwnedFd::from(writer)).write_all(&bytes).map_or(1, |()| 0);
        // SAFETY: takes no pointers.
        unsafe { libc::_exit(status) }
    }
    Child { pid, reader }
}

/// A running child.
pub(crate) struct Child {
    pid: i32,
    reader: std::io::PipeReader,
}

impl Child {
    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Report {
        let mut bytes = Vec::new();
        self.reader.read_to_end(&mut bytes).unwrap();
        let mut status = 0;
        // SAFETY: `status` outlives the call; the pid is a child that nobody else waits for.
        assert_eq!(unsafe { libc::waitpid(self.pid, &mut status, 0) }, self.pid);
        let values = bytes.chunks_exact(4).map(|c| i32::from_le_bytes(c.try_into().unwrap())).collect();
        Report { values, status }
    }
}

/// A system call: 0, or the errno.
pub(crate) fn errno_of(number: libc::c_long, arguments: [u64; 6]) -> i32 {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the tests pass null or pointers to memory that outlives the call.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result < 0 { std::io::Error::last_os_error().raw_os_error().unwrap() } else { 0 }
}

/// `no_new_privs`, without which an unprivileged process cannot install a filter.
pub(crate) fn give_up_new_privileges() {
    // SAFETY: takes no pointers.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
}
