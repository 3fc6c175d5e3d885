//! Control groups v1: a hierarchy per controller, or per few that are mounted together (`cpu,cpuacct`).

use super::detect::{Membership, Mount};
use super::files::Files;
use super::{CPU_PERIOD_US, CgroupError, Enforced, Limits, PARENT, Usage, group::step, keyed, quota_us};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The controllers of use here. Some only where they are needed and work, see [`Places::find`].
const CONTROLLERS: [&str; 6] = ["memory", "cpu", "pids", "blkio", "cpuacct", "freezer"];

/// Bytes read and written, by device.
const IO_BYTES: &str = "blkio.throttle.io_service_bytes";

/// Where groups can be made, one place per hierarchy.
#[derive(Clone, Debug)]
pub struct Places {
    pub(super) files: Arc<dyn Files>,
    pub(super) hierarchies: Vec<Hierarchy>,
    /// The unified hierarchy beside them, without controllers: it counts CPU time and kills.
    pub(super) unified: Option<PathBuf>,
}

/// A place in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hierarchy {
    /// The group that [`PARENT`] is made in.
    pub(super) base: PathBuf,
    pub(super) controllers: Vec<String>,
}

impl Hierarchy {
    fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|name| name == controller)
    }
}

impl Places {
    pub(super) fn find(files: &Arc<dyn Files>, mounts: &[Mount], memberships: &[Membership]) -> Option<Self> {
        let own = |mount: &Mount, wanted: &dyn Fn(&Membership) -> bool| {
            let membership = memberships.iter().find(|membership| wanted(membership))?;
            mount.directory(&membership.path)
        };
        let usable = |mount: &Mount, own: Option<PathBuf>| {
            [Some(mount.point.clone()), own].into_iter().flatten().find(|directory| files.writable(directory))
        };
        let unified = mounts
            .iter()
            .filter(|mount| mount.controllers.is_none())
            .find_map(|mount| usable(mount, own(mount, &|membership| membership.controllers.is_empty())));
        let mut hierarchies: Vec<Hierarchy> = Vec::new();
        for mount in mounts {
            let Some(options) = &mount.controllers else { continue };
            let fresh = |name: &&String| {
                CONTROLLERS.contains(&name.as_str()) && !hierarchies.iter().any(|hierarchy| hierarchy.has(name))
            };
            let controllers: Vec<String> = options.iter().filter(fresh).cloned().collect();
            let needed = |name: &String| match name.as_str() {
                // What the unified hierarchy does as well is not worth a directory of its own.
                "cpuacct" | "freezer" => unified.is_none(),
                "blkio" => counts_io(files.as_ref(), mount),
                _ => true,
            };
            let same = |membership: &Membership| membership.controllers.iter().any(|name| controllers.contains(name));
            if controllers.iter().any(needed)
                && let Some(base) = usable(mount, own(mount, &same))
            {
                hierarchies.push(Hierarchy { base, controllers });
            }
        }
        let useful = hierarchies.iter().any(|place| ["memory", "cpu", "pids"].iter().any(|name| place.has(name)));
        useful.then(|| Self { files: Arc::clone(files), hierarchies, unified })
    }

    pub(super) fn enforced(&self) -> Enforced {
        let has = |controller| self.hierarchies.iter().any(|hierarchy| hierarchy.has(controller));
        Enforced { memory: has("memory"), cpu: has("cpu"), pids: has("pids"), io: has("blkio") }
    }

    /// The directories that hold the groups of all cells.
    pub(super) fn parents(&self) -> impl Iterator<Item = PathBuf> {
        self.hierarchies.iter().map(|hierarchy| &hierarchy.base).chain(&self.unified).map(|base| base.join(PARENT))
    }

    /// The directory of the group `name` in the hierarchy of `controller`.
    fn directory(&self, controller: &str, name: &str) -> Option<PathBuf> {
        let hierarchy = self.hierarchies.iter().find(|hierarchy| hierarchy.has(controller))?;
        Some(hierarchy.base.join(PARENT).join(name))
    }

