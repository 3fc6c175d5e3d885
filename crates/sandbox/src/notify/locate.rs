//! Finding the file that a path of a cell means, without following anything out of the cell.
//!
//! The walk goes name by name with `O_PATH|O_NOFOLLOW` and reads links itself, so it never leaves the root, whatever
//! the cell swaps meanwhile. The kernel's own `openat2(RESOLVE_IN_ROOT)` would be shorter, but a control plane that is
//! root passes every directory without search permission, and sees neither `/proc/self` (it is not in that PID
//! namespace) nor where `/proc/PID/fd/N` leads, which are the usual ways to hide what a path means.

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, StatVfsMountFlags, StatxFlags, fstat, fstatfs, fstatvfs, openat, readlinkat,
    statx,
};
use rustix::io::Errno;

use super::CellView;
use super::process::Process;
use super::request::{self, PATH_MAX, Place};

/// Links in one walk, as in the kernel (`MAXSYMLINKS`).
const MAX_LINKS: u32 = 40;
/// Names in one walk. The longest path has half as many as bytes, but links and a long way to the working directory
/// can make them more.
const MAX_NAMES: u32 = (PATH_MAX / 2) as u32;
/// What the walk says then; no call that it makes gives this error.
const TOO_MANY_NAMES: Errno = Errno::TOOBIG;
/// `PROC_SUPER_MAGIC` (linux/magic.h).
const PROC: i64 = 0x9fa0;

/// Permission to search a directory or run a file, in one digit of a mode.
pub(super) const EXECUTE: u32 = 1;
/// Permission to write.
pub(super) const WRITE: u32 = 2;
/// Permission to read.
pub(super) const READ: u32 = 4;

/// A file of the cell.
#[derive(Debug)]
pub(super) struct Node {
    fd: OwnedFd,
    pub(super) stat: Stat,
}

impl Node {
    fn new(fd: OwnedFd) -> Result<Self, Errno> {
        let stat = fstat(&fd)?;
        Ok(Self { fd, stat })
    }

    pub(super) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    fn mount_has(&self, flag: StatVfsMountFlags) -> bool {
        fstatvfs(&self.fd).is_ok_and(|fs| fs.f_flag.contains(flag))
    }

    /// Whether its mount, or its file system, is read-only.
    pub(super) fn is_read_only(&self) -> bool {
        self.mount_has(StatVfsMountFlags::RDONLY)
    }

    /// Whether no program may be run from its mount.
    pub(super) fn is_no_exec(&self) -> bool {
        self.mount_has(StatVfsMountFlags::NOEXEC)
    }

    /// Whether the kernel makes it up; then mode bits do not tell.
    pub(super) fn is_proc(&self) -> bool {
        fstatfs(&self.fd).is_ok_and(|fs| fs.f_type == PROC)
    }

    /// Whether both are on the same mount; names cannot be moved or linked across. True where the kernel does not say.
    pub(super) fn shares_mount(&self, other: &Node) -> bool {
        let mount = |node: &Node| {
            let found = statx(&node.fd, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).ok()?;
            StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::MNT_ID).then_some(found.stx_mnt_id)
        };
        match (mount(self), mount(other)) {
            (Some(this), Some(that)) => this == that,
            _ => true,
        }
    }

    fn has_acl(&self) -> bool {
        // An O_PATH descriptor has no attributes of its own, but its path in /proc has.
        let path = format!("/proc/self/fd/{}", self.fd.as_raw_fd());
        rustix::fs::getxattr(path, "system.posix_acl_access", &mut [0_u8; 0]).is_ok()
    }
}

