//! Sockets.

use crate::seccomp::rule::{ALLOW, Case, Chapter, Decision, REFUSE, by, calls, case, errno, rule, values, wider};

/// TCP and UDP, by their own numbers or by 0. Not MPTCP, SCTP, UDP-Lite, ping or raw sockets.
const INET: Decision = Decision::Match {
    argument: 1,
    // Without SOCK_CLOEXEC and SOCK_NONBLOCK.
    mask: 0xf,
    what: "type",
    cases: &[
        case(values! { SOCK_STREAM }, by(2, "protocol", &[case(TCP, ALLOW)], &REFUSE)),
        case(values! { SOCK_DGRAM }, by(2, "protocol", &[case(UDP, ALLOW)], &REFUSE)),
    ],
    otherwise: &REFUSE,
};
const TCP: &[(&str, u32)] = &[("0", 0), ("IPPROTO_TCP", libc::IPPROTO_TCP as u32)];
const UDP: &[(&str, u32)] = &[("0", 0), ("IPPROTO_UDP", libc::IPPROTO_UDP as u32)];

const SOCKET_CASES: &[Case] = &[case(values! { AF_UNIX }, ALLOW), case(values! { AF_INET, AF_INET6 }, INET)];
const SOCKET: Decision = by(0, "domain", SOCKET_CASES, &REFUSE);
const ROUTING: Decision = by(2, "protocol", &[case(values! { NETLINK_ROUTE }, ALLOW)], &REFUSE);
const SOCKET_STANDARD: Decision = by(0, "domain", &[case(values! { AF_NETLINK }, ROUTING)], &SOCKET);

const TCP_OPTIONS: Decision = by(2, "optname", &[case(values! { TCP_ULP }, errno(libc::ENOENT))], &ALLOW);
const SETSOCKOPT: Decision = by(1, "level", &[case(values! { SOL_TCP = 6 }, TCP_OPTIONS)], &ALLOW);

/// Sockets.
pub(in crate::seccomp) const NETWORK: Chapter = Chapter {
    title: "Network",
    about: "The cell's network namespace has only `lo`, and every address leads to NanoClaw's door. These rules keep out \
            what is not bound to a namespace (vsock), and the families and protocols that only add kernel code to attack.",
    rules: &[
        wider(
            SOCKET,
            SOCKET_STANDARD,
            "local sockets, TCP and UDP; in `standard` also the routing socket with which developers' tools list \
             interfaces",
            calls! { SYS_socket, SYS_socketpair },
        ),
        rule(
            SETSOCKOPT,
            "TLS inside the kernel is turned on with `TCP_ULP`: rarely used, with a history of kernel bugs; answered as by \
             a kernel without it",
            calls! { SYS_setsockopt },
        ),
        rule(
            ALLOW,
            "use of sockets that were allowed to be made",
            calls! {
                SYS_connect, SYS_bind, SYS_listen, SYS_accept, SYS_accept4, SYS_getsockname, SYS_getpeername,
                SYS_getsockopt, SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg, SYS_sendmmsg, SYS_recvmmsg,
                SYS_shutdown
            },
        ),
    ],
};
