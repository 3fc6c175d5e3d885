//! Disk limits for writable mounts of host directories, which the kernel cannot bound where the file system has no
//! project quotas: the tree is measured, and the cell ends when it has grown past its limit.
//!
//! Walking a large tree is dear, so the free space of its file system is watched meanwhile: a drop by half of what the
//! cell may still write calls for a walk. But others may free as much as the cell takes, so there is a walk now and
//! then in any case, at most a twentieth of the time.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_millis(200);
/// Pause between two walks, where free space gives no reason for one: so many times as long as the last one took, and
/// at least this.
const PAUSE_FACTOR: u32 = 19;
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

struct Watched {
    path: PathBuf,
    used: u64,
    free_then: u64,
    next_walk: Instant,
}

impl Watched {
    async fn measure(path: PathBuf) -> Self {
        let free_then = free(&path);
        let started = Instant::now();
        let (path, used) = measure(path).await;
        let next_walk = Instant::now() + (started.elapsed() * PAUSE_FACTOR).max(SHORTEST_PAUSE);
        Self { path, used, free_then, next_walk }
    }
}

/// Waits until one of `places` holds more than `limit` bytes on top of what it held at the start, and gives its path
/// and how much. Never returns where there are no places.
pub(crate) async fn exceeded(places: Vec<PathBuf>, limit: u64) -> (PathBuf, u64) {
    let mut watched = Vec::new();
    for path in places {
        let place = Watched::measure(path).await;
        watched.push((place.used, place));
    }
    if watched.is_empty() {
        std::future::pending::<()>().await;
    }
    loop {
        tokio::time::sleep(TICK).await;
        for (at_start, place) in &mut watched {
            let grown = place.used.saturating_sub(*at_start);
            let dropped = place.free_then.saturating_sub(free(&place.path));
            if dropped <= limit.saturating_sub(grown) / 2 && Instant::now() < place.next_walk {
                continue;
            }
            *place = Watched::measure(std::mem::take(&mut place.path)).await;
            let grown = place.used.saturating_sub(*at_start);
            if grown > limit {
                return (place.path.clone(), grown);
            }
        }
    }
}

async fn measure(path: PathBuf) -> (PathBuf, u64) {
    let walked = tokio::task::spawn_blocking({
        let path = path.clone();
        move || tree_size(&path)
    });
    let used = walked.await.unwrap_or(0);
    (path, used)
}

/// Bytes that the file system has left, 0 where it cannot be asked: then every tick measures the tree.
fn free(path: &Path) -> u64 {
    rustix::fs::statvfs(path).map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Bytes allocated to the files below `root`, links not followed, other file systems not entered.
fn tree_size(root: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(top) = std::fs::symlink_metadata(root) else { return 0 };
    let mut bytes = top.blocks() * 512;
    let mut directories = if top.is_dir() { vec![root.to_path_buf()] } else { Vec::new() };
    while let Some(directory) = directories.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.dev() != top.dev() {
                continue;
            }
            bytes += metadata.blocks() * 512;
            if metadata.is_dir() {
                directories.push(entry.path());
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_not_followed_and_sparse_bytes_do_not_count() {
        let root = std::env::temp_dir().join(format!("nanoclaw-disk-{}", std::process::id()));
        std::fs::create_dir_all(root.join("a")).unwrap();
        let empty = tree_size(&root);
        std::os::unix::fs::symlink("/usr", root.join("a/usr")).unwrap();
        std::fs::File::create(root.join("sparse")).unwrap().set_len(1 << 30).unwrap();
        assert!(tree_size(&root) < empty + 65_536);
        std::fs::write(root.join("a/full"), vec![1; 1 << 20]).unwrap();
        assert!(tree_size(&root) >= empty + (1 << 20));
        std::fs::remove_dir_all(root).unwrap();
    }
}
