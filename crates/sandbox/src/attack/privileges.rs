//! Privileges: namespaces, user and group numbers, capabilities.

use std::fs;
use std::io::Write;

use rustix::process::Pid;

use super::Stopped::{Absent, Errno};
use super::attempt::{Attempt, absent_unless, each, given, must_succeed, open_for_read};
use super::system::{Arg, at, call};
use super::{Attack, Control, Outcome, Scope, Seen, Stopped};

const EPERM: &[Stopped] = &[Errno(libc::EPERM)];

pub(super) const ATTACKS: &[Attack] = &[
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
            each(kinds, unshare)
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
        expect: &[Errno(libc::EROFS)],
        layer: "read-only /proc",
        scope: Scope::Everywhere,
        run: |_| each(["uid_map", "gid_map"], |name| write_to(&format!("/proc/self/{name}"), "0 0 1")),
        control: Control::Inside(|_| must_succeed(&open_for_read("/proc/self/uid_map"))),
    },
    Attack {
        name: "allow-setgroups-again",
        what: "switch setgroups back on in the cell's user namespace",
        reference: "CVE-2014-8989",
        expect: &[Errno(libc::EROFS)],
        layer: "read-only /proc",
        scope: Scope::Everywhere,
        run: |_| write_to("/proc/self/setgroups", "allow"),
        control: Control::Inside(|_| must_succeed(&open_for_read("/proc/self/setgroups"))),
    },
    Attack {
        name: "become-root",
        what: "setuid, setresuid and setgid to root, which the cell's user namespace does not have",
        reference: "",
        expect: &[Errno(libc::EINVAL)],
        layer: "user namespace",
        scope: Scope::Everywhere,
        run: |_| {
            let ways = [
                call!(libc::SYS_setuid, 0),
                call!(libc::SYS_setresuid, 0, 0, 0),
                call!(libc::SYS_setreuid, 0, 0),
                call!(libc::SYS_setgid, 0),
                call!(libc::SYS_setresgid, 0, 0, 0),
            ];
            each(ways, |way| way.outcome())
        },
        control: Control::Outside(&[Seen::Success, Seen::Errno(libc::EPERM)]),
    },
    Attack {
        name: "join-groups",
        what: "add a supplementary group, or drop one that a file denies something",
        reference: "CVE-2014-8989",
        expect: EPERM,
        layer: "capabilities",
        scope: Scope::Everywhere,
        run: |_| {
            let mut group = [1000_u32];
            let ways = [call!(libc::SYS_setgroups, 1, at(&mut group)), call!(libc::SYS_setgroups, 0, Arg::NULL)];
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
];

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
