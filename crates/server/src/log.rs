//! What an agent's programs say, in two files of bounded size.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use rustix::fs::{FlockOperation, flock};

/// Longest log of an agent in bytes; the one before it is kept besides.
const LOG_BYTES: u64 = 10 * 1024 * 1024;

/// No input, and one pipe for output and error.
pub(crate) fn stdio() -> io::Result<(Vec<OwnedFd>, io::PipeReader)> {
    let (reader, writer) = io::pipe()?;
    Ok((vec![File::open("/dev/null")?.into(), writer.try_clone()?.into(), writer.into()], reader))
}

/// The output of an agent on disk, in two files of bounded size. There may be several of one agent at a time.
pub(crate) struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let file = File::options().append(true).create(true).mode(0o600).open(&path)?;
        Ok(Self { path, file })
    }

    /// Writes down what the cell says until it is gone. A full disk loses output, not the cell.
    pub(crate) fn copy(mut self, mut output: io::PipeReader) {
        let mut buffer = [0; 16 * 1024];
        while let Ok(n) = output.read(&mut buffer)
            && n > 0
        {
            let _lost = self.write(buffer.get(..n).unwrap_or_default()).is_err();
        }
    }

    /// Adds a text.
    pub(crate) fn write(&mut self, text: &[u8]) -> io::Result<()> {
        loop {
            // Whoever has the lock of the file that lies at the path writes, or begins a new one.
            flock(&self.file, FlockOperation::LockExclusive)?;
            let ours = self.file.metadata()?;
            let current =
                std::fs::metadata(&self.path).is_ok_and(|at| (at.dev(), at.ino()) == (ours.dev(), ours.ino()));
            if current && ours.len() <= LOG_BYTES {
                let written = self.file.write_all(text);
                flock(&self.file, FlockOperation::Unlock)?;
                return written;
            }
            if current {
                std::fs::rename(&self.path, self.path.with_extension("log.1"))?;
            }
            // The lock goes with the file.
            *self = Self::open(self.path.clone())?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_has_an_end_however_many_write_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("logs/agent.log");
        let text = [b'a'; 64 * 1024];
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut log = Log::open(path.clone()).unwrap();
                    for _ in 0..300 {
                        log.write(&text).unwrap();
                    }
                });
            }
        });
        Log::open(path.clone()).unwrap().write(b"the last words").unwrap();
        let lengths = ["agent.log", "agent.log.1"]
            .map(|name| std::fs::metadata(directory.path().join("logs").join(name)).unwrap().len());
        assert!(lengths.iter().all(|length| *length <= LOG_BYTES + text.len() as u64), "{lengths:?}");
        assert!(lengths[1] > LOG_BYTES, "{lengths:?}: what was before is kept");
        assert!(std::fs::read(path).unwrap().ends_with(b"the last words"));
        assert_eq!(std::fs::read_dir(directory.path().join("logs")).unwrap().count(), 2);
    }

    #[test]
    fn a_log_that_somebody_removed_begins_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.log");
        let mut log = Log::open(path.clone()).unwrap();
        log.write(b"one").unwrap();
        std::fs::remove_file(&path).unwrap();
        log.write(b"two").unwrap();
        assert_eq!(std::fs::read(path).unwrap(), b"two");
    }
}
