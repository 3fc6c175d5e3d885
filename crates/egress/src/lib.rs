//! The network door: everything that a cell sends to the outside goes through here.
//!
//! A cell's network namespace has only `lo`, and the kernel redirects every TCP connection and every DNS query in
//! it to sockets that live there but that this door holds. So there is nothing to go around. What comes in walks
//! one way (`path`): it is identified by the socket it came in on, read by a strict parser ([`inspect`]),
//! authorised, recorded, and only then acted on (`act`), each act spending one warrant.
//!
//! - `stub` answers DNS with synthetic addresses for allowed names and NXDOMAIN for all others;
//! - `connection` takes redirected TCP connections and the inside of `CONNECT` tunnels;
//! - `http` takes plain HTTP, request by request, there and at the proxy port;
//! - `leaving` looks for what may not leave in names and in HTTP, where the configuration says so;
//! - [`services`](Service) are places that the control plane itself serves, behind this door;
//! - `standing` asks again about what is open, whenever policies or the session's labels change;
//! - `respond` is the one place that turns refusals and failures into bytes.
//!
//! A failure to record closes the door: [`Door::serve`] ends, and with it every connection.
#![forbid(unsafe_code)]

mod accept;
mod act;
mod connection;
mod http;
pub mod inspect;
mod leaving;
mod limits;
mod names;
mod outside;
mod path;
mod relay;
mod respond;
mod services;
mod sniff;
mod standing;
mod stub;
mod traffic;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, PoisonError};

use nanoclaw_audit::AuditError;
use nanoclaw_gate::Gate;
use nanoclaw_identity::CellSockets;
use nanoclaw_request::{Destination, Host};
use tokio::sync::{Semaphore, watch};

pub use limits::DoorLimits;
pub use outside::{Dialer, Outside, Pending, Resolver, SystemDialer, SystemResolver};
pub use services::{HandedOver, Serve, Service};
pub use traffic::Usage;

use leaving::Leaving;
use names::SyntheticNames;
use path::Path;
use services::Services;
use traffic::Meter;

/// Finds where a redirected connection was going before the redirect: `SO_ORIGINAL_DST` and `IP6T_SO_ORIGINAL_DST`
/// (both 80), which take `unsafe` and so live elsewhere.
pub type OriginalDestination = fn(BorrowedFd<'_>) -> io::Result<SocketAddr>;

/// The sockets of one cell, made in its network namespace. All of them are non-blocking.
#[derive(Debug)]
pub struct DoorSockets {
    /// Every TCP connection of the cell is redirected to one of these.
    pub tcp: Vec<std::net::TcpListener>,
    /// The explicit HTTP proxy.
    pub proxy: Vec<std::net::TcpListener>,
    /// Every UDP datagram to port 53 is redirected to one of these.
    pub dns: Vec<std::net::UdpSocket>,
    /// Where a connection on `tcp` was going.
    pub original_destination: OriginalDestination,
}

/// Why a door is closed.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// A socket of the door cannot be used.
    #[error("a socket of the network door failed: {0}")]
    Socket(#[from] io::Error),
    /// Nothing is allowed without a record.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

/// The network door of one cell. Clones are the same door.
#[derive(Clone)]
pub struct Door {
    inner: Arc<Inner>,
}

/// What all connections of a door share.
struct Inner {
    path: Path,
    outside: Outside,
    services: Services,
    limits: DoorLimits,
    names: Mutex<SyntheticNames>,
    meter: Arc<Meter>,
    /// One permit for each connection.
    connections: Arc<Semaphore>,
    /// One permit for each bulk transfer that may hold pipes.
    pipes: Arc<Semaphore>,
    /// Whether the cell has ended.
    gone: watch::Sender<bool>,
}

impl Door {
    /// A door for the cell that `cell` identifies, at `gate`, reaching out through `outside`.
    pub fn new(cell: CellSockets, gate: Gate, outside: Outside, limits: DoorLimits) -> Self {
        Self::with_services(cell, gate, outside, limits, Vec::new())
    }

    /// The same, with places that the control plane itself serves to this cell.
    pub fn with_services(
        cell: CellSockets,
        gate: Gate,
        outside: Outside,
        limits: DoorLimits,
        services: Vec<Service>,
    ) -> Self {
        let meter = Arc::new(Meter::default());
        let services = Services::new(services);
        let inner = Inner {
            path: Path::new(cell, gate, Arc::clone(&meter)),
            outside,
            names: Mutex::new(SyntheticNames::new(services.hosts(), limits.names)),
            services,
            meter,
            connections: Arc::new(Semaphore::new(limits.connections)),
            pipes: Arc::new(Semaphore::new(limits.pipes)),
            gone: watch::Sender::new(false),
            limits,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Serves the cell until `gone` says that its last process has ended. What waits at the door by then is still
    /// decided on and recorded, and what the cell has sent is passed on, for [`DoorLimits::leave`] at most.
    ///
    /// # Errors
    /// A socket cannot be used, or a record cannot be written. The door is closed then.
    pub async fn serve(self, sockets: DoorSockets, gone: impl Future<Output = ()> + Send) -> Result<(), DoorError> {
        accept::serve(self.inner, sockets, gone).await
    }

    /// What has gone through so far.
    pub fn usage(&self) -> Usage {
        self.inner.meter.usage()
    }
}

impl Inner {
    /// What looks at what leaves, where the configuration in force asks for that.
    fn leaving(&self) -> Option<Leaving> {
        Leaving::of(self.path.gate.engine())
    }

    /// Ends when the cell has ended.
    async fn gone(&self) {
        // The sender is part of `self`, so it is never gone itself.
        let _ = self.gone.subscribe().wait_for(|gone| *gone).await;
    }

    /// What a connection to `address` is meant for: the name, where the address is one that the stub DNS made up.
    fn intended(&self, address: SocketAddr) -> Destination {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let host = names.name_of(address.ip()).cloned().map_or_else(|| Host::ip(address.ip()), Host::Name);
        Destination { host, port: address.port() }
    }
}