/// Where a path leads.
#[derive(Debug)]
pub(super) enum Located {
    /// To a name in a directory, with or without a file. For `/` and for paths that end in `.` or `..` the directory
    /// is the file itself.
    Entry {
        /// Absolute inside the cell, links resolved.
        path: Vec<u8>,
        /// The directory.
        parent: Rc<Node>,
        /// The file.
        file: Option<Rc<Node>>,
    },
    /// Into a directory that does not exist.
    NoDirectory {
        /// Absolute inside the cell.
        path: Vec<u8>,
        /// The last directory on the way that exists.
        deepest: Rc<Node>,
    },
    /// Through a directory that the caller may not search.
    Closed {
        /// Absolute inside the cell.
        path: Vec<u8>,
    },
    /// To a file without a path: a pipe, a socket, memory, something deleted.
    Unnamed {
        /// What the kernel calls it.
        name: Vec<u8>,
    },
    /// Nowhere, for a reason that has nothing to do with permission: not a directory, too many links, a bad address.
    Nowhere,
}

/// Finds files as one process of a cell sees them.
pub(super) struct Locator<'a> {
    process: Process,
    cell: &'a CellView,
    groups: OnceCell<Option<Vec<u32>>>,
}

/// One name of a path still to be walked.
struct Step {
    name: Vec<u8>,
    /// Whether the directory that it is looked up in must be searchable: not so on the way to where the caller is.
    checked: bool,
}

impl<'a> Locator<'a> {
    pub(super) fn new(pid: u32, cell: &'a CellView) -> Self {
        Self { process: Process::new(pid), cell, groups: OnceCell::new() }
    }

    /// What the caller calls a place, made absolute; empty where that cannot be read.
    pub(super) fn name(&self, place: &Place) -> io::Result<Vec<u8>> {
        let path = self.text(place)?.unwrap_or_default();
        if path.starts_with(b"/") {
            return Ok(request::normalise(b"/", &path));
        }
        let start = self.process.start(place.start)?.unwrap_or_default();
        Ok(if path.is_empty() { start } else { request::normalise(&start, &path) })
    }

