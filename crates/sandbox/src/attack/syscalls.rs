//! System calls that no agent needs and that have been, or lead to, ways out.
//!
//! Nearly all are refused by the filter with `EPERM`, and the unprivileged kernel often says the same. To tell the two
//! apart, arguments are chosen so that the kernel finds fault with them *before* it asks for privileges, wherever it
//! checks in that order: a control for every user. Where it does not, only root can serve as the control.

use std::fs;
use std::os::fd::AsRawFd;

use super::Stopped::Errno;
use super::attempt::{Attempt, given};
use super::context::c_path;
use super::system::{Arg, at, bytes_at, call};
use super::{Attack, Context, Control, Outcome, Scope, Seen, Stopped};

const EPERM: &[Stopped] = &[Errno(libc::EPERM)];
const ENOSYS: &[Stopped] = &[Errno(libc::ENOSYS)];

/// The kernel finds fault with the arguments, for every user.
pub(super) const INVALID: Control = Control::Outside(&[Seen::Errno(libc::EINVAL)]);
const BAD_DESCRIPTOR: Control = Control::Outside(&[Seen::Errno(libc::EBADF)]);
pub(super) const WORKS: Control = Control::Outside(&[Seen::Success]);
pub(super) const WORKS_FOR_ROOT: Control = Control::OutsideRoot(&[Seen::Success]);

/// An address that no process has mapped.
pub(super) const NOWHERE: u64 = 1;
/// Flag bits that no call defines.
pub(super) const NO_SUCH_FLAGS: u32 = 0x4000_0000;
/// Terminal requests (ioctl_tty(2)), whose type differs between C libraries.
const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541c;

/// A path that does not exist.
pub(super) const NO_SUCH_PATH: &std::ffi::CStr = c"/nanoclaw-no-such-file";

/// A call that the filter refuses and records.
pub(super) const fn refused(
    name: &'static str,
    what: &'static str,
    reference: &'static str,
    run: fn(&Context) -> Outcome,
    control: Control,
) -> Attack {
    Attack { name, what, reference, expect: EPERM, layer: "seccomp", scope: Scope::Everywhere, run, control }
}

/// A call that the cell's kernel seems not to have, so that programs fall back to another.
const fn absent(
    name: &'static str,
    what: &'static str,
    reference: &'static str,
    scope: Scope,
    run: fn(&Context) -> Outcome,
) -> Attack {
    Attack { name, what, reference, expect: ENOSYS, layer: "seccomp", scope, run, control: WORKS }
}

