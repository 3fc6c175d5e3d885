//! Whom the client believes, and how keys are agreed on.

use std::process::Command;

use nanoclaw_config::{ProviderKind, Remote};
use nanoclaw_dialect::FaultKind;
use nanoclaw_llm::upstream::{Failure, Upstream};
use nanoclaw_vault::tls::{provider as algorithms, read_certificates};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{NamedGroup, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::server::Server;
use crate::world::{World, chat, provider, whole};

/// For openssl(1): `authority` may vouch for others, `leaf` is for 127.0.0.1, `stranger` for another address.
const CONFIG: &str = "[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
[leaf]
basicConstraints = critical, CA:FALSE
subjectAltName = IP:127.0.0.1
[stranger]
basicConstraints = critical, CA:FALSE
subjectAltName = IP:127.0.0.2
";

/// Makes `name.pem` and `name.key`, signed by `authority` or by itself.
fn certificate(world: &World, name: &str, kind: &str, authority: Option<&str>) {
    std::fs::write(world.path("openssl.conf"), CONFIG).unwrap();
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
    command.args(["-config", "openssl.conf", "-extensions", kind, "-subj", &format!("/CN={name}")]);
    command.args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")]);
    if let Some(authority) = authority {
        command.args(["-CA", &format!("{authority}.pem"), "-CAkey", &format!("{authority}.key")]);
    }
    let output = command.current_dir(world.folder()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

async fn server(world: &World, name: &str) -> Server {
    let chain = read_certificates(&world.path(&format!("{name}.pem"))).unwrap();
    let key = PrivateKeyDer::from_pem_file(world.path(&format!("{name}.key"))).unwrap();
    let config = ServerConfig::builder_with_provider(algorithms()).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Server::tls(config).await
}

/// Calls `server` believing `ca`.
async fn ask(world: &World, server: &Server, ca: Option<&str>) -> Result<Vec<u8>, Failure> {
    let remote = world.remote(format!("https://{}/v1", server.address));
    let remote = Remote { ca: ca.map(|name| world.path(&format!("{name}.pem"))), ..remote };
    let upstream = Upstream::new(&[provider(ProviderKind::OpenAi(remote))], None).unwrap();
    whole(upstream.send(&chat(), || true).await?).await
}

#[tokio::test]
async fn a_private_authority_is_believed_where_it_is_named() {
    let world = World::new();
    certificate(&world, "authority", "authority", None);
    certificate(&world, "leaf", "leaf", Some("authority"));
    let server = server(&world, "leaf").await;
    assert_eq!(ask(&world, &server, Some("authority")).await.unwrap(), b"{}");
    assert_eq!(server.groups(), [NamedGroup::X25519MLKEM768]);
    assert!(server.requests()[0].starts_with("POST /v1/chat/completions HTTP/1.1\r\n"));
}

#[tokio::test]
async fn nobody_else_is_believed_and_nothing_is_said_to_them() {
    let world = World::new();
    certificate(&world, "authority", "authority", None);
    certificate(&world, "leaf", "leaf", Some("authority"));
    certificate(&world, "alone", "leaf", None);
    certificate(&world, "stranger", "stranger", Some("authority"));
    for (name, ca) in [("alone", None), ("leaf", None), ("alone", Some("authority")), ("stranger", Some("authority"))] {
        let server = server(&world, name).await;
        let failure = ask(&world, &server, ca).await.unwrap_err();
        assert_eq!((failure.kind, failure.attempts, failure.retryable), (FaultKind::Provider, 1, true));
        assert!(failure.message.starts_with("provider `main` cannot be spoken to securely: "), "{failure}");
        assert!(failure.message.ends_with("; if its authority is your own, name it with `ca`"), "{failure}");
        assert_eq!(server.requests(), Vec::<String>::new(), "{name}");
    }
}

#[tokio::test]
async fn a_server_without_tls_is_not_spoken_to_in_clear() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut said = vec![0; 64 * 1024];
        let count = stream.read(&mut said).await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        stream.shutdown().await.unwrap();
        said.truncate(count);
        // What more it says must not be anything in clear either.
        stream.read_to_end(&mut said).await.unwrap();
        said
    });
    let remote = world.remote(format!("https://{address}/v1"));
    let upstream = Upstream::new(&[provider(ProviderKind::OpenAi(remote))], None).unwrap();
    let failure = upstream.send(&chat(), || true).await.unwrap_err();
    assert!(failure.message.starts_with("provider `main` cannot be spoken to securely: "), "{failure}");
    let said = server.await.unwrap();
    assert_eq!(said.first(), Some(&0x16), "a TLS handshake (RFC 8446, section 5.1)");
    assert!(!String::from_utf8_lossy(&said).contains("POST"));
}
