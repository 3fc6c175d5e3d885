//! How NanoClaw speaks TLS.
//!
//! TLS 1.3, and 1.2 only with the extended master secret (RFC 7627); AES-GCM; key exchange with X25519MLKEM768 first, a
//! hybrid that stays secret if either half holds, also against somebody who records today and has a quantum computer
//! later. The list is the same with and without the FIPS module, so that a server that works with one works with both.
//!
//! Whom NanoClaw believes is what the system says: the file or directory that `SSL_CERT_FILE` and `SSL_CERT_DIR` name,
//! otherwise the usual places of distributions, such as `/etc/ssl/certs`. In a cell that is the cell's own
//! `/etc/ssl/certs`. Where there is nothing, the first handshake fails and says so; a program that never speaks TLS
//! does not notice.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, NamedGroup, RootCertStore, SignatureScheme};

use crate::file::{self, Access, FileError};
use crate::x509::X509Error;

mod anybody;
mod server;
pub use anybody::dangerous_unverified_client_config;
pub use server::{Clients, Own, ServerConfig, pinned_client_config, server_config};

/// Longest file of certificates, in bytes.
const MAX_CERTIFICATES_BYTES: usize = 1024 * 1024;

/// What every program that finds no authorities is told.
const NO_AUTHORITIES: &str = "no certificate authorities were found on this system; install `ca-certificates`, or name \
                              a file of them with `ca`";

/// TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The build is for the FIPS module, and something else would do the work.
    #[error("the FIPS module is not in force: {0}; this build of nanoclaw must not be used")]
    NotFips(&'static str),
    /// The first group is not a hybrid one.
    #[error("key exchange is not post-quantum; this build of nanoclaw must not be used")]
    NotHybrid,
    /// A file of certificates cannot be read.
    #[error("the certificates in {0}")]
    File(#[from] FileError),
    /// A file of certificates holds something else.
    #[error("`{path}` {problem}; it must hold certificates in PEM form")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A certificate of the control plane's own authority cannot be issued or read.
    #[error(transparent)]
    Certificate(#[from] X509Error),
    /// A certificate cannot be that of an authority, or the library does not take the configuration.
    #[error("TLS cannot be set up: {0}")]
    Library(#[from] rustls::Error),
}

/// The algorithms, for both sides of a connection.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        ],
        kx_groups: vec![
            kx_group::X25519MLKEM768,
            kx_group::SECP256R1MLKEM768,
            kx_group::SECP256R1,
            kx_group::SECP384R1,
        ],
        ..default_provider()
    })
}

/// Whether all cryptography is done in the FIPS module.
pub fn is_fips() -> bool {
    provider().fips()
}

/// How connections to servers are made: believing the system's authorities and those in `extra`, offering `http/1.1`
/// (RFC 7301) and nothing else.
///
/// # Errors
/// One of `extra` is not a certificate of an authority, or the build is for the FIPS module and that is not in force.
pub fn client_config(extra: &[CertificateDer<'_>]) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    // Systems carry certificates that no verifier takes; one of these must not take all others away.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for certificate in extra {
        roots.add(certificate.clone().into_owned())?;
    }
    believing(roots)
}

fn believing(roots: RootCertStore) -> Result<ClientConfig, TlsError> {
    let provider = provider();
    let algorithms = provider.signature_verification_algorithms;
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = if roots.is_empty() {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Nobody(algorithms))).with_no_client_auth()
    } else {
        builder.with_root_certificates(roots).with_no_client_auth()
    };
    config.require_ems = true;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if cfg!(feature = "fips") && !config.fips() {
        return Err(TlsError::NotFips("the TLS library says that it uses other algorithms"));
    }
    Ok(config)
}

/// Like [`client_config`], where the PEM file `ca`, if there is one, holds the further authorities.
///
/// # Errors
/// As of [`read_certificates`] and of [`client_config`].
pub fn client_config_with(ca: Option<&Path>) -> Result<ClientConfig, TlsError> {
    client_config(&ca.map(read_certificates).transpose()?.unwrap_or_default())
}

/// The certificates in the PEM file `path`, at least one.
///
/// # Errors
/// There is no such file, it cannot be read or holds something else.
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = file::read(path, Access::Public, MAX_CERTIFICATES_BYTES)?;
    let wrong = |problem: String| TlsError::Pem { path: path.to_owned(), problem };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let certificates = certificates.map_err(|error| wrong(format!("cannot be read: {error}")))?;
    if certificates.is_empty() { Err(wrong("holds no certificate".to_owned())) } else { Ok(certificates) }
}

/// Whether the cryptography is what this build promises. To be called once, before anything else uses it.
///
/// # Errors
/// It is not.
pub fn self_check() -> Result<(), TlsError> {
    if cfg!(feature = "fips") {
        // The module has tested itself when it was loaded (FIPS 140-3, section 7.10) and ended the process had it failed.
        aws_lc_rs::try_fips_mode().map_err(TlsError::NotFips)?;
    }
    let config = believing(RootCertStore::empty())?;
    let first = config.crypto_provider().kx_groups.first().map(|group| group.name());
    if first == Some(NamedGroup::X25519MLKEM768) { Ok(()) } else { Err(TlsError::NotHybrid) }
}

/// What TLS has against the server, if that is why a connection failed; `None` if it failed for another reason.
pub fn failure(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Some(error.to_string());
        }
        // An error of input and output does not name the one that it wraps as its source, only that one's source.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = wrapped.map(|wrapped| wrapped as &(dyn Error + 'static)).or_else(|| error.source());
    }
    None
}

/// Believes nobody, and says why.
#[derive(Debug)]
struct Nobody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Nobody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Err(rustls::Error::General(NO_AUTHORITIES.to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General(NO_AUTHORITIES.to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General(NO_AUTHORITIES.to_owned()))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
