//! The hashes of the tree (RFC 6962 §2.1) and the checks of proofs (RFC 9162 §2.1.3.2 and §2.1.4.2).

use aws_lc_rs::digest::{Context, SHA256, digest};

use crate::Hash;

/// A proof does not show what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The entry would stand behind the end of the tree, or the older tree is the larger one.
    #[error("the proof is about a place that the tree does not have")]
    Range,
    /// It has more or fewer hashes than a tree of this size asks for.
    #[error("the proof has the wrong number of hashes")]
    Length,
    /// It leads to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// The hash of an entry.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    joined(0, entry, &[])
}

/// The hash of a node above two others.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    joined(1, left, right)
}

/// The root of a tree without entries.
pub fn empty_root() -> Hash {
    sized(digest(&SHA256, &[]).as_ref())
}

/// SHA-256 of anything.
pub fn sha256(bytes: &[u8]) -> Hash {
    sized(digest(&SHA256, bytes).as_ref())
}

fn joined(prefix: u8, first: &[u8], second: &[u8]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(&[prefix]);
    context.update(first);
    context.update(second);
    sized(context.finish().as_ref())
}

fn sized(digest: &[u8]) -> Hash {
    let mut hash = Hash::default();
    hash.iter_mut().zip(digest).for_each(|(to, from)| *to = *from);
    hash
}

/// Checks that `leaf` is the entry number `index`, from 0, of the tree of `size` entries under `root`.
///
/// # Errors
/// It does not show that.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, root: &Hash, proof: &[Hash]) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Range);
    }
    let (mut at, mut last, mut hash) = (index, size - 1, *leaf);
    for other in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(other, &hash);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, other);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    match last {
        0 if hash == *root => Ok(()),
        0 => Err(ProofError::Root),
        _ => Err(ProofError::Length),
    }
}

/// Checks that the tree of `old` entries under `old_root` is the beginning of the tree of `new` entries under `new_root`.
///
/// # Errors
/// It does not show that.
pub fn verify_consistency(
    old: u64,
    new: u64,
    old_root: &Hash,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::Range);
    }
    if old == new || old == 0 {
        return match (proof.is_empty(), old == 0 || old_root == new_root) {
            (false, _) => Err(ProofError::Length),
            (true, false) => Err(ProofError::Root),
            (true, true) if old == 0 && *old_root != empty_root() => Err(ProofError::Root),
            (true, true) => Ok(()),
        };
    }
    let (mut at, mut last) = (old - 1, new - 1);
    while at & 1 == 1 {
        (at, last) = (at >> 1, last >> 1);
    }
    let mut hashes = proof.iter();
    // A tree whose size is a power of two is its own first node.
    let first = if old.is_power_of_two() { *old_root } else { *hashes.next().ok_or(ProofError::Length)? };
    let (mut before, mut after) = (first, first);
    for other in hashes {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if at & 1 == 1 || at == last {
            before = node_hash(other, &before);
            after = node_hash(other, &after);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            after = node_hash(&after, other);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    match last {
        0 if before == *old_root && after == *new_root => Ok(()),
        0 => Err(ProofError::Root),
        _ => Err(ProofError::Length),
    }
}
