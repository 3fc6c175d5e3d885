//! Direct connections: addresses of the internet and of the host, local sockets, ports of one's own.

use std::net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram, UnixListener, UnixStream};

use super::Stopped::{Alert, Errno, Reset, Status};
use super::attempt::{Attempt, all, each, must_succeed, with_setting};
use super::talk::{CLIENT_HELLO, allowed_is_reachable, tcp};
use super::{Attack, Context, Control, Outcome, Scope, Seen, Stopped};

/// Sockets through which a program on the host does as it is told.
const ENGINES: [&str; 10] = [
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/podman/podman.sock",
    "/run/dbus/system_bus_socket",
    "/run/systemd/private",
    "/run/systemd/journal/socket",
    "/run/nscd/socket",
    "/run/user/1000/bus",
];

/// Addresses at which clouds hand out credentials.
const METADATA: [&str; 4] = ["169.254.169.254:80", "169.254.170.2:80", "100.100.100.200:80", "168.63.129.16:80"];

const METADATA_REQUEST: &[u8] = b"GET /latest/meta-data/ HTTP/1.1\r\nhost: 169.254.169.254\r\n\r\n";

/// A direct connection that the door refuses.
const fn refused(
    name: &'static str,
    what: &'static str,
    reference: &'static str,
    expect: &'static [Stopped],
    run: fn(&Context) -> Outcome,
) -> Attack {
    let control = Control::Inside(allowed_is_reachable);
    Attack { name, what, reference, expect, layer: "egress door", scope: Scope::Everywhere, run, control }
}

