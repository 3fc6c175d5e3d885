//! The prompt firewall of a configuration.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use nanoclaw_config::Config;
use nanoclaw_firewall::filter::{Finds, Keyed, KnownError, KnownValues, SALT, known_values};
use nanoclaw_firewall::{Firewall, SettingsError};
use nanoclaw_vault::digest::hmac_sha256;
use nanoclaw_vault::random::{self, RandomError};

use crate::policies::read_text;

/// Longest list of values, in bytes.
const MAX_LIST: u64 = 32 * 1024 * 1024;

/// Why a configuration has no firewall.
#[derive(Debug, thiserror::Error)]
pub enum FirewallError {
    /// A filter is not understood.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A list of values cannot be read.
    #[error("cannot read `{}`, which `prompt_filters` names: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// It is no list of values.
    #[error("`{}`, which `prompt_filters` names, is no list of values: {error}", path.display())]
    NoList {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: KnownError,
    },
}

/// Makes the firewall that `config` asks for, with the lists of values that it names.
///
/// # Errors
/// There can be none: no configuration comes into force without its firewall.
pub fn of(config: &Config) -> Result<Arc<Firewall>, FirewallError> {
    let mut lists = BTreeMap::new();
    for filter in &config.firewall.filters {
        let Finds::Known(path) = &filter.finds else { continue };
        let text =
            read_text(path, MAX_LIST).map_err(|error| FirewallError::Unreadable { path: path.clone(), error })?;
        let list =
            KnownValues::read(&text, keyed()).map_err(|error| FirewallError::NoList { path: path.clone(), error })?;
        lists.insert(path.clone(), list);
    }
    Ok(Arc::new(Firewall::with_lists(&config.firewall, lists)?))
}

/// Why a list of values cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// A value cannot be one.
    #[error(transparent)]
    Values(#[from] KnownError),
    /// There is no salt.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// The list of values for `exact` of a prompt filter: of `values`, one a line, it holds keyed digests alone.
///
/// # Errors
/// A value is too short or too long, or there is no randomness.
pub fn hash(values: &str) -> Result<String, HashError> {
    Ok(known_values(values, random::bytes::<SALT>()?, keyed())?)
}

fn keyed() -> Keyed {
    Keyed(hmac_sha256)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use nanoclaw_firewall::{Channel, Verdict};

    use super::*;

    fn made(directory: &Path) -> Result<Arc<Firewall>, FirewallError> {
        let text = "prompt_filters: [{ exact: ./list, name: accounts, action: deny }]\n";
        of(&nanoclaw_config::parse(text, Path::new("f"), directory).unwrap().config)
    }

    #[test]
    fn a_list_that_was_hashed_is_found_by_its_values_alone() {
        let directory = tempfile::tempdir().unwrap();
        let list = hash("CH-7781-2291\n").unwrap();
        assert!(!list.contains("7781"), "{list}");
        std::fs::write(directory.path().join("list"), list).unwrap();
        let firewall = made(directory.path()).unwrap();
        assert_eq!(firewall.judge(Channel::Output, "send it to ch 77812291, please").verdict, Verdict::Deny);
        assert_eq!(firewall.judge(Channel::Output, "send it to ch 77812292, please").verdict, Verdict::Allow);
    }

    #[test]
    fn a_missing_or_damaged_list_is_an_error_and_names_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let missing = made(directory.path()).unwrap_err().to_string();
        assert!(missing.contains("/list`") && missing.contains("No such file"), "{missing}");
        std::fs::write(directory.path().join("list"), "CH-7781-2291\n").unwrap();
        let damaged = made(directory.path()).unwrap_err().to_string();
        assert!(damaged.contains("nanoclaw firewall hash") && !damaged.contains("7781"), "{damaged}");
    }
}
