//! The files that a tree stands in (C2SP tlog-tiles).

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Hashes or entries in a full tile.
pub const WIDTH: u16 = 256;
/// The largest bundle of entries, in bytes: each has two bytes of length before it.
const MAX_TILE: u64 = WIDTH as u64 * (2 + u16::MAX as u64);

/// What a tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Hashes: of entries at level 0, of full tiles of the level below at all others.
    Hashes(u8),
    /// The entries themselves.
    Entries,
}

/// One tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TilePath {
    /// What it holds.
    pub kind: Kind,
    /// Its place in its level, from 0.
    pub index: u64,
    /// How much it holds, 1 to [`WIDTH`].
    pub width: u16,
}

impl TilePath {
    /// The tile of `kind` number `index` in a tree of `size` entries; `None` where the tree has none there.
    pub fn within(kind: Kind, index: u64, size: u64) -> Option<Self> {
        let shift = match kind {
            Kind::Hashes(level) => 8 * u32::from(level),
            Kind::Entries => 0,
        };
        let there = size.checked_shr(shift).unwrap_or(0).checked_sub(index.checked_mul(u64::from(WIDTH))?)?;
        let width = there.min(u64::from(WIDTH)) as u16;
        (width > 0).then_some(Self { kind, index, width })
    }

    /// The tiles of a tree of `size` entries that are not full: of each kind at most the last one.
    pub fn partial(size: u64) -> impl Iterator<Item = Self> {
        [Kind::Entries].into_iter().chain((0..8).map(Kind::Hashes)).filter_map(move |kind| {
            let shift = if let Kind::Hashes(level) = kind { 8 * u32::from(level) } else { 0 };
            Self::within(kind, (size >> shift) / u64::from(WIDTH), size)
        })
    }

    /// Whether it can hold no more.
    pub const fn is_full(&self) -> bool {
        self.width == WIDTH
    }

    /// The same tile when it is full.
    pub const fn full(self) -> Self {
        Self { width: WIDTH, ..self }
    }
}

/// The path below the directory of the log, such as `tile/0/x001/067.p/5`.
impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Hashes(level) => write!(f, "tile/{level}/")?,
            Kind::Entries => f.write_str("tile/entries/")?,
        }
        let mut above = Vec::new();
        let mut rest = self.index / 1000;
        while rest > 0 {
            above.push(rest % 1000);
            rest /= 1000;
        }
        for part in above.iter().rev() {
            write!(f, "x{part:03}/")?;
        }
        write!(f, "{:03}", self.index % 1000)?;
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

/// Where tiles are read from.
pub trait Tiles {
    /// The whole tile.
    ///
    /// # Errors
    /// It is not there or cannot be read.
    fn read(&self, path: &TilePath) -> io::Result<Vec<u8>>;
}

/// The directory of a log.
#[derive(Clone, Debug)]
pub struct DirTiles(PathBuf);

impl DirTiles {
    /// The log in `directory`.
    pub fn new(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    fn file(&self, path: &TilePath) -> io::Result<Vec<u8>> {
        let file = File::open(self.0.join(path.to_string()))?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
        }
        let mut bytes = Vec::new();
        file.take(MAX_TILE + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_TILE {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than any tile"));
        }
        Ok(bytes)
    }
}

impl Tiles for DirTiles {
    /// A partial tile that is gone is the beginning of the full one.
    fn read(&self, path: &TilePath) -> io::Result<Vec<u8>> {
        match self.file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_full() => {
                let mut bytes = self.file(&path.full()).map_err(|_| error)?;
                let length = match path.kind {
                    Kind::Hashes(_) => usize::from(path.width) * 32,
                    Kind::Entries => crate::bundle::length(&bytes, path.width)
                        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a bundle of entries"))?,
                };
                bytes.truncate(length);
                Ok(bytes)
            }
            read => read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        let path = |kind, index, width| TilePath { kind, index, width }.to_string();
        assert_eq!(path(Kind::Hashes(0), 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(path(Kind::Hashes(0), 273, 112), "tile/0/273.p/112");
        assert_eq!(path(Kind::Entries, 0, 256), "tile/entries/000");
        assert_eq!(path(Kind::Entries, 1000, 1), "tile/entries/x001/000.p/1");
    }

    #[test]
    fn a_tree_of_seventy_thousand_has_the_tiles_of_the_specification() {
        let width = |level, index| TilePath::within(Kind::Hashes(level), index, 70_000).map(|tile| tile.width);
        assert_eq!([width(0, 272), width(0, 273), width(0, 274)], [Some(256), Some(112), None]);
        assert_eq!([width(1, 0), width(1, 1), width(1, 2)], [Some(256), Some(17), None]);
        assert_eq!([width(2, 0), width(2, 1), width(3, 0), width(63, 0)], [Some(1), None, None, None]);
    }
}
