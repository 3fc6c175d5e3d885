//! Where control groups can be made: the mounts and the memberships of this process, read and weighed.
//!
//! A process that may write to the top of a mount (root; in a container, the top of what is mounted there) uses it.
//! Another one uses its own group, if that was delegated to it. Nothing is changed here.

use super::files::{Files, Mounted};
use super::{Support, v1, v2};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Finds where this process may make control groups.
///
/// `mountinfo` and `membership` are the texts of `/proc/self/mountinfo` and `/proc/self/cgroup` (proc(5), cgroups(7));
/// the directories they name are looked up below `root`, which is `/` except in tests.
pub fn detect(mountinfo: &str, membership: &str, root: &Path) -> Support {
    detect_in(&(Arc::new(Mounted { root: root.to_owned() }) as Arc<dyn Files>), mountinfo, membership)
}

pub(super) fn detect_in(files: &Arc<dyn Files>, mountinfo: &str, membership: &str) -> Support {
    let mounts: Vec<Mount> = mountinfo.lines().filter_map(Mount::parse).collect();
    let memberships: Vec<Membership> = membership.lines().filter_map(Membership::parse).collect();
    if mounts.is_empty() {
        return Support::None {
            why: "no control groups are mounted on this host; mount cgroup2 at /sys/fs/cgroup".to_owned(),
        };
    }
    if let Some(place) = v2::Place::find(files, &mounts, &memberships) {
        return Support::V2(place);
    }
    if let Some(places) = v1::Places::find(files, &mounts, &memberships) {
        return Support::V1(places);
    }
    Support::None {
        why: "this user may not make control groups here; run as root, or under `systemd-run --user --scope -p \
              Delegate=yes`, or let root give the directory of the present group in each hierarchy to this user"
            .to_owned(),
    }
}

/// A mounted hierarchy.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// The group that is at the top of the mount.
    top: PathBuf,
    pub(super) point: PathBuf,
    /// The controllers; `None` for the unified hierarchy.
    pub(super) controllers: Option<Vec<String>>,
}

impl Mount {
    /// A line of mountinfo, if it is a hierarchy of control groups.
    fn parse(line: &str) -> Option<Self> {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (top, point) = (unescaped(mount.next()?), unescaped(mount.next()?));
        let mut file_system = file_system.split(' ');
        let controllers = match file_system.next()? {
            "cgroup" => Some(file_system.nth(1)?.split(',').map(str::to_owned).collect()),
            "cgroup2" => None,
            _ => return None,
        };
        Some(Self { top: top.into(), point: point.into(), controllers })
    }

    /// The directory of the group at `path` of the hierarchy, if this mount shows it.
    pub(super) fn directory(&self, path: &Path) -> Option<PathBuf> {
        let below = path.strip_prefix(&self.top).ok()?;
        below.components().all(|part| matches!(part, Component::Normal(_))).then(|| self.point.join(below))
    }
}

/// Which group of a hierarchy this process is in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Membership {
    /// Empty for the unified hierarchy.
    pub(super) controllers: Vec<String>,
    pub(super) path: PathBuf,
}

impl Membership {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.splitn(3, ':').skip(1);
        let controllers = fields.next()?.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        Some(Self { controllers, path: fields.next()?.into() })
    }
}

/// Undoes the octal escapes of mountinfo (`\040` is a space).
fn unescaped(field: &str) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let [first, tail @ ..] = rest {
        let escape = tail.first_chunk::<3>().filter(|_| *first == b'\\');
        let code = escape.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(code.unwrap_or(*first));
        rest = code.and_then(|_| tail.get(3..)).unwrap_or(tail);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
