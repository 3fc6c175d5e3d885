//! The mount calls, old and new: with any of them the cell's walls could be moved.

use super::attempt::Attempt;
use super::context::c_path;
use super::syscalls::{INVALID, NO_SUCH_FLAGS, NO_SUCH_PATH, NOWHERE, WORKS, WORKS_FOR_ROOT, refused};
use super::system::{Arg, at, call};
use super::{Attack, Control, Outcome, Seen};

const BAD_ADDRESS: Control = Control::Outside(&[Seen::Errno(libc::EFAULT)]);

pub(super) const ATTACKS: &[Attack] = &[
    refused(
        "mount",
        "mount a file system over the workspace",
        "",
        |c| mount(Some(c"tmpfs"), &c.workspace, Some(c"tmpfs"), 0),
        BAD_ADDRESS,
    ),
    refused(
        "remount-writable",
        "remount a read-only mount for writing",
        "",
        |c| mount(None, &c.ro, None, libc::MS_REMOUNT | libc::MS_BIND),
        BAD_ADDRESS,
    ),
    refused(
        "bind-mount",
        "show another place through the workspace",
        "",
        |c| mount(Some(c"/"), &c.workspace, None, libc::MS_BIND | libc::MS_REC),
        BAD_ADDRESS,
    ),
    refused(
        "mount-proc",
        "mount another /proc, without what masks it",
        "CVE-2025-31133 class",
        |c| mount(Some(c"proc"), &c.workspace, Some(c"proc"), 0),
        BAD_ADDRESS,
    ),
    refused(
        "mount-control-groups",
        "mount the control groups, to set a release agent",
        "CVE-2022-0492",
        |c| mount(Some(c"cgroup"), &c.workspace, Some(c"cgroup"), 0),
        BAD_ADDRESS,
    ),
    refused(
        "unmount",
        "unmount what hides something",
        "CVE-2014-7975",
        |c| call!(libc::SYS_umount2, c_path(c.ro.clone()).as_c_str(), NO_SUCH_FLAGS).outcome(),
        INVALID,
    ),
    refused(
        "pivot-root",
        "switch to another root",
        "boxsh 1",
        |c| {
            let place = c_path(c.workspace.clone());
            call!(libc::SYS_pivot_root, place.as_c_str(), place.as_c_str()).outcome()
        },
        Control::OutsideRoot(&[Seen::Errno(libc::EINVAL), Seen::Errno(libc::EBUSY)]),
    ),
    refused(
        "chroot",
        "chroot, the first half of the classic escape",
        "",
        |c| call!(libc::SYS_chroot, c_path(c.workspace.clone()).as_c_str()).outcome(),
        WORKS_FOR_ROOT,
    ),
    refused(
        "fsopen",
        "make a file system with the newer mount calls",
        "CVE-2022-0185",
        |_| call!(libc::SYS_fsopen, c"tmpfs", 0).outcome(),
        WORKS_FOR_ROOT,
    ),
    refused(
        "fsconfig",
        "set an option of a file system context",
        "CVE-2022-0185",
        |_| call!(libc::SYS_fsconfig, -1, 0, Arg::NULL, Arg::NULL, 0).outcome(),
        INVALID,
    ),
    refused(
        "fsmount",
        "mount a file system context",
        "",
        |_| call!(libc::SYS_fsmount, -1, 0, 0).outcome(),
        Control::OutsideRoot(&[Seen::Errno(libc::EBADF)]),
    ),
    refused(
        "fspick",
        "reconfigure a mounted file system",
        "",
        |_| call!(libc::SYS_fspick, libc::AT_FDCWD, NO_SUCH_PATH, 0).outcome(),
        Control::OutsideRoot(&[Seen::Errno(libc::ENOENT)]),
    ),
    refused(
        "open-tree",
        "take a mount tree as a descriptor",
        "",
        |_| call!(libc::SYS_open_tree, libc::AT_FDCWD, c"/", 0).outcome(),
        WORKS,
    ),
    refused(
        "move-mount",
        "move a mount",
        "",
        |_| call!(libc::SYS_move_mount, -1, c"", -1, c"", NO_SUCH_FLAGS).outcome(),
        Control::OutsideRoot(&[Seen::Errno(libc::EINVAL)]),
    ),
    refused(
        "mount-setattr",
        "make a read-only mount writable with mount_setattr",
        "",
        |c| {
            // struct mount_attr: clear MOUNT_ATTR_RDONLY.
            let mut attributes = [0_u64, 1, 0, 0];
            let path = c_path(c.ro.clone());
            let size = size_of_val(&attributes);
            call!(libc::SYS_mount_setattr, -1, path.as_c_str(), NO_SUCH_FLAGS, at(&mut attributes), size).outcome()
        },
        INVALID,
    ),
];

/// mount(2) with options that cannot be read, which the kernel notices before anything else.
fn mount(
    source: Option<&std::ffi::CStr>,
    target: &std::path::Path,
    kind: Option<&std::ffi::CStr>,
    flags: u64,
) -> Outcome {
    let source = source.map_or(Arg::NULL, Arg::from);
    let kind = kind.map_or(Arg::NULL, Arg::from);
    call!(libc::SYS_mount, source, c_path(target).as_c_str(), kind, flags, NOWHERE).outcome()
}
