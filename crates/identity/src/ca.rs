//! The control plane's own authority: it vouches for the server of the API, for operators and for cells.
//!
//! Certificates of operators are known by number: one that is not on the authority's own list is nobody's, whatever its
//! signature says. The list of revoked certificates (RFC 5280, section 5) is for handshakes; requests on connections that
//! are open already are checked against the same file by [`Authority::operator`].

mod cell;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
pub use nanoclaw_vault::tls::{ClientConfig, ServerConfig, TlsError};
use nanoclaw_vault::tls::{Clients, Own, pinned_client_config, server_config};
use nanoclaw_vault::x509::{
    Issuer, Name, Order, Purpose, RequestedKey, Revoked, certificate_pem, presented, request, request_with,
};
pub use nanoclaw_vault::x509::{PrivateKey, X509Error};
use nanoclaw_vault::{digest, private};
use serde::{Deserialize, Serialize};

pub use self::cell::{Rotation, Svid};
use crate::OperatorName;
use crate::store::{Store, StoreError};

/// How long a certificate of an operator is valid.
const OPERATOR_LIFE: SignedDuration = SignedDuration::from_hours(24 * 90);
/// How long a certificate of the server is valid; another one is made when two thirds are over.
const SERVER_LIFE: SignedDuration = SignedDuration::from_hours(24 * 30);
/// Longest file of a key or a certificate, in bytes.
const MAX_PEM_BYTES: usize = 16 * 1024;
/// Most certificates that are issued in the place of one: an answer can get lost on its way.
const MAX_SUCCESSORS: usize = 3;
/// Most certificates of operators at a time.
const MAX_CERTIFICATES: usize = 10_000;

/// What the SPIFFE id of an operator begins with.
const OPERATOR_ID: &str = "spiffe://nanoclaw/operator/";

/// The number of a certificate; as text 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Serial(String);

impl Serial {
    /// Reads the text form. `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        fits.then(|| Self(text.to_owned()))
    }

    fn of(bytes: &[u8]) -> Self {
        Self(digest::hex(bytes))
    }

    fn bytes(&self) -> [u8; 16] {
        // It is made of 32 hexadecimal digits only.
        u128::from_str_radix(&self.0, 16).unwrap_or_default().to_be_bytes()
    }
}

impl TryFrom<String> for Serial {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("`{text}` is no number of a certificate"))
    }
}

impl From<Serial> for String {
    fn from(serial: Serial) -> Self {
        serial.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A certificate of an operator, as it is handed out.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// It, in PEM form.
    pub pem: String,
    /// Its number.
    pub serial: Serial,
    /// Until when it is valid.
    pub not_after: Timestamp,
}

/// What is known of an operator's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// Its number.
    pub serial: Serial,
    /// Whose it is.
    pub operator: OperatorName,
    /// Since when.
    pub issued: Timestamp,
    /// Until when it is valid.
    pub not_after: Timestamp,
    /// Since when it is revoked.
    pub revoked: Option<Timestamp>,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// Those of operators, revoked or not, until their time is over.
    operators: BTreeMap<Serial, Entry>,
    /// Those of cells that have ended, until their time is over.
    cells: BTreeMap<Serial, Ended>,
    /// Of the newest list of revoked certificates.
    list: u64,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    operator: OperatorName,
    issued: Timestamp,
    not_after: Timestamp,
    revoked: Option<Timestamp>,
    /// The one in whose place it was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<Serial>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ended {
    revoked: Timestamp,
    not_after: Timestamp,
}

impl Table {
    fn forget(&mut self, now: Timestamp) {
        self.operators.retain(|_, entry| now < entry.not_after);
        self.cells.retain(|_, ended| now < ended.not_after);
    }

    /// The certificate with this number, and those that were issued in its place, and in theirs.
    fn behind(&self, serial: &Serial) -> BTreeSet<Serial> {
        let mut chain = BTreeSet::from([serial.clone()]);
        loop {
            let next: Vec<Serial> = self
                .operators
                .iter()
                .filter(|(found, entry)| {
                    !chain.contains(*found) && entry.before.as_ref().is_some_and(|before| chain.contains(before))
                })
                .map(|(found, _)| found.clone())
                .collect();
            if next.is_empty() {
                return chain;
            }
            chain.extend(next);
        }
    }

