//! What issuers and people who claim to come from them send, on arbitrary bytes: a set of keys, a description of an
//! issuer and a token. Nothing panics, nothing is signed by keys whose private halves nobody has, and what is said about
//! it can be printed.
#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use nanoclaw_config::Oidc;
use nanoclaw_identity::oidc::{Discovery, Jwks, OidcError, verify};

/// The key of RFC 7515, appendix A.3, which has signed another message, and a number that is nobody's RSA modulus.
static KEYS: LazyLock<Jwks> = LazyLock::new(|| {
    let modulus = "q".repeat(341) + "w";
    let document = format!(
        r#"{{"keys":[{{"kty":"EC","kid":"e","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}},{{"kty":"RSA","kid":"r","n":"{modulus}","e":"AQAB"}}]}}"#
    );
    Jwks::parse(document.as_bytes()).unwrap()
});

static SETTINGS: LazyLock<Oidc> = LazyLock::new(|| Oidc {
    issuer: "https://id.example".to_owned(),
    audience: "nanoclaw".to_owned(),
    ca: None,
    claim: "groups".to_owned(),
    roles: BTreeMap::from([("g".to_owned(), vec!["viewer".to_owned()])]),
});

fn printable(error: &OidcError) {
    assert!(error.to_string().chars().all(|c| !c.is_control()));
}

fuzz_target!(|bytes: &[u8]| {
    match Jwks::parse(bytes) {
        Ok(keys) => assert!(keys.len() <= 64),
        Err(error) => printable(&error),
    }
    if let Err(error) = Discovery::parse(bytes, &SETTINGS.issuer) {
        printable(&error);
    }
    if let Ok(token) = std::str::from_utf8(bytes) {
        assert_eq!(KEYS.len(), 2);
        printable(&verify(token, &KEYS, &SETTINGS, Timestamp::UNIX_EPOCH).unwrap_err());
    }
});
