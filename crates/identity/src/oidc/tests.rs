//! Tokens that openssl(1) signs as an issuer would, and what an attacker makes of them.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::LazyLock;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::Role;

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://id.bank.example";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(NOW + seconds).unwrap()
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Keys of an issuer, made once: `rsa`, `p256` and `p384`.
struct Keys {
    folder: TempDir,
    jwks: Value,
}

static OURS: LazyLock<Keys> = LazyLock::new(Keys::new);
static THEIRS: LazyLock<Keys> = LazyLock::new(Keys::new);

impl Keys {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = Self { folder, jwks: Value::Null };
        keys.openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa");
        keys.openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out p256");
        keys.openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out p384");
        let point = |name: &str, bytes: usize| {
            let der = keys.openssl(&format!("pkey -in {name} -pubout -outform DER"));
            let (x, y) = der[der.len() - 2 * bytes..].split_at(bytes);
            (b64(x), b64(y))
        };
        let rsa = keys.openssl("rsa -in rsa -RSAPublicKey_out -outform DER");
        let (p256, p384) = (point("p256", 32), point("p384", 48));
        let jwks = json!({ "keys": [
            { "kty": "RSA", "kid": "rsa", "use": "sig", "n": b64(&rsa[9..265]), "e": b64(&rsa[267..]), "x5t": "x" },
            { "kty": "EC", "kid": "p256", "crv": "P-256", "alg": "ES256", "x": p256.0, "y": p256.1 },
            { "kty": "EC", "kid": "p384", "crv": "P-384", "key_ops": ["verify"], "x": p384.0, "y": p384.1 },
        ]});
        Self { jwks, ..keys }
    }

    fn openssl(&self, line: &str) -> Vec<u8> {
        let output = Command::new("openssl").args(line.split(' ')).current_dir(&self.folder).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn parsed(&self) -> Jwks {
        Jwks::parse(self.jwks.to_string().as_bytes()).unwrap()
    }

    fn sign(&self, algorithm: &str, key: &str, message: &str) -> Vec<u8> {
        let file = tempfile::NamedTempFile::new_in(&self.folder).unwrap();
        std::fs::write(file.path(), message).unwrap();
        let name = file.path().display();
        match algorithm {
            "PS256" => self.openssl(&format!(
                "dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 -sign {key} {name}"
            )),
            "ES256" => fixed(&self.openssl(&format!("dgst -sha256 -sign {key} {name}")), 32),
            "ES384" => fixed(&self.openssl(&format!("dgst -sha384 -sign {key} {name}")), 48),
            _ => self.openssl(&format!("dgst -sha256 -sign {key} {name}")),
        }
    }

    fn token_of(&self, header: &Value, payload: &str, key: &str) -> String {
        let signed = format!("{}.{}", b64(header.to_string()), b64(payload));
        let signature = self.sign(header["alg"].as_str().unwrap_or("RS256"), key, &signed);
        format!("{signed}.{}", b64(signature))
    }

    fn token(&self, claims: &Value) -> String {
        self.token_of(&json!({ "alg": "ES256", "kid": "p256", "typ": "JWT" }), &claims.to_string(), "p256")
    }
}

/// An ECDSA signature as RFC 7518 has it (section 3.4), from what openssl(1) writes: a sequence of two integers.
fn fixed(der: &[u8], bytes: usize) -> Vec<u8> {
    let mut rest = &der[2..];
    let mut signature = Vec::new();
    for _ in 0..2 {
        let (integer, behind) = rest[2..].split_at(rest[1].into());
        let bare: Vec<u8> = integer.iter().copied().skip_while(|byte| *byte == 0).collect();
        signature.extend(std::iter::repeat_n(0, bytes - bare.len()).chain(bare));
        rest = behind;
    }
    signature
}

fn settings() -> Oidc {
    let roles = [("approvers", "approver"), ("admins", "admin"), ("approvers-all", "viewer")];
    Oidc {
        issuer: ISSUER.into(),
        audience: "nanoclaw".into(),
        ca: None,
        claim: "groups".into(),
        roles: roles.into_iter().map(|(group, role)| (group.into(), vec![role.into()])).collect::<BTreeMap<_, _>>(),
    }
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "nanoclaw", "sub": "4711", "iat": NOW, "nbf": NOW, "exp": NOW + 300,
        "groups": ["approvers", "canteen"],
    })
}

/// The claims with one of them replaced, or left out where it is null.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

fn verified(token: &str) -> Result<SignedIn, OidcError> {
    verify(token, &OURS.parsed(), &settings(), at(0))
}

fn refused(claims: &Value) -> OidcError {
    verified(&OURS.token(claims)).unwrap_err()
}

