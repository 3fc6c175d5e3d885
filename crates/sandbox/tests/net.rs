//! The network of a cell, for real: a namespace is made, clients in it try their ways out, and the test is the control
//! plane that owns the doors' sockets from outside.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test is a panic")]

#[path = "support/child.rs"]
mod child;
#[path = "support/namespaces.rs"]
mod namespaces;

use child::{Child, signal, wait};
use namespaces::{User, drop_capabilities, enter_namespaces, users};
use nanoclaw_sandbox::net::{self, NetPlan, NetSockets, PROXY_PORT, Step, log, original_destination};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Protocol, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, ipproto, netlink,
};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// A process in a network of its own, and the doors to it.
struct Cell {
    sockets: NetSockets,
    child: Child,
}

/// Makes the network of `plan` as `user`, then runs `inside` there. Both sides talk over a stream where they must wait
/// for each other.
fn cell(user: User, plan: &NetPlan, inside: impl FnOnce(&mut UnixStream)) -> Cell {
    let child = Child::start(|stream| {
        enter_namespaces(user);
        let sockets = net::build(plan).unwrap();
        pass(stream, &sockets);
        drop(sockets);
        inside(stream);
    });
    let sockets = take(&child);
    Cell { sockets, child }
}

fn pass(stream: &UnixStream, sockets: &NetSockets) {
    let counts = [sockets.tcp.len(), sockets.proxy.len(), sockets.dns.len()].map(|count| count as u8);
    let all: Vec<_> = sockets.tcp.iter().chain(&sockets.proxy).chain(&sockets.dns).chain([&sockets.log]).collect();
    let fds: Vec<_> = all.iter().map(|fd| fd.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(7))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
    rustix::net::sendmsg(stream, &[IoSlice::new(&counts)], &mut control, SendFlags::empty()).unwrap();
}

fn take(child: &Child) -> NetSockets {
    let mut counts = [0; 3];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(7))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received =
        rustix::net::recvmsg(&child.stream, &mut [IoSliceMut::new(&mut counts)], &mut control, RecvFlags::CMSG_CLOEXEC);
    assert_eq!(received.unwrap().bytes, 3, "the child could not make its network: {:?}", child.failure());
    let mut fds: Vec<OwnedFd> = control
        .drain()
        .flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => fds.collect::<Vec<_>>(),
            _ => Vec::new(),
        })
        .collect();
    let mut next = |count: u8| fds.drain(..usize::from(count)).collect::<Vec<_>>();
    let (tcp, proxy, dns) = (next(counts[0]), next(counts[1]), next(counts[2]));
    NetSockets { tcp, proxy, dns, log: fds.pop().unwrap() }
}

impl Cell {
    /// The next connection at one of these listeners.
    fn accept(&self, listeners: &[OwnedFd]) -> TcpStream {
        let ready = ready(listeners);
        let stream = TcpStream::from(rustix::net::accept(&listeners[ready]).unwrap());
        stream.set_nonblocking(false).unwrap();
        stream
    }

    /// Waits for the process and asserts that nobody knocks at a door.
    fn end_with_empty_doors(mut self) -> Vec<(u8, String)> {
        self.child.end();
        for listener in self.sockets.tcp.iter().chain(&self.sockets.proxy) {
            assert_eq!(rustix::net::accept(listener).err(), Some(Errno::AGAIN));
        }
        refused(&self.sockets)
    }

    fn end(mut self) {
        self.child.end();
        assert_eq!(refused(&self.sockets), []);
    }
}

/// Which of these can be read from, waiting for the first.
fn ready(fds: &[OwnedFd]) -> usize {
    let mut polled: Vec<_> = fds.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    let patience = Timespec { tv_sec: 20, tv_nsec: 0 };
    assert_ne!(poll(&mut polled, Some(&patience)).unwrap(), 0, "nothing came to the door");
    polled.iter().position(|fd| fd.revents().contains(PollFlags::IN)).unwrap()
}

/// What the log of refused packets has: protocol and destination.
fn refused(sockets: &NetSockets) -> Vec<(u8, String)> {
    log::receive(sockets.log.as_fd())
        .unwrap()
        .into_iter()
        .map(|packet| (packet.protocol, packet.to.to_string()))
        .collect()
}

