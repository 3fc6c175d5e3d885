//! Files: what can be done with open descriptors, and what changes the tree.

use crate::seccomp::rule::{
    ABSENT, ALLOW, ASK, Case, Chapter, Decision, REFUSE, any_bit, by, calls, case, errno, rule, values, wider,
};

/// See memfd_create(2): a file that says nothing of execution can be executed.
const SEALED: Decision = any_bit(1, libc::MFD_NOEXEC_SEAL, "MFD_NOEXEC_SEAL in flags", &ALLOW, &UNSEALED);
const UNSEALED: Decision = errno(libc::EACCES);

/// Set-user-id and set-group-id. A file in a workspace may belong to a real user of the host; with one of these bits
/// it would be a present for every other user of the host.
pub(super) const SET_ID: u32 = libc::S_ISUID | libc::S_ISGID;

/// Asked about, unless the mode, which is this argument, has a set-id bit.
pub(super) const fn mode_asked(argument: u8) -> Decision {
    any_bit(argument, SET_ID, "S_ISUID, S_ISGID in mode", &REFUSE, &ASK)
}

/// Flags of open(2) that create a file: `O_CREAT`, and the bit of `O_TMPFILE` that is not `O_DIRECTORY`.
const CREATES: u32 = libc::O_CREAT as u32 | 0o20_000_000;
/// Flags of open(2) that write. `O_APPEND` without one of these writes nothing.
const WRITES: u32 = (libc::O_WRONLY | libc::O_RDWR | libc::O_TRUNC) as u32;
const CREATE_FLAGS: &str = "O_CREAT, O_TMPFILE in flags";
const WRITE_FLAGS: &str = "O_WRONLY, O_RDWR, O_TRUNC in flags";

/// open(2) has its flags in argument 1, and its mode in argument 2 where it creates.
#[cfg(target_arch = "x86_64")]
pub(super) const OPEN: Decision = any_bit(1, CREATES, CREATE_FLAGS, &OPEN_CREATING, &OPEN_EXISTING);
#[cfg(target_arch = "x86_64")]
const OPEN_CREATING: Decision = mode_asked(2);
#[cfg(target_arch = "x86_64")]
const OPEN_EXISTING: Decision = any_bit(1, WRITES, WRITE_FLAGS, &ASK, &ALLOW);

/// openat(2): one argument further.
const OPENAT: Decision = any_bit(2, CREATES, CREATE_FLAGS, &OPENAT_CREATING, &OPENAT_EXISTING);
const OPENAT_CREATING: Decision = mode_asked(3);
const OPENAT_EXISTING: Decision = any_bit(2, WRITES, WRITE_FLAGS, &ASK, &ALLOW);

/// mknod(2) with its mode in this argument: plain files, FIFOs and sockets. A device, `0:0` included, is what an
/// overlay takes for a deletion.
const fn node(argument: u8, cases: &'static [Case]) -> Decision {
    Decision::Match { argument, mask: libc::S_IFMT, what: "type in mode", cases, otherwise: &REFUSE }
}
const PLAIN_KINDS: &[(&str, u32)] =
    &[("0", 0), ("S_IFREG", libc::S_IFREG), ("S_IFIFO", libc::S_IFIFO), ("S_IFSOCK", libc::S_IFSOCK)];
#[cfg(target_arch = "x86_64")]
pub(super) const MKNOD: Decision = node(1, &[case(PLAIN_KINDS, mode_asked(1))]);
const MKNODAT: Decision = node(2, &[case(PLAIN_KINDS, mode_asked(2))]);

const IOCTL: Decision = by(
    1,
    "op",
    &[
        // Puts characters into another program's terminal (CVE-2017-5226), or on the console.
        case(values! { TIOCSTI, TIOCLINUX, TIOCCONS }, REFUSE),
        // Loads line disciplines, a steady source of kernel bugs; pushes locks and hang-ups onto a terminal.
        case(values! { TIOCSETD, TIOCVHANGUP = 0x5437, TIOCSLCKTRMIOS = 0x5457 }, REFUSE),
        // Changes the project that a file's blocks are charged to, and so escapes a disk quota.
        case(values! { FS_IOC_FSSETXATTR = 0x401C_5820 }, REFUSE),
        // Freezes a file system of the host.
        case(values! { FIFREEZE = 0xC004_5877, FITHAW = 0xC004_5878 }, REFUSE),
    ],
    &ALLOW,
);

const FCNTL: Decision = by(1, "op", &[case(values! { F_SETLEASE }, REFUSE)], &ALLOW);

/// A program without a path.
const UNNAMED_PROGRAM: Decision = any_bit(4, libc::AT_EMPTY_PATH as u32, "AT_EMPTY_PATH in flags", &REFUSE, &ASK);

