//! The notations. What is no call here is broken up, so this may know fewer calls than an agent does, but must see every
//! beginning.

use serde_json::{Map, Value};

/// Most calls that one text can hold; a text of more is none.
const MOST_CALLS: usize = 32;
/// Longest name of a tool or an argument, in bytes.
const LONGEST_NAME: usize = 120;

const FUNCTION: &str = "<function=";
const FUNCTION_END: &str = "</function>";
const PARAMETER: &str = "<parameter=";
const PARAMETER_END: &str = "</parameter>";
const CHANNEL: &str = "<|channel|>";
const CHANNELS: [&str; 3] = ["commentary", "analysis", "final"];
/// Names of tags for thoughts.
const THOUGHTS: [&str; 14] = [
    "think",
    "thinking",
    "thought",
    "reasoning",
    "internal",
    "antthinking",
    "antml:think",
    "antml:thinking",
    "antml:thought",
    "antml:reasoning",
    "mm:think",
    "mm:thinking",
    "mm:thought",
    "mm:reasoning",
];

/// What the beginning of a text says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Calls begin so.
    Calls,
    /// They do not.
    Text,
    /// More must come.
    Unclear,
}

/// What a text begins with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// No tag of thoughts.
    None,
    /// One that opens; `end` is where a plain one ends.
    Opening { end: Option<usize> },
    /// One that closes, the same.
    Closing { end: Option<usize> },
    /// More must come.
    Unclear,
}

/// White space for any reader: Unicode's, and the byte order mark.
pub(super) fn is_space(char: char) -> bool {
    char.is_whitespace() || char == '\u{feff}'
}

fn is_name(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '_' | '-')
}

fn is_tag_name(char: char) -> bool {
    is_name(char) || matches!(char, '.' | ':')
}

/// Whether calls begin like `text`, which begins with something else than white space.
pub(super) fn look(text: &str) -> Look {
    if text.starts_with('<') {
        return match (begins(text, FUNCTION), begins(text, CHANNEL)) {
            (Look::Calls, _) | (_, Look::Calls) => Look::Calls,
            (Look::Unclear, _) | (_, Look::Unclear) => Look::Unclear,
            (Look::Text, Look::Text) => Look::Text,
        };
    }
    if let Some(rest) = text.strip_prefix('[') {
        return bracket(rest);
    }
    for channel in CHANNELS {
        let Some(rest) = text.strip_prefix(channel) else {
            if channel.starts_with(text) {
                return Look::Unclear;
            }
            continue;
        };
        let to = rest.trim_start_matches([' ', '\t']);
        return match begins(to, "to=") {
            Look::Calls if to.len() < rest.len() => Look::Calls,
            Look::Unclear if rest.is_empty() || to.len() < rest.len() => Look::Unclear,
            _ => Look::Text,
        };
    }
    Look::Text
}

/// Whether a text begins with a word, in any case of ASCII letters.
fn begins(text: &str, word: &str) -> Look {
    let same = text.bytes().zip(word.bytes()).all(|(a, b)| a.eq_ignore_ascii_case(&b));
    match same {
        true if text.len() >= word.len() => Look::Calls,
        true => Look::Unclear,
        false => Look::Text,
    }
}

/// The same behind a `[`: `tool:NAME]`, or `NAME]` with nothing behind it on its line.
fn bracket(text: &str) -> Look {
    let tool = text.starts_with("tool:");
    let name = text.strip_prefix("tool:").unwrap_or(text);
    let behind = name.trim_start_matches(is_name);
    if behind.is_empty() {
        return Look::Unclear;
    }
    match behind.strip_prefix(']') {
        Some(_) if tool => Look::Calls,
        Some(line) => match line.trim_start_matches([' ', '\t']).chars().next() {
            None => Look::Unclear,
            Some('\r' | '\n') => Look::Calls,
            Some(_) => Look::Text,
        },
        None => Look::Text,
    }
}

/// Whether a text begins with a tag of thoughts. Where it has more than its name in it, it has no end here.
pub(super) fn tag(text: &str) -> Tag {
    let Some(rest) = text.strip_prefix('<') else { return Tag::None };
    let rest = rest.trim_start_matches(is_space);
    let (closes, rest) = match rest.strip_prefix('/') {
        Some(rest) => (true, rest.trim_start_matches(is_space)),
        None => (false, rest),
    };
    let behind = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == ':');
    let (name, _) = rest.split_at(rest.len() - behind.len());
    let name = name.to_ascii_lowercase();
    let Some(next) = behind.chars().next() else {
        let known = THOUGHTS.iter().any(|known| known.starts_with(&name));
        return if known { Tag::Unclear } else { Tag::None };
    };
    if !(is_space(next) || matches!(next, '/' | '>')) || !THOUGHTS.contains(&name.as_str()) {
        return Tag::None;
    }
    let end = (next == '>').then(|| text.len() - behind.len() + 1);
    if closes { Tag::Closing { end } } else { Tag::Opening { end } }
}

