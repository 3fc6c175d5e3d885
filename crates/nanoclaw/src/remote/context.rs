//! Contexts: what this user knows of servers elsewhere, a directory for each below `nanoclaw/contexts` in the user's
//! configuration. Nobody else has access to it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use nanoclaw_identity::ca::{ClientConfig, PrivateKey, X509Error, client_tls, next_request};
use nanoclaw_server::say;
use nanoclaw_vault::{FileError, Secret, private};
use serde::{Deserialize, Serialize};
use serde_json::json;
use zeroize::Zeroizing;

use super::client::{Client, Server};
use super::enrol::Enrolled;
use super::error::RemoteError;
use crate::terminal::visible;

/// Longest file of a context, in bytes.
const MAX_FILE_BYTES: usize = 64 * 1024;
/// How long before its end a certificate is renewed: the last third of its life.
const RENEWED_BEFORE: SignedDuration = SignedDuration::from_hours(24 * 30);
/// Longest name of a context, in bytes.
const LONGEST_NAME: usize = 64;
/// The variable that names the context where no option does.
const VARIABLE: &str = "NANOCLAW_CONTEXT";

/// What is known of a server, besides certificates and keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Its URL.
    pub server: String,
    /// Who we are there.
    pub operator: String,
    /// The number of our certificate.
    pub serial: String,
    /// Until when it is valid.
    pub not_after: Timestamp,
}

impl Facts {
    /// As they are kept in `directory`.
    fn text(&self, directory: &Path) -> Result<Vec<u8>, ContextError> {
        serde_json::to_vec_pretty(self)
            .map_err(|error| ContextError::Damaged { path: directory.to_owned(), why: error.to_string() })
    }
}

/// A server elsewhere.
pub struct Context {
    /// How it is called here.
    pub name: String,
    /// Where all of it lies.
    pub directory: PathBuf,
    /// What is known of it.
    pub facts: Facts,
}

/// A context cannot be used, made or removed.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// There is none of this name.
    #[error("there is no context `{0}`; `nanoclaw context ls` lists them, `nanoclaw context add` makes one")]
    Missing(String),
    /// There is one already.
    #[error("there is a context `{0}` already; choose another name, or remove it with `nanoclaw context rm {0}`")]
    Taken(String),
    /// It is no name.
    #[error("`{}` cannot be the name of a context; use 1 to {LONGEST_NAME} of a-z, 0-9, `.`, `_` and `-`, a letter first", visible(.0))]
    Name(String),
    /// There is no place for it.
    #[error("there is no place for contexts; set HOME or XDG_CONFIG_HOME")]
    NoPlace,
    /// Its time is over.
    #[error(
        "the certificate of context `{name}` was valid until {not_after}; ask an admin for an invitation, then \
         `nanoclaw context rm {name}` and enrol again"
    )]
    Over {
        /// Which.
        name: String,
        /// When it was over.
        not_after: Timestamp,
    },
    /// A file cannot be read or written, or others have access to it.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file holds something else.
    #[error("`{}`: {why}; remove the context with `nanoclaw context rm`, and enrol again", .path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The directory.
    #[error("`{}`: {source}", .path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The client cannot be made.
    #[error(transparent)]
    Client(#[from] RemoteError),
    /// The key.
    #[error(transparent)]
    Key(#[from] X509Error),
}

fn is_name(name: &str) -> bool {
    name.len() <= LONGEST_NAME
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte))
}

/// Where contexts lie.
fn place() -> Result<PathBuf, ContextError> {
    let variable = |name| std::env::var_os(name).filter(|value: &OsString| !value.is_empty()).map(PathBuf::from);
    let base = variable("XDG_CONFIG_HOME").filter(|base| base.is_absolute());
    let base = base.or_else(|| variable("HOME").map(|home| home.join(".config")));
    Ok(base.ok_or(ContextError::NoPlace)?.join("nanoclaw/contexts"))
}

/// The place of a context that is not there yet.
///
/// # Errors
/// It cannot be called so, or there is one.
pub(super) fn vacant(name: &str) -> Result<PathBuf, ContextError> {
    if !is_name(name) {
        return Err(ContextError::Name(name.to_owned()));
    }
    let directory = place()?.join(name);
    match fs::symlink_metadata(&directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(directory),
        Ok(_) => Err(ContextError::Taken(name.to_owned())),
        Err(source) => Err(ContextError::Directory { path: directory, source }),
    }
}

impl Context {
    /// The one that is chosen: by the option, or else by the variable of the environment. `None` if none is.
    ///
    /// # Errors
    /// There is no such context, or it cannot be read.
    pub fn chosen(option: Option<&str>) -> Result<Option<Self>, ContextError> {
        let variable = || std::env::var(VARIABLE).ok().filter(|name| !name.is_empty());
        option.map(str::to_owned).or_else(variable).map(|name| Self::open(&name)).transpose()
    }

