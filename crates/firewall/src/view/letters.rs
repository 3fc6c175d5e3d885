//! What each character is folded to, looked up in tables that are made when the first character of a page is met.

use std::sync::{LazyLock, OnceLock};

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;

use super::invisible::is_invisible;

/// Traditional characters, each followed by its simplified form; see NOTICE.
const SIMPLIFIED: &str = include_str!("simplified.txt");
/// Characters of a page.
const PAGE: usize = 256;
/// Pages: the planes that have letters with other forms. Higher characters stand for themselves.
const PAGES: usize = 0x300;

/// What a character becomes in one of the two forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Out {
    /// It stays.
    Same,
    /// One character of the same length.
    Swap(char),
    /// Some text, perhaps none.
    Text(Box<str>),
}

impl Out {
    fn of(c: char, text: &str) -> Self {
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(one), None) if one == c => Self::Same,
            (Some(one), None) if one.len_utf8() == c.len_utf8() => Self::Swap(one),
            _ => Self::Text(text.into()),
        }
    }
}

/// A character and its forms.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    /// With its case: NFKC.
    pub plain: Out,
    /// Lower case, no accent, one letter for all that look alike, simplified.
    pub folded: Out,
    /// What kind of character it is.
    pub kind: Kind,
}

/// What kind a character is, where that matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A letter of a script that has letters that look like Latin ones, and this is such a letter.
    Alike,
    /// A letter of Chinese, Japanese or Latin: zero-width characters have no business beside it.
    Letter,
    /// It is not seen.
    Invisible,
    /// All others.
    Other,
}

/// The forms of a character that is not ASCII; nothing for those that only stand for themselves.
pub(super) fn letter(c: char) -> Option<&'static Letter> {
    static TABLE: [OnceLock<Box<[Letter]>>; PAGES] = [const { OnceLock::new() }; PAGES];
    let code = u32::from(c) as usize;
    let page = TABLE.get(code / PAGE)?;
    page.get_or_init(|| {
        let first = code / PAGE * PAGE;
        (first..first + PAGE)
            .map(|code| u32::try_from(code).ok().and_then(char::from_u32).unwrap_or('\u{fffd}'))
            .map(Letter::of)
            .collect()
    })
    .get(code % PAGE)
}

impl Letter {
    fn of(c: char) -> Self {
        if is_invisible(c) {
            return Self { plain: Out::Text("".into()), folded: Out::Text("".into()), kind: Kind::Invisible };
        }
        let plain: String = match c {
            '\u{85}' | '\u{2028}' | '\u{2029}' => "\n".into(),
            _ => [c].into_iter().nfkc().filter(|part| !is_invisible(*part)).collect(),
        };
        let folded = folded(c, &plain);
        let alike = matches!(script(c), Script::Cased) && folded.bytes().any(|byte| byte.is_ascii_alphabetic());
        let kind = match () {
            () if alike => Kind::Alike,
            () if is_east_asian(c) || folded.bytes().any(|byte| byte.is_ascii_alphanumeric()) => Kind::Letter,
            () => Kind::Other,
        };
        Self { plain: Out::of(c, &plain), folded: Out::of(c, &folded), kind }
    }
}

enum Script {
    /// Cyrillic, Greek, Armenian, Cherokee, Coptic, Lisu: letters that look like Latin ones.
    Cased,
    Other,
}

const fn script(c: char) -> Script {
    match c {
        '\u{370}'..='\u{58f}'
        | '\u{13a0}'..='\u{13ff}'
        | '\u{1c80}'..='\u{1c8f}'
        | '\u{1f00}'..='\u{1fff}'
        | '\u{2c80}'..='\u{2cff}'
        | '\u{2de0}'..='\u{2dff}'
        | '\u{a4d0}'..='\u{a4ff}'
        | '\u{a640}'..='\u{a69f}'
        | '\u{ab70}'..='\u{abbf}' => Script::Cased,
        _ => Script::Other,
    }
}

/// Whether a character is of a script that has neither cases nor look-alikes of Latin letters.
const fn is_east_asian(c: char) -> bool {
    matches!(c, '\u{2e80}'..='\u{2fff}' | '\u{3005}'..='\u{3007}' | '\u{3021}'..='\u{318f}' | '\u{31a0}'..='\u{31ff}'
        | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ffdc}' | '\u{20000}'..='\u{3ffff}')
}

fn folded(c: char, plain: &str) -> String {
    if is_east_asian(c) {
        return plain.chars().map(simplified).collect();
    }
    if let Some(own) = seen_as(c) {
        return own.to_string();
    }
    let mut out = String::new();
    // Capitals have look-alikes of their own, so each part is first compared as it stands.
    for part in plain.nfd().filter(|part| !is_accent(*part)) {
        like(part, &mut out);
    }
    out
}

