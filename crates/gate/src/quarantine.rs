//! Texts that were withheld from models until a person decides. The agent that has such a text sends it again with each
//! request, so what is kept here is what a person needs to decide, and the decision.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Most texts of one cell that wait for a person. Further ones are withheld all the same, and counted.
const MOST_HELD: usize = 256;
/// Most bytes of them.
const MOST_HELD_BYTES: usize = 16 * 1024 * 1024;
/// Most decisions on texts of one cell that are remembered. Where the oldest is forgotten, its text is withheld again.
const MOST_DECIDED: usize = 4096;
/// Characters of a digest by which people name a text.
const ID_CHARS: usize = 16;

/// What became of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It waits for a person.
    Held,
    /// A person lets it pass.
    Released,
    /// A person has it withheld for good; the text is gone.
    Dropped,
}

/// A text that was withheld.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withheld {
    /// SHA-256 of the text, in hex.
    pub sha256: String,
    /// Whose words it is: `tool`, `document`, `agent`.
    pub channel: String,
    /// Where it came from, as far as is known.
    pub source: String,
    /// The score, in thousandths.
    pub score: u16,
    /// Why, for people.
    pub why: String,
    /// When it came first.
    pub at: Timestamp,
    /// What became of it.
    pub state: State,
    /// Who decided.
    #[serde(default)]
    pub by: String,
    /// The text; empty once somebody decided.
    #[serde(default)]
    pub text: String,
}

impl Withheld {
    /// The name by which people speak of it.
    pub fn id(&self) -> &str {
        id(&self.sha256)
    }
}

/// The name by which people speak of the text with this digest.
pub fn id(sha256: &str) -> &str {
    sha256.get(..ID_CHARS).unwrap_or(sha256)
}

/// What is withheld from one cell.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Shelf {
    /// In the order of their digests; without their texts.
    pub withheld: Vec<Withheld>,
    /// How many were withheld and not kept since the start, as there was no place.
    pub unkept: u64,
}

/// Why nothing was decided.
#[derive(Debug, thiserror::Error)]
pub enum QuarantineError {
    /// There is no such text.
    #[error("nothing with the id `{0}` is in quarantine; `nanoclaw firewall quarantine list` shows what is")]
    Unknown(String),
    /// Somebody decided already.
    #[error("`{id}` is {} already", match state { State::Released => "released", _ => "dropped" })]
    Decided {
        /// Which.
        id: String,
        /// How.
        state: State,
    },
    /// The disk does not take or give it.
    #[error("the quarantine in `{}`: {why}", path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// The quarantine of one cell, over all its runs. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Quarantine(Option<Arc<Kept>>);

#[derive(Debug)]
struct Kept {
    directory: PathBuf,
    /// Filled with what lies there at the first look.
    known: Mutex<Option<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    /// By digest; texts stay on disk, and so does their length here.
    all: BTreeMap<String, (Withheld, usize)>,
    unkept: u64,
}

impl Known {
    fn held(&self) -> impl Iterator<Item = usize> {
        self.all.values().filter(|(withheld, _)| withheld.state == State::Held).map(|(_, length)| *length)
    }

    fn has_place(&self, length: usize) -> bool {
        self.held().count() < MOST_HELD && self.held().sum::<usize>().saturating_add(length) <= MOST_HELD_BYTES
    }
}

impl Quarantine {
    /// Of a cell that ends with its only run: what is withheld stays withheld.
    pub fn none() -> Self {
        Self(None)
    }

    /// In this directory, which is made when something comes.
    pub fn at(directory: PathBuf) -> Self {
        Self(Some(Arc::new(Kept { directory, known: Mutex::default() })))
    }

    /// What a person decided about the text with this digest; what nobody knows waits.
    ///
    /// # Errors
    /// The disk does not give it. It must be withheld.
    pub fn state(&self, sha256: &str) -> Result<State, QuarantineError> {
        let Some(kept) = &self.0 else { return Ok(State::Held) };
        kept.with(|known| Ok(known.all.get(sha256).map_or(State::Held, |(withheld, _)| withheld.state)))
    }

