//! What is outside: names and addresses. Behind traits, so that tests can be their own Internet.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::Arc;

use nanoclaw_request::DnsName;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// A future behind a trait object.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Looks names up. Asked only for names that a rule allows, once for each connection.
pub trait Resolver: Send + Sync {
    /// The addresses of `name`, best first.
    fn resolve<'a>(&'a self, name: &'a DnsName) -> Pending<'a, io::Result<Vec<IpAddr>>>;
}

/// Opens connections. Asked only for addresses that were authorised and recorded.
pub trait Dialer: Send + Sync {
    /// A connection to exactly this address.
    fn dial(&self, address: SocketAddr) -> Pending<'_, io::Result<TcpStream>>;
}

/// The way out.
#[derive(Clone)]
pub struct Outside {
    /// For names.
    pub resolver: Arc<dyn Resolver>,
    /// For addresses.
    pub dialer: Arc<dyn Dialer>,
}

impl Outside {
    /// The host's own resolver and network.
    pub fn system() -> Self {
        Self { resolver: Arc::new(SystemResolver::default()), dialer: Arc::new(SystemDialer) }
    }
}

/// The host's resolver, as its `/etc/nsswitch.conf` says (getaddrinfo(3)).
#[derive(Debug)]
pub struct SystemResolver {
    /// getaddrinfo(3) blocks a thread and cannot be cancelled, so lookups at once are bounded.
    slots: Arc<Semaphore>,
}

impl Default for SystemResolver {
    /// At most 16 lookups at once.
    fn default() -> Self {
        Self { slots: Arc::new(Semaphore::new(16)) }
    }
}

impl Resolver for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a DnsName) -> Pending<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(io::Error::other)?;
            let name = name.as_str().to_owned();
            let lookup = move || {
                let addresses = (name, 0).to_socket_addrs().map(|found| found.map(|a| a.ip()).collect());
                drop(slot);
                addresses
            };
            tokio::task::spawn_blocking(lookup).await.map_err(io::Error::other)?
        })
    }
}

/// The host's network.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDialer;

impl Dialer for SystemDialer {
    fn dial(&self, address: SocketAddr) -> Pending<'_, io::Result<TcpStream>> {
        Box::pin(TcpStream::connect(address))
    }
}