fn plan(host_services: &[&str]) -> NetPlan {
    NetPlan { host_services: host_services.iter().map(|each| each.parse().unwrap()).collect(), ipv6: true }
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A UDP socket of the family of `to`.
fn udp_for(to: SocketAddr) -> UdpSocket {
    UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }).unwrap()
}

/// Sends one packet by a socket of any kind; the error, if any.
fn send(kind: SocketType, protocol: Protocol, to: &str, bytes: &[u8]) -> Result<usize, Errno> {
    let to = address(to);
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, Some(protocol)).unwrap();
    rustix::net::sendto(&socket, bytes, SendFlags::empty(), &to)
}

#[test]
fn a_connection_to_any_address_reaches_the_door_with_its_destination() {
    const TO: [&str; 6] = [
        "93.184.216.34:443",
        "[2606:2800::1]:80",
        "8.8.8.8:53",
        "169.254.169.254:80",
        "[fe80::1%0]:9",
        "10.0.0.1:3128",
    ];
    for user in users() {
        let to = TO.map(|each| address(&each.replace("%0", "")));
        let cell = cell(user, &plan(&[]), |_| {
            for each in to {
                let each = match each {
                    // A link-local address means nothing without its link.
                    SocketAddr::V6(mut v6) if v6.ip().segments()[0] == 0xfe80 => {
                        v6.set_scope_id(1);
                        SocketAddr::V6(v6)
                    }
                    other => other,
                };
                let mut stream = TcpStream::connect(each).unwrap();
                stream.write_all(b"ask").unwrap();
                let mut answer = [0; 6];
                stream.read_exact(&mut answer).unwrap();
                assert_eq!(&answer, b"answer");
                assert_eq!(stream.peer_addr().unwrap().ip(), each.ip());
            }
        });
        for each in to {
            let mut stream = cell.accept(&cell.sockets.tcp);
            let meant = original_destination(stream.as_fd()).unwrap();
            assert_eq!((meant.ip(), meant.port()), (each.ip(), each.port()));
            let mut ask = [0; 3];
            stream.read_exact(&mut ask).unwrap();
            stream.write_all(b"answer").unwrap();
        }
        cell.end();
    }
}