/// Names and arguments (JSON text) of the calls that `text` consists of.
pub(super) fn calls(text: &str) -> Option<Vec<(String, String)>> {
    let mut calls = Vec::new();
    let mut rest = text.trim_matches(is_space);
    while !rest.is_empty() {
        if calls.len() == MOST_CALLS {
            return None;
        }
        let (call, after) = call(rest)?;
        calls.push(call);
        rest = after.trim_start_matches(is_space);
    }
    Some(calls)
}

/// The call that a text begins with, and what follows it.
fn call(text: &str) -> Option<((String, String), &str)> {
    if let Some(rest) = strip(text, FUNCTION) {
        let (name, rest) = name(rest, is_tag_name)?;
        return tagged(name, rest.strip_prefix('>')?);
    }
    if let Some(rest) = text.strip_prefix("[tool:") {
        let (name, rest) = name(rest, is_name)?;
        let rest = rest.strip_prefix(']')?.trim_start_matches(is_space);
        return if rest.starts_with('{') { json(name, rest, true) } else { tagged(name, rest) };
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (name, rest) = name(rest, is_name)?;
        let rest = rest.strip_prefix(']')?.trim_start_matches([' ', '\t']);
        if !rest.starts_with(['\r', '\n']) {
            return None;
        }
        let rest = rest.trim_start_matches(is_space);
        return if rest.starts_with('{') { json(name, rest, false) } else { tagged(name, rest) };
    }
    let rest = text.strip_prefix(CHANNEL).unwrap_or(text);
    let rest = CHANNELS.into_iter().find_map(|channel| rest.strip_prefix(channel))?;
    let rest = rest.strip_prefix([' ', '\t'])?.trim_start_matches([' ', '\t']);
    let (name, rest) = name(rest.strip_prefix("to=")?, is_name)?;
    let rest = rest.strip_prefix([' ', '\t'])?.trim_start_matches([' ', '\t']);
    let rest = rest.strip_prefix("code")?.trim_start_matches(is_space);
    let rest = rest.strip_prefix("<|message|>").unwrap_or(rest);
    json(name, rest.trim_start_matches(is_space), true)
}

fn strip<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    (begins(text, word) == Look::Calls).then(|| text.get(word.len()..))?
}

fn name(text: &str, of: fn(char) -> bool) -> Option<(&str, &str)> {
    let behind = text.trim_start_matches(of);
    let (name, behind) = text.split_at(text.len() - behind.len());
    (!name.is_empty() && name.len() <= LONGEST_NAME).then_some((name, behind))
}

/// A call whose arguments are a JSON object, which passes as it stands. What closes it can be left out if `open`.
fn json<'t>(name: &str, text: &'t str, open: bool) -> Option<((String, String), &'t str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Map<String, Value>>();
    values.next()?.ok()?;
    let (arguments, rest) = text.split_at_checked(values.byte_offset())?;
    let call = (name.to_owned(), arguments.to_owned());
    let behind = rest.trim_start_matches(is_space);
    let closed = ["<|call|>", "[END_TOOL_REQUEST]", &format!("[/{name}]")];
    match closed.into_iter().find_map(|mark| behind.strip_prefix(mark)) {
        Some(rest) => Some((call, rest)),
        None => open.then_some((call, rest)),
    }
}

/// A call whose arguments stand in tags, each a text.
fn tagged<'t>(name_: &str, mut text: &'t str) -> Option<((String, String), &'t str)> {
    let mut arguments = Map::new();
    loop {
        text = text.trim_start_matches(is_space);
        if let Some(rest) = strip(text, FUNCTION_END) {
            return Some(((name_.to_owned(), Value::Object(arguments).to_string()), rest));
        }
        let (key, rest) = name(strip(text, PARAMETER)?, is_tag_name)?;
        let rest = rest.strip_prefix('>')?;
        let ends = rest.match_indices('<').map(|(at, _)| rest.split_at(at));
        let (value, rest) = ends.filter_map(|(value, tag)| Some((value, strip(tag, PARAMETER_END)?))).next()?;
        let value = Value::String(unframed(value).to_owned());
        // One reader takes the first of two, another the last.
        if arguments.insert(key.to_owned(), value).is_some() {
            return None;
        }
        text = rest;
    }
}

/// A value without the line break behind its opening tag and the one before its closing tag.
fn unframed(value: &str) -> &str {
    let line_break = ["\r\n", "\n", "\r"];
    match line_break.into_iter().find_map(|line_break| value.strip_prefix(line_break)) {
        Some(inner) => line_break.into_iter().find_map(|line_break| inner.strip_suffix(line_break)).unwrap_or(inner),
        None => value,
    }
}
