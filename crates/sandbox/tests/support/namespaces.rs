//! Namespaces of a process of the test's own, made as root and as somebody without privileges.

use crate::child::{become_plain, is_root};

/// Who makes the namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// Root of the host.
    Root,
    /// Somebody without any privilege.
    Plain,
}

/// Every user that this run can be.
pub fn users() -> Vec<User> {
    if is_root() {
        vec![User::Root, User::Plain]
    } else {
        eprintln!("SKIPPED: not root, so only the part of this test that needs no root runs");
        vec![User::Plain]
    }
}

/// Makes this process root of a user namespace of its own, with a network namespace of its own.
pub fn enter_namespaces(user: User) {
    if user == User::Plain {
        become_plain();
    }
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    // SAFETY: this process has one thread and shares nothing that the call would take from others.
    let entered = unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) };
    assert_eq!(entered, 0, "user namespaces are not allowed here: {}", std::io::Error::last_os_error());
    std::fs::write("/proc/self/setgroups", "deny").unwrap();
    std::fs::write("/proc/self/uid_map", format!("0 {uid} 1")).unwrap();
    std::fs::write("/proc/self/gid_map", format!("0 {gid} 1")).unwrap();
}

/// Empties the capability sets of this process.
pub fn drop_capabilities() {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    let header = Header { version: 0x2008_0522, pid: 0 };
    let empty = [0_u32; 6];
    // SAFETY: the header is of version 3, for which the kernel reads two blocks of three words.
    let done = unsafe { libc::syscall(libc::SYS_capset, &raw const header, empty.as_ptr()) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}
