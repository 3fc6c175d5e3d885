//! Handshakes in memory between the two sides that this module makes, and with clients that misbehave.

use jiff::SignedDuration;
use rustls::version::TLS12;
use rustls::{CertificateError, ClientConnection, HandshakeKind, NamedGroup, ProtocolVersion, ServerConnection};

use super::*;
use crate::x509::{Issued, Issuer, Name, Order, Purpose, Revoked, certificate_pem};

fn now() -> Timestamp {
    Timestamp::now()
}

struct Place {
    issuer: Arc<Issuer>,
    clients: Arc<Clients>,
    server: Arc<ServerConfig>,
}

fn order(name: Name, purpose: Purpose, life: SignedDuration) -> Order {
    Order { title: "ana".into(), names: vec![name], purpose, not_after: now() + life }
}

const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn own(issuer: &Issuer, now: Timestamp) -> Result<Own, X509Error> {
    let (issued, key) = issuer.certify_new(&order(Name::Host("localhost".into()), Purpose::Server, HOUR), now)?;
    Ok(Own { certificate: issued.der, key, renew_at: now + HOUR })
}

impl Place {
    fn new() -> Self {
        let issuer = Arc::new(Issuer::create(now()).unwrap().0);
        let list = issuer.revocations(&[], 1, now()).unwrap();
        let clients = Arc::new(Clients::new(issuer.der(), list).unwrap());
        let its = Arc::clone(&issuer);
        let server = server_config(Arc::clone(&clients), move |now| own(&its, now), now()).unwrap();
        Self { issuer, clients, server: Arc::new(server) }
    }

    fn ana(&self, purpose: Purpose, life: SignedDuration) -> (Issued, PrivateKey) {
        let order = order(Name::Uri("spiffe://x/ana".into()), purpose, life);
        // Long enough ago that a certificate which is over by now was once valid.
        self.issuer.certify_new(&order, now() - HOUR).unwrap()
    }

    fn client(&self, own: Option<&(Issued, PrivateKey)>) -> ClientConfig {
        let own = own.map(|(issued, key)| (certificate_pem(&issued.der), key));
        pinned_client_config(&self.issuer.pem(), own.as_ref().map(|(pem, key)| (pem.as_str(), *key))).unwrap()
    }

    fn meet(&self, client: ClientConfig) -> Result<(ClientConnection, ServerConnection), rustls::Error> {
        meet(&Arc::new(client), &self.server, "localhost")
    }
}

/// Carries bytes to and fro until nobody has any more to send, or the first error.
fn meet(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
    name: &'static str,
) -> Result<(ClientConnection, ServerConnection), rustls::Error> {
    let mut client = ClientConnection::new(Arc::clone(client), name.try_into().unwrap()).unwrap();
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
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok((client, server))
}

fn shown(server: &ServerConnection) -> Option<&[u8]> {
    server.peer_certificates().map(|chain| chain[0].as_ref())
}

#[test]
fn key_exchange_is_hybrid_and_both_sides_are_known() {
    let place = Place::new();
    let ana = place.ana(Purpose::Client, HOUR);
    let (client, server) = place.meet(place.client(Some(&ana))).unwrap();
    assert_eq!(server.negotiated_key_exchange_group().unwrap().name(), NamedGroup::X25519MLKEM768);
    assert_eq!(server.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(client.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(shown(&server), Some(&ana.0.der[..]));
    assert_eq!((client.fips(), server.fips()), (cfg!(feature = "fips"), cfg!(feature = "fips")));
}

#[test]
fn a_client_that_knows_the_other_hybrid_only_is_served_with_it() {
    let place = Place::new();
    let mut algorithms = (*provider()).clone();
    algorithms.kx_groups = vec![rustls::crypto::aws_lc_rs::kx_group::SECP256R1MLKEM768];
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(place.issuer.der().to_vec())).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(algorithms))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (_, server) = place.meet(client).unwrap();
    assert_eq!(server.negotiated_key_exchange_group().unwrap().name(), NamedGroup::secp256r1MLKEM768);
}

#[test]
fn without_a_certificate_one_connects_and_is_nobody() {
    let place = Place::new();
    let (_, server) = place.meet(place.client(None)).unwrap();
    assert_eq!(shown(&server), None);
}

#[test]
fn a_revoked_certificate_is_refused_from_then_on() {
    let place = Place::new();
    let [ana, bo] = [(); 2].map(|()| place.ana(Purpose::Client, HOUR));
    assert!(place.meet(place.client(Some(&ana))).is_ok());
    let revoked = [Revoked { serial: ana.0.serial, since: now() }];
    place.clients.revoke(place.issuer.revocations(&revoked, 2, now()).unwrap()).unwrap();
    let error = place.meet(place.client(Some(&ana))).unwrap_err();
    assert_eq!(error, rustls::Error::InvalidCertificate(CertificateError::Revoked));
    assert!(place.meet(place.client(Some(&bo))).is_ok());
}

