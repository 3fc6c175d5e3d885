//! What attackers say on the network, and how the answers are read.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use super::attempt::Attempt;
use super::{Outcome, Stopped};

/// The cell's HTTP proxy.
pub(super) const PROXY: &str = "127.0.0.1:3128";
/// The resolver that the cell's programs use.
pub(super) const RESOLVER: &str = "127.0.0.1:53";

/// How long to wait for an answer; an attempt as a whole has twenty seconds.
const PATIENCE: Duration = Duration::from_secs(7);

/// The smallest TLS 1.2 ClientHello that parsers accept: one cipher suite, no server name.
pub(super) const CLIENT_HELLO: &[u8] = &[
    22, 3, 1, 0, 45, // record: handshake, 45 bytes
    1, 0, 0, 41, 3, 3, // ClientHello, 41 bytes, TLS 1.2
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
    32, 0, // no session
    0, 2, 0x13, 0x01, // one cipher suite
    1, 0, // no compression
];

/// Connects, says something, and reads how the door refuses it. Any answer that is not a refusal is a success.
pub(super) fn tcp(to: &str, words: &[u8]) -> Outcome {
    let address: SocketAddr = match to.parse() {
        Ok(address) => address,
        Err(error) => return Outcome::Broken(format!("`{to}` is not an address: {error}")),
    };
    match TcpStream::connect_timeout(&address, PATIENCE) {
        Ok(stream) => converse(stream, words).map_or_else(stopped, |answer| refusal(&answer)),
        Err(error) => stopped(error),
    }
}

/// Says something to the proxy, and reads how the door refuses it.
pub(super) fn proxy(words: impl AsRef<[u8]>) -> Outcome {
    tcp(PROXY, words.as_ref())
}

/// The whole answer of the proxy.
pub(super) fn proxy_answer(words: impl AsRef<[u8]>) -> io::Result<Vec<u8>> {
    converse(TcpStream::connect(PROXY)?, words.as_ref())
}

/// Says something, ends that direction, and reads to the end. A reset after an answer does not take it back.
fn converse(mut stream: TcpStream, words: &[u8]) -> io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(words)?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if answer.is_empty() => Err(error),
        _ => Ok(answer),
    }
}

fn stopped(error: io::Error) -> Outcome {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Outcome::Stopped(Stopped::Reset),
        _ => Err::<(), _>(error).outcome(),
    }
}

/// Reads an answer as a refusal of the door.
fn refusal(answer: &[u8]) -> Outcome {
    if let [21, 3, _, 0, 2, 2, code, ..] = answer {
        return Outcome::Stopped(Stopped::Alert(*code));
    }
    let text = String::from_utf8_lossy(answer);
    let first = text.lines().next().unwrap_or_default();
    let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse::<u16>().ok());
    match status {
        Some(status) if text.contains("\r\nx-nanoclaw-refusal: ") => Outcome::Stopped(Stopped::Status(status)),
        _ if answer.is_empty() => {
            Outcome::Broken("the connection ended in an orderly way, without a refusal".to_owned())
        }
        _ => Outcome::Succeeded(format!("was answered: {first}")),
    }
}

