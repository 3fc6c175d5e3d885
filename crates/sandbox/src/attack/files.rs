//! Changing what is read-only and reading what was never given.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;

use rustix::fs::{AtFlags, CWD, Gid, Mode as Bits, OFlags, Timespec, Timestamps, Uid, XattrFlags};

use super::Stopped::{Absent, Errno};
use super::attempt::{
    Attempt, absent_unless, all, each, given, known_file_is_readable, open_for_read, open_for_write, with_setting,
    workspace_is_writable,
};
use super::context::c_path;
use super::system::{at, call};
use super::{Attack, Context, Control, Outcome, Scope, Seen};

/// Where hosts keep what an agent is after.
const HOMES: [&str; 6] = ["/root", "/home", "/var/lib", "/var/log", "/boot", "/srv"];
const SECRETS: [&str; 8] = [
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/sudoers",
    "/etc/ssh",
    "/etc/ssl/private",
    "/root/.ssh",
    "/root/.aws/credentials",
    "/var/run/secrets/kubernetes.io/serviceaccount/token",
];

/// What in a cell may be written to; everything else must be read-only.
const WRITABLE: [&str; 4] = ["/workspace", "/tmp", "/dev/shm", "/data"];

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "truncate-read-only-file",
        what: "truncate(2) a file of one's own on a read-only mount",
        reference: "wasmtime #13429; OpenShell (Landlock ABI 2 does not handle truncate)",
        expect: &[Errno(libc::EROFS)],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |c| call!(libc::SYS_truncate, c_path(c.known()).as_c_str(), 0).outcome(),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "open-truncate-read-only-file",
        what: "open a read-only file with O_TRUNC",
        reference: "wasmtime #13429",
        expect: &[Errno(libc::EROFS)],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |c| OpenOptions::new().write(true).truncate(true).open(c.known()).outcome(),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "append-to-read-only-file",
        what: "open a read-only file to append to it",
        reference: "",
        expect: &[Errno(libc::EROFS)],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |c| OpenOptions::new().append(true).open(c.known()).outcome(),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "chmod-read-only-file",
        what: "change the mode of a file on a read-only mount",
        reference: "OpenShell (Landlock does not cover chmod)",
        expect: &[Errno(libc::EROFS)],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |c| fs::set_permissions(c.known(), fs::Permissions::from_mode(0o600)).outcome(),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "chown-read-only-file",
        what: "change the owner of a file on a read-only mount, to oneself",
        reference: "",
        expect: &[Errno(libc::EROFS)],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |c| {
            let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
            rustix::fs::chown(c.known(), Some(Uid::from_raw(uid.as_raw())), Some(Gid::from_raw(gid.as_raw()))).outcome()
        },
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "set-times-of-read-only-file",
        what: "backdate a file on a read-only mount",
        reference: "OpenShell (Landlock does not cover utimes)",
        expect: &[Errno(libc::EROFS)],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |c| {
            let then = Timespec { tv_sec: 1, tv_nsec: 0 };
            let times = Timestamps { last_access: then, last_modification: then };
            rustix::fs::utimensat(CWD, c.known(), &times, AtFlags::empty()).outcome()
        },
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "set-attribute-of-read-only-file",
        what: "set an extended attribute on a read-only mount",
        reference: "OpenShell (Landlock does not cover setxattr)",
        expect: &[Errno(libc::EROFS)],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |c| rustix::fs::setxattr(c.known(), "user.attack", b"x", XattrFlags::empty()).outcome(),
        control: Control::Outside(&[Seen::Success, Seen::Errno(libc::EOPNOTSUPP)]),
    },
    Attack {
        name: "unlink-read-only-file",
        what: "delete a file on a read-only mount",
        reference: "",
        expect: &[Errno(libc::EROFS)],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |c| fs::remove_file(c.known()).and_then(|()| fs::write(c.known(), b"known\n")).outcome(),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "rename-within-read-only-mount",
        what: "rename a file on a read-only mount",
        reference: "",
        expect: &[Errno(libc::EROFS)],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |c| {
            let moved = c.ro.join("renamed");
            fs::rename(c.known(), &moved).and_then(|()| fs::rename(moved, c.known())).outcome()
        },
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "create-in-read-only-mount",
        what: "create a file on a read-only mount",
        reference: "",
        expect: &[Errno(libc::EROFS)],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |c| fs::File::create(c.ro.join("new")).outcome(),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "make-directory-in-read-only-mount",
        what: "create a directory on a read-only mount",
        reference: "",
        expect: &[Errno(libc::EROFS)],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |c| fs::create_dir(c.ro.join("directory")).outcome(),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "symlink-in-read-only-mount",
        what: "plant a symbolic link on a read-only mount",
        reference: "",
        expect: &[Errno(libc::EROFS)],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |c| std::os::unix::fs::symlink("known", c.ro.join("link")).outcome(),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "unnamed-file-in-read-only-mount",
        what: "create a file without a name (O_TMPFILE) on a read-only mount",
        reference: "",
        expect: &[Errno(libc::EROFS)],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |c| OpenOptions::new().write(true).custom_flags(libc::O_TMPFILE).open(&c.ro).outcome(),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "create-in-etc",
        what: "create /etc/nanoclaw-attack",
        reference: "",
        expect: &[Errno(libc::EROFS)],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |_| fs::File::create("/etc/nanoclaw-attack").outcome(),
        control: Control::Inside(workspace_is_writable),
    },
    Attack {
        name: "create-in-usr",
        what: "plant a program in /usr/bin and a library in /usr/lib",
        reference: "",
        expect: &[Errno(libc::EROFS)],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |_| each(["/usr/bin/nanoclaw-attack", "/usr/lib/nanoclaw-attack.so"], |p| fs::File::create(p).outcome()),
        control: Control::Inside(workspace_is_writable),
    },
    Attack {
        name: "create-in-root-directory",
        what: "create a file and a directory in /",
        reference: "",
        expect: &[Errno(libc::EROFS)],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |_| {
            let path = "/nanoclaw-attack";
            all([fs::File::create(path).outcome(), fs::create_dir(path).outcome()])
        },
        control: Control::Inside(workspace_is_writable),
    },
    Attack {
        name: "overwrite-system-program",
        what: "open a system program for writing",
        reference: "",
        expect: &[Errno(libc::EACCES)],
        layer: "file owner",
        scope: Scope::Everywhere,
        run: |_| open_for_write("/usr/bin/env"),
        control: Control::Inside(workspace_is_writable),
    },
    Attack {
        name: "overwrite-resolver-configuration",
        what: "redirect name lookups, accounts and hosts by overwriting files in /etc",
        reference: "",
        expect: &[Errno(libc::EROFS)],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |_| each(["/etc/resolv.conf", "/etc/hosts", "/etc/passwd", "/etc/nsswitch.conf"], open_for_write),
        control: Control::Inside(workspace_is_writable),
    },
    Attack {
        name: "move-or-remove-mount-points",
        what: "rename and remove the directories that the cell's mounts stand on",
        reference: "",
        expect: &[Errno(libc::EROFS)],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |_| {
            let rename = fs::rename("/workspace", "/workspace-moved").outcome();
            let remove = fs::remove_dir("/workspace").outcome();
            all([rename, remove])
        },
        control: Control::Inside(|c| {
            let (old, new) = (c.scratch("old"), c.scratch("new"));
            let done = fs::create_dir(&old).and_then(|()| fs::rename(&old, &new)).and_then(|()| fs::remove_dir(&new));
            done.map_err(|error| error.to_string())
        }),
    },
    Attack {
        name: "create-in-every-mount",
        what: "create a file in each place that the mount table lists, other than the writable ones",
        reference: "",
        expect: &[Absent],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |_| create_in_every_mount(),
        control: Control::Inside(workspace_is_writable),
    },
    Attack {
        name: "mount-that-honours-set-id-or-devices",
        what: "find a mount without nosuid, or one besides /dev without nodev",
        reference: "",
        expect: &[Absent],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |_| lax_mounts(),
        control: Control::Inside(|_| match mounts() {
            Ok(mounts) if mounts.iter().any(|(place, _)| place == "/workspace") => Ok(()),
            Ok(mounts) => Err(format!("/workspace is not among {} mounts", mounts.len())),
            Err(error) => Err(error.to_string()),
        }),
    },
    Attack {
        name: "read-host-accounts",
        what: "read password hashes, SSH keys and service account tokens",
        reference: "OpenClaw default configuration; srt as root",
        expect: &[Errno(libc::ENOENT)],
        layer: "root filesystem",
        scope: Scope::Everywhere,
        run: |_| each(SECRETS, open_for_read),
        control: Control::Inside(known_file_is_readable),
    },
    Attack {
        name: "enter-host-homes",
        what: "list the host's homes, state and logs",
        reference: "",
        expect: &[Errno(libc::ENOENT)],
        layer: "root filesystem",
        scope: Scope::Everywhere,
        run: |_| each(HOMES, |path| fs::read_dir(path).outcome()),
        control: Control::Inside(|c| fs::read_dir(&c.ro).map(drop).map_err(|error| error.to_string())),
    },
    Attack {
        name: "read-shadow",
        what: "read /etc/shadow",
        reference: "srt as root; the OpenClaw reference",
        expect: &[Errno(libc::ENOENT)],
        layer: "root filesystem",
        scope: Scope::Everywhere,
        run: |_| open_for_read("/etc/shadow"),
        control: Control::Outside(&[Seen::Success, Seen::Errno(libc::EACCES)]),
    },
    Attack {
        name: "read-host-file",
        what: "read a file of the host that no mount names",
        reference: "",
        expect: &[Errno(libc::ENOENT)],
        layer: "root filesystem",
        scope: Scope::Everywhere,
        run: |c| canary(c, open_for_read),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "change-host-file",
        what: "truncate, chmod and backdate a file of the host that no mount names",
        reference: "OpenShell: all three worked on paths that the policy does not list",
        expect: &[Errno(libc::ENOENT)],
        layer: "root filesystem",
        scope: Scope::Everywhere,
        run: |c| {
            canary(c, |path| {
                let truncate = call!(libc::SYS_truncate, c_path(path.clone()).as_c_str(), 6).outcome();
                let chmod = fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).outcome();
                let now = Timespec { tv_sec: 1, tv_nsec: 0 };
                let times = Timestamps { last_access: now, last_modification: now };
                let backdate = rustix::fs::utimensat(CWD, &path, &times, AtFlags::empty()).outcome();
                all([truncate, chmod, backdate])
            })
        },
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "stat-host-file",
        what: "learn size and times of a file of the host that no mount names",
        reference: "OpenShell: stat and chdir worked everywhere",
        expect: &[Errno(libc::ENOENT)],
        layer: "root filesystem",
        scope: Scope::Everywhere,
        run: |c| canary(c, |path| fs::metadata(path).outcome()),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "change-to-host-directory",
        what: "chdir into the host directory of a file that no mount names",
        reference: "OpenShell",
        expect: &[Errno(libc::ENOENT)],
        layer: "root filesystem",
        scope: Scope::Everywhere,
        run: |c| canary(c, |path| std::env::set_current_dir(path.parent().unwrap_or(&path)).outcome()),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "open-file-by-handle",
        what: "open a file by its inode handle, past every mount (shocker)",
        reference: "Docker shocker.c, 2014",
        expect: &[Errno(libc::EPERM)],
        layer: "seccomp",
        scope: Scope::Everywhere,
        run: open_by_handle,
        control: Control::OutsideRoot(&[Seen::Success]),
    },
    Attack {
        name: "set-user-id-bit",
        what: "make a set-user-ID program with chmod, fchmod, fchmodat and fchmodat2",
        reference: "",
        expect: &[Errno(libc::EPERM)],
        layer: "seccomp",
        scope: Scope::Everywhere,
        run: set_user_id,
        control: Control::Inside(|c| change_mode(c, 0o755)),
    },
    Attack {
        name: "create-with-set-user-id-bit",
        what: "create a file with the set-user-ID bit in one step",
        reference: "",
        expect: &[Errno(libc::EPERM)],
        layer: "seccomp",
        scope: Scope::Everywhere,
        run: |c| {
            let path = c.scratch("setuid");
            let outcome = rustix::fs::open(&path, OFlags::CREATE | OFlags::RDWR, Bits::from_raw_mode(0o4755)).outcome();
            let _ = fs::remove_file(path);
            outcome
        },
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "file-capability",
        what: "give a file in the workspace the capability to do everything",
        reference: "NemoClaw #3280",
        expect: &[Errno(libc::EPERM)],
        layer: "capabilities",
        scope: Scope::Everywhere,
        run: |c| {
            let path = c.scratch("capability");
            // struct vfs_cap_data, revision 2, effective: CAP_CHOWN only.
            let capability = [1, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            given("create a file in the workspace", fs::write(&path, b""), |()| {
                let outcome =
                    rustix::fs::setxattr(&path, "security.capability", &capability, XattrFlags::empty()).outcome();
                let _ = fs::remove_file(&path);
                outcome
            })
        },
        control: Control::OutsideRoot(&[Seen::Success]),
    },
];

