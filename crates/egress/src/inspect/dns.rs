//! DNS messages (RFC 1035 section 4), as much as a stub needs: one question in, at most one record out.
//!
//! Only the question is read. Whatever follows it (EDNS options, for one) is ignored: nothing of a query leaves
//! this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nanoclaw_request::{DnsName, HostError};

use super::cursor::Cursor;

/// Largest query that is read, in bytes (the size that RFC 9715 recommends for UDP).
pub const MAX_QUERY: usize = 1232;

/// Record type A.
pub const TYPE_A: u16 = 1;
/// Record type PTR.
pub const TYPE_PTR: u16 = 12;
/// Record type AAAA.
pub const TYPE_AAAA: u16 = 28;

const CLASS_IN: u16 = 1;
const QR: u16 = 1 << 15;
const OPCODE: u16 = 0xf << 11;
const TRUNCATED: u16 = 1 << 9;
const RECURSION_DESIRED: u16 = 1 << 8;
const RECURSION_AVAILABLE: u16 = 1 << 7;

/// Response codes (RFC 1035 section 4.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rcode {
    /// No error.
    NoError = 0,
    /// The query cannot be read.
    FormatError = 1,
    /// There is no such name, or the cell may not reach it.
    NameError = 3,
    /// Not a kind of query that a stub answers.
    NotImplemented = 4,
    /// Answered no further.
    Refused = 5,
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The name, or why it is none that a host can have.
    pub name: Result<DnsName, HostError>,
    /// Record type.
    pub kind: u16,
    id: u16,
    flags: u16,
    /// Name, type and class, byte for byte: the letter case of the question comes back in the answer.
    question: Vec<u8>,
}

/// Why there is no question, and what to send back; no answer where that would be to a message that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the DNS query is malformed: {why}")]
pub struct QueryError {
    /// What is wrong.
    pub why: &'static str,
    /// The message to send back.
    pub answer: Option<Vec<u8>>,
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// One address, of the family that was asked for.
    Address(IpAddr),
    /// One name.
    Name(DnsName),
    /// No record.
    Nothing(Rcode),
}

/// Reads a query.
pub fn parse_query(message: &[u8]) -> Result<Query, QueryError> {
    let mut cursor = Cursor::new(message);
    let silent = |why| QueryError { why, answer: None };
    let mut header = || cursor.u16().ok_or(silent("it has no header"));
    let (id, flags, questions, answers, authorities) = (header()?, header()?, header()?, header()?, header()?);
    header()?;
    if flags & QR != 0 {
        return Err(silent("it is a response"));
    }
    let error = |why, rcode| QueryError { why, answer: Some(write_header(id, flags, rcode, 0, 0)) };
    let malformed = |why| error(why, Rcode::FormatError);
    if message.len() > MAX_QUERY {
        return Err(malformed("it is too long"));
    }
    if flags & OPCODE != 0 {
        return Err(error("its operation is not a query", Rcode::NotImplemented));
    }
    if questions != 1 || answers != 0 || authorities != 0 || flags & TRUNCATED != 0 {
        return Err(malformed("it does not have one question only"));
    }
    let from_question = cursor.rest();
    let name = read_name(&mut cursor).map_err(malformed)?;
    let (Some(kind), Some(class)) = (cursor.u16(), cursor.u16()) else {
        return Err(malformed("its question is cut short"));
    };
    if class != CLASS_IN {
        return Err(error("its class is not IN", Rcode::Refused));
    }
    let length = from_question.len() - cursor.rest().len();
    let question = from_question.get(..length).unwrap_or_default().to_vec();
    Ok(Query { name, kind, id, flags, question })
}

/// Reads an uncompressed name. The outer error means that the message is malformed, the inner one that the
/// name is none that a host can have.
fn read_name(cursor: &mut Cursor<'_>) -> Result<Result<DnsName, HostError>, &'static str> {
    const SHORT: &str = "its name is cut short";
    let mut text = String::new();
    let mut foreign = None;
    let mut length = 1;
    loop {
        let label = match cursor.u8().ok_or(SHORT)? {
            0 => break,
            size @ 1..=63 => cursor.take(size.into()).ok_or(SHORT)?,
            _ => return Err("its name is compressed"),
        };
        length += label.len() + 1;
        if length > 255 {
            return Err("its name is too long");
        }
        // A dot inside a label must not turn into a label end.
        foreign = foreign.or(label.iter().find(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))).copied());
        text.extend(label.iter().map(|byte| char::from(*byte)));
        text.push('.');
    }
    Ok(match foreign {
        Some(byte) => Err(HostError::Character(byte.into())),
        None => DnsName::parse(&text),
    })
}

impl Query {
    /// The answer to it, as a message of at most 512 bytes. Records may be kept for `ttl` seconds.
    pub fn answer(&self, answer: &Answer, ttl: u32) -> Vec<u8> {
        let (kind, data) = match answer {
            Answer::Address(IpAddr::V4(v4)) => (TYPE_A, v4.octets().to_vec()),
            Answer::Address(IpAddr::V6(v6)) => (TYPE_AAAA, v6.octets().to_vec()),
            Answer::Name(name) => (TYPE_PTR, write_name(name)),
            Answer::Nothing(rcode) => {
                let mut message = write_header(self.id, self.flags, *rcode, 1, 0);
                message.extend_from_slice(&self.question);
                return message;
            }
        };
        let mut message = write_header(self.id, self.flags, Rcode::NoError, 1, 1);
        message.extend_from_slice(&self.question);
        // A pointer to the name of the question, which follows the 12 bytes of the header.
        message.extend_from_slice(&[0xc0, 12]);
        message.extend_from_slice(&kind.to_be_bytes());
        message.extend_from_slice(&CLASS_IN.to_be_bytes());
        message.extend_from_slice(&ttl.to_be_bytes());
        message.extend_from_slice(&u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
        message.extend_from_slice(&data);
        message
    }
}

fn write_header(id: u16, flags: u16, rcode: Rcode, questions: u16, answers: u16) -> Vec<u8> {
    let flags = QR | (flags & (OPCODE | RECURSION_DESIRED)) | RECURSION_AVAILABLE | rcode as u16;
    [id, flags, questions, answers, 0, 0].iter().flat_map(|field| field.to_be_bytes()).collect()
}

fn write_name(name: &DnsName) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.as_str().len() + 2);
    for label in name.as_str().split('.') {
        out.push(u8::try_from(label.len()).unwrap_or(0));
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    out
}

/// The address that a reverse name stands for (RFC 1035 section 3.5, RFC 3596 section 2.5).
pub fn reverse_address(name: &DnsName) -> Option<IpAddr> {
    if let Some(digits) = name.as_str().strip_suffix(".in-addr.arpa") {
        let forward: Vec<&str> = digits.rsplit('.').collect();
        return forward.join(".").parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    }
    let nibbles = name.as_str().strip_suffix(".ip6.arpa")?;
    let mut bits: u128 = 0;
    let mut count = 0;
    for nibble in nibbles.rsplit('.') {
        if nibble.len() != 1 {
            return None;
        }
        bits = (bits << 4) | u128::from_str_radix(nibble, 16).ok()?;
        count += 1;
    }
    (count == 32).then(|| IpAddr::V6(Ipv6Addr::from_bits(bits)))
}

#[cfg(test)]
mod tests;
