//! A small cell of this test's own: user, mount and PID namespaces, one user, no capabilities, and this root:
//!
//! | path | what |
//! |---|---|
//! | `/ro` | read-only mount, with `file` (0644) and `dir/` |
//! | `/rw` | writable: `mine` (0644), `sealed` (0444), `shut/` (0000), `program` (0755), and links |
//! | `/noexec` | a mount without exec, with `program` (0755) |
//! | `/usr` | the host's, writable as a mount, but someone else's |
//! | `/proc` | of the cell |

use std::ffi::CStr;
use std::fs;
use std::io;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nanoclaw_config::SandboxMode;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

use crate::notify::{Answer, CellView, DecodeError, Decoded, Event, Listener, decode};
use crate::seccomp::tests::child::{errno_of, give_up_new_privileges, spawn};
use crate::seccomp::{compile, install};

/// Open files of the cell's process.
pub(super) const RO_DIR: u64 = 100;
pub(super) const RW_DIR: u64 = 101;
pub(super) const MEMORY: u64 = 102;
pub(super) const PIPE: u64 = 103;

/// One call of the cell, and what came of it.
#[derive(Debug)]
pub(super) struct Seen {
    /// `None` where the kernel never asked.
    pub(super) decoded: Option<Result<Option<Decoded>, DecodeError>>,
    /// What the cell got.
    pub(super) errno: i32,
}

/// A call: number and arguments. Programs are run in a child.
pub(super) type Call = (libc::c_long, [u64; 6]);

/// Whether the control plane, here, answers as [`decode`] proposes, or always lets the kernel decide.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Answers {
    Proposed,
    Continue,
}

