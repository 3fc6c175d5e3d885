//! The authority and what is kept of it, with handshakes in memory between the two sides that it makes.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use nanoclaw_request::CellId;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{CertificateError, ClientConnection, NamedGroup, ServerConnection};
use tempfile::TempDir;

use super::*;

/// A certificate in PEM form as a handshake shows it.
pub(crate) fn der(pem: &str) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

fn name(text: &str) -> OperatorName {
    OperatorName::parse(text).unwrap()
}

fn place() -> (TempDir, Authority) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::open(&folder.path().join("ca"), Timestamp::now()).unwrap();
    (folder, authority)
}

/// Connects: the certificate that the server sees, if there is one, and the group.
fn meet(
    client: ClientConfig,
    server: &Arc<ServerConfig>,
    name: &'static str,
) -> Result<(Option<Vec<u8>>, NamedGroup), rustls::Error> {
    let mut client = ClientConnection::new(Arc::new(client), name.try_into().unwrap()).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    while client.wants_write() || server.wants_write() {
        let (mut there, mut back) = (Vec::new(), Vec::new());
        client.write_tls(&mut there).unwrap();
        let mut there = there.as_slice();
        while !there.is_empty() {
            server.read_tls(&mut there).unwrap();
            server.process_new_packets()?;
        }
        server.write_tls(&mut back).unwrap();
        let mut back = back.as_slice();
        while !back.is_empty() {
            client.read_tls(&mut back).unwrap();
            client.process_new_packets()?;
        }
    }
    let seen = server.peer_certificates().map(|chain| chain[0].to_vec());
    Ok((seen, server.negotiated_key_exchange_group().unwrap().name()))
}

fn served(authority: &Authority) -> Arc<ServerConfig> {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    Arc::new(authority.server_tls(&names, Timestamp::now()).unwrap())
}

#[test]
fn an_operator_is_known_by_the_certificate_of_the_handshake() {
    let (_folder, authority) = place();
    let now = Timestamp::now();
    let (request, key) = new_request().unwrap();
    let own = authority.operator_from_request(&name("ana"), &request, now).unwrap();
    let client = client_tls(authority.certificate_pem(), Some((&own.pem, &key))).unwrap();
    let (seen, group) = meet(client, &served(&authority), "localhost").unwrap();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
    let known = authority.operator(&seen.clone().unwrap(), now).unwrap();
    assert_eq!((known.operator, known.serial), (name("ana"), own.serial.clone()));
    assert_eq!(peer_name(&seen.unwrap()), Some(name("ana")));
    assert_eq!(own.not_after, now + OPERATOR_LIFE);
    let nobody = client_tls(authority.certificate_pem(), None).unwrap();
    assert_eq!(meet(nobody, &served(&authority), "127.0.0.1").unwrap().0, None);
}

#[test]
fn a_revoked_certificate_is_refused_by_handshake_and_request_without_a_restart() {
    let (folder, authority) = place();
    let now = Timestamp::now();
    let (ana, key) = authority.operator_with_key(&name("ana"), now).unwrap();
    let (bo, bos_key) = authority.operator_with_key(&name("bo"), now).unwrap();
    let server = served(&authority);
    let connect = |server: &Arc<ServerConfig>, pem: &str, key: &PrivateKey| {
        meet(client_tls(authority.certificate_pem(), Some((pem, key))).unwrap(), server, "localhost")
    };
    assert!(connect(&server, &ana.pem, &key).is_ok());
    let before = authority.crl_der();
    assert!(authority.revoke(&ana.serial, now).unwrap());
    assert!(!authority.revoke(&ana.serial, now).unwrap(), "it is already");
    assert_ne!(authority.crl_der(), before);
    let revoked = Err(rustls::Error::InvalidCertificate(CertificateError::Revoked));
    assert_eq!(connect(&server, &ana.pem, &key), revoked);
    assert!(authority.operator(&der(&ana.pem), now).is_none());
    assert!(connect(&server, &bo.pem, &bos_key).is_ok());
    assert!(authority.operator(&der(&bo.pem), now).is_some());
    // And after one.
    let again = Authority::open(&folder.path().join("ca"), now).unwrap();
    assert_eq!(connect(&served(&again), &ana.pem, &key), revoked);
    assert!(again.operator(&der(&ana.pem), now).is_none());
    assert!(connect(&served(&again), &bo.pem, &bos_key).is_ok());
    assert_eq!(again.revoke_all_of(&name("bo"), now).unwrap(), 1);
    assert_eq!(again.certificates(now).iter().filter(|issued| issued.revoked.is_some()).count(), 2);
}

