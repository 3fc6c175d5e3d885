//! Other processes, privileges, namespaces.

use std::fs;
use std::io::Write;
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
        name: "setns",
        what: "join a namespace by descriptor",
        reference: "OpenShell PR 819",
        expect: EPERM,
        layer: "seccomp",
        scope: Scope::Everywhere,
        // A descriptor that does not exist: the kernel looks it up before it asks for privileges.
        run: |_| call!(libc::SYS_setns, -1, 0).outcome(),
        control: Control::Outside(&[Seen::Errno(libc::EBADF)]),
    },
    Attack {
        name: "unshare-user-namespace",
        what: "become root in a user namespace of one's own",
        reference: "OpenShell PR 819",
        expect: EPERM,
        layer: "seccomp",
        scope: Scope::Everywhere,
        run: |_| unshare(libc::CLONE_NEWUSER),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "unshare-user-namespace-with-others",
        what: "make a user namespace together with mount and network ones",
        reference: "OpenShell PR 819",
        expect: EPERM,
        layer: "seccomp",
        scope: Scope::Everywhere,
        run: |_| unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWNET),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "unshare-mount-namespace",
        what: "make a mount namespace",
        reference: "",
        expect: EPERM,
        layer: "seccomp",
        scope: Scope::Everywhere,
        run: |_| unshare(libc::CLONE_NEWNS),
        control: Control::OutsideRoot(&[Seen::Success]),
    },
    Attack {
        name: "unshare-network-namespace",
        what: "make a network namespace",
        reference: "",
        expect: EPERM,
        layer: "seccomp",
        scope: Scope::Everywhere,
        run: |_| unshare(libc::CLONE_NEWNET),
        control: Control::OutsideRoot(&[Seen::Success]),
    },
    Attack {
        name: "unshare-other-namespaces",
        what: "make pid, ipc, uts, control group and time namespaces",
        reference: "",
        expect: EPERM,
        layer: "seccomp",
        scope: Scope::Everywhere,
        run: |_| {
            let kinds = [
                libc::CLONE_NEWPID,
                libc::CLONE_NEWIPC,
                libc::CLONE_NEWUTS,
                libc::CLONE_NEWCGROUP,
                libc::CLONE_NEWTIME,
            ];
            each(kinds, |flags| unshare(flags))
        },
        control: Control::OutsideRoot(&[Seen::Success]),
    },
    Attack {
        name: "clone-with-user-namespace",
        what: "clone a child into a user namespace",
        reference: "OpenShell PR 819",
        expect: EPERM,
        layer: "seccomp",
        scope: Scope::Everywhere,
        run: |_| clone(libc::CLONE_NEWUSER),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "clone-with-high-bits",
        what: "clone into a user namespace with flag bits above the 32 that the kernel reads",
        reference: "CVE-2019-7303 class",
        expect: EPERM,
        layer: "seccomp",
        scope: Scope::Everywhere,
        run: |_| clone_flags(1 << 40 | i64::from(libc::CLONE_NEWUSER)),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "clone3-with-user-namespace",
        what: "clone a child into a user namespace with clone3, whose flags no filter can read",
        reference: "codex linux sandbox",
        expect: &[Errno(libc::ENOSYS)],
        layer: "seccomp",
        scope: Scope::Everywhere,
        run: |_| clone3(),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "rewrite-user-map",
        what: "map oneself to root in the cell's user namespace",
        reference: "",
        expect: EPERM,
        layer: "user namespace",
        scope: Scope::Everywhere,
        run: |_| each(["uid_map", "gid_map"], |name| write_to(&format!("/proc/self/{name}"), "0 0 1")),
        control: Control::Inside(|_| super::attempt::must_succeed(&open_for_read("/proc/self/uid_map"))),
    },
    Attack {
        name: "allow-setgroups-again",
        what: "switch setgroups back on in the cell's user namespace",
        reference: "CVE-2014-8989",
        expect: EPERM,
        layer: "user namespace",
        scope: Scope::Everywhere,
        run: |_| write_to("/proc/self/setgroups", "allow"),
        control: Control::Inside(|_| super::attempt::must_succeed(&open_for_read("/proc/self/setgroups"))),
    },
    Attack {
        name: "become-root",
        what: "setuid, setresuid, setgid and setgroups to root",
        reference: "",
        expect: EPERM,
        layer: "user namespace",
        scope: Scope::Everywhere,
        run: |_| {
            let mut none = [0_u32; 1];
            let ways = [
                call!(libc::SYS_setuid, 0),
                call!(libc::SYS_setresuid, 0, 0, 0),
                call!(libc::SYS_setreuid, 0, 0),
                call!(libc::SYS_setgroups, 1, at(&mut none)),
                call!(libc::SYS_setgid, 0),
                call!(libc::SYS_setresgid, 0, 0, 0),
            ];
            each(ways, |way| way.outcome())
        },
        control: Control::OutsideRoot(&[Seen::Success]),
    },
    Attack {
        name: "be-anyone-but-the-cell-user",
        what: "find a user or group number other than 1000, or a supplementary group",
        reference: "",
        expect: &[Absent],
        layer: "user namespace",
        scope: Scope::Everywhere,
        run: |_| {
            status(
                &[("Uid", "1000\t1000\t1000\t1000"), ("Gid", "1000\t1000\t1000\t1000")],
                &[("Groups", &["", "1000"])],
            )
        },
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "find-a-capability",
        what: "find a capability in any of the five sets",
        reference: "NemoClaw #3280; OpenShell #579",
        expect: &[Absent],
        layer: "capabilities",
        scope: Scope::Everywhere,
        run: |_| {
            const NONE: &str = "0000000000000000";
            status(&[("CapInh", NONE), ("CapPrm", NONE), ("CapEff", NONE), ("CapBnd", NONE), ("CapAmb", NONE)], &[])
        },
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "run-without-no-new-privs-or-filter",
        what: "find that no_new_privs or the system call filter is missing",
        reference: "",
        expect: &[Absent],
        layer: "seccomp",
        scope: Scope::Everywhere,
        run: |_| status(&[("NoNewPrivs", "1"), ("Seccomp", "2")], &[]),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "raise-capabilities",
        what: "capset every capability",
        reference: "",
        expect: EPERM,
        layer: "capabilities",
        scope: Scope::Everywhere,
        run: |_| capset(),
        control: Control::OutsideRoot(&[Seen::Success]),
    },
    Attack {
        name: "raise-ambient-capability",
        what: "add CAP_CHOWN to the ambient set",
        reference: "OpenShell #579",
        expect: EPERM,
        layer: "capabilities",
        scope: Scope::Everywhere,
        run: |_| call!(libc::SYS_prctl, libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, 0, 0, 0).outcome(),
        control: Control::Inside(|_| {
            // CAP_AMBIENT_IS_SET only asks; that it is answered shows that prctl is not what refuses.
            call!(libc::SYS_prctl, libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_IS_SET, 0, 0, 0)
                .map(drop)
                .map_err(super::system::errno_name)
        }),
    },
    Attack {
        name: "clear-no-new-privs",
        what: "switch no_new_privs off",
        reference: "",
        expect: &[Errno(libc::EINVAL)],
        layer: "no_new_privs",
        scope: Scope::Everywhere,
        run: |_| call!(libc::SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0).outcome(),
        control: Control::Inside(|_| match call!(libc::SYS_prctl, libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) {
            Ok(1) => Ok(()),
            other => Err(format!("PR_GET_NO_NEW_PRIVS gave {other:?}")),
        }),
    },
    Attack {
        name: "clear-secure-bits",
        what: "change the rules by which root gets capabilities",
        reference: "",
        expect: EPERM,
        layer: "capabilities",
        scope: Scope::Everywhere,
        run: |_| call!(libc::SYS_prctl, libc::PR_SET_SECUREBITS, 0, 0, 0, 0).outcome(),
        control: Control::OutsideRoot(&[Seen::Success]),
    },
    Attack {
        name: "kill-first-process",
        what: "kill the cell's first process",
        reference: "",
        expect: &[Absent, Errno(libc::EPERM)],
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

fn unshare(flags: i32) -> Outcome {
    // In a child: whatever it gets must not stay with the attempts that follow.
    super::child::outcome_of(|| call!(libc::SYS_unshare, flags).outcome())
}

fn clone(flags: i32) -> Outcome {
    clone_flags(i64::from(flags))
}

/// clone(2) without a new stack, as fork does; the child ends at once.
fn clone_flags(flags: i64) -> Outcome {
    let cloned = call!(libc::SYS_clone, flags | i64::from(libc::SIGCHLD), Arg::NULL, Arg::NULL, Arg::NULL, Arg::NULL);
    collected(cloned)
}

/// struct clone_args up to `tls` (clone3(2), CLONE_ARGS_SIZE_VER0).
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
}

