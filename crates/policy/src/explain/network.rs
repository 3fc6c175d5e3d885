//! Why a name, a connection or a request was not permitted: names first, then the addresses they turned out to have, then
//! what the client really said.

use std::net::IpAddr;

use nanoclaw_config::{NetRule, NetTarget};
use nanoclaw_request::{Connect, Destination, Evidence, Host, HttpRequest, Refusal, RefusalCode, Resolve};

use super::Rules;
use crate::{AddressClass, classify, refuse};

impl Rules {
    /// Why a name may not be looked up: no rule would let a connection to it begin.
    pub(super) fn resolve(&self, resolve: &Resolve) -> Option<Refusal> {
        let by_name = |rule: &NetRule| match &rule.target {
            NetTarget::Host { pattern, ports, .. } => {
                pattern.matches(&resolve.name) && resolve.port.is_none_or(|p| ports.contains(&p))
            }
            NetTarget::Cidr { .. } | NetTarget::HostService { .. } => false,
        };
        let named = self.networks.iter().any(by_name);
        (!named).then(|| self.host_refusal(&Host::Name(resolve.name.clone()), resolve.port))
    }

    pub(super) fn connect(&self, connect: &Connect) -> Option<Refusal> {
        let rules: Vec<&NetRule> = self.networks.iter().filter(|rule| names(rule, &connect.destination)).collect();
        if rules.is_empty() {
            return Some(self.host_refusal(&connect.destination.host, Some(connect.destination.port)));
        }
        // A host service is one address that the operator chose: there is no other name it could be fronting for.
        if rules.iter().any(|rule| matches!(rule.target, NetTarget::HostService { .. })) {
            return None;
        }
        if connect.addresses.is_empty() {
            return Some(refuse(
                RefusalCode::NameNotFound,
                format!("{} has no address", connect.destination.host),
                String::new(),
            ));
        }
        if let Some(refusal) =
            connect.addresses.iter().find_map(|address| self.address(&connect.destination, *address, &rules))
        {
            return Some(refusal);
        }
        // What one rule allows raw and another allows at a private address is allowed raw there by neither.
        let inspected = evidence(&connect.destination, &connect.evidence);
        let readable = inspected.is_ok();
        let suffices =
            |address: &IpAddr| rules.iter().any(|rule| (readable || is_raw(rule)) && reaches(rule, *address));
        if connect.addresses.iter().all(suffices) { None } else { inspected.err() }
    }

    /// Why a name that leads to the loopback is not dialled, whatever permits it.
    pub(crate) fn loopback(&self, connect: &Connect) -> Option<Refusal> {
        let mut addresses = connect.addresses.iter().filter(|address| classify(**address) == AddressClass::Loopback);
        addresses.find_map(|address| self.address(&connect.destination, *address, &[]))
    }

    /// One request on a connection that is already permitted must be for a host that a rule names.
    pub(super) fn http(&self, http: &HttpRequest) -> Option<Refusal> {
        let named = self.networks.iter().any(|rule| names(rule, &http.connection));
        (!named).then(|| self.host_refusal(&http.connection.host, Some(http.connection.port)))
    }

    /// Why an address that an allowed host resolved to may not be dialled.
    fn address(&self, destination: &Destination, address: IpAddr, rules: &[&NetRule]) -> Option<Refusal> {
        let class = classify(address);
        let named = rules.iter().any(|rule| reaches(rule, address));
        let rule = match &destination.host {
            Host::Ip(_) => format!("\"{destination}\""),
            Host::Name(name) => {
                format!("{{ host: \"{name}\", ports: [{}], addresses: [\"{address}\"] }}", destination.port)
            }
        };
        let (allowed, help) = match class {
            AddressClass::Public => (true, String::new()),
            AddressClass::Loopback => (false, service(false, Some(destination.port))),
            AddressClass::Metadata | AddressClass::Special => {
                (named, format!("if that is meant, add {rule} to allowed_networks of agent {}", self.cell))
            }
        };
        if allowed {
            return None;
        }
        let what = match class {
            AddressClass::Loopback => "a loopback address",
            AddressClass::Metadata => "a cloud metadata address",
            AddressClass::Public | AddressClass::Special => "a private or special-purpose address",
        };
        Some(refuse(RefusalCode::AddressForbidden, format!("{} leads to {address}, {what}", destination.host), help))
    }

