//! Secrets with a beginning and an end of their own: private keys in PEM, of PuTTY, and signed tokens (JWT).

use super::{base64, quality};
use crate::loss::{Found, LONGEST_RUN, Page};

/// Bytes between the marks of a beginning.
const LONGEST_LABEL: usize = 64;
/// Bytes of the first part of a token.
const LONGEST_HEADER: usize = 2048;
/// Letters that a key has at least.
const SHORTEST_KEY: usize = 16;

/// Where the key begins that a `-----BEGIN …-----` announces at this place, if it is a private one.
fn opening(bytes: &[u8], start: usize) -> Option<usize> {
    let label = bytes.get(start..)?.strip_prefix(b"-----BEGIN ")?;
    let near = label.get(..LONGEST_LABEL.min(label.len()))?;
    let length = memchr::memmem::find(near, b"-----")?;
    let private = near.get(..length)?;
    let secret = private.ends_with(b"PRIVATE KEY") || private.ends_with(b"PRIVATE KEY BLOCK");
    secret.then_some(start + 11 + length + 5)
}

/// The end of what may be the inside of a key: base64, white space, `\n`, headers such as `DEK-Info: …`.
fn inside(bytes: &[u8], from: usize) -> usize {
    let most = (from + LONGEST_RUN).min(bytes.len());
    let Some(rest) = bytes.get(from..most) else { return from };
    let dashes = memchr::memmem::find(rest, b"-----").unwrap_or(rest.len());
    let rest = rest.get(..dashes).unwrap_or_default();
    let strange = rest.iter().position(|byte| {
        !(byte.is_ascii_alphanumeric()
            || byte.is_ascii_whitespace()
            || matches!(
                byte,
                b'+' | b'/' | b'=' | b'\\' | b':' | b',' | b'-' | b'.' | b'(' | b')' | b'"' | b'>' | b'|'
            ))
    });
    from + strange.unwrap_or(rest.len())
}

/// Where a private key ends whose beginning stands here; `None` if there is none. The second says whether more may follow.
pub(in crate::loss) fn pem(bytes: &[u8], start: usize) -> Option<(usize, bool)> {
    let body = opening(bytes, start)?;
    let end = inside(bytes, body);
    let open = end == bytes.len();
    let closing = bytes.get(end..).filter(|rest| rest.starts_with(b"-----END ")).and_then(|rest| {
        let near = rest.get(9..(9 + LONGEST_LABEL).min(rest.len()))?;
        Some(end + 9 + memchr::memmem::find(near, b"-----")? + 5)
    });
    if let Some(closing) = closing {
        return Some((closing, false));
    }
    // Without an end it goes as far as there is base64.
    let dashes = bytes.get(end..).is_some_and(|rest| rest.len() < 9 + LONGEST_LABEL && rest.starts_with(b"--"));
    let inside = bytes.get(body..end)?;
    let length = inside
        .iter()
        .rposition(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'=' | b'+' | b'/'))
        .map_or(0, |last| last + 1);
    Some((body + length, open || dashes))
}

/// A private key at a place where a beginning stands.
pub(super) fn find_pem(page: &Page<'_>, start: usize, found: &mut Vec<Found>) {
    let (Some((end, _)), Some(body)) = (pem(page.bytes, start), opening(page.bytes, start)) else { return };
    let Some(inside) = page.bytes.get(body..inside(page.bytes, body)) else { return };
    let key: Vec<u8> = inside.iter().copied().filter(u8::is_ascii_alphanumeric).take(SHORTEST_KEY * 2).collect();
    let long = key.len() >= SHORTEST_KEY && quality::variety(&key) >= 8 && !quality::is_placeholder(&key);
    if long {
        found.push(Found { kind: "private-key", start, end, rank: 110 });
    }
}

/// Where the private lines of a key of PuTTY end that are announced here.
pub(in crate::loss) fn putty(bytes: &[u8], start: usize) -> (usize, bool) {
    let most = (start + LONGEST_RUN).min(bytes.len());
    let Some(rest) = bytes.get(start..most) else { return (start, false) };
    match memchr::memmem::find(rest, b"Private-MAC") {
        Some(length) => (start + length, false),
        None => (most, most == bytes.len()),
    }
}

pub(super) fn find_putty(page: &Page<'_>, start: usize, found: &mut Vec<Found>) {
    let (end, open) = putty(page.bytes, start);
    let Some(inside) = page.bytes.get(start..end) else { return };
    let lines =
        inside.strip_prefix(b"Private-Lines: ").is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit));
    let base64 = inside
        .iter()
        .skip(15)
        .all(|byte| byte.is_ascii_alphanumeric() || byte.is_ascii_whitespace() || matches!(byte, b'+' | b'/' | b'='));
    if lines && base64 && !open && inside.len() > 60 {
        found.push(Found { kind: "private-key", start, end, rank: 110 });
    }
}

fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// A signed or encrypted token at a place where `eyJ` stands.
pub(super) fn find_jwt(page: &Page<'_>, start: usize, found: &mut Vec<Found>) {
    let bytes = page.bytes;
    if !super::is_free(bytes, start, b"eyJ") {
        return;
    }
    let part = |from: usize, most: usize| {
        bytes.get(from..).map_or(0, |rest| rest.iter().take(most).take_while(|byte| is_part(**byte)).count())
    };
    let header = part(start, LONGEST_HEADER + 1);
    let Some(text) = bytes.get(start..start + header).filter(|_| header <= LONGEST_HEADER).and_then(base64) else {
        return;
    };
    if !text.starts_with(b"{")
        || memchr::memmem::find(&text, b"\"alg\"").is_none()
        || bytes.get(start + header) != Some(&b'.')
    {
        return;
    }
    // Two more parts, or four where it is encrypted; the last one may be empty, the second one too where it is encrypted.
    let mut end = start + header;
    let mut parts = 1;
    while parts < 5 && bytes.get(end) == Some(&b'.') && end - start < LONGEST_RUN {
        let length = part(end + 1, LONGEST_RUN);
        if length == 0 && parts >= 2 && bytes.get(end + 1) != Some(&b'.') {
            break;
        }
        end += 1 + length;
        parts += 1;
    }
    if parts >= 2 && end - start >= header + 9 {
        found.push(Found { kind: "jwt", start, end: end.min(start + LONGEST_RUN), rank: 98 });
    }
}
