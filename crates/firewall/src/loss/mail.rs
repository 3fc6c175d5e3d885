//! Addresses of mail.

use super::{Found, Page};

/// Bytes before the sign.
const LONGEST_NAME: usize = 64;
/// Bytes behind it.
const LONGEST_HOST: usize = 253;

/// Endings of files that are written with the sign in their names.
const FILES: &[&[u8]] = &[
    b"png", b"jpg", b"jpeg", b"gif", b"svg", b"webp", b"css", b"js", b"ts", b"json", b"html", b"md", b"py", b"rs",
    b"yml", b"yaml", b"service", b"dmg", b"zip", b"exe",
];

/// Looks for addresses of mail in a text.
pub(super) fn scan(page: &Page<'_>, found: &mut Vec<Found>) {
    for sign in memchr::memchr_iter(b'@', page.bytes) {
        if let Some((start, end)) = around(page.bytes, sign) {
            found.push(Found { kind: "email", start, end, rank: 55 });
        }
    }
}

fn around(bytes: &[u8], sign: usize) -> Option<(usize, usize)> {
    let name = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-' | b'\'');
    let front = bytes.get(..sign)?.iter().rev().take(LONGEST_NAME + 1).take_while(name).count();
    let start = (sign - front..sign).find(|at| bytes.get(*at).is_some_and(u8::is_ascii_alphanumeric))?;
    let rest = bytes.get(sign + 1..)?;
    let length = rest
        .iter()
        .take(LONGEST_HOST + 1)
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
        .count();
    if front > LONGEST_NAME || length > LONGEST_HOST {
        return None;
    }
    let host = rest.get(..length)?;
    let trailing = host.iter().rev().take_while(|byte| matches!(byte, b'.' | b'-')).count();
    let host = host.get(..length - trailing)?;
    let mut labels = host.rsplit(|byte| *byte == b'.');
    let top = labels.next()?;
    let second = labels.next()?;
    let known = (2..=24).contains(&top.len())
        && top.iter().all(u8::is_ascii_alphabetic)
        && !FILES.contains(&top.to_ascii_lowercase().as_slice());
    let whole = !second.is_empty() && labels.all(|label| !label.is_empty());
    // `git@host:path` is where a repository lies.
    let repository = bytes.get(start..sign) == Some(b"git") && rest.get(length) == Some(&b':');
    (known && whole && !repository).then_some((start, sign + 1 + host.len()))
}
