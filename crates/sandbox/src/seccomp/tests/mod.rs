//! The profile as data, as a program in an interpreter, and as a filter in this kernel.

pub(crate) mod child;
mod interpreter;
mod kernel;

use std::collections::BTreeSet;

use nanoclaw_config::SandboxMode::{self, Restricted, Standard};

use super::compile::NATIVE;
use super::profile::{CHAPTERS, rules};
use super::rule::Decision;
use super::{Outcome, compile, document, evaluate};
use interpreter::{KILL, NOTIFY, run};

const MODES: [SandboxMode; 2] = [Restricted, Standard];
const NONE: [u64; 6] = [0; 6];

fn number(name: &str) -> u32 {
    let known = rules().flat_map(|rule| rule.calls).find(|call| call.name() == name);
    known.unwrap_or_else(|| panic!("no rule for {name}")).number
}

/// What the profile says about a call by name.
fn outcome(mode: SandboxMode, name: &str, arguments: &[u64]) -> Outcome {
    let mut all = NONE;
    all[..arguments.len()].copy_from_slice(arguments);
    evaluate(mode, number(name), &all)
}

#[test]
fn no_call_stands_twice() {
    let mut seen = BTreeSet::new();
    for call in rules().flat_map(|rule| rule.calls) {
        assert!(seen.insert(call.number), "{} ({}) stands twice", call.name(), call.number);
    }
}

#[test]
fn every_rule_says_why() {
    for chapter in CHAPTERS {
        assert!(chapter.about.ends_with('.'), "{}", chapter.title);
        for rule in chapter.rules {
            assert!(rule.why.len() > 3 && !rule.why.contains('|'), "{:?}", rule.calls);
            assert!(!rule.calls.is_empty() && rule.standard != Some(rule.decision), "{:?}", rule.calls);
        }
    }
}

#[test]
fn every_case_can_be_reached() {
    fn check(decision: &Decision) {
        match decision {
            Decision::Always(_) => {}
            Decision::Match { mask, cases, otherwise, .. } => {
                let mut seen = BTreeSet::new();
                for case in *cases {
                    for (name, value) in case.values {
                        assert_eq!(value & mask, *value, "{name} has bits that are not looked at");
                        assert!(seen.insert(value), "{name} stands twice");
                    }
                    assert_ne!(&case.then, *otherwise, "{:?} changes nothing", case.values);
                    check(&case.then);
                }
                check(otherwise);
            }
            Decision::AnyBit { yes, no, .. } | Decision::Null { yes, no, .. } => {
                assert_ne!(yes, no);
                check(yes);
                check(no);
            }
        }
    }
    for rule in rules() {
        MODES.iter().for_each(|mode| check(rule.decision(*mode)));
    }
}

#[test]
fn a_program_is_small_and_a_simple_call_is_decided_in_few_steps() {
    for mode in MODES {
        let program = compile(mode);
        assert!(program.len() < 1000, "{} instructions", program.len());
        for call in rules().flat_map(|rule| rule.calls) {
            let steps = run(&program, NATIVE, call.number, &NONE).steps;
            assert!(steps < 80, "{}: {steps} steps", call.name());
        }
    }
}

#[test]
fn the_program_says_what_the_profile_says() {
    // Every value that some rule looks at, its neighbours, and high halves that must not matter.
    let mut values = BTreeSet::from([0, 1, 2, u64::MAX, 1 << 32, 0x1000]);
    fn collect(decision: &Decision, values: &mut BTreeSet<u64>) {
        match decision {
            Decision::Always(_) => {}
            Decision::Match { cases, otherwise, .. } => {
                for case in *cases {
                    for (_, value) in case.values {
                        let value = u64::from(*value);
                        values.extend([value, value ^ 1, value | 1 << 32, value | 0o2_000_000]);
                    }
                    collect(&case.then, values);
                }
                collect(otherwise, values);
            }
            Decision::AnyBit { bits, yes, no, .. } => {
                values.extend([u64::from(*bits), u64::from(!*bits), u64::from(*bits) << 32]);
                values.extend((0..32).map(|n| 1 << n).filter(|bit| u64::from(*bits) & bit != 0));
                collect(yes, values);
                collect(no, values);
            }
            Decision::Null { yes, no, .. } => {
                collect(yes, values);
                collect(no, values);
            }
        }
    }
    rules().for_each(|rule| MODES.iter().for_each(|mode| collect(rule.decision(*mode), &mut values)));
    let values: Vec<u64> = values.into_iter().collect();

    for mode in MODES {
        let program = compile(mode);
        let check = |nr: u32, arguments: [u64; 6]| {
            let expected = match evaluate(mode, nr, &arguments) {
                Outcome::Allow => libc::SECCOMP_RET_ALLOW,
                Outcome::Ask | Outcome::Refuse => NOTIFY,
                Outcome::Errno(errno) => libc::SECCOMP_RET_ERRNO | u32::from(errno),
            };
            assert_eq!(run(&program, NATIVE, nr, &arguments).verdict, expected, "{mode:?} {nr} {arguments:x?}");
        };
        for nr in 0..700 {
            check(nr, NONE);
        }
        let dependent = rules().filter(|rule| !matches!(rule.decision(mode), Decision::Always(_)));
        for call in dependent.flat_map(|rule| rule.calls) {
            for (i, first) in values.iter().enumerate() {
                // Pairs of values, spread over the arguments so that each sees each of them.
                for step in [1, 7, 31] {
                    let at = |n: usize| values[(i + n * step) % values.len()];
                    check(call.number, [*first, at(1), at(2), at(3), at(4), at(5)]);
                    check(call.number, [at(1), *first, 0, at(3), at(2), 0]);
                    check(call.number, [at(1), 0, *first, at(2), *first, 0]);
                    check(call.number, [10, at(1), 6, *first, at(2), 0]);
                }
            }
        }
    }
}

