//! Secrets: one search for the marks of all providers and for the words that announce a value, then a look at each place.

mod block;
mod provider;
mod quality;
mod stated;
mod tokens;
mod url;

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use self::stated::Said;
use self::tokens::{TOKENS, Token};
use super::{Found, Page};

pub(in crate::loss) use self::block::{pem, putty};

/// What a place may be the beginning of.
#[derive(Clone, Copy)]
enum Mark {
    Token(&'static Token),
    Jwt,
    Pem,
    Putty,
    Url,
    ClientSecret,
    Signature,
    Said(Said),
}

struct Marks {
    search: AhoCorasick,
    meaning: Vec<Mark>,
}

fn marks() -> Option<&'static Marks> {
    static MARKS: OnceLock<Option<Marks>> = OnceLock::new();
    MARKS.get_or_init(make).as_ref()
}

fn make() -> Option<Marks> {
    let mut all: Vec<(&str, Mark)> = TOKENS.iter().map(|token| (token.prefix, Mark::Token(token))).collect();
    all.extend([("eyJ", Mark::Jwt), ("-----BEGIN ", Mark::Pem), ("Private-Lines: ", Mark::Putty), ("://", Mark::Url)]);
    all.extend([("Q~", Mark::ClientSecret), ("sig=", Mark::Signature)]);
    all.extend(stated::WORDS.iter().flat_map(|(said, words)| words.iter().map(|word| (*word, Mark::Said(*said)))));
    let search = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .kind(Some(AhoCorasickKind::DFA))
        .build(all.iter().map(|(pattern, _)| pattern))
        .ok()?;
    Some(Marks { search, meaning: all.into_iter().map(|(_, mark)| mark).collect() })
}

/// Looks for secrets in a text.
pub(super) fn scan(page: &Page<'_>, found: &mut Vec<Found>) {
    let Some(marks) = marks() else { return };
    for place in marks.search.find_overlapping_iter(page.bytes) {
        let (start, end) = (place.start(), place.end());
        match marks.meaning.get(place.pattern().as_usize()) {
            Some(Mark::Token(token)) => tokens::at(page, token, start, found),
            Some(Mark::Jwt) => block::find_jwt(page, start, found),
            Some(Mark::Pem) => block::find_pem(page, start, found),
            Some(Mark::Putty) => block::find_putty(page, start, found),
            Some(Mark::Url) => url::at(page, start, found),
            Some(Mark::ClientSecret) => client_secret(page, start, found),
            Some(Mark::Signature) => signature(page, start, end, found),
            Some(Mark::Said(said)) => stated::at(page, *said, start, end, found),
            None => {}
        }
    }
}

/// A client secret of Microsoft Entra: three characters, a digit, `Q~`, and 31 to 34 more.
fn client_secret(page: &Page<'_>, mark: usize, found: &mut Vec<Found>) {
    let is = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'~' | b'.' | b'-');
    let (Some(start), Some(rest)) = (tokens::back(page.bytes, mark, is, 4..=4), page.bytes.get(mark + 2..)) else {
        return;
    };
    let length = rest.iter().take(40).take_while(|byte| is(**byte)).count();
    let digit = mark.checked_sub(1).and_then(|at| page.bytes.get(at)).is_some_and(u8::is_ascii_digit);
    if digit && (30..=36).contains(&length) && page.bytes.get(mark) == Some(&b'Q') {
        found.push(Found { kind: "azure-key", start, end: mark + 2 + length, rank: 100 });
    }
}

/// The signature of a shared address of Azure: 32 bytes in base64, the last sign often as `%3D`.
fn signature(page: &Page<'_>, mark: usize, from: usize, found: &mut Vec<Found>) {
    let Some(rest) = page.bytes.get(from..) else { return };
    let length = rest
        .iter()
        .take(100)
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'%' | b'+' | b'/' | b'='))
        .count();
    let Some(value) = rest.get(..length) else { return };
    let joined =
        mark.checked_sub(1).and_then(|at| page.bytes.get(at)).is_some_and(|byte| matches!(byte, b'&' | b'?' | b';'));
    let ends = value.ends_with(b"%3D") || value.ends_with(b"=") || value.ends_with(b"%3d");
    if joined && ends && (44..=90).contains(&length) && quality::is_random(value) {
        found.push(Found { kind: "azure-key", start: from, end: from + length, rank: 99 });
    }
}

/// Whether a mark stands at the beginning of a word, also behind `\n` that is written out. Marks that are parts of addresses
/// stand anywhere.
fn is_free(bytes: &[u8], start: usize, mark: &[u8]) -> bool {
    let before = |back: usize| start.checked_sub(back).and_then(|at| bytes.get(at)).copied();
    let anywhere = matches!(mark.first(), Some(b'.' | b':')) || mark.contains(&b'/');
    let escaped = matches!(before(1), Some(b'n' | b't' | b'r')) && before(2) == Some(b'\\');
    anywhere || escaped || !before(1).is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// What base64 of either alphabet says, with or without padding. Bits that are left over are let go.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    let mut plain = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            plain.push((bits >> count & 0xff) as u8);
        }
    }
    Some(plain)
}
