//! Requests for a certificate (PKCS #10, RFC 2986), of which only the public key counts: the authority decides the rest.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1,
    EcdsaVerificationAlgorithm, UnparsedPublicKey,
};
use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PublicKeyData, SignatureAlgorithm};
use rustls::pki_types::CertificateSigningRequestDer;
use rustls::pki_types::pem::PemObject as _;

use super::X509Error;

/// Longest request, in bytes of PEM.
const MAX_REQUEST_BYTES: usize = 8 * 1024;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;

// The insides of `AlgorithmIdentifier`s: what must stand there to the byte (RFC 5480, section 2.1.1; RFC 5758).
const ON_P256: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const ON_P384: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22";
const WITH_SHA256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
const WITH_SHA384: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03";

/// The public key of somebody who has shown that they hold the private one.
#[derive(Debug)]
pub struct RequestedKey {
    curve: &'static SignatureAlgorithm,
    point: Vec<u8>,
}

impl RequestedKey {
    /// Reads a request in PEM form and verifies that it is signed with the key that it is for, on P-256 or P-384. Names
    /// and extensions that it asks for are not looked at.
    ///
    /// # Errors
    /// It cannot be read, is for another kind of key or somebody else signed it.
    pub fn from_pem(pem: &str) -> Result<Self, X509Error> {
        if pem.len() > MAX_REQUEST_BYTES {
            return Err(X509Error::NoRequest);
        }
        let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).map_err(|_| X509Error::NoRequest)?;
        let parts = Parts::read(&der).ok_or(X509Error::NoRequest)?;
        let (curve, algorithm) = match (parts.key_kind, parts.signed_with) {
            (ON_P256, WITH_SHA256) => (&PKCS_ECDSA_P256_SHA256, &ECDSA_P256_SHA256_ASN1),
            (ON_P256, WITH_SHA384) => (&PKCS_ECDSA_P256_SHA256, &ECDSA_P256_SHA384_ASN1),
            (ON_P384, WITH_SHA256) => (&PKCS_ECDSA_P384_SHA384, &ECDSA_P384_SHA256_ASN1),
            (ON_P384, WITH_SHA384) => (&PKCS_ECDSA_P384_SHA384, &ECDSA_P384_SHA384_ASN1),
            _ => return Err(X509Error::OtherKey),
        };
        let algorithm: &'static EcdsaVerificationAlgorithm = algorithm;
        let verified = UnparsedPublicKey::new(algorithm, parts.point).verify(parts.signed, parts.signature);
        verified.map_err(|_| X509Error::NotTheirs)?;
        Ok(Self { curve, point: parts.point.to_vec() })
    }
}

impl PublicKeyData for RequestedKey {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.curve
    }
}

/// What counts in a request.
struct Parts<'d> {
    signed: &'d [u8],
    key_kind: &'d [u8],
    point: &'d [u8],
    signed_with: &'d [u8],
    signature: &'d [u8],
}

impl<'d> Parts<'d> {
    fn read(der: &'d [u8]) -> Option<Self> {
        let mut whole = Der(der);
        let mut request = Der(whole.next(SEQUENCE)?);
        let signed = request.0;
        let mut information = Der(request.next(SEQUENCE)?);
        let signed = signed.get(..signed.len() - request.0.len())?;
        let version = information.next(INTEGER)?;
        let _subject = information.next(SEQUENCE)?;
        let mut key = Der(information.next(SEQUENCE)?);
        let key_kind = key.next(SEQUENCE)?;
        let point = whole_bytes(key.next(BIT_STRING)?)?;
        let signed_with = request.next(SEQUENCE)?;
        let signature = whole_bytes(request.next(BIT_STRING)?)?;
        let read = version == [0] && key.0.is_empty() && request.0.is_empty() && whole.0.is_empty();
        read.then_some(Self { signed, key_kind, point, signed_with, signature })
    }
}

/// The bytes of a bit string that ends with a byte.
fn whole_bytes(bits: &[u8]) -> Option<&[u8]> {
    bits.split_first().and_then(|(unused, bytes)| (*unused == 0).then_some(bytes))
}

/// What is left to read of a value in DER (X.690).
struct Der<'d>(&'d [u8]);

impl<'d> Der<'d> {
    /// The content of the next value, which must have this tag and a definite length below 65,536 in its shortest form.
    fn next(&mut self, tag: u8) -> Option<&'d [u8]> {
        let (length, rest) = match self.0 {
            [found, ..] if *found != tag => return None,
            [_, length @ 0..=0x7f, rest @ ..] => (usize::from(*length), rest),
            [_, 0x81, length @ 0x80..=0xff, rest @ ..] => (usize::from(*length), rest),
            [_, 0x82, high @ 1..=0xff, low, rest @ ..] => (usize::from(*high) << 8 | usize::from(*low), rest),
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(content)
    }
}