pub(super) const ATTACKS: &[Attack] = &[
    refused(
        "add-key",
        "put a key on a kernel keyring",
        "OpenShell, srt, codex: allowed",
        |_| {
            let mut payload = *b"x";
            // The keyring of this very process, which ends with it.
            let keyring = -2;
            call!(libc::SYS_add_key, c"user", c"nanoclaw-attack", bytes_at(&mut payload), 1, keyring).outcome()
        },
        WORKS,
    ),
    refused(
        "keyctl",
        "look up the session keyring",
        "OpenShell, srt, codex: allowed",
        |_| call!(libc::SYS_keyctl, 0, -3, 0, 0, 0).outcome(),
        Control::Outside(&[Seen::Success, Seen::Errno(libc::ENOKEY)]),
    ),
    refused(
        "request-key",
        "have the kernel look for a key",
        "",
        |_| call!(libc::SYS_request_key, c"user", c"nanoclaw-attack-none", Arg::NULL, 0).outcome(),
        Control::Outside(&[Seen::Errno(libc::ENOKEY)]),
    ),
    refused(
        "bpf-map",
        "make a BPF map",
        "OpenShell #819",
        |_| {
            // union bpf_attr for BPF_MAP_CREATE: an array with one element of four bytes.
            let mut attributes = [2_u32, 4, 4, 1];
            call!(libc::SYS_bpf, 0, at(&mut attributes), size_of::<[u32; 4]>()).outcome()
        },
        WORKS_FOR_ROOT,
    ),
    refused(
        "bpf-any-command",
        "reach bpf(2) at all",
        "",
        |_| {
            let mut attributes = [0_u8; 8192];
            call!(libc::SYS_bpf, 5, bytes_at(&mut attributes), 8192).outcome()
        },
        Control::Outside(&[Seen::Errno(libc::E2BIG)]),
    ),
    refused(
        "perf-events",
        "count events of one's own process",
        "CVE-2013-2094",
        |_| {
            // struct perf_event_attr, first version: software clock, disabled, without kernel and hypervisor.
            let mut attributes = [1 | 64 << 32, 0, 0, 0, 0, 1 | 1 << 5 | 1 << 6, 0, 0_u64];
            call!(libc::SYS_perf_event_open, at(&mut attributes), 0, -1, -1, 0).outcome()
        },
        Control::Outside(&[Seen::Success, Seen::Errno(libc::EACCES)]),
    ),
    refused(
        "userfaultfd",
        "handle page faults oneself, the tool of kernel race exploits",
        "srt, bubblewrap: allowed",
        |_| {
            const UFFD_USER_MODE_ONLY: i32 = 1;
            call!(libc::SYS_userfaultfd, libc::O_CLOEXEC | UFFD_USER_MODE_ONLY).outcome()
        },
        WORKS,
    ),
    refused(
        "io-uring-setup",
        "make a ring that opens files and sockets past the filter",
        "codex PR 10814; celln 30",
        |_| {
            let mut parameters = [0_u32; 30];
            call!(libc::SYS_io_uring_setup, 1, at(&mut parameters)).outcome()
        },
        WORKS,
    ),
    refused(
        "io-uring-enter",
        "use a ring",
        "OpenShell: allowed",
        |_| call!(libc::SYS_io_uring_enter, -1, 0, 0, 0, Arg::NULL, 0).outcome(),
        BAD_DESCRIPTOR,
    ),
    refused(
        "io-uring-register",
        "register buffers with a ring",
        "codex PR 10814",
        |_| call!(libc::SYS_io_uring_register, -1, 0, Arg::NULL, 0).outcome(),
        Control::Outside(&[Seen::Errno(libc::EBADF), Seen::Errno(libc::EINVAL)]),
    ),
    refused(
        "personality",
        "switch address randomisation off",
        "OpenShell, srt, codex: allowed",
        |_| call!(libc::SYS_personality, libc::ADDR_NO_RANDOMIZE).outcome(),
        WORKS,
    ),
    refused(
        "swapon",
        "add swap space",
        "",
        |_| call!(libc::SYS_swapon, NO_SUCH_PATH, NO_SUCH_FLAGS).outcome(),
        INVALID,
    ),
    refused(
        "swapoff",
        "remove swap space",
        "",
        |_| call!(libc::SYS_swapoff, NO_SUCH_PATH).outcome(),
        Control::OutsideRoot(&[Seen::Errno(libc::ENOENT)]),
    ),
    refused(
        "process-accounting",
        "have the kernel write a record of every process to a file",
        "",
        |_| call!(libc::SYS_acct, NO_SUCH_PATH).outcome(),
        Control::OutsideRoot(&[Seen::Errno(libc::ENOENT)]),
    ),
    refused(
        "quotactl",
        "change disk quotas",
        "",
        |_| call!(libc::SYS_quotactl, 0xff, Arg::NULL, 0, Arg::NULL).outcome(),
        INVALID,
    ),
    refused(
        "quotactl-by-descriptor",
        "change disk quotas of an open file's file system",
        "",
        |_| call!(libc::SYS_quotactl_fd, -1, 0, 0, Arg::NULL).outcome(),
        BAD_DESCRIPTOR,
    ),
    refused(
        "init-module",
        "load a kernel module from memory",
        "",
        |_| call!(libc::SYS_init_module, Arg::NULL, 0, c"").outcome(),
        Control::OutsideRoot(&[Seen::Errno(libc::ENOEXEC), Seen::Errno(libc::ENOSYS)]),
    ),
    refused(
        "finit-module",
        "load a kernel module from a file",
        "",
        |_| call!(libc::SYS_finit_module, -1, c"", 0).outcome(),
        Control::OutsideRoot(&[Seen::Errno(libc::EBADF), Seen::Errno(libc::ENOSYS)]),
    ),
    refused(
        "delete-module",
        "remove a kernel module",
        "",
        |_| call!(libc::SYS_delete_module, c"nanoclaw_no_such_module", libc::O_NONBLOCK).outcome(),
        Control::OutsideRoot(&[Seen::Errno(libc::ENOENT), Seen::Errno(libc::ENOSYS)]),
    ),
    refused(
        "kexec-load",
        "load another kernel",
        "",
        |_| call!(libc::SYS_kexec_load, 0, 0, Arg::NULL, NO_SUCH_FLAGS).outcome(),
        Control::OutsideRoot(&[Seen::Errno(libc::EINVAL), Seen::Errno(libc::ENOSYS)]),
    ),
    refused(
        "kexec-load-file",
        "load another kernel from a file",
        "",
        |_| call!(libc::SYS_kexec_file_load, -1, -1, 0, Arg::NULL, NO_SUCH_FLAGS).outcome(),
        Control::OutsideRoot(&[Seen::Errno(libc::EINVAL), Seen::Errno(libc::ENOSYS)]),
    ),
    refused(
        "reboot",
        "restart the machine",
        "",
        |_| {
            // Neither magic number is one that the kernel takes.
            call!(libc::SYS_reboot, 1, 2, 0, Arg::NULL).outcome()
        },
        Control::OutsideRoot(&[Seen::Errno(libc::EINVAL)]),
    ),
    refused(
        "set-host-name",
        "rename the host",
        "",
        |_| {
            // Longer than any host name may be.
            call!(libc::SYS_sethostname, c"", 65).outcome()
        },
        Control::OutsideRoot(&[Seen::Errno(libc::EINVAL)]),
    ),
    refused(
        "set-domain-name",
        "rename the host's domain",
        "",
        |_| call!(libc::SYS_setdomainname, c"", 65).outcome(),
        Control::OutsideRoot(&[Seen::Errno(libc::EINVAL)]),
    ),
    refused(
        "set-clock",
        "set the host's clock, which dates the audit log",
        "",
        |_| {
            // struct timespec with more nanoseconds than a second has.
            let mut time = [1_i64, 2_000_000_000];
            call!(libc::SYS_clock_settime, libc::CLOCK_REALTIME, at(&mut time)).outcome()
        },
        INVALID,
    ),
    refused(
        "set-time-of-day",
        "set the host's clock with settimeofday",
        "",
        |_| {
            // struct timeval with more microseconds than a second has.
            let mut time = [1_i64, 2_000_000];
            call!(libc::SYS_settimeofday, at(&mut time), Arg::NULL).outcome()
        },
        INVALID,
    ),
    refused(
        "adjust-clock",
        "make the host's clock run slower",
        "",
        |_| call!(libc::SYS_adjtimex, at(&mut adjustment())).outcome(),
        INVALID,
    ),
    refused(
        "adjust-clock-by-id",
        "make the host's clock run slower with clock_adjtime",
        "",
        |_| call!(libc::SYS_clock_adjtime, libc::CLOCK_REALTIME, at(&mut adjustment())).outcome(),
        INVALID,
    ),
    refused(
        "read-kernel-log-by-call",
        "read the host's kernel log with syslog(2)",
        "",
        |_| {
            const SYSLOG_ACTION_SIZE_BUFFER: i32 = 10;
            call!(libc::SYS_syslog, SYSLOG_ACTION_SIZE_BUFFER, Arg::NULL, 0).outcome()
        },
        WORKS_FOR_ROOT,
    ),
    refused(
        "watch-file-systems",
        "watch what others do with files, with fanotify",
        "",
        |_| {
            const FAN_REPORT_FID: u32 = 0x200;
            call!(libc::SYS_fanotify_init, FAN_REPORT_FID, 0).outcome()
        },
        WORKS,
    ),
    refused(
        "stack-a-filter-listener",
        "put a filter of one's own before NanoClaw's, and answer its questions",
        "CVE-2022-30594 class",
        |_| filter(|program| call!(libc::SYS_seccomp, 1, 8, program)),
        WORKS,
    ),
    Attack {
        name: "stack-a-filter",
        what: "put a filter before NanoClaw's that hides calls from its record",
        reference: "",
        expect: EPERM,
        layer: "seccomp",
        scope: Scope::Restricted,
        run: |_| filter(|program| call!(libc::SYS_prctl, libc::PR_SET_SECCOMP, 2, program)),
        control: WORKS,
    },
    refused(
        "rewrite-own-command-line",
        "let /proc show another program than the one that runs",
        "",
        |_| {
            const PR_SET_MM_ARG_START: i32 = 8;
            // The last argument must be zero; the kernel looks at it first.
            call!(libc::SYS_prctl, libc::PR_SET_MM, PR_SET_MM_ARG_START, NOWHERE, 0, 1).outcome()
        },
        INVALID,
    ),
    refused(
        "push-into-terminal",
        "push input into the terminal that one was started from",
        "CVE-2017-5226; bubblewrap 555",
        |_| ioctl_on_pipe(TIOCSTI),
        Control::Outside(&[Seen::Errno(libc::ENOTTY)]),
    ),
    refused(
        "push-into-terminal-with-high-bits",
        "the same with bits set that the kernel ignores",
        "CVE-2019-7303",
        |_| ioctl_on_pipe(1 << 32 | TIOCSTI),
        Control::Outside(&[Seen::Errno(libc::ENOTTY)]),
    ),
    refused(
        "paste-into-console",
        "paste the selection into a console",
        "CVE-2023-1523",
        |_| ioctl_on_pipe(TIOCLINUX),
        Control::Outside(&[Seen::Errno(libc::ENOTTY)]),
    ),
    refused(
        "load-line-discipline",
        "load a line discipline, a steady source of kernel bugs",
        "CVE-2017-2636",
        |_| ioctl_on_pipe(0x5423),
        Control::Outside(&[Seen::Errno(libc::ENOTTY)]),
    ),
    refused(
        "freeze-file-system",
        "freeze the file system under the workspace",
        "",
        |_| {
            const FIFREEZE: u64 = 0xC004_5877;
            // On a pipe, which has no file system that could be frozen.
            ioctl_on_pipe(FIFREEZE)
        },
        Control::OutsideRoot(&[Seen::Errno(libc::EOPNOTSUPP), Seen::Errno(libc::ENOTTY)]),
    ),
    refused(
        "take-a-lease",
        "make every other opener of a file on the host wait",
        "",
        |c| {
            let path = c.scratch("leased");
            given("create a file", fs::write(&path, b"").and_then(|()| fs::File::open(&path)), |file| {
                let taken = call!(libc::SYS_fcntl, file.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK);
                let _ = fs::remove_file(&path);
                taken.outcome()
            })
        },
        WORKS,
    ),
    refused(
        "number-with-high-bits",
        "call ptrace by a number with bits that the kernel ignores",
        "",
        |_| call!(1 << 32 | libc::SYS_ptrace, 0, 0, Arg::NULL, Arg::NULL).outcome(),
        WORKS,
    ),
    refused(
        "move-pages",
        "move another process's memory between nodes",
        "",
        |_| call!(libc::SYS_migrate_pages, 0, 0, Arg::NULL, Arg::NULL).outcome(),
        Control::Outside(&[Seen::Success, Seen::Errno(libc::EINVAL), Seen::Errno(libc::ENOSYS)]),
    ),
    absent(
        "open-with-hidden-flags",
        "open with flags in memory, out of the filter's sight (openat2)",
        "codex linux sandbox",
        Scope::Everywhere,
        |c| {
            let mut how = [libc::O_RDONLY as u64, 0, 0];
            let path = c_path(c.known());
            let size = size_of_val(&how);
            call!(libc::SYS_openat2, libc::AT_FDCWD, path.as_c_str(), at(&mut how), size).outcome()
        },
    ),
    absent(
        "old-asynchronous-io",
        "set up the older asynchronous I/O",
        "CVE-2023-3389 class",
        Scope::Restricted,
        |_| {
            let mut context = 0_u64;
            call!(libc::SYS_io_setup, 1, at(&mut context)).outcome()
        },
    ),
];

