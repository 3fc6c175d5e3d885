//! Memory, processes, signals and time.

use crate::seccomp::rule::{
    ABSENT, ALLOW, Case, Chapter, Decision, REFUSE, any_bit, by, calls, case, errno, rule, values, wider,
};

/// Memory.
pub(in crate::seccomp) const MEMORY: Chapter = Chapter {
    title: "Memory",
    about: "A process does with its own memory as it likes: just-in-time compilers need pages that are written and then \
            run. How much of it there is, the cgroup decides.",
    rules: &[
        rule(
            ALLOW,
            "own memory",
            calls! {
                SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_brk, SYS_madvise, SYS_msync, SYS_mincore,
                SYS_mlock, SYS_mlock2, SYS_mlockall, SYS_munlock, SYS_munlockall, SYS_pkey_alloc,
                SYS_pkey_free, SYS_pkey_mprotect, map_shadow_stack = 453, mseal = 462
            },
        ),
        rule(
            ALLOW,
            "own NUMA policy, for runtimes that ask for it",
            calls! {
                SYS_get_mempolicy, SYS_set_mempolicy
            },
        ),
        rule(
            ALLOW,
            "shared memory, semaphores and queues: in the cell's own IPC namespace",
            calls! {
                SYS_shmget, SYS_shmat, SYS_shmdt, SYS_shmctl, SYS_semget, SYS_semop, SYS_semtimedop,
                SYS_semctl, SYS_msgget, SYS_msgsnd, SYS_msgrcv, SYS_msgctl, SYS_mq_open, SYS_mq_unlink,
                SYS_mq_timedsend, SYS_mq_timedreceive, SYS_mq_notify, SYS_mq_getsetattr
            },
        ),
        rule(
            ALLOW,
            "waiting on memory",
            calls! {
                SYS_futex, SYS_futex_waitv, futex_wake = 454, futex_wait = 455, futex_requeue = 456,
                SYS_set_robust_list, SYS_get_robust_list, SYS_membarrier, SYS_rseq
            },
        ),
    ],
};

/// Every namespace, in the flags of clone(2).
const NAMESPACES: u32 = (libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWTIME) as u32;
const CLONE: Decision = any_bit(0, NAMESPACES, "CLONE_NEW… in flags", &REFUSE, &ALLOW);

const PRCTL: Decision = by(
    0,
    "op",
    &[
        case(
            values! {
                PR_SET_NAME, PR_GET_NAME, PR_SET_VMA = 0x5356_4d41, PR_SET_PDEATHSIG, PR_GET_PDEATHSIG,
                PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS,
                PR_GET_SECCOMP, PR_SET_DUMPABLE, PR_GET_DUMPABLE, PR_SET_KEEPCAPS, PR_GET_KEEPCAPS, PR_CAPBSET_READ,
                PR_CAPBSET_DROP, PR_CAP_AMBIENT, PR_GET_SECUREBITS, PR_SET_TIMERSLACK, PR_GET_TIMERSLACK,
                PR_GET_TIMING, PR_SET_THP_DISABLE, PR_GET_THP_DISABLE, PR_GET_SPECULATION_CTRL = 52,
                PR_SET_SPECULATION_CTRL = 53, PR_SET_MDWE = 65, PR_GET_MDWE = 66, PR_FUTEX_HASH = 78,
                PR_GET_AUXV = 0x4155_5856
            },
            ALLOW,
        ),
        // Vector lengths, pointer authentication, tagged addresses and shadow stacks of aarch64.
        case(
            values! {
                PR_SVE_SET_VL = 50, PR_SVE_GET_VL = 51, PR_PAC_RESET_KEYS = 54, PR_SET_TAGGED_ADDR_CTRL = 55,
                PR_GET_TAGGED_ADDR_CTRL = 56, PR_PAC_SET_ENABLED_KEYS = 60, PR_PAC_GET_ENABLED_KEYS = 61,
                PR_SME_SET_VL = 63, PR_SME_GET_VL = 64, PR_GET_SHADOW_STACK_STATUS = 74,
                PR_SET_SHADOW_STACK_STATUS = 75, PR_LOCK_SHADOW_STACK_STATUS = 76
            },
            ALLOW,
        ),
        // Rewrites what /proc says of a process; opens it to a tracer; guards capabilities that no cell has; lets the
        // host merge pages with those of others, which can be timed.
        case(values! { PR_SET_MM, PR_SET_PTRACER = 0x5961_6d61, PR_SET_SECUREBITS, PR_SET_MEMORY_MERGE = 67 }, REFUSE),
        case(values! { PR_SET_SECCOMP }, REFUSE),
    ],
    &errno(libc::EINVAL),
);
const PRCTL_STANDARD: Decision = by(0, "op", &[case(values! { PR_SET_SECCOMP }, ALLOW)], &PRCTL);

const SECCOMP: Decision = by(0, "op", SECCOMP_QUERIES, &REFUSE);
const SECCOMP_QUERIES: &[Case] =
    &[case(values! { SECCOMP_SET_MODE_STRICT, SECCOMP_GET_ACTION_AVAIL, SECCOMP_GET_NOTIF_SIZES }, ALLOW)];
