//! Issuing certificates (RFC 5280): an authority on P-384, the certificates that it signs, and the list of those that it
//! takes back.
//!
//! An authority stands directly above its certificates and says so (`pathLenConstraint` 0). It names no permitted names:
//! those of the server come from a configuration that may change, and only NanoClaw's own clients believe it.

mod key;
mod request;

use std::net::IpAddr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, PublicKeyData, RevokedCertParams, SanType, SerialNumber,
    SigningKey, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use webpki::EndEntityCert;

use crate::digest::{hex, sha256};
use crate::random::{self, RandomError};
use key::Pair;
pub use key::PrivateKey;
pub use request::RequestedKey;

/// How long an authority is valid.
const AUTHORITY_LIFE: SignedDuration = SignedDuration::from_hours(24 * 3650);
/// How far back the validity of a certificate begins: clocks differ.
const BACKDATED: SignedDuration = SignedDuration::from_mins(5);
/// How long a list of revoked certificates says that it holds. It is made anew at each start and each revocation, and
/// whoever holds it is told then.
const LIST_LIFE: SignedDuration = SignedDuration::from_hours(24 * 366);

/// A certificate cannot be issued or read.
#[derive(Debug, thiserror::Error)]
pub enum X509Error {
    /// No key where one was expected.
    #[error("the private key cannot be read; it must be one on P-384 in PEM form (PKCS #8)")]
    NoKey,
    /// No certificate where one was expected.
    #[error("the certificate cannot be read; it must be in PEM form")]
    NoCertificate,
    /// The certificate of an authority belongs to another key.
    #[error("the authority's certificate and key do not belong together; restore both from one backup")]
    NotTogether,
    /// No request where one was expected.
    #[error("the request for a certificate cannot be read; it must be a PKCS #10 request in PEM form")]
    NoRequest,
    /// A request for a key that the authority does not certify.
    #[error("the request is for another kind of key; make one on P-256 or P-384 and sign it with SHA-256 or SHA-384")]
    OtherKey,
    /// The signature of a request is not by the key that it is for.
    #[error("the request is not signed with the key that it is for")]
    NotTheirs,
    /// A name that cannot stand in a certificate.
    #[error("`{0}` cannot stand in a certificate; use ASCII only")]
    Name(String),
    /// A time that cannot stand in a certificate.
    #[error("the clock says `{0}`, which cannot stand in a certificate; set it")]
    Time(Timestamp),
    /// No random bytes for a serial number.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The library refuses.
    #[error("the certificate cannot be issued: {0}")]
    Library(#[from] rcgen::Error),
}

/// Whom a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// A host, as the DNS writes it.
    Host(String),
    /// An address.
    Address(IpAddr),
    /// A URI, such as a SPIFFE id.
    Uri(String),
}

/// What a certificate is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Being reached.
    Server,
    /// Reaching.
    Client,
}

/// The number of a certificate: 16 random bytes, of which the first makes it positive and full length.
pub type Serial = [u8; 16];

/// A certificate that an authority is to issue.
#[derive(Clone, Debug)]
pub struct Order {
    /// For people who look at it.
    pub title: String,
    /// Whom it is for, at least one.
    pub names: Vec<Name>,
    /// What it is good for.
    pub purpose: Purpose,
    /// Until when; it begins five minutes before `now`.
    pub not_after: Timestamp,
}

/// A certificate that was issued.
#[derive(Clone, Debug)]
pub struct Issued {
    /// It, in DER.
    pub der: Vec<u8>,
    /// Its number.
    pub serial: Serial,
}

/// A certificate that was taken back.
#[derive(Clone, Copy, Debug)]
pub struct Revoked {
    /// Its number.
    pub serial: Serial,
    /// Since when.
    pub since: Timestamp,
}

/// An authority: its key and its certificate.
pub struct Issuer {
    inner: rcgen::Issuer<'static, Pair>,
    der: Vec<u8>,
}

