//! What this host offers, found out once.

use std::path::{Path, PathBuf};

use nanoclaw_config::Rootfs;
use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, ResolveFlags};

use crate::cgroup::{self, Support};
use crate::error::{Step, StepError};
use crate::plan::{ETC_SHARED, Enforced, HostFacts, RootEntry};
use crate::rootfs::entry_type;

/// Looks at the host for a cell with this root.
pub(crate) fn facts(rootfs: &Rootfs, cgroups: &Support) -> Result<HostFacts, StepError> {
    let base = match rootfs {
        Rootfs::Host => Some(Path::new("/")),
        Rootfs::Directory(directory) => Some(directory.as_path()),
        Rootfs::Minimal => None,
    };
    let (root_entries, etc_shared) = match base {
        Some(base) => (root_entries(base)?, etc_shared(base)),
        None => (Vec::new(), Vec::new()),
    };
    let own_libraries = match base {
        Some(_) => Vec::new(),
        None => own_libraries().step("find NanoClaw's own libraries")?,
    };
    let enforced = cgroups.enforced();
    Ok(HostFacts {
        root_entries,
        etc_shared,
        own_libraries,
        enforced: Enforced { memory: enforced.memory, cpu: enforced.cpu, pids: enforced.pids },
        ipv6: Path::new("/proc/net/if_inet6").exists(),
    })
}

fn root_entries(base: &Path) -> Result<Vec<RootEntry>, StepError> {
    let step = || format!("read the root directory `{}`", base.display());
    let directory = rustix::fs::openat(CWD, base, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .step_help(step(), "`rootfs` must be `host`, `minimal` or a directory")?;
    let mut entries = Vec::new();
    for entry in Dir::read_from(&directory).step(step())? {
        let entry = entry.step(step())?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        match entry_type(&directory, name) {
            _ if matches!(name, "." | "..") => {}
            Ok(FileType::Directory) => entries.push(RootEntry { name: name.to_owned(), link: None }),
            Ok(FileType::Symlink) => {
                let link = rustix::fs::readlinkat(&directory, name, Vec::new()).step(step())?;
                entries.push(RootEntry { name: name.to_owned(), link: Some(link.to_string_lossy().into_owned()) });
            }
            // Plain files in a root directory (boot leftovers, .dockerenv) are nothing that a cell needs.
            Ok(_) | Err(_) => {}
        }
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// The libraries that this process has mapped; none where it is linked statically.
fn own_libraries() -> std::io::Result<Vec<PathBuf>> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let mut libraries: Vec<PathBuf> = maps
        .lines()
        .filter_map(|line| line.find('/').and_then(|at| line.get(at..)))
        .filter(|path| path.contains(".so"))
        .map(PathBuf::from)
        .collect();
    libraries.sort();
    libraries.dedup();
    Ok(libraries)
}

fn etc_shared(base: &Path) -> Vec<String> {
    let etc = base.join("etc");
    // A link in a root directory that somebody made may lead anywhere on the host, past the deny list.
    let stays = |name: &str| {
        let directory = rustix::fs::open(base, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let path = Path::new("etc").join(name);
        directory
            .and_then(|base| rustix::fs::openat2(base, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve))
            .is_ok()
    };
    let exists = |name: &str| if base == Path::new("/") { etc.join(name).exists() } else { stays(name) };
    ETC_SHARED.iter().filter(|name| exists(name)).map(|name| (*name).to_owned()).collect()
}

/// Where control groups can be made here.
pub(crate) fn cgroups() -> Support {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    cgroup::detect(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"), Path::new("/"))
}
