//! Reading a file that the configuration names, without being led elsewhere or held up by it.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, Stat};
use zeroize::Zeroizing;

/// A file of keys or certificates that cannot be used. Never says what stands in it.
#[derive(Debug, thiserror::Error)]
#[error("`{path}` {problem}")]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it and what to do.
    pub problem: Problem,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The kernel does not open or read it.
    #[error("cannot be read: {0}")]
    Read(io::Error),
    /// The kernel does not make or change it.
    #[error("cannot be written: {0}")]
    Write(io::Error),
    /// A symbolic link could be made to lead elsewhere by whoever owns the directory.
    #[error("is a symbolic link; name the file that it leads to")]
    Link,
    /// A directory, a device, a pipe.
    #[error("is not a regular file")]
    Kind,
    /// Others can read it or write to it.
    #[error("can be read or changed by others than its owner (mode {0:04o}); run `chmod 600` on it")]
    Mode(u32),
    /// Somebody else can read it.
    #[error("belongs to user {0}; it must belong to the user that runs nanoclaw, or to root")]
    Owner(u32),
    /// Too long for what it should be.
    #[error("is longer than {0} bytes")]
    TooLong(usize),
}

/// Who may have access to a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody, and links are followed.
    Public,
    /// Only this process's user, and root.
    Private,
}

/// All of the regular file `path`, of at most `most` bytes.
pub(crate) fn read(path: &Path, access: Access, most: usize) -> Result<Zeroizing<Vec<u8>>, FileError> {
    inner(path, access, most).map_err(|problem| FileError { path: path.to_owned(), problem })
}

fn inner(path: &Path, access: Access, most: usize) -> Result<Zeroizing<Vec<u8>>, Problem> {
    // Without NONBLOCK a pipe would hold the process up here.
    let mut flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    flags.set(OFlags::NOFOLLOW, access == Access::Private);
    let file: OwnedFd = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| match error {
        rustix::io::Errno::LOOP if access == Access::Private => Problem::Link,
        error => Problem::Read(error.into()),
    })?;
    let stat = rustix::fs::fstat(&file).map_err(|error| Problem::Read(error.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Problem::Kind);
    }
    if access == Access::Private {
        private(&stat, rustix::process::geteuid().as_raw())?;
    }
    // Room for everything at once: a buffer that grows leaves copies behind that nobody wipes.
    let mut bytes = Zeroizing::new(Vec::with_capacity(most + 1));
    let limit = u64::try_from(most + 1).unwrap_or(u64::MAX);
    File::from(file).take(limit).read_to_end(&mut bytes).map_err(Problem::Read)?;
    if bytes.len() > most { Err(Problem::TooLong(most)) } else { Ok(bytes) }
}

/// Whether only `user` and root have access.
fn private(stat: &Stat, user: u32) -> Result<(), Problem> {
    if stat.st_uid != user && stat.st_uid != 0 {
        return Err(Problem::Owner(stat.st_uid));
    }
    if stat.st_mode & 0o077 != 0 {
        return Err(Problem::Mode(stat.st_mode & 0o7777));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_of_another_user_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut stat = rustix::fs::fstat(file.as_file()).unwrap();
        (stat.st_uid, stat.st_mode) = (1000, 0o100_600);
        assert!(private(&stat, 1000).is_ok());
        assert!(matches!(private(&stat, 1001), Err(Problem::Owner(1000))));
        assert!(matches!(private(&stat, 0), Err(Problem::Owner(1000))));
        stat.st_uid = 0;
        assert!(private(&stat, 1000).is_ok());
    }

    #[test]
    fn every_bit_for_others_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for bit in [0o001, 0o002, 0o004, 0o010, 0o020, 0o040] {
            file.as_file().set_permissions(std::fs::Permissions::from_mode(0o600 | bit)).unwrap();
            assert!(matches!(inner(file.path(), Access::Private, 9), Err(Problem::Mode(mode)) if mode == 0o600 | bit));
            assert!(inner(file.path(), Access::Public, 9).is_ok());
        }
    }
}
