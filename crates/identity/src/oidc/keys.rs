//! An issuer's keys (RFC 7517).

use std::collections::BTreeMap;

use nanoclaw_vault::jws::{Algorithm, PublicKey};
use serde_json::{Map, Value};

use super::{MAX_DOCUMENT_BYTES, MAX_KEY_ID_BYTES, OidcError, decode, object, text};

/// Most keys of an issuer.
const MAX_KEYS: usize = 64;

/// The keys that an issuer signs with, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jwks(BTreeMap<String, Key>);

/// A key, and the only algorithm that it is for where it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    key: PublicKey,
    only: Option<Algorithm>,
}

impl Jwks {
    /// Reads a set of keys. Those for something else (encryption, other kinds, other algorithms, without a name) are
    /// left out.
    ///
    /// # Errors
    /// It is too long, cannot be read, holds too many keys, two with one name, or a private or secret one.
    pub fn parse(json: &[u8]) -> Result<Self, OidcError> {
        let document = object(json, MAX_DOCUMENT_BYTES)?;
        let keys = document.get("keys").and_then(Value::as_array).ok_or(OidcError::Form("it has no list of `keys`"))?;
        if keys.len() > MAX_KEYS {
            return Err(OidcError::Form("it holds too many keys"));
        }
        let mut known = BTreeMap::new();
        for member in keys {
            let member = member.as_object().ok_or(OidcError::Form("one of the `keys` is no object"))?;
            // A document that publishes what must be secret is not to be built upon.
            if ["d", "k", "p", "q"].iter().any(|private| member.contains_key(*private)) {
                return Err(OidcError::Form("it holds a private or secret key"));
            }
            let Some((name, key)) = read(member) else { continue };
            if known.insert(name, key).is_some() {
                return Err(OidcError::Form("two of its keys have the same `kid`"));
            }
        }
        Ok(Self(known))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn find(&self, name: &str) -> Option<&Key> {
        self.0.get(name)
    }
}

impl Key {
    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.key.is_for(algorithm) && self.only.is_none_or(|only| only == algorithm)
    }

    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        self.key.verifies(algorithm, message, signature)
    }
}

/// A key that verifies signatures and has a name; `None` for any other.
fn read(member: &Map<String, Value>) -> Option<(String, Key)> {
    let name = text(member, "kid").filter(|name| name.len() <= MAX_KEY_ID_BYTES)?;
    if member.get("use").is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    let verifies = |uses: &Value| uses.as_array().is_some_and(|uses| uses.iter().any(|one| one == "verify"));
    if member.get("key_ops").is_some_and(|uses| !verifies(uses)) {
        return None;
    }
    let only = match member.get("alg") {
        Some(name) => Some(Algorithm::parse(name.as_str()?)?),
        None => None,
    };
    let number = |name| decode(text(member, name)?).ok();
    let key = match (text(member, "kty")?, text(member, "crv")) {
        ("RSA", _) => PublicKey::rsa(&number("n")?, &number("e")?),
        ("EC", Some("P-256")) => PublicKey::p256(&number("x")?, &number("y")?),
        ("EC", Some("P-384")) => PublicKey::p384(&number("x")?, &number("y")?),
        _ => None,
    }?;
    Some((name.to_owned(), Key { key, only }))
}
