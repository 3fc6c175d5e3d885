//! Request heads.

use nanoclaw_request::Destination;

use super::fields::{self, Field, Framing};
use super::{HeadError, Version, is_token, lines};

/// What a request asks for (RFC 9112 section 3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `/path?query`, or `*` for `OPTIONS`.
    Origin(String),
    /// `http://host:port/path?query`, to a proxy.
    Absolute {
        /// Whom the request is for.
        authority: Destination,
        /// The rest, in origin form.
        origin: String,
    },
    /// `host:port`, with `CONNECT`.
    Authority(Destination),
}

/// The head of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// Method, a token.
    pub method: String,
    /// What it asks for.
    pub target: Target,
    /// Its version.
    pub version: Version,
    /// The Host field; `None` only with `CONNECT`.
    pub host: Option<Destination>,
    /// Where its body ends.
    pub framing: Framing,
    fields: Vec<Field>,
}

impl RequestHead {
    /// Reads a whole head, as [`super::HeadScanner`] found it.
    pub fn parse(head: &[u8]) -> Result<Self, HeadError> {
        let mut lines = lines(head)?;
        let (method, target, version) = request_line(lines.next().unwrap_or_default())?;
        let fields = fields::parse(lines)?;
        let framing = fields::framing(&fields, version)?.unwrap_or(Framing::None);
        let connect = method == "CONNECT";
        let hosts: Vec<&Field> = fields.iter().filter(|field| field.is("host")).collect();
        let host = match hosts.as_slice() {
            [] if connect => None,
            [host] => Some(authority(&host.value, Some(80))?),
            several => return Err(HeadError::HostCount(several.len())),
        };
        if connect && !matches!(framing, Framing::None | Framing::Length(0)) {
            return Err(HeadError::ConnectBody);
        }
        let target = parse_target(&method, &target)?;
        Ok(Self { method, target, version, host, framing, fields })
    }

    /// The path without its query.
    pub fn path(&self) -> &str {
        let origin = match &self.target {
            Target::Origin(origin) | Target::Absolute { origin, .. } => origin,
            Target::Authority(_) => return "",
        };
        origin.split_once('?').map_or(origin, |(path, _)| path)
    }

    /// The query, where there is one.
    pub fn query(&self) -> Option<&str> {
        match &self.target {
            Target::Origin(origin) | Target::Absolute { origin, .. } => origin.split_once('?').map(|(_, query)| query),
            Target::Authority(_) => None,
        }
    }

    /// Whether the client means to send another request on the connection.
    pub fn is_persistent(&self) -> bool {
        self.version == Version::V11 && !fields::lists(&self.fields, "connection", "close")
    }

    /// Whether it asks to change to WebSocket (RFC 6455 section 4.1). No other upgrade is passed on.
    pub fn asks_for_websocket(&self) -> bool {
        self.is_persistent()
            && self.method == "GET"
            && self.framing == Framing::None
            && fields::lists(&self.fields, "connection", "upgrade")
            && self.fields.iter().filter(|field| field.is("upgrade")).count() == 1
            && self.fields.iter().any(|field| field.is("upgrade") && field.value.eq_ignore_ascii_case(b"websocket"))
    }

    /// Each field on a line, as it was written.
    pub fn fields(&self) -> impl Iterator<Item = String> {
        self.fields.iter().map(|field| format!("{}: {}", field.name, String::from_utf8_lossy(&field.value)))
    }

    /// The coding of its body, where that is not the identity.
    pub fn content_coding(&self) -> Option<String> {
        let mut codings = self.fields.iter().filter(|field| field.is("content-encoding"));
        let coding = codings.find(|field| !field.value.eq_ignore_ascii_case(b"identity"))?;
        Some(String::from_utf8_lossy(&coding.value).chars().take(40).collect())
    }

    /// Whether it says that its body is in another character set than ASCII or UTF-8.
    pub fn is_in_other_charset(&self) -> bool {
        let types = self.fields.iter().filter(|field| field.is("content-type"));
        let values = types.map(|field| String::from_utf8_lossy(&field.value).to_ascii_lowercase());
        values.into_iter().any(|value| {
            value.split("charset").skip(1).any(|rest| {
                let name = rest.trim_start_matches([' ', '\t', '=', '"', '\'']);
                !["utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1"].iter().any(|known| name.starts_with(known))
            })
        })
    }

    /// Whether the client waits for a `100 Continue` before it sends the body.
    pub fn waits_to_continue(&self) -> bool {
        self.version == Version::V11 && fields::lists(&self.fields, "expect", "100-continue")
    }

    /// The head that goes to the server: origin form, only end-to-end fields, one framing.
    pub fn to_bytes(&self) -> Vec<u8> {
        let origin = match &self.target {
            Target::Origin(origin) | Target::Absolute { origin, .. } => origin.clone(),
            Target::Authority(destination) => destination.to_string(),
        };
        let mut out = Vec::with_capacity(1024);
        for part in [self.method.as_bytes(), b" ", origin.as_bytes(), b" ", self.version.text(), b"\r\n"] {
            out.extend_from_slice(part);
        }
        fields::write_end_to_end(&self.fields, &mut out);
        if self.framing == Framing::Chunked {
            fields::write_field("Transfer-Encoding", b"chunked", &mut out);
        }
        if self.asks_for_websocket() {
            fields::write_field("Connection", b"Upgrade", &mut out);
            fields::write_field("Upgrade", b"websocket", &mut out);
        } else if !self.is_persistent() {
            fields::write_field("Connection", b"close", &mut out);
        }
        out.extend_from_slice(b"\r\n");
        out
    }
}

fn request_line(line: &[u8]) -> Result<(String, String, Version), HeadError> {
    let parts: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [method, target, version] = parts.as_slice() else { return Err(HeadError::RequestLine) };
    if !is_token(method) || method.len() > 32 || !version.starts_with(b"HTTP/") {
        return Err(HeadError::RequestLine);
    }
    let version = Version::parse(version)?;
    // `#` begins a fragment, which no client sends; a server that cut it off would read another path than we do.
    if target.is_empty() || !target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#') {
        return Err(HeadError::Target);
    }
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| HeadError::RequestLine);
    Ok((text(method)?, text(target)?, version))
}

fn parse_target(method: &str, target: &str) -> Result<Target, HeadError> {
    if method == "CONNECT" {
        return Ok(Target::Authority(authority(target.as_bytes(), None)?));
    }
    if target.starts_with('/') || (target == "*" && method == "OPTIONS") {
        return Ok(Target::Origin(target.to_owned()));
    }
    let (scheme, rest) = target.split_once("://").ok_or(HeadError::Target)?;
    if !scheme.eq_ignore_ascii_case("http") {
        return Err(HeadError::Scheme);
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, path) = rest.split_at_checked(end).ok_or(HeadError::Target)?;
    let origin = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok(Target::Absolute { authority: authority(host.as_bytes(), Some(80))?, origin })
}

fn authority(text: &[u8], default_port: Option<u16>) -> Result<Destination, HeadError> {
    let text = str::from_utf8(text).map_err(|_| HeadError::Target)?;
    Ok(Destination::parse_authority(text, default_port)?)
}
