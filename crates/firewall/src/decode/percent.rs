//! Percent signs, as in URLs.

use memchr::memchr2_iter;

use super::stretches::Around;
use super::{Patches, Stretches};

const AROUND: Around = Around { before: 64, after: 160 };
/// One sign that codes something readable is enough to look at.
const NEED: usize = 4;

pub(super) fn decode(text: &str, room: usize) -> Stretches {
    let bytes = text.as_bytes();
    let mut out = Patches::new(text, AROUND, NEED, room);
    let mut upto = 0;
    for at in memchr2_iter(b'%', b'+', bytes) {
        if at < upto {
            continue;
        }
        if bytes.get(at) == Some(&b'+') {
            let beside = [at.checked_sub(1), Some(at + 1)].into_iter().flatten();
            let joins = beside
                .filter_map(|at| bytes.get(at))
                .filter(|byte| byte.is_ascii_alphanumeric() || **byte == b'%')
                .count();
            if joins == 2 && !out.put(at..at + 1, " ", 1) {
                break;
            }
            continue;
        }
        // Bytes in a row may be one character.
        let (first, second) = (pair(bytes, at), pair(bytes, at + 3));
        let Some(first) = first else { continue };
        let mut code = vec![first];
        if first >= 0x80 && second.is_some() {
            let wide = match first {
                0xf0.. => 4,
                0xe0.. => 3,
                _ => 2,
            };
            code.extend((1..wide).map_while(|nth| pair(bytes, at + 3 * nth)));
        }
        let end = at + 3 * code.len();
        upto = end;
        let Ok(decoded) = std::str::from_utf8(&code) else {
            upto = at + 3;
            continue;
        };
        let weight = if first == b' ' { 2 } else { 4 };
        if !out.put(at..end, decoded, weight) {
            break;
        }
    }
    out.finish()
}

fn pair(bytes: &[u8], at: usize) -> Option<u8> {
    let [b'%', high, low] = bytes.get(at..at + 3)? else { return None };
    let nibble = |digit: &u8| char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    Some(nibble(high)? << 4 | nibble(low)?)
}
