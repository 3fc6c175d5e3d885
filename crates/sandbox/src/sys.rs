//! The few system calls that no safe wrapper covers. Every other module of this crate that needs `unsafe` says so
//! at its top; this file keeps the general ones in one place.

use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Which side of a [`fork`] or [`clone3`] this is.
pub(crate) enum Fork {
    /// In the new process.
    Child,
    /// In the old one: the new one's pid, as this pid namespace sees it.
    Parent(i32),
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// fork(2). Call it only while this process has one thread: the child then owns a consistent heap.
pub(crate) fn fork() -> io::Result<Fork> {
    // SAFETY: fork takes no pointers. The caller has one thread, so that no lock is held by a thread that the
    // child does not have.
    let pid = check(libc::c_long::from(unsafe { libc::fork() }))?;
    Ok(if pid == 0 { Fork::Child } else { Fork::Parent(pid as i32) })
}

/// clone3(2) without a new stack: like fork, with `flags` (namespaces), and into a control group of the unified
/// hierarchy. Same precondition as [`fork`].
pub(crate) fn clone3(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Fork> {
    // libc's constant is too narrow for its value.
    const INTO_CGROUP: u64 = 0x2_0000_0000;
    let args = libc::clone_args {
        flags: flags | cgroup.map_or(0, |_| INTO_CGROUP),
        pidfd: 0,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: libc::SIGCHLD as u64,
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: cgroup.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    // SAFETY: `args` outlives the call and has the size that is passed; without CLONE_VM and with no stack the child
    // runs on a copy of this stack. The C library's fork handlers are not run, which is sound with a single thread
    // that holds no C library lock here.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone3, std::ptr::from_ref(&args), size_of_val(&args)) })?;
    Ok(if pid == 0 { Fork::Child } else { Fork::Parent(pid as i32) })
}

/// Ends this process at once, without destructors: for children of [`fork`] and [`clone3`].
pub(crate) fn exit_now(status: i32) -> ! {
    // SAFETY: takes no pointers and does not return.
    unsafe { libc::_exit(status) }
}

/// Attributes of a mount, for [`set_mount_attributes`] (mount_setattr(2)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MountAttributes {
    pub(crate) read_only: bool,
    pub(crate) no_exec: bool,
    pub(crate) no_device: bool,
}

/// mount_setattr(2) on the mount that `fd` is: always `nosuid`, and what `attributes` says; with `id_map`, the mount
/// gets the id mapping of that user namespace. With `recursive`, everything mounted below as well.
pub(crate) fn set_mount_attributes(
    fd: impl AsFd,
    attributes: MountAttributes,
    id_map: Option<BorrowedFd<'_>>,
    recursive: bool,
) -> io::Result<()> {
    let mut set = libc::MOUNT_ATTR_NOSUID;
    for (on, flag) in [
        (attributes.read_only, libc::MOUNT_ATTR_RDONLY),
        (attributes.no_exec, libc::MOUNT_ATTR_NOEXEC),
        (attributes.no_device, libc::MOUNT_ATTR_NODEV),
        (id_map.is_some(), libc::MOUNT_ATTR_IDMAP),
    ] {
        if on {
            set |= flag;
        }
    }
    let attr = libc::mount_attr {
        attr_set: set,
        attr_clr: 0,
        propagation: 0,
        userns_fd: id_map.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a NUL-terminated literal and `attr` outlives the call with the size that is passed.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(&attr),
            size_of_val(&attr),
        )
    })?;
    Ok(())
}

/// pivot_root(".", "."): the current directory becomes the root, and the old root lies on top of it.
pub(crate) fn pivot_root_here() -> io::Result<()> {
    // SAFETY: both paths are NUL-terminated literals.
    check(unsafe { libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) })?;
    Ok(())
}

/// Empties the permitted, effective and inheritable capability sets.
pub(crate) fn drop_capabilities() -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    const VERSION_3: u32 = 0x2008_0522;
    let header = Header { version: VERSION_3, pid: 0 };
    let none = [0u32; 6];
    // SAFETY: version 3 reads two data elements of three u32 each; `none` holds exactly that.
    check(unsafe { libc::syscall(libc::SYS_capset, std::ptr::from_ref(&header), none.as_ptr()) })?;
    Ok(())
}

/// prctl(2) with integer arguments only.
pub(crate) fn prctl(option: i32, argument: u64) -> io::Result<()> {
    // SAFETY: used with options whose arguments are integers.
    check(libc::c_long::from(unsafe { libc::prctl(option, argument, 0u64, 0u64, 0u64) }))?;
    Ok(())
}

/// setrlimit(2), soft and hard alike.
pub(crate) fn set_limit(resource: u32, value: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: `limit` outlives the call.
    check(libc::c_long::from(unsafe { libc::setrlimit(resource, std::ptr::from_ref(&limit)) }))?;
    Ok(())
}

