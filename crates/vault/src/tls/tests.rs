//! Handshakes in memory, against servers that the library itself makes.

use std::process::Command;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConnection, ProtocolVersion, ServerConfig, ServerConnection, SupportedProtocolVersion, version};
use tempfile::TempDir;

use super::*;

const EVERY_VERSION: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];

/// For openssl(1).
const LEAF: &str = "[req]
distinguished_name = name
x509_extensions = leaf
[name]
[leaf]
basicConstraints = critical, CA:FALSE
subjectAltName = DNS:localhost
";

/// A certificate for `localhost` that vouches for itself, made by openssl(1).
struct Server {
    folder: TempDir,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Server {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("leaf.conf"), LEAF).unwrap();
        let output = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=localhost", "-config", "leaf.conf", "-keyout", "key.pem", "-out", "certificate.pem"])
            .current_dir(&folder)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let certificate = read_certificates(&folder.path().join("certificate.pem")).unwrap().remove(0);
        let key = PrivateKeyDer::from_pem_file(folder.path().join("key.pem")).unwrap();
        Self { folder, certificate, key }
    }

    fn config(&self, provider: Arc<CryptoProvider>, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
        ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], self.key.clone_key())
            .unwrap()
    }
}

/// Carries bytes to and fro until both sides are done, or the first error.
fn handshake(
    client: ClientConfig,
    server: ServerConfig,
) -> Result<(ClientConnection, ServerConnection), rustls::Error> {
    let mut client = ClientConnection::new(Arc::new(client), "localhost".try_into().unwrap()).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let (mut there, mut back) = (Vec::new(), Vec::new());
        client.write_tls(&mut there).unwrap();
        server.read_tls(&mut there.as_slice()).unwrap();
        server.process_new_packets()?;
        server.write_tls(&mut back).unwrap();
        client.read_tls(&mut back.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Ok((client, server))
}

#[test]
fn the_build_is_what_it_says() {
    self_check().unwrap();
    assert_eq!(is_fips(), cfg!(feature = "fips"));
    assert_eq!(client_config(&[]).unwrap().fips(), cfg!(feature = "fips"));
}

#[test]
fn key_exchange_is_hybrid_where_the_server_can() {
    let server = Server::new();
    let client = client_config(std::slice::from_ref(&server.certificate)).unwrap();
    let (client, _) = handshake(client, server.config(provider(), EVERY_VERSION)).unwrap();
    assert_eq!(client.negotiated_key_exchange_group().unwrap().name(), NamedGroup::X25519MLKEM768);
    assert_eq!(client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(client.fips(), cfg!(feature = "fips"));
}

#[test]
fn a_classical_server_is_reached_with_a_nist_curve() {
    for (group, name) in [(kx_group::SECP256R1, NamedGroup::secp256r1), (kx_group::SECP384R1, NamedGroup::secp384r1)] {
        let server = Server::new();
        let client = client_config(std::slice::from_ref(&server.certificate)).unwrap();
        let classical = Arc::new(CryptoProvider { kx_groups: vec![group], ..(*provider()).clone() });
        let (client, _) = handshake(client, server.config(classical, EVERY_VERSION)).unwrap();
        assert_eq!(client.negotiated_key_exchange_group().unwrap().name(), name);
    }
}

#[test]
fn tls_1_2_is_spoken_with_the_extended_master_secret() {
    let server = Server::new();
    let client = client_config(std::slice::from_ref(&server.certificate)).unwrap();
    assert!(client.require_ems);
    let (client, _) = handshake(client, server.config(provider(), &[&version::TLS12])).unwrap();
    assert_eq!(client.protocol_version(), Some(ProtocolVersion::TLSv1_2));
}

#[test]
fn http_1_1_is_the_only_protocol_offered() {
    let server = Server::new();
    for (spoken, agreed) in [(&["h2", "http/1.1"][..], true), (&["h2"][..], false)] {
        let mut config = server.config(provider(), EVERY_VERSION);
        config.alpn_protocols = spoken.iter().map(|name| name.as_bytes().to_vec()).collect();
        let client = client_config(std::slice::from_ref(&server.certificate)).unwrap();
        let protocol = handshake(client, config).map(|(client, _)| client.alpn_protocol().unwrap().to_vec());
        if agreed {
            assert_eq!(protocol, Ok(b"http/1.1".to_vec()));
        } else {
            assert_eq!(protocol, Err(rustls::Error::NoApplicationProtocol));
        }
    }
}

#[test]
fn a_server_that_nobody_vouches_for_is_refused() {
    let server = Server::new();
    let client = client_config(std::slice::from_ref(&Server::new().certificate)).unwrap();
    let error = handshake(client, server.config(provider(), EVERY_VERSION)).unwrap_err();
    assert!(matches!(error, rustls::Error::InvalidCertificate(_)), "{error}");
}

#[test]
fn without_authorities_the_handshake_says_what_to_do() {
    let server = Server::new();
    for versions in [EVERY_VERSION, &[&version::TLS12]] {
        let client = believing(RootCertStore::empty()).unwrap();
        let error = handshake(client, server.config(provider(), versions)).unwrap_err();
        assert_eq!(error, rustls::Error::General(NO_AUTHORITIES.to_owned()));
    }
}

#[test]
fn a_file_without_a_certificate_is_refused() {
    let server = Server::new();
    let path = |name: &str| server.folder.path().join(name);
    std::fs::write(path("empty.pem"), "").unwrap();
    std::fs::write(path("cut.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap();
    std::fs::write(path("long.pem"), vec![b'\n'; MAX_CERTIFICATES_BYTES + 1]).unwrap();
    for (name, problem) in [
        ("empty.pem", "holds no certificate; it must hold certificates in PEM form"),
        ("key.pem", "holds no certificate; it must hold certificates in PEM form"),
        ("cut.pem", "cannot be read: "),
        ("long.pem", "is longer than 1048576 bytes"),
        ("missing.pem", "cannot be read: No such file or directory"),
        (".", "is not a regular file"),
    ] {
        let said = read_certificates(&path(name)).unwrap_err().to_string();
        assert!(said.contains(problem) && said.contains(&*path(name).to_string_lossy()), "{said}");
    }
}

#[test]
fn what_is_no_certificate_is_no_authority() {
    assert!(matches!(client_config(&[CertificateDer::from(vec![0; 9])]), Err(TlsError::Library(_))));
}
