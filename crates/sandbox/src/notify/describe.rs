//! A refused call in words.

use crate::seccomp;

/// The name of a call, and what of its arguments is worth writing down.
pub(super) fn describe(number: u32, arguments: &[u64; 6]) -> (String, String) {
    let name = seccomp::name(number).map_or_else(|| number.to_string(), str::to_owned);
    let [a, b, c, ..] = arguments.map(|argument| argument as u32);
    let value = |argument, value| {
        seccomp::value_name(number, argument, value).map_or_else(|| format!("{value:#x}"), str::to_owned)
    };
    let detail = match name.as_str() {
        "socket" | "socketpair" => format!("{} {} protocol {c}", family(a), kind(b)),
        "clone" | "unshare" => namespaces(a),
        "setns" => namespaces(b),
        "ioctl" | "fcntl" | "sched_setscheduler" => value(1, b),
        "prctl" => value(0, a),
        "seccomp" if a == libc::SECCOMP_SET_MODE_FILTER => format!("SECCOMP_SET_MODE_FILTER flags {b:#x}"),
        "personality" | "ptrace" | "bpf" | "keyctl" => format!("{a:#x}"),
        "memfd_create" => format!("flags {b:#x}"),
        _ => String::new(),
    };
    (name, detail)
}

fn family(domain: u32) -> String {
    let name = match domain as i32 {
        libc::AF_UNIX => "AF_UNIX",
        libc::AF_INET => "AF_INET",
        libc::AF_INET6 => "AF_INET6",
        libc::AF_NETLINK => "AF_NETLINK",
        libc::AF_PACKET => "AF_PACKET",
        libc::AF_VSOCK => "AF_VSOCK",
        libc::AF_ALG => "AF_ALG",
        libc::AF_KEY => "AF_KEY",
        libc::AF_BLUETOOTH => "AF_BLUETOOTH",
        libc::AF_CAN => "AF_CAN",
        libc::AF_TIPC => "AF_TIPC",
        libc::AF_RDS => "AF_RDS",
        libc::AF_XDP => "AF_XDP",
        other => return format!("family {other}"),
    };
    name.to_owned()
}

fn kind(kind: u32) -> String {
    let name = match (kind & 0xf) as i32 {
        libc::SOCK_STREAM => "SOCK_STREAM",
        libc::SOCK_DGRAM => "SOCK_DGRAM",
        libc::SOCK_RAW => "SOCK_RAW",
        libc::SOCK_SEQPACKET => "SOCK_SEQPACKET",
        libc::SOCK_RDM => "SOCK_RDM",
        other => return format!("type {other}"),
    };
    name.to_owned()
}

fn namespaces(flags: u32) -> String {
    const NAMES: [(i32, &str); 8] = [
        (libc::CLONE_NEWUSER, "CLONE_NEWUSER"),
        (libc::CLONE_NEWNS, "CLONE_NEWNS"),
        (libc::CLONE_NEWNET, "CLONE_NEWNET"),
        (libc::CLONE_NEWPID, "CLONE_NEWPID"),
        (libc::CLONE_NEWIPC, "CLONE_NEWIPC"),
        (libc::CLONE_NEWUTS, "CLONE_NEWUTS"),
        (libc::CLONE_NEWCGROUP, "CLONE_NEWCGROUP"),
        (libc::CLONE_NEWTIME, "CLONE_NEWTIME"),
    ];
    let set: Vec<&str> = NAMES.iter().filter(|(flag, _)| flags & *flag as u32 != 0).map(|(_, name)| *name).collect();
    if set.is_empty() { format!("flags {flags:#x}") } else { set.join("|") }
}

#[cfg(test)]
mod tests {
    use super::describe;

    fn detail(number: libc::c_long, arguments: [u64; 3]) -> String {
        let [a, b, c] = arguments;
        describe(number as u32, &[a, b, c, 0, 0, 0]).1
    }

    #[test]
    fn a_socket_is_described_by_family_type_and_protocol() {
        let vsock = [libc::AF_VSOCK as u64, (libc::SOCK_STREAM | libc::SOCK_CLOEXEC) as u64, 0];
        assert_eq!(detail(libc::SYS_socket, vsock), "AF_VSOCK SOCK_STREAM protocol 0");
        assert_eq!(detail(libc::SYS_socket, [2, 3, 1]), "AF_INET SOCK_RAW protocol 1");
        assert_eq!(detail(libc::SYS_socket, [46, 9, 0]), "family 46 type 9 protocol 0");
    }

    #[test]
    fn flags_and_operations_are_named() {
        let namespaces = (libc::CLONE_NEWUSER | libc::CLONE_NEWNS) as u64;
        assert_eq!(detail(libc::SYS_unshare, [namespaces, 0, 0]), "CLONE_NEWUSER|CLONE_NEWNS");
        assert_eq!(detail(libc::SYS_ioctl, [0, libc::TIOCSTI | 7 << 32, 0]), "TIOCSTI");
        assert_eq!(detail(libc::SYS_prctl, [libc::PR_SET_MM as u64, 0, 0]), "PR_SET_MM");
        let fifo = (libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK) as u64;
        assert_eq!(detail(libc::SYS_sched_setscheduler, [0, fifo, 0]), "SCHED_FIFO");
        assert_eq!(detail(libc::SYS_mount, [1, 2, 3]), "");
    }

    #[test]
    fn a_call_without_a_name_goes_by_its_number() {
        assert_eq!(describe(9999, &[0; 6]).0, "9999");
    }
}