/// As the kernel's own proof (`seccomp_is_const_allow`): only the number and the machine are loaded.
#[test]
fn what_is_always_allowed_is_allowed_without_a_look_at_the_arguments() {
    for mode in MODES {
        let program = compile(mode);
        let simple = rules().filter(|rule| *rule.decision(mode) == super::rule::ALLOW);
        for call in simple.flat_map(|rule| rule.calls) {
            let end = run(&program, NATIVE, call.number, &NONE);
            assert_eq!((end.verdict, end.saw_arguments), (libc::SECCOMP_RET_ALLOW, false), "{}", call.name());
        }
        assert!(!run(&program, NATIVE, number("read"), &NONE).saw_arguments);
    }
}

#[test]
fn another_machines_calls_and_x32_end_the_process() {
    for mode in MODES {
        let program = compile(mode);
        let i386 = 0x4000_0003;
        let arm = 0x4000_0028;
        for arch in [i386, arm, 0, u32::MAX, NATIVE ^ 0x4000_0000] {
            assert_eq!(run(&program, arch, number("read"), &NONE).verdict, KILL, "{arch:x}");
        }
        #[cfg(target_arch = "x86_64")]
        for nr in [0x4000_0000, 0x4000_0000 | number("read"), 0x4000_0221, u32::MAX] {
            assert_eq!(run(&program, NATIVE, nr, &NONE).verdict, KILL, "{nr:x}");
        }
    }
}

#[test]
fn unknown_calls_are_absent() {
    for nr in [335, 400, 468, 500, 0x3fff_ffff] {
        assert_eq!(evaluate(Restricted, nr, &NONE), Outcome::Errno(libc::ENOSYS as u16), "{nr}");
    }
    for name in ["clone3", "openat2"] {
        assert_eq!(outcome(Standard, name, &[]), Outcome::Errno(libc::ENOSYS as u16), "{name}");
    }
}

#[test]
fn sockets_other_than_local_tcp_and_udp_are_refused() {
    let socket = |mode, domain: i32, kind: i32, protocol: i32| {
        outcome(mode, "socket", &[domain as u64, kind as u64, protocol as u64])
    };
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    for family in [libc::AF_INET, libc::AF_INET6] {
        for (kind, protocol) in [(libc::SOCK_STREAM, libc::IPPROTO_TCP), (libc::SOCK_DGRAM, libc::IPPROTO_UDP)] {
            assert_eq!(socket(Restricted, family, kind, 0), Outcome::Allow);
            assert_eq!(socket(Restricted, family, kind | flags, protocol), Outcome::Allow);
        }
        let bad = [
            (libc::SOCK_RAW, libc::IPPROTO_ICMP),
            (libc::SOCK_DGRAM, libc::IPPROTO_ICMP),
            (libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE),
            (libc::SOCK_STREAM, libc::IPPROTO_MPTCP),
            (libc::SOCK_STREAM, libc::IPPROTO_SCTP),
            (libc::SOCK_STREAM, libc::IPPROTO_UDP),
            (libc::SOCK_SEQPACKET, 0),
            (10, 0), // SOCK_PACKET
        ];
        for (kind, protocol) in bad {
            assert_eq!(socket(Standard, family, kind | flags, protocol), Outcome::Refuse, "{kind} {protocol}");
        }
    }
    for family in [libc::AF_PACKET, libc::AF_VSOCK, libc::AF_ALG, libc::AF_BLUETOOTH, libc::AF_XDP, libc::AF_CAN, 46] {
        assert_eq!(socket(Standard, family, libc::SOCK_DGRAM, 0), Outcome::Refuse, "{family}");
    }
    assert_eq!(socket(Restricted, libc::AF_UNIX, libc::SOCK_SEQPACKET, 0), Outcome::Allow);
    assert_eq!(socket(Restricted, libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE), Outcome::Refuse);
    assert_eq!(socket(Standard, libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE), Outcome::Allow);
    assert_eq!(socket(Standard, libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_NETFILTER), Outcome::Refuse);
}

