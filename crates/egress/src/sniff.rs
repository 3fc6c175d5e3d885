//! What a client says first on a connection. Nothing is written to anyone before it is known.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::inspect::head::claims_http;
use crate::inspect::tls::{Hello, MAX_HELLO, client_hello};
use crate::wire::Wire;

/// The first bytes of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum First {
    /// A TLS hello, whole or broken.
    Tls(Hello),
    /// The first line of an HTTP/1 request; its head is still to be read.
    Http,
    /// Something else.
    Opaque,
    /// Nothing within the time.
    Silent,
}

/// Reads until it is clear what the client speaks, for `limit` at most. `None` when it leaves without a word, as
/// clients do that open two connections and keep the faster one.
pub(crate) async fn first_bytes(wire: &mut Wire, limit: Duration) -> io::Result<Option<First>> {
    let deadline = Instant::now() + limit;
    let mut reader = wire.reader();
    loop {
        if let Some(first) = classify(reader.ahead) {
            return Ok(Some(first));
        }
        let more = match timeout_at(deadline, reader.read_more()).await {
            Ok(Ok(0)) if reader.ahead.is_empty() => return Ok(None),
            Ok(Ok(count)) => count > 0,
            Ok(Err(error)) => return Err(error),
            Err(_) if reader.ahead.is_empty() => return Ok(Some(First::Silent)),
            Err(_) => false,
        };
        if !more {
            return Ok(Some(match client_hello(reader.ahead) {
                Hello::NotTls => First::Opaque,
                hello => First::Tls(hello),
            }));
        }
    }
}

/// `None` while more bytes are needed.
fn classify(bytes: &[u8]) -> Option<First> {
    match client_hello(bytes) {
        Hello::Incomplete => None,
        Hello::NotTls => match claims_http(bytes) {
            Some(true) => Some(First::Http),
            Some(false) => Some(First::Opaque),
            // The same bound as for a hello: longer request lines are not read.
            None if bytes.len() >= MAX_HELLO => Some(First::Opaque),
            None => None,
        },
        hello => Some(First::Tls(hello)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_tell_the_protocol() {
        assert_eq!(classify(b""), None);
        assert_eq!(classify(b"GET /"), None);
        assert_eq!(classify(b"GET / HTTP/1.1\r\n"), Some(First::Http));
        assert_eq!(classify(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Some(First::Opaque));
        assert_eq!(classify(b"\x16\x03"), None);
        assert_eq!(
            classify(b"\x16\x03\x01\0\0"),
            Some(First::Tls(Hello::Malformed("the record length is not of TLS")))
        );
        assert_eq!(classify(&[b'A'; MAX_HELLO]), Some(First::Opaque));
    }
}