/// The current hard limit of a resource.
pub(crate) fn hard_limit(resource: u32) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is writable and outlives the call.
    if unsafe { libc::getrlimit(resource, std::ptr::from_mut(&mut limit)) } == 0 { limit.rlim_max } else { 0 }
}

/// sigprocmask(2) with a list of signals.
pub(crate) fn set_signal_mask(signals: &[i32], how: i32) {
    // SAFETY: the set is initialised by sigemptyset before use and outlives the calls.
    unsafe {
        let mut set = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&mut set);
        for signal in signals {
            libc::sigaddset(&mut set, *signal);
        }
        libc::sigprocmask(how, &set, std::ptr::null_mut());
    }
}

/// signalfd(2) for these signals, which must be blocked.
pub(crate) fn signal_descriptor(signals: &[i32]) -> io::Result<OwnedFd> {
    // SAFETY: as in `set_signal_mask`; the descriptor that is returned is new.
    unsafe {
        let mut set = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&mut set);
        for signal in signals {
            libc::sigaddset(&mut set, *signal);
        }
        let fd = libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd)) }
    }
}

/// dup2(2) onto one of the standard descriptors 0 to 2. Nothing else owns those in the children that call this.
pub(crate) fn put_on(fd: impl AsFd, number: i32) -> io::Result<()> {
    // SAFETY: replaces a standard descriptor, which no OwnedFd of ours stands for.
    check(libc::c_long::from(unsafe { libc::dup2(fd.as_fd().as_raw_fd(), number) }))?;
    Ok(())
}

/// Marks every descriptor from `first` on to be closed by execve(2).
pub(crate) fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: with CLOEXEC this closes nothing now, so that no owner is left with a stale descriptor.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) })?;
    Ok(())
}

/// What became of a child.
pub(crate) struct Reaped {
    /// Its pid.
    pub(crate) pid: i32,
    /// Its exit status, or 128 + the signal that ended it.
    pub(crate) status: i32,
}

/// Reaps one child of this process that has ended, if there is one.
pub(crate) fn reap() -> Option<Reaped> {
    let mut status = 0;
    // SAFETY: `status` is writable and outlives the call.
    let pid = unsafe { libc::waitpid(-1, std::ptr::from_mut(&mut status), libc::WNOHANG) };
    (pid > 0).then(|| Reaped {
        pid,
        status: if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) },
    })
}

/// Waits for one child to end.
pub(crate) fn wait_for(pid: i32) {
    let mut status = 0;
    // SAFETY: `status` is writable and outlives the call.
    while unsafe { libc::waitpid(pid, std::ptr::from_mut(&mut status), 0) } < 0
        && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
}

/// kill(2).
pub(crate) fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: takes no pointers.
    check(libc::c_long::from(unsafe { libc::kill(pid, signal) }))?;
    Ok(())
}

/// unshare(2) of the cgroup namespace: the present control group becomes the root of what this process sees.
pub(crate) fn unshare_cgroup_namespace() -> io::Result<()> {
    // SAFETY: takes no pointers and changes nothing that memory safety rests on.
    check(libc::c_long::from(unsafe { libc::unshare(libc::CLONE_NEWCGROUP) }))?;
    Ok(())
}

/// sethostname(2).
pub(crate) fn set_host_name(name: &str) -> io::Result<()> {
    // SAFETY: the pointer is valid for the length that is passed.
    check(libc::c_long::from(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) }))?;
    Ok(())
}

/// landlock_create_ruleset(2) asked for its version: the ABI of this kernel, 0 where there is no Landlock.
pub fn landlock_abi() -> i32 {
    const VERSION: u32 = 1;
    // SAFETY: with the version flag the kernel reads no attribute.
    let abi = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<c_void>(), 0usize, VERSION) };
    i32::try_from(abi).unwrap_or(0).max(0)
}

/// Whether this kernel can hand system calls to another process for a decision (seccomp(2), SECCOMP_GET_ACTION_AVAIL).
pub(crate) fn seccomp_notification_available() -> bool {
    let action = libc::SECCOMP_RET_USER_NOTIF;
    // SAFETY: the kernel reads one u32 from the pointer, which is valid for the call.
    unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, std::ptr::from_ref(&action)) == 0 }
}

/// Overwrites and empties the environment that this process was started with, so that neither it nor any copy of it
/// holds what may stand there.
pub(crate) fn erase_environment() {
    unsafe extern "C" {
        static mut environ: *mut *mut libc::c_char;
    }
    // SAFETY: called in a fresh child with one thread, which has taken no pointer into the environment. Each entry is
    // a NUL-terminated string in memory that this process may write (execve(2) put it on its stack); the array ends
    // with NULL.
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            std::ptr::write_bytes(*entry, 0, libc::strlen(*entry));
            entry = entry.add(1);
        }
        libc::clearenv();
    }
}
