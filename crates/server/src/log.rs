//! What an agent's programs say, in two files of bounded size.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// Longest log of an agent in bytes; the one before it is kept besides.
const LOG_BYTES: u64 = 10 * 1024 * 1024;

/// Adds a text of NanoClaw's own.
pub(crate) fn append(path: PathBuf, text: &str) -> io::Result<()> {
    use std::io::Write;
    File::options().append(true).create(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

/// No input, and one pipe for output and error.
pub(crate) fn stdio() -> io::Result<(Vec<OwnedFd>, io::PipeReader)> {
    let (reader, writer) = io::pipe()?;
    Ok((vec![File::open("/dev/null")?.into(), writer.try_clone()?.into(), writer.into()], reader))
}

/// The output of an agent on disk, in two files of bounded size.
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Log {
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let file = File::options().append(true).create(true).mode(0o600).open(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path, file, bytes })
    }

    /// Writes down what the cell says until it is gone. A full disk loses output, not the cell.
    pub(crate) fn copy(mut self, mut output: io::PipeReader) {
        use std::io::{Read, Write};
        let mut buffer = [0; 16 * 1024];
        while let Ok(n) = output.read(&mut buffer)
            && n > 0
        {
            let text = buffer.get(..n).unwrap_or_default();
            if self.bytes > LOG_BYTES && self.rotate().is_err() {
                continue;
            }
            if self.file.write_all(text).is_ok() {
                self.bytes += text.len() as u64;
            }
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        std::fs::rename(&self.path, self.path.with_extension("log.1"))?;
        *self = Self::open(std::mem::take(&mut self.path))?;
        Ok(())
    }
}
