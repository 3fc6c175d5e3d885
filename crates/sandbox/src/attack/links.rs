//! Links and paths that mean another place than they say.

use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode as Bits, OFlags};

use super::Stopped::{Absent, Errno};
use super::attempt::{
    Attempt, absent_unless, each, given, known_file_is_readable, open_for_read, with_setting, workspace_is_writable,
};
use super::{Attack, Context, Control, Outcome, Scope, Seen};

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "hard-link-read-only-file",
        what: "link a read-only file into the workspace, where it would be writable",
        reference: "sandlock 179; openclaw PR 26051; rshell 595",
        expect: &[Errno(libc::EXDEV)],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |c| {
            let link = c.scratch("hard-link");
            let outcome = fs::hard_link(c.known(), &link).outcome();
            let _ = fs::remove_file(link);
            outcome
        },
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "hard-link-through-descriptor",
        what: "link an open read-only file into the workspace through /proc/self/fd",
        reference: "",
        expect: &[Errno(libc::EXDEV)],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |c| {
            given("open the known file", fs::File::open(c.known()), |file| {
                let link = c.scratch("hard-link");
                let source = format!("/proc/self/fd/{}", file.as_raw_fd());
                let outcome = rustix::fs::linkat(CWD, source, CWD, &link, AtFlags::SYMLINK_FOLLOW).outcome();
                let _ = fs::remove_file(link);
                outcome
            })
        },
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "rename-out-of-read-only-mount",
        what: "move a read-only file into the workspace",
        reference: "",
        expect: &[Errno(libc::EXDEV)],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |c| {
            let moved = c.scratch("moved");
            fs::rename(c.known(), &moved).and_then(|()| fs::rename(moved, c.known())).outcome()
        },
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "name-unnamed-file-elsewhere",
        what: "create a file without a name in the workspace and link it into the read-only mount",
        reference: "",
        expect: &[Errno(libc::EROFS)],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |c| {
            let unnamed = rustix::fs::open(&c.workspace, OFlags::TMPFILE | OFlags::RDWR, Bits::from_raw_mode(0o600));
            given("create an unnamed file in the workspace", unnamed, |file| {
                let source = format!("/proc/self/fd/{}", file.as_raw_fd());
                rustix::fs::linkat(CWD, source, CWD, c.ro.join("linked"), AtFlags::SYMLINK_FOLLOW).outcome()
            })
        },
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "reopen-read-only-descriptor-for-writing",
        what: "open /proc/self/fd/N of a file that was opened for reading, this time for writing",
        reference: "CVE-2019-5736 class",
        expect: &[Errno(libc::EROFS)],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |c| {
            given("open the known file", fs::File::open(c.known()), |file| {
                let again = format!("/proc/self/fd/{}", file.as_raw_fd());
                fs::OpenOptions::new().write(true).open(again).outcome()
            })
        },
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "create-through-dangling-symlink",
        what: "create a file in /etc through a symbolic link in the workspace that dangles",
        reference: "openclaw #100642",
        expect: &[Errno(libc::EROFS)],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |c| create_through_link(c, Path::new("/etc/nanoclaw-attack")),
        control: Control::Inside(|c| {
            let target = c.scratch("link-target");
            let outcome = create_through_link(c, &target);
            let _ = fs::remove_file(target);
            super::attempt::must_succeed(&outcome)
        }),
    },
    Attack {
        name: "symlink-to-host-file",
        what: "read a host file through a symbolic link in the workspace",
        reference: "CVE-2018-15664",
        expect: &[Errno(libc::ENOENT)],
        layer: "root filesystem",
        scope: Scope::Everywhere,
        run: |c| canary(c, |path| through_link(c, &path)),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "parent-swapped-for-symlink",
        what: "swap a directory in the workspace for a link to a host directory and open a file in it",
        reference: "CVE-2026-50549; CVE-2018-15664",
        expect: &[Errno(libc::ENOENT)],
        layer: "root filesystem",
        scope: Scope::Everywhere,
        run: |c| {
            canary(c, |path| {
                let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
                    return Outcome::Broken("the canary has no directory".to_owned());
                };
                let swapped = c.scratch("swapped");
                let prepared = fs::create_dir(&swapped)
                    .and_then(|()| fs::remove_dir(&swapped))
                    .and_then(|()| symlink(directory, &swapped));
                given("swap the directory", prepared, |()| {
                    let outcome = open_for_read(swapped.join(name));
                    let _ = fs::remove_file(&swapped);
                    outcome
                })
            })
        },
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "dot-dot-to-host-root",
        what: "climb above the cell's root with `..` from the working directory",
        reference: "boxsh 1",
        expect: &[Errno(libc::ENOENT)],
        layer: "pivot_root",
        scope: Scope::Everywhere,
        run: |c| canary(c, |path| open_for_read(climbing(&path))),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "dot-dot-from-root-descriptor",
        what: "climb above the cell's root with `..` from a descriptor of /",
        reference: "chroot escapes",
        expect: &[Errno(libc::ENOENT)],
        layer: "pivot_root",
        scope: Scope::Everywhere,
        run: |c| {
            canary(c, |path| {
                given("open /", fs::File::open("/"), |root| {
                    rustix::fs::openat(root.as_fd(), climbing(&path), OFlags::RDONLY, Bits::empty()).outcome()
                })
            })
        },
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "root-has-a-parent",
        what: "see whether `/..` is another directory than `/`",
        reference: "",
        expect: &[Absent],
        layer: "pivot_root",
        scope: Scope::Everywhere,
        run: |_| {
            given("stat the root", fs::metadata("/").and_then(|root| Ok((root, fs::metadata("/..")?))), |(root, up)| {
                let same = (root.dev(), root.ino()) == (up.dev(), up.ino());
                absent_unless(if same { vec![] } else { vec!["`/..` is another directory than `/`".to_owned()] })
            })
        },
        control: Control::Inside(|_| match (fs::metadata("/workspace"), fs::metadata("/workspace/..")) {
            (Ok(here), Ok(up)) if (here.dev(), here.ino()) != (up.dev(), up.ino()) => Ok(()),
            (Ok(_), Ok(_)) => Err("`/workspace/..` is the same directory as `/workspace`".to_owned()),
            (Err(error), _) | (_, Err(error)) => Err(error.to_string()),
        }),
    },
    Attack {
        name: "host-file-through-own-root-link",
        what: "read a host file through /proc/self/root",
        reference: "openclaw #126321",
        expect: &[Errno(libc::ENOENT)],
        layer: "root filesystem",
        scope: Scope::Everywhere,
        run: |c| canary(c, |path| open_for_read(below("/proc/self/root", &path))),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "host-file-through-working-directory-link",
        what: "climb to a host file through /proc/self/cwd",
        reference: "CVE-2024-21626 class",
        expect: &[Errno(libc::ENOENT)],
        layer: "root filesystem",
        scope: Scope::Everywhere,
        run: |c| canary(c, |path| open_for_read(below("/proc/self/cwd", &climbing(&path)))),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "host-file-through-first-process",
        what: "read a host file through /proc/1/root and /proc/1/cwd",
        reference: "openclaw #126321",
        expect: &[Errno(libc::ENOENT)],
        layer: "hidepid",
        scope: Scope::Everywhere,
        run: |c| {
            canary(c, |path| each(["/proc/1/root", "/proc/1/cwd"], |link| open_for_read(below(link, &climbing(&path)))))
        },
        control: Control::Outside(&[Seen::Success, Seen::Errno(libc::EACCES)]),
    },
    Attack {
        name: "old-root-left-mounted",
        what: "find what is left of the host's root after the switch to the cell's",
        reference: "CVE-2026-87766 (bubblewrap /oldroot)",
        expect: &[Errno(libc::ENOENT)],
        layer: "pivot_root",
        scope: Scope::Everywhere,
        run: |_| {
            let places = ["/oldroot", "/old_root", "/.old_root", "/put_old", "/.pivot_root", "/newroot", "/host"];
            each(places, |path| fs::read_dir(path).outcome())
        },
        control: Control::Inside(known_file_is_readable),
    },
    Attack {
        name: "link-in-place-of-temporary-file",
        what: "append to a system file through a predictable name in /tmp",
        reference: "CWE-59",
        expect: &[Errno(libc::EACCES)],
        layer: "file owner",
        scope: Scope::Everywhere,
        run: |c| {
            let link = c.scratch_tmp("predictable");
            given("make a link in /tmp", symlink("/usr/bin/env", &link), |()| {
                let outcome = fs::OpenOptions::new().append(true).open(&link).outcome();
                let _ = fs::remove_file(&link);
                outcome
            })
        },
        control: Control::Inside(workspace_is_writable),
    },
];

/// Tries something on the host file that the other side named.
fn canary(context: &Context, attempt: impl FnOnce(PathBuf) -> Outcome) -> Outcome {
    with_setting("host-canary", context.settings.host_canary.clone(), attempt)
}

/// An absolute path behind more `..` than any directory is deep.
fn climbing(path: &Path) -> PathBuf {
    below(&"../".repeat(40), path)
}

/// An absolute path, or a relative one, below `directory`.
fn below(directory: &str, path: &Path) -> PathBuf {
    Path::new(directory).join(path.strip_prefix("/").unwrap_or(path))
}

fn through_link(context: &Context, target: &Path) -> Outcome {
    let link = context.scratch("symlink");
    given("make a link in the workspace", symlink(target, &link), |()| {
        let outcome = open_for_read(&link);
        let _ = fs::remove_file(&link);
        outcome
    })
}

fn create_through_link(context: &Context, target: &Path) -> Outcome {
    let link = context.scratch("dangling");
    given("make a link in the workspace", symlink(target, &link), |()| {
        let outcome = fs::File::create(&link).outcome();
        let _ = fs::remove_file(&link);
        outcome
    })
}
