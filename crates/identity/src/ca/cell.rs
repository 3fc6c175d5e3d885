//! The identity of a cell: a SPIFFE id, and a certificate for an hour that is replaced in time and revoked at the end.

use jiff::{SignedDuration, Timestamp};
use nanoclaw_request::CellId;
use nanoclaw_vault::x509::{Name, Order, PrivateKey, Purpose, certificate_pem};

use super::{Authority, Ended, Serial, renew_at};
use crate::store::StoreError;

/// How long a certificate of a cell is valid.
const CELL_LIFE: SignedDuration = SignedDuration::from_hours(1);

/// A cell's certificate and key: an X.509-SVID.
#[derive(Clone, Debug)]
pub struct Svid {
    /// The certificate in PEM form. The authority stands directly above it.
    pub chain_pem: String,
    /// Its key.
    pub key: PrivateKey,
    /// Who: `spiffe://nanoclaw/agent/ID`.
    pub spiffe_id: String,
    /// Its number.
    pub serial: Serial,
    /// Since when.
    pub issued: Timestamp,
    /// Until when it is valid.
    pub not_after: Timestamp,
}

impl Authority {
    /// Issues a certificate for a cell, valid for an hour.
    ///
    /// # Errors
    /// It cannot be issued.
    pub fn cell(&self, id: &CellId, now: Timestamp) -> Result<Svid, StoreError> {
        let spiffe_id = format!("spiffe://nanoclaw/agent/{id}");
        let names = vec![Name::Uri(spiffe_id.clone())];
        let not_after = now + CELL_LIFE;
        let order = Order { title: id.to_string(), names, purpose: Purpose::Client, not_after };
        let (issued, key) = self.0.issuer.certify_new(&order, now)?;
        let (chain_pem, serial) = (certificate_pem(&issued.der), Serial::of(&issued.serial));
        Ok(Svid { chain_pem, key, spiffe_id, serial, issued: now, not_after })
    }
}

/// The certificates of one run of a cell.
pub struct Rotation {
    authority: Authority,
    cell: CellId,
    current: Svid,
    /// Earlier ones whose time may not be over.
    earlier: Vec<(Serial, Timestamp)>,
}

impl Rotation {
    /// Issues the first.
    ///
    /// # Errors
    /// It cannot be issued.
    pub fn start(authority: Authority, cell: CellId, now: Timestamp) -> Result<Self, StoreError> {
        let current = authority.cell(&cell, now)?;
        Ok(Self { authority, cell, current, earlier: Vec::new() })
    }

    /// The newest.
    pub fn svid(&self) -> &Svid {
        &self.current
    }

    /// When [`Rotation::renew`] issues another: two thirds into the newest one's life.
    pub fn renew_at(&self) -> Timestamp {
        renew_at(self.current.issued, self.current.not_after)
    }

    /// Issues another if it is time. Says whether it has. The one before is valid until its own end.
    ///
    /// # Errors
    /// It cannot be issued.
    pub fn renew(&mut self, now: Timestamp) -> Result<bool, StoreError> {
        if now < self.renew_at() {
            return Ok(false);
        }
        let next = self.authority.cell(&self.cell, now)?;
        let before = std::mem::replace(&mut self.current, next);
        self.earlier.retain(|(_, not_after)| now < *not_after);
        self.earlier.push((before.serial, before.not_after));
        Ok(true)
    }

    /// Revokes all of them: the cell has ended.
    ///
    /// # Errors
    /// It cannot be kept; they are valid until their own end, which is within an hour.
    pub fn stop(self, now: Timestamp) -> Result<(), StoreError> {
        let current = (self.current.serial, self.current.not_after);
        let all: Vec<_> = self.earlier.into_iter().chain([current]).filter(|(_, not_after)| now < *not_after).collect();
        self.authority.relist(now, |table| {
            let ended = all.into_iter().map(|(serial, not_after)| (serial, Ended { revoked: now, not_after }));
            table.cells.extend(ended);
            Ok(())
        })
    }
}
