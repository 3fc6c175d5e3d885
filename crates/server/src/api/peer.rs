//! Who is at the other end of a connection, as far as the connection itself says: the kernel on the unix socket, the
//! client's certificate over TLS. What each request adds to that is [`super::caller`]'s.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use nanoclaw_identity::ca::peer_name;

use super::places::Place;

/// How somebody reached the API.
pub(super) enum Way {
    /// The unix socket; the kernel says who it is.
    Local {
        /// The uid.
        uid: u32,
    },
    /// TLS.
    Remote {
        /// From where.
        source: IpAddr,
        /// The client's certificate in DER, which the handshake has verified.
        certificate: Option<Arc<[u8]>>,
    },
}

/// One connection.
pub(super) struct Peer {
    /// Which one.
    pub(super) number: u64,
    /// How it came about.
    pub(super) way: Way,
    /// There when somebody on it has shown who they are: the place of the connection among those that may last.
    pub(super) place: OnceLock<Place>,
}

impl Peer {
    pub(super) fn new(number: u64, way: Way) -> Self {
        Self { number, way, place: OnceLock::new() }
    }

    /// From where, if that is not this machine.
    pub(super) fn source(&self) -> Option<IpAddr> {
        match &self.way {
            Way::Local { .. } => None,
            Way::Remote { source, .. } => Some(*source),
        }
    }

    /// Whom its certificate names; `None` on this machine. Only for connections on which somebody is known.
    pub(super) fn person(&self) -> Option<String> {
        self.certificate().map(|der| peer_name(der).map(|name| name.as_str().to_owned()).unwrap_or_default())
    }

    /// The certificate that it showed.
    pub(super) fn certificate(&self) -> Option<&Arc<[u8]>> {
        match &self.way {
            Way::Local { .. } => None,
            Way::Remote { certificate, .. } => certificate.as_ref(),
        }
    }
}