pub(super) const ATTACKS: &[Attack] = &[
    refused(
        "tcp-without-proxy",
        "connect to the internet directly, ignoring the proxy variables",
        "claude-code 87381",
        &[Status(403)],
        |_| tcp("93.184.216.34:80", b"GET / HTTP/1.1\r\nhost: 93.184.216.34\r\n\r\n"),
    ),
    refused("tcp-without-proxy-over-ipv6", "the same over IPv6", "", &[Status(403)], |_| {
        tcp("[2606:2800:220:1::1]:80", b"GET / HTTP/1.1\r\nhost: example.com\r\n\r\n")
    }),
    refused("tls-to-an-address", "open TLS to an address", "", &[Alert(49)], |_| tcp("1.1.1.1:443", CLIENT_HELLO)),
    refused("dns-over-tls", "ask a resolver on the internet over TLS", "srt 88", &[Alert(49)], |_| {
        each(["8.8.8.8:853", "9.9.9.9:853"], |to| tcp(to, CLIENT_HELLO))
    }),
    refused("dns-over-tcp", "ask a resolver on the internet over TCP", "srt 88", &[Reset], |_| {
        tcp("8.8.8.8:53", b"\0\x1d\x4e\x43\x01\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01")
    }),
    refused(
        "another-protocol",
        "speak SSH, mail and Redis to the internet",
        "OpenShell: transparent TCP",
        &[Reset],
        |_| {
            let words = [
                ("93.184.216.34:22", "SSH-2.0-attack\r\n"),
                ("93.184.216.34:25", "EHLO attack\r\n"),
                ("93.184.216.34:6379", "PING\r\n"),
            ];
            each(words, |(to, words)| tcp(to, words.as_bytes()))
        },
    ),
    refused(
        "connection-to-private-networks",
        "scan the host's networks",
        "LibreCodeInterpreter PR 95",
        &[Status(403)],
        |_| {
            each(["10.0.0.1:80", "172.17.0.1:80", "192.168.0.1:80", "[fd00::1]:80"], |to| {
                tcp(to, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            })
        },
    ),
    refused(
        "connection-to-metadata-services",
        "fetch the host's cloud credentials",
        "fullsend 265; OpenShell: two were not blocked",
        &[Status(403)],
        |_| each(METADATA, |to| tcp(to, METADATA_REQUEST)),
    ),
    refused(
        "connection-to-metadata-service-over-ipv6",
        "the same over IPv6, by its own, mapped and NAT64 addresses",
        "OpenShell: NAT64 was not blocked",
        &[Status(403)],
        |_| {
            each(["[fd00:ec2::254]:80", "[64:ff9b::a9fe:a9fe]:80", "[2002:a9fe:a9fe::1]:80"], |to| {
                tcp(to, METADATA_REQUEST)
            })
        },
    ),
    refused(
        "forged-host-on-direct-connection",
        "send an allowed host name to an address that is not allowed",
        "domain fronting",
        &[Status(403)],
        |c| {
            let host = c.settings.allowed.map_or_else(|| "localhost".to_owned(), |address| address.to_string());
            tcp("93.184.216.34:80", format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes())
        },
    ),
    Attack {
        name: "service-on-host-loopback",
        what: "reach a service that listens on the host's loopback",
        reference: "LibreCodeInterpreter PR 95",
        expect: &[Errno(libc::ECONNREFUSED)],
        layer: "network namespace",
        scope: Scope::Everywhere,
        run: |c| {
            with_setting("host-port", c.settings.host_port, |port| TcpStream::connect(("127.0.0.1", port)).outcome())
        },
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "service-on-host-loopback-by-other-names",
        what: "the same by 0.0.0.0, 127.0.0.2, the mapped address and localhost over IPv6",
        reference: "",
        expect: &[Errno(libc::ECONNREFUSED)],
        layer: "network namespace",
        scope: Scope::Everywhere,
        run: |c| {
            with_setting("host-port", c.settings.host_port, |port| {
                each(["0.0.0.0", "127.0.0.2", "::ffff:127.0.0.1", "::1", "::"], |host| {
                    TcpStream::connect((host, port)).outcome()
                })
            })
        },
        control: Control::Inside(|_| {
            let listener = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
            // A port of this cell's own loopback can be reached: it is the host's that is another.
            listener.map(drop).map_err(|error| error.to_string())
        }),
    },
    Attack {
        name: "abstract-socket-of-host",
        what: "connect to an abstract local socket of the host, as X11 and D-Bus have them",
        reference: "landrun 43; crabbox 414",
        expect: &[Errno(libc::ECONNREFUSED)],
        layer: "network namespace",
        scope: Scope::Everywhere,
        run: |c| {
            with_setting("host-abstract", c.settings.host_abstract.clone(), |name| {
                UnixAddress::from_abstract_name(name).and_then(|a| UnixStream::connect_addr(&a)).outcome()
            })
        },
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "pathname-socket-of-host",
        what: "connect to a local socket of the host by its path",
        reference: "OpenShell: connected in an unlisted directory",
        expect: &[Errno(libc::ENOENT)],
        layer: "root filesystem",
        scope: Scope::Everywhere,
        run: |c| with_setting("host-unix", c.settings.host_unix.clone(), |path| UnixStream::connect(path).outcome()),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "container-engine-sockets",
        what: "order the host about through docker.sock, D-Bus, systemd and their like",
        reference: "landrun 43; agent-safehouse PR 20",
        expect: &[Errno(libc::ENOENT)],
        layer: "root filesystem",
        scope: Scope::Everywhere,
        run: |_| each(ENGINES, |path| UnixStream::connect(path).outcome()),
        control: Control::Inside(local_socket_works),
    },
    Attack {
        name: "datagrams-to-host-log",
        what: "forge messages in the host's system log",
        reference: "",
        expect: &[Errno(libc::ENOENT)],
        layer: "root filesystem",
        scope: Scope::Everywhere,
        run: |_| {
            each(["/dev/log", "/run/systemd/journal/dev-log"], |path| {
                UnixDatagram::unbound().and_then(|socket| socket.send_to(b"<13>attack", path)).outcome()
            })
        },
        control: Control::Inside(local_socket_works),
    },
    Attack {
        name: "bind-privileged-port",
        what: "listen on a port below 1024 and pose as a service",
        reference: "",
        expect: &[Errno(libc::EACCES)],
        layer: "capabilities",
        scope: Scope::Everywhere,
        run: |_| each([80, 443, 1023], |port| TcpListener::bind(("127.0.0.1", port)).outcome()),
        control: Control::Inside(|_| must_succeed(&TcpListener::bind("127.0.0.1:0").outcome())),
    },
    Attack {
        name: "take-over-the-door",
        what: "listen on the ports of the proxy and the resolver",
        reference: "",
        expect: &[Errno(libc::EADDRINUSE)],
        layer: "network namespace",
        scope: Scope::Everywhere,
        run: |_| {
            let proxy = TcpListener::bind("127.0.0.1:3128").outcome();
            let everywhere = TcpListener::bind("0.0.0.0:3128").outcome();
            all([proxy, everywhere])
        },
        control: Control::Inside(|_| must_succeed(&TcpListener::bind("127.0.0.1:0").outcome())),
    },
];

fn local_socket_works(context: &Context) -> Result<(), String> {
    let path = context.scratch_tmp("socket");
    let listener = UnixListener::bind(&path).map_err(|error| format!("bind: {error}"))?;
    let connected = UnixStream::connect(&path).map(drop).map_err(|error| format!("connect: {error}"));
    drop(listener);
    let _ = std::fs::remove_file(&path);
    connected
}