/// struct timex (adjtimex(2)) that asks for a combination of modes that does not exist.
fn adjustment() -> [u64; 26] {
    const ADJ_ADJTIME: u64 = 0x8000;
    let mut timex = [0; 26];
    if let Some(modes) = timex.first_mut() {
        *modes = ADJ_ADJTIME;
    }
    timex
}

/// Installs a filter that allows everything, in this process only.
fn filter(install: impl FnOnce(Arg<'_>) -> Result<i64, i32>) -> Outcome {
    /// struct sock_fprog.
    #[derive(Clone, Copy)]
    #[repr(C)]
    struct Program {
        length: u16,
        instructions: u64,
    }
    if let Err(errno) = call!(libc::SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) {
        return Outcome::Broken(format!("no_new_privs: {}", super::system::errno_name(errno)));
    }
    // struct sock_filter: BPF_RET | BPF_K, SECCOMP_RET_ALLOW.
    let mut instructions = [0x0006_u64 | 0x7fff_0000 << 32];
    let mut program = Program { length: 1, instructions: instructions.as_mut_ptr() as u64 };
    let outcome = install(at(&mut program)).outcome();
    std::hint::black_box(instructions);
    outcome
}

/// An ioctl with a null argument on a pipe, which has no terminal behind it: the filter looks at the request alone.
fn ioctl_on_pipe(request: u64) -> Outcome {
    given("make a pipe", rustix::pipe::pipe(), |(reader, _writer)| {
        call!(libc::SYS_ioctl, reader.as_raw_fd(), request, Arg::NULL).outcome()
    })
}
