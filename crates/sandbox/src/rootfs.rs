//! Putting a cell's root together, inside its own mount namespace.
//!
//! Nothing is resolved twice: places are made and found relative to descriptors with `openat2(RESOLVE_BENEATH |
//! RESOLVE_NO_SYMLINKS)`, and mounts are moved onto descriptors (cf. CVE-2026-87766, where a helper followed a link
//! of the new root back into the host).

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};

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
    let mut tree = Tree { root, made: HashMap::new() };
    for step in steps {
        match (step, matches!(step, RootStep::Bind(_)).then(|| trees.next()).flatten()) {
            (RootStep::Bind(bind), Some(mount)) => tree.show(bind, &mount)?,
            (step, _) => tree.apply(step)?,
        }
    }
    let root = tree.root;
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

/// The root while it is put together.
struct Tree {
    root: OwnedFd,
    /// Directories that were made here and that nothing is mounted on: what is made in one of them needs no walk.
    made: HashMap<PathBuf, OwnedFd>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Directory,
    File,
}

const PLACE_HELP: &str =
    "the place must exist already where the directory above it is read-only, and no part of it may be a symbolic link";

impl Tree {
    /// Puts a mount of the host in its place.
    fn show(&mut self, bind: &Bind, mount: &OwnedFd) -> Result<(), StepError> {
        let stat = rustix::fs::fstat(mount).step(format!("mount `{}`", bind.source.display()))?;
        let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        self.attach(mount, &bind.target, if directory { Place::Directory } else { Place::File })
    }

    fn apply(&mut self, step: &RootStep) -> Result<(), StepError> {
        match step {
            RootStep::File { path, text } => {
                let mut file = File::from(self.place(path, Place::File)?);
                file.write_all(text.as_bytes()).step(format!("write `{}`", path.display()))
            }
            RootStep::Link { path, target } => {
                let step = || format!("link `{}`", path.display());
                let (parent, name) = self.parent(path)?;
                rustix::fs::symlinkat(target.as_str(), parent, name).step(step())
            }
            RootStep::Bind(bind) => {
                Err(StepError::new(format!("mount `{}`", bind.source.display()), "it was not opened", ""))
            }
            RootStep::OwnBinary(path) => self.own_binary(path),
            RootStep::Proc => self.proc(),
            RootStep::Terminals => {
                let options = [("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0600"), ("max", "64")];
                let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
                let terminals = filesystem("devpts", &options, flags).step("create /dev/pts")?;
                self.attach(&terminals, Path::new("/dev/pts"), Place::Directory)
            }
            RootStep::Scratch { bytes, inodes, no_exec } => {
                let mut flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
                if *no_exec {
                    flags |= MountAttrFlags::MOUNT_ATTR_NOEXEC;
                }
                let (bytes, inodes) = (bytes.to_string(), inodes.to_string());
                let scratch =
                    tmpfs(&[("size", &bytes), ("nr_inodes", &inodes), ("mode", "1777")], flags).step("create /tmp")?;
                for (name, mode) in [("home", 0o700), (".shm", 0o1777), (".run", 0o755)] {
                    let mode = Mode::from_raw_mode(mode);
                    rustix::fs::mkdirat(&scratch, name, mode).step(format!("create /tmp/{name}"))?;
                }
                self.attach(&scratch, Path::new("/tmp"), Place::Directory)
            }
        }
    }

    fn proc(&mut self) -> Result<(), StepError> {
        let flags = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC
            | MountAttrFlags::MOUNT_ATTR_RDONLY;
        let proc = filesystem("proc", &[("hidepid", "invisible")], flags).step_help(
            "mount /proc",
            "inside a container the outer /proc must not be masked (docker: `--security-opt systempaths=unconfined`)",
        )?;
        self.attach(&proc, Path::new("/proc"), Place::Directory)?;
        let null = self.find(Path::new("/dev/null")).step("find /dev/null")?;
        for name in MASKED {
            let step = || format!("mask `/proc/{name}`");
            let opened =
                rustix::fs::openat(&proc, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
            let target = match opened {
                Ok(target) => target,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error).step(step()),
            };
            let stat = rustix::fs::fstat(&target).step(step())?;
            let mask = if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                tmpfs(&[("size", "4k"), ("nr_inodes", "2"), ("mode", "0555")], flags)
            } else {
                let clone =
                    OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
                rustix::mount::open_tree(&null, "", clone)
            }
            .step(step())?;
            move_onto(&mask, &target).step(step())?;
        }
        Ok(())
    }

    /// A copy, so that no cell holds a handle on the file that everything else runs from (cf. CVE-2019-5736).
    fn own_binary(&mut self, path: &Path) -> Result<(), StepError> {
        let step = || format!("copy NanoClaw to `{}`", path.display());
        let mut own = File::open("/proc/self/exe").step(step())?;
        let mut copy = File::from(self.place(path, Place::File)?);
        std::io::copy(&mut own, &mut copy).step(step())?;
        rustix::fs::fchmod(&copy, Mode::from_raw_mode(0o555)).step(step())
    }

    fn attach(&mut self, mount: &OwnedFd, target: &Path, kind: Place) -> Result<(), StepError> {
        let place = self.place(target, kind)?;
        self.made.retain(|path, _| !path.starts_with(target));
        move_onto(mount, &place).step(format!("mount onto `{}`", target.display()))
    }

    fn find(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        rustix::fs::openat2(
            &self.root,
            path.strip_prefix("/").unwrap_or(path),
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
        )
    }

    /// Makes the place at `path`, and what is above it where it is missing, and opens it; or opens what is there.
    fn place(&mut self, path: &Path, kind: Place) -> Result<OwnedFd, StepError> {
        let step = || format!("make `{}`", path.display());
        let (parent, name) = self.parent(path)?;
        // One name below a descriptor, and no link followed: nothing can lead out of the root.
        let made = match kind {
            Place::Directory => rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)).and_then(|()| {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                rustix::fs::openat(parent, name, flags, Mode::empty())
            }),
            Place::File => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o644))
            }
        };
        match made {
            Ok(made) => Ok(made),
            Err(Errno::EXIST) => self.find(path).step_help(step(), PLACE_HELP),
            // A read-only directory says so before it says that the place exists.
            Err(error) => match self.find(path) {
                Ok(found) => Ok(found),
                Err(_) => Err(error).step_help(step(), PLACE_HELP),
            },
        }
    }

    /// The directory above `path`, made where it is missing, and the last name of `path`.
    fn parent<'p>(&mut self, path: &'p Path) -> Result<(BorrowedFd<'_>, &'p OsStr), StepError> {
        let step = || format!("make `{}`", path.display());
        let Some(Component::Normal(name)) = path.components().next_back() else {
            return Err(StepError::new(step(), "the path has no name", ""));
        };
        let above = path.parent().unwrap_or(Path::new("/"));
        if above == Path::new("/") {
            return Ok((self.root.as_fd(), name));
        }
        if !self.made.contains_key(above) {
            let directory = self.place(above, Place::Directory)?;
            self.made.insert(above.to_path_buf(), directory);
        }
        match self.made.get(above) {
            Some(directory) => Ok((directory.as_fd(), name)),
            None => Err(StepError::new(step(), "the directory above it is gone", "")),
        }
    }
}

fn move_onto(mount: &OwnedFd, place: &OwnedFd) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, "", place, "", flags)
}

/// What `stat` says of a directory entry, without following links: the entry's type.
pub(crate) fn entry_type(directory: &OwnedFd, name: &str) -> rustix::io::Result<FileType> {
    Ok(FileType::from_raw_mode(rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode))
}
