//! Header fields, and what they say about the body.

use std::collections::BTreeSet;

use super::{HeadError, MAX_FIELDS, Version, is_token};

/// One header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name as the sender wrote it, a token.
    pub name: String,
    /// Its value without the white space around it; no control characters but tabs.
    pub value: Vec<u8>,
}

/// Where the body ends (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// After so many bytes.
    Length(u64),
    /// After the last chunk.
    Chunked,
    /// When the server closes the connection; responses only.
    UntilClose,
}

impl Field {
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    fn tokens(&self) -> impl Iterator<Item = &[u8]> {
        self.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
    }
}

pub(super) fn parse<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Field>, HeadError> {
    let mut fields = Vec::new();
    for line in lines {
        if fields.len() == MAX_FIELDS {
            return Err(HeadError::TooManyFields);
        }
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            return Err(HeadError::Fold);
        }
        let colon = line.iter().position(|byte| *byte == b':').ok_or(HeadError::Field)?;
        let (name, value) = line.split_at_checked(colon).ok_or(HeadError::Field)?;
        let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
        let plain = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
        if !is_token(name) || !value.iter().all(plain) {
            return Err(HeadError::Field);
        }
        let name = String::from_utf8(name.to_vec()).map_err(|_| HeadError::Field)?;
        fields.push(Field { name, value: value.to_vec() });
    }
    Ok(fields)
}

/// What the fields say about a body; `None` where they say nothing.
pub(super) fn framing(fields: &[Field], version: Version) -> Result<Option<Framing>, HeadError> {
    let mut lengths = fields.iter().filter(|field| field.is("content-length"));
    let mut codings = fields.iter().filter(|field| field.is("transfer-encoding"));
    match (lengths.next(), codings.next()) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(HeadError::LengthAndCoding),
        (Some(length), None) => {
            let digits = &length.value;
            if lengths.next().is_some() || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                return Err(HeadError::Length);
            }
            let number = str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
            number.map(|length| Some(Framing::Length(length))).ok_or(HeadError::Length)
        }
        (None, Some(coding)) => {
            let chunked = coding.value.eq_ignore_ascii_case(b"chunked");
            if codings.next().is_none() && chunked && version == Version::V11 {
                Ok(Some(Framing::Chunked))
            } else {
                Err(HeadError::TransferCoding)
            }
        }
    }
}

/// Whether a list-valued field holds `token`.
pub(super) fn lists(fields: &[Field], name: &str, token: &str) -> bool {
    fields
        .iter()
        .filter(|field| field.is(name))
        .any(|field| field.tokens().any(|t| t.eq_ignore_ascii_case(token.as_bytes())))
}

/// Appends the fields that are for the far end, as they were written. Those for the next hop only (RFC 9110
/// section 7.6.1, and everything `Proxy-`) are left out, except that the host and the length are never left
/// out, whatever `Connection` says.
pub(super) fn write_end_to_end(fields: &[Field], out: &mut Vec<u8>) {
    const HOP_BY_HOP: [&str; 7] =
        ["connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings"];
    // A set, because a client can fill a head with names here, and each would be held against each field.
    let connection = fields.iter().filter(|field| field.is("connection"));
    let named: BTreeSet<Vec<u8>> = connection.flat_map(Field::tokens).map(<[u8]>::to_ascii_lowercase).collect();
    for field in fields {
        let kept = field.is("host") || field.is("content-length");
        let hop = HOP_BY_HOP.iter().any(|name| field.is(name))
            || field.name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("proxy-"))
            || named.contains(field.name.to_ascii_lowercase().as_bytes());
        if kept || !hop {
            write_field(&field.name, &field.value, out);
        }
    }
}

pub(super) fn write_field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