    /// Keeps a text for a person to look at. Gives whether there was place for it.
    ///
    /// # Errors
    /// The disk does not take it.
    pub fn keep(&self, withheld: Withheld) -> Result<bool, QuarantineError> {
        let Some(kept) = &self.0 else { return Ok(false) };
        kept.with(|known| {
            if known.all.contains_key(&withheld.sha256) {
                return Ok(true);
            }
            if !known.has_place(withheld.text.len()) {
                known.unkept = known.unkept.saturating_add(1);
                return Ok(false);
            }
            kept.write(&withheld)?;
            known.put(withheld);
            Ok(true)
        })
    }

    /// What is withheld, without the texts.
    ///
    /// # Errors
    /// The disk does not give it.
    pub fn shelf(&self) -> Result<Shelf, QuarantineError> {
        let Some(kept) = &self.0 else { return Ok(Shelf::default()) };
        kept.with(|known| {
            let withheld = known.all.values().map(|(withheld, _)| withheld.clone()).collect();
            Ok(Shelf { withheld, unkept: known.unkept })
        })
    }

    /// One of them, with its text while it waits.
    ///
    /// # Errors
    /// There is none, or the disk does not give it.
    pub fn show(&self, id: &str) -> Result<Withheld, QuarantineError> {
        let unknown = || QuarantineError::Unknown(id.to_owned());
        let kept = self.0.as_ref().ok_or_else(unknown)?;
        kept.with(|known| known.find(id).and_then(|withheld| kept.read(&kept.path(&withheld.sha256))))
    }

    /// A person decides.
    ///
    /// # Errors
    /// There is none that waits, or the disk does not take it: nothing was decided.
    pub fn decide(&self, id: &str, state: State, by: &str) -> Result<(), QuarantineError> {
        let unknown = || QuarantineError::Unknown(id.to_owned());
        let kept = self.0.as_ref().ok_or_else(unknown)?;
        kept.with(|known| {
            let found = known.find(id)?;
            if found.state != State::Held {
                return Err(QuarantineError::Decided { id: id.to_owned(), state: found.state });
            }
            let decided = Withheld { state, by: by.to_owned(), text: String::new(), ..found };
            kept.write(&decided)?;
            known.put(decided);
            if let Some(oldest) = known.surplus() {
                let path = kept.path(&oldest);
                fs::remove_file(&path).map_err(|error| disk(&path, &error))?;
                known.all.remove(&oldest);
            }
            Ok(())
        })
    }
}

impl Known {
    fn put(&mut self, withheld: Withheld) {
        let length = withheld.text.len();
        let key = withheld.sha256.clone();
        self.all.insert(key, (Withheld { text: String::new(), ..withheld }, length));
    }

    fn find(&self, id: &str) -> Result<Withheld, QuarantineError> {
        let mut all = self.all.values().filter(|(withheld, _)| withheld.id() == id || withheld.sha256 == id);
        match (all.next(), all.next()) {
            (Some((withheld, _)), None) => Ok(withheld.clone()),
            // Whoever made two texts with one id must not have one released for the other.
            _ => Err(QuarantineError::Unknown(id.to_owned())),
        }
    }

    /// The oldest decision, where there are more than are remembered.
    fn surplus(&self) -> Option<String> {
        let decided = || self.all.values().map(|(withheld, _)| withheld).filter(|one| one.state != State::Held);
        let oldest = decided().min_by_key(|withheld| withheld.at)?;
        (decided().count() > MOST_DECIDED).then(|| oldest.sha256.clone())
    }
}

impl Kept {
    fn with<T>(&self, look: impl FnOnce(&mut Known) -> Result<T, QuarantineError>) -> Result<T, QuarantineError> {
        let mut known: MutexGuard<'_, Option<Known>> = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match &mut *known {
            Some(known) => known,
            empty => empty.insert(self.load()?),
        };
        look(known)
    }

    fn path(&self, sha256: &str) -> PathBuf {
        self.directory.join(format!("{sha256}.json"))
    }

    fn load(&self) -> Result<Known, QuarantineError> {
        let mut known = Known::default();
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(known),
            Err(error) => return Err(disk(&self.directory, &error)),
        };
        for entry in entries {
            let path = entry.map_err(|error| disk(&self.directory, &error))?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                known.put(self.read(&path)?);
            }
        }
        Ok(known)
    }

    fn read(&self, path: &Path) -> Result<Withheld, QuarantineError> {
        let bytes = fs::read(path).map_err(|error| disk(path, &error))?;
        serde_json::from_slice(&bytes).map_err(|error| disk(path, &error))
    }

    /// Whole or not at all, on disk, and for nobody else to read.
    fn write(&self, withheld: &Withheld) -> Result<(), QuarantineError> {
        let path = self.path(&withheld.sha256);
        let new = path.with_extension("new");
        let written = || -> io::Result<()> {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
            let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            serde_json::to_writer(&mut file, withheld)?;
            file.flush()?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            fs::File::open(&self.directory)?.sync_all()
        };
        written().map_err(|error| disk(&path, &error))
    }
}

