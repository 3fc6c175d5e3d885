//! Skills: folders with instructions for certain tasks, which the model reads when it has such a task.
//!
//! A skill is a folder with a `SKILL.md`, whose front matter has its name and what it is for. These are told to the model
//! in its system prompt; the rest is read with the tool `skill_read`. The folders come from the configuration and can
//! only be read, but their files may come from anywhere: what is read in the name of a skill lies in its folder, and a
//! link leads nowhere.

mod front;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Dir, Mode, OFlags, openat};
use rustix::io::Errno;

use crate::{log, plain};

/// Most skills of an agent; further ones are left out.
pub(crate) const MOST_SKILLS: usize = 64;

/// Most entries of the directory that are looked at.
const MOST_ENTRIES: usize = 1024;

/// Longest front matter in bytes.
const MAX_FRONT: u64 = 16 * 1024;

/// Longest name in bytes.
const LONGEST_NAME: usize = 64;

/// Longest description in bytes; longer ones are cut.
const LONGEST_DESCRIPTION: usize = 1024;

/// Longest list of skills in the system prompt in bytes; skills that do not fit are left out.
const LONGEST_LIST: usize = 16 * 1024;

/// The file that every skill has.
pub(crate) const MAIN_FILE: &str = "SKILL.md";

/// The skills of an agent.
#[derive(Debug, Default)]
pub(crate) struct Skills {
    /// By name.
    skills: BTreeMap<String, Skill>,
}

/// One skill.
#[derive(Debug)]
struct Skill {
    /// Where its folder is.
    path: PathBuf,
    /// The folder itself, which stays the same whatever is renamed.
    folder: OwnedFd,
    description: String,
}

/// Why a file of a skill cannot be read, in words for the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoFile(pub(crate) String);

impl Skills {
    /// The skills in `directory`. Those that cannot be used are left out with a note in the log.
    pub(crate) fn find(directory: &Path) -> Self {
        let mut found = Self::default();
        match folders(directory) {
            Ok(folders) => found.add(directory, folders),
            Err(error) => log::note(&format!("skills: `{}` cannot be read: {error}", directory.display())),
        }
        found
    }

    fn add(&mut self, directory: &Path, folders: Vec<(OsString, OwnedFd)>) {
        let mut listed = 0;
        for (entry, folder) in folders {
            let path = directory.join(&entry);
            let skip = |why: &str| log::note(&format!("skills: `{}` is left out: {why}", path.display()));
            let (name, description) = match head(&folder) {
                Ok(head) => head,
                Err(why) => {
                    skip(&why);
                    continue;
                }
            };
            if let Some(other) = self.skills.get(&name) {
                skip(&format!("`{}` has the same name", other.path.display()));
                continue;
            }
            let skill = Skill { path: path.clone(), folder, description };
            let length = line(&name, &skill).len();
            if self.skills.len() == MOST_SKILLS || listed + length > LONGEST_LIST {
                skip("there are too many skills");
                continue;
            }
            listed += length;
            self.skills.insert(name, skill);
        }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.skills.is_empty()
    }

    /// A line for each skill: name, folder, what it is for.
    pub(crate) fn list(&self) -> String {
        self.skills.iter().map(|(name, skill)| line(name, skill)).collect()
    }

    /// Opens a file in the folder of a skill.
    pub(crate) fn open(&self, name: &str, file: &str) -> Result<File, NoFile> {
        let Some(skill) = self.skills.get(name) else {
            let known: Vec<&str> = self.skills.keys().map(String::as_str).collect();
            return Err(NoFile(format!("there is no skill `{name}`; there are: {}", known.join(", "))));
        };
        open(&skill.folder, file).map_err(|error| NoFile(format!("`{file}` of the skill `{name}` {}", why(error))))
    }
}

fn line(name: &str, skill: &Skill) -> String {
    format!("- {name} ({}): {}\n", plain::line(&skill.path.to_string_lossy(), 512), skill.description)
}

/// The folders in a directory, by name. Links are none.
fn folders(directory: &Path) -> io::Result<Vec<(OsString, OwnedFd)>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, directory, flags, Mode::empty())?;
    let mut names: Vec<OsString> = Vec::new();
    for entry in Dir::read_from(&root)?.take(MOST_ENTRIES) {
        let entry = entry?;
        let name = std::os::unix::ffi::OsStrExt::from_bytes(entry.file_name().to_bytes());
        if !std::os::unix::ffi::OsStrExt::as_bytes(name).starts_with(b".") {
            names.push(OsStr::to_owned(name));
        }
    }
    names.sort_unstable();
    let mut folders = Vec::new();
    for name in names {
        match step(&root, &name) {
            Ok(folder) => folders.push((name, folder)),
            // A file beside the folders, such as a README, is nothing to complain about.
            Err(Errno::NOTDIR) => {}
            Err(error) => {
                let path = directory.join(&name);
                log::note(&format!("skills: `{}` is left out: it {}", path.display(), why(error)));
            }
        }
    }
    Ok(folders)
}

/// Goes into a directory, not through a link.
fn step(folder: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let entered = openat(folder, name, flags, Mode::empty())?;
    match rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&entered)?.st_mode) {
        rustix::fs::FileType::Directory => Ok(entered),
        rustix::fs::FileType::Symlink => Err(Errno::LOOP),
        _ => Err(Errno::NOTDIR),
    }
}

/// Opens a regular file below a folder, one name after the other: cells have no openat2(2).
fn open(folder: &OwnedFd, file: &str) -> Result<File, Errno> {
    let mut names = Vec::new();
    for component in Path::new(file).components() {
        match component {
            Component::Normal(name) => names.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(Errno::XDEV),
        }
    }
    let last = names.pop().ok_or(Errno::ISDIR)?;
    let mut at = folder.try_clone().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    for name in names {
        at = step(&at, name)?;
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = openat(&at, last, flags, Mode::empty())?;
    match rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) {
        rustix::fs::FileType::RegularFile => Ok(File::from(file)),
        rustix::fs::FileType::Directory => Err(Errno::ISDIR),
        _ => Err(Errno::INVAL),
    }
}

fn why(error: Errno) -> String {
    match error {
        Errno::NOENT => "does not exist".to_owned(),
        Errno::XDEV => "is not in its folder".to_owned(),
        Errno::LOOP => "is a link, and links are not followed here".to_owned(),
        Errno::ISDIR => "is a directory".to_owned(),
        // A device that is not there, or a socket, among others.
        Errno::NOTDIR | Errno::INVAL | Errno::NXIO => "is not a regular file".to_owned(),
        error => format!("cannot be read: {error}"),
    }
}

/// Name and description of the skill in a folder.
fn head(folder: &OwnedFd) -> Result<(String, String), String> {
    let file = open(folder, MAIN_FILE).map_err(|error| format!("its {MAIN_FILE} {}", why(error)))?;
    let mut bytes = Vec::new();
    file.take(MAX_FRONT).read_to_end(&mut bytes).map_err(|error| format!("its {MAIN_FILE} cannot be read: {error}"))?;
    let front = front::parse(&String::from_utf8_lossy(&bytes))?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if front.name.len() > LONGEST_NAME || !front.name.bytes().all(fits) {
        return Err(format!("its name must be at most {LONGEST_NAME} letters, digits, `-`, `_` and `.`"));
    }
    Ok((front.name, plain::line(&front.description, LONGEST_DESCRIPTION)))
}

#[cfg(test)]
mod tests;
