//! Putting tiles and checkpoints on disk, so that none is seen before what it counts.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nanoclaw_tlog::note::MAX_NOTE;
use nanoclaw_tlog::tile::TilePath;
use rustix::fs::OFlags;

use super::TreeError;

/// With more files than this, one call for the whole file system is quicker than one for each.
const MANY: usize = 32;

/// Files that are written and not yet sure to be on disk.
pub(super) struct Written<'a> {
    dir: &'a File,
    path: &'a Path,
    files: Vec<File>,
    parents: BTreeSet<PathBuf>,
    count: usize,
}

impl<'a> Written<'a> {
    pub(super) const fn new(dir: &'a File, path: &'a Path) -> Self {
        Self { dir, path, files: Vec::new(), parents: BTreeSet::new(), count: 0 }
    }

    /// Writes a tile. One that a crash has left is overwritten: no checkpoint counts it.
    pub(super) fn put(&mut self, tile: TilePath, bytes: &[u8]) -> Result<(), TreeError> {
        let name = self.path.join(tile.to_string());
        let write = || -> io::Result<File> {
            if let Some(parent) = name.parent() {
                DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
            }
            let flags = (OFlags::NOFOLLOW | OFlags::CLOEXEC).bits() as i32;
            let mut options = OpenOptions::new();
            let mut file =
                options.write(true).create(true).truncate(true).mode(0o600).custom_flags(flags).open(&name)?;
            file.write_all(bytes)?;
            Ok(file)
        };
        let file = write().map_err(TreeError::io(tile))?;
        self.count += 1;
        if self.count <= MANY {
            self.files.push(file);
            self.parents.extend(name.ancestors().skip(1).take_while(|above| *above != self.path).map(Path::to_owned));
        }
        Ok(())
    }

    /// Waits until all of them are on disk.
    pub(super) fn sync(&self) -> Result<(), TreeError> {
        let all = || -> io::Result<()> {
            if self.count > MANY {
                return Ok(rustix::fs::syncfs(self.dir)?);
            }
            self.files.iter().try_for_each(File::sync_all)?;
            self.parents.iter().try_for_each(|parent| File::open(parent)?.sync_all())?;
            self.dir.sync_all()
        };
        all().map_err(TreeError::io("tile"))
    }
}

/// Removes the partial tiles of the older tree that the newer one has wider or full. They hold nothing of their own, so
/// one that stays is only in the way.
pub(super) fn superseded(path: &Path, old: u64, new: u64) {
    for before in TilePath::partial(old) {
        let after = TilePath::within(before.kind, before.index, new);
        if after == Some(before) {
            continue;
        }
        let name = path.join(before.to_string());
        let _ = fs::remove_file(&name);
        if after.is_some_and(|after| after.is_full())
            && let Some(directory) = name.parent()
        {
            let _ = fs::remove_dir(directory);
        }
    }
}

/// Puts `bytes` in the place of the file `name`: after a crash there is the old or the new one.
pub(super) fn replace(dir: &File, path: &Path, name: &str, bytes: &[u8]) -> Result<(), TreeError> {
    let new = path.join(format!("{name}.new"));
    let write = || -> io::Result<()> {
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path.join(name))?;
        dir.sync_all()
    };
    write().map_err(TreeError::io(name))
}

/// The text of the file `name`, if there is one.
pub(super) fn read(path: &Path, name: &str) -> Result<Option<String>, TreeError> {
    let mut text = String::new();
    match File::open(path.join(name)).and_then(|file| file.take(MAX_NOTE as u64 + 1).read_to_string(&mut text)) {
        Ok(_) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(TreeError::io(name)(error)),
    }
}