    fn host_refusal(&self, host: &Host, port: Option<u16>) -> Refusal {
        let text = port.map_or_else(|| host.to_string(), |port| Destination { host: host.clone(), port }.to_string());
        let here = match host {
            Host::Ip(address) => classify(*address) == AddressClass::Loopback,
            Host::Name(name) => name.as_str() == "localhost" || name.as_str().ends_with(".localhost"),
        };
        let help = if here {
            service(matches!(host, Host::Ip(IpAddr::V6(_))), port)
        } else {
            format!("to allow it, add \"{text}\" to allowed_networks of agent {}", self.cell)
        };
        refuse(RefusalCode::HostNotAllowed, format!("no rule allows {text}"), help)
    }
}

/// How what listens on this host is reached.
fn service(v6: bool, port: Option<u16>) -> String {
    let address = if v6 { "[::1]" } else { "127.0.0.1" };
    let port = port.map_or_else(|| "PORT".to_owned(), |port| port.to_string());
    format!("a service on this host is reached by a rule \"host-service:{address}:{port}\"")
}

/// Whether a rule names this destination, by name or by address.
fn names(rule: &NetRule, destination: &Destination) -> bool {
    match (&rule.target, &destination.host) {
        (NetTarget::Host { pattern, ports, .. }, Host::Name(name)) => {
            pattern.matches(name) && ports.contains(&destination.port)
        }
        (NetTarget::Cidr { net, ports, .. }, Host::Ip(address)) => {
            net.contains(address.to_canonical()) && ports.contains(&destination.port)
        }
        (NetTarget::HostService { address }, Host::Ip(ip)) => {
            address.ip().to_canonical() == ip.to_canonical() && address.port() == destination.port
        }
        (NetTarget::Host { .. }, Host::Ip(_))
        | (NetTarget::Cidr { .. } | NetTarget::HostService { .. }, Host::Name(_)) => false,
    }
}

/// Whether a rule lets an address be dialled that a destination which it names has.
fn reaches(rule: &NetRule, address: IpAddr) -> bool {
    let nets = match &rule.target {
        NetTarget::Host { addresses, .. } => addresses.as_slice(),
        NetTarget::Cidr { net, .. } => std::slice::from_ref(net),
        NetTarget::HostService { .. } => &[],
    };
    match classify(address) {
        AddressClass::Public => true,
        AddressClass::Loopback => false,
        AddressClass::Metadata => nets.iter().any(|net| net.contains(address.to_canonical()) && net.is_single()),
        AddressClass::Special => nets.iter().any(|net| net.contains(address.to_canonical())),
    }
}

fn is_raw(rule: &NetRule) -> bool {
    matches!(rule.target, NetTarget::Host { raw: true, .. } | NetTarget::Cidr { raw: true, .. })
}

/// What the client says inside the connection must be what it dialled.
pub(crate) fn evidence(destination: &Destination, evidence: &Evidence) -> Result<(), Refusal> {
    match evidence {
        Evidence::Tls { encrypted_hello: true, .. } => Err(refuse(
            RefusalCode::EncryptedHello,
            format!("the TLS hello to {destination} is encrypted and can hide another name"),
            "turn Encrypted ClientHello off in the client".to_owned(),
        )),
        Evidence::Tls { sni, .. } => {
            let same = match (&destination.host, sni) {
                (Host::Name(name), Some(sni)) => sni.eq_ignore_ascii_case(name.as_str()),
                // An address cannot stand in the server name extension (RFC 6066 section 3).
                (Host::Ip(_), None) => true,
                (Host::Name(_), None) | (Host::Ip(_), Some(_)) => false,
            };
            let said = sni.as_deref().unwrap_or("(none)");
            if same {
                return Ok(());
            }
            Err(refuse(
                RefusalCode::SniMismatch,
                format!(
                    "the TLS server name `{}` is not {}, for which the connection was opened",
                    said.escape_default(),
                    destination.host
                ),
                String::new(),
            ))
        }
        Evidence::Http { host } if host == destination => Ok(()),
        Evidence::Http { host } => Err(host_mismatch(destination, host)),
        Evidence::Opaque | Evidence::Silent => Err(refuse(
            RefusalCode::ProtocolNotAllowed,
            format!("what was sent to {destination} is neither TLS nor HTTP"),
            format!("to allow raw TCP, write the rule as \"tcp://{destination}\""),
        )),
    }
}

pub(crate) fn host_mismatch(connection: &Destination, host: &Destination) -> Refusal {
    refuse(
        RefusalCode::HttpHostMismatch,
        format!("the HTTP host {host} is not {connection}, for which the connection was opened"),
        String::new(),
    )
}