/// Makes the calls one by one in a cell and listens. `None` where this machine does not let the user make one.
pub(super) fn run(mode: SandboxMode, answers: Answers, calls: &[Call]) -> Option<Vec<Seen>> {
    let directory = tempfile::tempdir().unwrap();
    let root = rustix::process::geteuid().is_root();
    // Also as root, the cell is an ordinary user's.
    let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let (uid, gid) = if root { (4242, 4242) } else { own };
    if root {
        chown(directory.path(), Some(uid), Some(gid)).unwrap();
    }
    let (ours, theirs) = UnixStream::pair().unwrap();
    let place = directory.path().to_owned();
    let child = spawn(|| {
        if let Err(error) = become_user(root, uid, gid) {
            eprintln!("no user namespace: {error}");
            return vec![];
        }
        spawn(|| {
            build(&place).unwrap();
            let (_, writer) = open_files();
            give_up_new_privileges();
            drop_capabilities();
            let listener = install(&compile(mode), true).unwrap().unwrap();
            let view = rustix::fs::open("/", rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
            send(&theirs, &[listener, view]);
            let results = calls.iter().map(make).collect();
            drop(writer);
            results
        })
        .wait()
        .values
    });
    // Only the child has the other end now, so its death shows.
    drop(theirs);
    let received = receive(&ours);
    let [listener, view] = <[OwnedFd; 2]>::try_from(received).ok().or_else(|| {
        eprintln!("SKIPPED: this machine does not let the test make namespaces");
        None
    })?;
    let cell = CellView::new(view, mode, uid, gid);
    let heard = listen(&Listener::new(listener).unwrap(), &cell, answers);
    let report = child.wait();
    assert_eq!(report.values.len(), calls.len(), "the cell died early");
    Some(assemble(mode, calls, heard, &report.values))
}

/// Puts each decoding to its call: the profile says which calls are notified.
fn assemble(
    mode: SandboxMode,
    calls: &[Call],
    heard: Vec<Result<Option<Decoded>, DecodeError>>,
    errnos: &[i32],
) -> Vec<Seen> {
    let mut heard = heard.into_iter();
    let seen = calls
        .iter()
        .zip(errnos)
        .map(|((number, arguments), errno)| {
            let outcome = crate::seccomp::evaluate(mode, *number as u32, arguments);
            let asked = matches!(outcome, crate::seccomp::Outcome::Ask | crate::seccomp::Outcome::Refuse);
            Seen { decoded: asked.then(|| heard.next().unwrap()), errno: *errno }
        })
        .collect();
    assert!(heard.next().is_none(), "more notifications than calls");
    seen
}

fn listen(listener: &Listener, cell: &CellView, answers: Answers) -> Vec<Result<Option<Decoded>, DecodeError>> {
    let mut heard = Vec::new();
    loop {
        let mut ready = [rustix::event::PollFd::new(listener, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut ready, None).unwrap();
        match listener.receive() {
            Ok(Event::Call(call)) => {
                let decoded = decode(listener, &call, cell);
                let answer = match (&decoded, answers) {
                    (Ok(Some(decoded)), Answers::Proposed) => decoded.answer,
                    _ => Answer::Continue,
                };
                listener.answer(call.id, answer).unwrap();
                heard.push(decoded);
            }
            Ok(Event::Vanished) => {}
            Ok(Event::Over) => return heard,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Makes one call. A program that runs would replace the caller, so a child runs it and its exit status is the errno.
fn make((number, arguments): &Call) -> i32 {
    if ![libc::SYS_execve, libc::SYS_execveat].contains(number) {
        return errno_of(*number, *arguments);
    }
    // SAFETY: takes no pointers; the child makes two system calls.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let errno = errno_of(*number, *arguments);
        // SAFETY: takes no pointers.
        unsafe { libc::_exit(errno) };
    }
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    unsafe { libc::waitpid(pid, &mut status, 0) };
    libc::WEXITSTATUS(status)
}

fn become_user(root: bool, uid: u32, gid: u32) -> io::Result<()> {
    if root {
        // SAFETY: takes no pointers but a null one with length 0.
        unsafe {
            assert_eq!(libc::setgroups(0, std::ptr::null()), 0);
            assert_eq!(libc::setresgid(gid, gid, gid), 0);
            assert_eq!(libc::setresuid(uid, uid, uid), 0);
        }
    }
    let dumpable = || {
        // SAFETY: takes no pointers.
        unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) }
    };
    dumpable();
    // SAFETY: takes no pointers; this process has one thread.
    if unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID) } != 0 {
        return Err(io::Error::last_os_error());
    }
    dumpable();
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("1000 {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("1000 {gid} 1"))
}

fn build(root: &Path) -> io::Result<()> {
    use rustix::mount::{mount, mount_bind, mount_bind_recursive, mount_change, mount_remount, unmount};
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    let plain = MountFlags::NODEV | MountFlags::NOSUID;
    mount("tmpfs", root, "tmpfs", plain, c"mode=0755")?;
    for name in ["rw", "ro", "noexec", "usr", "proc", "rw/shut", "ro/dir"] {
        fs::create_dir(root.join(name))?;
    }
    mount("tmpfs", root.join("noexec"), "tmpfs", plain | MountFlags::NOEXEC, c"mode=0755")?;
    let file = |name: &str, mode: u32| -> io::Result<PathBuf> {
        let path = root.join(name);
        fs::write(&path, "not a program")?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        Ok(path)
    };
    file("ro/file", 0o644)?;
    file("rw/mine", 0o644)?;
    file("rw/sealed", 0o444)?;
    file("rw/program", 0o755)?;
    file("noexec/program", 0o755)?;
    file("rw/shut/file", 0o644)?;
    fs::set_permissions(root.join("rw/shut"), fs::Permissions::from_mode(0o000))?;
    for (name, target) in [
        ("rw/to_ro", "/ro/file"),
        ("rw/to_new_ro", "../ro/new"),
        ("rw/to_new_rw", "new_by_link"),
        ("rw/round", "round"),
        ("rw/through_proc", "/proc/self/root/ro/file"),
    ] {
        symlink(target, root.join(name))?;
    }
    mount_bind(root.join("ro"), root.join("ro"))?;
    mount_remount(root.join("ro"), MountFlags::BIND | MountFlags::RDONLY | plain, c"")?;
    mount_bind_recursive("/usr", root.join("usr"))?;
    mount("proc", root.join("proc"), "proc", plain | MountFlags::NOEXEC, c"")?;
    std::env::set_current_dir(root)?;
    rustix::process::pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    std::env::set_current_dir("/rw")
}

/// Opens the files at their agreed numbers. What comes back holds the pipe open.
fn open_files() -> (io::PipeReader, io::PipeWriter) {
    let keep = |fd: &dyn AsFd, number: u64| {
        // SAFETY: dup2 takes numbers; the new descriptor is used by number and lives as long as the process.
        assert!(unsafe { libc::dup2(fd.as_fd().as_raw_fd(), number as i32) } >= 0);
    };
    keep(&fs::File::open("/ro").unwrap(), RO_DIR);
    keep(&fs::File::open("/rw").unwrap(), RW_DIR);
    keep(&rustix::fs::memfd_create("hidden", rustix::fs::MemfdFlags::empty()).unwrap(), MEMORY);
    let (reader, writer) = io::pipe().unwrap();
    keep(&writer, PIPE);
    (reader, writer)
}

fn drop_capabilities() {
    let header = [0x2008_0522_u32, 0]; // _LINUX_CAPABILITY_VERSION_3, this thread
    let none = [0_u32; 6];
    assert_eq!(errno_of(libc::SYS_capset, [header.as_ptr() as u64, none.as_ptr() as u64, 0, 0, 0, 0]), 0);
    // SAFETY: takes no pointers. Losing capabilities made the process undumpable, and the control plane could not read it.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) };
}

/// Passes descriptors, two at most.
pub(super) fn send(socket: &UnixStream, fds: &[OwnedFd]) {
    let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&borrowed)));
    sendmsg(socket, &[IoSlice::new(b"x")], &mut control, SendFlags::empty()).unwrap();
}

/// Takes what [`send`] passed; nothing where the other end is gone.
pub(super) fn receive(socket: &UnixStream) -> Vec<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(socket, &mut [io::IoSliceMut::new(&mut byte)], &mut control, RecvFlags::empty()).unwrap();
    let rights = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    rights.flatten().collect()
}

/// A path argument.
pub(super) fn path(text: &'static CStr) -> u64 {
    text.as_ptr() as u64
}
