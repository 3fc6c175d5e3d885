//! What a witness checks before it vouches for a checkpoint: that it grew out of the last one that it has seen (C2SP
//! tlog-witness, `add-checkpoint`).

use std::fmt;
use std::str::FromStr;

use crate::checkpoint::Checkpoint;
use crate::merkle::{empty_root, verify_consistency};
use crate::note::{MAX_NOTE, NoteError, SignedNote, VerifierKey};
use crate::proof::{number, read_hashes, write_hashes};
use crate::{Hash, MOST_HASHES};

/// Most bytes of a request: the note, a line for each hash, and the one of the old size.
pub const MAX_REQUEST: usize = MAX_NOTE + 64 * (MOST_HASHES + 1);

/// What a log asks of a witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The size of the last checkpoint that the witness has vouched for, as the log remembers it.
    pub old: u64,
    /// That the new tree grew out of that one.
    pub proof: Vec<Hash>,
    /// The new checkpoint.
    pub note: SignedNote,
}

/// Why a witness does not vouch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request is none.
    #[error("not a request for a cosignature: {0}")]
    Malformed(&'static str),
    /// The witness does not watch this log.
    #[error("the log `{0}` is not one of those that this witness watches")]
    Unknown(String),
    /// The log's keys do not vouch for the checkpoint.
    #[error(transparent)]
    Unsigned(NoteError),
    /// The last checkpoint that it has vouched for has another size: this one.
    #[error("the last checkpoint that this witness vouched for has {0} entries")]
    Conflict(u64),
    /// The new tree did not grow out of the old one: the log has changed what it had promised.
    #[error("the tree of {new} entries did not grow out of the one of {old}")]
    Inconsistent {
        /// In entries.
        old: u64,
        /// In entries.
        new: u64,
    },
}

impl Refusal {
    /// The status of the answer.
    pub const fn status(&self) -> u16 {
        match self {
            Refusal::Malformed(_) => 400,
            Refusal::Unsigned(_) => 403,
            Refusal::Unknown(_) => 404,
            Refusal::Conflict(_) => 409,
            Refusal::Inconsistent { .. } => 422,
        }
    }
}

impl Request {
    /// The checkpoint, if it is one of a log that `keys` know, and all keys of that log vouch for it.
    ///
    /// # Errors
    /// It is not.
    pub fn checkpoint(&self, keys: &[VerifierKey]) -> Result<Checkpoint, Refusal> {
        let checkpoint = self.note.text.parse::<Checkpoint>();
        let checkpoint = checkpoint.map_err(|_| Refusal::Malformed("its note is no checkpoint"))?;
        let own: Vec<VerifierKey> = keys.iter().filter(|key| key.name() == checkpoint.origin).cloned().collect();
        if own.is_empty() {
            return Err(Refusal::Unknown(checkpoint.origin));
        }
        self.note.verify_all(&own).map_err(Refusal::Unsigned)?;
        if self.old > checkpoint.size {
            return Err(Refusal::Malformed("its old size is above the new one"));
        }
        Ok(checkpoint)
    }

    /// Checks that `checkpoint` grew out of `latest`, the last one of that log that was vouched for. Nobody else may do
    /// this between it and putting `checkpoint` in the place of `latest`.
    ///
    /// # Errors
    /// It did not, or the request is about another.
    pub fn follows(&self, checkpoint: &Checkpoint, latest: Option<&Checkpoint>) -> Result<(), Refusal> {
        let (old, old_root) = latest.map_or((0, empty_root()), |latest| (latest.size, latest.root));
        if self.old != old {
            return Err(Refusal::Conflict(old));
        }
        let inconsistent = Refusal::Inconsistent { old, new: checkpoint.size };
        if checkpoint.size == 0 && checkpoint.root != empty_root() {
            return Err(inconsistent);
        }
        verify_consistency(old, checkpoint.size, &old_root, &checkpoint.root, &self.proof).map_err(|_| inconsistent)
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        write_hashes(f, &self.proof)?;
        write!(f, "\n{}", self.note)
    }
}

