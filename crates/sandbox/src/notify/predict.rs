//! What the kernel will say to a change or a program, in the order in which it looks (Linux 6.18, fs/namei.c, open.c,
//! attr.c, exec.c).

use std::io;
use std::rc::Rc;

use nanoclaw_config::SandboxMode;
use nanoclaw_request::Action;
use rustix::fs::FileType;

use super::locate::{EXECUTE, Located, Locator, Node, READ, WRITE};
use super::request::{Change, FileChange, Place};
use super::{Answer, Decoded};

/// The bit of `O_TMPFILE` that is not `O_DIRECTORY`.
const UNNAMED: i32 = 0o20_000_000;

/// What belongs on record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Prediction {
    /// Nothing: the call fails for a reason that is no refusal, or changes no file.
    Nothing,
    /// The file at this path, and the errno that stands in the way.
    File {
        /// Absolute inside the cell.
        path: Vec<u8>,
        /// The old name of what gets this one.
        old: Option<Vec<u8>>,
        /// The errno.
        obstacle: Option<i32>,
    },
}

impl Prediction {
    pub(super) fn forbidden(path: Vec<u8>, errno: i32) -> Self {
        Self::File { path, old: None, obstacle: Some(errno) }
    }

    pub(super) fn into_decoded(self, action: impl Fn(String, Option<i32>) -> Action) -> Option<Decoded> {
        match self {
            Self::Nothing => None,
            Self::File { path, old, obstacle } => {
                let at = |path: Vec<u8>| action(String::from_utf8_lossy(&path).into_owned(), obstacle);
                let answer = obstacle.map_or(Answer::Continue, Answer::Errno);
                Some(Decoded { action: at(path), beside: old.map(at), answer })
            }
        }
    }
}

/// The outcome of the kernel's checks.
enum Check {
    /// None of them stands in the way.
    Passed,
    /// This errno, which is a refusal.
    Refused(i32),
    /// An error that is no refusal, or no change.
    Ordinary,
}
use Check::{Ordinary, Passed, Refused};

/// Predicts a change.
pub(super) fn file(locator: &Locator<'_>, change: &FileChange) -> io::Result<Prediction> {
    let (path, parent, file) = match locator.locate(&change.place)? {
        Located::Entry { path, parent, file } => (path, parent, file),
        Located::Closed { path } => return Ok(Prediction::forbidden(path, libc::EACCES)),
        // The kernel says ENOENT. But where even the directory could not be made, the attempt to write there belongs on
        // record, and it is what an attack on a host file looks like in a cell that does not have it.
        Located::NoDirectory { path, deepest } if creates(&change.change) && deepest.is_read_only() => {
            return Ok(Prediction::forbidden(path, libc::ENOENT));
        }
        Located::NoDirectory { .. } | Located::Unnamed { .. } | Located::Nowhere => return Ok(Prediction::Nothing),
    };
    // A path that ends in `.` or `..` names no entry that could be made, moved or removed.
    let is_entry = file.as_ref().is_none_or(|file| !Rc::ptr_eq(file, &parent));
    let file = file.as_deref();
    let mut old_name = None;
    let check = match change.change {
        Change::Open { flags } => open(locator, flags, &parent, file),
        Change::Create if file.is_none() => create(locator, &parent),
        Change::Remove if is_entry => remove(locator, &parent, file),
        Change::Link { from } if file.is_none() => match locator.locate(&from)? {
            Located::Entry { path: old_path, file: Some(from), .. } => {
                old_name = Some(old_path);
                match create(locator, &parent) {
                    Refused(libc::EACCES) | Passed if !from.shares_mount(&parent) => Ordinary,
                    check => check,
                }
            }
            Located::Closed { path } => return Ok(Prediction::forbidden(path, libc::EACCES)),
            _ => Ordinary,
        },
        Change::Move { from } if is_entry => match locator.locate(&from)? {
            Located::Entry { parent: old, .. } if !old.shares_mount(&parent) => Ordinary,
            Located::Entry { path: old_path, parent: old, file: from } => {
                match remove(locator, &old, from.as_deref()) {
                    Refused(libc::EACCES) => return Ok(Prediction::forbidden(old_path, libc::EACCES)),
                    Passed => {
                        old_name = Some(old_path);
                        enter(locator, &parent)
                    }
                    check => check,
                }
            }
            Located::Closed { path } => return Ok(Prediction::forbidden(path, libc::EACCES)),
            _ => Ordinary,
        },
        Change::Create | Change::Link { .. } | Change::Move { .. } | Change::Remove => Ordinary,
        Change::Truncate | Change::Owner | Change::Times { .. } | Change::Attribute => match file {
            Some(file) => touch(locator, &change.change, file),
            None => Ordinary,
        },
    };
    Ok(match check {
        Passed => Prediction::File { path, old: old_name, obstacle: None },
        Refused(errno) => Prediction::forbidden(path, errno),
        Ordinary => Prediction::Nothing,
    })
}