#[test]
fn namespaces_and_mounts_are_refused() {
    let sigchld = libc::SIGCHLD as u64;
    let thread = libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_THREAD | libc::CLONE_SIGHAND | libc::CLONE_SETTLS;
    assert_eq!(outcome(Restricted, "clone", &[sigchld]), Outcome::Allow);
    assert_eq!(outcome(Restricted, "clone", &[thread as u64]), Outcome::Allow);
    for namespace in
        [libc::CLONE_NEWUSER, libc::CLONE_NEWNS, libc::CLONE_NEWNET, libc::CLONE_NEWPID, libc::CLONE_NEWCGROUP]
    {
        assert_eq!(outcome(Standard, "clone", &[namespace as u64 | sigchld]), Outcome::Refuse);
    }
    for name in ["unshare", "setns", "mount", "pivot_root", "move_mount", "open_tree_attr", "fsopen", "chroot"] {
        assert_eq!(outcome(Standard, name, &[]), Outcome::Refuse, "{name}");
    }
}

#[test]
fn opening_to_read_is_free_and_to_write_is_asked() {
    let open = |flags: i32, mode: u64| outcome(Restricted, "openat", &[0, 0, flags as u64, mode]);
    for free in [libc::O_RDONLY, libc::O_CLOEXEC | libc::O_DIRECTORY | libc::O_NOFOLLOW, libc::O_PATH, libc::O_APPEND] {
        assert_eq!(open(free, 0o6777), Outcome::Allow, "{free:o}");
    }
    for asked in
        [libc::O_WRONLY, libc::O_RDWR, libc::O_TRUNC, libc::O_CREAT, libc::O_TMPFILE, libc::O_WRONLY | libc::O_APPEND]
    {
        assert_eq!(open(asked, 0o644), Outcome::Ask, "{asked:o}");
    }
    // Without a mode there is none to look at: whatever is in the register must not matter.
    assert_eq!(open(libc::O_WRONLY, 0o6777), Outcome::Ask);
}

#[test]
fn a_set_id_bit_is_refused_in_every_call_that_takes_a_mode() {
    let create = (libc::O_CREAT | libc::O_WRONLY) as u64;
    let tmpfile = (libc::O_TMPFILE | libc::O_RDWR) as u64;
    for mode in [0o4755, 0o2755, 0o6000, 0o104_755] {
        for (name, arguments) in [
            ("openat", vec![0, 0, create, mode]),
            ("openat", vec![0, 0, tmpfile, mode]),
            ("mkdirat", vec![0, 0, mode]),
            ("mknodat", vec![0, 0, u64::from(libc::S_IFREG) | mode]),
            ("fchmodat", vec![0, 0, mode]),
            ("fchmodat2", vec![0, 0, mode, 0]),
            ("fchmod", vec![0, mode]),
            #[cfg(target_arch = "x86_64")]
            ("open", vec![0, create, mode]),
            #[cfg(target_arch = "x86_64")]
            ("creat", vec![0, mode]),
            #[cfg(target_arch = "x86_64")]
            ("mkdir", vec![0, mode]),
            #[cfg(target_arch = "x86_64")]
            ("chmod", vec![0, mode]),
            #[cfg(target_arch = "x86_64")]
            ("mknod", vec![0, mode]),
        ] {
            assert_eq!(outcome(Standard, name, &arguments), Outcome::Refuse, "{name} {mode:o}");
        }
    }
    assert_eq!(outcome(Restricted, "fchmod", &[3, 0o1777]), Outcome::Allow);
    assert_eq!(outcome(Restricted, "mkdirat", &[0, 0, 0o1777]), Outcome::Ask);
}

