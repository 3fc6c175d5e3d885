//! Older forms of calls, which only x86_64 has. Each is decided like the one that replaced it.

use super::files::{MKNOD, OPEN, mode_asked};
use crate::seccomp::rule::{ALLOW, ASK, Chapter, Decision, calls, rule};

const CREAT: Decision = mode_asked(1);
const FUTIMESAT: Decision = Decision::Null { argument: 1, what: "path", yes: &ALLOW, no: &ASK };

/// Older forms.
pub(in crate::seccomp) const LEGACY: Chapter = Chapter {
    title: "Older forms, on x86_64 only",
    about: "Decided like the calls that replaced them.",
    rules: &[
        rule(OPEN, "as `openat`", calls! { SYS_open }),
        rule(CREAT, "as `openat` and `mkdirat`", calls! { SYS_creat, SYS_mkdir, SYS_chmod }),
        rule(MKNOD, "as `mknodat`", calls! { SYS_mknod }),
        rule(
            ASK,
            "as the forms that take a directory",
            calls! {
                SYS_unlink, SYS_rmdir, SYS_rename, SYS_link, SYS_symlink, SYS_chown, SYS_lchown, SYS_utime, SYS_utimes
            },
        ),
        rule(FUTIMESAT, "as `utimensat`", calls! { SYS_futimesat }),
        rule(
            ALLOW,
            "as the forms that take flags",
            calls! {
                SYS_stat, SYS_lstat, SYS_access, SYS_readlink, SYS_getdents, SYS_dup2, SYS_pipe, SYS_poll, SYS_select,
                SYS_epoll_create, SYS_epoll_wait, SYS_eventfd, SYS_signalfd, SYS_inotify_init, SYS_fork, SYS_vfork,
                SYS_getpgrp, SYS_alarm, SYS_pause, SYS_time
            },
        ),
        rule(ALLOW, "thread-local storage and extended registers", calls! { SYS_arch_prctl }),
    ],
};