#[test]
fn tokens_of_each_algorithm_sign_in() {
    for (algorithm, key) in [("RS256", "rsa"), ("PS256", "rsa"), ("ES256", "p256"), ("ES384", "p384")] {
        for kind in [json!("JWT"), json!("at+jwt"), Value::Null] {
            let mut header = json!({ "alg": algorithm, "kid": key, "typ": kind });
            if kind.is_null() {
                header.as_object_mut().unwrap().remove("typ");
            }
            let signed_in = verified(&OURS.token_of(&header, &claims().to_string(), key)).unwrap();
            let operator = Operator { name: "oidc:4711".into(), roles: BTreeSet::from([Role::Approver]) };
            assert_eq!(signed_in, SignedIn { operator, expires: at(300) }, "{algorithm}");
        }
    }
}

#[test]
fn a_token_of_somebody_else_is_refused() {
    assert_eq!(verified(&THEIRS.token(&claims())), Err(OidcError::Signature));
    let theirs = verify(&THEIRS.token(&claims()), &THEIRS.parsed(), &settings(), at(0));
    assert!(theirs.is_ok(), "a token of theirs with their keys");
}

#[test]
fn a_changed_token_is_refused() {
    let token = OURS.token(&claims());
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let richer = b64(with("groups", json!(["admins"])).to_string());
    assert_eq!(verified(&format!("{header}.{richer}.{signature}")), Err(OidcError::Signature));
    let other = b64(json!({ "alg": "ES256", "kid": "p256" }).to_string());
    assert_eq!(verified(&format!("{other}.{payload}.{signature}")), Err(OidcError::Signature));
    assert_eq!(verified(&format!("{header}.{payload}.")), Err(OidcError::Signature));
    assert_eq!(verified(&format!("{header}.{payload}.{}", b64([0; 64]))), Err(OidcError::Signature));
    assert!(verified(&token).is_ok());
}

#[test]
fn unsigned_tokens_and_public_keys_as_secrets_are_refused() {
    for algorithm in ["none", "None", "NONE", "", "HS256", "HS512", "RS1", "ES256K", "EdDSA"] {
        let signed =
            format!("{}.{}", b64(json!({ "alg": algorithm, "kid": "rsa" }).to_string()), b64(claims().to_string()));
        // What a library that goes by the token alone would take: nothing, or an HMAC with the issuer's public key.
        let public = OURS.openssl("pkey -in rsa -pubout");
        let key: String = public.iter().map(|byte| format!("{byte:02x}")).collect();
        let file = OURS.folder.path().join(format!("{}.txt", b64(algorithm)));
        std::fs::write(&file, &signed).unwrap();
        let mac = OURS.openssl(&format!("dgst -sha256 -mac HMAC -macopt hexkey:{key} -binary {}", file.display()));
        for signature in [String::new(), b64(mac)] {
            let error = verified(&format!("{signed}.{signature}")).unwrap_err();
            assert_eq!(error, OidcError::Algorithm(algorithm.to_owned()));
        }
    }
}

#[test]
fn a_key_is_used_for_its_own_algorithm_only() {
    let header = |algorithm: &str, key: &str| json!({ "alg": algorithm, "kid": key });
    let token = |algorithm: &str, named: &str, key: &str| {
        verified(&OURS.token_of(&header(algorithm, named), &claims().to_string(), key)).unwrap_err()
    };
    assert_eq!(token("RS256", "p256", "rsa"), OidcError::OtherKey("p256".into()));
    assert_eq!(token("ES256", "rsa", "p256"), OidcError::OtherKey("rsa".into()));
    assert_eq!(token("ES256", "p384", "p256"), OidcError::OtherKey("p384".into()));
    assert_eq!(token("ES256", "other", "p256"), OidcError::UnknownKey("other".into()));
    let name = format!("\n\u{1b}[31m{}", "k".repeat(200));
    assert_eq!(token("ES256", &name, "p256"), OidcError::UnknownKey(format!("??[31m{}", "k".repeat(58))));
    let mut only = OURS.jwks.clone();
    only["keys"][0]["alg"] = "PS256".into();
    let only = Jwks::parse(only.to_string().as_bytes()).unwrap();
    let token = OURS.token_of(&header("RS256", "rsa"), &claims().to_string(), "rsa");
    assert_eq!(verify(&token, &only, &settings(), at(0)), Err(OidcError::OtherKey("rsa".into())));
}