/// Tries something on the host file that the other side named.
fn canary(context: &Context, attempt: impl FnOnce(PathBuf) -> Outcome) -> Outcome {
    with_setting("host-canary", context.settings.host_canary.clone(), attempt)
}

/// Mount points and their options, from /proc/self/mountinfo (proc_pid_mountinfo(5): fields 5 and 6).
fn mounts() -> std::io::Result<Vec<(String, String)>> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    let parsed = table.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(4);
        Some((fields.next()?.replace("\\040", " "), fields.next()?.to_owned()))
    });
    Ok(parsed.collect())
}

fn create_in_every_mount() -> Outcome {
    given("read the mount table", mounts(), |mounts| {
        let elsewhere = mounts.iter().filter(|(place, _)| !WRITABLE.contains(&place.as_str()));
        let created = elsewhere.filter_map(|(place, _)| {
            let path = PathBuf::from(place).join(".nanoclaw-attack");
            fs::File::create(&path).ok()?;
            let _ = fs::remove_file(&path);
            Some(format!("created {}", path.display()))
        });
        absent_unless(created.collect())
    })
}

fn lax_mounts() -> Outcome {
    given("read the mount table", mounts(), |mounts| {
        use std::os::unix::fs::FileTypeExt;
        let lax = mounts.iter().filter(|(place, options)| {
            let has = |wanted: &str| options.split(',').any(|option| option == wanted);
            // A device node that is mounted itself, in /dev or over something to mask it, and the cell's own terminals.
            let device = fs::metadata(place).is_ok_and(|meta| meta.file_type().is_char_device()) || place == "/dev/pts";
            !has("nosuid") || (!has("nodev") && !device)
        });
        absent_unless(lax.map(|(place, options)| format!("{place} is {options}")).collect())
    })
}

