//! Putting a cell's root together, inside its own mount namespace.
//!
//! Nothing is resolved twice: places are made and found relative to descriptors with `openat2(RESOLVE_BENEATH |
//! RESOLVE_NO_SYMLINKS)`, and mounts are moved onto descriptors (cf. CVE-2026-87766, where a helper followed a link
//! of the new root back into the host).

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, UnmountFlags};

use crate::error::{Step, StepError};
use crate::plan::{Bind, RootStep};
use crate::sys::{self, MountAttributes};

/// Kernel interfaces in `/proc` that tell about, or reach, the whole machine. `/proc` is read-only besides.
const MASKED: [&str; 9] =
    ["kcore", "kmsg", "keys", "key-users", "kallsyms", "sysrq-trigger", "timer_list", "sched_debug", "pressure"];

/// Builds the root that `steps` describe, makes it this process's root and detaches the old one. `open_bind` gives
/// the mount of a [`Bind`].
pub(crate) fn build(
    steps: &[RootStep],
    mut open_bind: impl FnMut(usize, &Bind) -> Result<OwnedFd, StepError>,
) -> Result<(), StepError> {
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .step("make mounts private")?;
    // Before anything covers anything: sources are found by their path on the host.
    let mut trees = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        if let RootStep::Bind(bind) = step {
            trees.push(open_bind(at, bind)?);
        }
    }
    let mut trees = trees.into_iter();
    let size = root_size(steps).step("create the root")?.to_string();
    let root = tmpfs(&[("size", &size), ("nr_inodes", "4096"), ("mode", "0755")], MountAttrFlags::MOUNT_ATTR_NOSUID)
        .step("create the root")?;
    // Somewhere that exists on every host: what it hides is this namespace's alone.
    rustix::mount::move_mount(&root, "", CWD, "/tmp", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .step("place the root")?;
    for step in steps {
        match (step, matches!(step, RootStep::Bind(_)).then(|| trees.next()).flatten()) {
            (RootStep::Bind(bind), Some(tree)) => show(&root, bind, &tree)?,
            (step, _) => apply(&root, step)?,
        }
    }
    rustix::process::fchdir(&root).step("enter the root")?;
    sys::pivot_root_here().step("change the root")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).step("let go of the host's root")?;
    rustix::process::chdir("/").step("enter the root")?;
    sys::set_mount_attributes(&root, MountAttributes { read_only: true, no_device: true, no_exec: false }, None, false)
        .step("make the root read-only")
}

/// Bytes for what is written into the root itself: generated files, and NanoClaw where the plan asks for a copy.
fn root_size(steps: &[RootStep]) -> std::io::Result<u64> {
    const FILES: u64 = 8 * 1024 * 1024;
    let copies = steps.iter().any(|step| matches!(step, RootStep::OwnBinary(_)));
    Ok(FILES + if copies { std::fs::metadata("/proc/self/exe")?.len() } else { 0 })
}

/// Puts a mount of the host in its place.
fn show(root: &OwnedFd, bind: &Bind, tree: &OwnedFd) -> Result<(), StepError> {
    let stat = rustix::fs::fstat(tree).step(format!("mount `{}`", bind.source.display()))?;
    let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    attach(root, tree, &bind.target, if directory { Place::Directory } else { Place::File })
}

fn apply(root: &OwnedFd, step: &RootStep) -> Result<(), StepError> {
    match step {
        RootStep::Directory(path) => place(root, path, Place::Directory).map(drop),
        RootStep::File { path, text } => {
            let mut file = File::from(place(root, path, Place::File)?);
            file.write_all(text.as_bytes()).step(format!("write `{}`", path.display()))
        }
        RootStep::Link { path, target } => {
            let (parent, name) = parent(root, path)?;
            rustix::fs::symlinkat(target.as_str(), &parent, name).step(format!("link `{}`", path.display()))
        }
        RootStep::Bind(bind) => {
            Err(StepError::new(format!("mount `{}`", bind.source.display()), "it was not opened", ""))
        }
        RootStep::OwnBinary(path) => own_binary(root, path),
        RootStep::Proc => proc(root),
        RootStep::Terminals => {
            let terminals = filesystem(
                "devpts",
                &[("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0600"), ("max", "64")],
                MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC,
            )
            .step("create /dev/pts")?;
            attach(root, &terminals, Path::new("/dev/pts"), Place::Directory)
        }
        RootStep::Scratch { bytes, inodes, no_exec } => {
            let mut flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
            if *no_exec {
                flags |= MountAttrFlags::MOUNT_ATTR_NOEXEC;
            }
            let scratch =
                tmpfs(&[("size", &bytes.to_string()), ("nr_inodes", &inodes.to_string()), ("mode", "1777")], flags)
                    .step("create /tmp")?;
            for (name, mode) in [("home", 0o700), (".shm", 0o1777), (".run", 0o755)] {
                rustix::fs::mkdirat(&scratch, name, Mode::from_raw_mode(mode)).step(format!("create /tmp/{name}"))?;
            }
            attach(root, &scratch, Path::new("/tmp"), Place::Directory)
        }
    }
}