    fn revoked(&self) -> Vec<Revoked> {
        let operators = self.operators.iter().filter_map(|(serial, entry)| Some((serial, entry.revoked?)));
        let cells = self.cells.iter().map(|(serial, ended)| (serial, ended.revoked));
        operators.chain(cells).map(|(serial, since)| Revoked { serial: serial.bytes(), since }).collect()
    }
}

/// The authority. Clones are the same one.
#[derive(Clone)]
pub struct Authority(Arc<Inner>);

struct Inner {
    issuer: Issuer,
    pem: String,
    store: Store<Table>,
    clients: Arc<Clients>,
    /// The newest list of revoked certificates, in DER.
    list: Mutex<Vec<u8>>,
}

impl Authority {
    /// Opens the authority in `directory`, or makes one there: `ca.key`, which nobody else may read, `ca.pem` and
    /// `certificates.json`. This process must be the only one that changes them.
    ///
    /// # Errors
    /// Something cannot be read or made, others have access to it, or key and certificate do not belong together.
    pub fn open(directory: &Path, now: Timestamp) -> Result<Self, StoreError> {
        private::directory(directory)?;
        let issuer = issuer(&directory.join("ca.key"), &directory.join("ca.pem"), now)?;
        let store = Store::<Table>::open(&directory.join("certificates.json"))?;
        let list = newest_list(&issuer, &store, now, |_| Ok(()))?.1;
        let clients = Arc::new(Clients::new(issuer.der(), list.clone())?);
        let pem = issuer.pem();
        Ok(Self(Arc::new(Inner { issuer, pem, store, clients, list: Mutex::new(list) })))
    }

    /// Its certificate, in PEM form: what clients have to believe.
    pub fn certificate_pem(&self) -> &str {
        &self.0.pem
    }

    /// SHA-256 of its certificate (DER) in hexadecimal digits, for people to compare.
    pub fn fingerprint(&self) -> String {
        digest::hex(&digest::sha256(self.0.issuer.der()))
    }

