//! The newest checkpoint of a log and the tiles that go with it, while the log may go on.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::CHECKPOINT;
use crate::checkpoint::Checkpoint;
use crate::note::{MAX_NOTE, NoteError, SignedNote};
use crate::tile::{DirTiles, TilePath, Tiles};

/// So often may the log go on while its last tiles are read.
const ATTEMPTS: usize = 8;

/// The last tiles are read at once: the next checkpoint replaces them. All others stay.
#[derive(Debug)]
pub struct Snapshot {
    /// The checkpoint; nobody has looked at who vouches for it.
    pub note: SignedNote,
    tiles: DirTiles,
    partial: HashMap<TilePath, Vec<u8>>,
}

/// There is no checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It is not there.
    #[error("it cannot be read: {0}; without a checkpoint nothing is sealed")]
    Read(#[from] io::Error),
    /// It is something else.
    #[error(transparent)]
    Note(#[from] NoteError),
}

impl Snapshot {
    /// Reads it from the directory of a log.
    ///
    /// # Errors
    /// There is no checkpoint.
    pub fn take(directory: &Path) -> Result<Self, SnapshotError> {
        let tiles = DirTiles::new(directory);
        let read = || small(&directory.join(CHECKPOINT), MAX_NOTE);
        let mut text = read()?;
        for _ in 0..ATTEMPTS {
            let note: SignedNote = text.parse()?;
            // What is no checkpoint is told of where the note is.
            let size = note.text.parse::<Checkpoint>().map_or(0, |checkpoint| checkpoint.size);
            let mut partial = HashMap::new();
            for path in TilePath::partial(size) {
                if let Ok(bytes) = tiles.read(&path) {
                    partial.insert(path, bytes);
                }
            }
            let again = read()?;
            if again == text {
                return Ok(Self { note, tiles, partial });
            }
            text = again;
        }
        Ok(Self { note: text.parse()?, tiles, partial: HashMap::new() })
    }
}

impl Tiles for Snapshot {
    fn read(&self, path: &TilePath) -> io::Result<Vec<u8>> {
        self.partial.get(path).map_or_else(|| self.tiles.read(path), |bytes| Ok(bytes.clone()))
    }
}

/// The text of a file of at most `most` bytes.
pub(super) fn small(file: &Path, most: usize) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(most as u64 + 1).read_to_string(&mut text)?;
    if text.len() > most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long"));
    }
    Ok(text)
}
