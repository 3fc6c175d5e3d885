//! What a witness remembers, and when it vouches.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use nanoclaw_audit::{KeyError, seeds};
use nanoclaw_tlog::checkpoint::Checkpoint;
use nanoclaw_tlog::merkle::sha256;
use nanoclaw_tlog::note::{MAX_NOTE, SignedNote, VerifierKey};
use nanoclaw_tlog::sign::{SignError, Signer};
use nanoclaw_tlog::witness::{Refusal, Request};
use nanoclaw_vault::digest::hex;
use nanoclaw_vault::{FileError, private};

/// The file of the private keys, in the directory of the witness.
const KEY: &str = "key";
/// The file of the public ones.
const PUBLIC_KEYS: &str = "witness.vkey";

/// Why a witness cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// Its keys cannot be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It cannot sign with this name.
    #[error("the witness cannot be called so: {0}")]
    Sign(#[from] SignError),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Why a checkpoint is not vouched for.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The log's fault.
    #[error(transparent)]
    Refusal(#[from] Refusal),
    /// The memory of this witness cannot be read or written. It does not vouch without.
    #[error(transparent)]
    File(#[from] FileError),
    /// What it remembers is not what it wrote.
    #[error("`{0}` is not a checkpoint that this witness has vouched for; put back the one that was there")]
    Memory(PathBuf),
    /// The module refuses.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// Watches logs.
pub struct Witness {
    directory: PathBuf,
    signer: Signer,
    logs: Vec<VerifierKey>,
    /// Between looking at the newest checkpoint and putting another in its place nobody else may do so.
    turn: Mutex<()>,
}

impl Witness {
    /// The witness `name` that remembers in `directory`, with the keys of the logs that it watches. Its own keys are made
    /// where there are none yet.
    ///
    /// # Errors
    /// The directory, the keys or the name cannot be used.
    pub fn open(directory: &Path, name: &str, logs: Vec<VerifierKey>) -> Result<Self, WitnessError> {
        private::directory(directory)?;
        let signer = Signer::of_witness(name, &seeds(&directory.join(KEY))?)?;
        let keys: String = signer.keys().iter().map(|key| format!("{key}\n")).collect();
        private::replace(&directory.join(PUBLIC_KEYS), keys.as_bytes())?;
        Ok(Self { directory: directory.to_owned(), signer, logs, turn: Mutex::new(()) })
    }

    /// Where its public keys lie.
    pub fn public_keys(&self) -> PathBuf {
        self.directory.join(PUBLIC_KEYS)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        let [first, _] = self.signer.keys();
        first.name()
    }

    /// Vouches for a checkpoint that grew out of the last one of its log: the lines to put under it. They are given once
    /// the checkpoint is on disk.
    ///
    /// # Errors
    /// It did not, is none, or cannot be remembered.
    pub fn add_checkpoint(&self, request: &str) -> Result<String, Refused> {
        let request: Request = request.parse()?;
        let checkpoint = request.checkpoint(&self.logs)?;
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = self.latest(&origin_hash(&checkpoint.origin))?;
        request.follows(&checkpoint, latest.as_ref().map(|(latest, _)| latest))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let lines = self.signer.vouch(&checkpoint, now)?;
        let mut note = request.note;
        note.signatures.retain(|signature| self.logs.iter().any(|key| key.id() == signature.id));
        note.signatures.extend_from_slice(&lines);
        private::replace(&self.memory(&origin_hash(&checkpoint.origin)), note.to_string().as_bytes())?;
        Ok(lines.iter().map(ToString::to_string).collect())
    }

    /// The last checkpoint that it vouched for of the log whose name has this hash, and its note.
    ///
    /// # Errors
    /// It cannot be read, or is not its own.
    pub fn latest(&self, origin_hash: &str) -> Result<Option<(Checkpoint, String)>, Refused> {
        let path = self.memory(origin_hash);
        let Some(bytes) = private::read(&path, MAX_NOTE)? else { return Ok(None) };
        let read = || {
            let text = String::from_utf8(bytes.to_vec()).ok()?;
            let note: SignedNote = text.parse().ok()?;
            note.verify_all(self.signer.keys()).ok()?;
            Some((note.text.parse::<Checkpoint>().ok()?, text))
        };
        let (checkpoint, text) = read().ok_or(Refused::Memory(path.clone()))?;
        match self::origin_hash(&checkpoint.origin) == origin_hash {
            true => Ok(Some((checkpoint, text))),
            false => Err(Refused::Memory(path)),
        }
    }

    fn memory(&self, origin_hash: &str) -> PathBuf {
        self.directory.join(format!("{origin_hash}.checkpoint"))
    }
}

/// SHA-256 of the name of a log, in hex, as the specification has it in the address of its newest checkpoint.
pub(crate) fn origin_hash(origin: &str) -> String {
    hex(&sha256(origin.as_bytes()))
}