#[test]
fn headers_that_ask_for_more_are_refused() {
    for (name, value) in [("crit", json!(["exp"])), ("typ", json!("logout+jwt")), ("typ", json!(1)), ("kid", json!(1))]
    {
        let mut header = json!({ "alg": "ES256", "kid": "p256" });
        header[name] = value;
        let error = verified(&OURS.token_of(&header, &claims().to_string(), "p256")).unwrap_err();
        assert!(matches!(error, OidcError::Form(_)), "{header}: {error}");
    }
    // Keys that a token brings along are not looked at.
    let mut header = json!({ "alg": "ES256", "kid": "p256", "jku": "https://attacker.example/keys" });
    header["jwk"] = THEIRS.jwks["keys"][1].clone();
    assert_eq!(verified(&THEIRS.token_of(&header, &claims().to_string(), "p256")), Err(OidcError::Signature));
    let long = json!({ "alg": "ES256", "kid": "k".repeat(257) });
    assert_eq!(verified(&OURS.token_of(&long, &claims().to_string(), "p256")), Err(OidcError::TooLong(256)));
}

#[test]
fn tokens_for_others_and_from_others_are_refused() {
    for issuer in [json!("https://id.bank.example/"), json!("https://evil.example"), json!([ISSUER]), Value::Null] {
        assert_eq!(refused(&with("iss", issuer)), OidcError::Issuer);
    }
    for audience in [json!("other"), json!(["other", "nanoclaw2"]), json!([]), json!("NanoClaw"), Value::Null] {
        assert_eq!(refused(&with("aud", audience)), OidcError::Audience);
    }
    assert!(matches!(refused(&with("aud", json!(["nanoclaw", 1]))), OidcError::Form(_)));
    assert!(verified(&OURS.token(&with("aud", json!(["other", "nanoclaw"])))).is_ok());
}

#[test]
fn tokens_are_taken_in_their_time_only() {
    for (name, value, error) in [
        ("exp", json!(NOW - 60), OidcError::Expired),
        ("exp", json!(0), OidcError::Expired),
        ("nbf", json!(NOW + 61), OidcError::NotYet),
        ("iat", json!(NOW + 61), OidcError::NotYet),
        ("iat", json!(NOW - 86_461), OidcError::TooOld),
    ] {
        assert_eq!(refused(&with(name, value.clone())), error, "{name} {value}");
    }
    for (name, value) in [
        ("exp", json!(NOW - 59)),
        ("exp", json!((NOW + 1) as f64 + 0.5)),
        ("nbf", json!(NOW + 60)),
        ("nbf", Value::Null),
        ("iat", json!(NOW - 86_460)),
    ] {
        assert!(verified(&OURS.token(&with(name, value.clone()))).is_ok(), "{name} {value}");
    }
    for name in ["exp", "iat"] {
        for value in [
            Value::Null,
            json!("1800000300"),
            json!(1e300),
            json!(-1.5),
            json!(i64::MAX),
            json!(u64::MAX),
            json!([NOW]),
        ] {
            assert!(matches!(refused(&with(name, value.clone())), OidcError::Form(_)), "{name} {value}");
        }
    }
    let years = verified(&OURS.token(&with("exp", json!(NOW + 315_360_000)))).unwrap();
    assert_eq!(years.expires, at(86_400), "whatever it says itself");
}

#[test]
fn groups_give_roles_and_nothing_else_does() {
    let roles_of = |groups: Value| verified(&OURS.token(&with("groups", groups))).map(|it| it.operator.roles);
    assert_eq!(roles_of(json!("admins")), Ok(BTreeSet::from([Role::Admin])));
    assert_eq!(roles_of(json!(["admins", "approvers"])), Ok(BTreeSet::from([Role::Admin, Role::Approver])));
    for none in
        [json!([]), json!(["Approvers", "approver", "admin", "admins "]), json!("approvers,admins"), Value::Null]
    {
        assert_eq!(roles_of(none), Err(OidcError::NoRoles));
    }
    assert!(matches!(roles_of(json!({ "admins": true })), Err(OidcError::Form(_))));
    let many: Vec<String> = (0..1001).map(|_| "a".to_owned()).collect();
    assert!(matches!(roles_of(json!(many)), Err(OidcError::Form(_))));
}

#[test]
fn nobody_takes_the_name_of_somebody_else() {
    for subject in
        [json!(""), json!("a b"), json!("a\u{0}"), json!("аna"), json!("a".repeat(256)), json!(1), Value::Null]
    {
        assert!(matches!(refused(&with("sub", subject.clone())), OidcError::Form(_)), "{subject}");
    }
    let named = verified(&OURS.token(&with("sub", json!("uid:0")))).unwrap();
    assert_eq!(named.operator.name, "oidc:uid:0");
}

