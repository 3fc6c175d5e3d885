//! A host in memory, for tests: groups that behave as the kernel's documentation says, and a record of what was done.

use super::files::Files;
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Files that every new group of v1 has here, whatever the hierarchy.
const V1_FILES: [&str; 8] = [
    "cgroup.procs",
    "memory.limit_in_bytes",
    "memory.memsw.limit_in_bytes",
    "memory.swappiness",
    "cpu.cfs_period_us",
    "cpu.cfs_quota_us",
    "pids.max",
    "freezer.state",
];
/// Files of a group of v2, and the controller that brings them.
const V2_FILES: [(&str, &str); 10] = [
    ("", "cgroup.procs"),
    ("", "cgroup.subtree_control"),
    ("", "cgroup.controllers"),
    ("", "cgroup.type"),
    ("", "cgroup.kill"),
    ("memory", "memory.max"),
    ("memory", "memory.swap.max"),
    ("memory", "memory.oom.group"),
    ("cpu", "cpu.max"),
    ("pids", "pids.max"),
];

#[derive(Debug, Default)]
pub(super) struct Fake {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<PathBuf, String>,
    groups: BTreeSet<PathBuf>,
    /// Tops of v2 mounts; a group below one is of v2.
    unified: Vec<PathBuf>,
    /// Groups below these get no files of controllers.
    barren: Vec<PathBuf>,
    /// What the user may write to; everything, if empty.
    writable: Vec<PathBuf>,
    done: Vec<String>,
}

impl Fake {
    /// A group that is there, with these files.
    pub(super) fn group(self, path: &str, files: &[(&str, &str)]) -> Self {
        {
            let mut state = self.state.lock().unwrap();
            state.groups.insert(path.into());
            for (name, text) in files {
                state.files.insert(Path::new(path).join(name), (*text).to_owned());
            }
        }
        self
    }

    /// The top of a v2 mount, where it passes on these controllers of those it has.
    pub(super) fn unified(self, path: &str, has: &str, passes_on: &str) -> Self {
        self.state.lock().unwrap().unified.push(path.into());
        let files = [("cgroup.controllers", has), ("cgroup.subtree_control", passes_on), ("cgroup.procs", "1\n2\n")];
        self.group(path, &files)
    }

    /// The user may write only to these.
    pub(super) fn only_writable(self, paths: &[&str]) -> Self {
        self.state.lock().unwrap().writable = paths.iter().map(PathBuf::from).collect();
        self
    }

    pub(super) fn shared(self) -> (Arc<Self>, Arc<dyn Files>) {
        let shared = Arc::new(self);
        (Arc::clone(&shared), shared)
    }

    /// What was done since the last call: `mkdir`, `rmdir` and `write`.
    pub(super) fn done(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().done)
    }

    /// Puts a text into a file, as the kernel would.
    pub(super) fn set(&self, path: &str, text: &str) {
        self.state.lock().unwrap().files.insert(path.into(), text.to_owned());
    }

    /// From now on groups made in this one have no files of controllers.
    pub(super) fn forget_controllers(&self, group: &str) {
        self.state.lock().unwrap().barren.push(group.into());
    }

    /// Takes a file away.
    pub(super) fn lose(&self, path: &str) {
        self.state.lock().unwrap().files.remove(Path::new(path)).unwrap();
    }
}

impl State {
    fn is_unified(&self, group: &Path) -> bool {
        self.unified.iter().any(|top| group.starts_with(top))
    }

    fn text(&self, path: PathBuf) -> &str {
        self.files.get(&path).map_or("", String::as_str)
    }
}

impl Files for Fake {
    fn read(&self, path: &Path) -> io::Result<String> {
        self.state.lock().unwrap().files.get(path).cloned().ok_or(io::ErrorKind::NotFound.into())
    }

    fn write(&self, path: &Path, text: &str) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        if !state.files.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let group = path.parent().unwrap();
        let written = if path.ends_with("cgroup.subtree_control") {
            let is_root =
                state.unified.iter().any(|top| top == group) && !state.files.contains_key(&group.join("cgroup.type"));
            if !is_root && !state.text(group.join("cgroup.procs")).is_empty() {
                return Err(Errno::BUSY.into());
            }
            text.replace('+', "")
        } else if path.ends_with("cgroup.procs") && state.is_unified(group) {
            for (other, members) in &mut state.files {
                if other.ends_with("cgroup.procs") {
                    *members = members.lines().filter(|pid| *pid != text).map(|pid| format!("{pid}\n")).collect();
                }
            }
            format!("{text}\n")
        } else {
            text.to_owned()
        };
        state.done.push(format!("write {} {text}", path.display()));
        state.files.insert(path.to_owned(), written);
        Ok(())
    }

    fn make(&self, directory: &Path) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        let parent = directory.parent().unwrap();
        if !state.groups.contains(parent) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if !state.groups.insert(directory.to_owned()) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let born: Vec<&str> = if state.is_unified(directory) {
            let barren = state.barren.iter().any(|group| group == parent);
            let passed_on = state.text(parent.join("cgroup.subtree_control")).to_owned();
            let has = |controller: &str| !barren && passed_on.split(' ').any(|name| name == controller);
            let comes = |controller: &str| controller.is_empty() || has(controller);
            V2_FILES.iter().filter(|(controller, _)| comes(controller)).map(|(_, file)| *file).collect()
        } else {
            V1_FILES.to_vec()
        };
        for file in born {
            state.files.insert(directory.join(file), String::new());
        }
        state.done.push(format!("mkdir {}", directory.display()));
        Ok(())
    }

    fn remove(&self, directory: &Path) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        if !state.groups.remove(directory) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.files.retain(|path, _| path.parent() != Some(directory));
        state.done.push(format!("rmdir {}", directory.display()));
        Ok(())
    }

    fn children(&self, directory: &Path) -> io::Result<Vec<String>> {
        let state = self.state.lock().unwrap();
        if !state.groups.contains(directory) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = state.groups.iter().filter(|group| group.parent() == Some(directory));
        Ok(inside.map(|group| group.file_name().unwrap().to_str().unwrap().to_owned()).collect())
    }

    fn writable(&self, path: &Path) -> bool {
        let state = self.state.lock().unwrap();
        let exists = state.groups.contains(path) || state.files.contains_key(path);
        exists && (state.writable.is_empty() || state.writable.iter().any(|allowed| allowed == path))
    }
}