/// Descriptors and looking around.
pub(in crate::seccomp) const DESCRIPTORS: Chapter = Chapter {
    title: "Open files and looking around",
    about: "What is already open was decided when it was opened. What can be looked at, the mounts decide.",
    rules: &[
        rule(
            ALLOW,
            "read and write what is open",
            calls! {
                SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_pwrite64, SYS_preadv, SYS_pwritev,
                SYS_preadv2, SYS_pwritev2, SYS_lseek, SYS_sendfile, SYS_copy_file_range, SYS_splice, SYS_tee,
                SYS_fallocate, SYS_ftruncate, SYS_fsync, SYS_fdatasync, SYS_sync, SYS_syncfs,
                SYS_sync_file_range, SYS_fadvise64, SYS_readahead, SYS_flock
            },
        ),
        rule(
            ALLOW,
            "make and close descriptors that belong to no file",
            calls! {
                SYS_close, SYS_close_range, SYS_dup, SYS_dup3, SYS_pipe2, SYS_eventfd2, SYS_signalfd4,
                SYS_timerfd_create, SYS_timerfd_settime, SYS_timerfd_gettime, SYS_inotify_init1,
                SYS_inotify_add_watch, SYS_inotify_rm_watch
            },
        ),
        rule(
            ALLOW,
            "wait for descriptors",
            calls! {
                SYS_ppoll, SYS_pselect6, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_epoll_pwait2
            },
        ),
        rule(
            ALLOW,
            "look: names, directories, attributes, file systems",
            calls! {
                SYS_newfstatat, SYS_fstat, SYS_statx, SYS_faccessat, SYS_faccessat2, SYS_readlinkat,
                SYS_getcwd, SYS_chdir, SYS_fchdir, SYS_getdents64, SYS_statfs, SYS_fstatfs, SYS_getxattr,
                SYS_lgetxattr, SYS_fgetxattr, SYS_listxattr, SYS_llistxattr, SYS_flistxattr
            },
        ),
        rule(
            ALLOW,
            "change attributes of what is open; the mode that new files get",
            calls! { SYS_fchown, SYS_fsetxattr, SYS_fremovexattr, SYS_umask },
        ),
        rule(
            FCNTL,
            "a lease makes every other opener on the host wait, up to 45 seconds each time",
            calls! { SYS_fcntl },
        ),
        rule(
            IOCTL,
            "terminals are pushed into, disciplines loaded, quotas left and file systems frozen by ioctl; the rest is \
             for the driver of an open file, and `/dev` holds none that is dangerous",
            calls! { SYS_ioctl },
        ),
        wider(
            ABSENT,
            ALLOW,
            "old asynchronous I/O and page gifts: rarely used, with a history of kernel bugs; programs fall back",
            calls! {
                SYS_io_setup, SYS_io_destroy, SYS_io_submit, SYS_io_cancel, SYS_io_getevents, SYS_vmsplice
            },
        ),
    ],
};

/// What changes the tree.
pub(in crate::seccomp) const CHANGES: Chapter = Chapter {
    title: "Changes to the file tree, and programs",
    about: "Asked about, so that each is on record with its path, allowed or not. What keeps a cell from writing \
            elsewhere are read-only mounts, file permissions and Landlock; the question only makes the record. \
            Opening for reading is not asked about. A set-id bit is refused everywhere: a workspace file may belong \
            to a real user of the host.",
    rules: &[
        rule(OPENAT, "opening to write or create", calls! { SYS_openat }),
        rule(
            ABSENT,
            "its flags are in memory, out of a filter's sight; callers fall back to `openat`",
            calls! { SYS_openat2 },
        ),
        rule(mode_asked(2), "new directories, new modes", calls! { SYS_mkdirat, SYS_fchmodat, fchmodat2 = 452 }),
        rule(
            any_bit(1, SET_ID, "S_ISUID, S_ISGID in mode", &REFUSE, &ALLOW),
            "the file is open already, only set-id bits matter",
            calls! { SYS_fchmod },
        ),
        rule(MKNODAT, "plain files, FIFOs and sockets; a device node is refused", calls! { SYS_mknodat }),
        rule(
            ASK,
            "names: removed, moved, linked",
            calls! { SYS_unlinkat, SYS_renameat, SYS_renameat2, SYS_linkat, SYS_symlinkat },
        ),
        rule(
            ASK,
            "content, owner and attributes by path",
            calls! {
                SYS_truncate, SYS_fchownat, SYS_setxattr, SYS_lsetxattr, SYS_removexattr, SYS_lremovexattr
            },
        ),
        rule(
            Decision::Null { argument: 1, what: "path", yes: &ALLOW, no: &ASK },
            "times by path; without a path they are those of an open file",
            calls! { SYS_utimensat },
        ),
        rule(ASK, "every program that is run is on record", calls! { SYS_execve }),
        wider(
            UNNAMED_PROGRAM,
            ASK,
            "a program without a path is one that was never on a file system: memory that was made executable",
            calls! { SYS_execveat },
        ),
        wider(
            any_bit(1, libc::MFD_EXEC, "MFD_EXEC in flags", &REFUSE, &SEALED),
            ALLOW,
            "a file in memory must be sealed against execution, or it would be a program that was never on a file system; EACCES is what the kernel gives where an administrator has asked for the same (vm.memfd_noexec)",
            calls! { SYS_memfd_create },
        ),
    ],
};