#[test]
fn a_revoked_certificate_does_not_come_back_with_a_resumed_session() {
    let place = Place::new();
    let ana = place.ana(Purpose::Client, HOUR);
    // One configuration, which remembers every session that the server lets it resume.
    let client = Arc::new(place.client(Some(&ana)));
    for _ in 0..2 {
        let (client, _) = meet(&client, &place.server, "localhost").unwrap();
        assert_eq!(client.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(client.tls13_tickets_received(), 0);
    }
    let revoked = [Revoked { serial: ana.0.serial, since: now() }];
    place.clients.revoke(place.issuer.revocations(&revoked, 2, now()).unwrap()).unwrap();
    assert!(meet(&client, &place.server, "localhost").is_err());
}

#[test]
fn a_list_that_somebody_else_signed_revokes_nobody() {
    let (place, other) = (Place::new(), Place::new());
    let ana = place.ana(Purpose::Client, HOUR);
    let foreign = other.issuer.revocations(&[], 9, now()).unwrap();
    assert!(place.clients.revoke(b"no list".to_vec()).is_err());
    assert!(place.meet(place.client(Some(&ana))).is_ok(), "the list before stays");
    // It can be read, and then nobody's status is known: closed, not open.
    if place.clients.revoke(foreign).is_ok() {
        assert!(place.meet(place.client(Some(&ana))).is_err());
    }
}

#[test]
fn certificates_that_are_over_foreign_or_for_servers_are_refused() {
    let (place, other) = (Place::new(), Place::new());
    let ana = place.ana(Purpose::Client, -SignedDuration::from_mins(1));
    let error = place.meet(place.client(Some(&ana))).unwrap_err();
    assert!(matches!(error, rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { .. })), "{error}");
    let foreign = other.ana(Purpose::Client, HOUR);
    let error = place.meet(place.client(Some(&foreign))).unwrap_err();
    assert_eq!(error, rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer));
    let server = place.ana(Purpose::Server, HOUR);
    let error = place.meet(place.client(Some(&server))).unwrap_err();
    assert!(
        matches!(error, rustls::Error::InvalidCertificate(CertificateError::InvalidPurposeContext { .. })),
        "{error}"
    );
}

/// Shows a certificate whose key it does not have.
#[derive(Debug)]
struct Thief(Arc<CertifiedKey>);

impl rustls::client::ResolvesClientCert for Thief {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[test]
fn a_stolen_certificate_is_no_use_without_its_key() {
    let place = Place::new();
    let [ana, thief] = [(); 2].map(|()| place.ana(Purpose::Client, HOUR));
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&thief.1.der()).unwrap();
    let certified = CertifiedKey::new(vec![CertificateDer::from(ana.0.der)], key);
    let mut client = place.client(None);
    client.client_auth_cert_resolver = Arc::new(Thief(Arc::new(certified)));
    let error = place.meet(client).unwrap_err();
    assert_eq!(error, rustls::Error::InvalidCertificate(CertificateError::BadSignature));
}

#[test]
fn a_server_of_another_authority_or_name_is_refused() {
    let (place, other) = (Place::new(), Place::new());
    let error = meet(&Arc::new(other.client(None)), &place.server, "localhost").unwrap_err();
    assert_eq!(error, rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer));
    let error = meet(&Arc::new(place.client(None)), &place.server, "elsewhere.example").unwrap_err();
    assert!(matches!(error, rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })));
}

#[test]
fn tls_1_2_is_refused() {
    let place = Place::new();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(place.issuer.der().to_vec())).unwrap();
    let old = |versions: &[&'static rustls::SupportedProtocolVersion]| {
        ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth()
    };
    assert!(matches!(place.meet(old(&[&TLS12])), Err(rustls::Error::PeerIncompatible(_))));
    assert!(place.meet(old(&[&TLS12, &TLS13])).is_ok());
}

#[test]
fn the_server_gets_another_certificate_when_it_is_time() {
    let issuer = Issuer::create(now()).unwrap().0;
    let start = now();
    let issue = move |now| if now < start + HOUR * 2 { own(&issuer, now) } else { Err(X509Error::NoKey) };
    let renewing = Renewing::new(Box::new(issue), start).unwrap();
    let at = |after: SignedDuration| renewing.at(start + after).cert[0].clone();
    let first = at(SignedDuration::ZERO);
    assert_eq!(at(HOUR - SignedDuration::from_secs(1)), first);
    let second = at(HOUR);
    assert_ne!(second, first);
    assert_eq!(at(HOUR), second);
    assert_eq!(at(HOUR * 2), second, "where there is no other, the old one stays");
    // The clock was ahead, and that one is not valid yet.
    assert_ne!(at(-HOUR), second);
}

#[test]
fn what_is_no_certificate_makes_no_client() {
    let place = Place::new();
    let (issued, key) = place.ana(Purpose::Client, HOUR);
    let (ca, pem) = (place.issuer.pem(), certificate_pem(&issued.der));
    assert!(pinned_client_config(&ca, Some((&pem, &key))).is_ok());
    for (ca, own) in [("", &*pem), (&*ca, ""), (&*ca, &*key.dangerously_expose_pem())] {
        assert!(matches!(pinned_client_config(ca, Some((own, &key))), Err(TlsError::Certificate(_))));
    }
    let other = place.ana(Purpose::Client, HOUR).1;
    assert!(pinned_client_config(&ca, Some((&pem, &other))).is_err(), "a key that is another's");
}
