use std::cell::RefCell;

use super::*;
use crate::merkle::{leaf_hash, verify_consistency, verify_inclusion};

#[derive(Default)]
struct Memory(RefCell<HashMap<TilePath, Vec<u8>>>);

impl Tiles for Memory {
    fn read(&self, path: &TilePath) -> io::Result<Vec<u8>> {
        self.0.borrow().get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn leaf(n: u64) -> Hash {
    leaf_hash(&n.to_le_bytes())
}

/// RFC 6962 §2.1 as it stands there.
fn definition(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [one] => *one,
        more => {
            let (left, right) = more.split_at(half(more.len() as u64) as usize);
            node_hash(&definition(left), &definition(right))
        }
    }
}

/// A tree that grew in steps to each of `sizes`.
fn grown(sizes: &[u64]) -> Memory {
    let memory = Memory::default();
    let mut size = 0;
    for next in sizes {
        let mut growth = Growth::open(&memory, size).unwrap();
        (size..*next).for_each(|n| growth.push(leaf(n)));
        let grown = growth.finish();
        assert_eq!(grown.size, *next);
        let leaves: Vec<Hash> = (0..*next).map(leaf).collect();
        assert_eq!(grown.root, definition(&leaves), "of {next}");
        memory.0.borrow_mut().extend(grown.tiles);
        size = *next;
    }
    memory
}

#[test]
fn known_roots() {
    // The tree of the eight entries that RFC 6962 implementations test with.
    let entries: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let mut growth = Growth::open(&Memory::default(), 0).unwrap();
    let hex = |hash: Hash| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(growth.root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    entries.iter().for_each(|entry| growth.push(leaf_hash(entry)));
    assert_eq!(hex(growth.root()), "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
}

#[test]
fn all_proofs_of_small_trees_hold_and_none_holds_when_it_is_changed() {
    for size in 1..=70 {
        let tree = grown(&[size / 3, size]);
        let root = root(&tree, size).unwrap();
        for index in 0..size {
            let proof = inclusion_proof(&tree, index, size).unwrap();
            verify_inclusion(&leaf(index), index, size, &root, &proof).unwrap();
            assert!(verify_inclusion(&leaf(index + 1), index, size, &root, &proof).is_err());
            assert!(verify_inclusion(&leaf(index), index + 1, size, &root, &proof).is_err());
            for at in 0..proof.len() {
                let mut changed = proof.clone();
                changed[at][7] ^= 1;
                assert!(verify_inclusion(&leaf(index), index, size, &root, &changed).is_err());
            }
            let longer = [proof.clone(), vec![leaf(0)]].concat();
            assert!(verify_inclusion(&leaf(index), index, size, &root, &longer).is_err());
            if let Some((_, shorter)) = proof.split_last() {
                assert!(verify_inclusion(&leaf(index), index, size, &root, shorter).is_err());
            }
        }
        for old in 0..=size {
            let leaves: Vec<Hash> = (0..old).map(leaf).collect();
            let old_root = definition(&leaves);
            let proof = consistency_proof(&tree, old, size).unwrap();
            verify_consistency(old, size, &old_root, &root, &proof).unwrap();
            assert!(verify_consistency(old, size, &leaf(999), &root, &proof).is_err());
            if old > 0 {
                assert!(verify_consistency(old, size, &old_root, &leaf(999), &proof).is_err());
            }
            for at in 0..proof.len() {
                let mut changed = proof.clone();
                changed[at][7] ^= 1;
                assert!(verify_consistency(old, size, &old_root, &root, &changed).is_err());
            }
            let longer = [proof.clone(), vec![leaf(0)]].concat();
            assert!(verify_consistency(old, size, &old_root, &root, &longer).is_err());
        }
    }
}

#[test]
fn a_tree_over_several_levels_grows_in_any_steps() {
    let sizes = [1, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 66_000, 70_000];
    let (stepwise, at_once) = (grown(&sizes), grown(&[70_000]));
    for (path, bytes) in at_once.0.borrow().iter() {
        assert_eq!(stepwise.0.borrow().get(path), Some(bytes), "{path}");
    }
    let root = root(&at_once, 70_000).unwrap();
    for index in [0, 255, 256, 65_535, 65_536, 69_887, 69_888, 69_999] {
        let proof = inclusion_proof(&at_once, index, 70_000).unwrap();
        verify_inclusion(&leaf(index), index, 70_000, &root, &proof).unwrap();
    }
    for old in sizes {
        let proof = consistency_proof(&at_once, old, 70_000).unwrap();
        let leaves: Vec<Hash> = (0..old).map(leaf).collect();
        verify_consistency(old, 70_000, &definition(&leaves), &root, &proof).unwrap();
    }
}

#[test]
fn a_tile_that_is_gone_or_cut_is_named() {
    let tree = grown(&[300]);
    let path = TilePath { kind: Kind::Hashes(0), index: 1, width: 44 };
    let bytes = tree.0.borrow_mut().remove(&path).unwrap();
    assert_eq!(Growth::open(&tree, 300).unwrap_err().to_string(), "`tile/0/001.p/44` cannot be read: entity not found");
    tree.0.borrow_mut().insert(path, bytes[1..].to_vec());
    assert_eq!(root(&tree, 300).unwrap_err().to_string(), "`tile/0/001.p/44` has 1407 bytes, and should have 1408");
    assert!(matches!(inclusion_proof(&tree, 300, 300), Err(TreeError::Range { index: 300, size: 300 })));
}
