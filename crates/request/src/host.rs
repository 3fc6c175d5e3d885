//! Host names and destinations in their one canonical form.
//!
//! Two parsers that read one host name differently are the oldest hole of an allow list (decimal and
//! octal addresses, trailing dots, NUL bytes). So there is one parser, it accepts only the canonical
//! form after lower-casing and removing one trailing dot, and everything later compares whole values.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A DNS host name: lower-case ASCII labels (RFC 1123, `_` allowed), no trailing dot, at most 253 bytes,
/// and not something that any resolver would read as an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DnsName(String);

/// Why a text is not a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing there.
    #[error("the host is empty")]
    Empty,
    /// More than 253 bytes in all or 63 in one label.
    #[error("the host name is longer than DNS allows")]
    TooLong,
    /// An empty label, as in `a..b`.
    #[error("the host name has an empty label")]
    EmptyLabel,
    /// A character that no host name has.
    #[error("`{}` cannot stand in a host name", .0.escape_default())]
    Character(char),
    /// A dash at an end of a label.
    #[error("a label of a host name begins or ends with `-`")]
    Dash,
    /// `127.1`, `0x7f000001`, `2130706433`, `010.0.0.1`: some resolvers read these as addresses.
    #[error("this looks like an address but is not in canonical form")]
    NotCanonicalAddress,
    /// Port missing, zero or too large, or not plain decimal.
    #[error("the port must be a plain decimal number from 1 to 65535")]
    Port,
}

impl DnsName {
    /// Reads a host name; upper case is folded and one trailing dot removed.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(HostError::Empty);
        }
        if text.len() > 253 {
            return Err(HostError::TooLong);
        }
        let mut last = "";
        for label in text.split('.') {
            if label.is_empty() {
                return Err(HostError::EmptyLabel);
            }
            if label.len() > 63 {
                return Err(HostError::TooLong);
            }
            if let Some(c) = label.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))) {
                return Err(HostError::Character(c));
            }
            if label.starts_with('-') || label.ends_with('-') {
                return Err(HostError::Dash);
            }
            last = label;
        }
        let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
        if last.bytes().all(|b| b.is_ascii_digit()) || hex.is_some_and(|h| h.bytes().all(|b| b.is_ascii_hexdigit())) {
            return Err(HostError::NotCanonicalAddress);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A host: a name or an address. IPv4-mapped IPv6 addresses are unwrapped, so that there is one form of each.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// By name.
    Name(DnsName),
    /// By address.
    Ip(IpAddr),
}

impl Host {
    /// Reads a name, a canonical IPv4 address, or an IPv6 address with or without brackets.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(HostError::Character('['))?;
            return inner.parse::<Ipv6Addr>().map(|a| Host::ip(a.into())).map_err(|_| HostError::NotCanonicalAddress);
        }
        if text.contains(':') {
            return text.parse::<Ipv6Addr>().map(|a| Host::ip(a.into())).map_err(|_| HostError::NotCanonicalAddress);
        }
        match text.parse::<Ipv4Addr>() {
            Ok(address) => Ok(Host::Ip(address.into())),
            Err(_) => DnsName::parse(text).map(Host::Name),
        }
    }

    /// An address, with an IPv4-mapped one unwrapped.
    pub fn ip(address: IpAddr) -> Self {
        Host::Ip(address.to_canonical())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => name.fmt(f),
            Host::Ip(address) => address.fmt(f),
        }
    }
}

/// Where a connection is meant to go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// The host that the client named or dialled.
    pub host: Host,
    /// TCP or UDP port, 1 to 65535.
    pub port: u16,
}

impl Destination {
    /// Reads `host:port` or, where `default_port` is given, `host` (RFC 3986 authority without userinfo).
    pub fn parse_authority(text: &str, default_port: Option<u16>) -> Result<Self, HostError> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
            _ => (text, None),
        };
        let port = match (port, default_port) {
            (Some(digits), _) => parse_port(digits)?,
            (None, Some(port)) => port,
            (None, None) => return Err(HostError::Port),
        };
        Ok(Self { host: Host::parse(host)?, port })
    }
}

/// Reads a port: 1 to 5 plain digits without leading zero.
fn parse_port(digits: &str) -> Result<u16, HostError> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    plain.then(|| digits.parse().ok()).flatten().filter(|port| *port != 0).ok_or(HostError::Port)
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            host => write!(f, "{host}:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_form() {
        assert_eq!(DnsName::parse("API.Bank.COM.").unwrap().as_str(), "api.bank.com");
        for (text, error) in [
            ("", HostError::Empty),
            (".", HostError::Empty),
            ("a..b", HostError::EmptyLabel),
            ("a.com..", HostError::EmptyLabel),
            ("a\0.com", HostError::Character('\0')),
            ("a.com%00.evil", HostError::Character('%')),
            ("user@host", HostError::Character('@')),
            ("-a.com", HostError::Dash),
            ("127.1", HostError::NotCanonicalAddress),
            ("2130706433", HostError::NotCanonicalAddress),
            ("0x7f000001", HostError::NotCanonicalAddress),
            ("010.0.0.1", HostError::NotCanonicalAddress),
        ] {
            assert_eq!(Host::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn mapped_addresses_are_unwrapped() {
        assert_eq!(Host::parse("[::ffff:169.254.169.254]"), Ok(Host::Ip("169.254.169.254".parse().unwrap())));
        assert_eq!(Host::parse("::1"), Ok(Host::Ip("::1".parse().unwrap())));
    }

    #[test]
    fn authorities_take_plain_ports_only() {
        let ok = Destination::parse_authority("api.bank.com:443", None).unwrap();
        assert_eq!(ok.to_string(), "api.bank.com:443");
        assert_eq!(Destination::parse_authority("[::1]:80", None).unwrap().to_string(), "[::1]:80");
        assert_eq!(Destination::parse_authority("a.com", Some(80)).unwrap().port, 80);
        for text in ["a.com:0", "a.com:08080", "a.com:65536", "a.com:", "a.com:+1", "a.com"] {
            assert_eq!(Destination::parse_authority(text, None), Err(HostError::Port), "{text}");
        }
    }
}