    /// The one of this name.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn open(name: &str) -> Result<Self, ContextError> {
        if !is_name(name) {
            return Err(ContextError::Name(name.to_owned()));
        }
        let directory = place()?.join(name);
        let path = directory.join("context.json");
        let read = private::read(&path, MAX_FILE_BYTES)?.ok_or_else(|| ContextError::Missing(name.to_owned()))?;
        let facts = serde_json::from_slice(&read)
            .map_err(|error| ContextError::Damaged { path, why: format!("it cannot be read ({error})") })?;
        Ok(Self { name: name.to_owned(), directory, facts })
    }

    /// All of them, by name.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn all() -> Result<Vec<Result<Self, ContextError>>, ContextError> {
        let place = place()?;
        let wrong = |source| ContextError::Directory { path: place.clone(), source };
        let entries = match fs::read_dir(&place) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(wrong(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry.map_err(wrong)?.file_name().into_string().ok().filter(|name| is_name(name)));
        }
        names.sort_unstable();
        Ok(names.iter().map(|name| Self::open(name)).collect())
    }

    /// Removes the one of this name, also one that cannot be read any more.
    ///
    /// # Errors
    /// There is none, or it cannot be removed.
    pub fn remove(name: &str) -> Result<(), ContextError> {
        if !is_name(name) {
            return Err(ContextError::Name(name.to_owned()));
        }
        let directory = place()?.join(name);
        match fs::remove_dir_all(&directory) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ContextError::Missing(name.to_owned())),
            Err(source) => Err(ContextError::Directory { path: directory, source }),
        }
    }

    /// The certificate of the authority that is believed, in PEM.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn authority(&self) -> Result<String, ContextError> {
        self.file("ca.pem")
    }

    /// Keeps an API token that counts instead of the certificate, or takes it away.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep_token(&self, token: Option<&Secret>) -> Result<(), ContextError> {
        let path = self.directory.join("token");
        if let Some(token) = token {
            return Ok(private::replace(&path, token.dangerously_expose().as_bytes())?);
        }
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(ContextError::Directory { path, source }),
        }
    }

    /// Whether there is an API token.
    pub fn has_token(&self) -> bool {
        self.directory.join("token").exists()
    }

    /// Somebody who asks the server. Where the certificate is over soon, it is renewed first.
    ///
    /// # Errors
    /// The time of the certificate is over, or a file cannot be read.
    pub fn client(&self) -> Result<Client, ContextError> {
        let Facts { server, not_after, .. } = &self.facts;
        if *not_after <= Timestamp::now() {
            return Err(ContextError::Over { name: self.name.clone(), not_after: *not_after });
        }
        let key = self.bytes("key.pem")?;
        let key = PrivateKey::from_pem(&key)?;
        if not_after.duration_since(Timestamp::now()) < RENEWED_BEFORE
            && let Err(error) = self.renew(&key)
        {
            say(format_args!(
                "the certificate of context `{}` is valid until {not_after}, and cannot be renewed: {error}",
                self.name
            ));
        }
        let config = self.tls(&key)?;
        let bearer = match private::read(&self.directory.join("token"), MAX_FILE_BYTES)? {
            Some(token) => {
                let text = String::from_utf8_lossy(&token).trim().to_owned();
                let wrong =
                    || ContextError::Damaged { path: self.directory.join("token"), why: "it is no token".into() };
                Some(Secret::new(text).ok_or_else(wrong)?)
            }
            None => None,
        };
        Ok(Client::tls(Server::parse(server)?, config, bearer)?)
    }

    fn tls(&self, key: &PrivateKey) -> Result<ClientConfig, ContextError> {
        let config = client_tls(&self.authority()?, Some((&self.file("certificate.pem")?, key)));
        Ok(config.map_err(RemoteError::from)?)
    }

    /// Gets the next certificate for the same key, so that whatever is written of it fits what is there.
    fn renew(&self, key: &PrivateKey) -> Result<(), ContextError> {
        let client = Client::tls(Server::parse(&self.facts.server)?, self.tls(key)?, None)?;
        let next: Enrolled = client.post("/v1/me/certificate", &json!({ "request": next_request(key)? }))?;
        let facts = Facts { serial: next.serial, not_after: next.not_after, ..self.facts.clone() };
        private::replace(&self.directory.join("certificate.pem"), next.certificate.as_bytes())?;
        Ok(private::replace(&self.directory.join("context.json"), &facts.text(&self.directory)?)?)
    }

    fn bytes(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, ContextError> {
        let path = self.directory.join(name);
        let missing = || ContextError::Damaged { path: path.clone(), why: "it is missing".to_owned() };
        private::read(&path, MAX_FILE_BYTES)?.ok_or_else(missing)
    }

    fn file(&self, name: &str) -> Result<String, ContextError> {
        Ok(String::from_utf8_lossy(&self.bytes(name)?).into_owned())
    }
}

/// Writes what makes a context into its directory, which only this user may enter. `context.json`, without which there is
/// none, comes last.
///
/// # Errors
/// Something cannot be written.
pub(super) fn write(directory: &Path, facts: &Facts, authority: &str, certificate: &str) -> Result<(), ContextError> {
    private::create(&directory.join("ca.pem"), authority.as_bytes())?;
    private::create(&directory.join("certificate.pem"), certificate.as_bytes())?;
    Ok(private::create(&directory.join("context.json"), &facts.text(directory)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_contexts_are_no_paths() {
        for good in ["bank", "a", "prod-2.eu_west"] {
            assert!(is_name(good), "{good}");
        }
        for wrong in ["", "..", ".hidden", "a/b", "/etc", "A", "1a", "-x", "a b", "é", &"a".repeat(65)] {
            assert!(!is_name(wrong), "{wrong}");
        }
    }
}