/// A filter within the filter can only narrow. One with a listener would let a program answer for another.
const SECCOMP_STANDARD: Decision = by(0, "op", &[case(values! { SECCOMP_SET_MODE_FILTER }, FILTER)], &SECCOMP);
const FILTER: Decision =
    any_bit(1, !(libc::SECCOMP_FILTER_FLAG_TSYNC as u32), "flags other than TSYNC", &REFUSE, &ALLOW);

const SCHEDULER: Decision = Decision::Match {
    argument: 1,
    mask: !(libc::SCHED_RESET_ON_FORK as u32),
    what: "policy",
    cases: &[
        case(values! { SCHED_OTHER, SCHED_BATCH, SCHED_IDLE }, ALLOW),
        case(values! { SCHED_FIFO, SCHED_RR, SCHED_DEADLINE = 6 }, REFUSE),
    ],
    otherwise: &errno(libc::EINVAL),
};

const PERSONALITY: Decision = by(0, "persona", &[case(&[("0", 0), ("0xffffffff", u32::MAX)], ALLOW)], &REFUSE);

/// Processes.
pub(in crate::seccomp) const PROCESSES: Chapter = Chapter {
    title: "Processes, threads and signals",
    about: "Processes see and signal only those of their own cell (PID namespace). How many there may be, the cgroup \
            decides.",
    rules: &[
        rule(CLONE, "processes and threads, but no namespaces: those would bring capabilities", calls! { SYS_clone }),
        rule(
            ABSENT,
            "its flags are in memory, out of a filter's sight; callers fall back to `clone`",
            calls! { SYS_clone3 },
        ),
        rule(
            ALLOW,
            "end, and wait for the end",
            calls! { SYS_exit, SYS_exit_group, SYS_wait4, SYS_waitid, SYS_pidfd_open, SYS_pidfd_send_signal },
        ),
        rule(
            ALLOW,
            "who am I, and sessions",
            calls! {
                SYS_getpid, SYS_getppid, SYS_gettid, SYS_getpgid, SYS_setpgid, SYS_getsid, SYS_setsid, SYS_set_tid_address,
                SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_getresuid, SYS_getresgid, SYS_getgroups, SYS_capget,
                SYS_uname, SYS_sysinfo, SYS_getcpu, SYS_getrusage, SYS_times, SYS_getrandom
            },
        ),
        rule(
            ALLOW,
            "change to another user: the cell has one, and no capability, so the kernel itself says no; programs that drop \
             privileges want that answer",
            calls! {
                SYS_setuid, SYS_setgid, SYS_setreuid, SYS_setregid, SYS_setresuid, SYS_setresgid, SYS_setgroups,
                SYS_setfsuid, SYS_setfsgid, SYS_capset
            },
        ),
        rule(
            ALLOW,
            "limits and priorities, which can only be lowered",
            calls! {
                SYS_getrlimit, SYS_setrlimit, SYS_prlimit64, SYS_getpriority, SYS_setpriority, SYS_ioprio_get,
                SYS_ioprio_set
            },
        ),
        rule(
            ALLOW,
            "scheduling",
            calls! {
                SYS_sched_yield, SYS_sched_getaffinity, SYS_sched_setaffinity, SYS_sched_getparam, SYS_sched_setparam,
                SYS_sched_getscheduler, SYS_sched_getattr, SYS_sched_get_priority_max, SYS_sched_get_priority_min,
                SYS_sched_rr_get_interval
            },
        ),
        rule(SCHEDULER, "real-time policies can starve the host", calls! { SYS_sched_setscheduler }),
        rule(
            ALLOW,
            "signals",
            calls! {
                SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigpending, SYS_rt_sigtimedwait, SYS_rt_sigsuspend,
                SYS_rt_sigreturn, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_sigaltstack, SYS_kill, SYS_tkill,
                SYS_tgkill, SYS_restart_syscall
            },
        ),
        wider(
            PRCTL,
            PRCTL_STANDARD,
            "options that concern the caller alone; others answer `EINVAL`, as on a kernel without them",
            calls! { SYS_prctl },
        ),
        wider(
            SECCOMP,
            SECCOMP_STANDARD,
            "browsers sandbox their own parts, in `standard`; a filter can only narrow, but it can also keep a refusal off \
             the record",
            calls! { SYS_seccomp },
        ),
        rule(
            ALLOW,
            "a program may confine itself further",
            calls! { SYS_landlock_create_ruleset, SYS_landlock_add_rule, SYS_landlock_restrict_self },
        ),
        rule(PERSONALITY, "the others turn off address randomisation or map page zero", calls! { SYS_personality }),
    ],
};

/// Time.
pub(in crate::seccomp) const TIME: Chapter = Chapter {
    title: "Time",
    about: "Clocks are read and waited on. They belong to the host and are not set.",
    rules: &[rule(
        ALLOW,
        "read clocks, wait, and be woken",
        calls! {
            SYS_clock_gettime, SYS_clock_getres, SYS_clock_nanosleep, SYS_nanosleep, SYS_gettimeofday, SYS_getitimer,
            SYS_setitimer, SYS_timer_create, SYS_timer_settime, SYS_timer_gettime, SYS_timer_getoverrun,
            SYS_timer_delete
        },
    )],
};
