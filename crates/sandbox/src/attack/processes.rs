//! Other processes, privileges, namespaces.

use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use rustix::process::Pid;

use super::Stopped::{Absent, Errno};
use super::attempt::{Attempt, absent_unless, all, each, given, open_for_read};
use super::child::with_victim;
use super::system::{Arg, at, call};
use super::{Attack, Context, Control, Outcome, Scope, Seen, Stopped};

/// ptrace(2) requests; the C library's constants are of a type that differs between libraries.
const PTRACE_TRACEME: i32 = 0;
const PTRACE_ATTACH: i32 = 16;
const PTRACE_SEIZE: i32 = 0x4206;

const EPERM: &[Stopped] = &[Errno(libc::EPERM)];
const HIDDEN: &[Stopped] = &[Errno(libc::ENOENT)];

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "ptrace-itself",
        what: "become traceable by one's parent",
        reference: "OpenShell #578",
        expect: EPERM,
        layer: "seccomp",
        scope: Scope::Everywhere,
        run: |_| call!(libc::SYS_ptrace, PTRACE_TRACEME, 0, Arg::NULL, Arg::NULL).outcome(),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "ptrace-sibling",
        what: "seize another process of the same user",
        reference: "OpenShell #578",
        expect: EPERM,
        layer: "seccomp",
        scope: Scope::Everywhere,
        run: |_| with_victim(|pid| call!(libc::SYS_ptrace, PTRACE_SEIZE, number(pid), Arg::NULL, Arg::NULL).outcome()),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "ptrace-first-process",
        what: "attach to the cell's first process",
        reference: "CVE-2026-41163 class",
        expect: EPERM,
        layer: "seccomp",
        scope: Scope::Everywhere,
        run: |_| call!(libc::SYS_ptrace, PTRACE_ATTACH, 1, Arg::NULL, Arg::NULL).outcome(),
        control: Control::Inside(own_processes_can_be_signalled),
    },
    Attack {
        name: "read-memory-of-sibling",
        what: "read another process's memory with process_vm_readv",
        reference: "OpenShell #578",
        expect: EPERM,
        layer: "seccomp",
        scope: Scope::Everywhere,
        run: |_| with_victim(|pid| process_memory(libc::SYS_process_vm_readv, pid)),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "write-memory-of-sibling",
        what: "write another process's memory with process_vm_writev",
        reference: "OpenShell #578",
        expect: EPERM,
        layer: "seccomp",
        scope: Scope::Everywhere,
        run: |_| with_victim(|pid| process_memory(libc::SYS_process_vm_writev, pid)),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "steal-descriptor-of-sibling",
        what: "copy another process's descriptor with pidfd_getfd",
        reference: "",
        expect: EPERM,
        layer: "seccomp",
        scope: Scope::Everywhere,
        run: |_| {
            with_victim(|pid| {
                let opened = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty());
                // Where not even the pidfd is to be had, a bad one shows as well whether the second call is closed.
                let pidfd = opened.as_ref().map_or(-1, AsRawFd::as_raw_fd);
                call!(libc::SYS_pidfd_getfd, pidfd, 0, 0).outcome()
            })
        },
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "compare-kernel-objects",
        what: "compare kernel addresses of two processes' objects with kcmp",
        reference: "",
        expect: EPERM,
        layer: "seccomp",
        scope: Scope::Everywhere,
        run: |_| {
            let me = rustix::process::getpid();
            with_victim(|pid| call!(libc::SYS_kcmp, number(me), number(pid), 1, 0, 0).outcome())
        },
        control: Control::Outside(&[Seen::Success, Seen::Errno(libc::ENOSYS)]),
    },
    Attack {
        name: "open-memory-of-first-process",
        what: "open /proc/1/mem",
        reference: "",
        expect: HIDDEN,
        layer: "hidepid",
        scope: Scope::Everywhere,
        run: |_| open_for_read("/proc/1/mem"),
        control: Control::Inside(|_| super::attempt::must_succeed(&open_for_read("/proc/self/mem"))),
    },
    Attack {
        name: "read-environment-of-first-process",
        what: "read secrets from /proc/1/environ and /proc/1/cmdline",
        reference: "bubblewrap --clearenv; OpenShell #112",
        expect: HIDDEN,
        layer: "hidepid",
        scope: Scope::Everywhere,
        run: |_| each(["/proc/1/environ", "/proc/1/cmdline", "/proc/1/status"], |p| fs::read(p).outcome()),
        control: Control::Inside(|_| super::attempt::must_succeed(&fs::read("/proc/self/environ").outcome())),
    },
    Attack {
        name: "walk-first-process",
        what: "follow the links of the cell's first process: program, root, working directory, descriptors, maps",
        reference: "CVE-2019-5736",
        expect: HIDDEN,
        layer: "hidepid",
        scope: Scope::Everywhere,
        run: |_| {
            let links = each(["exe", "root", "cwd"], |name| fs::read_link(format!("/proc/1/{name}")).outcome());
            let lists = each(["fd", "fdinfo", "task", "ns"], |name| fs::read_dir(format!("/proc/1/{name}")).outcome());
            all([links, lists, open_for_read("/proc/1/maps")])
        },
        control: Control::Inside(|_| super::attempt::must_succeed(&fs::read_link("/proc/self/exe").outcome())),
    },
    Attack {
        name: "join-namespaces-of-first-process",
        what: "setns into the namespaces of the cell's first process",
        reference: "",
        expect: HIDDEN,
        layer: "hidepid",
        scope: Scope::Everywhere,
        run: |_| {
            each(["user", "mnt", "net", "pid", "ipc", "uts", "cgroup"], |kind| {
                match fs::File::open(format!("/proc/1/ns/{kind}")) {
                    Ok(namespace) => call!(libc::SYS_setns, namespace.as_raw_fd(), 0).outcome(),
                    Err(error) => Err::<(), _>(error).outcome(),
                }
            })
        },
        control: Control::Inside(|_| super::attempt::must_succeed(&fs::read_link("/proc/self/ns/net").outcome())),
    },
    Attack {
        name: "kill-first-process",
        what: "kill the cell's first process",
        reference: "",
        expect: &[Absent],
        layer: "pid namespace",
        scope: Scope::Everywhere,
        run: |_| match call!(libc::SYS_kill, 1, libc::SIGKILL) {
            // Accepted, and without effect: had it died, so would everything in this namespace, this process included.
            Ok(_) => {
                std::thread::sleep(std::time::Duration::from_millis(50));
                Outcome::Stopped(Absent)
            }
            Err(errno) => Outcome::Stopped(Errno(errno)),
        },
        control: Control::Inside(own_processes_can_be_signalled),
    },
    Attack {
        name: "signal-host-processes",
        what: "reach a process outside the cell with a signal",
        reference: "OpenShell: same-user processes outside took signals",
        expect: &[Absent],
        layer: "pid namespace",
        scope: Scope::Everywhere,
        run: |_| signal_host_processes(),
        control: Control::Inside(own_processes_can_be_signalled),
    },
    Attack {
        name: "see-other-processes",
        what: "find a process in /proc that is not of this program",
        reference: "",
        expect: &[Absent],
        layer: "hidepid",
        scope: Scope::Everywhere,
        run: |_| see_other_processes(),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "dump-core",
        what: "crash and leave a core file with secrets behind",
        reference: "",
        expect: &[Absent],
        layer: "limits",
        scope: Scope::Everywhere,
        run: |_| {
            let crashed = super::child::fork(|| {
                let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::SEGV);
                0
            });
            given("crash a child", crashed.and_then(super::child::collect), |status| {
                // WCOREDUMP; see wait(2).
                if status.as_raw() & 0x80 == 0 {
                    Outcome::Stopped(Absent)
                } else {
                    Outcome::Succeeded("the crash left a core dump".to_owned())
                }
            })
        },
        control: Control::Inside(|_| {
            let mut limit = [0_u64; 2];
            match call!(libc::SYS_prlimit64, 0, libc::RLIMIT_CORE as i32, Arg::NULL, at(&mut limit)) {
                Ok(_) if limit == [0, 0] => Ok(()),
                other => Err(format!("the limit on core files is {limit:?} ({other:?})")),
            }
        }),
    },
];

