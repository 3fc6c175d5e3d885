//! The seam to the control group file systems: [`Files`]. [`Mounted`] is the real one, below a root directory.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What is done with files of control groups. Paths are absolute, as mountinfo has them.
pub(super) trait Files: fmt::Debug + Send + Sync {
    /// The text of a file.
    fn read(&self, path: &Path) -> io::Result<String>;
    /// Writes to a file that is there, in one write.
    fn write(&self, path: &Path, text: &str) -> io::Result<()>;
    /// Makes a group.
    fn make(&self, directory: &Path) -> io::Result<()>;
    /// Removes a group.
    fn remove(&self, directory: &Path) -> io::Result<()>;
    /// The names of the groups in a group.
    fn children(&self, directory: &Path) -> io::Result<Vec<String>>;
    /// Whether this process may write there; a directory: make groups there.
    fn writable(&self, path: &Path) -> bool;
}

/// The file systems that are mounted below `root`, which is `/` but in tests.
#[derive(Debug)]
pub(super) struct Mounted {
    pub(super) root: PathBuf,
}

impl Mounted {
    fn place(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }
}

impl Files for Mounted {
    fn read(&self, path: &Path) -> io::Result<String> {
        fs::read_to_string(self.place(path))
    }

    fn write(&self, path: &Path, text: &str) -> io::Result<()> {
        fs::OpenOptions::new().write(true).open(self.place(path))?.write_all(text.as_bytes())
    }

    fn make(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir(self.place(directory))
    }

    fn remove(&self, directory: &Path) -> io::Result<()> {
        fs::remove_dir(self.place(directory))
    }

    fn children(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.place(directory))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                names.extend(entry.file_name().into_string());
            }
        }
        Ok(names)
    }

    fn writable(&self, path: &Path) -> bool {
        use rustix::fs::{Access, AtFlags, CWD, accessat};
        let place = self.place(path);
        let wanted = if place.is_dir() { Access::WRITE_OK | Access::EXEC_OK } else { Access::WRITE_OK };
        accessat(CWD, &place, wanted, AtFlags::EACCESS).is_ok()
    }
}
