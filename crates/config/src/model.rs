//! What a configuration means once it has been read and checked.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use nanoclaw_request::{CellId, DnsName};

use crate::labels::{Labels, RuleSet};
use crate::models::{Budget, Builtin, Group, ModelAccess, Models, Scheduled, Webhook};
use crate::operators::{Api, Approvals, Oidc};
use crate::sinks::Audit;

/// A whole configuration, every value checked and every default filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How strict the cells are.
    pub sandbox_mode: SandboxMode,
    /// Whether actions are recorded.
    pub audit_enabled: bool,
    /// How its log is sealed, and who else gets it.
    pub audit: Audit,
    /// What is judged of what goes into models and comes out of them: `prompt_filters` and `firewall`.
    pub firewall: nanoclaw_firewall::Settings,
    /// Files with policies in Cedar, beside those that the rules here stand for.
    pub policies: Vec<PathBuf>,
    /// Policies that NanoClaw brings along, for agents that choose none of their own.
    pub rule_sets: Vec<RuleSet>,
    /// What is known of sources: tools, hosts, paths and users.
    pub labels: Labels,
    /// How people answer what policy leaves to them.
    pub approvals: Approvals,
    /// Fleet-wide network rules, for agents that name none of their own and for `nanoclaw run`.
    pub allowed_networks: Vec<NetRule>,
    /// Fleet-wide limits, where an agent names none of its own.
    pub limits: Limits,
    /// Where models come from.
    pub models: Models,
    /// What all agents may use together.
    pub budget: Budget,
    /// Budgets that some agents share.
    pub groups: Vec<Group>,
    /// Where webhooks and metrics are served over HTTP, on the host; nowhere if `None`.
    pub listen: Option<SocketAddr>,
    /// Where the control plane's API is served over TLS, on top of its unix socket; nowhere if `None`.
    pub api: Option<Api>,
    /// Who vouches for operators, besides the control plane's own accounts.
    pub oidc: Option<Oidc>,
    /// The fleet.
    pub agents: Vec<Agent>,
}

/// How strict a cell is. There is no "off".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SandboxMode {
    /// Every layer is a hard requirement; nothing that a cell can write can be executed.
    #[default]
    Restricted,
    /// For developers' tools: a few more system calls, and programs may run from writable places.
    Standard,
}

/// One agent, as one cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Its name.
    pub id: CellId,
    /// What runs in it.
    pub kind: AgentKind,
    /// What it may do with models; `None` means nothing.
    pub models: Option<ModelAccess>,
    /// When turns start by themselves.
    pub schedule: Vec<Scheduled>,
    /// A turn that somebody else starts.
    pub webhook: Option<Webhook>,
    /// What the cell sees as `/`.
    pub rootfs: Rootfs,
    /// Host places that the cell sees besides.
    pub mounts: Vec<Mount>,
    /// Its environment, on top of the small default one.
    pub env: BTreeMap<String, String>,
    /// The directory it starts in, absolute, inside the cell; `None` means `/workspace` where mounted, else `/tmp`.
    pub workdir: Option<PathBuf>,
    /// Its limits.
    pub limits: Limits,
    /// The only places on the network that it can reach.
    pub allowed_networks: Vec<NetRule>,
    /// The rule sets that count for it; `None` means those of the fleet.
    pub rule_sets: Option<Vec<RuleSet>>,
    /// What happens when it ends.
    pub restart: Restart,
    /// How to tell that it is well.
    pub health: Option<Health>,
    /// From the stop signal to the kill.
    pub stop_grace: Duration,
}

/// What runs in an agent's cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentKind {
    /// A program and its arguments, at least one element.
    Command(Vec<String>),
    /// NanoClaw's own agent.
    Builtin(Builtin),
    /// OpenClaw, from the directory where `nanoclaw openclaw install` put it, or from this one.
    OpenClaw {
        /// Where it is installed.
        directory: Option<PathBuf>,
    },
}

/// What a cell sees as `/`, always read-only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Rootfs {
    /// The host's `/usr` and its kin, and a generated minimum of `/etc`.
    #[default]
    Host,
    /// Nothing but NanoClaw's own binary at `/nanoclaw`.
    Minimal,
    /// A directory of the host.
    Directory(PathBuf),
}

/// One host file or directory that a cell sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Absolute host path (relative ones are resolved against the configuration file's directory).
    pub source: PathBuf,
    /// Absolute normalised path inside the cell.
    pub target: PathBuf,
    /// Whether the cell may write.
    pub mode: MountMode,
}

