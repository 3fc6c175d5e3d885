//! The TLS ClientHello: which server the client asks for, and whether it hides that.
//!
//! RFC 8446 section 4.1.2 (ClientHello) and 5.1 (records), RFC 6066 section 3 (server name), RFC 9849
//! (encrypted ClientHello). After the hello a connection is opaque: a second hello, after a HelloRetryRequest, is
//! not read, so the server that was dialled could be asked for another of *its* names.

use super::cursor::Cursor;

/// Longest hello that is read, record headers included. Post-quantum key shares make about 2 KiB.
pub const MAX_HELLO: usize = 16 * 1024;

const RECORD_HANDSHAKE: u8 = 22;
const MESSAGE_CLIENT_HELLO: u8 = 1;
const EXTENSION_SERVER_NAME: u16 = 0;
const EXTENSION_ENCRYPTED_HELLO: u16 = 0xfe0d;
/// The draft that came before the encrypted hello, encrypted SNI.
const EXTENSION_ENCRYPTED_SNI: u16 = 0xffce;

/// What a ClientHello says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHello {
    /// The server name, verbatim.
    pub server_name: Option<String>,
    /// Whether an encrypted hello rides along. A client that only pretends (GREASE) looks the same by design.
    pub encrypted_hello: bool,
}

/// What the first bytes of a connection are, as far as TLS goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hello {
    /// Not a TLS handshake.
    NotTls,
    /// So far a ClientHello; more bytes are needed.
    Incomplete,
    /// A whole ClientHello.
    Complete(ClientHello),
    /// It began as a ClientHello and cannot be one; the text says why.
    Malformed(&'static str),
}

/// Reads the ClientHello at the front of `bytes`, over as many records as it takes.
pub fn client_hello(bytes: &[u8]) -> Hello {
    let bytes = bytes.get(..MAX_HELLO).unwrap_or(bytes);
    match bytes {
        [] => return Hello::Incomplete,
        [RECORD_HANDSHAKE] => return Hello::Incomplete,
        [RECORD_HANDSHAKE, 3, ..] => {}
        _ => return Hello::NotTls,
    }
    let mut message = Vec::new();
    let mut records = Cursor::new(bytes);
    loop {
        match next_fragment(&mut records) {
            Ok(Some(fragment)) => message.extend_from_slice(fragment),
            Ok(None) if bytes.len() == MAX_HELLO => return Hello::Malformed("the hello is too long"),
            Ok(None) => return Hello::Incomplete,
            Err(why) => return Hello::Malformed(why),
        }
        let mut handshake = Cursor::new(&message);
        let (Some(kind), Some(length)) = (handshake.u8(), handshake.u24()) else { continue };
        if kind != MESSAGE_CLIENT_HELLO {
            return Hello::Malformed("the first handshake message is not a hello");
        }
        if length > MAX_HELLO {
            return Hello::Malformed("the hello is too long");
        }
        let Some(body) = handshake.take(length) else { continue };
        if !handshake.is_empty() {
            return Hello::Malformed("bytes follow the hello in its record");
        }
        return parse_body(body).map_or_else(Hello::Malformed, Hello::Complete);
    }
}

/// The next record's payload; `None` where it is not there yet.
fn next_fragment<'a>(records: &mut Cursor<'a>) -> Result<Option<&'a [u8]>, &'static str> {
    let mut ahead = *records;
    let Some(kind) = ahead.u8() else { return Ok(None) };
    if kind != RECORD_HANDSHAKE {
        return Err("another record interrupts the hello");
    }
    let Some(version) = ahead.u16() else { return Ok(None) };
    if !(0x0300..=0x0304).contains(&version) {
        return Err("the record version is not of TLS");
    }
    let Some(length) = ahead.u16() else { return Ok(None) };
    if length == 0 || length > 1 << 14 {
        return Err("the record length is not of TLS");
    }
    let Some(fragment) = ahead.take(length.into()) else { return Ok(None) };
    *records = ahead;
    Ok(Some(fragment))
}

fn parse_body(body: &[u8]) -> Result<ClientHello, &'static str> {
    const SHORT: &str = "a field of the hello is cut short";
    let mut hello = Cursor::new(body);
    let version = hello.u16().ok_or(SHORT)?;
    if !(0x0300..=0x0304).contains(&version) {
        return Err("the hello version is not of TLS");
    }
    hello.take(32).ok_or(SHORT)?;
    if hello.vector8().ok_or(SHORT)?.len() > 32 {
        return Err("the session id is too long");
    }
    let suites = hello.vector16().ok_or(SHORT)?;
    if suites.is_empty() || suites.len() % 2 != 0 {
        return Err("the cipher suites have a bad length");
    }
    if hello.vector8().ok_or(SHORT)?.is_empty() {
        return Err("the compression methods are empty");
    }
    let mut parsed = ClientHello { server_name: None, encrypted_hello: false };
    if hello.is_empty() {
        return Ok(parsed);
    }
    let mut extensions = Cursor::new(hello.vector16().ok_or(SHORT)?);
    if !hello.is_empty() {
        return Err("bytes follow the extensions");
    }
    let mut seen = Vec::new();
    while !extensions.is_empty() {
        let kind = extensions.u16().ok_or(SHORT)?;
        let data = extensions.vector16().ok_or(SHORT)?;
        if seen.contains(&kind) {
            return Err("an extension stands twice");
        }
        seen.push(kind);
        match kind {
            EXTENSION_SERVER_NAME => parsed.server_name = Some(server_name(data)?),
            EXTENSION_ENCRYPTED_HELLO | EXTENSION_ENCRYPTED_SNI => parsed.encrypted_hello = true,
            _ => {}
        }
    }
    Ok(parsed)
}

/// The one host name of a server name extension.
fn server_name(data: &[u8]) -> Result<String, &'static str> {
    const BAD: &str = "the server name extension has a bad length";
    let mut outer = Cursor::new(data);
    let mut list = Cursor::new(outer.vector16().ok_or(BAD)?);
    if list.u8().ok_or(BAD)? != 0 {
        return Err("the server name is not a host name");
    }
    let name = list.vector16().ok_or(BAD)?;
    if !list.is_empty() || !outer.is_empty() {
        return Err("there is more than one server name");
    }
    if name.is_empty() || name.len() > 255 || !name.is_ascii() {
        return Err("the server name is not a host name");
    }
    String::from_utf8(name.to_vec()).map_err(|_| BAD)
}

#[cfg(test)]
mod tests;
