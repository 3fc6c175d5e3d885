//! Secrets that have no mark of their own, behind the words that say what they are: `password: …`, `API_KEY=…`, `密码是…`.

use super::{base64, quality};
use crate::loss::{Found, Page};

/// What words before a value say that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// A password.
    Password,
    /// A key or a token.
    Key,
    /// An identifier of a session.
    Session,
    /// A number that a person types in.
    Pin,
    /// A number that is sent to a person.
    Code,
    /// The number on the back of a card.
    CardCode,
    /// A key, after a blank only.
    Bearer,
    /// A name and a password in base64, after a blank only.
    Basic,
    /// The same, as the value of a key.
    Pair,
}

/// The words, in lower case.
pub(super) const WORDS: &[(Said, &[&str])] = &[
    (
        Said::Password,
        &[
            "password",
            "passwd",
            "passwort",
            "passphrase",
            "pwd",
            "passcode",
            "contraseña",
            "mot de passe",
            "密码",
            "密碼",
            "口令",
            "パスワード",
            "비밀번호",
            "_pass",
        ],
    ),
    (
        Said::Key,
        &[
            "secret",
            "token",
            "api key",
            "api_key",
            "api-key",
            "apikey",
            "access key",
            "access_key",
            "access-key",
            "accesskey",
            "account key",
            "account_key",
            "app key",
            "app_key",
            "appkey",
            "auth_key",
            "authkey",
            "private key",
            "private_key",
            "privatekey",
            "signing_key",
            "signing key",
            "encryption_key",
            "encryption key",
            "master_key",
            "master key",
            "license_key",
            "license key",
            "client-key-data",
            "credential",
            "密钥",
            "密鑰",
            "金鑰",
            "令牌",
            "_key",
            "-key",
            "webhook_key",
            "x-auth",
        ],
    ),
    (Said::Session, &["session", "sessid", "connect.sid", "_sid", "cookie"]),
    (Said::Pin, &["pin"]),
    (
        Said::Code,
        &[
            "otp",
            "verification code",
            "security code",
            "one-time code",
            "one time code",
            "login code",
            "验证码",
            "驗證碼",
            "校验码",
            "動態碼",
            "动态码",
            "动态密码",
            "认证码",
        ],
    ),
    (Said::CardCode, &["cvv", "cvv2", "cvc", "cvc2", "cid code", "安全码", "安全碼"]),
    (Said::Bearer, &["bearer "]),
    (Said::Basic, &["basic "]),
    (Said::Pair, &["\"auth\""]),
];

/// Bytes of the rest of a name, such as `_for_production`.
const LONGEST_NAME: usize = 24;
/// Bytes between the word and what joins it to its value: `the password of the router is …`.
const LONGEST_GAP: usize = 40;
/// Bytes of a password.
const LONGEST_PASSWORD: usize = 128;
/// Bytes of a key.
const LONGEST_KEY: usize = 400;

/// What joins words to a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Joint {
    /// `:` or `=`.
    Sign,
    /// A verb.
    Verb,
}

/// Looks behind a word.
pub(super) fn at(page: &Page<'_>, said: Said, start: usize, end: usize, found: &mut Vec<Found>) {
    let bytes = page.bytes;
    let value = match said {
        Said::Bearer | Said::Basic => Some((end, Joint::Sign)),
        Said::Pin | Said::Code | Said::CardCode if !stands_apart(bytes, start, end) => None,
        _ => joint(page.text, start, end, said),
    };
    let Some((from, joint)) = value else { return };
    let Some((from, to, quoted)) = extent(bytes, from, said) else { return };
    let Some(value) = bytes.get(from..to) else { return };
    let kind_rank = match said {
        Said::Password => password(value, quoted, joint).then_some(("password", 45)),
        Said::Key | Said::Bearer => key(value).then(|| (super::provider::of(page, from, value), 42)),
        Said::Session => {
            ((16..=LONGEST_KEY).contains(&value.len()) && quality::is_key(value)).then_some(("session-id", 40))
        }
        Said::Pin => digits(value, 4..=8).then_some(("pin", 36)),
        Said::Code => digits(value, 4..=8).then_some(("one-time-code", 37)),
        Said::CardCode => digits(value, 3..=4).then_some(("card-code", 38)),
        Said::Basic | Said::Pair => is_pair(value).then_some(("basic-auth", 90)),
    };
    if let Some((kind, rank)) = kind_rank {
        found.push(Found { kind, start: from, end: to, rank });
    }
}

