//! Addresses of machines. They are everywhere, so they are looked for only on demand.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::loss::{Found, Page};

/// Bytes of an address.
const LONGEST: usize = 45;

/// What begins with a word that has a digit in it. An address of six is found at its first such word.
pub(super) fn word(page: &Page<'_>, start: usize, end: usize, found: &mut Vec<Found>) {
    if !page.quiet || end - start > 4 {
        return;
    }
    let bytes = page.bytes;
    let part = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.' | b'-');
    let back =
        bytes.get(..start).map_or(0, |front| front.iter().rev().take(LONGEST).take_while(|byte| part(byte)).count());
    let first = start - back;
    let Some(rest) = bytes.get(first..) else { return };
    let length = rest.iter().take(LONGEST + 1).take_while(|byte| part(byte)).count();
    let glued = first
        .checked_sub(1)
        .and_then(|at| bytes.get(at))
        .is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        || rest.get(length).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let Some(run) = page.text.get(first..first + length) else { return };
    let run = run.trim_end_matches([':', '.', '-']);
    if glued || length > LONGEST {
        return;
    }
    let mac = run.len() == 17
        && run
            .bytes()
            .enumerate()
            .all(|(place, byte)| if place % 3 == 2 { matches!(byte, b':' | b'-') } else { byte.is_ascii_hexdigit() });
    let kind = if mac {
        "mac-address"
    } else if run.parse::<Ipv4Addr>().is_ok() || (run.len() > 6 && run.parse::<Ipv6Addr>().is_ok()) {
        "ip-address"
    } else if let Some((host, _)) = run.split_once(':').filter(|(host, _)| host.parse::<Ipv4Addr>().is_ok()) {
        push(found, Found { kind: "ip-address", start: first, end: first + host.len(), rank: 20 });
        return;
    } else {
        return;
    };
    push(found, Found { kind, start: first, end: first + run.len(), rank: 20 });
}

/// The words of one address all lead to it.
fn push(found: &mut Vec<Found>, address: Found) {
    let known = found.iter().rev().take(4).any(|other| other.start == address.start && other.kind == address.kind);
    if !known {
        found.push(address);
    }
}