/// A file system instance of the cell's own, as a detached mount.
fn filesystem(kind: &str, options: &[(&str, &str)], flags: MountAttrFlags) -> rustix::io::Result<OwnedFd> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        if value.is_empty() {
            rustix::mount::fsconfig_set_flag(&context, *key)?;
        } else {
            rustix::mount::fsconfig_set_string(&context, *key, *value)?;
        }
    }
    rustix::mount::fsconfig_create(&context)?;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, flags)
}

fn tmpfs(options: &[(&str, &str)], flags: MountAttrFlags) -> rustix::io::Result<OwnedFd> {
    filesystem("tmpfs", options, flags)
}

fn proc(root: &OwnedFd) -> Result<(), StepError> {
    let flags = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC
        | MountAttrFlags::MOUNT_ATTR_RDONLY;
    let proc = filesystem("proc", &[("hidepid", "invisible")], flags).step_help(
        "mount /proc",
        "inside a container the outer /proc must not be masked (docker: `--security-opt systempaths=unconfined`)",
    )?;
    attach(root, &proc, Path::new("/proc"), Place::Directory)?;
    for name in MASKED {
        let path = Path::new("/proc").join(name);
        let target = match find(root, &path) {
            Ok(target) => target,
            Err(Errno::NOENT) => continue,
            Err(error) => return Err(error).step(format!("mask `{}`", path.display())),
        };
        let stat = rustix::fs::fstat(&target).step(format!("mask `{}`", path.display()))?;
        let mask = if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            tmpfs(&[("size", "4k"), ("nr_inodes", "2"), ("mode", "0555")], flags)
        } else {
            let null = find(root, Path::new("/dev/null")).step("find /dev/null")?;
            rustix::mount::open_tree(
                &null,
                "",
                rustix::mount::OpenTreeFlags::OPEN_TREE_CLONE
                    | rustix::mount::OpenTreeFlags::OPEN_TREE_CLOEXEC
                    | rustix::mount::OpenTreeFlags::AT_EMPTY_PATH,
            )
        }
        .step(format!("mask `{}`", path.display()))?;
        move_onto(&mask, &target, &path)?;
    }
    Ok(())
}

/// A copy, so that no cell holds a handle on the file that everything else runs from (cf. CVE-2019-5736).
fn own_binary(root: &OwnedFd, path: &Path) -> Result<(), StepError> {
    let step = || format!("copy NanoClaw to `{}`", path.display());
    let mut own = File::open("/proc/self/exe").step(step())?;
    let mut copy = File::from(place(root, path, Place::File)?);
    std::io::copy(&mut own, &mut copy).step(step())?;
    rustix::fs::fchmod(&copy, Mode::from_raw_mode(0o555)).step(step())
}

fn attach(root: &OwnedFd, tree: &OwnedFd, target: &Path, kind: Place) -> Result<(), StepError> {
    let place = place(root, target, kind)?;
    move_onto(tree, &place, target)
}

fn move_onto(tree: &OwnedFd, place: &OwnedFd, target: &Path) -> Result<(), StepError> {
    rustix::mount::move_mount(
        tree,
        "",
        place,
        "",
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH,
    )
    .step(format!("mount onto `{}`", target.display()))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Directory,
    File,
}

fn find(root: &OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat2(
        root,
        path.strip_prefix("/").unwrap_or(path),
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
    )
}

/// Opens the place at `path`, and makes it and what is above it where it is missing.
fn place(root: &OwnedFd, path: &Path, kind: Place) -> Result<OwnedFd, StepError> {
    let step = || format!("make `{}`", path.display());
    const HELP: &str = "the place must exist already where the directory above it is read-only, and no part of it may be a symbolic link";
    match find(root, path) {
        Ok(found) => return Ok(found),
        Err(Errno::NOENT) => {}
        Err(error) => return Err(error).step_help(step(), HELP),
    }
    let (parent, name) = parent(root, path)?;
    match kind {
        Place::Directory => {
            rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)).step_help(step(), HELP)?;
            find(root, path).step(step())
        }
        Place::File => rustix::fs::openat(
            &parent,
            name,
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::from_raw_mode(0o644),
        )
        .step_help(step(), HELP),
    }
}

fn parent<'p>(root: &OwnedFd, path: &'p Path) -> Result<(OwnedFd, &'p std::ffi::OsStr), StepError> {
    let above = path.parent().unwrap_or(Path::new("/"));
    let name = match path.components().next_back() {
        Some(Component::Normal(name)) => name,
        _ => return Err(StepError::new(format!("make `{}`", path.display()), "the path has no name", "")),
    };
    let parent = if above == Path::new("/") {
        rustix::io::fcntl_dupfd_cloexec(root.as_fd(), 3).step("open the root")?
    } else {
        place(root, above, Place::Directory)?
    };
    Ok((parent, name))
}

/// What `stat` says of a directory entry, without following links: the entry's type.
pub(crate) fn entry_type(directory: &OwnedFd, name: &str) -> rustix::io::Result<FileType> {
    Ok(FileType::from_raw_mode(rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode))
}
