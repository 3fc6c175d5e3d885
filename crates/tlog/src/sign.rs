//! Vouching for checkpoints: as the log itself, or as somebody who watches logs.

use aws_lc_rs::rand;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, ML_DSA_44_SIGNING, PqdsaKeyPair};

use crate::checkpoint::Checkpoint;
use crate::note::{Algorithm, NotAKey, Signature, SignedNote, VerifierKey, statement};

/// Length of a seed, in bytes.
pub const SEED: usize = 32;

/// A key cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The cryptographic module refuses.
    #[error("the cryptographic module refuses to make or use a signing key")]
    Module,
    /// The name cannot be one.
    #[error(transparent)]
    Name(#[from] NotAKey),
}

/// The two keys of one name: Ed25519 and ML-DSA-44, each from a seed.
pub struct Signer {
    ed25519: Ed25519KeyPair,
    ml_dsa: PqdsaKeyPair,
    /// In the order of the signatures.
    keys: [VerifierKey; 2],
}

impl Signer {
    /// New seeds: the one for Ed25519, then the one for ML-DSA-44.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn seeds() -> Result<[u8; 2 * SEED], SignError> {
        let mut seeds = [0; 2 * SEED];
        rand::fill(&mut seeds).map_err(|_| SignError::Module)?;
        Ok(seeds)
    }

    /// The keys of a log: its Ed25519 signs the text itself, its ML-DSA-44 as a cosigner of its own name.
    ///
    /// # Errors
    /// `origin` cannot be the name of a key.
    pub fn of_log(origin: &str, seeds: &[u8; 2 * SEED]) -> Result<Self, SignError> {
        Self::new(origin, seeds, Algorithm::Ed25519)
    }

    /// The keys of a witness: both say when.
    ///
    /// # Errors
    /// `name` cannot be the name of a key.
    pub fn of_witness(name: &str, seeds: &[u8; 2 * SEED]) -> Result<Self, SignError> {
        Self::new(name, seeds, Algorithm::Ed25519Cosignature)
    }

    fn new(name: &str, seeds: &[u8; 2 * SEED], first: Algorithm) -> Result<Self, SignError> {
        let (for_ed25519, for_ml_dsa) = seeds.split_at(SEED);
        let ed25519 = Ed25519KeyPair::from_seed_unchecked(for_ed25519).map_err(|_| SignError::Module)?;
        let ml_dsa = PqdsaKeyPair::from_seed(&ML_DSA_44_SIGNING, for_ml_dsa).map_err(|_| SignError::Module)?;
        let keys = [
            VerifierKey::new(name, first, ed25519.public_key().as_ref())?,
            VerifierKey::new(name, Algorithm::MlDsa44Cosignature, ml_dsa.public_key().as_ref())?,
        ];
        Ok(Self { ed25519, ml_dsa, keys })
    }

    /// The first of a log's public keys alone. It takes microseconds, where the module's self-test of ML-DSA, before its
    /// first use in a process, takes 20 ms.
    ///
    /// # Errors
    /// `origin` cannot be the name of a key.
    pub fn quick_key_of_log(origin: &str, seeds: &[u8; 2 * SEED]) -> Result<VerifierKey, SignError> {
        let (for_ed25519, _) = seeds.split_at(SEED);
        let ed25519 = Ed25519KeyPair::from_seed_unchecked(for_ed25519).map_err(|_| SignError::Module)?;
        Ok(VerifierKey::new(origin, Algorithm::Ed25519, ed25519.public_key().as_ref())?)
    }

    /// The public keys.
    pub const fn keys(&self) -> &[VerifierKey; 2] {
        &self.keys
    }

    /// Vouches for a checkpoint at `time`, in seconds since 1970.
    ///
    /// # Errors
    /// The module refuses.
    pub fn vouch(&self, checkpoint: &Checkpoint, time: u64) -> Result<[Signature; 2], SignError> {
        let text = checkpoint.to_string();
        let [first, second] = &self.keys;
        let of = |key: &VerifierKey| statement(key.algorithm(), key.name(), &text, time).ok_or(SignError::Module);
        let signature =
            |key: &VerifierKey, bytes: Vec<u8>| Signature { name: key.name().to_owned(), id: key.id(), bytes };
        let by_ed25519 = self.ed25519.sign(&of(first)?);
        let mut by_ml_dsa = vec![0; ML_DSA_44_SIGNING.signature_len()];
        let length = self.ml_dsa.sign(&of(second)?, &mut by_ml_dsa).map_err(|_| SignError::Module)?;
        by_ml_dsa.truncate(length);
        let timed = |bytes: &[u8]| [&time.to_be_bytes(), bytes].concat();
        Ok([
            signature(
                first,
                match first.algorithm() {
                    Algorithm::Ed25519 => by_ed25519.as_ref().to_vec(),
                    Algorithm::Ed25519Cosignature | Algorithm::MlDsa44Cosignature => timed(by_ed25519.as_ref()),
                },
            ),
            signature(second, timed(&by_ml_dsa)),
        ])
    }

    /// The checkpoint as a note that it vouches for.
    ///
    /// # Errors
    /// The module refuses.
    pub fn note(&self, checkpoint: &Checkpoint, time: u64) -> Result<SignedNote, SignError> {
        Ok(SignedNote { text: checkpoint.to_string(), signatures: self.vouch(checkpoint, time)?.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::NoteError;

    #[test]
    fn a_log_and_a_witness_vouch_with_both_algorithms() {
        let log = Signer::of_log("bank.example/log", &Signer::seeds().unwrap()).unwrap();
        let witness = Signer::of_witness("witness.example", &[7; 64]).unwrap();
        let checkpoint = Checkpoint { origin: "bank.example/log".to_owned(), size: 9, root: [3; 32] };
        let mut note = log.note(&checkpoint, 5).unwrap();
        note.signatures.extend(witness.vouch(&checkpoint, 77).unwrap());
        let note: SignedNote = note.to_string().parse().unwrap();
        let times = |keys: &[VerifierKey]| -> Vec<Option<u64>> {
            note.verify(keys).unwrap().iter().map(|voucher| voucher.time).collect()
        };
        assert_eq!(times(log.keys()), [None, Some(5)]);
        assert_eq!(times(witness.keys()), [Some(77), Some(77)]);
        for key in log.keys().iter().chain(witness.keys()) {
            assert_eq!(key.to_string().parse::<VerifierKey>().unwrap(), *key);
        }
        for at in 0..note.signatures.len() {
            for byte in [0, 9, 63] {
                let mut forged = note.clone();
                forged.signatures[at].bytes[byte] ^= 1;
                let keys = [log.keys().as_slice(), witness.keys()].concat();
                assert!(matches!(forged.verify(&keys), Err(NoteError::Forged(_))), "{at} {byte}");
            }
        }
        let other = Signer::of_log("bank.example/log", &[8; 64]).unwrap();
        assert_eq!(note.verify(other.keys()), Err(NoteError::Unsigned));
    }

    #[test]
    fn a_witness_statement_names_the_log_the_size_and_the_root() {
        let witness = Signer::of_witness("w", &[7; 64]).unwrap();
        let checkpoint = Checkpoint { origin: "a".to_owned(), size: 9, root: [3; 32] };
        let signatures = witness.vouch(&checkpoint, 77).unwrap().to_vec();
        for other in [
            Checkpoint { origin: "b".to_owned(), ..checkpoint.clone() },
            Checkpoint { size: 10, ..checkpoint.clone() },
            Checkpoint { root: [4; 32], ..checkpoint.clone() },
        ] {
            let note = SignedNote { text: other.to_string(), signatures: signatures.clone() };
            assert_eq!(note.verify(witness.keys()), Err(NoteError::Forged("w".to_owned())));
        }
    }
}