impl Issuer {
    /// A new authority, valid for ten years, and its key.
    ///
    /// # Errors
    /// No key can be made, or `now` cannot stand in a certificate.
    pub fn create(now: Timestamp) -> Result<(Self, PrivateKey), X509Error> {
        let (key, pair) = PrivateKey::generate()?;
        Ok((Self::of(pair, now)?, key))
    }

    /// A new certificate for the authority with this key.
    ///
    /// # Errors
    /// `now` cannot stand in a certificate, or the key cannot sign.
    pub fn with_key(key: &PrivateKey, now: Timestamp) -> Result<Self, X509Error> {
        Self::of(key.pair()?, now)
    }

    fn of(pair: Pair, now: Timestamp) -> Result<Self, X509Error> {
        let params = authority(&pair, now)?;
        let der = params.self_signed(&pair)?.der().to_vec();
        Ok(Self { inner: rcgen::Issuer::new(params, pair), der })
    }

    /// The authority with this certificate, in PEM form, and key.
    ///
    /// # Errors
    /// One of them cannot be read, or they do not belong together.
    pub fn load(certificate: &[u8], key: &PrivateKey) -> Result<Self, X509Error> {
        let der = CertificateDer::from_pem_slice(certificate).map_err(|_| X509Error::NoCertificate)?;
        let pair = key.pair()?;
        let parsed = EndEntityCert::try_from(&der).map_err(|_| X509Error::NoCertificate)?;
        if parsed.subject_public_key_info().as_ref() != pair.subject_public_key_info() {
            return Err(X509Error::NotTogether);
        }
        // What a certificate says of its authority follows from the key alone.
        let params = authority(&pair, Timestamp::UNIX_EPOCH)?;
        Ok(Self { inner: rcgen::Issuer::new(params, pair), der: der.to_vec() })
    }

    /// Its certificate, in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its certificate, in PEM form.
    pub fn pem(&self) -> String {
        certificate_pem(&self.der)
    }

    /// Issues a certificate for somebody else's key.
    ///
    /// # Errors
    /// A name or a time cannot stand in it, or it cannot be signed.
    pub fn certify(&self, order: &Order, key: &RequestedKey, now: Timestamp) -> Result<Issued, X509Error> {
        self.sign(order, key, now)
    }

    /// Issues a certificate with a new key.
    ///
    /// # Errors
    /// A name or a time cannot stand in it, or it cannot be signed.
    pub fn certify_new(&self, order: &Order, now: Timestamp) -> Result<(Issued, PrivateKey), X509Error> {
        let (key, pair) = PrivateKey::generate()?;
        Ok((self.sign(order, &pair, now)?, key))
    }

