//! People whom an OpenID Connect provider vouches for: reading its documents and verifying its tokens. Nothing here
//! reaches for the network.
//!
//! The configuration names the issuer, so everything else follows from documents that are fetched from there; a token
//! decides nothing about how it is verified beyond which of the issuer's keys is tried.

mod claims;
mod keys;

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use nanoclaw_config::Oidc;
use nanoclaw_request::json;
use nanoclaw_vault::jws::Algorithm;
use serde_json::{Map, Value};

pub use self::keys::Jwks;
use crate::Operator;

/// Longest token, in bytes.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// Longest document of an issuer (its configuration, its keys), in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 256 * 1024;
/// Longest name of a key, in bytes.
const MAX_KEY_ID_BYTES: usize = 256;

/// A token or a document of an issuer is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    /// Too long.
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
    /// Not what it should be.
    #[error("it cannot be read: {0}")]
    Form(&'static str),
    /// An algorithm that is not accepted.
    #[error("it is signed with `{0}`; RS256, PS256, ES256 and ES384 are accepted")]
    Algorithm(String),
    /// The issuer's keys do not hold this one. They may have changed: fetch them again, but not more than once a minute.
    #[error("the issuer has no key `{0}`")]
    UnknownKey(String),
    /// The key is one for something else.
    #[error("the key `{0}` is not one for the algorithm of the token")]
    OtherKey(String),
    /// Somebody else signed it, or somebody changed it.
    #[error("the signature is not the issuer's")]
    Signature,
    /// Another issuer.
    #[error("it is from another issuer")]
    Issuer,
    /// Meant for somebody else.
    #[error("it is not meant for this control plane")]
    Audience,
    /// Its time is over.
    #[error("its time is over; sign in again")]
    Expired,
    /// Its time has not begun.
    #[error("its time has not begun; compare the clocks")]
    NotYet,
    /// It was issued too long ago, whatever it says of its end.
    #[error("it was issued more than a day ago; sign in again")]
    TooOld,
    /// It gives no role.
    #[error("it names no group that has a role here; see `operators.oidc.roles`")]
    NoRoles,
}

/// Somebody whom an issuer vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// Who: `oidc:` and the issuer's name for them.
    pub operator: Operator,
    /// Until when.
    pub expires: Timestamp,
}

/// What an issuer says of itself (OpenID Connect Discovery 1.0, section 3), as far as it is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// Where its keys are.
    pub jwks_uri: String,
    /// Where a program without a browser begins to sign somebody in (RFC 8628), if it offers that.
    pub device_authorization_endpoint: Option<String>,
    /// Where tokens are fetched, if it says so.
    pub token_endpoint: Option<String>,
}

impl Discovery {
    /// Where the document of `issuer` is.
    pub fn url(issuer: &str) -> String {
        format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
    }

    /// Reads the document of `issuer`, which must name it exactly as the configuration does. Places must be `https`, or
    /// `http` where the issuer itself is.
    ///
    /// # Errors
    /// It is too long, cannot be read, or is of another issuer.
    pub fn parse(json: &[u8], issuer: &str) -> Result<Self, OidcError> {
        let document = object(json, MAX_DOCUMENT_BYTES)?;
        if text(&document, "issuer") != Some(issuer) {
            return Err(OidcError::Issuer);
        }
        let plain = issuer.starts_with("http://");
        let fits = |url: &str| url.starts_with("https://") || (plain && url.starts_with("http://"));
        let place = |name| match text(&document, name) {
            Some(url) if !fits(url) => Err(OidcError::Form("a place in it is not `https`")),
            url => Ok(url.map(str::to_owned)),
        };
        Ok(Self {
            jwks_uri: place("jwks_uri")?.ok_or(OidcError::Form("it has no `jwks_uri`"))?,
            device_authorization_endpoint: place("device_authorization_endpoint")?,
            token_endpoint: place("token_endpoint")?,
        })
    }
}

