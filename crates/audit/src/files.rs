//! Opening the files of the log without being led elsewhere: no links, nobody else's files, nothing that others can
//! write.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::AuditError;

/// The segment that is being written.
pub(crate) const CURRENT: &str = "audit.jsonl";
/// The file whose lock makes one batch of one process at a time.
pub(crate) const LOCK: &str = "lock";
/// The file that says where the log ends.
pub(crate) const HEAD: &str = "head";

/// The name of a finished segment, by the sequence number of its first record. The names sort in order.
pub(crate) fn finished_name(first: u64) -> String {
    format!("audit-{first:020}.jsonl")
}

/// The sequence number in the name of a finished segment.
pub(crate) fn finished_first(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("audit-")?.strip_suffix(".jsonl")?;
    (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

/// The sequence numbers at which the finished segments begin, in order.
pub(crate) fn finished_segments(dir: &Path) -> io::Result<Vec<u64>> {
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        segments.extend(entry?.file_name().to_str().and_then(finished_first));
    }
    segments.sort_unstable();
    Ok(segments)
}

/// Makes the directory with mode 0700 where it is missing, and opens it.
pub(crate) fn open_dir(path: &Path) -> Result<File, AuditError> {
    let failed = |error: io::Error| match Errno::from_io_error(&error) {
        Some(Errno::LOOP | Errno::NOTDIR) => untrusted(path, "is a symbolic link or not a directory"),
        _ => AuditError::Open { path: path.to_owned(), source: Arc::new(error) },
    };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?);
    check(&dir, path)?;
    Ok(dir)
}

/// Opens `name` in `dir` for reading and writing with mode 0600, making it where it is missing.
pub(crate) fn open_file(dir: &File, dir_path: &Path, name: &str, extra: OFlags) -> Result<File, AuditError> {
    let path = dir_path.join(name);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | extra;
    let file = rustix::fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR).map_err(|errno| match errno {
        Errno::LOOP => untrusted(&path, "is a symbolic link"),
        errno => AuditError::Open { path: path.clone(), source: Arc::new(errno.into()) },
    })?;
    let file = File::from(file);
    check(&file, &path)?;
    Ok(file)
}

fn check(file: &File, path: &Path) -> Result<(), AuditError> {
    let meta = file.metadata().map_err(|error| AuditError::Open { path: path.to_owned(), source: Arc::new(error) })?;
    if !(meta.is_file() || meta.is_dir()) {
        Err(untrusted(path, "is not a regular file"))
    } else if meta.uid() != rustix::process::geteuid().as_raw() {
        Err(untrusted(path, "belongs to another user"))
    } else if meta.mode() & 0o022 != 0 {
        Err(untrusted(path, "can be written by other users"))
    } else {
        Ok(())
    }
}

fn untrusted(path: &Path, problem: &'static str) -> AuditError {
    AuditError::Untrusted { path: path.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_segments() {
        assert_eq!(finished_first(&finished_name(42)), Some(42));
        assert_eq!(finished_first(&finished_name(u64::MAX)), Some(u64::MAX));
        for name in
            ["audit.jsonl", "audit-42.jsonl", "audit-0000000000000000004x.jsonl", "audit-+0000000000000000042.jsonl"]
        {
            assert_eq!(finished_first(name), None, "{name}");
        }
    }
}