/// Whether a cell may write to a mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MountMode {
    /// Read-only.
    #[default]
    Ro,
    /// Read and write.
    Rw,
}

/// Hard limits of a cell. `None` means the built-in default of [`Limits::DEFAULT`]; no limit can be lifted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// CPU time per wall time, in thousandths of a core.
    pub cpu_millis: Option<u32>,
    /// Memory and swap together, in bytes.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// Bytes in each writable place.
    pub disk: Option<u64>,
    /// Open files of one process.
    pub files: Option<u32>,
    /// Wall time; `None` means no end (the only limit that may be absent).
    pub timeout: Option<Duration>,
}

/// One thing that a cell may reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetRule {
    /// How the decision names it in the audit log: `allowed_networks[0]`, `agents.nano-001.allowed_networks[2]`, `--allow-net[0]`.
    pub id: String,
    /// As it was written, for messages.
    pub text: String,
    /// What it names.
    pub target: NetTarget,
}

/// What a network rule names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetTarget {
    /// A host by name.
    Host {
        /// Which names.
        pattern: HostPattern,
        /// Which ports; 80 and 443 where the rule names none.
        ports: Vec<u16>,
        /// Special-purpose networks (private, link-local, metadata…) that the name may resolve into. Public
        /// addresses need no mention.
        addresses: Vec<IpNet>,
        /// Whether bytes that are neither TLS nor HTTP may pass (`tcp://` form).
        raw: bool,
    },
    /// Hosts by address.
    Cidr {
        /// Which addresses.
        net: IpNet,
        /// Which ports; 80 and 443 where the rule names none.
        ports: Vec<u16>,
        /// Whether bytes that are neither TLS nor HTTP may pass (`tcp://` form).
        raw: bool,
    },
    /// One service on the host's loopback, reached at the same address from inside. Passed through as raw TCP.
    HostService {
        /// Its address.
        address: SocketAddr,
    },
}

/// Which names a rule means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// Exactly this name.
    Exact(DnsName),
    /// `*.suffix`: one label more than the suffix.
    OneLabel(DnsName),
    /// `**.suffix`: one or more labels more.
    AnyDepth(DnsName),
}

impl HostPattern {
    /// Whether `name` is one of them.
    pub fn matches(&self, name: &DnsName) -> bool {
        let below =
            |suffix: &DnsName| name.as_str().strip_suffix(suffix.as_str())?.strip_suffix('.').filter(|l| !l.is_empty());
        match self {
            HostPattern::Exact(exact) => exact == name,
            HostPattern::OneLabel(suffix) => below(suffix).is_some_and(|labels| !labels.contains('.')),
            HostPattern::AnyDepth(suffix) => below(suffix).is_some(),
        }
    }
}

/// A network: an address and how many of its leading bits count. Host bits are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpNet {
    address: IpAddr,
    prefix: u8,
}

impl IpNet {
    /// Takes an address and a prefix length; `None` where the prefix is too long or host bits are set.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let net = Self { address, prefix };
        (net.prefix <= net.width() && net.masked(address) == net.bits(address)).then_some(net)
    }

    /// Leading bits that count.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// First address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Whether it is one address only.
    pub fn is_single(&self) -> bool {
        self.prefix == self.width()
    }

    /// Whether `address` lies in it. Addresses of the other family never do.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && self.masked(address) == self.bits(self.address)
    }

    fn width(&self) -> u8 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }

    fn bits(&self, address: IpAddr) -> u128 {
        match address {
            IpAddr::V4(v4) => u128::from(v4.to_bits()),
            IpAddr::V6(v6) => v6.to_bits(),
        }
    }

    fn masked(&self, address: IpAddr) -> u128 {
        let host_bits = u32::from(self.width() - self.prefix);
        self.bits(address).checked_shr(host_bits).and_then(|b| b.checked_shl(host_bits)).unwrap_or(0)
    }
}

impl std::fmt::Display for IpNet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// What happens when what runs in an agent's cell ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    /// Nothing.
    #[default]
    Never,
    /// It is started again, with growing pauses, when it failed.
    OnFailure,
    /// It is started again, with growing pauses.
    Always,
}

/// A command that is run inside the cell to see whether the agent is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Program and arguments; exit status 0 means well.
    pub command: Vec<String>,
    /// Pause between two checks.
    pub interval: Duration,
    /// How long one check may take.
    pub timeout: Duration,
    /// Failures in a row until the agent counts as unwell and is restarted.
    pub retries: u32,
}
