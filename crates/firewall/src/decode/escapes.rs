//! Backslashes, as in the strings of JSON, YAML and programs.

use memchr::memchr_iter;

use super::stretches::Around;
use super::{Patches, Stretches};

const AROUND: Around = Around { before: 64, after: 160 };
/// One end of a line says nothing.
const NEED: usize = 2;

pub(super) fn decode(text: &str, room: usize) -> Stretches {
    let mut out = Patches::new(text, AROUND, NEED, room);
    let mut upto = 0;
    for at in memchr_iter(b'\\', text.as_bytes()) {
        if at < upto {
            continue;
        }
        let Some((c, length, weight)) = text.get(at..).and_then(escape) else { continue };
        upto = at + length;
        let mut buffer = [0; 4];
        let decoded: &str = c.map_or("", |c| c.encode_utf8(&mut buffer));
        if !out.put(at..upto, decoded, weight) {
            break;
        }
    }
    out.finish()
}

/// What begins with a backslash: the character, the length and the weight.
fn escape(rest: &str) -> Option<(Option<char>, usize, usize)> {
    let bytes = rest.as_bytes();
    let simple = |c: char| Some((Some(c), 2, 1));
    match bytes.get(1)? {
        b'n' | b'r' => simple('\n'),
        b't' => simple('\t'),
        b'"' => simple('"'),
        b'\'' => simple('\''),
        b'/' => simple('/'),
        b'\\' => simple('\\'),
        b'\n' => Some((None, 2, 1)),
        b'u' if bytes.get(2) == Some(&b'{') => {
            let digits = bytes.iter().skip(3).take(6).take_while(|byte| byte.is_ascii_hexdigit()).count();
            let closed = bytes.get(3 + digits) == Some(&b'}');
            Some((Some(code(rest, 3, digits).filter(|_| closed).and_then(char::from_u32)?), 4 + digits, 2))
        }
        b'u' => {
            let unit = code(rest, 2, 4)?;
            if let Some(c) = char::from_u32(unit) {
                return Some((Some(c), 6, 2));
            }
            // The two halves of a character of a higher plane.
            let low = code(rest.get(6..).filter(|rest| rest.starts_with("\\u"))?, 2, 4)?;
            let halves = [u16::try_from(unit).ok()?, u16::try_from(low).ok()?];
            let c = char::decode_utf16(halves).next()?.ok()?;
            Some((Some(c), 12, 2))
        }
        b'U' => Some((Some(code(rest, 2, 8).and_then(char::from_u32)?), 10, 2)),
        b'x' => {
            let first = u8::try_from(code(rest, 2, 2)?).ok()?;
            let wide = match first {
                0xf0.. => 4,
                0xe0.. => 3,
                0xc0.. => 2,
                _ => 1,
            };
            let mut bytes = vec![first];
            let next = |nth: usize| {
                code(rest.get(4 * nth..).filter(|rest| rest.starts_with("\\x"))?, 2, 2)
                    .and_then(|byte| u8::try_from(byte).ok())
            };
            bytes.extend((1..wide).map_while(next));
            let c = std::str::from_utf8(&bytes).ok()?.chars().next()?;
            Some((Some(c), 4 * wide, 2))
        }
        b'0'..=b'3' => {
            let octal = rest.get(1..4).filter(|digits| digits.bytes().all(|byte| matches!(byte, b'0'..=b'7')))?;
            let c = u32::from_str_radix(octal, 8).ok().and_then(char::from_u32)?;
            (c.is_ascii() && c != '\0').then_some((Some(c), 4, 2))
        }
        _ => None,
    }
}

/// So many hexadecimal digits as a number.
fn code(text: &str, from: usize, digits: usize) -> Option<u32> {
    let digits = text.get(from..from + digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u32::from_str_radix(digits, 16).ok()
}
