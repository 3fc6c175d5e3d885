//! Files and directories that nobody else has access to: keys, hashes of passwords and tokens.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use zeroize::Zeroizing;

use crate::digest::hex;
use crate::file::{self, Access, FileError, Problem};
use crate::random;

/// Random bytes in the name of a file that is being written.
const RANDOM_BYTES: usize = 8;

/// Makes the directory `path`, which only its owner may enter, if it is not there, with those above it.
///
/// # Errors
/// It cannot be made, it is a link, belongs to somebody else or others may enter it.
pub fn directory(path: &Path) -> Result<(), FileError> {
    let wrong = |problem| FileError { path: path.to_owned(), problem };
    let made = fs::DirBuilder::new().mode(0o700).recursive(true).create(path);
    made.map_err(|error| wrong(Problem::Write(error)))?;
    let found = fs::symlink_metadata(path).map_err(|error| wrong(Problem::Read(error)))?;
    if found.is_symlink() {
        return Err(wrong(Problem::Link));
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(wrong(Problem::Owner(found.uid())));
    }
    if found.mode() & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(|error| wrong(Problem::Write(error)))?;
    }
    Ok(())
}

/// All of the file `path`, of at most `most` bytes; `None` if there is none.
///
/// # Errors
/// It is not a regular file of this user or of root that nobody else has access to, or it is too long.
pub fn read(path: &Path, most: usize) -> Result<Option<Zeroizing<Vec<u8>>>, FileError> {
    match file::read(path, Access::Private, most) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(FileError { problem: Problem::Read(error), .. }) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes what a crash has left of attempts to write the file `path`. This process must be the only one that writes it.
///
/// # Errors
/// The directory cannot be read, or something in it cannot be removed.
pub fn tidy(path: &Path) -> Result<(), FileError> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let left = |entry: &fs::DirEntry| {
        let entry = entry.file_name();
        let random = entry.as_bytes().strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"."));
        let random = random.and_then(|rest| rest.strip_suffix(b".new")).unwrap_or_default();
        random.len() == 2 * RANDOM_BYTES && random.iter().all(u8::is_ascii_hexdigit)
    };
    let remove = || {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if left(&entry) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    };
    remove().map_err(|error| failed(path, error))
}

/// Puts `bytes` in the place of the file `path`: after a crash there is either the old or the new one, and once this
/// has returned, the new one.
///
/// # Errors
/// It cannot be written; the old one is still there.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write(path, bytes, |new| fs::rename(new, path)).map_err(|error| failed(path, error))
}

/// Like [`replace`], but never in the place of another.
///
/// # Errors
/// There is one already, or it cannot be written.
pub fn create(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let link = |new: &Path| {
        let linked = fs::hard_link(new, path);
        fs::remove_file(new).and(linked)
    };
    write(path, bytes, link).map_err(|error| failed(path, error))
}

fn failed(path: &Path, error: io::Error) -> FileError {
    FileError { path: path.to_owned(), problem: Problem::Write(error) }
}

fn write(path: &Path, bytes: &[u8], place: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let random = random::bytes::<RANDOM_BYTES>().map_err(io::Error::other)?;
    let new = path.with_added_extension(format!("{}.new", hex(&random)));
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    if let Err(error) = written.and_then(|()| place(&new)) {
        // It may be gone already, and there is nothing else to be done about it.
        let _ = fs::remove_file(&new);
        return Err(error);
    }
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn files_are_replaced_whole_and_nobody_else_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        assert!(read(&path, 9).unwrap().is_none());
        for text in ["one", "two"] {
            replace(&path, text.as_bytes()).unwrap();
            assert_eq!(read(&path, 9).unwrap().unwrap().as_slice(), text.as_bytes());
            assert_eq!(mode(&path), 0o600);
        }
        assert!(create(&path, b"three").is_err());
        assert_eq!(read(&path, 9).unwrap().unwrap().as_slice(), b"two");
        assert!(matches!(read(&path, 2), Err(FileError { problem: Problem::TooLong(2), .. })));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
        assert!(create(&folder.path().join("b.json"), b"three").is_ok());
    }

    #[test]
    fn what_a_crash_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let left = ["a.json.0123456789abcdef.new", "a.json.fedcba9876543210.new"];
        let others =
            ["a.json", "b.json.0123456789abcdef.new", "a.json.0123.new", "a.json.new", "a.json.0123456789abcdeg.new"];
        for name in left.iter().chain(&others) {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        tidy(&path).unwrap();
        assert!(left.iter().all(|name| !folder.path().join(name).exists()));
        assert!(others.iter().all(|name| folder.path().join(name).exists()));
        assert!(tidy(&folder.path().join("none/a.json")).is_err());
    }

    #[test]
    fn a_link_in_the_place_of_a_file_is_replaced_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, victim) = (folder.path().join("a"), folder.path().join("victim"));
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, &path).unwrap();
        assert!(matches!(read(&path, 9), Err(FileError { problem: Problem::Link, .. })));
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        assert_eq!(read(&path, 9).unwrap().unwrap().as_slice(), b"new");
    }

    #[test]
    fn directories_are_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/ca");
        directory(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        directory(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(matches!(directory(&link), Err(FileError { problem: Problem::Link, .. })));
    }
}
