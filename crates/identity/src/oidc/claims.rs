//! What a token whose signature is right says (RFC 7519, section 4.1; OpenID Connect Core 1.0, section 2).

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use nanoclaw_config::Oidc;
use serde_json::{Map, Value};

use super::{OidcError, SignedIn, printable, roles, text};
use crate::Operator;

/// How far an issuer's clock may be off.
const LEEWAY: SignedDuration = SignedDuration::from_secs(60);
/// How long after it was issued a token is taken, whatever it says itself.
const LONGEST_AGE: SignedDuration = SignedDuration::from_hours(24);
/// Longest name of a person, in characters: what the standard allows.
const MAX_SUBJECT: usize = 255;
/// Most groups of a person that are looked at.
const MAX_GROUPS: usize = 1_000;

/// Whether these claims let somebody in at `now`, and as what.
pub(super) fn check(claims: &Map<String, Value>, settings: &Oidc, now: Timestamp) -> Result<SignedIn, OidcError> {
    if text(claims, "iss") != Some(&settings.issuer) {
        return Err(OidcError::Issuer);
    }
    if !texts(claims.get("aud"))?.contains(settings.audience.as_str()) {
        return Err(OidcError::Audience);
    }
    let expires = time(claims, "exp")?.ok_or(OidcError::Form("it has no `exp`"))?;
    let issued = time(claims, "iat")?.ok_or(OidcError::Form("it has no `iat`"))?;
    if now.duration_since(expires) >= LEEWAY {
        return Err(OidcError::Expired);
    }
    let begins = time(claims, "nbf")?.map_or(issued, |begins| begins.max(issued));
    if begins.duration_since(now) > LEEWAY {
        return Err(OidcError::NotYet);
    }
    if now.duration_since(issued) > LONGEST_AGE + LEEWAY {
        return Err(OidcError::TooOld);
    }
    let subject =
        text(claims, "sub").filter(|subject| !subject.is_empty()).ok_or(OidcError::Form("it has no `sub`"))?;
    // Two people must not become one by what is cleaned away, so nothing is.
    if printable(subject, MAX_SUBJECT) != subject {
        return Err(OidcError::Form("its `sub` is too long or not visible ASCII"));
    }
    let roles = roles(settings, &texts(claims.get(&settings.claim))?);
    if roles.is_empty() {
        return Err(OidcError::NoRoles);
    }
    let latest = issued.saturating_add(LONGEST_AGE).unwrap_or(expires);
    Ok(SignedIn { operator: Operator { name: format!("oidc:{subject}"), roles }, expires: expires.min(latest) })
}

/// A text or a list of texts.
fn texts(claim: Option<&Value>) -> Result<BTreeSet<&str>, OidcError> {
    match claim {
        None => Ok(BTreeSet::new()),
        Some(Value::String(text)) => Ok(BTreeSet::from([text.as_str()])),
        Some(Value::Array(list)) if list.len() <= MAX_GROUPS => {
            let texts = list.iter().map(Value::as_str).collect::<Option<_>>();
            texts.ok_or(OidcError::Form("a list in it holds something that is no text"))
        }
        Some(_) => Err(OidcError::Form("a claim is neither a text nor a list of at most 1000 texts")),
    }
}

/// Seconds since 1970, which may have a fraction.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<Timestamp>, OidcError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_i64().or_else(|| {
        let seconds = value.as_f64()?.floor();
        // What lies outside of this is no time of this era.
        #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
        (0.0..1e12).contains(&seconds).then_some(seconds as i64)
    });
    let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map(Some).ok_or(OidcError::Form("one of its times is none"))
}
