//! One cell's control group, from its making to its removal, over v1 and v2 alike.

use super::files::Files;
use super::{CgroupError, Limits, Support, Usage, kill, v1, v2};
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest name of a group, in bytes.
const NAME_MAX: usize = 200;
/// How often removing is tried while processes are on their way out, and for how long the first wait is; each wait is
/// twice the one before, so that it is about half a second altogether.
const ATTEMPTS: u32 = 13;
const FIRST_WAIT: Duration = Duration::from_micros(60);

/// The control group of one cell: `nanoclaw/<name>`. Dropped, it is removed if it is empty.
#[derive(Debug)]
pub struct Cgroup {
    place: Place,
    name: String,
    /// The directories that were made, one per hierarchy.
    directories: Vec<PathBuf>,
}

/// The ways into a group.
#[derive(Debug, Default)]
pub struct Entrance {
    /// The directory in the unified hierarchy, for `CLONE_INTO_CGROUP` (clone3(2)).
    pub unified: Option<OwnedFd>,
    /// In each hierarchy of its own, the file into which the new process's only thread writes `0`.
    pub tasks: Vec<OwnedFd>,
}

#[derive(Clone, Debug)]
enum Place {
    V1(v1::Places),
    V2(v2::Place),
}

impl Place {
    fn of(support: &Support) -> Result<Self, CgroupError> {
        match support {
            Support::V1(places) => Ok(Self::V1(places.clone())),
            Support::V2(place) => Ok(Self::V2(place.clone())),
            Support::None { why } => Err(CgroupError::Unsupported { why: why.clone() }),
        }
    }

    fn files(&self) -> &dyn Files {
        match self {
            Self::V1(places) => places.files.as_ref(),
            Self::V2(place) => place.files.as_ref(),
        }
    }

    fn parents(&self) -> Vec<PathBuf> {
        match self {
            Self::V1(places) => places.parents().collect(),
            Self::V2(place) => vec![place.parent()],
        }
    }
}

impl Cgroup {
    /// Makes the group and sets its limits.
    ///
    /// # Errors
    /// [`CgroupError::NotEnforced`] for a limit that the place cannot enforce, [`CgroupError::Name`] for a name with
    /// other characters than letters, digits, `-` and `_`. What was made before an error is removed.
    pub fn create(support: &Support, name: &str, limits: &Limits) -> Result<Self, CgroupError> {
        let place = Place::of(support)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(plain) {
            return Err(CgroupError::Name { name: name.to_owned() });
        }
        let enforced = support.enforced();
        for (what, asked, can) in [
            ("memory", limits.memory_bytes.is_some(), enforced.memory),
            ("cpu", limits.cpu_millis.is_some(), enforced.cpu),
            ("pids", limits.pids.is_some(), enforced.pids),
        ] {
            if asked && !can {
                return Err(CgroupError::NotEnforced { what });
            }
        }
        if let Place::V2(place) = &place {
            place.prepare()?;
        }
        let mut group = Self { place, name: name.to_owned(), directories: Vec::new() };
        for parent in group.place.parents() {
            group.make(&parent)?;
        }
        match &group.place {
            Place::V1(places) => places.limit(name, limits)?,
            Place::V2(place) => place.limit(name, limits)?,
        }
        Ok(group)
    }

