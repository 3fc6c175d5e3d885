//! What no cell may call, and should be on record when one tries. What is missing here and everywhere else is absent
//! (`ENOSYS`) and leaves no record.

use crate::seccomp::rule::{Chapter, REFUSE, calls, rule};

/// Dangerous calls.
pub(in crate::seccomp) const REFUSED: Chapter = Chapter {
    title: "Refused and recorded",
    about: "No program in a cell needs these, and an attacker would try them. Most would fail anyway for want of a \
            capability; here they fail before they reach the code behind them.",
    rules: &[
        rule(
            REFUSE,
            "look into or steer another process",
            calls! {
                SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_pidfd_getfd, SYS_kcmp, SYS_process_madvise,
                process_mrelease = 448
            },
        ),
        rule(REFUSE, "namespaces bring capabilities", calls! { SYS_unshare, SYS_setns }),
        rule(
            REFUSE,
            "mounts are the cell's walls",
            calls! {
                SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_mount_setattr, SYS_open_tree, SYS_move_mount,
                SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick, open_tree_attr = 467
            },
        ),
        rule(
            REFUSE,
            "large interfaces of the kernel with a history of bugs; `io_uring` also runs calls past this filter",
            calls! {
                SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register, SYS_bpf, SYS_perf_event_open,
                SYS_userfaultfd
            },
        ),
        rule(REFUSE, "keyrings are not all bound to a namespace", calls! { SYS_keyctl, SYS_add_key, SYS_request_key }),
        rule(
            REFUSE,
            "files by handle go around paths and mounts; fanotify watches whole file systems",
            calls! { SYS_name_to_handle_at, SYS_open_by_handle_at, SYS_fanotify_init, SYS_fanotify_mark },
        ),
        rule(
            REFUSE,
            "kernel code and the machine",
            calls! {
                SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_reboot, SYS_swapon, SYS_swapoff,
                SYS_acct, SYS_syslog, SYS_lookup_dcookie, SYS_vhangup
            },
        ),
        #[cfg(target_arch = "x86_64")]
        rule(
            REFUSE,
            "ports, segments and a kernel to boot",
            calls! { SYS_iopl, SYS_ioperm, SYS_modify_ldt, kexec_file_load = 320 },
        ),
        #[cfg(target_arch = "aarch64")]
        rule(REFUSE, "a kernel to boot", calls! { kexec_file_load = 294 }),
        rule(REFUSE, "quotas are the operator's", calls! { SYS_quotactl, quotactl_fd = 443 }),
        rule(
            REFUSE,
            "clocks and names belong to the host",
            calls! { SYS_clock_settime, SYS_settimeofday, SYS_adjtimex, SYS_clock_adjtime, SYS_sethostname, SYS_setdomainname },
        ),
        rule(
            REFUSE,
            "moves the pages of others, or hides its own from the kernel",
            calls! { SYS_mbind, SYS_move_pages, SYS_migrate_pages, memfd_secret = 447 },
        ),
        rule(
            REFUSE,
            "its policy is in memory, out of a filter's sight, and may be a real-time one; `sched_setscheduler` does for \
             the others",
            calls! { SYS_sched_setattr },
        ),
    ],
};
