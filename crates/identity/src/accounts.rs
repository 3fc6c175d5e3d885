//! The accounts of the people who steer a fleet, with passwords for those who want one.
//!
//! An attempt to sign in counts as a failure until it has succeeded, so that many at once gain nothing. Whether there is
//! an account of a name shows neither in the answer nor in the work done: for a name that nobody has, the same function
//! compares with the hash of nobody, and writes the same file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use nanoclaw_vault::password::{ITERATIONS, PasswordHash};
use nanoclaw_vault::random::RandomError;
use serde::{Deserialize, Serialize};

use crate::backoff::{self, Failures};
use crate::store::{self, Store, StoreError};
use crate::tokens::beyond;
use crate::{Operator, Role};

/// Longest name, in characters.
const MAX_NAME: usize = 64;
/// Most accounts.
const MAX_ACCOUNTS: usize = 1_000;
/// Shortest password, in bytes: what SP 800-63B asks for where nothing else is asked for. PBKDF2 in the FIPS module
/// takes 14.
const MIN_PASSWORD_BYTES: usize = 15;
/// Longest password, in bytes.
const MAX_PASSWORD_BYTES: usize = 1_024;
/// Most passwords that are compared at a time; each takes a core for half a second.
const MAX_COMPARISONS: usize = 4;

/// The name of an account: 1 to 64 of `a`–`z`, `0`–`9`, `.`, `_` and `-`, of which the first is a letter. So it is never
/// taken for `uid:1000` or for the name that an issuer gives somebody.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OperatorName(String);

impl OperatorName {
    /// Reads a name. `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let inside = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        let fits = text.len() <= MAX_NAME
            && text.bytes().next().is_some_and(|first| first.is_ascii_lowercase())
            && text.bytes().all(inside);
        fits.then(|| Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for OperatorName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("`{text}` is no name of an account"))
    }
}

impl From<OperatorName> for String {
    fn from(name: OperatorName) -> Self {
        name.0
    }
}

impl fmt::Display for OperatorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What others may know of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: OperatorName,
    /// What its owner may be.
    pub roles: BTreeSet<Role>,
    /// Whether one can sign in with a password.
    pub has_password: bool,
    /// Whether it is out of use.
    pub disabled: bool,
    /// Since when there is one.
    pub created: Timestamp,
    /// Until when nobody can sign in with a password, because too many attempts failed.
    pub locked_until: Option<Timestamp>,
}

/// An account cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// There is one already.
    #[error("there is an account `{0}` already")]
    Taken(OperatorName),
    /// There is none.
    #[error("there is no account `{0}`")]
    Missing(OperatorName),
    /// Nothing that its owner may be.
    #[error("an account has at least one role; name one of viewer, operator, approver, auditor, admin")]
    NoRoles,
    /// It is more than the invitation to it says.
    #[error("the account `{0}` has got the role `{role}` meanwhile; ask for another invitation", role = .1.name())]
    More(OperatorName, Role),
    /// A password that is too short to be kept secret, or too long.
    #[error("a password has {MIN_PASSWORD_BYTES} to {MAX_PASSWORD_BYTES} bytes; choose another")]
    Password,
    /// It is not kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<RandomError> for AccountError {
    fn from(error: RandomError) -> Self {
        Self::Store(error.into())
    }
}

/// Somebody is not let in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The name, the password or both; or the account is out of use or has no password.
    #[error("name or password are wrong")]
    Wrong,
    /// Too many attempts have failed, with this name or from this source. This one was not looked at.
    #[error("too many attempts have failed; try again after {until}")]
    Locked {
        /// When to try again.
        until: Timestamp,
    },
    /// Too many attempts at a time. This one was not looked at.
    #[error("too many people sign in at this moment; try again")]
    Busy,
    /// The attempt cannot be counted, so it was not looked at.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    accounts: BTreeMap<OperatorName, Entry>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(with = "store::roles")]
    roles: BTreeSet<Role>,
    /// In the text form of [`PasswordHash`].
    password: Option<String>,
    disabled: bool,
    created: Timestamp,
    failures: Failures,
}

/// Failures that belong to no account.
#[derive(Default)]
struct Failed {
    /// By a name that nobody has. All texts that can be no name count as one.
    names: backoff::Table<Option<OperatorName>>,
    sources: backoff::Table<IpAddr>,
}

/// The accounts.
pub struct Accounts {
    store: Store<Table>,
    failed: Mutex<Failed>,
    nobody: PasswordHash,
    iterations: NonZeroU32,
    comparisons: AtomicUsize,
}

