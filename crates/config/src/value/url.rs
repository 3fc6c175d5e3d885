//! Addresses of services: `http` and `https` URLs, read as strictly as network rules.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nanoclaw_request::DnsName;

use super::ValueError;
use crate::display::shown;
use crate::network::port_number;

/// Longest URL in bytes.
const MAX_URL: usize = 2048;

/// What a URL says besides its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    /// The URL without a slash at its end.
    pub(crate) text: String,
    /// Whether it is `https`.
    pub(crate) tls: bool,
    /// Whether its host is this host's loopback.
    pub(crate) loopback: bool,
}

/// Reads a URL of a host, maybe a port and a path: no user, no query, no fragment.
pub(crate) fn url(text: &str, example: &str) -> Result<Url, ValueError> {
    let bad = |what: &str, help: &str| Err(ValueError::new(format!("`{}` {what}", shown(text)), help));
    let form = format!("write a URL such as `{example}`");
    if text.len() > MAX_URL {
        return bad(&format!("is longer than {MAX_URL} bytes"), &form);
    }
    let (tls, rest) = match text.split_once("://") {
        Some(("https", rest)) => (true, rest),
        Some(("http", rest)) => (false, rest),
        Some(_) => return bad("is neither an `http` nor an `https` URL", &form),
        None => return bad("is not a URL", &form),
    };
    if let Some(c) = rest
        .chars()
        .find(|c| !c.is_ascii_graphic() || matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}'))
    {
        let help = if c.is_ascii() { "remove it" } else { "write an international name in its `xn--` form" };
        return bad(&format!("has the character `{}` in it, which no URL has", shown(&c.to_string())), help);
    }
    if rest.contains(['?', '#']) {
        // What follows may be a key, and so may a user name: neither is repeated.
        return Err(ValueError::new("the URL has a query or a fragment", "write it without what follows `?` or `#`"));
    }
    let (authority, path) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len())).unwrap_or((rest, ""));
    if authority.contains('@') {
        return Err(ValueError::new(
            "the URL has a user name or a password in it",
            "remove it; a key stands neither in a URL nor in this file",
        ));
    }
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.split('/').skip(1).any(|part| matches!(part, "" | "." | "..")) {
        return bad("has an empty part, `.` or `..` in its path", "write the path in its shortest form");
    }
    let loopback = host(text, authority)?;
    let scheme = if tls { "https" } else { "http" };
    Ok(Url { text: format!("{scheme}://{authority}{path}"), tls, loopback })
}

/// Checks host and port, and says whether they are this host's loopback.
fn host(text: &str, authority: &str) -> Result<bool, ValueError> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    port.map(port_number).transpose()?;
    let address = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().map(IpAddr::from).ok(),
        None => host.parse::<Ipv4Addr>().map(IpAddr::from).ok(),
    };
    if let Some(address) = address {
        return Ok(address.is_loopback());
    }
    match DnsName::parse(host) {
        Ok(name) => Ok(name.as_str() == "localhost"),
        Err(error) => Err(ValueError::new(
            format!("`{}` names no host: {error}", shown(text)),
            "write a host name, an IPv4 address, or an IPv6 address in brackets",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Url, ValueError> {
        url(text, "https://api.example.com/v1")
    }

    fn said(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn urls_lose_the_slash_at_their_end() {
        for (text, expected, tls, loopback) in [
            ("https://api.example.com/v1", "https://api.example.com/v1", true, false),
            ("https://api.example.com/v1/", "https://api.example.com/v1", true, false),
            ("https://api.example.com/", "https://api.example.com", true, false),
            ("https://api.example.com", "https://api.example.com", true, false),
            ("http://localhost:11434/v1", "http://localhost:11434/v1", false, true),
            ("http://127.8.9.1:80", "http://127.8.9.1:80", false, true),
            ("http://[::1]:8080/a%20b", "http://[::1]:8080/a%20b", false, true),
            ("http://10.1.2.3", "http://10.1.2.3", false, false),
            ("https://localhost.example.com/~x", "https://localhost.example.com/~x", true, false),
            ("http://127.0.0.1.example.com", "http://127.0.0.1.example.com", false, false),
        ] {
            assert_eq!(read(text), Ok(Url { text: expected.to_owned(), tls, loopback }), "{text}");
        }
    }

    #[test]
    fn what_readers_could_take_apart_differently_is_refused() {
        let host = "write a host name, an IPv4 address, or an IPv6 address in brackets";
        for (text, expected) in [
            ("", "`` is not a URL; write a URL such as `https://api.example.com/v1`".to_owned()),
            (
                "api.example.com/v1",
                "`api.example.com/v1` is not a URL; write a URL such as `https://api.example.com/v1`".to_owned(),
            ),
            (
                "ftp://a.com",
                "`ftp://a.com` is neither an `http` nor an `https` URL; write a URL such as `https://api.example.com/v1`"
                    .to_owned(),
            ),
            (
                "https://a.com/v1?key=x",
                "the URL has a query or a fragment; write it without what follows `?` or `#`".to_owned(),
            ),
            (
                "https://user:secret@a.com/v1",
                "the URL has a user name or a password in it; remove it; a key stands neither in a URL nor in this file"
                    .to_owned(),
            ),
            ("https://a.com/a b", "`https://a.com/a b` has the character ` ` in it, which no URL has; remove it".to_owned()),
            (
                "https://bücher.example",
                "`https://bücher.example` has the character `ü` in it, which no URL has; write an international name in its `xn--` form"
                    .to_owned(),
            ),
            (
                "https://a.com\\@b.com",
                "`https://a.com\\@b.com` has the character `\\` in it, which no URL has; remove it".to_owned(),
            ),
            (
                "https://a.com/../x",
                "`https://a.com/../x` has an empty part, `.` or `..` in its path; write the path in its shortest form".to_owned(),
            ),
            (
                "https://a.com//x",
                "`https://a.com//x` has an empty part, `.` or `..` in its path; write the path in its shortest form".to_owned(),
            ),
            ("https:///v1", format!("`https:///v1` names no host: the host is empty; {host}")),
            (
                "http://127.1/v1",
                format!("`http://127.1/v1` names no host: this looks like an address but is not in canonical form; {host}"),
            ),
            ("http://[::1/v1", format!("`http://[::1/v1` names no host: `[` cannot stand in a host name; {host}")),
            ("http://::1", format!("`http://::1` names no host: `:` cannot stand in a host name; {host}")),
            (
                "http://a.com:0/",
                "`0` is not a port; write a whole number from 1 to 65535 without leading zeros, or leave `:PORT` out for 80 and 443"
                    .to_owned(),
            ),
        ] {
            assert_eq!(said(text), expected);
        }
        assert!(read(&format!("https://a.com/{}", "x".repeat(2048))).is_err());
    }
}