/// Adds what an ASCII reader sees in a character.
fn like(c: char, out: &mut String) {
    if c.is_ascii() {
        out.push(c.to_ascii_lowercase());
        return;
    }
    if let Some(own) = seen_as(c) {
        out.push(own);
        return;
    }
    if !c.is_alphabetic() {
        // Of signs, only those that an ASCII sign looks like.
        let skeleton = skeleton(c);
        match skeleton.as_bytes() {
            [sign] if sign.is_ascii_punctuation() => out.push(char::from(*sign)),
            _ => out.extend(c.to_lowercase()),
        }
        return;
    }
    let skeleton = skeleton(c);
    let mut lower = c.to_lowercase();
    let lower = lower.next().filter(|lower| *lower != c && lower.is_alphabetic());
    match (skeleton.as_str(), lower) {
        // A capital that looks like `I`, which the tables take for `l`.
        ("l", Some(lower)) => match self::skeleton(lower).as_str() {
            small if small.len() == 1 => out.push_str(&small.to_ascii_lowercase()),
            _ => out.push('i'),
        },
        ("rn", _) => out.push('m'),
        ("vv", _) => out.push('w'),
        (latin, _) if latin.bytes().all(|byte| byte.is_ascii_alphabetic()) => out.push_str(&latin.to_ascii_lowercase()),
        (_, Some(lower)) => match seen_as(lower) {
            Some(own) => out.push(own),
            None => match self::skeleton(lower) {
                small if small.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
                    out.push_str(&small.to_ascii_lowercase())
                }
                _ => out.push(lower),
            },
        },
        (other, None) => match other.chars().next().filter(|_| other.chars().count() == 1) {
            Some(prototype) => out.push(seen_as(prototype).unwrap_or(c)),
            None => out.push(c),
        },
    }
}

/// What a character looks like (UTS 39), without accents and strokes.
fn skeleton(c: char) -> String {
    unicode_security::skeleton(c.encode_utf8(&mut [0; 4])).filter(|part| !is_accent(*part)).collect()
}

/// Look-alikes that the tables of Unicode do not have: small capitals, letters in boxes, and letters of other alphabets that
/// are used for Latin ones although they can be told apart.
fn seen_as(c: char) -> Option<char> {
    Some(match c {
        'ᴀ' | 'ɐ' => 'a',
        'ʙ' | 'в' | 'β' => 'b',
        'ᴄ' => 'c',
        'ᴅ' => 'd',
        'ᴇ' | 'ɛ' | 'ε' | 'є' | 'ǝ' | 'ə' => 'e',
        'ꜰ' => 'f',
        'ɢ' => 'g',
        'ʜ' | 'н' => 'h',
        'ɪ' | 'ı' => 'i',
        'ᴊ' => 'j',
        'ᴋ' | 'κ' | 'к' | 'ĸ' => 'k',
        'ʟ' => 'l',
        'ᴍ' | 'м' => 'm',
        'ɴ' | 'п' | 'η' => 'n',
        'ᴏ' => 'o',
        'ᴘ' => 'p',
        'ʀ' | 'я' => 'r',
        'ꜱ' => 's',
        'ᴛ' | 'т' | 'τ' => 't',
        'ᴜ' | 'μ' | 'µ' => 'u',
        'ᴠ' => 'v',
        'ᴡ' | 'ш' | 'ω' => 'w',
        'ʏ' => 'y',
        'ᴢ' => 'z',
        '\u{2018}'..='\u{201b}' | '\u{2032}' | '\u{2b9}' | '\u{2bc}' => '\'',
        '\u{201c}'..='\u{201f}' | '\u{2033}' => '"',
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        '\u{2044}' | '\u{2215}' => '/',
        '\u{1f150}'..='\u{1f169}' => boxed(c, 0x1f150),
        '\u{1f170}'..='\u{1f189}' => boxed(c, 0x1f170),
        '\u{1f1e6}'..='\u{1f1ff}' => boxed(c, 0x1f1e6),
        _ => return None,
    })
}

fn boxed(c: char, first: u32) -> char {
    char::from_u32(u32::from(c).saturating_sub(first) + u32::from('a')).unwrap_or(c)
}

/// Whether a character is drawn over another one and says nothing by itself: accents, strokes and points, but not the
/// vowels of the scripts of India and its neighbours.
fn is_accent(c: char) -> bool {
    matches!(c, '\u{483}'..='\u{489}' | '\u{20d0}'..='\u{20f0}')
        || matches!(canonical_combining_class(c), 1..=6 | 10..=35 | 200..=240)
}

/// The simplified form of a Chinese character.
fn simplified(c: char) -> char {
    static PAIRS: LazyLock<Vec<(char, char)>> = LazyLock::new(|| {
        let mut pairs = Vec::new();
        for line in SIMPLIFIED.lines() {
            let mut chars = line.chars();
            while let (Some(traditional), Some(simple)) = (chars.next(), chars.next()) {
                pairs.push((traditional, simple));
            }
        }
        pairs.sort_unstable();
        pairs
    });
    let found = PAIRS.binary_search_by_key(&c, |(traditional, _)| *traditional).ok();
    found.and_then(|index| PAIRS.get(index)).map_or(c, |(_, simple)| *simple)
}