fn disk(path: &Path, why: &dyn Display) -> QuarantineError {
    QuarantineError::Disk { path: path.to_path_buf(), why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn withheld(number: usize, text: &str) -> Withheld {
        Withheld {
            sha256: format!("{number:064x}").chars().rev().collect(),
            channel: "tool".to_owned(),
            source: "tool:fetch".to_owned(),
            score: 990,
            why: "it asks to ignore what was said before".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            state: State::Held,
            by: String::new(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn what_a_person_decided_outlives_the_program_and_the_text_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("a");
        let quarantine = Quarantine::at(place.clone());
        for number in 1..=3 {
            assert!(quarantine.keep(withheld(number, "evil")).unwrap());
        }
        let one = withheld(1, "evil");
        assert_eq!(quarantine.show(one.id()).unwrap(), one);
        quarantine.decide(one.id(), State::Released, "uid:0").unwrap();
        quarantine.decide(withheld(2, "").id(), State::Dropped, "uid:0").unwrap();
        for quarantine in [quarantine, Quarantine::at(place.clone())] {
            let states = [1, 2, 3, 4].map(|number| quarantine.state(&withheld(number, "").sha256).unwrap());
            assert_eq!(states, [State::Released, State::Dropped, State::Held, State::Held]);
            assert_eq!(quarantine.show(one.id()).unwrap().text, "");
            assert!(matches!(
                quarantine.decide(one.id(), State::Dropped, "uid:0"),
                Err(QuarantineError::Decided { state: State::Released, .. })
            ));
            assert!(matches!(quarantine.decide("ff", State::Released, "x"), Err(QuarantineError::Unknown(_))));
        }
        for file in fs::read_dir(&place).unwrap() {
            assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_cell_cannot_fill_the_disk_and_what_finds_no_place_stays_withheld() {
        let directory = tempfile::tempdir().unwrap();
        let quarantine = Quarantine::at(directory.path().join("a"));
        assert!(!quarantine.keep(withheld(0, &"x".repeat(MOST_HELD_BYTES + 1))).unwrap());
        for number in 0..MOST_HELD {
            assert!(quarantine.keep(withheld(number, "evil")).unwrap());
        }
        assert!(!quarantine.keep(withheld(MOST_HELD, "evil")).unwrap());
        assert_eq!(quarantine.state(&withheld(MOST_HELD, "").sha256).unwrap(), State::Held);
        let shelf = quarantine.shelf().unwrap();
        assert_eq!((shelf.withheld.len(), shelf.unkept), (MOST_HELD, 2));
        quarantine.decide(withheld(0, "").id(), State::Dropped, "uid:0").unwrap();
        assert!(quarantine.keep(withheld(MOST_HELD, "evil")).unwrap(), "there is place again");
    }

    #[test]
    fn what_cannot_be_read_is_not_released() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("a");
        fs::create_dir(&place).unwrap();
        fs::write(place.join("x.json"), "{").unwrap();
        let quarantine = Quarantine::at(place);
        assert!(matches!(quarantine.state("x"), Err(QuarantineError::Disk { .. })));
        assert!(quarantine.keep(withheld(1, "evil")).is_err());
    }

    #[test]
    fn two_texts_with_one_id_are_not_taken_for_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let quarantine = Quarantine::at(directory.path().join("a"));
        let twin = |end: &str| Withheld { sha256: format!("{}{end}", "0".repeat(63)), ..withheld(0, "evil") };
        for end in ["1", "2"] {
            quarantine.keep(twin(end)).unwrap();
        }
        assert!(matches!(quarantine.decide(twin("1").id(), State::Released, "x"), Err(QuarantineError::Unknown(_))));
        quarantine.decide(&twin("1").sha256, State::Released, "x").unwrap();
        assert_eq!(quarantine.state(&twin("2").sha256).unwrap(), State::Held);
    }
}
