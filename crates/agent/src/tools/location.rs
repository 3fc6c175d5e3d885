//! Addresses of web pages (RFC 3986), as far as fetching them needs.

use std::fmt;

/// Longest address in bytes.
const LONGEST_ADDRESS: usize = 8192;

/// Where a page is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// Whether it is `https`.
    pub tls: bool,
    /// Lower-case name or address; IPv6 without brackets.
    pub host: String,
    /// The port, also where it is the usual one.
    pub port: u16,
    /// Path and query, percent-encoded, beginning with `/`.
    pub target: String,
}

impl Location {
    /// Reads an address of `http` or `https`. The error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.len() > LONGEST_ADDRESS {
            return Err(format!("the address is longer than {LONGEST_ADDRESS} bytes"));
        }
        let wrong = |what: &str| format!("`{text}` {what}");
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("has no scheme; write `https://…`"))?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(wrong("is neither http nor https; only these can be fetched")),
        };
        let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.contains('@') {
            return Err(wrong("has a user name in it; leave it out"));
        }
        if !authority.is_ascii() {
            return Err(wrong("has a host that is not ASCII; write it as `xn--…`"));
        }
        let parsed: http::uri::Authority = authority.parse().map_err(|_| wrong("has no valid host"))?;
        let host = parsed.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let port = match authority.strip_prefix(parsed.host()) {
            Some("") => {
                if tls {
                    443
                } else {
                    80
                }
            }
            Some(_) => parsed.port_u16().filter(|port| *port != 0).ok_or_else(|| wrong("has no valid port"))?,
            None => return Err(wrong("has no valid host")),
        };
        if host.is_empty() {
            return Err(wrong("has no host"));
        }
        Ok(Self { tls, host, port, target: encoded(target) })
    }

    /// Where a `Location` field of the page leads to.
    pub(super) fn join(&self, location: &str) -> Result<Self, String> {
        let location = location.trim();
        let scheme = location.split_once(':').map(|(scheme, _)| scheme);
        if scheme.is_some_and(|s| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)))
        {
            return Self::parse(location);
        }
        if location.starts_with("//") {
            return Self::parse(&format!("{}:{location}", if self.tls { "https" } else { "http" }));
        }
        let path = self.target.split('?').next().unwrap_or_default();
        let target = if location.starts_with('/') {
            location.to_owned()
        } else if location.starts_with('?') || location.is_empty() {
            format!("{path}{location}")
        } else {
            let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
            format!("{directory}/{location}")
        };
        Self::parse(&format!("{}{}", self.origin(), without_dots(&target)))
    }

    /// Scheme, host and port.
    pub(super) fn origin(&self) -> String {
        let (scheme, usual) = if self.tls { ("https", 443) } else { ("http", 80) };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == usual { format!("{scheme}://{host}") } else { format!("{scheme}://{host}:{}", self.port) }
    }

    /// What stands in the `Host` field.
    pub(crate) fn authority(&self) -> String {
        let origin = self.origin();
        origin.split_once("://").map_or(origin.clone(), |(_, authority)| authority.to_owned())
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.target)
    }
}

/// Path and query without the fragment; what may not stand there is percent-encoded.
fn encoded(target: &str) -> String {
    let target = target.split('#').next().unwrap_or_default();
    let mut out = String::with_capacity(target.len() + 1);
    if !target.starts_with('/') {
        out.push('/');
    }
    for byte in target.bytes() {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A path with its `.` and `..` resolved (RFC 3986 section 5.2.4); a query behind it stays as it is.
fn without_dots(target: &str) -> String {
    let (path, query) = target.split_at(target.find(['?', '#']).unwrap_or(target.len()));
    let mut kept: Vec<&str> = Vec::new();
    let mut parts = path.split('/').skip(1).peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        match part {
            "." | ".." => {
                if part == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            part => kept.push(part),
        }
    }
    format!("/{}{query}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Location::parse(text).unwrap().to_string()
    }

    #[test]
    fn addresses_are_read_and_written() {
        for (text, is) in [
            ("https://Example.com", "https://example.com/"),
            ("http://example.com:80/a?b=c#d", "http://example.com/a?b=c"),
            ("https://example.com:8443?q", "https://example.com:8443/?q"),
            ("http://[2001:db8::1]:8080/x", "http://[2001:db8::1]:8080/x"),
            ("https://example.com/größe x/%20", "https://example.com/gr%C3%B6%C3%9Fe%20x/%20"),
            ("HTTPS://example.com/{a}", "https://example.com/%7Ba%7D"),
        ] {
            assert_eq!(shown(text), is);
        }
        assert_eq!(Location::parse("http://[::1]:8080/").unwrap().host, "::1");
        assert_eq!(Location::parse("http://[::1]:8080/").unwrap().authority(), "[::1]:8080");
    }

    #[test]
    fn what_cannot_be_fetched_is_refused_with_a_reason() {
        for (text, says) in [
            ("example.com", "has no scheme"),
            ("ftp://example.com/", "neither http nor https"),
            ("file:///etc/passwd", "neither http nor https"),
            ("https://user:key@example.com/", "user name"),
            ("https://bücher.example/", "xn--"),
            ("https://", "no"),
            ("https://:80/", "no"),
            ("https://example.com:0/", "port"),
            ("https://example.com:99999/", "valid"),
            ("https://exa mple.com/", "valid host"),
            ("https://example.com\\@evil.example/", ""),
        ] {
            match Location::parse(text) {
                Err(error) => assert!(error.contains(says), "{error}"),
                Ok(location) => assert_eq!(location.host, "example.com", "{text}"),
            }
        }
        assert!(Location::parse(&format!("https://example.com/{}", "x".repeat(LONGEST_ADDRESS))).is_err());
    }

    #[test]
    fn redirects_lead_where_browsers_go() {
        let from = Location::parse("https://example.com/a/b/c?q=1").unwrap();
        for (location, is) in [
            ("http://other.example/x", "http://other.example/x"),
            ("//other.example/x", "https://other.example/x"),
            ("/x", "https://example.com/x"),
            ("x", "https://example.com/a/b/x"),
            ("../x?y=/../z", "https://example.com/a/x?y=/../z"),
            ("../../../../x", "https://example.com/x"),
            (".", "https://example.com/a/b/"),
            ("?p", "https://example.com/a/b/c?p"),
            ("x?u=http://a", "https://example.com/a/b/x?u=http://a"),
            ("", "https://example.com/a/b/c"),
        ] {
            assert_eq!(from.join(location).unwrap().to_string(), is, "{location}");
        }
        assert!(from.join("javascript:alert(1)").is_err());
        assert!(from.join("file:///etc/passwd").is_err());
    }
}
