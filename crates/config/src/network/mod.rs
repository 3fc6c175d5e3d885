//! Network rules in their string forms.
//!
//! A rule is read strictly, because a text that two readers understand differently is a hole: `HOST[:PORT]`,
//! `tcp://HOST:PORT`, `IP[:PORT]`, `[IPv6][:PORT]`, `CIDR[:PORT]`, `[IPv6 CIDR][:PORT]` and `host-service:IP:PORT`.

mod address;
mod host;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use address::any_network;
pub(crate) use address::network;
pub(crate) use host::host_name;
use host::pattern;

use crate::display::shown;
use crate::{HostPattern, IpNet, NetRule, NetTarget, ValueError};

/// The ports of a rule that names none.
pub(crate) const DEFAULT_PORTS: [u16; 2] = [80, 443];

/// Reads one network rule, as it stands in `allowed_networks` and after `--allow-net`. `id` is how decisions name it.
pub fn parse_net_rule(id: &str, text: &str) -> Result<NetRule, ValueError> {
    Ok(NetRule { id: id.to_owned(), text: text.to_owned(), target: target(text)? })
}

fn target(text: &str) -> Result<NetTarget, ValueError> {
    check_characters(text)?;
    if let Some(service) = text.strip_prefix("host-service:") {
        return host_service(text, service).map(|address| NetTarget::HostService { address });
    }
    let (raw, rest) = match text.split_once("://") {
        Some(("tcp", rest)) => (true, rest),
        Some((scheme, rest)) => return Err(url(text, scheme, rest)),
        None => (false, text),
    };
    if rest.contains('@') {
        return Err(ValueError::new(
            format!("`{}` has a user name in it", shown(text)),
            "write the host only; whoever reaches it signs in for themselves",
        ));
    }
    let (place, port) = split_port(text, rest)?;
    if raw && port.is_none() {
        return Err(ValueError::new(
            format!("`{}` names no port", shown(text)),
            format!("raw TCP has no usual port; write `tcp://{}:PORT`", shown(rest)),
        ));
    }
    let ports = port.map_or_else(|| DEFAULT_PORTS.to_vec(), |port| vec![port]);
    Ok(match place_of(place)? {
        Where::Name(pattern) => NetTarget::Host { pattern, ports, addresses: Vec::new(), raw },
        Where::Network(net) => NetTarget::Cidr { net, ports, raw },
    })
}

/// A rule's host, without the port.
pub(crate) enum Where {
    /// By name.
    Name(HostPattern),
    /// By address.
    Network(IpNet),
}

/// Reads a host name, a host pattern, an address or a network; IPv6 in brackets. Refuses this host's loopback.
pub(crate) fn place_of(text: &str) -> Result<Where, ValueError> {
    place(text, network)
}

/// Reads the same, this host's loopback included where it is written as an address.
pub(crate) fn any_place(text: &str) -> Result<Where, ValueError> {
    place(text, any_network)
}

fn place(text: &str, network: fn(&str) -> Result<IpNet, ValueError>) -> Result<Where, ValueError> {
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        if !inner.contains(':') {
            return Err(ValueError::new(
                format!("`{}` is not an IPv6 address", shown(text)),
                "brackets are for IPv6 only; write the host without them",
            ));
        }
        return network(inner).map(Where::Network);
    }
    if text.contains(':') {
        return Err(ValueError::new(
            format!("`{}` does not tell its address from its port", shown(text)),
            "put IPv6 in brackets: `[fd00::1]`, `[fd00::1]:443` or `[fd00::/8]:443`",
        ));
    }
    if let Some((before, _)) = text.split_once('/') {
        return if before.parse::<IpAddr>().is_ok() {
            network(text).map(Where::Network)
        } else {
            Err(ValueError::new(
                format!("`{}` has a path", shown(text)),
                format!("only the host counts, not what is on it; write `{}`", shown(before)),
            ))
        };
    }
    if text.parse::<IpAddr>().is_ok() {
        return network(text).map(Where::Network);
    }
    pattern(text).map(Where::Name)
}