#[test]
fn a_certificate_that_is_not_on_the_authoritys_list_is_nobodys() {
    let (folder, authority) = place();
    let now = Timestamp::now();
    let (ana, _) = authority.operator_with_key(&name("ana"), now).unwrap();
    assert!(authority.operator(&der(&ana.pem), now).is_some());
    assert!(authority.operator(&der(&ana.pem), ana.not_after).is_none(), "its time is over");
    let (_other_folder, other) = place();
    assert!(other.operator(&der(&ana.pem), now).is_none());
    // Its signature is right, but this authority has never heard of it.
    std::fs::remove_file(folder.path().join("ca/certificates.json")).unwrap();
    let again = Authority::open(&folder.path().join("ca"), now).unwrap();
    assert!(again.operator(&der(&ana.pem), now).is_none());
}

#[test]
fn clients_of_another_authority_are_refused() {
    let ((_folder, authority), (_other_folder, other)) = (place(), place());
    let (ana, key) = other.operator_with_key(&name("ana"), Timestamp::now()).unwrap();
    let client = client_tls(authority.certificate_pem(), Some((&ana.pem, &key))).unwrap();
    let error = meet(client, &served(&authority), "localhost").unwrap_err();
    assert_eq!(error, rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer));
    let pinned = client_tls(other.certificate_pem(), None).unwrap();
    let error = meet(pinned, &served(&authority), "localhost").unwrap_err();
    assert_eq!(error, rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer));
    assert_ne!(authority.fingerprint(), other.fingerprint());
}

#[test]
fn a_cell_is_no_operator_and_revoked_at_its_end() {
    let (_folder, authority) = place();
    let now = Timestamp::now();
    let mut rotation = Rotation::start(authority.clone(), CellId::parse("ana").unwrap(), now).unwrap();
    let first = rotation.svid().clone();
    assert_eq!(first.spiffe_id, "spiffe://nanoclaw/agent/ana");
    assert_eq!(first.not_after, now + SignedDuration::from_hours(1));
    assert!(peer_name(&der(&first.chain_pem)).is_none() && authority.operator(&der(&first.chain_pem), now).is_none());
    assert_eq!(rotation.renew_at(), now + SignedDuration::from_mins(40));
    assert!(!rotation.renew(rotation.renew_at() - SignedDuration::from_secs(1)).unwrap());
    assert!(rotation.renew(rotation.renew_at()).unwrap());
    let second = rotation.svid().clone();
    assert_ne!(first.serial, second.serial);
    let server = served(&authority);
    let connect = |svid: &Svid| {
        let client = client_tls(authority.certificate_pem(), Some((&svid.chain_pem, &svid.key))).unwrap();
        meet(client, &server, "localhost").map(|(seen, _)| seen)
    };
    assert!(connect(&first).is_ok());
    rotation.stop(now + SignedDuration::from_mins(41)).unwrap();
    assert_eq!(connect(&first), Err(rustls::Error::InvalidCertificate(CertificateError::Revoked)));
    // The second begins later than this test runs; that it is on the list is what can be seen.
    let listed = authority.0.store.read(|table| table.cells.keys().cloned().collect::<Vec<_>>());
    assert!(listed.contains(&first.serial) && listed.contains(&second.serial));
}

#[test]
fn names_are_read_from_exactly_one_uri() {
    let (_folder, authority) = place();
    let now = Timestamp::now();
    let named = |names: &[&str]| {
        let name = |text: &&str| match text.strip_prefix("dns:") {
            Some(host) => Name::Host(host.to_owned()),
            None => Name::Uri((*text).to_owned()),
        };
        let names = names.iter().map(name).collect();
        let order = Order { title: "x".into(), names, purpose: Purpose::Client, not_after: now + OPERATOR_LIFE };
        peer_name(&authority.0.issuer.certify_new(&order, now).unwrap().0.der)
    };
    assert_eq!(named(&["spiffe://nanoclaw/operator/ana"]), Some(name("ana")));
    for wrong in [
        &["spiffe://nanoclaw/operator/ana", "spiffe://nanoclaw/operator/bo"][..],
        &["spiffe://nanoclaw/operator/ana", "dns:ana.example"],
        &["dns:ana"],
        &["spiffe://nanoclaw/operator/"],
        &["spiffe://nanoclaw/operator/Ana"],
        &["spiffe://nanoclaw/operator/ana/bo"],
        &["spiffe://nanoclaw/operator/uid:0"],
        &["spiffe://nanoclaw/agent/ana"],
        &["spiffe://elsewhere/operator/ana"],
        &["https://nanoclaw/operator/ana"],
    ] {
        assert_eq!(named(wrong), None, "{wrong:?}");
    }
    assert_eq!(peer_name(b"no certificate"), None);
}

