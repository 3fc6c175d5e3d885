//! Certificates and requests, against openssl(1) as another implementation.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use super::*;

fn now() -> Timestamp {
    Timestamp::now()
}

fn openssl(folder: &TempDir, arguments: &[&str]) -> (bool, String) {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn order(names: Vec<Name>, purpose: Purpose) -> Order {
    Order { title: "ana".into(), names, purpose, not_after: now() + SignedDuration::from_hours(1) }
}

fn uri(text: &str) -> Vec<Name> {
    vec![Name::Uri(text.into())]
}

/// The request of openssl(1) for a key on this curve.
fn request_on(curve: &str, more: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let curve = format!("ec_paramgen_curve:{curve}");
    let request = ["req", "-newkey", "ec", "-pkeyopt", &curve, "-nodes", "-keyout", "k.pem", "-subj", "/CN=root/O=x"];
    let (done, said) = openssl(&folder, &[&request, more, &["-out", "r.pem"]].concat());
    assert!(done, "{said}");
    std::fs::read_to_string(folder.path().join("r.pem")).unwrap()
}

fn der(pem: &str) -> Vec<u8> {
    STANDARD.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap()
}

#[test]
fn certificates_satisfy_another_implementation() {
    let folder = tempfile::tempdir().unwrap();
    let (issuer, _) = Issuer::create(now()).unwrap();
    std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
    let (client, _) = issuer.certify_new(&order(uri("spiffe://x/ana"), Purpose::Client), now()).unwrap();
    std::fs::write(folder.path().join("client.pem"), certificate_pem(&client.der)).unwrap();
    for (purpose, fits) in [("sslclient", true), ("sslserver", false)] {
        let (verified, said) =
            openssl(&folder, &["verify", "-x509_strict", "-purpose", purpose, "-CAfile", "ca.pem", "client.pem"]);
        assert_eq!(verified, fits, "{said}");
    }
    let (_, said) = openssl(&folder, &["x509", "-in", "client.pem", "-noout", "-text"]);
    for part in ["URI:spiffe://x/ana", "ecdsa-with-SHA384", "CA:FALSE", "Digital Signature", "384 bit"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let (_, said) = openssl(&folder, &["x509", "-in", "ca.pem", "-noout", "-text"]);
    for part in ["CA:TRUE, pathlen:0", "Certificate Sign, CRL Sign"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn revoked_certificates_are_on_the_list_for_another_implementation() {
    let folder = tempfile::tempdir().unwrap();
    let (issuer, _) = Issuer::create(now()).unwrap();
    let (client, _) = issuer.certify_new(&order(uri("spiffe://x/ana"), Purpose::Client), now()).unwrap();
    std::fs::write(folder.path().join("client.pem"), certificate_pem(&client.der)).unwrap();
    for (revoked, good) in [(vec![], true), (vec![Revoked { serial: client.serial, since: now() }], false)] {
        let list = key::pem("X509 CRL", &issuer.revocations(&revoked, 7, now()).unwrap());
        std::fs::write(folder.path().join("ca.pem"), issuer.pem() + &list).unwrap();
        let (verified, said) = openssl(&folder, &["verify", "-crl_check", "-CAfile", "ca.pem", "client.pem"]);
        assert_eq!(verified, good, "{said}");
        assert_eq!(said.contains("certificate revoked"), !good, "{said}");
    }
}

#[test]
fn an_authority_is_the_same_after_it_was_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let (issuer, key) = Issuer::create(now()).unwrap();
    let key = PrivateKey::from_pem(key.dangerously_expose_pem().as_bytes()).unwrap();
    let again = Issuer::load(issuer.pem().as_bytes(), &key).unwrap();
    let (client, _) = again.certify_new(&order(uri("spiffe://x/ana"), Purpose::Client), now()).unwrap();
    std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
    std::fs::write(folder.path().join("client.pem"), certificate_pem(&client.der)).unwrap();
    let (verified, said) = openssl(&folder, &["verify", "-x509_strict", "-CAfile", "ca.pem", "client.pem"]);
    assert!(verified, "{said}");
    let other = Issuer::create(now()).unwrap().0;
    assert!(matches!(Issuer::load(other.pem().as_bytes(), &key), Err(X509Error::NotTogether)));
    assert!(matches!(Issuer::load(b"", &key), Err(X509Error::NoCertificate)));
}

#[test]
fn serial_numbers_are_long_positive_and_never_the_same() {
    let (issuer, _) = Issuer::create(now()).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let (issued, _) = issuer.certify_new(&order(uri("spiffe://x/ana"), Purpose::Client), now()).unwrap();
        assert_eq!(presented(&issued.der).unwrap().serial, issued.serial, "16 bytes and no sign");
        assert_eq!(issued.serial[0] & 0xc0, 0x40);
        assert!(seen.insert(issued.serial));
    }
}

#[test]
fn a_certificate_shows_what_it_was_ordered_for() {
    let (issuer, _) = Issuer::create(now()).unwrap();
    let names =
        vec![Name::Uri("spiffe://x/a".into()), Name::Host("h.example".into()), Name::Uri("spiffe://x/b".into())];
    let (issued, _) = issuer.certify_new(&order(names, Purpose::Server), now()).unwrap();
    let shown = presented(&issued.der).unwrap();
    assert_eq!(
        (shown.uris, shown.hosts),
        (vec!["spiffe://x/a".into(), "spiffe://x/b".into()], vec!["h.example".into()])
    );
    assert_eq!(presented(b""), None);
    assert_eq!(presented(&issued.der[1..]), None);
    let wrong = issuer.certify_new(&order(vec![Name::Host("bücher.example".into())], Purpose::Server), now());
    assert!(matches!(wrong, Err(X509Error::Name(_))));
    let early = issuer.certify_new(&order(uri("spiffe://x/a"), Purpose::Client), Timestamp::UNIX_EPOCH);
    assert!(matches!(early, Err(X509Error::Time(_))));
}

#[test]
fn requests_of_another_implementation_are_read() {
    for (curve, more) in
        [("P-256", &[][..]), ("P-384", &[]), ("P-384", &["-sha384"]), ("P-256", &["-sha384"]), ("P-384", &["-sha256"])]
    {
        let key = RequestedKey::from_pem(&request_on(curve, more)).unwrap();
        let (issuer, _) = Issuer::create(now()).unwrap();
        let issued = issuer.certify(&order(uri("spiffe://x/ana"), Purpose::Client), &key, now()).unwrap();
        assert_eq!(presented(&issued.der).unwrap().uris, ["spiffe://x/ana"], "{curve} {more:?}");
    }
    let (own, _) = request().unwrap();
    assert!(RequestedKey::from_pem(&own).is_ok());
}

#[test]
fn names_and_rights_that_a_request_asks_for_do_not_count() {
    let greedy =
        request_on("P-384", &["-addext", "subjectAltName=URI:spiffe://x/root", "-addext", "basicConstraints=CA:TRUE"]);
    let key = RequestedKey::from_pem(&greedy).unwrap();
    let (issuer, _) = Issuer::create(now()).unwrap();
    let issued = issuer.certify(&order(uri("spiffe://x/ana"), Purpose::Client), &key, now()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("c.pem"), certificate_pem(&issued.der)).unwrap();
    let (_, said) = openssl(&folder, &["x509", "-in", "c.pem", "-noout", "-text"]);
    assert!(said.contains("CA:FALSE") && said.contains("URI:spiffe://x/ana") && !said.contains("root"), "{said}");
}

#[test]
fn somebody_elses_key_is_not_certified() {
    let (mine, theirs) = (der(&request().unwrap().0), der(&request().unwrap().0));
    let part = |der: &[u8]| mine.windows(der.len()).position(|window| window == der).unwrap();
    // Both are made alike, so their keys stand at the same place: an uncompressed point in a bit string.
    let at = part(b"\x03\x62\x00\x04") + 4;
    let stolen = [&mine[..at], &theirs[at..at + 96], &mine[at + 96..]].concat();
    let pem = |der: &[u8]| key::pem("CERTIFICATE REQUEST", der);
    assert!(RequestedKey::from_pem(&pem(&mine)).is_ok());
    assert!(matches!(RequestedKey::from_pem(&pem(&stolen)), Err(X509Error::NotTheirs)));
    for byte in 0..mine.len() {
        let mut changed = mine.clone();
        changed[byte] ^= 1;
        assert!(RequestedKey::from_pem(&pem(&changed)).is_err(), "byte {byte}");
    }
    for length in 0..mine.len() {
        assert!(RequestedKey::from_pem(&pem(&mine[..length])).is_err(), "{length} bytes");
    }
    assert!(RequestedKey::from_pem(&pem(&[&mine[..], &[0]].concat())).is_err(), "something behind it");
}

#[test]
fn other_kinds_of_keys_and_texts_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (done, said) = openssl(
        &folder,
        &["req", "-newkey", "rsa:2048", "-nodes", "-keyout", "k.pem", "-subj", "/CN=x", "-out", "r.pem"],
    );
    assert!(done, "{said}");
    let rsa = std::fs::read_to_string(folder.path().join("r.pem")).unwrap();
    assert!(matches!(RequestedKey::from_pem(&rsa), Err(X509Error::OtherKey)));
    assert!(matches!(RequestedKey::from_pem(&request_on("P-521", &[])), Err(X509Error::OtherKey)));
    let (issuer, key) = Issuer::create(now()).unwrap();
    let padded = request().unwrap().0 + &"\n".repeat(8 * 1024);
    for text in ["", "x", &issuer.pem(), &key.dangerously_expose_pem(), &padded] {
        assert!(matches!(RequestedKey::from_pem(text), Err(X509Error::NoRequest)), "{text}");
    }
    let key = std::fs::read(folder.path().join("k.pem")).unwrap();
    assert!(matches!(PrivateKey::from_pem(&key), Err(X509Error::NoKey)), "an RSA key");
}

#[test]
fn a_key_masks_itself() {
    let (_, key) = request().unwrap();
    assert_eq!(format!("{key:?}"), "***");
    assert!(key.dangerously_expose_pem().starts_with("-----BEGIN PRIVATE KEY-----\n"));
}
