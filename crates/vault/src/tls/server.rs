//! The other side: how NanoClaw is reached over TLS, by clients that one authority vouches for, and how it reaches
//! servers of such an authority.
//!
//! TLS 1.3 only. No session is resumed, because a resumed one would skip the check of the client's certificate against
//! the list of revoked ones.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
pub use rustls::ServerConfig;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};

use super::{TlsError, provider};
use crate::x509::{PrivateKey, X509Error};

/// Whom the server takes as clients: those with a certificate of one authority that is not revoked, and those without
/// any. What somebody without a certificate may do is decided by whoever looks at the connection.
#[derive(Debug)]
pub struct Clients {
    roots: Arc<RootCertStore>,
    hints: Vec<DistinguishedName>,
    current: RwLock<Arc<dyn ClientCertVerifier>>,
}

impl Clients {
    /// Clients of the authority with this certificate, without those in `revoked`; both in DER.
    ///
    /// # Errors
    /// One of them cannot be read, or the authority did not sign the list.
    pub fn new(authority: &[u8], revoked: Vec<u8>) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(authority.to_vec()))?;
        let (hints, roots) = (roots.subjects(), Arc::new(roots));
        let current = RwLock::new(verifier(&roots, revoked)?);
        Ok(Self { roots, hints, current })
    }

    /// Takes another list of revoked certificates, for handshakes that are yet to come.
    ///
    /// # Errors
    /// It cannot be read; the one before stays.
    pub fn revoke(&self, revoked: Vec<u8>) -> Result<(), TlsError> {
        let verifier = verifier(&self.roots, revoked)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = verifier;
        Ok(())
    }

    fn current(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn verifier(roots: &Arc<RootCertStore>, revoked: Vec<u8>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider())
        .with_crls([CertificateRevocationListDer::from(revoked)])
        .allow_unauthenticated()
        .build()
        .map_err(|error| TlsError::Library(rustls::Error::General(error.to_string())))
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.current().verify_client_cert(certificate, between, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.current().verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.current().verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current().supported_verify_schemes()
    }
}

/// A certificate of this server.
#[derive(Debug)]
pub struct Own {
    /// It, in DER.
    pub certificate: Vec<u8>,
    /// Its key.
    pub key: PrivateKey,
    /// When to get another one.
    pub renew_at: Timestamp,
}

impl Own {
    fn certified(&self) -> Result<CertifiedKey, TlsError> {
        let chain = vec![CertificateDer::from(self.certificate.clone())];
        Ok(CertifiedKey::from_der(chain, self.key.der(), &provider())?)
    }
}

/// Issues certificates of this server.
type Issue = dyn Fn(Timestamp) -> Result<Own, X509Error> + Send + Sync;

/// The certificate of this server, and where the next one comes from.
struct Renewing {
    issue: Box<Issue>,
    current: RwLock<Current>,
}

/// A certificate and its time.
struct Current {
    certified: Arc<CertifiedKey>,
    issued: Timestamp,
    renew_at: Timestamp,
}

impl Current {
    /// Whether there should be another one: it is old, or the clock was ahead when it was issued.
    fn is_due(&self, now: Timestamp) -> bool {
        now >= self.renew_at || now < self.issued
    }
}

impl Renewing {
    fn new(issue: Box<Issue>, now: Timestamp) -> Result<Self, TlsError> {
        let current = RwLock::new(issued(&*issue, now)?);
        Ok(Self { issue, current })
    }

    fn at(&self, now: Timestamp) -> Arc<CertifiedKey> {
        {
            let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
            if !current.is_due(now) {
                return Arc::clone(&current.certified);
            }
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        // Another connection may have been faster.
        if current.is_due(now)
            && let Ok(next) = issued(&*self.issue, now)
        {
            *current = next;
        }
        // Where there is no new one, a third of the old one's life is left to find out why.
        Arc::clone(&current.certified)
    }
}

fn issued(issue: &Issue, now: Timestamp) -> Result<Current, TlsError> {
    let own = issue(now)?;
    Ok(Current { certified: Arc::new(own.certified()?), issued: now, renew_at: own.renew_at })
}

impl fmt::Debug for Renewing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renewing")
    }
}

impl ResolvesServerCert for Renewing {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.at(Timestamp::now()))
    }
}

/// How connections are taken: from `clients`, with certificates that `issue` makes, now and when they are to be renewed;
/// `http/1.1` only.
///
/// # Errors
/// There is no certificate, or the build is for the FIPS module and that is not in force.
pub fn server_config(
    clients: Arc<Clients>,
    issue: impl Fn(Timestamp) -> Result<Own, X509Error> + Send + Sync + 'static,
    now: Timestamp,
) -> Result<ServerConfig, TlsError> {
    let own = Renewing::new(Box::new(issue), now)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::new(own));
    config.require_ems = true;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    if cfg!(feature = "fips") && !config.fips() {
        return Err(TlsError::NotFips("the TLS library says that it uses other algorithms"));
    }
    Ok(config)
}

/// How connections are made to servers of one authority and of no other, with a certificate and its key where there is
/// one; everything in PEM form.
///
/// # Errors
/// Something cannot be read, or the build is for the FIPS module and that is not in force.
pub fn pinned_client_config(authority: &str, own: Option<(&str, &PrivateKey)>) -> Result<ClientConfig, TlsError> {
    let certificate = |pem: &str| {
        CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| TlsError::Certificate(X509Error::NoCertificate))
    };
    let mut roots = RootCertStore::empty();
    roots.add(certificate(authority)?)?;
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots);
    let mut config = match own {
        Some((own, key)) => builder.with_client_auth_cert(vec![certificate(own)?], key.der())?,
        None => builder.with_no_client_auth(),
    };
    config.require_ems = true;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if cfg!(feature = "fips") && !config.fips() {
        return Err(TlsError::NotFips("the TLS library says that it uses other algorithms"));
    }
    Ok(config)
}

#[cfg(test)]
mod tests;