/// Whether a word is no part of a longer one.
fn stands_apart(bytes: &[u8], start: usize, end: usize) -> bool {
    let letter = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(|byte| byte.is_ascii_alphanumeric());
    !letter(start.checked_sub(1)) && !letter(Some(end))
}

/// Where the value begins that is joined to the word, and by what.
fn joint(text: &str, start: usize, end: usize, said: Said) -> Option<(usize, Joint)> {
    let bytes = text.as_bytes();
    let skip = |from: usize, most: usize, is: fn(&u8) -> bool| {
        from + bytes.get(from..).map_or(0, |rest| rest.iter().take(most).take_while(|byte| is(byte)).count())
    };
    let name = skip(end, LONGEST_NAME, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    if said == Said::Key && bytes.get(end..name).is_some_and(names_no_key) {
        return None;
    }
    let closed = skip(name, 3, |byte| matches!(byte, b'"' | b'\'' | b'`' | b']' | b'*' | b'\\' | b')'));
    let at = skip(closed, 3, |byte| matches!(byte, b' ' | b'\t'));
    if let Some(next) = sign(bytes, at) {
        return Some((next, Joint::Sign));
    }
    // `--password VALUE`, `CVV 123`, and Chinese with a blank.
    let option = start.checked_sub(2).and_then(|at| bytes.get(at..start)) == Some(b"--");
    let chinese = bytes.get(start).is_some_and(|byte| !byte.is_ascii());
    let number = matches!(said, Said::CardCode | Said::Code) && bytes.get(at).is_some_and(u8::is_ascii_digit);
    if at > closed && (option || chinese || number) && bytes.get(at).is_some_and(|byte| byte.is_ascii_graphic()) {
        return Some((at, Joint::Sign));
    }
    let gap = gap(text, end)?;
    verb(gap).map(|length| (end + length, Joint::Verb))
}

/// Whether the rest of a name says that the value is about a key and not one.
fn names_no_key(rest: &[u8]) -> bool {
    const ABOUT: &[&[u8]] = &[
        b"url",
        b"uri",
        b"path",
        b"file",
        b"name",
        b"type",
        b"endpoint",
        b"count",
        b"limit",
        b"expir",
        b"hint",
        b"regex",
        b"pattern",
        b"algo",
        b"version",
        b"_id",
        b"-id",
        b"ref",
        b"public",
        b"length",
        b"format",
    ];
    let lower = rest.to_ascii_lowercase();
    ABOUT.iter().any(|about| memchr::memmem::find(&lower, about).is_some())
}

/// Where the value begins behind `:`, `=`, `:=`, `=>` or `->`.
fn sign(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at..)? {
        [b'=', b'=' | b'~', ..] | [b':', b':', ..] | [b'!', b'=', ..] => None,
        [b':', b'=', ..] | [b'=', b'>', ..] | [b'-', b'>', ..] => Some(at + 2),
        [b':' | b'=', ..] => Some(at + 1),
        _ => None,
    }
}

/// The rest of the line behind a word, as far as it is looked at.
fn gap(text: &str, end: usize) -> Option<&str> {
    let most = (end + LONGEST_GAP + 8).min(text.len());
    let to = (end..=most).rev().find(|at| text.is_char_boundary(*at))?;
    text.get(end..to)?.lines().next()
}

