//! The tree in its tiles: adding entries, and proofs about them.

use std::collections::HashMap;
use std::io;

use crate::Hash;
use crate::merkle::{empty_root, node_hash};
use crate::tile::{Kind, TilePath, Tiles, WIDTH};

/// The tiles do not hold the tree that they should.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// A tile cannot be read.
    #[error("`{path}` cannot be read: {source}")]
    Read {
        /// Which.
        path: TilePath,
        /// Why.
        source: io::Error,
    },
    /// A tile is not as long as it should be.
    #[error("`{path}` has {length} bytes, and should have {wanted}")]
    Length {
        /// Which.
        path: TilePath,
        /// As it is, in bytes.
        length: usize,
        /// As it should be, in bytes.
        wanted: usize,
    },
    /// What is asked for is not in a tree of that size.
    #[error("entry {index} is not in a tree of {size} entries")]
    Range {
        /// From 0.
        index: u64,
        /// In entries.
        size: u64,
    },
}

fn hashes(tiles: &dyn Tiles, path: TilePath) -> Result<Vec<Hash>, TreeError> {
    let bytes = tiles.read(&path).map_err(|source| TreeError::Read { path, source })?;
    let (hashes, rest) = bytes.as_chunks::<32>();
    if hashes.len() != usize::from(path.width) || !rest.is_empty() {
        return Err(TreeError::Length { path, length: bytes.len(), wanted: usize::from(path.width) * 32 });
    }
    Ok(hashes.to_vec())
}

/// The hash above 2^n hashes.
fn perfect(mut hashes: Vec<Hash>) -> Option<Hash> {
    while hashes.len() > 1 {
        hashes = hashes.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
    }
    hashes.pop()
}

/// A tree that is being added to.
#[derive(Debug)]
pub struct Growth {
    size: u64,
    /// The last tile of each level, the lowest first; the last is empty where the level has only full ones.
    edges: Vec<Edge>,
    full: Vec<(TilePath, Vec<u8>)>,
}

#[derive(Debug, Default)]
struct Edge {
    index: u64,
    hashes: Vec<Hash>,
    changed: bool,
}

/// What a tree has become.
#[derive(Debug)]
pub struct Grown {
    /// In entries.
    pub size: u64,
    /// The root of all of it.
    pub root: Hash,
    /// The tiles of hashes that are new or hold more than before. Those of entries are the caller's.
    pub tiles: Vec<(TilePath, Vec<u8>)>,
}

impl Growth {
    /// Takes up the tree of `size` entries.
    ///
    /// # Errors
    /// Its last tiles are not there.
    pub fn open(tiles: &dyn Tiles, size: u64) -> Result<Self, TreeError> {
        let mut edges = Vec::new();
        let mut level = 0;
        while let Some(there) = size.checked_shr(8 * u32::from(level)).filter(|there| *there > 0) {
            let index = there / u64::from(WIDTH);
            let hashes = match TilePath::within(Kind::Hashes(level), index, size) {
                Some(path) => hashes(tiles, path)?,
                None => Vec::new(),
            };
            edges.push(Edge { index, hashes, changed: false });
            level += 1;
        }
        Ok(Self { size, edges, full: Vec::new() })
    }

    /// How many entries it has.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds the hash of an entry.
    pub fn push(&mut self, leaf: Hash) {
        self.size += 1;
        let mut hash = leaf;
        for level in 0_u8.. {
            if usize::from(level) == self.edges.len() {
                self.edges.push(Edge::default());
            }
            let Some(edge) = self.edges.get_mut(usize::from(level)) else { return };
            edge.hashes.push(hash);
            edge.changed = true;
            if edge.hashes.len() < usize::from(WIDTH) {
                return;
            }
            let path = TilePath { kind: Kind::Hashes(level), index: edge.index, width: WIDTH };
            self.full.push((path, edge.hashes.concat()));
            let Some(above) = perfect(std::mem::take(&mut edge.hashes)) else { return };
            edge.index += 1;
            edge.changed = false;
            hash = above;
        }
    }

    /// The full tiles since the last time: to write them before all are too many to hold.
    pub fn take_full(&mut self) -> Vec<(TilePath, Vec<u8>)> {
        std::mem::take(&mut self.full)
    }

    /// The root of what has been added so far.
    pub fn root(&self) -> Hash {
        // From the largest perfect tree on the left to the smallest on the right.
        let mut peaks = Vec::new();
        for edge in self.edges.iter().rev() {
            let mut rest = edge.hashes.as_slice();
            while !rest.is_empty() {
                let (peak, after) = rest.split_at(1 << rest.len().ilog2());
                peaks.extend(perfect(peak.to_vec()));
                rest = after;
            }
        }
        peaks.into_iter().rev().reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(empty_root)
    }