    fn sign(&self, order: &Order, key: &impl PublicKeyData, now: Timestamp) -> Result<Issued, X509Error> {
        let mut serial: Serial = random::bytes()?;
        if let Some(first) = serial.first_mut() {
            *first = (*first & 0x7f) | 0x40;
        }
        let (mut params, y1970) = (CertificateParams::default(), date_time_ymd(1970, 1, 1));
        (params.not_before, params.not_after) =
            (y1970 + since_1970(now - BACKDATED)?, y1970 + since_1970(order.not_after)?);
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.subject_alt_names = order.names.iter().map(name).collect::<Result<_, _>>()?;
        params.distinguished_name = titled(&order.title);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match order.purpose {
            Purpose::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Purpose::Client => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        params.use_authority_key_identifier_extension = true;
        let der = params.signed_by(key, &self.inner)?.der().to_vec();
        Ok(Issued { der, serial })
    }

    /// The list of `revoked` certificates, in DER. `number` must grow from list to list.
    ///
    /// # Errors
    /// A time cannot stand in it, or it cannot be signed.
    pub fn revocations(&self, revoked: &[Revoked], number: u64, now: Timestamp) -> Result<Vec<u8>, X509Error> {
        let y1970 = date_time_ymd(1970, 1, 1);
        let entry = |revoked: &Revoked| -> Result<RevokedCertParams, X509Error> {
            Ok(RevokedCertParams {
                serial_number: SerialNumber::from_slice(&revoked.serial),
                revocation_time: y1970 + since_1970(revoked.since)?,
                reason_code: None,
                invalidity_date: None,
            })
        };
        let params = CertificateRevocationListParams {
            this_update: y1970 + since_1970(now - BACKDATED)?,
            next_update: y1970 + since_1970(now + LIST_LIFE)?,
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect::<Result<_, _>>()?,
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        Ok(params.signed_by(&self.inner)?.der().to_vec())
    }
}

/// What the certificate of the authority with this key says.
fn authority(pair: &Pair, now: Timestamp) -> Result<CertificateParams, X509Error> {
    let (mut params, y1970) = (CertificateParams::default(), date_time_ymd(1970, 1, 1));
    params.not_before = y1970 + since_1970(now)?;
    params.not_after = params.not_before + since_1970(Timestamp::UNIX_EPOCH + AUTHORITY_LIFE)?;
    let id: String = hex(&sha256(&pair.subject_public_key_info())).chars().take(16).collect();
    params.distinguished_name = titled(&format!("NanoClaw {id}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn titled(title: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, title);
    name
}

fn name(name: &Name) -> Result<SanType, X509Error> {
    let text = |text: &String| text.as_str().try_into().map_err(|_| X509Error::Name(text.clone()));
    Ok(match name {
        Name::Host(host) => SanType::DnsName(text(host)?),
        Name::Uri(uri) => SanType::URI(text(uri)?),
        Name::Address(address) => SanType::IpAddress(*address),
    })
}

/// How long after 1970 began `time` is, in whole seconds. The library's own type of times has no public name.
fn since_1970(time: Timestamp) -> Result<Duration, X509Error> {
    u64::try_from(time.as_second()).map(Duration::from_secs).map_err(|_| X509Error::Time(time))
}

/// `der` as PEM.
pub fn certificate_pem(der: &[u8]) -> String {
    key::pem("CERTIFICATE", der)
}

/// Asks for a certificate: the request in PEM form, and its key.
///
/// # Errors
/// No key can be made.
pub fn request() -> Result<(String, PrivateKey), X509Error> {
    let (key, pair) = PrivateKey::generate()?;
    Ok((requested(&pair)?, key))
}

/// Asks for another certificate for a key: the request in PEM form.
///
/// # Errors
/// The key cannot sign.
pub fn request_with(key: &PrivateKey) -> Result<String, X509Error> {
    requested(&key.pair()?)
}

fn requested(pair: &Pair) -> Result<String, X509Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(pair)?;
    Ok(key::pem("CERTIFICATE REQUEST", request.der()))
}

/// What a certificate says of itself. Who issued it was verified before, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    /// Its number.
    pub serial: Vec<u8>,
    /// The URIs that it is for.
    pub uris: Vec<String>,
    /// The hosts that it is for.
    pub hosts: Vec<String>,
}

/// Reads a certificate in DER. `None` if it is none.
pub fn presented(der: &[u8]) -> Option<Presented> {
    let der = CertificateDer::from(der);
    let certificate = EndEntityCert::try_from(&der).ok()?;
    let owned = |names: &mut dyn Iterator<Item = &str>| names.map(str::to_owned).collect();
    Some(Presented {
        serial: certificate.serial().to_vec(),
        uris: owned(&mut certificate.valid_uri_names()),
        hosts: owned(&mut certificate.valid_dns_names()),
    })
}

impl PublicKeyData for Pair {
    fn der_bytes(&self) -> &[u8] {
        self.0.der_bytes()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.0.algorithm()
    }
}

impl SigningKey for Pair {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.0.sign(message)
    }
}

#[cfg(test)]
mod tests;