fn clone3() -> Outcome {
    let mut arguments = CloneArguments {
        flags: libc::CLONE_NEWUSER as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArguments::default()
    };
    collected(call!(libc::SYS_clone3, at(&mut arguments), size_of::<CloneArguments>()))
}

/// Ends the child of a raw clone at once, and collects it in the parent.
fn collected(cloned: Result<i64, i32>) -> Outcome {
    if cloned == Ok(0) {
        let _ = call!(libc::SYS_exit_group, 0);
    }
    let outcome = cloned.outcome();
    if let Some(child) = cloned.ok().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
        let _ = super::child::collect(child);
    }
    outcome
}

fn write_to(path: &str, text: &str) -> Outcome {
    match fs::OpenOptions::new().write(true).open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).outcome(),
        Err(error) => Err::<(), _>(error).outcome(),
    }
}

/// Compares lines of /proc/self/status with what they must be, and with what they may be.
fn status(must: &[(&str, &str)], may: &[(&str, &[&str])]) -> Outcome {
    given("read /proc/self/status", fs::read_to_string("/proc/self/status"), |text| {
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            line.unwrap_or("(missing)").trim().to_owned()
        };
        let wrong = must.iter().filter(|(key, wanted)| value(key) != *wanted).map(|(key, _)| key);
        let strange = may.iter().filter(|(key, wanted)| !wanted.contains(&value(key).as_str())).map(|(key, _)| key);
        absent_unless(wrong.chain(strange).map(|key| format!("{key} is {}", value(key))).collect())
    })
}

/// struct __user_cap_header_struct and two struct __user_cap_data_struct (capset(2), version 3).
fn capset() -> Outcome {
    let mut header = [0x2008_0522_u32, 0];
    let mut data = [0_u32; 6];
    // All that this process may have at most; outside, for root, that changes nothing. Inside it is none, so ask for
    // CAP_CHOWN as well, which an outside root has.
    if let Err(errno) = call!(libc::SYS_capget, at(&mut header), at(&mut data)) {
        return Outcome::Stopped(Errno(errno));
    }
    let [effective, permitted, ..] = &mut data;
    *effective |= 1;
    *permitted |= 1;
    call!(libc::SYS_capset, at(&mut header), at(&mut data)).outcome()
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