/// Verifies an ID or access token (a JWS in its compact form, RFC 7515) and says who its holder is and what they may be.
///
/// # Errors
/// The token is not valid at `now`, or gives no role.
pub fn verify(token: &str, keys: &Jwks, settings: &Oidc, now: Timestamp) -> Result<SignedIn, OidcError> {
    let parts = Parts::read(token)?;
    let key = keys.find(&parts.key_id).ok_or_else(|| OidcError::UnknownKey(printable(&parts.key_id, 64)))?;
    if !key.is_for(parts.algorithm) {
        return Err(OidcError::OtherKey(printable(&parts.key_id, 64)));
    }
    if !key.verifies(parts.algorithm, parts.signed.as_bytes(), &parts.signature) {
        return Err(OidcError::Signature);
    }
    // Only now is anything of the payload looked at.
    let claims = object(&decode(parts.payload)?, MAX_TOKEN_BYTES)?;
    claims::check(&claims, settings, now)
}

/// The parts of a token.
struct Parts<'t> {
    algorithm: Algorithm,
    key_id: String,
    signed: &'t str,
    payload: &'t str,
    signature: Vec<u8>,
}

impl<'t> Parts<'t> {
    fn read(token: &'t str) -> Result<Self, OidcError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(OidcError::TooLong(MAX_TOKEN_BYTES));
        }
        let form = OidcError::Form("it does not have three parts");
        let (signed, signature) = token.rsplit_once('.').ok_or_else(|| form.clone())?;
        let (header, payload) = signed.split_once('.').ok_or_else(|| form.clone())?;
        if payload.contains('.') {
            return Err(form);
        }
        let header = object(&decode(header)?, MAX_TOKEN_BYTES)?;
        // Whatever is critical is something that is not understood here (RFC 7515, section 4.1.11).
        if header.contains_key("crit") {
            return Err(OidcError::Form("it needs something that is not understood"));
        }
        let algorithm = text(&header, "alg").ok_or(OidcError::Form("its header names no `alg`"))?;
        let algorithm = Algorithm::parse(algorithm).ok_or_else(|| OidcError::Algorithm(printable(algorithm, 16)))?;
        match header.get("typ").map(|kind| kind.as_str().map(str::to_ascii_lowercase)) {
            None => {}
            // RFC 7519, section 5.1, and RFC 9068, section 2.1.
            Some(Some(kind)) if matches!(&*kind, "jwt" | "at+jwt" | "application/at+jwt") => {}
            Some(_) => return Err(OidcError::Form("it is another kind of token")),
        }
        let key_id = text(&header, "kid").ok_or(OidcError::Form("its header names no `kid`"))?;
        if key_id.len() > MAX_KEY_ID_BYTES {
            return Err(OidcError::TooLong(MAX_KEY_ID_BYTES));
        }
        let key_id = key_id.to_owned();
        Ok(Self { algorithm, key_id, signed, payload, signature: decode(signature)? })
    }
}

/// Base64 as RFC 7515 has it (section 2): one text for each value.
fn decode(text: &str) -> Result<Vec<u8>, OidcError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| OidcError::Form("it is not base64 of the right kind"))
}

/// Reads an object in which every name stands once.
fn object(text: &[u8], most: usize) -> Result<Map<String, Value>, OidcError> {
    if text.len() > most {
        return Err(OidcError::TooLong(most));
    }
    match json::strict(text) {
        Some(Value::Object(object)) => Ok(object),
        _ => Err(OidcError::Form("it is not a JSON object in which each name stands once")),
    }
}

fn text<'v>(object: &'v Map<String, Value>, name: &str) -> Option<&'v str> {
    object.get(name).and_then(Value::as_str)
}

/// The beginning of `text`, of at most `most` visible ASCII characters; others become `?`.
fn printable(text: &str, most: usize) -> String {
    text.chars().take(most).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect()
}

/// The roles that `groups` give.
fn roles(settings: &Oidc, groups: &BTreeSet<&str>) -> BTreeSet<crate::Role> {
    let given = settings.roles.iter().filter(|(group, _)| groups.contains(group.as_str()));
    given.flat_map(|(_, roles)| roles).filter_map(|role| crate::Role::parse(role)).collect()
}

#[cfg(test)]
mod tests;
