//! Whether a text stands in another one as a whole.

use std::collections::HashSet;

use memchr::memmem::Finder;

/// What an address begins with that is often left out.
const SCHEMES: [&str; 3] = ["https://", "http://", "mailto:"];

/// A text as it is compared: small letters, and one space for any white space.
pub(super) fn comparable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_whitespace() {
            if !out.is_empty() && !out.ends_with(' ') {
                out.push(' ');
            }
        } else if c.is_ascii() {
            out.push(c.to_ascii_lowercase());
        } else {
            // Some are small ASCII letters then (U+212A is a `k`), and whoever is written with them is somebody else.
            let small = c.to_lowercase();
            if small.clone().any(|c| c.is_ascii_alphanumeric()) { out.push(c) } else { out.extend(small) }
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// A text without the escapes of JSON, wherever they stand in it.
pub(super) fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('\\') {
        out.push_str(before);
        let mut chars = behind.chars();
        match chars.next() {
            Some('n' | 'r' | 't' | 'b' | 'f') => out.push(' '),
            Some('u') => match unicode(chars.as_str()) {
                Some((c, after)) => {
                    out.push(c);
                    rest = after;
                    continue;
                }
                None => out.push_str("\\u"),
            },
            Some(c) => out.push(c),
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out
}

/// The character of an escape behind `\u`, and what follows it.
fn unicode(text: &str) -> Option<(char, &str)> {
    let unit = |text: &str| u32::from_str_radix(text.get(..4)?, 16).ok();
    let (first, after) = (unit(text)?, text.get(4..)?);
    if !(0xd800..0xdc00).contains(&first) {
        return Some((char::from_u32(first)?, after));
    }
    let low = after.strip_prefix("\\u")?;
    let pair = 0x10000 + ((first - 0xd800) << 10) + unit(low)?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    Some((char::from_u32(pair)?, low.get(4..)?))
}

/// A text that is looked for.
pub(super) struct Wanted {
    forms: Vec<Finder<'static>>,
}

impl Wanted {
    pub(super) fn new(text: &str) -> Self {
        let text = comparable(text);
        // What has neither letter nor digit stands in everything.
        let says_something = text.chars().any(char::is_alphanumeric);
        let forms = if says_something { forms(text) } else { Vec::new() };
        Self { forms: forms.iter().map(|form| Finder::new(form).into_owned()).collect() }
    }

    /// How often a text is searched for it.
    pub(super) fn searches(&self) -> usize {
        self.forms.len()
    }

    /// Whether it is one of these comparable texts.
    pub(super) fn is_one_of(&self, texts: &HashSet<String>) -> bool {
        let is = |form: &Finder<'_>| std::str::from_utf8(form.needle()).is_ok_and(|form| texts.contains(form));
        !texts.is_empty() && self.forms.iter().any(is)
    }

    /// Whether it stands in a comparable text, as a whole.
    pub(super) fn stands_in(&self, text: &str) -> bool {
        self.forms.iter().any(|form| {
            form.find_iter(text.as_bytes()).any(|start| {
                let end = start + form.needle().len();
                match (text.get(..start), text.get(start..end), text.get(end..)) {
                    (Some(before), Some(value), Some(behind)) => begins(before, value) && ends(value, behind),
                    _ => false,
                }
            })
        })
    }
}

/// How a text may be written: addresses without what goes without saying, numbers with and without commas and zeros.
fn forms(text: String) -> Vec<String> {
    if let Some(numbers) = number(&text) {
        return numbers;
    }
    let mut forms = vec![text];
    let shorter = |form: &String| {
        let whole = form.strip_suffix('/').unwrap_or(form);
        let address = SCHEMES.iter().find_map(|scheme| whole.strip_prefix(scheme)).unwrap_or(whole);
        [whole.to_owned(), address.to_owned()]
    };
    if let Some(first) = forms.first().filter(|form| form.ends_with('/') || SCHEMES.iter().any(|s| form.starts_with(s)))
    {
        forms.extend(shorter(first));
    }
    forms.retain(|form| form.chars().any(char::is_alphanumeric));
    forms.sort_unstable();
    forms.dedup();
    forms
}

/// The ways to write a decimal number; `None` for other texts.
fn number(text: &str) -> Option<Vec<String>> {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    // A number that begins with a zero is a name; and so is one of more digits than anybody groups.
    let is_number = !whole.is_empty() && plain(whole) && plain(fraction) && (whole == "0" || !whole.starts_with('0'));
    if !is_number || whole.len() > 15 || fraction.len() > 15 {
        return None;
    }
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let fraction = fraction.trim_end_matches('0');
    let fractions = match fraction.len() {
        0 => vec![String::new(), ".0".to_owned(), ".00".to_owned()],
        1 => vec![format!(".{fraction}"), format!(".{fraction}0")],
        _ => vec![format!(".{fraction}")],
    };
    let wholes = if grouped == whole { vec![grouped] } else { vec![whole.to_owned(), grouped] };
    Some(wholes.iter().flat_map(|whole| fractions.iter().map(move |end| format!("{sign}{whole}{end}"))).collect())
}

/// Whether a character parts texts from each other, whatever stands beside it.
fn parts(c: char) -> bool {
    matches!(
        c,
        ' ' | ';'
            | '"'
            | '`'
            | '|'
            | '('
            | ')'
            | '['
            | ']'
            | '{'
            | '}'
            | '<'
            | '>'
            | '“'
            | '”'
            | '„'
            | '«'
            | '»'
            | '‘'
            | '、'
            | '。'
            | '，'
            | '；'
            | '：'
            | '「'
            | '」'
            | '『'
            | '』'
            | '（'
            | '）'
            | '【'
            | '】'
    )
}

/// Whether `value` can begin behind `before`: nothing that belongs to it stands there.
fn begins(before: &str, value: &str) -> bool {
    let mut rest = before.chars().rev().peekable();
    let mut after = value.chars().next();
    while let Some(c) = rest.next() {
        match c {
            _ if parts(c) => return true,
            _ if c.is_alphanumeric() => return false,
            ',' | ':' | '=' if !inside_number(rest.peek().copied(), after) => return true,
            // A quotation begins.
            '\'' | '’' if rest.peek().is_none_or(|c| !c.is_alphanumeric()) => return true,
            _ => after = Some(c),
        }
    }
    true
}

/// Whether `value` can end before `behind`: nothing that belongs to it stands there.
fn ends(value: &str, behind: &str) -> bool {
    // Somebody's.
    let behind = ["'s", "’s"].iter().find_map(|of| behind.strip_prefix(of)).unwrap_or(behind);
    let mut rest = behind.chars().peekable();
    let mut before = value.chars().next_back();
    while let Some(c) = rest.next() {
        match c {
            _ if parts(c) => return true,
            _ if c.is_alphanumeric() => return false,
            ',' if !inside_number(before, rest.peek().copied()) => return true,
            '\'' | '’' if rest.peek().is_none_or(|c| !c.is_alphanumeric()) => return true,
            _ => before = Some(c),
        }
    }
    true
}

/// Whether what stands between these is part of a number or a time: `1,000`, `10:30`.
fn inside_number(before: Option<char>, after: Option<char>) -> bool {
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    digit(before) && digit(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stands(value: &str, text: &str) -> bool {
        Wanted::new(value).stands_in(&comparable(text))
    }

    #[test]
    fn a_value_stands_in_words_however_people_write_it() {
        for (value, text) in [
            ("bob@x.com", "Send it to Bob@X.com."),
            ("bob@x.com", "to <bob@x.com>, please"),
            ("bob@x.com", "a@y.org,bob@x.com;c@z.org"),
            ("bob@x.com", "ticket 17,bob@x.com"),
            ("bob@x.com", "Email:bob@x.com"),
            ("bob@x.com", r#"{"email":"bob@x.com"}"#),
            ("bob@x.com", "mail 'bob@x.com'!"),
            ("mailto:bob@x.com", "bob@x.com"),
            ("https://bank.example", "go to bank.example"),
            ("https://bank.example/", "go to https://bank.example."),
            ("bank.example", "go to https://bank.example/"),
            ("general", "post it in #general"),
            ("#general", "post it in #general"),
            ("Alice  Smith", "Alice\nSmith's report"),
            ("Alice", "Alice's report"),
            ("alice", "'Alice' knows"),
            ("98.7", "$98.70"),
            ("1000", "1,000 EUR"),
            ("1000.0", "pay 1000"),
            ("50", "50€"),
            ("GB29NWBK60161331926819", "iban gb29nwbk60161331926819?"),
            ("转账", "请，转账。"),
        ] {
            assert!(stands(value, text), "{value} in {text}");
        }
    }

    #[test]
    fn a_part_of_something_else_is_not_the_value() {
        for (value, text) in [
            ("https://bank.example.evil.com", "bank.example"),
            ("https://bank.example@evil.com/", "bank.example"),
            ("bank.example", "bank.example.evil.com"),
            ("evil.com", "https://bank.example.evil.com"),
            ("https://evil.com/bank.example", "bank.example"),
            ("bob@x.com.evil.org", "bob@x.com"),
            ("bob@x.co", "bob@x.co.uk"),
            ("bob@x.co", "bob@x.com"),
            ("smith@x.com", "bob.smith@x.com"),
            ("smith@x.com", "bob-smith@x.com"),
            ("x.com", "bob@x.com"),
            ("bank.com", "my-bank.com"),
            ("alice", "malice"),
            ("alice", "alice_2"),
            ("alice", "alice/../mallory"),
            ("brien@x.com", "o'brien@x.com"),
            ("x.com/a", "x.com/a/b"),
            ("1", "1,000"),
            ("000", "1,000"),
            ("1", "1.5"),
            ("30", "at 10:30"),
            ("5", "50"),
            ("bоb@x.com", "bob@x.com"), // The first o is Cyrillic.
            ("bob@x.com\u{200b}", "bob@x.com"),
            ("\u{212a}ate@x.com", "kate@x.com"),
            ("bob @x.com", "bob@x.com"),
            ("*", "all * of it"),
            ("", "anything"),
            (" ", "any thing"),
        ] {
            assert!(!stands(value, text), "{value} in {text}");
        }
    }

    #[test]
    fn escapes_of_json_hide_nothing() {
        assert_eq!(
            unescaped(r#"{"a":"x\u0040\ny\/z\\ \ud83d\ude00 \u12 \ud83d \"#),
            "{\"a\":\"x@ y/z\\ 😀 \\u12 \\ud83d "
        );
        assert!(stands("bob@x.com", &unescaped(r#"{"to":"bob\u0040x.com"}"#)));
    }

    #[test]
    fn white_space_and_case_are_one() {
        assert_eq!(comparable("  Ä\t\r\nb\u{a0}C  "), "ä b c");
    }
}
