//! What the control plane remembers of people: small JSON files in its state that nobody else may read.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nanoclaw_vault::random::RandomError;
use nanoclaw_vault::tls::TlsError;
use nanoclaw_vault::x509::X509Error;
use nanoclaw_vault::{FileError, private};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest of these files, in bytes.
const MAX_FILE_BYTES: usize = 16 * 1024 * 1024;

/// What is known of people cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file holds something else.
    #[error("`{path}` cannot be read: {problem}; restore it from a backup")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// There is more than is kept.
    #[error("more than {0} {1} are not kept; remove some")]
    Full(usize, &'static str),
    /// A certificate cannot be issued or read.
    #[error(transparent)]
    Certificate(#[from] X509Error),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// A value of which the file always holds the newest state.
pub(crate) struct Store<T> {
    path: PathBuf,
    value: Mutex<T>,
}

impl<T: Clone + Default + Serialize + DeserializeOwned> Store<T> {
    /// Reads the file, if there is one. This process must be the only one that changes it.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        private::tidy(path)?;
        let value = match private::read(path, MAX_FILE_BYTES)? {
            None => T::default(),
            Some(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| StoreError::Content { path: path.to_owned(), problem: error.to_string() })?,
        };
        Ok(Self { path: path.to_owned(), value: Mutex::new(value) })
    }

    /// Looks at the value.
    pub(crate) fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.lock())
    }

    /// Changes the value: on disk first, then for everybody else. Where `change` fails or the disk does, nothing has
    /// changed. One change happens after the other.
    pub(crate) fn change<R, E: From<StoreError>>(&self, change: impl FnOnce(&mut T) -> Result<R, E>) -> Result<R, E> {
        let mut value = self.lock();
        let mut next = value.clone();
        let result = change(&mut next)?;
        let text = serde_json::to_vec_pretty(&next)
            .map_err(|error| StoreError::Content { path: self.path.clone(), problem: error.to_string() })?;
        private::replace(&self.path, &text).map_err(StoreError::from)?;
        *value = next;
        Ok(result)
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        // Nobody leaves it half changed: a change is made to a copy.
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Roles in these files: a list of their names.
pub(crate) mod roles {
    use std::collections::BTreeSet;

    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::Role;

    pub(crate) fn serialize<S: Serializer>(roles: &BTreeSet<Role>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(roles.iter().map(|role| role.name()))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<Role>, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        let role = |name: &String| Role::parse(name).ok_or_else(|| D::Error::custom(format!("no role `{name}`")));
        names.iter().map(role).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken() -> StoreError {
        StoreError::Full(0, "things")
    }

    fn push(number: u32) -> impl FnOnce(&mut Vec<u32>) -> Result<(), StoreError> {
        move |list| {
            list.push(number);
            Ok(())
        }
    }

    #[test]
    fn changes_outlive_the_process_and_failed_ones_never_were() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.json");
        let store = Store::<Vec<u32>>::open(&path).unwrap();
        store.change(push(1)).unwrap();
        let failed = store.change(|list| {
            list.push(2);
            Err::<(), _>(broken())
        });
        assert!(failed.is_err());
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(store.change(push(3)).is_err(), "the disk is gone");
        assert_eq!(store.read(Clone::clone), [1]);
        std::fs::create_dir(&folder).unwrap();
        store.change(push(4)).unwrap();
        assert_eq!(Store::<Vec<u32>>::open(&path).unwrap().read(Clone::clone), [1, 4]);
    }

    #[test]
    fn a_file_that_is_damaged_is_an_error_and_not_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.json");
        private::replace(&path, b"[1, 2").unwrap();
        assert!(matches!(Store::<Vec<u32>>::open(&path), Err(StoreError::Content { .. })));
    }
}
