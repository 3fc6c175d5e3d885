//! Private keys of certificates, and text forms (RFC 7468).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::{Zeroize as _, Zeroizing};

use super::X509Error;

/// Characters of a line of base64 in PEM.
const LINE: usize = 64;

/// A private key on P-384. Prints itself as `***` and is overwritten when it is dropped.
#[derive(Clone)]
pub struct PrivateKey(Zeroizing<Vec<u8>>);

impl PrivateKey {
    /// A new key, and what makes certificates with it.
    pub(super) fn generate() -> Result<(Self, Pair), X509Error> {
        let pair = Pair(KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?);
        Ok((Self(Zeroizing::new(pair.0.serialized_der().to_vec())), pair))
    }

    /// Reads a key in PEM form (PKCS #8).
    ///
    /// # Errors
    /// It is none, or not on P-384.
    pub fn from_pem(pem: &[u8]) -> Result<Self, X509Error> {
        match PrivateKeyDer::from_pem_slice(pem) {
            Ok(PrivateKeyDer::Pkcs8(der)) => {
                let key = Self(Zeroizing::new(der.secret_pkcs8_der().to_vec()));
                key.pair().map(|_| key)
            }
            _ => Err(X509Error::NoKey),
        }
    }

    pub(super) fn pair(&self) -> Result<Pair, X509Error> {
        let der = PrivatePkcs8KeyDer::from(self.0.as_slice());
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P384_SHA384);
        pair.map(Pair).map_err(|_| X509Error::NoKey)
    }

    /// The key as TLS takes it.
    pub(crate) fn der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.0.to_vec()).into()
    }

    /// The key in PEM form (PKCS #8). Only for the file or the memory that it belongs in.
    pub fn dangerously_expose_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(pem("PRIVATE KEY", &self.0))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A key of the library, overwritten when it is dropped.
pub(super) struct Pair(pub(super) KeyPair);

impl Drop for Pair {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// `der` as PEM with this label, in lines of 64 characters.
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let text = Zeroizing::new(STANDARD.encode(der));
    let lines = text.len().div_ceil(LINE);
    let mut pem = String::with_capacity(text.len() + lines + 2 * (label.len() + 20));
    pem.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = text.as_str();
    while !rest.is_empty() {
        // The text is ASCII.
        let (line, behind) = rest.split_at(LINE.min(rest.len()));
        pem.push_str(line);
        pem.push('\n');
        rest = behind;
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}