/// struct file_handle with room for the largest handle (MAX_HANDLE_SZ).
#[derive(Clone, Copy)]
#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    data: [u8; 128],
}

fn open_by_handle(context: &Context) -> Outcome {
    let mut handle = Handle { bytes: 128, kind: 0, data: [0; 128] };
    let mut mount = 0_i32;
    let path = c_path(context.known());
    // Where even the handle is not to be had, a made-up one shows as well whether the second call is closed.
    let named = call!(libc::SYS_name_to_handle_at, libc::AT_FDCWD, path.as_c_str(), at(&mut handle), at(&mut mount), 0);
    if named.is_err() {
        handle = Handle { bytes: 8, kind: 1, data: [0; 128] };
    }
    given("open the directory", fs::File::open(&context.ro), |directory| {
        use std::os::fd::AsRawFd;
        call!(libc::SYS_open_by_handle_at, directory.as_raw_fd(), at(&mut handle), libc::O_RDONLY).outcome()
    })
}

/// chmod(2) number where the architecture has it; fchmodat(2) does the same.
#[cfg(target_arch = "x86_64")]
const CHMOD: Option<libc::c_long> = Some(libc::SYS_chmod);
#[cfg(not(target_arch = "x86_64"))]
const CHMOD: Option<libc::c_long> = None;

/// fchmodat2(2), the same on every architecture; the C library's headers do not have it everywhere.
const FCHMODAT2: libc::c_long = 452;

fn set_user_id(context: &Context) -> Outcome {
    let path = context.scratch("setuid");
    given("create a file in the workspace", fs::File::create(&path), |file| {
        use std::os::fd::AsRawFd;
        let name = c_path(path.clone());
        let mode = 0o4755;
        let ways = [
            CHMOD.map_or(Err(libc::EPERM), |number| call!(number, name.as_c_str(), mode)),
            call!(libc::SYS_fchmod, file.as_raw_fd(), mode),
            call!(libc::SYS_fchmodat, libc::AT_FDCWD, name.as_c_str(), mode),
            call!(FCHMODAT2, libc::AT_FDCWD, name.as_c_str(), mode, 0),
        ];
        let outcome = each(ways, |way| way.outcome());
        let _ = fs::remove_file(&path);
        outcome
    })
}

fn change_mode(context: &Context, mode: u32) -> Result<(), String> {
    let path = context.scratch("mode");
    let done = fs::write(&path, b"").and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)));
    let _ = fs::remove_file(&path);
    done.map_err(|error| error.to_string())
}
