//! Host names and patterns in rules, international ones included.

use std::borrow::Cow;
use std::collections::BTreeSet;

use icu_properties::CodePointMapData;
use icu_properties::props::Script;
use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use nanoclaw_request::{DnsName, HostError};

use crate::display::shown;
use crate::{HostPattern, ValueError};

/// Reads a host name, `*.suffix` or `**.suffix`.
pub(crate) fn pattern(text: &str) -> Result<HostPattern, ValueError> {
    let (make, suffix): (fn(DnsName) -> HostPattern, &str) = if let Some(suffix) = text.strip_prefix("**.") {
        (HostPattern::AnyDepth, suffix)
    } else if let Some(suffix) = text.strip_prefix("*.") {
        (HostPattern::OneLabel, suffix)
    } else if text == "*" || text == "**" {
        return Err(ValueError::new(
            format!("`{text}` would allow every host"),
            "name the hosts that are meant; `*.bank.com` is every name directly below bank.com",
        ));
    } else if let Some(suffix) = text.strip_prefix('.').filter(|suffix| !suffix.is_empty()) {
        return Err(ValueError::new(
            format!("`{}` begins with a dot", shown(text)),
            format!("write `*.{0}` for names directly below it, or `**.{0}` for any depth", shown(suffix)),
        ));
    } else {
        (HostPattern::Exact, text)
    };
    if suffix.contains('*') {
        return Err(ValueError::new(
            format!("`{}` has a `*` in a place where it means nothing", shown(text)),
            "`*.` and `**.` stand only at the beginning, in place of whole labels",
        ));
    }
    let wild = suffix.len() != text.len();
    let name = name(text, suffix, wild)?;
    if wild && !name.as_str().contains('.') {
        return Err(ValueError::new(
            format!("`{}` is every host below `{name}`", shown(text)),
            "name at least two labels after the `*.`, such as `*.bank.com`",
        ));
    }
    if name.as_str() == "localhost" || name.as_str().ends_with(".localhost") {
        return Err(ValueError::new(
            format!("`{}` is this host's loopback", shown(text)),
            "name one service of this host as `host-service:127.0.0.1:PORT`",
        ));
    }
    Ok(make(name))
}

/// Reads the name of one host.
pub(crate) fn host_name(text: &str) -> Result<DnsName, ValueError> {
    name(text, text, false)
}

/// Reads `host`, which stands in `text`, and converts it to its form in the DNS.
fn name(text: &str, host: &str, wild: bool) -> Result<DnsName, ValueError> {
    let international = !host.is_ascii() || host.split('.').any(punycode);
    let ascii = if international { to_ascii(text, host)? } else { host.to_owned() };
    DnsName::parse(&ascii).map_err(|error| {
        let help = match error {
            HostError::NotCanonicalAddress if wild => {
                "a `*` stands for names only; write a network such as `10.0.0.0/8` for addresses"
            }
            HostError::NotCanonicalAddress => "write IPv4 as four decimal numbers, such as `10.1.2.3`",
            HostError::TooLong => "a name has at most 253 characters, and 63 between two dots",
            HostError::EmptyLabel | HostError::Empty => "write names as `api.bank.com`, with one dot between labels",
            HostError::Character(_) | HostError::Dash | HostError::Port => {
                "a host name has letters, digits and dashes, and no dash at the ends of a label"
            }
        };
        ValueError::new(format!("`{}` is not a host: {error}", shown(text)), help)
    })
}

fn punycode(label: &str) -> bool {
    label.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("xn--"))
}

/// UTS #46 (non-transitional, STD3 rules), which gives no reasons.
fn convert(part: &str) -> Option<String> {
    Uts46::new()
        .to_ascii(part.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Ignore)
        .ok()
        .map(Cow::into_owned)
}

/// Converts a name, and finds the label and the character to blame where that fails.
fn to_ascii(text: &str, host: &str) -> Result<String, ValueError> {
    for label in host.split(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}']) {
        if !label.is_ascii() {
            one_script(text, label)?;
        }
        if convert(label).is_none() {
            let reason = match label.chars().find(|c| !c.is_ascii() && convert(c.encode_utf8(&mut [0; 4])).is_none()) {
                Some(c) => format!("`{}` (U+{:04X}) cannot stand in a host name", shown(&c.to_string()), u32::from(c)),
                None => format!("`{}` is not a valid international label", shown(label)),
            };
            return Err(ValueError::new(
                format!("`{}` is not a host: {reason}", shown(text)),
                "check the spelling against UTS #46, the rules for international names",
            ));
        }
    }
    convert(host).ok_or_else(|| {
        ValueError::new(
            format!("`{}` is not a valid international name", shown(text)),
            "check the spelling against UTS #46, the rules for international names",
        )
    })
}

/// Refuses labels that mix scripts, as look-alikes of other names do: UTS #39, level "highly restrictive".
fn one_script(text: &str, label: &str) -> Result<(), ValueError> {
    let map = CodePointMapData::<Script>::new();
    let script_of = |c: char| Some(map.get(c)).filter(|script| !matches!(*script, Script::Common | Script::Inherited));
    let scripts: BTreeSet<Script> = label.chars().filter_map(script_of).collect();
    let within = |allowed: &[Script]| scripts.iter().all(|script| allowed.contains(script));
    let fine = scripts.len() <= 1
        || within(&[Script::Latin, Script::Han, Script::Hiragana, Script::Katakana])
        || within(&[Script::Latin, Script::Han, Script::Bopomofo])
        || within(&[Script::Latin, Script::Han, Script::Hangul]);
    if fine {
        return Ok(());
    }
    let mut letters = label.chars().filter(|c| script_of(*c).is_some());
    let first = letters.next();
    let other = letters.find(|c| script_of(*c) != first.and_then(script_of));
    let name = |c: Option<char>| c.map_or_else(String::new, |c| format!("`{c}` (U+{:04X})", u32::from(c)));
    Err(ValueError::new(
        format!("`{}` mixes letters of different scripts, such as {} and {}", shown(text), name(first), name(other)),
        "letters that look alike can name another host; if this one is meant, write its `xn--` form",
    ))
}
