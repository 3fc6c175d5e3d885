//! HTTP/1 message heads (RFC 9112), read strictly.
//!
//! Where the RFC lets a recipient be lenient (bare line feeds, folded lines, repeated lengths, a length beside a
//! transfer coding), this parser refuses: leniency is what request smuggling is made of. What it accepts is
//! written out again by [`RequestHead::to_bytes`], never passed through.

mod fields;
mod request;
mod response;

pub use fields::{Field, Framing};
pub use request::{RequestHead, Target};
pub use response::ResponseHead;

use nanoclaw_request::HostError;

/// Longest head in bytes, with its final empty line.
pub const MAX_HEAD: usize = 64 * 1024;

/// Most fields in a head.
pub const MAX_FIELDS: usize = 100;

/// Why bytes are not a head.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// More than [`MAX_HEAD`] bytes.
    #[error("the head is longer than {MAX_HEAD} bytes")]
    TooLong,
    /// More than [`MAX_FIELDS`] fields.
    #[error("the head has more than {MAX_FIELDS} fields")]
    TooManyFields,
    /// A line that does not end in CR LF, or a CR within one.
    #[error("a line of the head does not end in CR LF")]
    LineEnd,
    /// The first line of a request is not `METHOD TARGET HTTP/1.x`.
    #[error("the request line is malformed")]
    RequestLine,
    /// The first line of a response is not `HTTP/1.x NNN reason`.
    #[error("the status line is malformed")]
    StatusLine,
    /// Not HTTP/1.0 or HTTP/1.1.
    #[error("the HTTP version is not 1.0 or 1.1")]
    Version,
    /// The request target is of no form that fits the method.
    #[error("the request target is malformed")]
    Target,
    /// A proxy request for another scheme than `http`.
    #[error("only http:// can be asked of the proxy directly; use CONNECT for everything else")]
    Scheme,
    /// A field that is not `name: value`.
    #[error("a header field is malformed")]
    Field,
    /// A field folded over two lines.
    #[error("a header field is folded over two lines")]
    Fold,
    /// No Host field, or several.
    #[error("a request has exactly one Host field, this one has {0}")]
    HostCount(usize),
    /// The authority names no host that could be decided on.
    #[error("the host of the request is malformed: {0}")]
    Host(#[from] HostError),
    /// A length that is not one plain number.
    #[error("Content-Length is not one plain number")]
    Length,
    /// A transfer coding other than `chunked` alone.
    #[error("the only transfer coding is `chunked`, once, in HTTP/1.1")]
    TransferCoding,
    /// Both of them: two readers would disagree where the body ends.
    #[error("Content-Length and Transfer-Encoding stand side by side")]
    LengthAndCoding,
    /// A CONNECT request with a body.
    #[error("a CONNECT request has no body")]
    ConnectBody,
}

/// Finds the end of a head while it arrives, without reading any byte twice.
#[derive(Debug, Default)]
pub struct HeadScanner {
    scanned: usize,
    line_start: usize,
}

impl HeadScanner {
    /// Looks at `bytes`, which begin with what earlier calls saw. Gives the length of the head once it is whole.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, HeadError> {
        let mut before = self.scanned.checked_sub(1).and_then(|at| bytes.get(at)).copied();
        for byte in bytes.get(self.scanned..).unwrap_or_default() {
            let after_cr = before == Some(b'\r');
            if after_cr != (*byte == b'\n') {
                return Err(HeadError::LineEnd);
            }
            if self.scanned >= MAX_HEAD {
                return Err(HeadError::TooLong);
            }
            self.scanned += 1;
            before = Some(*byte);
            if *byte == b'\n' {
                let line_length = self.scanned - self.line_start;
                self.line_start = self.scanned;
                if line_length == 2 {
                    return Ok(Some(self.scanned));
                }
            }
        }
        Ok(None)
    }
}

/// HTTP/1 minor version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: one request for each connection.
    V10,
    /// HTTP/1.1.
    V11,
}

impl Version {
    fn parse(text: &[u8]) -> Result<Self, HeadError> {
        match text {
            b"HTTP/1.0" => Ok(Version::V10),
            b"HTTP/1.1" => Ok(Version::V11),
            _ => Err(HeadError::Version),
        }
    }

    fn text(self) -> &'static [u8] {
        match self {
            Version::V10 => b"HTTP/1.0",
            Version::V11 => b"HTTP/1.1",
        }
    }
}

/// The lines of a whole head, without their ends and without the last, empty one.
fn lines(head: &[u8]) -> Result<impl Iterator<Item = &[u8]>, HeadError> {
    let body = head.strip_suffix(b"\r\n\r\n").ok_or(HeadError::LineEnd)?;
    Ok(body.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)))
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// Whether the first line of `bytes` claims to be an HTTP/1 request; `None` while it is not whole. The line may
/// still be malformed: this only says which protocol the client means to speak.
pub fn claims_http(bytes: &[u8]) -> Option<bool> {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        let method = bytes.split(|byte| *byte == b' ').next().unwrap_or_default();
        return if bytes.is_empty() || (is_token(method) && method.len() <= 32) { None } else { Some(false) };
    };
    let line = bytes.get(..end).unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let version = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    Some(version.starts_with(b"HTTP/1."))
}

#[cfg(test)]
mod tests;
