//! Character references, as in HTML.

use memchr::memchr_iter;

use super::stretches::Around;
use super::{Patches, Stretches};

const AROUND: Around = Around { before: 64, after: 160 };
/// A single `&amp;` says nothing.
const NEED: usize = 2;
/// Longest number or name of a reference, in bytes.
const LONGEST: usize = 12;

/// References by name, of what matters to words.
const NAMES: [(&str, &str); 34] = [
    ("amp", "&"),
    ("lt", "<"),
    ("gt", ">"),
    ("quot", "\""),
    ("apos", "'"),
    ("nbsp", " "),
    ("ensp", " "),
    ("emsp", " "),
    ("thinsp", " "),
    ("NewLine", "\n"),
    ("Tab", "\t"),
    ("excl", "!"),
    ("period", "."),
    ("comma", ","),
    ("colon", ":"),
    ("semi", ";"),
    ("lpar", "("),
    ("rpar", ")"),
    ("lsqb", "["),
    ("rsqb", "]"),
    ("lcub", "{"),
    ("rcub", "}"),
    ("sol", "/"),
    ("bsol", "\\"),
    ("num", "#"),
    ("ast", "*"),
    ("equals", "="),
    ("lowbar", "_"),
    ("rsquo", "'"),
    ("lsquo", "'"),
    ("ldquo", "\""),
    ("rdquo", "\""),
    ("shy", ""),
    ("zwnj", ""),
];

pub(super) fn decode(text: &str, room: usize) -> Stretches {
    let mut out = Patches::new(text, AROUND, NEED, room);
    for at in memchr_iter(b'&', text.as_bytes()) {
        let Some((decoded, length, weight)) = text.get(at + 1..).and_then(reference) else { continue };
        if !out.put(at..at + 1 + length, decoded.text(&mut [0; 4]), weight) {
            break;
        }
    }
    out.finish()
}

enum Decoded {
    One(char),
    Named(&'static str),
}

impl Decoded {
    fn text<'a>(&'a self, buffer: &'a mut [u8; 4]) -> &'a str {
        match self {
            Self::One(c) => c.encode_utf8(buffer),
            Self::Named(text) => text,
        }
    }
}

/// What follows an ampersand: what it stands for, its length and its weight.
fn reference(rest: &str) -> Option<(Decoded, usize, usize)> {
    let bytes = rest.as_bytes();
    if bytes.first() == Some(&b'#') {
        let (radix, from) = if matches!(bytes.get(1), Some(b'x' | b'X')) { (16, 2) } else { (10, 1) };
        let digits =
            bytes.iter().skip(from).take(LONGEST).take_while(|byte| char::from(**byte).is_digit(radix)).count();
        let number = u32::from_str_radix(rest.get(from..from + digits)?, radix).ok()?;
        let end = from + digits + usize::from(bytes.get(from + digits) == Some(&b';'));
        return Some((Decoded::One(char::from_u32(number).filter(|c| *c != '\0')?), end, 2));
    }
    let length = bytes.iter().take(LONGEST).take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let name = rest.get(..length).filter(|_| bytes.get(length) == Some(&b';'))?;
    let (_, text) = NAMES.iter().find(|(known, _)| *known == name)?;
    Some((Decoded::Named(text), length + 1, if matches!(name, "lt" | "gt") { 2 } else { 1 }))
}
