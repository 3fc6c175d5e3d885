//! Control groups v2: one hierarchy; a group's controllers are passed on to the groups below it by its own processes'
//! leave.
//!
//! The rule of "no internal processes" (cgroup-v2.rst, "Top-down constraint" and the next section): a group other than
//! the root may have processes or pass controllers on, not both. Where the place is the group of this very process, its
//! processes are first moved to a leaf of it, [`LEAF`].

use super::detect::{Membership, Mount};
use super::files::Files;
use super::{CPU_PERIOD_US, CgroupError, Enforced, Limits, PARENT, Usage, group::step, keyed, quota_us};
use rustix::io::Errno;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The controllers of use here.
const CONTROLLERS: [&str; 4] = ["memory", "cpu", "pids", "io"];
/// Where processes go that stood in a group that has to pass its controllers on.
const LEAF: &str = "nanoclaw-supervisor";
/// How often processes that appeared meanwhile are moved.
const ROUNDS: u32 = 16;

/// Where groups can be made.
#[derive(Clone, Debug)]
pub struct Place {
    pub(super) files: Arc<dyn Files>,
    /// The group that [`PARENT`] is made in.
    base: PathBuf,
    /// Those of [`CONTROLLERS`] that can be had there.
    controllers: Vec<&'static str>,
}

impl Place {
    pub(super) fn find(files: &Arc<dyn Files>, mounts: &[Mount], memberships: &[Membership]) -> Option<Self> {
        let mount = mounts.iter().find(|mount| mount.controllers.is_none())?;
        let own = memberships
            .iter()
            .find(|membership| membership.controllers.is_empty())
            .and_then(|membership| mount.directory(&membership.path))
            .map(|own| if own.ends_with(LEAF) { own.parent().map(Path::to_owned).unwrap_or(own) } else { own });
        // Delegation means the directory and these files (cgroup-v2.rst, "Delegation").
        let delegated = |directory: &PathBuf| {
            files.writable(directory)
                && ["cgroup.procs", "cgroup.subtree_control"].iter().all(|file| files.writable(&directory.join(file)))
        };
        let base = [Some(mount.point.clone()), own].into_iter().flatten().find(delegated)?;
        let available = files.read(&base.join("cgroup.controllers")).ok()?;
        let controllers: Vec<_> = CONTROLLERS.into_iter().filter(|name| has(&available, name)).collect();
        let useful = ["memory", "cpu", "pids"].iter().any(|name| controllers.contains(name));
        useful.then(|| Self { files: Arc::clone(files), base, controllers })
    }

    pub(super) fn enforced(&self) -> Enforced {
        let has = |controller| self.controllers.contains(&controller);
        Enforced { memory: has("memory"), cpu: has("cpu"), pids: has("pids"), io: has("io") }
    }

    /// The directory that holds the groups of all cells.
    pub(super) fn parent(&self) -> PathBuf {
        self.base.join(PARENT)
    }

    /// Sees to it that groups in [`Place::parent`] have the controllers. One read if they already do.
    pub(super) fn prepare(&self) -> Result<(), CgroupError> {
        let parent = self.parent();
        if self.missing(&parent).is_ok_and(|missing| missing.is_empty()) {
            return Ok(());
        }
        match self.files.make(&parent) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(step("create".to_owned(), &parent)(error));
            }
            _ => {}
        }
        match self.pass_on(&self.base) {
            Err(CgroupError::Step { source, .. }) if source.raw_os_error() == Some(Errno::BUSY.raw_os_error()) => {
                self.clear()?;
                self.pass_on(&self.base)?;
            }
            other => other?,
        }
        self.pass_on(&parent)
    }

    /// Which controllers `group` does not pass on yet.
    fn missing(&self, group: &Path) -> io::Result<Vec<&'static str>> {
        let passed_on = self.files.read(&group.join("cgroup.subtree_control"))?;
        Ok(self.controllers.iter().copied().filter(|name| !has(&passed_on, name)).collect())
    }

    fn pass_on(&self, group: &Path) -> Result<(), CgroupError> {
        let file = group.join("cgroup.subtree_control");
        let missing = self.missing(group).map_err(step("read".to_owned(), &file))?;
        if missing.is_empty() {
            return Ok(());
        }
        let text = missing.iter().map(|name| format!("+{name}")).collect::<Vec<_>>().join(" ");
        self.files.write(&file, &text).map_err(step(format!("write `{text}` to"), &file))
    }

    /// Moves the processes of the base to its leaf.
    fn clear(&self) -> Result<(), CgroupError> {
        let leaf = self.base.join(LEAF);
        match self.files.make(&leaf) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(step("create".to_owned(), &leaf)(error));
            }
            _ => {}
        }
        let (from, to) = (self.base.join("cgroup.procs"), leaf.join("cgroup.procs"));
        for _ in 0..ROUNDS {
            let members = self.files.read(&from).map_err(step("read".to_owned(), &from))?;
            if members.trim().is_empty() {
                break;
            }
            for pid in members.lines() {
                match self.files.write(&to, pid) {
                    Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {}
                    other => other.map_err(step(format!("move process {pid} to"), &leaf))?,
                }
            }
        }
        Ok(())
    }

    pub(super) fn limit(&self, name: &str, limits: &Limits) -> Result<(), CgroupError> {
        let group = self.parent().join(name);
        let write = |file: &str, text: String| {
            let path = group.join(file);
            self.files.write(&path, &text).map_err(step(format!("write `{text}` to"), &path))
        };
        if let Some(bytes) = limits.memory_bytes {
            write("memory.max", bytes.to_string())?;
            match write("memory.swap.max", "0".to_owned()) {
                // A kernel that was built without swap has no such file.
                Err(CgroupError::Step { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
            write("memory.oom.group", "1".to_owned())?;
        }
        if let Some(millis) = limits.cpu_millis {
            write("cpu.max", format!("{} {CPU_PERIOD_US}", quota_us(millis)))?;
        }
        if let Some(pids) = limits.pids {
            write("pids.max", pids.to_string())?;
        }
        Ok(())
    }

    pub(super) fn usage(&self, name: &str) -> Usage {
        let group = self.parent().join(name);
        let read = |file: &str| self.files.read(&group.join(file)).ok();
        let number = |file: &str| read(file)?.trim().parse().ok();
        let io = read("io.stat");
        Usage {
            cpu_us: read("cpu.stat").and_then(|text| keyed(&text, "usage_usec")),
            memory_peak_bytes: number("memory.peak"),
            memory_now_bytes: number("memory.current"),
            pids_now: number("pids.current"),
            io_read_bytes: io.as_deref().map(|text| transferred(text, "rbytes=")),
            io_write_bytes: io.as_deref().map(|text| transferred(text, "wbytes=")),
            oom_kills: read("memory.events").and_then(|text| keyed(&text, "oom_kill")),
            pids_refused: read("pids.events").and_then(|text| keyed(&text, "max")),
        }
    }
}

/// Whether a list of names separated by spaces has this one.
fn has(list: &str, name: &str) -> bool {
    list.split_whitespace().any(|each| each == name)
}

/// The bytes of all devices in lines of `major:minor key=bytes key=bytes …`.
fn transferred(text: &str, key: &str) -> u64 {
    text.split_whitespace().filter_map(|field| field.strip_prefix(key)?.parse().ok()).fold(0, u64::saturating_add)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cgroup v2: {} in {}", self.controllers.join(", "), self.base.display())
    }
}

#[cfg(test)]
mod tests;