/// Sends one datagram, from a fresh socket of the family of `to`.
pub(super) fn datagram(to: &str, payload: &[u8]) -> Outcome {
    let socket = UdpSocket::bind(if to.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" });
    let sent = socket.and_then(|socket| {
        socket.set_broadcast(true)?;
        socket.send_to(payload, to)
    });
    sent.outcome()
}

/// Kinds of records (RFC 1035 section 3.2.2, RFC 3596, RFC 9460).
pub(super) const A: u16 = 1;
pub(super) const TXT: u16 = 16;
pub(super) const AAAA: u16 = 28;
pub(super) const HTTPS: u16 = 65;
pub(super) const ANY: u16 = 255;

/// Asks `server` for records of `name`.
pub(super) fn resolve(server: &str, name: &str, kind: u16) -> Outcome {
    match answer(server, &query(name, kind)) {
        Ok(answer) => outcome_of_answer(&answer),
        Err(error) => stopped(error),
    }
}

/// A query with recursion desired (RFC 1035 section 4.1).
fn query(name: &str, kind: u16) -> Vec<u8> {
    let mut message = vec![0x4e, 0x43, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        message.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&1_u16.to_be_bytes());
    message
}

fn answer(server: &str, query: &[u8]) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind(if server.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" })?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send_to(query, server)?;
    let mut answer = vec![0; 4096];
    let (length, _) = socket.recv_from(&mut answer)?;
    answer.truncate(length);
    Ok(answer)
}

fn outcome_of_answer(answer: &[u8]) -> Outcome {
    match answer {
        [0x4e, 0x43, _, flags, _, _, high, low, ..] => match (flags & 0xf, u16::from_be_bytes([*high, *low])) {
            (0, count @ 1..) => Outcome::Succeeded(format!("the answer holds {count} records")),
            (code, _) => Outcome::Stopped(Stopped::Rcode(code)),
        },
        _ => Outcome::Broken(format!("an answer of {} bytes is not to the question", answer.len())),
    }
}

/// The control of the refused names: the resolver is there and gives the one name that every host has.
pub(super) fn resolver_answers(_: &super::Context) -> Result<(), String> {
    super::attempt::must_succeed(&resolve(RESOLVER, "localhost", A))
}

/// The control of the refused connections: what is allowed gets through the same door.
pub(super) fn allowed_is_reachable(context: &super::Context) -> Result<(), String> {
    let Some(address) = context.settings.allowed else {
        return Err("`--allowed` was not given, so there is nothing that must get through".to_owned());
    };
    let request = format!("GET / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    super::attempt::must_succeed(&tcp(&address.to_string(), request.as_bytes()))
}

/// The same through the proxy.
pub(super) fn allowed_is_reachable_by_proxy(context: &super::Context) -> Result<(), String> {
    let Some(address) = context.settings.allowed else {
        return Err("`--allowed` was not given, so there is nothing that must get through".to_owned());
    };
    let tunnel = format!("CONNECT {address} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    let request = format!("GET / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let answer = proxy_answer(tunnel + &request).map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&answer);
    let granted = text.matches("HTTP/1.1 200").count() + text.matches("HTTP/1.0 200").count();
    if granted == 2 { Ok(()) } else { Err(format!("the proxy answered {:?}", text.lines().next())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_well_formed() {
        let expected = b"\x4e\x43\x01\0\0\x01\0\0\0\0\0\0\x01a\x02bc\0\0\x10\0\x01";
        assert_eq!(query("a.bc", TXT), expected);
    }

    #[test]
    fn only_a_marked_refusal_counts_as_one() {
        let marked = b"HTTP/1.1 403 Forbidden\r\nx-nanoclaw-refusal: host-not-allowed\r\n\r\n";
        assert_eq!(refusal(marked), Outcome::Stopped(Stopped::Status(403)));
        assert!(matches!(refusal(b"HTTP/1.1 403 Forbidden\r\n\r\n"), Outcome::Succeeded(_)));
        assert!(matches!(refusal(b"SSH-2.0-x"), Outcome::Succeeded(_)));
        assert!(matches!(refusal(b""), Outcome::Broken(_)));
        assert_eq!(refusal(&[21, 3, 3, 0, 2, 2, 49]), Outcome::Stopped(Stopped::Alert(49)));
    }

    #[test]
    fn an_answer_with_records_is_a_success() {
        let with = |code: u8, records: u8| [0x4e, 0x43, 0x81, 0x80 | code, 0, 1, 0, records, 0, 0, 0, 0];
        assert!(matches!(outcome_of_answer(&with(0, 1)), Outcome::Succeeded(_)));
        assert_eq!(outcome_of_answer(&with(0, 0)), Outcome::Stopped(Stopped::Rcode(0)));
        assert_eq!(outcome_of_answer(&with(3, 0)), Outcome::Stopped(Stopped::Rcode(3)));
        assert!(matches!(outcome_of_answer(b"x"), Outcome::Broken(_)));
    }

    #[test]
    fn the_hello_has_the_lengths_that_it_says() {
        assert_eq!(CLIENT_HELLO.len(), 5 + 45);
        assert_eq!(CLIENT_HELLO[8], 41);
    }
}