/// How many bytes there are up to the value behind the first verb, if only words stand before it.
fn verb(gap: &str) -> Option<usize> {
    const VERBS: &[&str] = &[" is ", " is: ", " was ", " to ", " = ", "是", "为", "為", "设成", "設成", "改成", ": "];
    let (at, verb) = VERBS
        .iter()
        .filter_map(|verb| gap.find(verb).map(|at| (at, *verb)))
        .min_by_key(|(at, verb)| (*at, usize::MAX - verb.len()))?;
    let words = gap.get(..at)?;
    let plain =
        words.chars().all(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '\'' | '/' | '(' | ')' | '"'));
    let joint = gap.get(at + verb.len()..).map_or(0, |rest| rest.len() - rest.trim_start_matches([':', ' ']).len());
    (plain && at <= LONGEST_GAP).then_some(at + verb.len() + joint)
}

/// The value that begins behind blanks and quotation marks, and whether there are such marks.
fn extent(bytes: &[u8], from: usize, said: Said) -> Option<(usize, usize, bool)> {
    // Stars of Markdown, blanks, then quotation marks.
    let stars = bytes.get(from..)?.iter().take(2).take_while(|byte| **byte == b'*').count();
    let blanks = bytes.get(from + stars..)?.iter().take(5).take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let at = from + stars + blanks;
    let marks =
        bytes.get(at..)?.iter().take(3).take_while(|byte| matches!(byte, b'"' | b'\'' | b'`' | b'*' | b'\\')).count();
    let first = at + marks;
    let most = if said == Said::Password { LONGEST_PASSWORD } else { LONGEST_KEY };
    let quoted = marks > 0;
    let ends = |byte: u8| {
        !byte.is_ascii_graphic()
            || matches!(byte, b'"' | b'\'' | b'`' | b'<' | b'>')
            || (!quoted && matches!(byte, b',' | b';' | b'&'))
    };
    let length = bytes.get(first..)?.iter().take(most + 1).take_while(|byte| !ends(**byte)).count();
    if length > most {
        return None;
    }
    let run = bytes.get(first..first + length)?;
    // Signs that end a sentence or close what was opened before.
    let closing = if quoted {
        run.iter().rev().take_while(|byte| matches!(byte, b'\\' | b'*')).count()
    } else {
        run.iter().rev().take_while(|byte| matches!(byte, b'.' | b':' | b')' | b']' | b'}' | b'?' | b'*')).count()
    };
    Some((first, first + length - closing, quoted))
}

fn password(value: &[u8], quoted: bool, joint: Joint) -> bool {
    let spoken = joint == Joint::Verb || !quoted;
    let number = spoken && digits(value, 6..=20) && quality::variety(value) >= 2;
    (6..=LONGEST_PASSWORD).contains(&value.len()) && (number || quality::is_password(value, quoted))
}

fn key(value: &[u8]) -> bool {
    let letters = value.iter().all(|byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'/' | b'=' | b'.' | b'~' | b'%' | b':')
    });
    // One key of 40 letters in 32 begins as a path does.
    let root = value.starts_with(b"/") && !(value.len() == 40 && quality::entropy(value) >= 4.5);
    let path = memchr::memmem::find(value, b"://").is_some() || root || value.starts_with(b".");
    (16..=LONGEST_KEY).contains(&value.len()) && letters && !path && quality::is_key(value)
}

fn digits(value: &[u8], lengths: std::ops::RangeInclusive<usize>) -> bool {
    lengths.contains(&value.len()) && value.iter().all(u8::is_ascii_digit)
}

/// Whether it is a name and a password in base64.
fn is_pair(value: &[u8]) -> bool {
    let Some(plain) = base64(value) else { return false };
    let text = plain.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
    let colon = plain.iter().position(|byte| *byte == b':');
    value.len() >= 8 && text && colon.is_some_and(|at| at > 0 && at + 1 < plain.len())
}