#[test]
fn nobody_else_reads_the_key_and_the_authority_stays_the_same() {
    let (folder, authority) = place();
    let path = |name: &str| folder.path().join("ca").join(name);
    let mode = |name: &str| std::fs::metadata(path(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(""), mode("ca.key"), mode("certificates.json")), (0o700, 0o600, 0o600));
    let open = || Authority::open(&path(""), Timestamp::now());
    assert_eq!(open().unwrap().fingerprint(), authority.fingerprint());
    // As after a crash between the two.
    std::fs::remove_file(path("ca.pem")).unwrap();
    let again = open().unwrap();
    let (ana, key) = authority.operator_with_key(&name("ana"), Timestamp::now()).unwrap();
    let client = client_tls(again.certificate_pem(), Some((&ana.pem, &key))).unwrap();
    assert!(meet(client, &served(&again), "localhost").is_ok(), "same key, same name");
    std::fs::set_permissions(path("ca.key"), std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(open(), Err(StoreError::File(_))));
    std::fs::set_permissions(path("ca.key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let (other_folder, _other) = place();
    std::fs::copy(other_folder.path().join("ca/ca.pem"), path("ca.pem")).unwrap();
    assert!(matches!(open(), Err(StoreError::Certificate(X509Error::NotTogether))));
}

#[test]
fn the_list_forgets_what_is_over_anyway() {
    let (_folder, authority) = place();
    let now = Timestamp::now();
    let (ana, _) = authority.operator_with_key(&name("ana"), now).unwrap();
    authority.revoke(&ana.serial, now).unwrap();
    assert_eq!(authority.certificates(now).len(), 1);
    let later = now + OPERATOR_LIFE;
    authority.operator_with_key(&name("bo"), later).unwrap();
    assert_eq!(authority.certificates(later).len(), 1);
    assert!(authority.0.store.read(|table| table.revoked().is_empty()));
}

#[test]
fn numbers_of_certificates_are_read_as_they_are_written() {
    let text = "40c0ffee000000000000000000000001";
    let serial = Serial::parse(text).unwrap();
    assert_eq!((serial.to_string(), Serial::of(&serial.bytes())), (text.to_owned(), serial.clone()));
    for wrong in ["", &text[1..], &text.to_uppercase(), "+0c0ffee000000000000000000000001"] {
        assert_eq!(Serial::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn a_certificate_is_followed_by_a_few_that_are_revoked_with_it() {
    let (folder, authority) = place();
    let (start, day) = (Timestamp::now(), SignedDuration::from_hours(24));
    let (first, _) = authority.operator_with_key(&name("ana"), start).unwrap();
    let (other, _) = authority.operator_with_key(&name("ana"), start + day * 61).unwrap();
    let (request, _) = new_request().unwrap();
    let next = |pem: &str, now| {
        let before = authority.operator(&der(pem), now).unwrap();
        authority.renew_operator(&before, &request, now).unwrap()
    };
    assert!(next(&first.pem, start + day * 59).is_none(), "it is not time");
    let second = next(&first.pem, start + day * 61).unwrap();
    let third = next(&second.pem, start + day * 122).unwrap();
    for _ in 0..2 {
        assert!(next(&second.pem, start + day * 122).is_some());
    }
    assert!(next(&second.pem, start + day * 122).is_none(), "there were enough");
    drop(authority);
    let authority = Authority::open(&folder.path().join("ca"), start).unwrap();
    let good = |pem: &str, after| authority.operator(&der(pem), start + day * after).is_some();
    assert!(good(&second.pem, 122) && good(&third.pem, 200) && !good(&first.pem, 122));
    assert!(authority.revoke(&second.serial, start + day * 122).unwrap());
    assert!(!good(&second.pem, 122) && !good(&third.pem, 200) && good(&other.pem, 122));
}
