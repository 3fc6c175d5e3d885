//! Packets that the fence refused, as the kernel logs them (NFLOG).
//!
//! [`bind`] binds a netfilter socket to the log inside the cell's namespace; [`receive`] reads it from anywhere, without
//! capabilities; [`decode`] is pure and takes any bytes. A packet is in the socket before the sender sees `EPERM`, one
//! message each: when a cell has ended, what it was refused is there to be read. A flood overruns the socket's buffer,
//! and the running [`number`](Packet::number) of the packets then has a gap, which counts exactly those that were lost.

use super::netlink::{self, Messages, Socket};
use super::{NetError, Step};
use rustix::io::Errno;
use rustix::net::sockopt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{BorrowedFd, OwnedFd};

/// The netfilter log group of the fence.
pub(super) const GROUP: u16 = 1;
/// Bytes of each packet that are logged: an IPv6 header, an extension header and ports.
pub(super) const SNAPLEN: u32 = 64;

/// `NFNL_SUBSYS_ULOG` with `NFULNL_MSG_PACKET` and `NFULNL_MSG_CONFIG`.
const PACKET: u16 = 4 << 8;
const CONFIG: u16 = PACKET | 1;
/// `NFULNL_COPY_PACKET`, `NFULNL_CFG_CMD_BIND`, `NFULNL_CFG_F_SEQ`.
const COPY_PACKET: u8 = 2;
const BIND: u8 = 1;
const NUMBERED: u16 = 1;
/// Bytes that the kernel sets aside for a message; a logged packet takes about 200.
const MESSAGE_SPACE: u32 = 512;
/// Bytes of messages that may wait, as far as the kernel allows (`net.core.rmem_max`).
const WAITING: usize = 1 << 20;
/// Messages read by one call of [`receive`], so that a flood cannot hold the reader.
const AT_ONCE: usize = 512;

/// `NFULA_PAYLOAD`, `NFULA_SEQ`.
const PAYLOAD: u16 = 9;
const NUMBER: u16 = 12;

/// A packet that a cell tried to send and that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The IP protocol: 17 for UDP, 1 for ICMP (IANA's numbers).
    pub protocol: u8,
    /// Where to. The port is 0 where the protocol has none or the packet is a fragment.
    pub to: SocketAddr,
    /// The number of this packet in the cell's log, from 0 and wrapping around; a gap is packets lost in a flood.
    pub number: u32,
}

/// Makes `socket`, of netfilter and of the caller's network namespace, the log of the fence.
pub(super) fn bind(socket: &Socket) -> Result<(), NetError> {
    let mut messages = Messages::default();
    let [high, low] = GROUP.to_be_bytes();
    let last = messages.push(CONFIG, netlink::ACK, &[0, 0, high, low], |config| {
        config.raw(1, &[BIND]);
        let [a, b, c, d] = SNAPLEN.to_be_bytes();
        config.raw(2, &[a, b, c, d, COPY_PACKET, 0]); // struct nfulnl_msg_config_mode
        config.number(3, MESSAGE_SPACE);
        config.number(5, 1); // packets in a message: send each at once
        config.raw(6, &NUMBERED.to_be_bytes());
    });
    socket.ask(&messages, last).map_err(|refused| Step::Log.failed(refused.errno))
}

/// Gives the log room for what may wait, and makes reading it not block.
pub(super) fn into_reader(socket: Socket) -> Result<OwnedFd, NetError> {
    let log = socket.into_fd();
    sockopt::set_socket_recv_buffer_size(&log, WAITING)
        .and_then(|()| rustix::io::ioctl_fionbio(&log, true))
        .map_err(|errno| Step::Log.failed(errno))?;
    Ok(log)
}