fn check_characters(text: &str) -> Result<(), ValueError> {
    if text.is_empty() {
        return Err(ValueError::new(
            "the network rule is empty",
            "write a host such as `api.bank.com` or remove the rule",
        ));
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(ValueError::new(
            format!("`{}` has a space or a control character in it", shown(text)),
            "write one host per rule, without spaces",
        ));
    }
    Ok(())
}

/// Splits off the port. What is left may still hold colons, if the text is IPv6 without brackets.
fn split_port<'t>(text: &str, rest: &'t str) -> Result<(&'t str, Option<u16>), ValueError> {
    let (place, port) = if rest.starts_with('[') {
        match rest.split_once(']') {
            None => {
                return Err(ValueError::new(format!("`{}` has no closing `]`", shown(text)), "write `[IPv6]:PORT`"));
            }
            Some((inner, after)) => match (after.is_empty(), after.strip_prefix(':')) {
                (true, _) => (rest, None),
                (false, Some(port)) => (rest.get(..inner.len() + 1).unwrap_or(rest), Some(port)),
                (false, None) => {
                    return Err(ValueError::new(
                        format!("`{}` goes on after `]`", shown(text)),
                        "write `[IPv6]:PORT`, and the prefix length inside the brackets: `[fd00::/8]:443`",
                    ));
                }
            },
        }
    } else if rest.bytes().filter(|b| *b == b':').count() == 1 {
        rest.split_once(':').map_or((rest, None), |(place, port)| (place, Some(port)))
    } else {
        (rest, None)
    };
    match port {
        // A slash here belongs to a path behind the port; the place is reported with it.
        Some(digits) => port_number(digits).map(|port| (place, Some(port))),
        None => Ok((place, None)),
    }
}

/// Reads a port: plain decimal digits without leading zero, 1 to 65535.
pub(crate) fn port_number(digits: &str) -> Result<u16, ValueError> {
    let help = if let Some((port, _)) = digits.split_once('/').filter(|(port, _)| !port.is_empty()) {
        format!("a rule names a host and a port, not a path; write `:{}`", shown(port))
    } else if digits.contains(['-', ',', '*']) {
        "one port per rule; for several, write `{ host: HOST, ports: [80, 443] }`".to_owned()
    } else {
        "write a whole number from 1 to 65535 without leading zeros, or leave `:PORT` out for 80 and 443".to_owned()
    };
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    plain
        .then(|| digits.parse().ok())
        .flatten()
        .filter(|port| *port != 0)
        .ok_or_else(|| ValueError::new(format!("`{}` is not a port", shown(digits)), help))
}

fn host_service(text: &str, service: &str) -> Result<SocketAddr, ValueError> {
    let bad = |message: String, help: &str| Err(ValueError::new(message, help));
    let form = "write `host-service:127.0.0.1:PORT` or `host-service:[::1]:PORT`";
    let (place, port) = split_port(text, service)?;
    let inner = place.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let ip = match inner {
        Some(inner) => inner.parse::<Ipv6Addr>().map(IpAddr::from).ok(),
        None => place.parse::<IpAddr>().ok().filter(IpAddr::is_ipv4),
    };
    match (ip, port) {
        (Some(ip), _) if !ip.is_loopback() => bad(
            format!("`{}` does not name a loopback address", shown(text)),
            "`host-service` is for services on this host's loopback; write other addresses as `IP:PORT`",
        ),
        (Some(ip), Some(port)) => Ok(SocketAddr::new(ip, port)),
        (Some(_), None) => bad(format!("`{}` names no port", shown(text)), form),
        (None, _) => bad(format!("`{}` names no IP address", shown(text)), form),
    }
}

/// Explains what to write in place of a URL.
fn url(text: &str, scheme: &str, rest: &str) -> ValueError {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let port = match scheme.to_ascii_lowercase().as_str() {
        "http" | "ws" => ":80",
        "https" | "wss" => ":443",
        _ => ":PORT",
    };
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    let port = if has_port { "" } else { port };
    ValueError::new(
        format!("`{}` is a URL, not a host", shown(text)),
        format!(
            "write `{}{port}`; only `tcp://HOST:PORT` has a scheme, for bytes that are neither TLS nor HTTP",
            shown(authority)
        ),
    )
}

#[cfg(test)]
mod tests;