impl Accounts {
    /// Reads the accounts in this file, if there is one. This process must be the only one that changes it.
    ///
    /// # Errors
    /// It cannot be read, holds something else, or others have access to it.
    pub fn open(file: &Path) -> Result<Self, StoreError> {
        Self::with_iterations(file, ITERATIONS)
    }

    pub(crate) fn with_iterations(file: &Path, iterations: NonZeroU32) -> Result<Self, StoreError> {
        let store = Store::<Table>::open(file)?;
        let hashes = |table: &Table| table.accounts.values().filter_map(|entry| entry.password.clone()).collect();
        let hashes: Vec<String> = store.read(hashes);
        if hashes.iter().any(|hash| PasswordHash::parse(hash).is_none()) {
            let problem = "a `password` is not one that nanoclaw has written".to_owned();
            return Err(StoreError::Content { path: file.to_owned(), problem });
        }
        let nobody = PasswordHash::of_nobody(iterations)?;
        Ok(Self { store, failed: Mutex::default(), nobody, iterations, comparisons: AtomicUsize::new(0) })
    }

    /// All accounts, by name. `locked_until` is what it is at `now`.
    pub fn list(&self, now: Timestamp) -> Vec<Account> {
        self.store.read(|table| table.accounts.iter().map(|(name, entry)| entry.account(name, now)).collect())
    }

    /// The account of this name.
    pub fn get(&self, name: &OperatorName, now: Timestamp) -> Option<Account> {
        self.store.read(|table| table.accounts.get(name).map(|entry| entry.account(name, now)))
    }

    /// Adds an account. With a password this takes about half a second.
    ///
    /// # Errors
    /// There is one of this name, no role, a password that does not fit, or it is not kept.
    pub fn add(
        &self,
        name: &OperatorName,
        roles: &BTreeSet<Role>,
        password: Option<&str>,
        now: Timestamp,
    ) -> Result<(), AccountError> {
        let password = password.map(|password| self.hash(password)).transpose()?;
        self.insert(name, roles, password, now, true)
    }

    /// Adds an account without a password, or sets the roles of the one of this name, which must not be more than these:
    /// whoever may invite to a few roles must not make somebody else's account out of it.
    pub(crate) fn admit(
        &self,
        name: &OperatorName,
        roles: &BTreeSet<Role>,
        now: Timestamp,
    ) -> Result<(), AccountError> {
        self.insert(name, roles, None, now, false)
    }

    fn insert(
        &self,
        name: &OperatorName,
        roles: &BTreeSet<Role>,
        password: Option<String>,
        now: Timestamp,
        only_new: bool,
    ) -> Result<(), AccountError> {
        if roles.is_empty() {
            return Err(AccountError::NoRoles);
        }
        self.store.change(|table| {
            match table.accounts.get_mut(name) {
                Some(_) if only_new => return Err(AccountError::Taken(name.clone())),
                Some(entry) => {
                    if let Some(role) = beyond(&entry.roles, roles) {
                        return Err(AccountError::More(name.clone(), role));
                    }
                    entry.roles.extend(roles);
                    return Ok(());
                }
                None => {}
            }
            if table.accounts.len() >= MAX_ACCOUNTS {
                return Err(StoreError::Full(MAX_ACCOUNTS, "accounts").into());
            }
            let entry =
                Entry { roles: roles.clone(), password, disabled: false, created: now, failures: Failures::default() };
            table.accounts.insert(name.clone(), entry);
            Ok(())
        })
    }

    /// Removes an account. Its tokens and certificates are [`crate::operators::Operators`]' to take back.
    pub(crate) fn remove(&self, name: &OperatorName) -> Result<(), AccountError> {
        self.store.change(|table| match table.accounts.remove(name) {
            Some(_) => Ok(()),
            None => Err(AccountError::Missing(name.clone())),
        })
    }

    /// Sets the password, or takes it away, and forgets failed attempts. Takes about half a second.
    ///
    /// # Errors
    /// There is no such account, the password does not fit, or it is not kept.
    pub fn set_password(&self, name: &OperatorName, password: Option<&str>) -> Result<(), AccountError> {
        let password = password.map(|password| self.hash(password)).transpose()?;
        self.update(name, |entry| (entry.password, entry.failures) = (password, Failures::default()))
    }

    /// Sets what the account's owner may be, from the next request on.
    ///
    /// # Errors
    /// There is no such account, no role, or it is not kept.
    pub fn set_roles(&self, name: &OperatorName, roles: &BTreeSet<Role>) -> Result<(), AccountError> {
        if roles.is_empty() {
            return Err(AccountError::NoRoles);
        }
        self.update(name, |entry| entry.roles.clone_from(roles))
    }

