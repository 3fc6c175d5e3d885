//! Routing inside the cell: the loopback interface comes up, and every address there is becomes a local one ("AnyIP").
//!
//! With a local route for everything, a program's `connect` to any address finds a route and a source address, and its
//! packets stay in the namespace, where [`rules`](super::rules) turn them towards the door. There is no other interface.

use super::netlink::{self, Messages, Socket};
use super::{NetError, Step};
use rustix::io::Errno;
use rustix::net::AddressFamily;
use std::net::Ipv4Addr;

/// `lo` is made with its namespace and is always interface 1 (`LOOPBACK_IFINDEX`).
const LOOPBACK: u32 = 1;
/// `RTM_NEWLINK`, `RTM_NEWROUTE`.
const NEW_LINK: u16 = 16;
const NEW_ROUTE: u16 = 24;
/// `IFF_UP`.
const UP: u32 = 1;
/// Attributes of a route: `RTA_OIF`, `RTA_PREFSRC`.
const OUTPUT_INTERFACE: u16 = 4;
const PREFERRED_SOURCE: u16 = 7;
/// `RT_TABLE_LOCAL`, `RTPROT_BOOT`, `RT_SCOPE_HOST`, `RTN_LOCAL`.
const TABLE_LOCAL: u8 = 255;
const PROTOCOL_BOOT: u8 = 3;
const SCOPE_HOST: u8 = 254;
const TYPE_LOCAL: u8 = 2;

/// Brings `lo` up, which also gives it 127.0.0.1 and, where the kernel has IPv6, ::1.
pub(super) fn loopback_up() -> Result<(), NetError> {
    let mut messages = Messages::default();
    let mut header = [0_u8; 16]; // struct ifinfomsg: family, pad, type, index, flags, change
    for (place, value) in header.chunks_exact_mut(4).skip(1).zip([LOOPBACK, UP, UP]) {
        place.copy_from_slice(&value.to_ne_bytes());
    }
    let last = messages.push(NEW_LINK, netlink::ACK, &header, |_| {});
    ask(&messages, last).map_err(|errno| Step::Loopback.failed(errno))
}

/// Makes every IPv4 address local. Connections get 127.0.0.1 as their source unless the program binds another.
pub(super) fn every_v4() -> Result<(), NetError> {
    let preferred = Ipv4Addr::LOCALHOST.octets();
    every(AddressFamily::INET, Some(preferred)).map_err(|errno| Step::RouteV4.failed(errno))
}

/// Makes every IPv6 address local. The only address of `lo`, ::1, is the source of its own accord.
pub(super) fn every_v6() -> Result<(), NetError> {
    every(AddressFamily::INET6, None).map_err(|errno| Step::RouteV6.failed(errno))
}

fn every(family: AddressFamily, source: Option<[u8; 4]>) -> Result<(), Errno> {
    let family = u8::try_from(family.as_raw()).map_err(|_| Errno::AFNOSUPPORT)?;
    let mut messages = Messages::default();
    // struct rtmsg: family, destination length, source length, tos, table, protocol, scope, type, flags
    let header = [family, 0, 0, 0, TABLE_LOCAL, PROTOCOL_BOOT, SCOPE_HOST, TYPE_LOCAL, 0, 0, 0, 0];
    let flags = netlink::ACK | netlink::CREATE | netlink::EXCL;
    let last = messages.push(NEW_ROUTE, flags, &header, |attributes| {
        attributes.raw(OUTPUT_INTERFACE, &LOOPBACK.to_ne_bytes());
        if let Some(source) = source {
            attributes.raw(PREFERRED_SOURCE, &source);
        }
    });
    ask(&messages, last)
}

fn ask(messages: &Messages, last: u32) -> Result<(), Errno> {
    Socket::open(None)?.ask(messages, last).map_err(|refused| refused.errno)
}
