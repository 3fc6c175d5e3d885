//! Response heads. The server is not trusted either, but it cannot reach more by lying than its own client.

use super::fields::{self, Field, Framing};
use super::{HeadError, Version, lines};

/// The head of one response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// Status code, 100 to 599.
    pub status: u16,
    /// Where its body ends.
    pub framing: Framing,
    version: Version,
    reason: Vec<u8>,
    fields: Vec<Field>,
}

impl ResponseHead {
    /// Reads a whole head that answers a request with `method`.
    pub fn parse(head: &[u8], method: &str) -> Result<Self, HeadError> {
        let mut lines = lines(head)?;
        let line = lines.next().unwrap_or_default();
        let mut parts = line.splitn(3, |byte| *byte == b' ');
        let version = Version::parse(parts.next().unwrap_or_default())?;
        let status = match parts.next() {
            Some(code @ [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9']) => str::from_utf8(code).ok(),
            _ => None,
        };
        let status = status.and_then(|code| code.parse().ok()).ok_or(HeadError::StatusLine)?;
        let reason = parts.next().unwrap_or_default().to_vec();
        if reason.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(HeadError::StatusLine);
        }
        let fields = fields::parse(lines)?;
        let declared = fields::framing(&fields, version)?;
        let bodiless = method == "HEAD" || matches!(status, 100..=199 | 204 | 304);
        let framing = if bodiless { Framing::None } else { declared.unwrap_or(Framing::UntilClose) };
        Ok(Self { status, framing, version, reason, fields })
    }

    /// Whether another response can follow on the connection.
    pub fn is_persistent(&self) -> bool {
        self.version == Version::V11
            && self.framing != Framing::UntilClose
            && !fields::lists(&self.fields, "connection", "close")
    }

    /// Whether it changes to WebSocket.
    pub fn switches_to_websocket(&self) -> bool {
        self.status == 101
            && self.fields.iter().any(|field| field.is("upgrade") && field.value.eq_ignore_ascii_case(b"websocket"))
    }

    /// The head that goes to the client. `close` tells it that this is the last response.
    pub fn to_bytes(&self, close: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        out.extend_from_slice(format!("HTTP/1.1 {} ", self.status).as_bytes());
        out.extend_from_slice(&self.reason);
        out.extend_from_slice(b"\r\n");
        fields::write_end_to_end(&self.fields, &mut out);
        if fields::lists(&self.fields, "transfer-encoding", "chunked") {
            fields::write_field("Transfer-Encoding", b"chunked", &mut out);
        }
        if self.switches_to_websocket() {
            fields::write_field("Connection", b"Upgrade", &mut out);
            fields::write_field("Upgrade", b"websocket", &mut out);
        } else if close {
            fields::write_field("Connection", b"close", &mut out);
        }
        out.extend_from_slice(b"\r\n");
        out
    }
}
