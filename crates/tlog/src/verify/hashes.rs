//! The entries against their hashes, the hashes against each other, and their root against the checkpoint.

use super::snapshot::Snapshot;
use super::{CHECKPOINT, Findings, Milestone};
use crate::Hash;
use crate::bundle::entries;
use crate::checkpoint::Checkpoint;
use crate::merkle::leaf_hash;
use crate::tile::{Kind, TilePath, Tiles as _, WIDTH};
use crate::tree::Growth;

pub(super) fn check(snapshot: &Snapshot, checkpoint: &Checkpoint, milestones: &[Milestone], found: &Findings) {
    let size = checkpoint.size;
    let from_disk = |index| {
        let hashes = stored(snapshot, index, size);
        if hashes.is_none() {
            let path = TilePath::within(Kind::Hashes(0), index, size);
            found.add(
                path.map(|path| path.to_string()).unwrap_or_default(),
                "it is not there, or not as long as it should be",
            );
        }
        hashes
    };
    let compare = |tiles: &[_]| above(snapshot, tiles, found);
    let by_hashes = grow(snapshot, size, from_disk, against(milestones, found), compare);
    let mut changed = Vec::new();
    for index in 0..size.div_ceil(u64::from(WIDTH)) {
        let Some(path) = TilePath::within(Kind::Entries, index, size) else { break };
        let (leaves, hashes) = match (leaves(snapshot, path), stored(snapshot, index, size)) {
            (Ok(leaves), Some(hashes)) => (leaves, hashes),
            (Err(error), _) => {
                found.add(path, error);
                continue;
            }
            // The tree could not be grown from it, which says so.
            (Ok(_), None) => continue,
        };
        let first = index * u64::from(WIDTH);
        let differ = leaves.iter().zip(&hashes).enumerate().filter(|(_, (leaf, hash))| leaf != hash);
        changed.extend(differ.map(|(at, _)| (path, first + at as u64)));
    }
    let root_holds = |root: Option<Hash>| root == Some(checkpoint.root);
    if root_holds(by_hashes) {
        // The hashes are those that were signed, so the entries are not.
        for (path, at) in changed {
            found.add(path, format_args!("entry {at} was changed"));
        }
        return;
    }
    let from_entries = |index| leaves(snapshot, TilePath::within(Kind::Entries, index, size)?).ok();
    if root_holds(grow(snapshot, size, from_entries, |_| {}, |_| {})) {
        for (path, at) in changed {
            let tile = TilePath { kind: Kind::Hashes(0), ..path };
            found.add(tile, format_args!("the hash of entry {at} was changed; the entry is as it was sealed"));
        }
        return;
    }
    for (path, at) in &changed {
        found.add(
            path,
            format_args!("entry {at} and its hash do not fit, and neither leads to the root of `{CHECKPOINT}`"),
        );
    }
    found.add("tile", format_args!("the entries are not those that `{CHECKPOINT}` was signed for"));
}

/// The hashes of the entries of one tile, as they stand on disk.
fn stored(snapshot: &Snapshot, index: u64, size: u64) -> Option<Vec<Hash>> {
    let path = TilePath::within(Kind::Hashes(0), index, size)?;
    let bytes = snapshot.read(&path).ok()?;
    let (hashes, rest) = bytes.as_chunks::<32>();
    (rest.is_empty() && hashes.len() == usize::from(path.width)).then(|| hashes.to_vec())
}

/// The same, from the entries.
fn leaves(snapshot: &Snapshot, path: TilePath) -> Result<Vec<Hash>, String> {
    let bytes = snapshot.read(&path).map_err(|error| format!("it cannot be read: {error}"))?;
    let leaves = entries(&bytes).map(|entry| entry.map(leaf_hash)).collect::<Result<Vec<_>, _>>();
    let leaves = leaves.map_err(|error| error.to_string())?;
    match leaves.len() == usize::from(path.width) {
        true => Ok(leaves),
        false => Err(format!("it has {} entries, and should have {}", leaves.len(), path.width)),
    }
}

/// The root of the tree over the hashes that `level` gives for each tile; `None` where it gives none. Each size of the tree
/// is shown to `seen`, and each tile to `compare`.
fn grow(
    snapshot: &Snapshot,
    size: u64,
    level: impl Fn(u64) -> Option<Vec<Hash>>,
    mut seen: impl FnMut(&Growth),
    compare: impl Fn(&[(TilePath, Vec<u8>)]),
) -> Option<Hash> {
    // A tree of no entries is in no tile.
    let mut growth = Growth::open(snapshot, 0).ok()?;
    seen(&growth);
    for index in 0..size.div_ceil(u64::from(WIDTH)) {
        for hash in level(index)? {
            growth.push(hash);
            seen(&growth);
        }
        compare(&growth.take_full());
    }
    let grown = growth.finish();
    compare(&grown.tiles);
    Some(grown.root)
}

/// Compares the roots that the log once had with those that it goes through.
fn against<'a>(mut milestones: &'a [Milestone], found: &'a Findings) -> impl FnMut(&Growth) + 'a {
    let mut good = 0;
    move |growth| {
        while let Some((Milestone { size, root, place }, rest)) = milestones.split_first()
            && *size == growth.size()
        {
            milestones = rest;
            if growth.root() == *root {
                good = *size;
            } else {
                found.add(
                    place,
                    format_args!("it counts {size} records, and these are others: the log was rewritten between entry {good} and entry {size}"),
                );
            }
        }
    }
}

/// Compares the hashes above those of entries with what stands on disk.
fn above(snapshot: &Snapshot, tiles: &[(TilePath, Vec<u8>)], found: &Findings) {
    for (path, bytes) in tiles.iter().filter(|(path, _)| path.kind != Kind::Hashes(0)) {
        match snapshot.read(path) {
            Ok(there) if there == *bytes => {}
            Ok(_) => found.add(path, "its hashes are not those of the tiles below it"),
            Err(error) => found.add(path, format_args!("it cannot be read: {error}")),
        }
    }
}