#[test]
fn devices_cannot_be_made() {
    let node = |kind: u32| outcome(Standard, "mknodat", &[0, 0, u64::from(kind | 0o644)]);
    for kind in [libc::S_IFCHR, libc::S_IFBLK, libc::S_IFDIR, libc::S_IFLNK] {
        assert_eq!(node(kind), Outcome::Refuse, "{kind:o}");
    }
    for kind in [0, libc::S_IFREG, libc::S_IFIFO, libc::S_IFSOCK] {
        assert_eq!(node(kind), Outcome::Ask, "{kind:o}");
    }
}

/// CVE-2019-7303: the kernel looks at 32 bits, and a filter that looks at 64 misses what it does not know.
#[test]
fn pushing_into_a_terminal_is_refused_whatever_the_high_half() {
    let ioctl = |op: u64| outcome(Standard, "ioctl", &[0, op]);
    for high in [0, 1 << 32, 0xffff_ffff << 32] {
        for op in [libc::TIOCSTI, libc::TIOCLINUX, libc::TIOCSETD, libc::TIOCCONS] {
            assert_eq!(ioctl(high | op), Outcome::Refuse, "{op:x}");
        }
        assert_eq!(ioctl(high | libc::TIOCGWINSZ), Outcome::Allow);
    }
}

#[test]
fn filters_and_programs_in_memory_are_for_standard_only() {
    let filter = u64::from(libc::SECCOMP_SET_MODE_FILTER);
    let listener = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    let empty_path = libc::AT_EMPTY_PATH as u64;
    let set_seccomp = libc::PR_SET_SECCOMP as u64;
    let both = |name, arguments: &[u64]| MODES.map(|mode| outcome(mode, name, arguments));
    assert_eq!(both("seccomp", &[filter, 0]), [Outcome::Refuse, Outcome::Allow]);
    assert_eq!(both("seccomp", &[filter, libc::SECCOMP_FILTER_FLAG_TSYNC]), [Outcome::Refuse, Outcome::Allow]);
    assert_eq!(both("seccomp", &[filter, listener]), [Outcome::Refuse, Outcome::Refuse]);
    assert_eq!(both("prctl", &[set_seccomp, 2]), [Outcome::Refuse, Outcome::Allow]);
    assert_eq!(both("execveat", &[3, 0, 0, 0, empty_path]), [Outcome::Refuse, Outcome::Ask]);
    assert_eq!(both("execveat", &[3, 0, 0, 0, 0]), [Outcome::Ask, Outcome::Ask]);
    assert_eq!(both("memfd_create", &[0, u64::from(libc::MFD_EXEC)]), [Outcome::Refuse, Outcome::Allow]);
    assert_eq!(both("memfd_create", &[0, u64::from(libc::MFD_CLOEXEC)]), [Outcome::Errno(13), Outcome::Allow]);
    assert_eq!(both("memfd_create", &[0, u64::from(libc::MFD_NOEXEC_SEAL)]), [Outcome::Allow, Outcome::Allow]);
}

#[test]
fn times_of_an_open_file_are_free() {
    assert_eq!(outcome(Restricted, "utimensat", &[3, 0, 0, 0]), Outcome::Allow);
    assert_eq!(outcome(Restricted, "utimensat", &[3, 0x7fff_0000_0000, 0, 0]), Outcome::Ask);
}

#[test]
fn only_the_plain_personality_is_allowed() {
    for plain in [0, 0xffff_ffff] {
        assert_eq!(outcome(Restricted, "personality", &[plain]), Outcome::Allow);
    }
    for other in [libc::ADDR_NO_RANDOMIZE as u64, libc::MMAP_PAGE_ZERO as u64, 8] {
        assert_eq!(outcome(Standard, "personality", &[other]), Outcome::Refuse);
    }
}

#[test]
fn real_time_scheduling_is_refused() {
    let policy = |policy: i32| outcome(Restricted, "sched_setscheduler", &[0, policy as u64]);
    let inherited = libc::SCHED_RESET_ON_FORK;
    for fair in [libc::SCHED_OTHER, libc::SCHED_BATCH | inherited, libc::SCHED_IDLE] {
        assert_eq!(policy(fair), Outcome::Allow);
    }
    for greedy in [libc::SCHED_FIFO, libc::SCHED_RR | inherited, 6] {
        assert_eq!(policy(greedy), Outcome::Refuse);
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_reference_page_is_the_profile() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/seccomp.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, document()).unwrap();
    }
    let page = std::fs::read_to_string(path).unwrap();
    assert!(page == document(), "docs/reference/seccomp.md is stale; run this test with UPDATE_DOCS=1");
}