fn number(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}

fn own_processes_can_be_signalled(_: &Context) -> Result<(), String> {
    let outcome = with_victim(|pid| call!(libc::SYS_kill, number(pid), 0).outcome());
    super::attempt::must_succeed(&outcome)
}

/// struct iovec (readv(2)).
#[derive(Clone, Copy)]
#[repr(C)]
struct Vector {
    base: u64,
    length: u64,
}

fn process_memory(call_number: libc::c_long, victim: Pid) -> Outcome {
    // The victim is a copy of this process, so what lies here lies at the same address there.
    let mut here = [0_u8; 8];
    let there = here;
    let mut local = Vector { base: here.as_mut_ptr() as u64, length: 8 };
    let mut remote = Vector { base: there.as_ptr() as u64, length: 8 };
    let outcome = call!(call_number, number(victim), at(&mut local), 1, at(&mut remote), 1, 0).outcome();
    // Both buffers are alive up to here.
    std::hint::black_box((here, there));
    outcome
}

/// The first process of the cell and those of this program are fair to reach.
fn own() -> Vec<i32> {
    let parent = rustix::process::getppid().map_or(0, number);
    vec![1, parent, number(rustix::process::getpid())]
}

fn signal_host_processes() -> Outcome {
    let own = own();
    let reached = (2..=65_536).filter(|pid| {
        // EPERM means that somebody is there.
        !own.contains(pid) && call!(libc::SYS_kill, *pid, 0) != Err(libc::ESRCH)
    });
    absent_unless(reached.take(5).map(|pid| format!("process {pid} is there")).collect())
}

fn see_other_processes() -> Outcome {
    let own: Vec<i32> = own().into_iter().filter(|pid| *pid != 1 || number(rustix::process::getpid()) == 1).collect();
    given("list /proc", fs::read_dir("/proc"), |listing| {
        let pids = listing.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        absent_unless(pids.filter(|pid| !own.contains(pid)).take(5).map(|pid| format!("saw process {pid}")).collect())
    })
}

/// A descriptor that a raw system call returned.
pub(super) fn owned(descriptor: i64) -> Option<OwnedFd> {
    let number = i32::try_from(descriptor).ok().filter(|number| *number >= 0)?;
    // SAFETY: the caller got the number from a system call that returns a new descriptor, and passes it on only here.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}
