//! The doors' sockets, on the loopback addresses that redirection sends to, and where a connection was meant to go.

use super::{NetError, Step};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Connections that wait for a door to accept them; more are made to try again.
const BACKLOG: i32 = 1024;

/// One socket per address family, on the same port.
pub(super) struct Pair {
    pub(super) port: u16,
    pub(super) sockets: Vec<OwnedFd>,
}

impl Pair {
    /// TCP listeners on `port`; with 0, on one that the kernel chooses.
    pub(super) fn tcp(port: u16, v6: bool) -> Result<Self, NetError> {
        Self::open(SocketType::STREAM, port, v6).map_err(|errno| Step::Listen.failed(errno))
    }

    /// UDP sockets on a port that the kernel chooses.
    pub(super) fn udp(v6: bool) -> Result<Self, NetError> {
        Self::open(SocketType::DGRAM, 0, v6).map_err(|errno| Step::Listen.failed(errno))
    }

    fn open(kind: SocketType, port: u16, v6: bool) -> Result<Self, Errno> {
        let first = bound(kind, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        let port = SocketAddr::try_from(net::getsockname(&first)?).map_err(|_| Errno::AFNOSUPPORT)?.port();
        let mut sockets = vec![first];
        if v6 {
            sockets.push(bound(kind, SocketAddr::from((Ipv6Addr::LOCALHOST, port)))?);
        }
        Ok(Self { port, sockets })
    }
}

fn bound(kind: SocketType, address: SocketAddr) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = net::socket_with(family, kind, flags, None)?;
    net::bind(&socket, &address)?;
    if kind == SocketType::STREAM {
        net::listen(&socket, BACKLOG)?;
    }
    Ok(socket)
}

/// Whether the kernel knows IPv6 at all (it may be built without, or started with `ipv6.disable=1`).
pub(super) fn kernel_has_v6() -> bool {
    net::socket_with(AddressFamily::INET6, SocketType::DGRAM, SocketFlags::CLOEXEC, None).is_ok()
}

/// Whether `lo` has ::1: it has none where the sysctl `disable_ipv6` is inherited from the host.
pub(super) fn loopback_has_v6() -> Result<bool, NetError> {
    match bound(SocketType::DGRAM, SocketAddr::from((Ipv6Addr::LOCALHOST, 0))) {
        Ok(_) => Ok(true),
        Err(Errno::ADDRNOTAVAIL) => Ok(false),
        Err(errno) => Err(Step::Listen.failed(errno)),
    }
}

/// Where the peer of `connection`, accepted from [`NetSockets::tcp`](super::NetSockets::tcp), meant to connect to.
///
/// Works from any network namespace, without capabilities: connection tracking is asked in that of the socket
/// (`SO_ORIGINAL_DST`, `IP6T_SO_ORIGINAL_DST`).
///
/// # Errors
/// `ENOENT` if connection tracking does not know the connection (any more); the door must then refuse it.
pub fn original_destination(connection: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    let destination = if sockopt::socket_domain(connection)? == AddressFamily::INET6 {
        SocketAddr::V6(sockopt::ipv6_original_dst(connection.as_fd())?)
    } else {
        SocketAddr::V4(sockopt::ip_original_dst(connection.as_fd())?)
    };
    Ok(destination)
}
