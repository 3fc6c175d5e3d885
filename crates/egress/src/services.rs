//! What the control plane itself serves to a cell, by names that mean something in that cell only.
//!
//! To the cell such a name is like any other: the stub DNS knows it, an ordinary connection reaches it, and so does one
//! through the proxy. But nothing goes outside. The connection is handed over to the control plane's own server, which
//! asks policy about each request and records it; so the door asks and records nothing for a handed-over connection,
//! and its server must never act on a request without. A rule that names the same host changes nothing: the name
//! is never looked up outside, and its other ports are refused.

use std::sync::Arc;

use nanoclaw_audit::AuditError;
use nanoclaw_request::{Action, Destination, DnsName, Host, Refusal, RefusalCode, Resolve, Stage, Via};
use tokio::net::TcpStream;

use crate::connection::Tunnel;
use crate::outside::Pending;
use crate::path::Parsed;
use crate::respond::TUNNEL_OPEN;
use crate::wire::write_all;

/// A place that a cell reaches through its network door and that is not outside.
#[derive(Clone)]
pub struct Service {
    /// Its name, in this cell.
    pub host: DnsName,
    /// Its TCP port.
    pub port: u16,
    /// Who answers there.
    pub server: Arc<dyn Serve>,
}

/// Answers connections that a door hands over.
pub trait Serve: Send + Sync {
    /// Serves one connection to its end. It counts against the door's connections as long as this runs, and is cut off
    /// [`DoorLimits::leave`](crate::DoorLimits::leave) after the cell has ended.
    ///
    /// # Errors
    /// A record cannot be written. The door closes then, and with it every connection of the cell.
    fn serve(&self, connection: HandedOver) -> Pending<'_, Result<(), AuditError>>;
}

/// A connection that a cell made to a service.
#[derive(Debug)]
pub struct HandedOver {
    /// The connection. Nothing was written to it but the answer to a `CONNECT`.
    pub stream: TcpStream,
    /// What the client has sent and the door has read already. It comes before what is still in `stream`.
    pub ahead: Vec<u8>,
    /// How it came. With [`Via::HttpAbsolute`] the client speaks to a proxy: its requests are in absolute form, the
    /// first of them is in `ahead`, and the next may be for somebody else. An HTTP server must then close the connection
    /// after one response (`Connection: close`), so that the client comes back to the door with the next.
    pub via: Via,
}

/// The services of one cell.
pub(crate) struct Services(Vec<Service>);

impl Services {
    pub(crate) fn new(services: Vec<Service>) -> Self {
        Self(services)
    }

    pub(crate) fn hosts(&self) -> impl Iterator<Item = &DnsName> {
        self.0.iter().map(|service| &service.host)
    }

    /// Whether something is served by this name.
    pub(crate) fn has(&self, name: &DnsName) -> bool {
        self.hosts().any(|host| host == name)
    }

    /// Who answers at `destination`.
    pub(crate) fn at(&self, destination: &Destination) -> Option<&Arc<dyn Serve>> {
        let Host::Name(name) = &destination.host else { return None };
        let here = |service: &&Service| service.host == *name && service.port == destination.port;
        self.0.iter().find(here).map(|service| &service.server)
    }

    /// What is asked for before a name is looked up outside. The name of a service never is.
    pub(crate) fn lookup(&self, resolve: Resolve) -> Parsed {
        let served = self.0.iter().filter(|service| service.host == resolve.name);
        let ports: Vec<String> = served.map(|service| service.port.to_string()).collect();
        if ports.is_empty() {
            return Ok(Action::Resolve(resolve));
        }
        let name = &resolve.name;
        let reason = match resolve.port {
            Some(port) => format!("nothing is served at {name}:{port}"),
            None => format!("{name} is not outside"),
        };
        let help = format!("{name} is NanoClaw itself, and serves on port {} only", ports.join(", "));
        let refusal = Refusal { stage: Stage::Authorise, code: RefusalCode::HostNotAllowed, reason, help };
        Err((Action::Resolve(resolve), refusal))
    }
}

impl Tunnel {
    /// Who serves the place that this is a connection to, where that is a service.
    pub(crate) fn server(&self) -> Option<Arc<dyn Serve>> {
        self.door.services.at(&self.destination).cloned()
    }

    /// Leaves the connection to its server.
    pub(crate) async fn hand_over(self, server: Arc<dyn Serve>) -> Result<(), AuditError> {
        let Self { wire, via, .. } = self;
        if via == Via::HttpConnect && write_all(&wire.stream, TUNNEL_OPEN).await.is_err() {
            return Ok(());
        }
        server.serve(HandedOver { stream: wire.stream, ahead: wire.ahead, via }).await
    }
}