    pub(super) fn limit(&self, name: &str, limits: &Limits) -> Result<(), CgroupError> {
        let files = self.files.as_ref();
        let write =
            |path: &Path, text: String| files.write(path, &text).map_err(step(format!("write `{text}` to"), path));
        if let (Some(bytes), Some(group)) = (limits.memory_bytes, self.directory("memory", name)) {
            write(&group.join("memory.limit_in_bytes"), bytes.to_string())?;
            // Memory and swap together: it may not be less than the limit of memory, so it comes second.
            match write(&group.join("memory.memsw.limit_in_bytes"), bytes.to_string()) {
                Err(CgroupError::Step { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                    write(&group.join("memory.swappiness"), "0".to_owned())?;
                }
                other => other?,
            }
        }
        if let (Some(millis), Some(group)) = (limits.cpu_millis, self.directory("cpu", name)) {
            write(&group.join("cpu.cfs_period_us"), CPU_PERIOD_US.to_string())?;
            write(&group.join("cpu.cfs_quota_us"), quota_us(millis).to_string())?;
        }
        if let (Some(pids), Some(group)) = (limits.pids, self.directory("pids", name)) {
            write(&group.join("pids.max"), pids.to_string())?;
        }
        Ok(())
    }

    pub(super) fn usage(&self, name: &str) -> Usage {
        let read = |controller: &str, file: &str| self.files.read(&self.directory(controller, name)?.join(file)).ok();
        let number = |controller: &str, file: &str| read(controller, file)?.trim().parse().ok();
        let unified = || self.files.read(&self.unified.as_ref()?.join(PARENT).join(name).join("cpu.stat")).ok();
        let accounted = || Some(number("cpuacct", "cpuacct.usage")? / 1000);
        let io = read("blkio", IO_BYTES);
        Usage {
            cpu_us: unified().and_then(|text| keyed(&text, "usage_usec")).or_else(accounted),
            memory_peak_bytes: number("memory", "memory.max_usage_in_bytes"),
            memory_now_bytes: number("memory", "memory.usage_in_bytes"),
            pids_now: number("pids", "pids.current"),
            io_read_bytes: io.as_deref().map(|text| transferred(text, "Read")),
            io_write_bytes: io.as_deref().map(|text| transferred(text, "Write")),
            oom_kills: read("memory", "memory.oom_control").and_then(|text| keyed(&text, "oom_kill")),
            pids_refused: read("pids", "pids.events").and_then(|text| keyed(&text, "max")),
        }
    }

    /// The group's directory in the freezer, where that is used.
    pub(super) fn freezer(&self, name: &str) -> Option<PathBuf> {
        self.directory("freezer", name)
    }
}

/// Whether I/O is counted here. Newer kernels (6.18 for one) count only where something is throttled, and one
/// that has counted nothing since it started, on the whole host, counts nothing.
fn counts_io(files: &dyn Files, mount: &Mount) -> bool {
    let counted = files.read(&mount.point.join(IO_BYTES));
    counted.is_ok_and(|text| ["Read", "Write"].iter().any(|operation| transferred(&text, operation) > 0))
}

/// The bytes of all devices in lines of `major:minor operation bytes`.
fn transferred(text: &str, operation: &str) -> u64 {
    let of_line = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        (fields.next()? == operation).then(|| fields.next()?.parse::<u64>().ok()).flatten()
    };
    text.lines().filter_map(of_line).fold(0, u64::saturating_add)
}

impl fmt::Display for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cgroup v1:")?;
        for (position, hierarchy) in self.hierarchies.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            write!(f, "{comma} {} in {}", hierarchy.controllers.join(" and "), hierarchy.base.display())?;
        }
        if let Some(unified) = &self.unified {
            write!(f, ", kill in {}", unified.display())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
