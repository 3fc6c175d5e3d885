//! The nf_tables rules of a cell, written in one transaction: TCP and DNS go to the door, all else is refused and logged.
//!
//! Chain `door` (nat, before routing): TCP to loopback is left alone, except a host service, which goes to the door with
//! all other TCP; UDP to port 53 of any address goes to the DNS socket. Redirection sends to 127.0.0.1 or ::1, and
//! connection tracking gives replies the address that the program asked for.
//!
//! Chain `fence` (filter, after it, policy drop): what now goes to loopback and is TCP or UDP passes, so do replies and
//! the ICMP errors that belong to them. The rest is logged to group [`log::GROUP`](super::log::GROUP) and dropped, which
//! the sender sees at once as `EPERM`. Dropping is on output, so no interface is ever reached.
//!
//! The rules are data ([`fence`], [`door`]) in the words of nft(8).

use super::netlink::Socket;
use super::nftables::{Act, Batch, Chain, FAMILY_V4, FAMILY_V6, Match, Rule};
use super::{NetError, PROXY_PORT};
use std::net::{IpAddr, SocketAddr};

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// Offsets of addresses in the IP headers, in bytes.
const V4_SOURCE: u32 = 12;
const V4_DESTINATION: u32 = 16;
const V6_SOURCE: u32 = 8;
const V6_DESTINATION: u32 = 24;
/// 127.0.0.0/8 is a first byte of 127.
const V4_LOOPBACK: &[u8] = &[127];
const V6_LOOPBACK: &[u8] = &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// Where the doors listen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) tcp: u16,
    pub(super) dns: u16,
}

fn to(family: u8, offset: u32, bytes: &[u8]) -> [Match; 2] {
    [Match::Family(family), Match::Address { offset, bytes: bytes.to_vec() }]
}

fn to_loopback() -> [[Match; 2]; 2] {
    [to(FAMILY_V4, V4_DESTINATION, V4_LOOPBACK), to(FAMILY_V6, V6_DESTINATION, V6_LOOPBACK)]
}

/// The rules of chain `door`.
fn door(host_services: &[SocketAddr], ports: Ports) -> Vec<Rule> {
    let mut rules = Vec::new();
    for service in host_services.iter().filter(|service| service.ip().is_loopback()) {
        let mut matches = match service.ip() {
            IpAddr::V4(address) => to(FAMILY_V4, V4_DESTINATION, &address.octets()),
            IpAddr::V6(address) => to(FAMILY_V6, V6_DESTINATION, &address.octets()),
        }
        .to_vec();
        matches.extend([Match::Protocol(TCP), Match::Port(service.port())]);
        rules.push((matches, Act::Redirect(ports.tcp)));
    }
    for mut matches in to_loopback().map(|matches| matches.to_vec()) {
        matches.push(Match::Protocol(TCP));
        rules.push((matches, Act::Accept));
    }
    rules.push((vec![Match::Protocol(TCP)], Act::Redirect(ports.tcp)));
    rules.push((vec![Match::Protocol(UDP), Match::Port(53)], Act::Redirect(ports.dns)));
    rules
}

/// The rules of chain `fence`.
fn fence() -> Vec<Rule> {
    let strange_source = |family, offset, bytes: &[u8]| {
        let source = Match::NotAddress { offset, bytes: bytes.to_vec() };
        (vec![Match::Family(family), source, Match::Protocol(TCP), Match::Port(PROXY_PORT)], Act::Refuse)
    };
    let mut rules = vec![
        strange_source(FAMILY_V4, V4_SOURCE, V4_LOOPBACK),
        strange_source(FAMILY_V6, V6_SOURCE, V6_LOOPBACK),
        (vec![Match::Protocol(ICMP), Match::Related], Act::Accept),
        (vec![Match::Protocol(ICMPV6), Match::Related], Act::Accept),
        (vec![Match::NotProtocol(TCP), Match::NotProtocol(UDP)], Act::Refuse),
    ];
    rules.extend(to_loopback().map(|matches| (matches.to_vec(), Act::Accept)));
    rules.push((vec![Match::Reply], Act::Accept));
    rules.push((vec![], Act::Refuse));
    rules
}

/// Writes table, chains and rules into the network namespace of `socket`, all or nothing.
///
/// `v6` says whether the kernel has IPv6 at all; without it the table is for IPv4 alone.
pub(super) fn install(socket: &Socket, host_services: &[SocketAddr], ports: Ports, v6: bool) -> Result<(), NetError> {
    let mut batch = Batch::new(v6);
    batch.chain(Chain::Door);
    batch.chain(Chain::Fence);
    for rule in &door(host_services, ports) {
        batch.rule(Chain::Door, rule);
    }
    for rule in &fence() {
        batch.rule(Chain::Fence, rule);
    }
    batch.commit(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORTS: Ports = Ports { tcp: 5000, dns: 5001 };

    fn accepts_v4_loopback() -> Vec<Match> {
        to(FAMILY_V4, V4_DESTINATION, &[127]).to_vec()
    }

    #[test]
    fn without_host_services_only_tcp_and_dns_reach_the_door() {
        let redirects: Vec<_> =
            door(&[], PORTS).into_iter().filter(|(_, act)| matches!(act, Act::Redirect(_))).collect();
        assert_eq!(
            redirects,
            [
                (vec![Match::Protocol(TCP)], Act::Redirect(5000)),
                (vec![Match::Protocol(UDP), Match::Port(53)], Act::Redirect(5001)),
            ]
        );
    }

    #[test]
    fn a_host_service_is_asked_for_before_loopback_is_left_alone() {
        let rules = door(&["127.0.0.1:8080".parse().unwrap()], PORTS);
        let mut service = to(FAMILY_V4, V4_DESTINATION, &[127, 0, 0, 1]).to_vec();
        service.extend([Match::Protocol(TCP), Match::Port(8080)]);
        let mut loopback = accepts_v4_loopback();
        loopback.push(Match::Protocol(TCP));
        assert_eq!(rules[..2], [(service, Act::Redirect(5000)), (loopback, Act::Accept)]);
    }

    #[test]
    fn a_host_service_elsewhere_needs_no_rule_of_its_own() {
        assert_eq!(door(&["10.0.0.1:80".parse().unwrap()], PORTS), door(&[], PORTS));
    }

    #[test]
    fn the_fence_ends_by_refusing_and_accepts_nothing_by_protocol_alone_but_related_icmp() {
        let rules = fence();
        assert_eq!(rules.last(), Some(&(vec![], Act::Refuse)));
        let accepted: Vec<_> = rules.into_iter().filter(|(_, act)| *act == Act::Accept).map(|(m, _)| m).collect();
        assert_eq!(
            accepted,
            [
                vec![Match::Protocol(ICMP), Match::Related],
                vec![Match::Protocol(ICMPV6), Match::Related],
                accepts_v4_loopback(),
                to(FAMILY_V6, V6_DESTINATION, V6_LOOPBACK).to_vec(),
                vec![Match::Reply],
            ]
        );
    }
}