    /// Takes the account out of use, or into use again, from the next request on.
    ///
    /// # Errors
    /// There is no such account, or it is not kept.
    pub fn set_disabled(&self, name: &OperatorName, disabled: bool) -> Result<(), AccountError> {
        self.update(name, |entry| entry.disabled = disabled)
    }

    /// Whether `password` is that of the account `name`. Takes about half a second. `source` is where the attempt
    /// comes from.
    ///
    /// # Errors
    /// It is not, or the attempt is not looked at.
    pub fn verify(&self, name: &str, password: &str, source: IpAddr, now: Timestamp) -> Result<Operator, SignInError> {
        if password.len() > MAX_PASSWORD_BYTES {
            return Err(SignInError::Wrong);
        }
        let _comparison = Comparison::begin(&self.comparisons).ok_or(SignInError::Busy)?;
        let (name, source) = (OperatorName::parse(name), network(source));
        let hash = self.attempt(&name, source, now)?;
        let known = hash.as_deref().and_then(PasswordHash::parse);
        let same = known.as_ref().unwrap_or(&self.nobody).matches(password);
        match (name, hash) {
            (Some(name), Some(hash)) if same => self.succeed(name, &hash, source),
            _ => Err(SignInError::Wrong),
        }
    }

    /// Counts an attempt as a failure, and says which hash to compare with.
    fn attempt(
        &self,
        name: &Option<OperatorName>,
        source: IpAddr,
        now: Timestamp,
    ) -> Result<Option<String>, SignInError> {
        let mut failed = self.failed();
        if let Some(until) = failed.sources.locked_until(&source, now) {
            return Err(SignInError::Locked { until });
        }
        let hash = self.store.change(|table| match name.as_ref().and_then(|name| table.accounts.get_mut(name)) {
            Some(entry) => {
                if let Some(until) = entry.failures.locked_until(now) {
                    return Err(SignInError::Locked { until });
                }
                entry.failures.add(now);
                Ok(entry.password.clone())
            }
            None => {
                if let Some(until) = failed.names.locked_until(name, now) {
                    return Err(SignInError::Locked { until });
                }
                failed.names.add(name.clone(), now);
                Ok(None)
            }
        })?;
        failed.sources.add(source, now);
        Ok(hash)
    }

    /// What was counted as a failure was none, unless the account has changed meanwhile.
    fn succeed(&self, name: OperatorName, hash: &str, source: IpAddr) -> Result<Operator, SignInError> {
        let operator = self.store.change(|table| match table.accounts.get_mut(&name) {
            Some(entry) if !entry.disabled && entry.password.as_deref() == Some(hash) => {
                entry.failures = Failures::default();
                Ok(Operator { name: name.as_str().to_owned(), roles: entry.roles.clone() })
            }
            _ => Err(SignInError::Wrong),
        })?;
        // Only this one: somebody with an account of their own must not clear what their guesses at others' add up to.
        self.failed().sources.take_back(&source);
        Ok(operator)
    }

    fn update(&self, name: &OperatorName, change: impl FnOnce(&mut Entry)) -> Result<(), AccountError> {
        self.store.change(|table| match table.accounts.get_mut(name) {
            Some(entry) => {
                change(entry);
                Ok(())
            }
            None => Err(AccountError::Missing(name.clone())),
        })
    }

    fn hash(&self, password: &str) -> Result<String, AccountError> {
        if !(MIN_PASSWORD_BYTES..=MAX_PASSWORD_BYTES).contains(&password.len()) {
            return Err(AccountError::Password);
        }
        Ok(PasswordHash::new(password, self.iterations)?.to_string())
    }

    fn failed(&self) -> MutexGuard<'_, Failed> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn account(&self, name: &OperatorName, now: Timestamp) -> Account {
        Account {
            name: name.clone(),
            roles: self.roles.clone(),
            has_password: self.password.is_some(),
            disabled: self.disabled,
            created: self.created,
            locked_until: self.failures.locked_until(now),
        }
    }
}

/// What one attacker has at hand of IPv6 is a network of 64 bits and not an address.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// One of those comparisons that happen at a time.
struct Comparison<'c>(&'c AtomicUsize);

impl<'c> Comparison<'c> {
    fn begin(count: &'c AtomicUsize) -> Option<Self> {
        let more = |count: usize| (count < MAX_COMPARISONS).then_some(count + 1);
        count.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok().map(|_| Self(count))
    }
}

impl Drop for Comparison<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests;