/// Reads the packets that are waiting in `log`, without blocking; none is an empty list.
///
/// At most 512 a call: call again while the list is not empty.
///
/// # Errors
/// Those of recvmsg(2); being overrun is none (see [`Packet::number`]).
pub fn receive(log: BorrowedFd<'_>) -> io::Result<Vec<Packet>> {
    let mut packets = Vec::new();
    let mut buffer = [0_u8; 4096];
    for _ in 0..AT_ONCE {
        match netlink::receive(log, &mut buffer) {
            Ok(Some(message)) => packets.extend(decode(message)),
            Ok(None) | Err(Errno::NOBUFS) => {}
            Err(Errno::AGAIN) => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(packets)
}

/// The packets in one or more messages of netfilter's log. Anything else in `bytes` is passed over.
pub fn decode(bytes: &[u8]) -> Vec<Packet> {
    netlink::records(bytes).filter(|record| record.kind == PACKET).filter_map(|record| packet(record.body)).collect()
}

fn packet(body: &[u8]) -> Option<Packet> {
    let mut found = None;
    let mut number = 0;
    for (kind, value) in netlink::attributes(body.get(4..)?) {
        match kind {
            PAYLOAD => found = destination(value),
            NUMBER => number = u32::from_be_bytes(*value.first_chunk()?),
            _ => {}
        }
    }
    found.map(|(protocol, to)| Packet { protocol, to, number })
}

fn destination(packet: &[u8]) -> Option<(u8, SocketAddr)> {
    match packet.first()? >> 4 {
        4 => v4(packet),
        6 => v6(packet),
        _ => None,
    }
}

/// RFC 791, section 3.1.
fn v4(packet: &[u8]) -> Option<(u8, SocketAddr)> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let protocol = *packet.get(9)?;
    let address = Ipv4Addr::from(*packet.get(16..)?.first_chunk::<4>()?);
    let fragment = u16::from_be_bytes(*packet.get(6..)?.first_chunk()?) & 0x1fff;
    let port = if fragment == 0 { port(protocol, packet.get(header..).unwrap_or_default()) } else { 0 };
    Some((protocol, SocketAddr::from((address, port))))
}

/// RFC 8200, sections 3 and 4; stops at the first header that is none of the known extensions.
fn v6(packet: &[u8]) -> Option<(u8, SocketAddr)> {
    let address = Ipv6Addr::from(*packet.get(24..)?.first_chunk::<16>()?);
    let mut protocol = *packet.get(6)?;
    let mut rest = packet.get(40..).unwrap_or_default();
    let mut fragment = 0;
    // Each extension is at least eight bytes long, so this ends with the packet.
    while let (true, Some(&[next, length, high, low, ..])) =
        (matches!(protocol, 0 | 43 | 44 | 51 | 60), rest.first_chunk::<8>())
    {
        let size = match protocol {
            44 => {
                fragment = u16::from_be_bytes([high, low]) >> 3;
                8
            }
            51 => (usize::from(length) + 2) * 4,
            _ => (usize::from(length) + 1) * 8,
        };
        protocol = next;
        rest = rest.get(size..).unwrap_or_default();
        if fragment != 0 {
            break;
        }
    }
    let port = if fragment == 0 { port(protocol, rest) } else { 0 };
    Some((protocol, SocketAddr::from((address, port))))
}

/// The destination port, for the protocols that have it in their third and fourth byte: TCP, UDP, DCCP, SCTP, UDP-Lite.
fn port(protocol: u8, transport: &[u8]) -> u16 {
    match (protocol, transport.first_chunk::<4>()) {
        (6 | 17 | 33 | 132 | 136, Some(&[_, _, high, low])) => u16::from_be_bytes([high, low]),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of the kernel with these attributes.
    fn message(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut messages = Messages::default();
        messages
            .push(PACKET, 0, &[2, 0, 0, 1], |list| attributes.iter().for_each(|(kind, value)| list.raw(*kind, value)));
        messages.bytes().unwrap().to_vec()
    }

    fn v4_packet(protocol: u8, fragment: u16, transport: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0];
        packet.extend(fragment.to_be_bytes());
        packet.extend([64, protocol, 0, 0, 127, 0, 0, 1, 9, 9, 9, 9]);
        packet.extend(transport);
        packet
    }

    fn v6_packet(next: u8, rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, 0, next, 64];
        packet.extend([0; 15]);
        packet.push(1);
        packet.extend("2606:2800::1".parse::<Ipv6Addr>().unwrap().octets());
        packet.extend(rest);
        packet
    }

    fn one(packet: &[u8]) -> Option<(u8, String)> {
        let packets = decode(&message(&[(PAYLOAD, packet)]));
        packets.first().map(|packet| (packet.protocol, packet.to.to_string()))
    }

    #[test]
    fn protocol_address_port_and_number_are_read() {
        let bytes =
            message(&[(1, &[8, 0, 3, 0]), (NUMBER, &[0, 0, 1, 2]), (PAYLOAD, &v4_packet(17, 0, &[0, 1, 1, 187]))]);
        assert_eq!(decode(&bytes), [Packet { protocol: 17, to: "9.9.9.9:443".parse().unwrap(), number: 258 }]);
    }

    #[test]
    fn several_messages_in_a_row_are_all_read() {
        let mut bytes = message(&[(PAYLOAD, &v4_packet(1, 0, &[8, 0, 0, 0]))]);
        bytes.extend(message(&[(PAYLOAD, &v6_packet(136, &[0, 1, 0, 2]))]));
        let read: Vec<_> = decode(&bytes).iter().map(|packet| packet.to.to_string()).collect();
        assert_eq!(read, ["9.9.9.9:0", "[2606:2800::1]:2"]);
    }

    #[test]
    fn a_fragment_has_no_port() {
        assert_eq!(one(&v4_packet(17, 0x0001, &[0, 1, 1, 187])), Some((17, "9.9.9.9:0".to_owned())));
        assert_eq!(one(&v4_packet(17, 0x4000, &[0, 1, 1, 187])), Some((17, "9.9.9.9:443".to_owned())));
        let fragment = [17, 0, 0, 8, 0, 0, 0, 0, 0, 1, 1, 187];
        assert_eq!(one(&v6_packet(44, &fragment)), Some((17, "[2606:2800::1]:0".to_owned())));
    }

    #[test]
    fn extension_headers_are_walked() {
        let options = [60, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 187];
        assert_eq!(one(&v6_packet(0, &options)), Some((17, "[2606:2800::1]:443".to_owned())));
        let authentication = [17, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 187];
        assert_eq!(one(&v6_packet(51, &authentication)), Some((17, "[2606:2800::1]:443".to_owned())));
    }

    #[test]
    fn a_packet_cut_short_still_tells_its_address_and_never_more_than_it_has() {
        let whole = v4_packet(17, 0, &[0, 1, 1, 187]);
        for length in 0..whole.len() {
            let expected = (length >= 20).then(|| (17, "9.9.9.9:0".to_owned()));
            assert_eq!(one(&whole[..length]), expected, "{length} bytes");
        }
        assert_eq!(one(&v6_packet(0, &[17, 255, 0, 0, 0, 0, 0, 0])), Some((17, "[2606:2800::1]:0".to_owned())));
    }

    #[test]
    fn other_messages_and_noise_are_passed_over() {
        let mut other = message(&[(PAYLOAD, &v4_packet(17, 0, &[0, 1, 1, 187]))]);
        other[4] = 3;
        other[5] = 0;
        assert_eq!(decode(&other), []);
        assert_eq!(decode(&[0xff; 100]), []);
        assert_eq!(decode(&message(&[(PAYLOAD, &[0x95, 0, 0])])), []);
        assert_eq!(decode(&message(&[(NUMBER, &[1])])), []);
    }
}