    /// Finds a place.
    pub(super) fn locate(&self, place: &Place) -> io::Result<Located> {
        let Some(path) = self.text(place)? else { return Ok(Located::Nowhere) };
        let mut steps = VecDeque::new();
        if !path.starts_with(b"/") {
            if path.is_empty() && !place.empty {
                return Ok(Located::Nowhere);
            }
            let Some(start) = self.process.start(place.start)? else { return Ok(Located::Nowhere) };
            if is_unnamed(&start) {
                return Ok(if path.is_empty() { Located::Unnamed { name: start } } else { Located::Nowhere });
            }
            steps.extend(request::components(&start).map(|name| Step { name: name.to_vec(), checked: false }));
        }
        steps.extend(request::components(&path).map(|name| Step { name: name.to_vec(), checked: true }));
        match self.walk(steps, place.follow || path.ends_with(b"/")) {
            Ok(located) => Ok(located),
            // The kernel would go on where we cannot: nothing may pass unseen for that.
            Err(error @ (TOO_MANY_NAMES | Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => Err(error.into()),
            // What the walk may not open is left to the kernel.
            Err(_) => Ok(Located::Nowhere),
        }
    }

    fn text(&self, place: &Place) -> io::Result<Option<Vec<u8>>> {
        if place.empty && place.pointer == 0 { Ok(Some(Vec::new())) } else { self.process.string(place.pointer) }
    }

    fn walk(&self, mut steps: VecDeque<Step>, follow: bool) -> Result<Located, Errno> {
        let root = Rc::new(Node::new(open_path(&self.cell.root, b".")?)?);
        let mut above: Vec<(Vec<u8>, Rc<Node>)> = Vec::new();
        let (mut links, mut names) = (0, 0);
        while let Some(Step { name, checked }) = steps.pop_front() {
            names += 1;
            let here = above.last().map_or(&root, |(_, node)| node);
            if names > MAX_NAMES {
                return Err(TOO_MANY_NAMES);
            }
            if here.kind() != FileType::Directory {
                return Ok(Located::Nowhere);
            }
            if checked && !self.may(here, EXECUTE) {
                return Ok(Located::Closed { path: rest(&above, &name, &steps) });
            }
            match name.as_slice() {
                b"." => continue,
                b".." => {
                    above.pop();
                    continue;
                }
                _ => {}
            }
            let node = match open_path(&here.fd, &name).and_then(Node::new) {
                Ok(node) => node,
                Err(Errno::NOENT) => {
                    let (path, here) = (rest(&above, &name, &steps), Rc::clone(here));
                    return Ok(if steps.is_empty() {
                        Located::Entry { path, parent: here, file: None }
                    } else {
                        Located::NoDirectory { path, deepest: here }
                    });
                }
                Err(error) => return Err(error),
            };
            if node.kind() == FileType::Symlink && (follow || !steps.is_empty()) {
                links += 1;
                let target = self.target(&node, &name)?;
                if links > MAX_LINKS || target.is_empty() {
                    return Ok(Located::Nowhere);
                }
                if is_unnamed(&target) && node.is_proc() {
                    return Ok(if steps.is_empty() { Located::Unnamed { name: target } } else { Located::Nowhere });
                }
                if target.starts_with(b"/") {
                    above.clear();
                }
                for name in request::components(&target).rev() {
                    steps.push_front(Step { name: name.to_vec(), checked: true });
                }
            } else if steps.is_empty() {
                let path = rest(&above, &name, &steps);
                return Ok(Located::Entry { path, parent: Rc::clone(here), file: Some(Rc::new(node)) });
            } else {
                above.push((name, Rc::new(node)));
            }
        }
        let here = Rc::clone(above.last().map_or(&root, |(_, node)| node));
        let path = request::absolute(above.iter().map(|(name, _)| name.as_slice()));
        Ok(Located::Entry { path, parent: Rc::clone(&here), file: Some(here) })
    }

    /// What a link says. `/proc/self` says nothing to a reader from another PID namespace, so the caller's own answer is
    /// put in its place.
    fn target(&self, link: &Node, name: &[u8]) -> Result<Vec<u8>, Errno> {
        match readlinkat(&link.fd, "", Vec::new()) {
            Ok(target) => Ok(target.into_bytes()),
            Err(Errno::NOENT) if link.is_proc() => {
                let (process, thread) = self.process.own_pids().map_err(|_| Errno::NOENT)?;
                match name {
                    b"self" => Ok(process.to_string().into_bytes()),
                    b"thread-self" => Ok(format!("{process}/task/{thread}").into_bytes()),
                    _ => Err(Errno::NOENT),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the caller owns a file, or might (in /proc).
    pub(super) fn owns(&self, node: &Node) -> bool {
        node.stat.st_uid == self.cell.uid || node.is_proc()
    }

    /// Whether mode bits let the caller do something to a file (a sum of [`READ`], [`WRITE`] and [`EXECUTE`]); true where they
    /// are not all there is to it.
    pub(super) fn may(&self, node: &Node, wanted: u32) -> bool {
        let grants = |shift: u32| node.stat.st_mode >> shift & wanted == wanted;
        let granted = if node.stat.st_uid == self.cell.uid {
            grants(6)
        } else if node.stat.st_gid == self.cell.gid {
            grants(3)
        } else if grants(3) == grants(0) {
            grants(0)
        } else {
            match self.groups() {
                Some(groups) if groups.contains(&node.stat.st_gid) => grants(3),
                Some(_) => grants(0),
                None => true,
            }
        };
        granted || node.is_proc() || node.has_acl()
    }

    fn groups(&self) -> Option<&Vec<u32>> {
        self.groups.get_or_init(|| self.process.groups().ok()).as_ref()
    }
}

/// Whether this is what the kernel says of a file without a path.
fn is_unnamed(target: &[u8]) -> bool {
    !target.starts_with(b"/") && target.contains(&b':') || target.ends_with(b" (deleted)")
}

/// The path of `name` in the directory that the walk has come to, with what was left to walk.
fn rest(above: &[(Vec<u8>, Rc<Node>)], name: &[u8], steps: &VecDeque<Step>) -> Vec<u8> {
    let here = request::absolute(above.iter().map(|(name, _)| name.as_slice()).chain([name]));
    let left = steps.iter().flat_map(|step| [b"/".as_slice(), &step.name]).collect::<Vec<_>>().concat();
    request::normalise(&here, left.strip_prefix(b"/").unwrap_or_default())
}

fn open_path(directory: impl AsFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    openat(directory, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}