#[test]
fn loopback_stays_in_the_cell() {
    for user in users() {
        let cell = cell(user, &plan(&[]), |_| {
            for closed in ["127.0.0.1:9", "[::1]:9"] {
                assert_eq!(TcpStream::connect(closed).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
            }
            for own in ["127.0.0.1:5555", "127.1.2.3:5556", "[::1]:5555"] {
                let server = TcpListener::bind(own).unwrap();
                let mut client = TcpStream::connect(own).unwrap();
                client.write_all(b"x").unwrap();
                server.accept().unwrap().0.read_exact(&mut [0]).unwrap();
            }
            for (own, other) in [("127.0.0.1:0", "127.0.0.1:0"), ("[::1]:0", "[::1]:0")] {
                let (a, b) = (UdpSocket::bind(own).unwrap(), UdpSocket::bind(other).unwrap());
                a.send_to(b"x", b.local_addr().unwrap()).unwrap();
                assert_eq!(b.recv_from(&mut [0]).unwrap().1, a.local_addr().unwrap());
                a.connect(if own.starts_with('[') { "[::1]:9" } else { "127.0.0.1:9" }).unwrap();
                a.send(b"x").unwrap();
                let closed = a.recv(&mut [0]).unwrap_err();
                assert_eq!(closed.kind(), io::ErrorKind::ConnectionRefused, "ICMP says that the port is closed");
            }
        });
        assert_eq!(cell.end_with_empty_doors(), []);
    }
}

#[test]
fn a_host_service_goes_to_the_door_and_its_neighbours_do_not() {
    for user in users() {
        let cell = cell(user, &plan(&["127.0.0.1:8080", "[::1]:8081", "10.0.0.1:80"]), |_| {
            let _streams = ["127.0.0.1:8080", "[::1]:8081", "10.0.0.1:80"].map(|to| TcpStream::connect(to).unwrap());
            for refused in ["127.0.0.1:8081", "127.0.0.2:8080", "[::1]:8080"] {
                assert_eq!(TcpStream::connect(refused).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
            }
        });
        let mut meant: Vec<_> =
            (0..3).map(|_| original_destination(cell.accept(&cell.sockets.tcp).as_fd()).unwrap().to_string()).collect();
        meant.sort();
        assert_eq!(meant, ["10.0.0.1:80", "127.0.0.1:8080", "[::1]:8081"]);
        assert_eq!(cell.end_with_empty_doors(), []);
    }
}

#[test]
fn dns_to_any_server_is_answered_from_its_address() {
    const SERVERS: [&str; 5] = ["8.8.8.8:53", "127.0.0.53:53", "127.0.0.1:53", "[2001:4860:4860::8888]:53", "[::1]:53"];
    for user in users() {
        let cell = cell(user, &plan(&[]), |_| {
            for server in SERVERS.map(address) {
                let mut answer = [0; 16];
                let unconnected = udp_for(server);
                unconnected.send_to(b"query", server).unwrap();
                assert_eq!(unconnected.recv_from(&mut answer).unwrap(), (6, server));
                let connected = udp_for(server);
                connected.connect(server).unwrap();
                connected.send(b"query").unwrap();
                assert_eq!(connected.recv(&mut answer).unwrap(), 6);
            }
        });
        for _ in 0..SERVERS.len() * 2 {
            let socket = &cell.sockets.dns[ready(&cell.sockets.dns)];
            let mut query = [0; 16];
            let (length, _, from) = rustix::net::recvfrom(socket, &mut query, RecvFlags::empty()).unwrap();
            assert_eq!(&query[..length], b"query");
            rustix::net::sendto(socket, b"answer", SendFlags::empty(), &from.unwrap()).unwrap();
        }
        cell.end();
    }
}

#[test]
fn other_udp_is_refused_at_once_and_logged() {
    const TO: [&str; 6] =
        ["9.9.9.9:443", "[2620:fe::fe]:443", "10.0.0.1:5353", "224.0.0.251:5353", "[ff02::fb]:5353", "8.8.8.8:54"];
    for user in users() {
        let cell = cell(user, &plan(&["10.0.0.1:5353"]), |_| {
            for to in TO.map(address) {
                let error = udp_for(to).send_to(b"x", to).unwrap_err();
                assert_eq!(error.raw_os_error(), Some(libc::EPERM), "{to}");
            }
            let connected = UdpSocket::bind("0.0.0.0:0").unwrap();
            connected.connect("9.9.9.9:443").unwrap();
            assert_eq!(connected.send(b"x").unwrap_err().raw_os_error(), Some(libc::EPERM));
        });
        let mut expected: Vec<_> = TO.iter().map(|to| (17, (*to).to_owned())).collect();
        expected.push((17, "9.9.9.9:443".to_owned()));
        assert_eq!(cell.end_with_empty_doors(), expected);
    }
}

#[test]
fn icmp_raw_and_udp_lite_are_refused_and_logged_even_for_root_of_the_namespace() {
    for user in users() {
        let cell = cell(user, &plan(&[]), |_| {
            let echo = [8, 0, 0xf7, 0xfe, 0, 1, 0, 0];
            let echo_v6 = [128, 0, 0, 0, 0, 1, 0, 0];
            let refused = [
                send(SocketType::RAW, ipproto::ICMP, "9.9.9.9:0", &echo),
                send(SocketType::RAW, ipproto::ICMP, "127.0.0.1:0", &echo),
                send(SocketType::RAW, ipproto::ICMPV6, "[2620:fe::fe]:0", &echo_v6),
                send(SocketType::DGRAM, ipproto::UDPLITE, "9.9.9.9:443", b"x"),
                send(SocketType::DGRAM, ipproto::UDPLITE, "9.9.9.9:53", b"x"),
                send(SocketType::DGRAM, ipproto::UDPLITE, "[2620:fe::fe]:443", b"x"),
                send(SocketType::RAW, ipproto::UDP, "9.9.9.9:0", &[0, 1, 1, 187, 0, 8, 0, 0]),
                send(SocketType::RAW, ipproto::SCTP, "9.9.9.9:0", &[0, 1, 1, 187, 0, 0, 0, 0]),
                send(SocketType::RAW, ipproto::GRE, "9.9.9.9:0", &[0; 8]),
            ];
            assert_eq!(refused, [Err(Errno::PERM); 9]);
        });
        let expected = [
            (1, "9.9.9.9:0"),
            (1, "127.0.0.1:0"),
            (58, "[2620:fe::fe]:0"),
            (136, "9.9.9.9:443"),
            (136, "9.9.9.9:53"),
            (136, "[2620:fe::fe]:443"),
            (17, "9.9.9.9:443"),
            (132, "9.9.9.9:443"),
            (47, "9.9.9.9:0"),
        ];
        assert_eq!(cell.end_with_empty_doors(), expected.map(|(protocol, to)| (protocol, to.to_owned())));
    }
}

#[test]
fn the_proxy_takes_loopback_and_nobody_who_claims_another_source() {
    for user in users() {
        let cell = cell(user, &plan(&[]), |_| {
            let _streams = ["127.0.0.1", "[::1]"].map(|at| TcpStream::connect(format!("{at}:{PROXY_PORT}")).unwrap());
            for (source, proxy) in [("1.2.3.4:0", "127.0.0.1"), ("[2001:db8::1]:0", "[::1]")] {
                let source = address(source);
                let family = if source.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
                let flags = SocketFlags::NONBLOCK;
                let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None).unwrap();
                if source.is_ipv6() {
                    rustix::net::sockopt::set_ipv6_freebind(&socket, true).unwrap();
                }
                rustix::net::bind(&socket, &source).unwrap();
                let proxy = address(&format!("{proxy}:{PROXY_PORT}"));
                assert!(rustix::net::connect(&socket, &proxy).is_err());
            }
        });
        for _ in 0..2 {
            cell.accept(&cell.sockets.proxy);
        }
        let expected = ["127.0.0.1:3128", "[::1]:3128"].map(|to| (6, to.to_owned()));
        assert_eq!(cell.end_with_empty_doors(), expected);
    }
}

#[test]
fn without_capabilities_the_network_cannot_be_changed() {
    for user in users() {
        let cell = cell(user, &plan(&[]), |_| {
            drop_capabilities();
            assert_eq!(delete_table(), Err(Errno::PERM));
            assert_eq!(loopback_down(), Err(Errno::PERM));
            let privileged = TcpListener::bind("127.0.0.1:80").unwrap_err();
            assert_eq!(privileged.kind(), io::ErrorKind::PermissionDenied, "ports below 1024 stay privileged");
            let icmp = Some(ipproto::ICMP);
            for kind in [SocketType::RAW, SocketType::DGRAM] {
                let socket = rustix::net::socket_with(AddressFamily::INET, kind, SocketFlags::CLOEXEC, icmp);
                assert!(matches!(socket, Err(Errno::PERM | Errno::ACCESS)), "{socket:?}");
            }
            let to = address("9.9.9.9:443");
            assert_eq!(udp_for(to).send_to(b"x", to).unwrap_err().raw_os_error(), Some(libc::EPERM));
        });
        assert_eq!(cell.end_with_empty_doors(), [(17, "9.9.9.9:443".to_owned())]);
    }
}

/// The control of the test above: the same requests do work with the capabilities.
#[test]
fn with_capabilities_it_could_be_changed() {
    for user in users() {
        let cell = cell(user, &plan(&[]), |_| {
            assert_eq!(delete_table(), Ok(()));
            assert_eq!(loopback_down(), Ok(()));
        });
        cell.end();
    }
}

/// Asks nf_tables to delete the cell's table.
fn delete_table() -> Result<(), Errno> {
    #[rustfmt::skip]
    let batch = [
        20, 0, 0, 0,  0x10, 0, 1, 0,     1, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 10,
        36, 0, 0, 0,  0x02, 0x0a, 5, 0,  2, 0, 0, 0,  0, 0, 0, 0,  1, 0, 0, 0,
        13, 0, 1, 0,  b'n', b'a', b'n', b'o', b'c', b'l', b'a', b'w', 0, 0, 0, 0,
        20, 0, 0, 0,  0x11, 0, 1, 0,     3, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 10,
    ];
    ask(Some(netlink::NETFILTER), &batch)
}

/// Asks for `lo` to go down.
fn loopback_down() -> Result<(), Errno> {
    #[rustfmt::skip]
    let message = [
        32, 0, 0, 0,  16, 0, 5, 0,  1, 0, 0, 0,  0, 0, 0, 0,
        0, 0, 0, 0,  1, 0, 0, 0,  0, 0, 0, 0,  1, 0, 0, 0,
    ];
    ask(None, &message)
}

fn ask(protocol: Option<Protocol>, message: &[u8]) -> Result<(), Errno> {
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
    rustix::net::sendto(&socket, message, SendFlags::empty(), &netlink::SocketAddrNetlink::new(0, 0))?;
    let mut answer = [0; 4096];
    let (_, length) = rustix::net::recv(&socket, &mut answer, RecvFlags::empty())?;
    assert!(length >= 20, "an answer has a header and an error number");
    match i32::from_ne_bytes(answer[16..20].try_into().unwrap()) {
        0 => Ok(()),
        code => Err(Errno::from_raw_os_error(-code)),
    }
}

#[test]
fn a_flood_loses_records_but_not_their_count() {
    const FLOOD: u32 = 20_000;
    for user in users() {
        let mut cell = cell(user, &plan(&[]), |stream| {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            for _ in 0..FLOOD {
                assert!(socket.send_to(b"x", "9.9.9.9:443").is_err());
            }
            signal(stream);
            wait(stream);
            assert!(socket.send_to(b"x", "9.9.9.9:444").is_err());
        });
        wait(&mut cell.child.stream);
        let mut kept = 0;
        loop {
            let packets = log::receive(cell.sockets.log.as_fd()).unwrap();
            if packets.is_empty() {
                break;
            }
            kept += packets.len();
        }
        assert!(kept > 0 && kept < FLOOD as usize, "{kept} of {FLOOD}");
        signal(&mut cell.child.stream);
        cell.child.end();
        let last = log::receive(cell.sockets.log.as_fd()).unwrap();
        assert_eq!(last, [log::Packet { protocol: 17, to: address("9.9.9.9:444"), number: FLOOD }]);
    }
}

#[test]
fn without_ipv6_there_is_no_route_for_it_and_ipv4_works() {
    for user in users() {
        let cell = cell(user, &NetPlan { host_services: Vec::new(), ipv6: false }, |_| {
            let error = TcpStream::connect("[2606:2800::1]:80").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NetworkUnreachable);
            let _stream = TcpStream::connect("93.184.216.34:443").unwrap();
        });
        assert_eq!((cell.sockets.tcp.len(), cell.sockets.proxy.len(), cell.sockets.dns.len()), (1, 1, 1));
        let stream = cell.accept(&cell.sockets.tcp);
        assert_eq!(original_destination(stream.as_fd()).unwrap(), address("93.184.216.34:443"));
        cell.end();
    }
}