impl FromStr for Request {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        use Refusal::Malformed;
        let (head, note) = text.split_once("\n\n").ok_or(Malformed("it has no empty line"))?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| number(line.strip_prefix("old ")?));
        let old = old.ok_or(Malformed("its first line is not `old SIZE`"))?;
        let proof = read_hashes(lines).ok_or(Malformed("a line is no SHA-256 in base64, or there are too many"))?;
        let note = note.parse().map_err(|_| Malformed("it does not end with a signed note"))?;
        Ok(Self { old, proof, note })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::{leaf_hash, node_hash};
    use crate::sign::Signer;

    fn log() -> Signer {
        Signer::of_log("log.example", &[1; 64]).unwrap()
    }

    fn checkpoint(entries: &[&[u8]]) -> Checkpoint {
        let root = match entries {
            [] => empty_root(),
            [one] => leaf_hash(one),
            [one, two, ..] => node_hash(&leaf_hash(one), &leaf_hash(two)),
        };
        Checkpoint { origin: "log.example".to_owned(), size: entries.len() as u64, root }
    }

    fn request(old: u64, proof: Vec<Hash>, checkpoint: &Checkpoint) -> Request {
        let request = Request { old, proof, note: log().note(checkpoint, 5).unwrap() };
        assert_eq!(request.to_string().parse::<Request>().unwrap(), request);
        request
    }

    #[test]
    fn a_log_that_grows_is_vouched_for() {
        let (one, two) = (checkpoint(&[b"a"]), checkpoint(&[b"a", b"b"]));
        let first = request(0, Vec::new(), &one);
        assert_eq!(first.checkpoint(log().keys()).unwrap(), one);
        assert_eq!(first.follows(&one, None), Ok(()));
        let second = request(1, vec![leaf_hash(b"b")], &two);
        assert_eq!(second.follows(&two, Some(&one)), Ok(()));
        // Once more, as after an answer that was lost.
        assert_eq!(request(2, Vec::new(), &two).follows(&two, Some(&two)), Ok(()));
    }

    #[test]
    fn forks_and_rollbacks_are_refused() {
        let (one, two) = (checkpoint(&[b"a"]), checkpoint(&[b"a", b"b"]));
        let fork = checkpoint(&[b"x", b"b"]);
        let status = |request: Request, new: &Checkpoint, latest| request.follows(new, latest).unwrap_err().status();
        assert_eq!(status(request(1, vec![leaf_hash(b"b")], &fork), &fork, Some(&one)), 422);
        assert_eq!(status(request(2, Vec::new(), &fork), &fork, Some(&two)), 422);
        assert_eq!(status(request(0, Vec::new(), &one), &one, Some(&two)), 409);
        assert_eq!(status(request(1, vec![leaf_hash(b"b")], &two), &two, None), 409);
        assert_eq!(status(request(0, vec![[0; 32]], &one), &one, None), 422);
        let empty = Checkpoint { root: [0; 32], ..checkpoint(&[]) };
        assert_eq!(status(request(0, Vec::new(), &empty), &empty, None), 422);
        assert_eq!(request(2, Vec::new(), &one).checkpoint(log().keys()).unwrap_err().status(), 400);
    }

    #[test]
    fn strangers_and_half_signed_checkpoints_are_refused() {
        let one = checkpoint(&[b"a"]);
        let mut half = request(0, Vec::new(), &one);
        half.note.signatures.pop();
        assert_eq!(half.checkpoint(log().keys()).unwrap_err().status(), 403);
        let stranger = Signer::of_log("other.example", &[2; 64]).unwrap();
        assert_eq!(request(0, Vec::new(), &one).checkpoint(stranger.keys()).unwrap_err().status(), 404);
        let impostor = Signer::of_log("log.example", &[2; 64]).unwrap();
        assert_eq!(request(0, Vec::new(), &one).checkpoint(impostor.keys()).unwrap_err().status(), 403);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let text = request(1, vec![[3; 32]], &checkpoint(&[b"a", b"b"])).to_string();
        for (from, to) in [("old 1", "old 01"), ("old 1", "new 1"), ("AwMD", "AwM"), ("\n\n", "\n")] {
            let refusal = text.replacen(from, to, 1).parse::<Request>().unwrap_err();
            assert_eq!(refusal.status(), 400, "{from:?}");
        }
    }
}
