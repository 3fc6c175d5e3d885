//! Lists of network rules.

use super::keys::NET_RULE;
use super::reader::{Field, Reader, looks_numeric};
use crate::display::shown;
use crate::network::{DEFAULT_PORTS, Where, network, parse_net_rule, place_of, port_number};
use crate::source::Place;
use crate::tree::Kind;
use crate::{HostPattern, IpNet, NetRule, NetTarget, ValueError};

/// Most rules in one list.
const MAX_RULES: usize = 512;
/// Most ports or addresses in one rule.
const MAX_PARTS: usize = 64;

/// Reads the rules of `field`, which are called `prefix[0]`, `prefix[1]`, and so on.
pub(super) fn networks(r: &mut Reader<'_>, field: &Field<'_>, prefix: &str) -> Vec<NetRule> {
    let help = "write a list such as `[\"api.bank.com:443\"]`, or `[]` for no network at all";
    let Some(items) = r.list(field, MAX_RULES, help) else { return Vec::new() };
    let mut rules = Vec::new();
    for (index, node) in items.iter().enumerate() {
        let item = field.element(node);
        let id = format!("{prefix}[{index}]");
        let rule = match &node.kind {
            Kind::Map(_) => mapping(r, &item, id),
            // A number is never a host, and quotes would not make it one.
            Kind::Plain(text) if looks_numeric(text) && parse_net_rule(&id, text).is_err() => {
                r.check(item.place(), parse_net_rule(&id, text))
            }
            _ => match r.text(&item, "write a rule such as `\"api.bank.com:443\"`") {
                Some(text) => r.check(item.place(), parse_net_rule(&id, text)),
                None => None,
            },
        };
        if let Some(rule) = rule {
            if let NetTarget::Host { pattern, .. } = &rule.target {
                international(r, item.place(), &rule.text, pattern);
            }
            rules.push(rule);
        }
    }
    rules
}

/// Says which name an international one becomes: two names that look the same can be different hosts.
pub(super) fn international(r: &mut Reader<'_>, place: Place, text: &str, pattern: &HostPattern) {
    if !text.is_ascii() {
        r.notice(place, false, format!("`{}` is `{}` in the DNS", shown(text), pattern_text(pattern)));
    }
}

fn mapping(r: &mut Reader<'_>, item: &Field<'_>, id: String) -> Option<NetRule> {
    let help = "write `{ host: \"api.bank.com\", ports: [443] }`";
    let fields = r.fields(item, &NET_RULE, help)?;
    let ports = fields.get("ports").map(|field| ports(r, &field));
    let addresses = fields.get("addresses").map(|field| (field.place(), addresses(r, &field)));
    let raw = fields.get("protocol").and_then(|field| r.choice(&field, &[("inspect", false), ("tcp", true)]));
    let Some(host) = fields.get("host") else {
        r.error(fields.place, "a network rule has no `host`", "add `host: \"api.bank.com\"`");
        return None;
    };
    let text = r.text(&host, "write a host such as `\"api.bank.com\"`")?;
    let place = r.check(host.place(), host_of(text))?;
    let raw = raw.unwrap_or(false);
    if raw && ports.is_none() {
        r.error(
            fields.place,
            "a rule with `protocol: tcp` names no ports",
            "raw TCP has no usual port; add `ports: [PORT]`",
        );
    }
    let ports = ports.unwrap_or_else(|| DEFAULT_PORTS.to_vec());
    let target = match (place, addresses) {
        (Where::Name(pattern), addresses) => {
            let addresses = addresses.map(|(_, nets)| nets).unwrap_or_default();
            NetTarget::Host { pattern, ports, addresses, raw }
        }
        (Where::Network(net), None) => NetTarget::Cidr { net, ports, raw },
        (Where::Network(_), Some((place, _))) => {
            r.error(
                place,
                "`addresses` says what a name may resolve into, and this host is an address itself",
                "remove `addresses`, or write a name as `host`",
            );
            return None;
        }
    };
    Some(NetRule { id, text: canonical(text, &target), target })
}

fn host_of(text: &str) -> Result<Where, ValueError> {
    let form = "in this form `host` is a name, a pattern, an address or a network; ports stand in `ports`";
    if text.contains("://") || text.starts_with("host-service:") || text.contains('@') {
        return Err(ValueError::new(format!("`{}` is not a host alone", shown(text)), form));
    }
    match text.rsplit_once(':') {
        Some((before, port)) if !text.ends_with(']') && (!before.contains(':') || before.ends_with(']')) => {
            Err(ValueError::new(
                format!("`{}` is not a host alone", shown(text)),
                format!("write `host: \"{}\"` and `ports: [{}]`", shown(before), shown(port)),
            ))
        }
        _ => {
            parse_net_rule("", text)?;
            place_of(text)
        }
    }
}

fn ports(r: &mut Reader<'_>, field: &Field<'_>) -> Vec<u16> {
    let Some(items) = r.list(field, MAX_PARTS, "write a list such as `[443]`") else { return Vec::new() };
    if items.is_empty() {
        r.error(field.place(), "`ports` is empty, so the rule allows nothing", "name a port, or remove the rule");
    }
    let mut ports = Vec::new();
    for node in items {
        let item = field.element(node);
        let Some(port) = r.digits(&item).and_then(|digits| r.check(item.place(), port_number(digits))) else {
            continue;
        };
        if ports.contains(&port) {
            r.error(item.place(), format!("port {port} is named twice"), "remove one of the two");
        } else {
            ports.push(port);
        }
    }
    ports
}

fn addresses(r: &mut Reader<'_>, field: &Field<'_>) -> Vec<IpNet> {
    let help = "write a list such as `[\"10.0.0.0/8\"]`";
    let Some(items) = r.list(field, MAX_PARTS, help) else { return Vec::new() };
    let mut nets = Vec::new();
    for node in items {
        let item = field.element(node);
        if let Some(text) = r.text(&item, help) {
            nets.extend(r.check(item.place(), network(text)));
        }
    }
    nets
}

/// The rule on one line, as it could stand in a list.
fn canonical(host: &str, target: &NetTarget) -> String {
    let (ports, addresses, raw) = match target {
        NetTarget::Host { ports, addresses, raw, .. } => (ports.as_slice(), addresses.as_slice(), *raw),
        NetTarget::Cidr { ports, raw, .. } => (ports.as_slice(), [].as_slice(), *raw),
        NetTarget::HostService { .. } => ([].as_slice(), [].as_slice(), true),
    };
    let ports = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    let mut text = format!("{{ host: \"{host}\", ports: [{ports}]");
    if !addresses.is_empty() {
        let nets = addresses.iter().map(|net| format!("\"{net}\"")).collect::<Vec<_>>().join(", ");
        text.push_str(&format!(", addresses: [{nets}]"));
    }
    text.push_str(if raw { ", protocol: tcp }" } else { " }" });
    text
}

fn pattern_text(pattern: &HostPattern) -> String {
    match pattern {
        HostPattern::Exact(name) => name.to_string(),
        HostPattern::OneLabel(name) => format!("*.{name}"),
        HostPattern::AnyDepth(name) => format!("**.{name}"),
    }
}
