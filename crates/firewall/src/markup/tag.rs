//! A tag of HTML.

use memchr::memchr;

/// Longest tag, in bytes.
const LONGEST: usize = 16 << 10;
/// Most attributes of a tag that are looked at.
const MOST_ATTRIBUTES: usize = 64;

/// A tag: what stands between `<` and `>`.
#[derive(Debug)]
pub(super) struct Tag<'a> {
    /// In its own case.
    pub name: &'a str,
    pub closes: bool,
    /// Names and values, without quotes, each value with where it begins in the text.
    pub attributes: Vec<(&'a str, &'a str, usize)>,
    /// Where it ends in the text.
    pub end: usize,
}

impl Tag<'_> {
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    pub fn is_one_of(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.is(name))
    }
}

/// The tag that begins with the `<` at `at`, or where to look for the next one.
pub(super) fn read(text: &str, at: usize) -> Result<Tag<'_>, usize> {
    let bytes = text.as_bytes();
    let closes = bytes.get(at + 1) == Some(&b'/');
    let begin = at + 1 + usize::from(closes);
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b':' | b'_');
    let length = bytes.get(begin..).unwrap_or_default().iter().take(64).take_while(|byte| is_name(byte)).count();
    if !bytes.get(begin).is_some_and(u8::is_ascii_alphabetic) {
        return Err(at + 1);
    }
    let mut tag =
        Tag { name: text.get(begin..begin + length).unwrap_or_default(), closes, attributes: Vec::new(), end: 0 };
    let limit = bytes.len().min(begin + LONGEST);
    let mut now = begin + length;
    loop {
        let skipped = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'/';
        now += bytes.get(now..limit).unwrap_or_default().iter().take_while(|byte| skipped(byte)).count();
        match bytes.get(now..limit).and_then(<[u8]>::first) {
            Some(b'>') => {
                tag.end = now + 1;
                return Ok(tag);
            }
            None | Some(b'<') => return Err(now.max(at + 1)),
            Some(_) => {}
        }
        let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'=' | b'>' | b'<' | b'/');
        let length = bytes.get(now..limit).unwrap_or_default().iter().take_while(|byte| !ends(byte)).count();
        let name = text.get(now..now + length).unwrap_or_default();
        now += length;
        let blank = |from: usize| {
            bytes.get(from..limit).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_whitespace()).count()
        };
        let equals = now + blank(now);
        let mut value = (now, now);
        if bytes.get(equals..limit).and_then(<[u8]>::first) == Some(&b'=') {
            let from = equals + 1 + blank(equals + 1);
            value = match bytes.get(from..limit).and_then(<[u8]>::first) {
                Some(quote @ (b'"' | b'\'')) => {
                    let Some(closed) = memchr(*quote, bytes.get(from + 1..limit).unwrap_or_default()) else {
                        return Err(from + 1);
                    };
                    (from + 1, from + 1 + closed)
                }
                _ => {
                    let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'<');
                    (
                        from,
                        from + bytes.get(from..limit).unwrap_or_default().iter().take_while(|byte| !ends(byte)).count(),
                    )
                }
            };
            now = value.1 + usize::from(value.0 > from);
        } else if length == 0 {
            return Err(now.max(at + 1));
        }
        if tag.attributes.len() < MOST_ATTRIBUTES {
            tag.attributes.push((name, text.get(value.0..value.1).unwrap_or_default(), value.0));
        }
    }
}
