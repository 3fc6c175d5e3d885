//! The people who run a fleet: how they reach the control plane, who vouches for them, and how they approve.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The roles that an operator can have.
pub const ROLES: [&str; 5] = ["viewer", "operator", "approver", "auditor", "admin"];

/// How people answer what policy leaves to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approvals {
    /// How long a question waits for its answer; then it is denied.
    pub wait: Duration,
    /// How many different people must approve: 1 or 2.
    pub people: u8,
    /// Whether people may approve what they asked for themselves. Only where one is enough.
    pub own: bool,
}

impl Default for Approvals {
    /// One person, who has not asked for it, within five minutes.
    fn default() -> Self {
        Self { wait: Duration::from_secs(300), people: 1, own: false }
    }
}

/// Where the control plane's API is served over TLS. Its unix socket is there in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// Address and port.
    pub listen: SocketAddr,
    /// Further names of the server's certificate, as in the DNS or as IP addresses; never empty where `listen` is not a
    /// loopback address.
    pub names: Vec<String>,
}

/// Who vouches for operators, besides the control plane's own accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oidc {
    /// The issuer, exactly as its tokens name it: `https`, or `http` on this host's loopback.
    pub issuer: String,
    /// For whom its tokens must be meant.
    pub audience: String,
    /// Certificates of further authorities that the issuer is believed by, as a PEM file.
    pub ca: Option<PathBuf>,
    /// The claim that holds the groups of a person, a text or a list of texts.
    pub claim: String,
    /// The [`ROLES`] that each group gives, at least one, each once. Who is in none of these groups may do nothing.
    pub roles: BTreeMap<String, Vec<String>>,
}
