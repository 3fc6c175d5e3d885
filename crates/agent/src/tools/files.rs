//! Opening files without waiting for anything but a disk: no FIFO, device or directory.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

use super::{Room, ToolError};

/// Longest file in bytes that is read whole, to be edited or searched.
pub(super) const MAX_WHOLE: u64 = 4 * 1024 * 1024;

/// A file with a NUL byte in so many first bytes is not text.
const SNIFF: usize = 8192;

/// Opens a regular file to read it.
pub(super) fn open(room: &Room, path: &Path) -> Result<File, ToolError> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|error| why(room, path, &error))?;
    regular(room, path, file)
}

/// The file, if it is a regular one.
pub(super) fn regular(room: &Room, path: &Path, file: File) -> Result<File, ToolError> {
    let kind = file.metadata().map_err(|error| why(room, path, &error))?.file_type();
    let shown = room.shown(path);
    if kind.is_dir() {
        return Err(ToolError(format!("`{shown}` is a directory; file_list lists it")));
    }
    if !kind.is_file() {
        return Err(ToolError(format!("`{shown}` is not a regular file")));
    }
    Ok(file)
}

/// An error of the system on `path`, for the model.
pub(super) fn why(room: &Room, path: &Path, error: &io::Error) -> ToolError {
    let shown = room.shown(path);
    ToolError(match error.kind() {
        io::ErrorKind::NotFound => format!("`{shown}` does not exist; file_list shows what does"),
        io::ErrorKind::PermissionDenied => format!("`{shown}`: the cell does not permit this"),
        io::ErrorKind::ReadOnlyFilesystem => format!("`{shown}` cannot be written; the workspace, /data and /tmp can"),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("`{shown}`: no space is left; delete something first")
        }
        _ => format!("`{shown}`: {error}"),
    })
}

/// Whether bytes from the beginning of a file are not text.
pub(super) fn binary(beginning: &[u8]) -> bool {
    beginning.iter().take(SNIFF).any(|byte| *byte == 0)
}

/// Reads a file of at most [`MAX_WHOLE`] bytes whole.
pub(super) fn whole(room: &Room, path: &Path) -> Result<Vec<u8>, ToolError> {
    let file = open(room, path)?;
    let mut bytes = Vec::new();
    file.take(MAX_WHOLE + 1).read_to_end(&mut bytes).map_err(|error| why(room, path, &error))?;
    if bytes.len() as u64 > MAX_WHOLE {
        return Err(ToolError(format!("`{}` is longer than {MAX_WHOLE} bytes; use the shell", room.shown(path))));
    }
    Ok(bytes)
}
