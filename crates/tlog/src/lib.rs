//! A Merkle log that an outsider can verify, without the rest of NanoClaw.
//!
//! - [`canonical`] is what one entry looks like: RFC 8785 JSON;
//! - [`merkle`] hashes entries and checks proofs (RFC 6962 §2.1, RFC 9162 §2.1);
//! - [`tile`] names the files that the tree stands in, [`bundle`] the ones of its entries (C2SP tlog-tiles), and
//!   [`tree`] grows the tree and makes proofs from them;
//! - [`checkpoint`] says how large a tree is and what its root is (C2SP tlog-checkpoint), [`note`] who vouches for it
//!   (C2SP signed-note), and [`sign`] vouches;
//! - [`witness`] is what somebody else checks before he vouches as well (C2SP tlog-witness);
//! - [`proof`] shows one entry to a third party (C2SP tlog-proof), and [`verify`] checks all of a log.
#![forbid(unsafe_code)]

pub mod bundle;
pub mod canonical;
pub mod checkpoint;
pub mod merkle;
pub mod note;
pub mod proof;
pub mod sign;
pub mod tile;
pub mod tree;
pub mod verify;
pub mod witness;

/// SHA-256.
pub type Hash = [u8; 32];

/// Most hashes of a proof, as the specifications have it: a tree of 2^63 entries has no longer ones.
pub const MOST_HASHES: usize = 63;
