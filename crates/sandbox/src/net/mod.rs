//! The network of a cell: a namespace with only `lo`, where every way out ends at a door.
//!
//! [`build`] runs once, inside the fresh namespace and before capabilities are dropped, in a process with one thread. It
//! makes every address local, opens the doors' sockets, redirects TCP and DNS to them, refuses and logs all else, and
//! returns the sockets; the launcher passes them to the control plane, which owns them from then on. A socket belongs to
//! the namespace it was opened in, so the control plane answers inside the cell without being there, and a cell that
//! drops its capabilities can change none of this.
//!
//! All is done by netlink, written here ([`netlink`]): no `nft`, no `ip`, no library. The handshake of a TCP connection
//! ends before the door decides; a refused connection is therefore closed, not unreachable.

mod listen;
pub mod log;
mod netlink;
mod nftables;
mod route;
mod rules;

pub use listen::original_destination;
use rustix::io::Errno;
use rustix::net::netlink::NETFILTER;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

/// Port of the proxy door, on 127.0.0.1 and ::1.
pub const PROXY_PORT: u16 = 3128;

/// What the network of a cell depends on.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NetPlan {
    /// Services on the host's loopback that the cell may ask for by the same address; they go to the door.
    pub host_services: Vec<SocketAddr>,
    /// Route IPv6 to the doors too. Without it, and where the kernel has no IPv6, there is no IPv6 route at all.
    pub ipv6: bool,
}

/// The doors' sockets: close-on-exec, non-blocking, in the cell's network namespace. One per address family each.
#[derive(Debug)]
pub struct NetSockets {
    /// Listeners for all TCP that the cell sends anywhere; [`original_destination`] tells where to.
    pub tcp: Vec<OwnedFd>,
    /// Listeners on [`PROXY_PORT`] for programs that speak to a proxy.
    pub proxy: Vec<OwnedFd>,
    /// UDP sockets that get what is sent to port 53 of any address; an answer to the sender seems to come from there.
    pub dns: Vec<OwnedFd>,
    /// Packets that were refused, for [`log::receive`].
    pub log: OwnedFd,
}

/// Makes the network of the calling process' network namespace, which must be new.
///
/// Needs `CAP_NET_ADMIN` in the user namespace that owns the network namespace; root there has it.
///
/// # Errors
/// The first step that the kernel refused. The namespace is then half made and must not be used.
pub fn build(plan: &NetPlan) -> Result<NetSockets, NetError> {
    route::loopback_up()?;
    route::every_v4()?;
    let kernel_v6 = listen::kernel_has_v6();
    let v6 = plan.ipv6 && kernel_v6 && listen::loopback_has_v6()?;
    if v6 {
        route::every_v6()?;
    }
    let tcp = listen::Pair::tcp(0, v6)?;
    let proxy = listen::Pair::tcp(PROXY_PORT, v6)?;
    let dns = listen::Pair::udp(v6)?;
    // The log comes first, so that nothing is refused without a record.
    let netfilter = netlink::Socket::open(Some(NETFILTER)).map_err(|errno| Step::Netfilter.failed(errno))?;
    log::bind(&netfilter)?;
    rules::install(&netfilter, &plan.host_services, rules::Ports { tcp: tcp.port, dns: dns.port }, kernel_v6)?;
    let log = log::into_reader(netfilter)?;
    Ok(NetSockets { tcp: tcp.sockets, proxy: proxy.sockets, dns: dns.sockets, log })
}

/// The network of a cell could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot {step} in the cell's network namespace: {errno}; {}", .step.help(*.errno))]
pub struct NetError {
    /// What was being done.
    pub step: Step,
    /// What the kernel answered.
    pub errno: Errno,
}

/// The steps of [`build`] that the kernel can refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Bring `lo` up.
    Loopback,
    /// Make every IPv4 address local.
    RouteV4,
    /// Make every IPv6 address local.
    RouteV6,
    /// Open a door's socket.
    Listen,
    /// Reach netfilter, or write the rules as a whole.
    Netfilter,
    /// Make the nf_tables table.
    Table,
    /// Make the chain that redirects.
    NatChain,
    /// Make the chain that refuses.
    FilterChain,
    /// Add a rule that redirects.
    Redirect,
    /// Add a rule that accepts.
    Accept,
    /// Add a rule that accepts what connection tracking knows.
    Tracking,
    /// Add a rule that logs and refuses.
    LogRule,
    /// Receive the log of refused packets.
    Log,
}

impl Step {
    pub(self) fn failed(self, errno: Errno) -> NetError {
        NetError { step: self, errno }
    }

    fn help(self, errno: Errno) -> &'static str {
        if errno == Errno::PERM || errno == Errno::ACCESS {
            return "allow user namespaces their capabilities (on Ubuntu: the sysctl \
                    `kernel.apparmor_restrict_unprivileged_userns=0` or a profile with `userns`)";
        }
        match self {
            Self::Loopback | Self::Listen => "run `nanoclaw doctor` to see what the kernel lacks",
            Self::RouteV4 => "the namespace must be new: a route for every address is there already or cannot be made",
            Self::RouteV6 => "switch IPv6 off for cells, or build the kernel with CONFIG_IPV6",
            Self::Netfilter => "load the kernel module `nfnetlink`, or build the kernel with CONFIG_NF_TABLES",
            Self::Table => {
                "load the kernel module `nf_tables`, or build the kernel with CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET"
            }
            Self::NatChain => "load the kernel module `nft_chain_nat`, or build the kernel with CONFIG_NFT_NAT",
            Self::FilterChain | Self::Accept => {
                "load the kernel module `nf_tables`, or build the kernel with CONFIG_NF_TABLES_IPV4 and \
                 CONFIG_NF_TABLES_IPV6"
            }
            Self::Redirect => "load the kernel module `nft_redir`, or build the kernel with CONFIG_NFT_REDIR",
            Self::Tracking => "load the kernel module `nft_ct`, or build the kernel with CONFIG_NFT_CT",
            Self::LogRule => "load the kernel module `nft_log`, or build the kernel with CONFIG_NFT_LOG",
            Self::Log => {
                "load the kernel module `nfnetlink_log`, or build the kernel with CONFIG_NETFILTER_NETLINK_LOG"
            }
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Loopback => "bring `lo` up",
            Self::RouteV4 => "make every IPv4 address local",
            Self::RouteV6 => "make every IPv6 address local",
            Self::Listen => "open a door's socket",
            Self::Netfilter => "write the nf_tables rules",
            Self::Table => "make the nf_tables table",
            Self::NatChain => "make the nf_tables chain that redirects",
            Self::FilterChain => "make the nf_tables chain that refuses",
            Self::Redirect => "add an nf_tables `redirect` rule",
            Self::Accept => "add an nf_tables `accept` rule",
            Self::Tracking => "add an nf_tables `ct` rule",
            Self::LogRule => "add an nf_tables `log` rule",
            Self::Log => "receive the log of refused packets",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_the_step_the_cause_and_the_mending_step() {
        assert_eq!(
            Step::Redirect.failed(Errno::NOENT).to_string(),
            "cannot add an nf_tables `redirect` rule in the cell's network namespace: No such file or directory (os \
             error 2); load the kernel module `nft_redir`, or build the kernel with CONFIG_NFT_REDIR"
        );
        assert!(Step::Table.failed(Errno::PERM).to_string().contains("user namespaces"));
    }

    #[test]
    fn a_plan_survives_its_way_to_the_launcher() {
        let plan = NetPlan { host_services: vec!["127.0.0.1:8080".parse().unwrap()], ipv6: true };
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<NetPlan>(&text).unwrap(), plan);
    }
}