#[test]
fn names_that_stand_twice_are_refused_wherever_they_stand() {
    let twice = claims().to_string().replacen('{', r#"{"aud":"other","#, 1);
    let header = json!({ "alg": "ES256", "kid": "p256" });
    assert!(matches!(verified(&OURS.token_of(&header, &twice, "p256")), Err(OidcError::Form(_))));
    let signed = format!("{}.{}", b64(r#"{"alg":"ES256","kid":"p256","alg":"none"}"#), b64(claims().to_string()));
    let token = format!("{signed}.{}", b64(OURS.sign("ES256", "p256", &signed)));
    assert!(matches!(verified(&token), Err(OidcError::Form(_))));
    let keys = OURS.jwks.to_string().replacen(r#""kid":"rsa""#, r#""kid":"x","kid":"rsa""#, 1);
    assert!(matches!(Jwks::parse(keys.as_bytes()), Err(OidcError::Form(_))));
}

#[test]
fn what_is_no_token_is_refused() {
    let token = OURS.token(&claims());
    let padded = format!("{token}=");
    let spaced = format!(" {token}");
    let four = format!("{token}.x");
    let encrypted = format!("{token}.x.y");
    for wrong in
        ["", ".", "..", "a.b.c", &token[..token.len() - 1].replace('.', ""), &padded, &spaced, &four, &encrypted]
    {
        let error = verified(wrong).unwrap_err();
        assert!(matches!(error, OidcError::Form(_)), "{wrong}: {error}");
    }
    assert_eq!(verified(&"a".repeat(MAX_TOKEN_BYTES + 1)), Err(OidcError::TooLong(MAX_TOKEN_BYTES)));
    let list = OURS.token_of(&json!({ "alg": "ES256", "kid": "p256" }), "[1]", "p256");
    assert!(matches!(verified(&list), Err(OidcError::Form(_))));
}

#[test]
fn documents_of_keys_are_read_strictly() {
    assert_eq!(OURS.parsed().len(), 3);
    let parse = |document: &Value| Jwks::parse(document.to_string().as_bytes());
    let changed = |name: &str, value: Value| {
        let mut document = OURS.jwks.clone();
        document["keys"][0][name] = value;
        document
    };
    for (name, value) in [
        ("use", json!("enc")),
        ("kty", json!("oct")),
        ("kty", json!("OKP")),
        ("alg", json!("RS512")),
        ("alg", json!("HS256")),
        ("key_ops", json!(["sign"])),
        ("n", json!(b64([1; 128]))),
        ("n", json!("a+b=")),
        ("e", json!("")),
        ("kid", json!(7)),
        ("kid", json!("k".repeat(257))),
    ] {
        assert_eq!(parse(&changed(name, value.clone())).map(|keys| keys.len()), Ok(2), "{name} {value}");
    }
    for (name, value) in [("d", json!("AQ")), ("k", json!("AQ")), ("kid", json!("p256"))] {
        assert!(matches!(parse(&changed(name, value)), Err(OidcError::Form(_))), "{name}");
    }
    for wrong in
        [json!({}), json!({ "keys": {} }), json!({ "keys": [1] }), json!([]), json!({ "keys": vec![json!({}); 65] })]
    {
        assert!(matches!(parse(&wrong), Err(OidcError::Form(_))), "{wrong}");
    }
    let long = vec![b' '; MAX_DOCUMENT_BYTES + 1];
    assert_eq!(Jwks::parse(&long), Err(OidcError::TooLong(MAX_DOCUMENT_BYTES)));
    assert!(parse(&json!({ "keys": [] })).unwrap().is_empty());
}

#[test]
fn the_document_of_an_issuer_names_it_exactly() {
    let document =
        |issuer: &str, keys: &str| json!({ "issuer": issuer, "jwks_uri": keys, "token_endpoint": format!("{keys}/t") });
    let parse = |document: &Value, issuer: &str| Discovery::parse(document.to_string().as_bytes(), issuer);
    let keys = "https://id.bank.example/keys";
    let expected = Discovery {
        jwks_uri: keys.into(),
        device_authorization_endpoint: None,
        token_endpoint: Some("https://id.bank.example/keys/t".into()),
    };
    assert_eq!(parse(&document(ISSUER, keys), ISSUER), Ok(expected));
    for other in ["https://id.bank.example/", "https://evil.example", ""] {
        assert_eq!(parse(&document(other, keys), ISSUER), Err(OidcError::Issuer));
    }
    for place in ["http://id.bank.example/keys", "file:///etc/passwd", ""] {
        assert!(matches!(parse(&document(ISSUER, place), ISSUER), Err(OidcError::Form(_))), "{place}");
    }
    assert!(matches!(parse(&json!({ "issuer": ISSUER }), ISSUER), Err(OidcError::Form(_))));
    let local = "http://127.0.0.1:5556/dex";
    assert!(parse(&document(local, "http://127.0.0.1:5556/dex/keys"), local).is_ok());
    assert_eq!(
        Discovery::url("https://id.example/realms/a/"),
        "https://id.example/realms/a/.well-known/openid-configuration"
    );
}
