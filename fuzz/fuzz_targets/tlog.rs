//! What a verifier and a witness read from somebody whom they do not trust, on arbitrary bytes: notes, checkpoints, keys,
//! proofs, requests, bundles and records. Nothing panics, what is read is written back as it was, no signature that nobody
//! made is taken for one, and the canonical form of a canonical form is itself.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use nanoclaw_tlog::bundle::{entries, push_entry};
use nanoclaw_tlog::canonical::canonical;
use nanoclaw_tlog::checkpoint::Checkpoint;
use nanoclaw_tlog::note::{SignedNote, VerifierKey};
use nanoclaw_tlog::proof::Proof;
use nanoclaw_tlog::sign::Signer;
use nanoclaw_tlog::witness::Request;

/// Keys whose private halves have signed nothing.
static KEYS: LazyLock<[VerifierKey; 2]> =
    LazyLock::new(|| Signer::of_log("log.example", &[7; 64]).unwrap().keys().clone());

fuzz_target!(|bytes: &[u8]| {
    if let Ok(once) = canonical(bytes) {
        assert_eq!(canonical(&once).unwrap(), once);
    }
    let mut bundle = Vec::new();
    if entries(bytes).all(|entry| entry.is_ok_and(|entry| push_entry(&mut bundle, entry).is_ok())) {
        assert_eq!(bundle, bytes);
    }
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(note) = text.parse::<SignedNote>() {
        assert_eq!(note.to_string(), text);
        assert!(note.verify(&*KEYS).is_err());
    }
    if let Ok(checkpoint) = text.parse::<Checkpoint>() {
        assert!(text.starts_with(&checkpoint.to_string()));
    }
    if let Ok(key) = text.parse::<VerifierKey>() {
        assert_eq!(key.to_string(), text);
    }
    if let Ok(proof) = text.parse::<Proof>() {
        assert_eq!(proof.to_string(), text);
        assert!(proof.verify(&*KEYS, &[]).is_err());
    }
    if let Ok(request) = text.parse::<Request>() {
        assert_eq!(request.to_string(), text);
        assert!(request.checkpoint(&*KEYS).is_err());
    }
});