    /// The newest list of revoked certificates, in DER.
    pub fn crl_der(&self) -> Vec<u8> {
        self.0.list.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How the API takes connections: as one of `names`, hosts or addresses, of which there is at least one; from
    /// clients whose certificate this authority has issued and not revoked, or without a certificate. It sees what is
    /// revoked later, and renews the server's certificate by itself.
    ///
    /// # Errors
    /// A name cannot stand in a certificate, or TLS cannot be set up.
    pub fn server_tls(&self, names: &[String], now: Timestamp) -> Result<ServerConfig, StoreError> {
        let name = |name: &String| name.parse::<IpAddr>().map_or_else(|_| Name::Host(name.clone()), Name::Address);
        let names: Vec<Name> = names.iter().map(name).collect();
        let inner = Arc::clone(&self.0);
        let issue = move |now: Timestamp| {
            let not_after = now + SERVER_LIFE;
            let title = "NanoClaw control plane".to_owned();
            let order = Order { title, names: names.clone(), purpose: Purpose::Server, not_after };
            let (issued, key) = inner.issuer.certify_new(&order, now)?;
            Ok(Own { certificate: issued.der, key, renew_at: renew_at(now, not_after) })
        };
        Ok(server_config(Arc::clone(&self.0.clients), issue, now)?)
    }

    /// Issues a certificate for the key that `request` (PKCS #10, PEM) shows to be the caller's. What else it asks for
    /// does not count.
    ///
    /// # Errors
    /// The request cannot be read or is not signed with the key that it is for, or the certificate is not kept.
    pub fn operator_from_request(
        &self,
        name: &OperatorName,
        request: &str,
        now: Timestamp,
    ) -> Result<Certificate, StoreError> {
        let key = RequestedKey::from_pem(request)?;
        let order = operator_order(name, now);
        let issued = self.0.issuer.certify(&order, &key, now)?;
        self.keep(name, &issued, order.not_after, None, now)
    }

    /// Issues the next certificate of an operator, in the place of the one with the number `before`: for the key that
    /// `request` shows to be the caller's, once two thirds of the life of the one before are over. That one is valid until
    /// its own end. `None` if it is not time yet, or nothing more is to be had for that one.
    ///
    /// # Errors
    /// As of [`Authority::operator_from_request`].
    pub fn renew_operator(
        &self,
        before: &Issued,
        request: &str,
        now: Timestamp,
    ) -> Result<Option<Certificate>, StoreError> {
        let key = RequestedKey::from_pem(request)?;
        let successors = |table: &Table| {
            table.operators.values().filter(|entry| entry.before.as_ref() == Some(&before.serial)).count()
        };
        if now < renew_at(before.issued, before.not_after) || self.0.store.read(successors) >= MAX_SUCCESSORS {
            return Ok(None);
        }
        let order = operator_order(&before.operator, now);
        let issued = self.0.issuer.certify(&order, &key, now)?;
        self.keep(&before.operator, &issued, order.not_after, Some(before.serial.clone()), now).map(Some)
    }

    /// Whether a request could be answered with a certificate.
    pub(crate) fn check_request(request: &str) -> Result<(), StoreError> {
        RequestedKey::from_pem(request)?;
        Ok(())
    }

    /// Issues a certificate with a new key, for an operator who cannot make one.
    ///
    /// # Errors
    /// The certificate cannot be issued or is not kept.
    pub fn operator_with_key(
        &self,
        name: &OperatorName,
        now: Timestamp,
    ) -> Result<(Certificate, PrivateKey), StoreError> {
        let order = operator_order(name, now);
        let (issued, key) = self.0.issuer.certify_new(&order, now)?;
        Ok((self.keep(name, &issued, order.not_after, None, now)?, key))
    }

    fn keep(
        &self,
        name: &OperatorName,
        issued: &nanoclaw_vault::x509::Issued,
        not_after: Timestamp,
        before: Option<Serial>,
        now: Timestamp,
    ) -> Result<Certificate, StoreError> {
        let serial = Serial::of(&issued.serial);
        let entry = Entry { operator: name.clone(), issued: now, not_after, revoked: None, before };
        self.0.store.change(|table| {
            table.forget(now);
            if table.operators.len() >= MAX_CERTIFICATES {
                return Err(StoreError::Full(MAX_CERTIFICATES, "certificates of operators"));
            }
            table.operators.insert(serial.clone(), entry);
            Ok(())
        })?;
        Ok(Certificate { pem: certificate_pem(&issued.der), serial, not_after })
    }

    /// Whose the certificate `der` is, which a handshake has verified: `None` if it is not an operator's, or is revoked
    /// or over by now. To be asked at each request, since a connection may be older than the answer.
    pub fn operator(&self, der: &[u8], now: Timestamp) -> Option<Issued> {
        let named = peer_name(der)?;
        let serial = Serial::of(&presented(der)?.serial);
        let entry = self.0.store.read(|table| table.operators.get(&serial).cloned())?;
        let valid = entry.operator == named && entry.revoked.is_none() && now < entry.not_after;
        valid.then(|| entry.issued(serial))
    }

    /// The certificates of operators whose time is not over, revoked ones too.
    pub fn certificates(&self, now: Timestamp) -> Vec<Issued> {
        let known = |table: &Table| -> Vec<Issued> {
            table.operators.iter().map(|(serial, entry)| entry.clone().issued(serial.clone())).collect()
        };
        self.0.store.read(known).into_iter().filter(|issued| now < issued.not_after).collect()
    }

    /// Revokes an operator's certificate, and those that were issued in its place, at once and for good: whoever has the
    /// key of the one may have got the others with it. Says whether there was one that was not.
    ///
    /// # Errors
    /// It cannot be kept.
    pub fn revoke(&self, serial: &Serial, now: Timestamp) -> Result<bool, StoreError> {
        let chain = self.0.store.read(|table| table.behind(serial));
        Ok(self.revoke_where(now, |found, _| chain.contains(found))? > 0)
    }

    /// Revokes all certificates of an operator. Says how many there were that were not.
    ///
    /// # Errors
    /// It cannot be kept.
    pub fn revoke_all_of(&self, name: &OperatorName, now: Timestamp) -> Result<usize, StoreError> {
        self.revoke_where(now, |_, entry| entry.operator == *name)
    }

    fn revoke_where(&self, now: Timestamp, gone: impl Fn(&Serial, &Entry) -> bool) -> Result<usize, StoreError> {
        self.relist(now, |table| {
            let mut count = 0;
            for (serial, entry) in &mut table.operators {
                if entry.revoked.is_none() && gone(serial, entry) {
                    entry.revoked = Some(now);
                    count += 1;
                }
            }
            Ok(count)
        })
    }

    /// Changes what is revoked, and tells everybody.
    fn relist<R>(
        &self,
        now: Timestamp,
        change: impl FnOnce(&mut Table) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        // Held to the end, so that an older list never takes the place of a newer one.
        let mut list = self.0.list.lock().unwrap_or_else(PoisonError::into_inner);
        let (result, newest) = newest_list(&self.0.issuer, &self.0.store, now, change)?;
        self.0.clients.revoke(newest.clone())?;
        *list = newest;
        Ok(result)
    }
}

impl Entry {
    fn issued(self, serial: Serial) -> Issued {
        let Self { operator, issued, not_after, revoked, before: _ } = self;
        Issued { serial, operator, issued, not_after, revoked }
    }
}

fn newest_list<R>(
    issuer: &Issuer,
    store: &Store<Table>,
    now: Timestamp,
    change: impl FnOnce(&mut Table) -> Result<R, StoreError>,
) -> Result<(R, Vec<u8>), StoreError> {
    let (result, revoked, number) = store.change(|table| {
        table.forget(now);
        let result = change(table)?;
        table.list += 1;
        Ok::<_, StoreError>((result, table.revoked(), table.list))
    })?;
    Ok((result, issuer.revocations(&revoked, number, now)?))
}

/// The authority with the key and the certificate in these files; where there is none, a new one. A certificate that is
/// missing is made again from the key, so that a crash between the two does no harm.
fn issuer(key: &Path, certificate: &Path, now: Timestamp) -> Result<Issuer, StoreError> {
    private::tidy(key)?;
    private::tidy(certificate)?;
    let issuer = match private::read(key, MAX_PEM_BYTES)? {
        Some(pem) => {
            let key = PrivateKey::from_pem(&pem)?;
            match private::read(certificate, MAX_PEM_BYTES)? {
                Some(pem) => return Ok(Issuer::load(&pem, &key)?),
                None => Issuer::with_key(&key, now)?,
            }
        }
        None => {
            let (issuer, new) = Issuer::create(now)?;
            private::create(key, new.dangerously_expose_pem().as_bytes())?;
            issuer
        }
    };
    private::create(certificate, issuer.pem().as_bytes())?;
    Ok(issuer)
}

fn operator_order(name: &OperatorName, now: Timestamp) -> Order {
    let names = vec![Name::Uri(format!("{OPERATOR_ID}{name}"))];
    Order { title: name.to_string(), names, purpose: Purpose::Client, not_after: now + OPERATOR_LIFE }
}

/// When two thirds of a certificate's life are over.
fn renew_at(from: Timestamp, not_after: Timestamp) -> Timestamp {
    from + not_after.duration_since(from) / 3 * 2
}

/// The operator whom the certificate `der` names: in its only URI, and no host besides. Who issued it was verified
/// before, or not at all.
pub fn peer_name(der: &[u8]) -> Option<OperatorName> {
    let presented = presented(der)?;
    match presented.uris.as_slice() {
        [uri] if presented.hosts.is_empty() => OperatorName::parse(uri.strip_prefix(OPERATOR_ID)?),
        _ => None,
    }
}

/// Asks for another certificate for the same key, on the side of an operator: the request in PEM form.
///
/// # Errors
/// The key cannot sign.
pub fn next_request(key: &PrivateKey) -> Result<String, X509Error> {
    request_with(key)
}

/// Asks for a certificate, on the side of an operator: the request in PEM form, and its key.
///
/// # Errors
/// No key can be made.
pub fn new_request() -> Result<(String, PrivateKey), X509Error> {
    request()
}

/// How an operator's program reaches the API: believing the authority `ca` and no other, showing `own` certificate where
/// there is one.
///
/// # Errors
/// Something cannot be read, or TLS cannot be set up.
pub fn client_tls(ca: &str, own: Option<(&str, &PrivateKey)>) -> Result<ClientConfig, TlsError> {
    pinned_client_config(ca, own)
}

#[cfg(test)]
pub(crate) mod tests;
