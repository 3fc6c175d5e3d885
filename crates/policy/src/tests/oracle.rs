//! What the rules of a configuration mean, said a second time without Cedar: the property tests compare both.

use std::net::IpAddr;

use nanoclaw_config::{ModelAccess, NetRule, NetTarget, ToolRule, glob};
use nanoclaw_request::{Action, Connect, Destination, Evidence, Host, ModelCall, ModelOperation, ProposedCall};

use crate::{AddressClass, classify};

pub fn permits(networks: &[NetRule], models: Option<&ModelAccess>, action: &Action) -> bool {
    match (action, models) {
        (Action::Resolve(resolve), _) => networks.iter().any(|rule| match &rule.target {
            NetTarget::Host { pattern, ports, .. } => {
                pattern.matches(&resolve.name) && resolve.port.is_none_or(|port| ports.contains(&port))
            }
            NetTarget::Cidr { .. } | NetTarget::HostService { .. } => false,
        }),
        (Action::Connect(connect), _) => connects(networks, connect),
        (Action::Http(http), _) => {
            http.host == http.connection && networks.iter().any(|rule| names(rule, &http.connection))
        }
        (Action::CallModel(call), Some(access)) => asks(access, call),
        (Action::ToolCall(call), Some(access)) => calls(access, call),
        _ => false,
    }
}

fn connects(networks: &[NetRule], connect: &Connect) -> bool {
    let rules: Vec<&NetRule> = networks.iter().filter(|rule| names(rule, &connect.destination)).collect();
    let service = rules.iter().any(|rule| matches!(rule.target, NetTarget::HostService { .. }));
    let readable = says_the_same(&connect.destination, &connect.evidence);
    let raw =
        |rule: &NetRule| matches!(rule.target, NetTarget::Host { raw: true, .. } | NetTarget::Cidr { raw: true, .. });
    let fits = |address: &IpAddr| rules.iter().any(|rule| (readable || raw(rule)) && reaches(rule, *address));
    service || (!connect.addresses.is_empty() && connect.addresses.iter().all(fits))
}

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
        _ => false,
    }
}

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

fn says_the_same(destination: &Destination, evidence: &Evidence) -> bool {
    match (evidence, &destination.host) {
        (Evidence::Tls { encrypted_hello: true, .. } | Evidence::Opaque | Evidence::Silent, _) => false,
        (Evidence::Tls { sni, .. }, Host::Name(name)) => {
            sni.as_ref().is_some_and(|sni| sni.eq_ignore_ascii_case(name.as_str()))
        }
        (Evidence::Tls { sni, .. }, Host::Ip(_)) => sni.is_none(),
        (Evidence::Http { host }, _) => host == destination,
    }
}

fn asks(access: &ModelAccess, call: &ModelCall) -> bool {
    if call.operation == ModelOperation::List {
        return true;
    }
    let fits = |patterns: &[String], name: &String| patterns.iter().any(|pattern| glob::matches(pattern, name));
    let good = |name: &String| access.model.as_ref() == Some(name) || fits(&access.allow, name);
    let mut all = std::iter::once(&call.asked).chain(&call.candidates);
    !all.any(|name| fits(&access.deny, name))
        && (good(&call.asked) || (!call.candidates.is_empty() && call.candidates.iter().all(good)))
}

fn calls(access: &ModelAccess, call: &ProposedCall) -> bool {
    let named = |rule: &ToolRule| glob::matches(&rule.name, &call.tool);
    let denied = access.tools.deny.iter().any(|rule| named(rule) && fits(rule, call).unwrap_or(true));
    let allowed = match &access.tools.allow {
        _ if call.at_provider => {
            let meant = |rule: &ToolRule| rule.name == call.tool && rule.arguments.is_empty();
            access.tools.allow.iter().flatten().any(meant)
        }
        None => true,
        Some(rules) => rules.iter().any(|rule| named(rule) && fits(rule, call).unwrap_or(false)),
    };
    !denied && allowed
}

/// Whether the arguments are as the rule says; `None` where it asks about arguments that cannot be read.
fn fits(rule: &ToolRule, call: &ProposedCall) -> Option<bool> {
    if rule.arguments.is_empty() {
        return Some(true);
    }
    let arguments = call.arguments.as_ref()?;
    let fits = |key: &String, pattern: &String| {
        arguments.iter().any(|(name, value)| name == key && glob::matches(pattern, value))
    };
    Some(rule.arguments.iter().all(|(key, pattern)| fits(key, pattern)))
}