    fn make(&mut self, parent: &Path) -> Result<(), CgroupError> {
        let files = self.place.files();
        let directory = parent.join(&self.name);
        let made = match files.make(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match files.make(parent) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                        return Err(step("create".to_owned(), parent)(error));
                    }
                    _ => {}
                }
                files.make(&directory)
            }
            other => other,
        };
        made.map_err(step("create".to_owned(), &directory))?;
        self.directories.push(directory);
        Ok(())
    }

    /// Moves a process into the group, with all its threads. Its later children are born there.
    pub fn add(&self, pid: i32) -> Result<(), CgroupError> {
        for directory in &self.directories {
            let written = self.place.files().write(&directory.join("cgroup.procs"), &pid.to_string());
            written.map_err(step(format!("move process {pid} to"), directory))?;
        }
        Ok(())
    }

    /// Opens the ways into the group for a process that is about to be cloned. Entering by these takes no lock that
    /// waits for the whole machine (an RCU grace period, often 10 ms), which moving a running process does.
    pub fn entrance(&self) -> Result<Entrance, CgroupError> {
        let mut entrance = Entrance::default();
        for directory in &self.directories {
            let tasks = directory.join("tasks");
            match File::options().write(true).open(&tasks) {
                Ok(file) => entrance.tasks.push(file.into()),
                // The unified hierarchy has no such file.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let opened = File::open(directory).map_err(step("open".to_owned(), directory))?;
                    entrance.unified = Some(opened.into());
                }
                Err(error) => return Err(step("open".to_owned(), &tasks)(error)),
            }
        }
        Ok(entrance)
    }

    /// What the group has used until now.
    pub fn usage(&self) -> Usage {
        match &self.place {
            Place::V1(places) => places.usage(&self.name),
            Place::V2(place) => place.usage(&self.name),
        }
    }

    /// Kills every process of the group. They may still be on their way out when this returns.
    ///
    /// # Errors
    /// If the kernel refuses, or processes appear faster than they can be killed for a second.
    pub fn kill_all(&self) -> Result<(), CgroupError> {
        let files = self.place.files();
        // Only the unified hierarchy has the file; beside v1 its directory is the last.
        for directory in self.directories.iter().rev() {
            if files.write(&directory.join("cgroup.kill"), "1").is_ok() {
                return Ok(());
            }
        }
        let Some(directory) = self.directories.first() else { return Ok(()) };
        let kill = |directory: &Path| kill::all_in(files, directory);
        let killed = match &self.place {
            Place::V1(places) => match places.freezer(&self.name).filter(|group| self.directories.contains(group)) {
                Some(freezer) => frozen(files, &freezer).and_then(|()| kill(&freezer)),
                None => kill(directory),
            },
            Place::V2(_) => kill(directory),
        };
        killed.map_err(step("kill the processes of".to_owned(), directory))
    }

    /// Removes the group, waiting for up to half a second while processes are on their way out.
    ///
    /// # Errors
    /// If processes are still in it then; [`sweep`] can remove it later.
    pub fn remove(mut self) -> Result<(), CgroupError> {
        let mut wait = FIRST_WAIT;
        for _ in 1..ATTEMPTS {
            match self.remove_once() {
                Err(CgroupError::Step { source, .. }) if source.kind() == io::ErrorKind::ResourceBusy => {
                    std::thread::sleep(wait);
                    wait *= 2;
                }
                other => return other,
            }
        }
        self.remove_once()
    }

    fn remove_once(&mut self) -> Result<(), CgroupError> {
        while let Some(directory) = self.directories.last() {
            match self.place.files().remove(directory) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(step("remove".to_owned(), directory)(error));
                }
                _ => {
                    self.directories.pop();
                }
            }
        }
        Ok(())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // One that still has processes stays; the next sweep takes it.
        let _swept_later = self.remove_once().is_err();
    }
}

/// Kills all that is in a group of the freezer while nothing in it can run, and so none escapes by forking.
fn frozen(files: &dyn Files, freezer: &Path) -> io::Result<()> {
    let state = freezer.join("freezer.state");
    files.write(&state, "FROZEN")?;
    let killed = kill::round(files, freezer);
    files.write(&state, "THAWED")?;
    killed.map(|_| ())
}

/// Removes the groups that no control plane looks after any more, with the processes in them.
///
/// `alive` tells which names are looked after. Returns the names that were removed.
///
/// # Errors
/// The first one, after all others were tried.
pub fn sweep(support: &Support, alive: impl Fn(&str) -> bool) -> Result<Vec<String>, CgroupError> {
    let Ok(place) = Place::of(support) else { return Ok(Vec::new()) };
    let mut found: Vec<(PathBuf, Vec<String>)> = Vec::new();
    for parent in place.parents() {
        match place.files().children(&parent) {
            Ok(names) => found.push((parent, names)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(step("list".to_owned(), &parent)(error)),
        }
    }
    let names: BTreeSet<String> =
        found.iter().flat_map(|(_, names)| names).filter(|name| !alive(name)).cloned().collect();
    let mut first_error = None;
    let mut swept = Vec::new();
    for name in names {
        let holding = found.iter().filter(|(_, names)| names.contains(&name));
        let directories = holding.map(|(parent, _)| parent.join(&name)).collect();
        let group = Cgroup { place: place.clone(), name: name.clone(), directories };
        match group.kill_all().and_then(|()| group.remove()) {
            Ok(()) => swept.push(name),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    first_error.map_or(Ok(swept), Err)
}

/// Names the step that the kernel refused.
pub(super) fn step(action: String, path: &Path) -> impl FnOnce(io::Error) -> CgroupError {
    let path = path.to_owned();
    |source| CgroupError::Step { action, path, source }
}

#[cfg(test)]
mod tests;