#[test]
fn a_network_that_is_made_already_is_an_error() {
    for user in users() {
        let cell = cell(user, &plan(&[]), |_| {
            let error = net::build(&plan(&[])).unwrap_err();
            assert_eq!((error.step, error.errno), (Step::RouteV4, Errno::EXIST));
        });
        cell.end();
    }
}

#[test]
fn without_the_capability_the_first_step_fails_and_says_so() {
    for user in users() {
        let mut child = Child::start(|_| {
            enter_namespaces(user);
            drop_capabilities();
            let error = net::build(&plan(&[])).unwrap_err();
            assert_eq!((error.step, error.errno), (Step::Loopback, Errno::PERM));
        });
        child.end();
    }
}

#[test]
fn the_doors_sockets_are_not_inherited_and_do_not_block() {
    let cell = cell(users()[0], &plan(&[]), |_| {});
    assert_eq!((cell.sockets.tcp.len(), cell.sockets.proxy.len(), cell.sockets.dns.len()), (2, 2, 2));
    for socket in cell.sockets.tcp.iter().chain(&cell.sockets.proxy).chain(&cell.sockets.dns).chain([&cell.sockets.log])
    {
        let flags = rustix::fs::fcntl_getfl(socket).unwrap();
        assert!(flags.contains(rustix::fs::OFlags::NONBLOCK));
        assert!(rustix::io::fcntl_getfd(socket).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    }
    cell.end();
}
