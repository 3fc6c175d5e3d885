//! The Merkle tree over the log, in the layout of C2SP tlog-tiles, beside the lines that it is made from.
//!
//! The lines are the write-ahead log: a record is acknowledged when its line is on disk. Some moments later its canonical
//! form enters the tree, and a checkpoint says so, signed. What a checkpoint counts is on disk before the checkpoint is,
//! so a crash leaves the older checkpoint and tiles that the next one writes again.
//!
//! Any process that records may take the next step; a file lock makes it one at a time.

mod files;
mod key;
mod lines;
mod thread;

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nanoclaw_tlog::bundle;
use nanoclaw_tlog::checkpoint::{Checkpoint, NotACheckpoint};
use nanoclaw_tlog::merkle::leaf_hash;
use nanoclaw_tlog::note::{NoteError, Signature, SignedNote, VerifierKey};
use nanoclaw_tlog::sign::{SignError, Signer};
use nanoclaw_tlog::tile::{DirTiles, Kind, TilePath, Tiles as _, WIDTH};
use nanoclaw_tlog::tree::{Growth, TreeError as TilesError};
use nanoclaw_tlog::verify::{CHECKPOINT, PUBLIC_KEYS, WITNESSED};
use rustix::fs::{FlockOperation, OFlags};

use crate::AuditError;
use crate::files::{open_dir, open_file};
use files::Written;
pub use key::{KeyError, seeds};
use lines::Lines;
pub(crate) use thread::Keeper;

/// Held while the tree grows.
const LOCK: &str = "tree.lock";

/// Records that one checkpoint adds at most: after a crash the way to the present is in steps that are kept.
const AT_ONCE: u64 = 1 << 14;

/// How the tree is kept.
#[derive(Clone, Debug)]
pub struct TreeOptions {
    /// The file of the private keys. Made where it is missing.
    pub key: PathBuf,
    /// What the log calls itself in its checkpoints; by default `nanoclaw/` and the beginning of its key's hash.
    pub origin: Option<String>,
    /// Between two checkpoints.
    pub every: Duration,
}

impl TreeOptions {
    /// Between two checkpoints, where nothing else is said.
    pub const EVERY: Duration = Duration::from_secs(1);

    /// With the keys in `key`, a checkpoint each second.
    pub const fn new(key: PathBuf) -> Self {
        Self { key, origin: None, every: Self::EVERY }
    }
}

