//! The proof that one entry is in a log, in a file of its own (C2SP tlog-proof).

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::bundle::{self, entries};
use crate::checkpoint::{Checkpoint, NotACheckpoint};
use crate::merkle::{ProofError, leaf_hash, verify_inclusion};
use crate::note::{NoteError, SignedNote, VerifierKey, Voucher};
use crate::tile::{Kind, TilePath, Tiles as _, WIDTH};
use crate::tree::{TreeError, inclusion_proof};
use crate::verify::SnapshotError;
use crate::verify::snapshot::Snapshot;
use crate::{Hash, MOST_HASHES};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// Where an entry stands, and the checkpoint that counts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The entry itself, in the line that the specification leaves to applications.
    pub entry: Vec<u8>,
    /// Its place, from 0.
    pub index: u64,
    /// From the leaf up.
    pub hashes: Vec<Hash>,
    /// The checkpoint.
    pub note: SignedNote,
}

/// A proof is none, or does not show what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofFileError {
    /// It is no proof.
    #[error("not a proof (c2sp.org/tlog-proof@v1): {0}")]
    Malformed(&'static str),
    /// Its checkpoint is none, or those who should do not vouch for it.
    #[error("its checkpoint: {0}")]
    Note(#[from] NoteError),
    /// As well.
    #[error("its checkpoint: {0}")]
    Checkpoint(#[from] NotACheckpoint),
    /// It does not lead from the entry to the checkpoint.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The keys are those of another log.
    #[error("it is of the log `{0}`, and the keys are not")]
    Origin(String),
}

/// A record cannot be proven.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// There is nothing to prove it by.
    #[error("`checkpoint`: {0}")]
    Snapshot(#[from] SnapshotError),
    /// What is there is no checkpoint.
    #[error("`checkpoint`: {0}")]
    Checkpoint(#[from] NotACheckpoint),
    /// A bundle of entries cannot be read.
    #[error("`{0}`: {1}")]
    Entries(TilePath, std::io::Error),
    /// A tile of hashes cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// There is no such record, or not yet.
    #[error("record {0} is not sealed; the newest checkpoint counts {1} records, and a second later it may count more")]
    Unsealed(u64, u64),
}

impl Proof {
    /// Makes the proof that the record number `seq` is in the log in `directory`.
    ///
    /// # Errors
    /// It is not, or the tree cannot be read.
    pub fn find(directory: &Path, seq: u64) -> Result<Self, FindError> {
        let snapshot = Snapshot::take(directory)?;
        let size = snapshot.note.text.parse::<Checkpoint>()?.size;
        // Numbers rise, so the bundle is the last one that does not begin behind it.
        let (mut low, mut high) = (0, size.div_ceil(u64::from(WIDTH)));
        while low < high {
            let middle = low + (high - low) / 2;
            let path = TilePath::within(Kind::Entries, middle, size).ok_or(FindError::Unsealed(seq, size))?;
            let bytes = snapshot.read(&path).map_err(|error| FindError::Entries(path, error))?;
            let mut numbered = entries(&bytes).map_while(Result::ok).map(|entry| (bundle::seq(entry), entry));
            let first = numbered.next();
            if first.and_then(|(first, _)| first).is_none_or(|first| seq < first) {
                high = middle;
                continue;
            }
            let found = first.into_iter().chain(numbered).enumerate().find(|(_, (number, _))| *number == Some(seq));
            if let Some((at, (_, entry))) = found {
                let index = middle * u64::from(WIDTH) + at as u64;
                let hashes = inclusion_proof(&snapshot, index, size)?;
                return Ok(Self { entry: entry.to_vec(), index, hashes, note: snapshot.note });
            }
            low = middle + 1;
        }
        Err(FindError::Unsealed(seq, size))
    }

    /// Checks that the entry is in the log that has all of the keys `log`. Gives the checkpoint, and those of `witnesses`
    /// who vouch for it.
    ///
    /// # Errors
    /// It does not show that.
    pub fn verify<'a>(
        &self,
        log: &[VerifierKey],
        witnesses: &'a [VerifierKey],
    ) -> Result<(Checkpoint, Vec<Voucher<'a>>), ProofFileError> {
        self.note.verify_all(log)?;
        let checkpoint: Checkpoint = self.note.text.parse()?;
        if log.iter().any(|key| key.name() != checkpoint.origin) {
            return Err(ProofFileError::Origin(checkpoint.origin));
        }
        let leaf = leaf_hash(&self.entry);
        verify_inclusion(&leaf, self.index, checkpoint.size, &checkpoint.root, &self.hashes)?;
        let vouchers = if witnesses.is_empty() { Vec::new() } else { self.note.verify(witnesses)? };
        Ok((checkpoint, vouchers))
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}\nextra {}\nindex {}", STANDARD.encode(&self.entry), self.index)?;
        write_hashes(f, &self.hashes)?;
        write!(f, "\n{}", self.note)
    }
}

impl FromStr for Proof {
    type Err = ProofFileError;

    fn from_str(text: &str) -> Result<Self, ProofFileError> {
        use ProofFileError::Malformed;
        let (head, note) = text.split_once("\n\n").ok_or(Malformed("it has no empty line"))?;
        let mut lines = head.split('\n');
        if lines.next() != Some(FIRST_LINE) {
            return Err(Malformed("its first line is another"));
        }
        let entry = lines.next().and_then(|line| STANDARD.decode(line.strip_prefix("extra ")?).ok());
        let entry = entry.ok_or(Malformed("its second line is not the entry"))?;
        let index = lines.next().and_then(|line| number(line.strip_prefix("index ")?));
        let index = index.ok_or(Malformed("its third line is no index"))?;
        let hashes = read_hashes(lines).ok_or(Malformed("a line is no SHA-256 in base64, or there are too many"))?;
        Ok(Self { entry, index, hashes, note: note.parse()? })
    }
}

/// A number as the specifications write it: without zeros before it.
pub(crate) fn number(digits: &str) -> Option<u64> {
    digits.parse::<u64>().ok().filter(|number| number.to_string() == digits)
}

pub(crate) fn write_hashes(f: &mut fmt::Formatter<'_>, hashes: &[Hash]) -> fmt::Result {
    hashes.iter().try_for_each(|hash| writeln!(f, "{}", STANDARD.encode(hash)))
}

/// A hash from each line; `None` where a line is none, or there are more than any proof has.
pub(crate) fn read_hashes<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Vec<Hash>> {
    let hash = |line: &str| STANDARD.decode(line).ok()?.try_into().ok();
    let hashes: Vec<Hash> = lines.take(MOST_HASHES + 1).map(hash).collect::<Option<_>>()?;
    (hashes.len() <= MOST_HASHES).then_some(hashes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::node_hash;
    use crate::sign::Signer;

    fn proof() -> (Proof, Signer) {
        let log = Signer::of_log("log.example", &[1; 64]).unwrap();
        let (entry, other) = (br#"{"seq":2}"#.to_vec(), leaf_hash(br#"{"seq":1}"#));
        let root = node_hash(&other, &leaf_hash(&entry));
        let note = log.note(&Checkpoint { origin: "log.example".to_owned(), size: 2, root }, 5).unwrap();
        (Proof { entry, index: 1, hashes: vec![other], note }, log)
    }

    #[test]
    fn a_proof_is_read_back_and_holds() {
        let (proof, log) = proof();
        assert_eq!(proof.to_string().parse::<Proof>().unwrap(), proof);
        let (checkpoint, vouchers) = proof.verify(log.keys(), &[]).unwrap();
        assert_eq!((checkpoint.size, vouchers.len()), (2, 0));
    }

    #[test]
    fn a_changed_proof_does_not_hold() {
        let (proof, log) = proof();
        let keys = log.keys().as_slice();
        let of = |proof: Proof| proof.verify(keys, &[]).unwrap_err();
        assert_eq!(of(Proof { entry: b"{}".to_vec(), ..proof.clone() }), ProofError::Root.into());
        assert_eq!(of(Proof { index: 0, ..proof.clone() }), ProofError::Root.into());
        assert_eq!(of(Proof { index: 2, ..proof.clone() }), ProofError::Range.into());
        assert_eq!(of(Proof { hashes: Vec::new(), ..proof.clone() }), ProofError::Length.into());
        let mut stripped = proof.clone();
        stripped.note.signatures.pop();
        assert!(matches!(of(stripped), ProofFileError::Note(NoteError::Missing(..))));
        let stranger = Signer::of_witness("witness.example", &[2; 64]).unwrap();
        assert_eq!(proof.verify(keys, stranger.keys()), Err(NoteError::Unsigned.into()));
        assert_eq!(proof.verify(stranger.keys(), &[]), Err(NoteError::Unsigned.into()));
    }

    #[test]
    fn what_is_no_proof_is_refused() {
        let text = proof().0.to_string();
        let hash = text.lines().nth(3).unwrap().to_owned();
        for (from, to) in [
            ("@v1", "@v2"),
            ("extra ", "extra"),
            ("index 1", "index 01"),
            (hash.as_str(), "AAAA"),
            (hash.as_str(), &vec![hash.as_str(); 64].join("\n")),
            ("\n\n", "\n"),
        ] {
            assert!(text.replacen(from, to, 1).parse::<Proof>().is_err(), "{from:?}");
        }
    }
}