    /// Ends it.
    pub fn finish(mut self) -> Grown {
        let root = self.root();
        let mut tiles = self.take_full();
        for (level, edge) in self.edges.iter().enumerate().filter(|(_, edge)| edge.changed) {
            let kind = Kind::Hashes(level as u8);
            tiles.push((TilePath { kind, index: edge.index, width: edge.hashes.len() as u16 }, edge.hashes.concat()));
        }
        Grown { size: self.size, root, tiles }
    }
}

/// A tree that proofs are made from. Keeps the tiles that it has read.
struct Nodes<'a> {
    tiles: &'a dyn Tiles,
    size: u64,
    read: HashMap<TilePath, Vec<Hash>>,
}

impl<'a> Nodes<'a> {
    fn new(tiles: &'a dyn Tiles, size: u64) -> Self {
        Self { tiles, size, read: HashMap::new() }
    }

    /// The hash of the entries from `start` to before `end`, which begin a tree or a half of one.
    fn over(&mut self, start: u64, end: u64) -> Result<Hash, TreeError> {
        let count = end - start;
        if count == 0 {
            return Ok(empty_root());
        }
        if count.is_power_of_two() {
            return self.node(count.ilog2(), start);
        }
        let middle = start + (1 << count.ilog2());
        let (left, right) = (self.over(start, middle)?, self.over(middle, end)?);
        Ok(node_hash(&left, &right))
    }

    /// The hash of the 2^`height` entries from `start`.
    fn node(&mut self, height: u32, start: u64) -> Result<Hash, TreeError> {
        // A hash in a tile of the level stands for 256^level entries.
        let level = (height / 8) as u8;
        let first = start >> (8 * u32::from(level));
        let range = TreeError::Range { index: start, size: self.size };
        let path = TilePath::within(Kind::Hashes(level), first / u64::from(WIDTH), self.size);
        let path = path.ok_or(range)?;
        if !self.read.contains_key(&path) {
            self.read.insert(path, hashes(self.tiles, path)?);
        }
        let at = (first % u64::from(WIDTH)) as usize;
        let there = self.read.get(&path).and_then(|hashes| hashes.get(at..at + (1 << (height % 8))));
        let under = there.ok_or(TreeError::Range { index: start, size: self.size })?;
        perfect(under.to_vec()).ok_or(TreeError::Range { index: start, size: self.size })
    }
}

/// The largest power of two below `count`, which is 2 or more.
const fn half(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

/// The root of the first `size` entries.
///
/// # Errors
/// A tile is not there or not as it should be.
pub fn root(tiles: &dyn Tiles, size: u64) -> Result<Hash, TreeError> {
    Nodes::new(tiles, size).over(0, size)
}

/// The proof that the entry `index`, from 0, is in the tree of the first `size` entries, from the leaf up.
///
/// # Errors
/// As of [`root`]; there is no such entry.
pub fn inclusion_proof(tiles: &dyn Tiles, index: u64, size: u64) -> Result<Vec<Hash>, TreeError> {
    if index >= size {
        return Err(TreeError::Range { index, size });
    }
    let mut nodes = Nodes::new(tiles, size);
    let (mut start, mut end, mut proof) = (0, size, Vec::new());
    while end - start > 1 {
        let middle = start + half(end - start);
        if index < middle {
            proof.push(nodes.over(middle, end)?);
            end = middle;
        } else {
            proof.push(nodes.over(start, middle)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The proof that the tree of the first `old` entries is the beginning of the one of the first `new`.
///
/// # Errors
/// As of [`root`]; the old one is the larger.
pub fn consistency_proof(tiles: &dyn Tiles, old: u64, new: u64) -> Result<Vec<Hash>, TreeError> {
    if old > new {
        return Err(TreeError::Range { index: old, size: new });
    }
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let mut nodes = Nodes::new(tiles, new);
    let (mut start, mut end, mut proof) = (0, new, Vec::new());
    while old != end {
        let middle = start + half(end - start);
        if old <= middle {
            proof.push(nodes.over(middle, end)?);
            end = middle;
        } else {
            proof.push(nodes.over(start, middle)?);
            start = middle;
        }
    }
    if start > 0 {
        proof.push(nodes.over(start, end)?);
    }
    proof.reverse();
    Ok(proof)
}

#[cfg(test)]
mod tests;