/// The tree cannot be made to agree with the log.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// A file cannot be read or written.
    #[error("`{path}`: {source}")]
    Io {
        /// Which, below the directory of the log.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The tiles are not those of the checkpoint.
    #[error(transparent)]
    Tiles(#[from] TilesError),
    /// The last bundle of entries is not one.
    #[error("`{0}` does not hold the entries that its name says")]
    Bundle(TilePath),
    /// The checkpoint cannot be read.
    #[error("`checkpoint`: {0}")]
    Note(#[from] NoteError),
    /// As well.
    #[error("`checkpoint`: {0}")]
    Checkpoint(#[from] NotACheckpoint),
    /// The tiles lead to another root than the checkpoint.
    #[error("the tree that stands in `tile` is not the one of `checkpoint`")]
    Root,
    /// The checkpoint is another log's.
    #[error("`checkpoint` is of the log `{0}`, and this is `{1}`")]
    Origin(String, String),
    /// The private keys cannot be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// They cannot sign.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl TreeError {
    fn io(path: impl ToString) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_string(), source }
    }
}

/// The tree of one log.
pub(crate) struct Tree {
    path: PathBuf,
    dir: File,
    lock: File,
    tiles: DirTiles,
    origin: String,
    signer: Signer,
    lines: Lines,
}

impl Tree {
    /// Opens the tree of the log in `path`, with the keys that it is signed with.
    pub(crate) fn open(path: &Path, options: &TreeOptions) -> Result<Self, AuditError> {
        let dir = open_dir(path)?;
        let lock = open_file(&dir, path, LOCK, OFlags::empty())?;
        let signer = || {
            let (origin, seeds) = key::origin(options)?;
            let signer = Signer::of_log(&origin, &seeds)?;
            Ok((origin, signer))
        };
        let (origin, signer) = signer().map_err(|error| failed(path, error))?;
        let keys = signer.keys().iter().map(|key| format!("{key}\n")).collect::<String>();
        let publish = || match files::read(path, PUBLIC_KEYS)? {
            Some(old) if old == keys => Ok(()),
            _ => files::replace(&dir, path, PUBLIC_KEYS, keys.as_bytes()),
        };
        publish().map_err(|error| failed(path, error))?;
        let (tiles, lines) = (DirTiles::new(path), Lines::new(path));
        Ok(Self { path: path.to_owned(), dir, lock, tiles, origin, signer, lines })
    }

    /// Takes records on disk that are not in the tree yet, and signs what has come of it. Gives the size of the tree, and
    /// `Break` where there were more of them than one checkpoint shall wait for.
    pub(crate) fn advance(&mut self) -> Result<(u64, ControlFlow<()>), AuditError> {
        hold(&self.lock).map_err(|error| failed(&self.path, error))?;
        let grown = self.grow();
        // Cannot fail on a lock that is held; closing the file would give it back as well.
        let _ = rustix::fs::flock(&self.lock, FlockOperation::Unlock);
        grown.map_err(|error| failed(&self.path, error))
    }

    fn grow(&mut self) -> Result<(u64, ControlFlow<()>), TreeError> {
        let old = published(&self.path, &self.origin, self.signer.keys())?;
        let mut growth = stands(&self.tiles, &old)?;
        let (mut bundle, after) = last_bundle(&self.tiles, old.size)?;
        let mut written = Written::new(&self.dir, &self.path);
        let tree = &mut growth;
        let flow = self.lines.take(after, |entry| {
            // Records are bounded when they are made, so a longer one was put there by something else: verification
            // misses it.
            if bundle::push_entry(&mut bundle, entry).is_err() {
                return Ok(ControlFlow::Continue(()));
            }
            tree.push(leaf_hash(entry));
            if tree.size() % u64::from(WIDTH) == 0 {
                let index = tree.size() / u64::from(WIDTH) - 1;
                written.put(TilePath { kind: Kind::Entries, index, width: WIDTH }, &bundle)?;
                bundle.clear();
                tree.take_full().iter().try_for_each(|(path, bytes)| written.put(*path, bytes))?;
            }
            Ok(if tree.size() - old.size < AT_ONCE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        let grown = growth.finish();
        if grown.size == old.size {
            return Ok((old.size, flow));
        }
        if let Some(path) = TilePath::within(Kind::Entries, grown.size / u64::from(WIDTH), grown.size) {
            written.put(path, &bundle)?;
        }
        grown.tiles.iter().try_for_each(|(path, bytes)| written.put(*path, bytes))?;
        written.sync()?;
        let checkpoint = Checkpoint { origin: self.origin.clone(), size: grown.size, root: grown.root };
        let note = self.signer.note(&checkpoint, now())?;
        files::replace(&self.dir, &self.path, CHECKPOINT, note.to_string().as_bytes())?;
        files::superseded(&self.path, old.size, grown.size);
        Ok((grown.size, flow))
    }
}

/// Whether the tree of the log in `path` can be gone on from, as far as that is quickly said: before anything is allowed.
/// Its other signature is checked before it grows.
pub(crate) fn check(path: &Path, options: &TreeOptions) -> Result<(), AuditError> {
    let check = || {
        let (origin, seeds) = key::origin(options)?;
        let tiles = DirTiles::new(path);
        let old = published(path, &origin, &[Signer::quick_key_of_log(&origin, &seeds)?])?;
        stands(&tiles, &old)?;
        last_bundle(&tiles, old.size)?;
        Ok(())
    };
    // Under the lock: another process may be about to replace what is read here.
    let dir = open_dir(path)?;
    let lock = open_file(&dir, path, LOCK, OFlags::empty())?;
    hold(&lock).and_then(|()| check()).map_err(|error| failed(path, error))
}

/// The newest checkpoint; the one of an empty tree where there is none.
fn published(path: &Path, origin: &str, keys: &[VerifierKey]) -> Result<Checkpoint, TreeError> {
    let Some(text) = files::read(path, CHECKPOINT)? else {
        let root = nanoclaw_tlog::merkle::empty_root();
        return Ok(Checkpoint { origin: origin.to_owned(), size: 0, root });
    };
    let note: SignedNote = text.parse()?;
    note.verify_all(keys)?;
    let checkpoint: Checkpoint = note.text.parse()?;
    if checkpoint.origin != origin {
        return Err(TreeError::Origin(checkpoint.origin, origin.to_owned()));
    }
    Ok(checkpoint)
}

/// The tree in the tiles, which must be the one of the checkpoint.
fn stands(tiles: &DirTiles, checkpoint: &Checkpoint) -> Result<Growth, TreeError> {
    let growth = Growth::open(tiles, checkpoint.size)?;
    match checkpoint.size > 0 && growth.root() != checkpoint.root {
        true => Err(TreeError::Root),
        false => Ok(growth),
    }
}

/// The entries of the last bundle that is not full, and the number of the last record in the tree of `size` entries.
fn last_bundle(tiles: &DirTiles, size: u64) -> Result<(Vec<u8>, u64), TreeError> {
    let Some(last) = size.checked_sub(1) else { return Ok((Vec::new(), 0)) };
    let index = last / u64::from(WIDTH);
    let path = TilePath { kind: Kind::Entries, index, width: (last % u64::from(WIDTH)) as u16 + 1 };
    let bytes = tiles.read(&path).map_err(TreeError::io(path))?;
    let entries: Result<Vec<&[u8]>, _> = bundle::entries(&bytes).collect();
    let entries = entries.ok().filter(|entries| entries.len() == usize::from(path.width));
    let seq = entries.and_then(|entries| bundle::seq(entries.last()?)).ok_or(TreeError::Bundle(path))?;
    Ok((if path.is_full() { Vec::new() } else { bytes }, seq))
}

/// Adds a witness's lines to a checkpoint that stood in `checkpoint`. It becomes the newest witnessed one, unless there is a
/// newer one, and they join the newest checkpoint where that is still the same. They must have been verified.
///
/// # Errors
/// The files cannot be read or written, or `checkpoint` is no note.
pub fn add_cosignatures(path: &Path, note: &SignedNote, lines: &[Signature]) -> Result<(), AuditError> {
    let dir = open_dir(path)?;
    let lock = open_file(&dir, path, LOCK, OFlags::empty())?;
    let stored = |name| -> Result<Option<SignedNote>, TreeError> {
        Ok(files::read(path, name)?.map(|note| note.parse()).transpose()?)
    };
    let put = |name, mut note: SignedNote| {
        note.signatures.retain(|old| !lines.iter().any(|new| (&new.name, new.id) == (&old.name, old.id)));
        note.signatures.extend_from_slice(lines);
        files::replace(&dir, path, name, note.to_string().as_bytes())
    };
    let add = || -> Result<(), TreeError> {
        hold(&lock)?;
        if let Some(newest) = stored(CHECKPOINT)?.filter(|newest| newest.text == note.text) {
            put(CHECKPOINT, newest)?;
        }
        match stored(WITNESSED)? {
            Some(witnessed) if witnessed.text == note.text => put(WITNESSED, witnessed),
            Some(witnessed) if witnessed.text.parse::<Checkpoint>()?.size > note.text.parse::<Checkpoint>()?.size => {
                Ok(())
            }
            _ => put(WITNESSED, note.clone()),
        }
    };
    add().map_err(|error| failed(path, error))
}

/// Waits until no other process has the lock of the tree. Given back when the file is closed.
fn hold(lock: &File) -> Result<(), TreeError> {
    rustix::io::retry_on_intr(|| rustix::fs::flock(lock, FlockOperation::LockExclusive))
        .map_err(|errno| TreeError::io(LOCK)(errno.into()))
}

fn failed(path: &Path, error: TreeError) -> AuditError {
    AuditError::Tree { path: path.to_owned(), source: Arc::new(error) }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