/// Predicts a program.
pub(super) fn exec(locator: &Locator<'_>, mode: SandboxMode, place: &Place) -> io::Result<Prediction> {
    Ok(match locator.locate(place)? {
        Located::Entry { path, file: Some(file), .. } => {
            let runs = file.kind() == FileType::RegularFile && !file.is_no_exec() && locator.may(&file, EXECUTE);
            Prediction::File { path, old: None, obstacle: (!runs).then_some(libc::EACCES) }
        }
        Located::Closed { path } => Prediction::forbidden(path, libc::EACCES),
        // What was never on a file system was written by the cell.
        Located::Unnamed { name } => {
            let obstacle = (mode == SandboxMode::Restricted).then_some(libc::EACCES);
            Prediction::File { path: name, old: None, obstacle }
        }
        Located::Entry { file: None, .. } | Located::NoDirectory { .. } | Located::Nowhere => Prediction::Nothing,
    })
}

fn creates(change: &Change) -> bool {
    match change {
        Change::Open { flags } => flags & libc::O_CREAT != 0,
        Change::Create | Change::Link { .. } | Change::Move { .. } => true,
        Change::Remove | Change::Truncate | Change::Owner | Change::Times { .. } | Change::Attribute => false,
    }
}

fn open(locator: &Locator<'_>, flags: i32, parent: &Node, file: Option<&Node>) -> Check {
    let has = |flag: i32| flags & flag != 0;
    if has(libc::O_PATH) {
        return Ordinary;
    }
    let Some(file) = file else { return if has(libc::O_CREAT) { create(locator, parent) } else { Ordinary } };
    let wanted = match flags & libc::O_ACCMODE {
        libc::O_RDONLY => READ,
        libc::O_WRONLY => WRITE,
        _ => READ | WRITE,
    } | if has(libc::O_TRUNC) { WRITE } else { 0 };
    match file.kind() {
        FileType::Directory if has(UNNAMED) => create(locator, file),
        FileType::Directory | FileType::Symlink => Ordinary,
        _ if wanted == READ || has(libc::O_CREAT) && has(libc::O_EXCL) => Ordinary,
        FileType::RegularFile if has(libc::O_TRUNC) && file.is_read_only() => Refused(libc::EROFS),
        _ if !locator.may(file, wanted) => Refused(libc::EACCES),
        FileType::RegularFile if file.is_read_only() => Refused(libc::EROFS),
        FileType::RegularFile => Passed,
        // Devices, pipes and sockets can be written through a read-only mount, and are not changed by it.
        _ => Ordinary,
    }
}

/// A new name.
fn create(locator: &Locator<'_>, parent: &Node) -> Check {
    if parent.is_read_only() { Refused(libc::EROFS) } else { enter(locator, parent) }
}

/// A directory's list of names is changed.
fn enter(locator: &Locator<'_>, directory: &Node) -> Check {
    if locator.may(directory, WRITE | EXECUTE) { Passed } else { Refused(libc::EACCES) }
}

fn remove(locator: &Locator<'_>, parent: &Node, file: Option<&Node>) -> Check {
    if parent.is_read_only() {
        return Refused(libc::EROFS);
    }
    if file.is_none() { Ordinary } else { enter(locator, parent) }
}

/// Content or attributes of an existing file are changed.
fn touch(locator: &Locator<'_>, change: &Change, file: &Node) -> Check {
    if matches!(change, Change::Truncate) && file.kind() != FileType::RegularFile {
        return Ordinary;
    }
    if file.is_read_only() {
        return Refused(libc::EROFS);
    }
    match change {
        Change::Truncate | Change::Attribute if !locator.may(file, WRITE) => Refused(libc::EACCES),
        Change::Owner if !locator.owns(file) => Refused(libc::EPERM),
        Change::Times { now: false } if !locator.owns(file) => Refused(libc::EPERM),
        Change::Times { now: true } if !locator.owns(file) && !locator.may(file, WRITE) => Refused(libc::EACCES),
        _ => Passed,
    }
}
