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

/// The host's resolver, as its `/etc/nsswitch.conf` says (getaddrinfo(3)), but asked for exactly the name.
///
/// A name without a dot at its end is relative: the resolver may put the host's search domains behind it, and then
/// another name than the one that was allowed leaves the machine and is connected to. A name with one is not looked
/// for in `/etc/hosts`, so that file is read first.
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
                let listed =
                    std::fs::read_to_string("/etc/hosts").map(|text| in_hosts(&text, &name)).unwrap_or_default();
                let found = if listed.is_empty() {
                    (format!("{name}."), 0).to_socket_addrs().map(|found| found.map(|a| a.ip()).collect())
                } else {
                    Ok(listed)
                };
                drop(slot);
                found
            };
            tokio::task::spawn_blocking(lookup).await.map_err(io::Error::other)?
        })
    }
}

/// The addresses that a file of hosts(5) gives a name, in its order.
fn in_hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().split_whitespace());
    lines
        .filter_map(|mut words| {
            let address = words.next()?.parse().ok()?;
            words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
        })
        .collect()
}

/// The host's network.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDialer;

impl Dialer for SystemDialer {
    fn dial(&self, address: SocketAddr) -> Pending<'_, io::Result<TcpStream>> {
        Box::pin(TcpStream::connect(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_file_is_read_as_it_is_written() {
        let text = "# names\n10.1.2.3 Log.Internal log # not api.bank.test\n::1 localhost\n10.1.2.4\tlog.internal\nnonsense log\n";
        let found = in_hosts(text, "log.internal");
        assert_eq!(found, ["10.1.2.3".parse::<IpAddr>().unwrap(), "10.1.2.4".parse().unwrap()]);
        assert_eq!(in_hosts(text, "localhost"), ["::1".parse::<IpAddr>().unwrap()]);
        assert!(in_hosts(text, "api.bank.test").is_empty());
        assert!(in_hosts(text, "nonsense").is_empty());
    }
}
