//! One TCP connection of a cell, redirected or through a `CONNECT` tunnel: find out where it is meant to go and what
//! it says, ask, and then carry it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use nanoclaw_audit::AuditError;
use nanoclaw_policy::Inspection;
use nanoclaw_request::{Destination, Host, Via};
use tokio::net::TcpStream;

use crate::Inner;
use crate::act::{FirstWords, Found, Opening, Upstream};
use crate::http::{self, Role};
use crate::path::{Stop, cause, unreachable};
use crate::relay::{Relayed, relay};
use crate::respond::{self, Speech, TUNNEL_OPEN};
use crate::sniff::{First, first_bytes};
use crate::wire::{Wire, write_all};

/// A connection on its way, before anything was sent to the outside.
pub(crate) struct Tunnel {
    pub(crate) door: Arc<Inner>,
    pub(crate) wire: Wire,
    pub(crate) destination: Destination,
    pub(crate) via: Via,
}

/// Serves a redirected connection that was going to `original`.
pub(crate) async fn transparent(door: Arc<Inner>, stream: TcpStream, original: SocketAddr) -> Result<(), AuditError> {
    let destination = door.intended(original);
    let mut tunnel = Tunnel { door, wire: Wire::new(stream), destination, via: Via::Transparent };
    if let Some(server) = tunnel.server() {
        return tunnel.hand_over(server).await;
    }
    match tunnel.door.find(&tunnel.destination, &tunnel.wire.stream).await {
        Ok(found) => tunnel.carry(found).await,
        Err(stop) => {
            let limits = tunnel.door.limits;
            let first = first_bytes(&mut tunnel.wire, limits.refusal_bytes).await.ok().flatten();
            respond::end(tunnel.wire, Speech::of(first.as_ref()), stop, limits.farewell).await
        }
    }
}

/// Serves a connection to the proxy port, which listens at `own_address`.
pub(crate) async fn proxied(door: Arc<Inner>, stream: TcpStream, own_address: SocketAddr) -> Result<(), AuditError> {
    let listener = Destination { host: Host::ip(own_address.ip()), port: own_address.port() };
    match http::serve(door, Wire::new(stream), Role::Proxy { listener }).await? {
        Some(tunnel) => match tunnel.server() {
            Some(server) => tunnel.hand_over(server).await,
            None => connect(tunnel).await,
        },
        None => Ok(()),
    }
}

/// Serves a `CONNECT` request. What can be refused without knowing what the client will say is refused before the
/// tunnel opens; the rest is told inside it.
async fn connect(tunnel: Tunnel) -> Result<(), AuditError> {
    let http = Speech::Http { bodiless: false };
    let farewell = tunnel.door.limits.farewell;
    let found = match tunnel.door.find(&tunnel.destination, &tunnel.wire.stream).await {
        Ok(found) => found,
        Err(stop) => return respond::end(tunnel.wire, http, stop, farewell).await,
    };
    if tunnel.inspection(&found.addresses) == Inspection::Required {
        if write_all(&tunnel.wire.stream, TUNNEL_OPEN).await.is_err() {
            return Ok(());
        }
        return tunnel.carry(found).await;
    }
    match tunnel.open(found, First::Silent).await {
        Ok(upstream) if write_all(&tunnel.wire.stream, TUNNEL_OPEN).await.is_ok() => tunnel.relay(upstream).await,
        Ok(upstream) => tunnel.door.closed(upstream, None).await,
        Err(stop) => respond::end(tunnel.wire, http, stop, farewell).await,
    }
}

impl Tunnel {
    fn inspection(&self, addresses: &[IpAddr]) -> Inspection {
        self.door.path.gate.engine().inspection(&self.destination, addresses)
    }

    async fn open(&self, found: Found, first: First) -> Result<Upstream, Stop> {
        let (destination, via) = (self.destination.clone(), self.via);
        let opening = Opening { destination, via, found, first: FirstWords::Bytes(first) };
        self.door.open(opening, &self.wire.stream).await
    }

    /// Reads what the client says, as far as it matters, and opens the way accordingly.
    async fn carry(mut self, found: Found) -> Result<(), AuditError> {
        let limits = self.door.limits;
        let inspection = self.inspection(&found.addresses);
        let limit = match inspection {
            Inspection::Unneeded => None,
            Inspection::Required => Some(limits.first_bytes),
            Inspection::Pointless => Some(limits.refusal_bytes),
        };
        let first = match limit {
            None => First::Silent,
            Some(limit) => match first_bytes(&mut self.wire, limit).await {
                Ok(Some(first)) => first,
                // To connect at all was the attempt, and is on record as one.
                Ok(None) | Err(_) if inspection == Inspection::Pointless => First::Silent,
                Ok(None) | Err(_) => return Ok(()),
            },
        };
        if first == First::Http {
            let role = Role::Fixed { destination: self.destination, via: self.via, found: Some(found) };
            // Such a session refuses CONNECT itself, so no tunnel in a tunnel comes out of it.
            return http::serve(self.door, self.wire, role).await.map(|_| ());
        }
        let speech = Speech::of(Some(&first));
        match self.open(found, first).await {
            Ok(upstream) => self.relay(upstream).await,
            Err(stop) => respond::end(self.wire, speech, stop, limits.farewell).await,
        }
    }

    async fn relay(mut self, mut upstream: Upstream) -> Result<(), AuditError> {
        let door = &self.door;
        let Upstream { wire, traffic, standing, .. } = &mut upstream;
        let error = match relay(door, &mut self.wire, wire, traffic, standing).await {
            Relayed::Whole | Relayed::ByCell => None,
            Relayed::Lost(why) => Some(why),
            Relayed::ByOutside(error) => {
                Some(unreachable(format!("{} broke the connection: {}", upstream.destination, cause(&error))))
            }
            Relayed::Idle => {
                Some(unreachable(format!("nothing was sent to or from {} for too long", upstream.destination)))
            }
        };
        door.closed(upstream, error).await
    }
}
