//! Takes values of the expected types out of the tree, and reports the others.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use super::keys::{Kinds, Level, advice, nearest};
use super::{HostPlace, Wants};
use crate::ValueError;
use crate::display::shown;
use crate::report::Mistakes;
use crate::source::Place;
use crate::tree::{Entry, Kind, Node};
use crate::value::{count, duration, host_path};

/// What decoding needs and collects.
pub(crate) struct Reader<'s> {
    pub(crate) mistakes: Mistakes<'s>,
    pub(crate) base: &'s Path,
    pub(crate) notices: Vec<crate::Notice>,
    /// Host paths that must exist by the time the file is used.
    pub(crate) host_places: Vec<HostPlace>,
}

/// A value and how messages call it.
#[derive(Clone, Copy)]
pub(crate) struct Field<'n> {
    pub(crate) name: &'n str,
    pub(crate) key: Place,
    pub(crate) node: &'n Node,
    /// Whether it is an element of the list `name`.
    element: bool,
}

impl<'n> Field<'n> {
    pub(crate) fn new(name: &'n str, key: Place, node: &'n Node) -> Self {
        Self { name, key, node, element: false }
    }

    /// An element of this list.
    pub(crate) fn element(&self, node: &'n Node) -> Field<'n> {
        Field { name: self.name, key: node.place, node, element: true }
    }

    /// Where to point: at the value, or at the key of a value that is not there.
    pub(crate) fn place(&self) -> Place {
        if self.node.place.width == 0 && matches!(self.node.kind, Kind::Null) { self.key } else { self.node.place }
    }
}

/// A mapping whose keys are all known.
pub(crate) struct Fields<'n> {
    level: &'static Level,
    pub(crate) place: Place,
    entries: Vec<&'n Entry>,
}

impl<'n> Fields<'n> {
    pub(crate) fn get(&self, key: &str) -> Option<Field<'n>> {
        debug_assert!(self.level.keys.contains(&key), "{key} is not in the table of {}", self.level.name);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(Field::new(&entry.key, entry.place, &entry.value))
    }

    /// The first of these keys that is there.
    pub(crate) fn any(&self, keys: &[&str]) -> Option<Field<'n>> {
        keys.iter().find_map(|key| self.get(key))
    }
}

impl Reader<'_> {
    pub(crate) fn error(&mut self, place: Place, message: impl Into<String>, help: impl Into<String>) {
        self.mistakes.add(place, message, help);
    }

    /// Keeps a value, or reports why it cannot be used.
    pub(crate) fn check<T>(&mut self, place: Place, result: Result<T, ValueError>) -> Option<T> {
        result.map_err(|error| self.error(place, error.message, error.help)).ok()
    }

    /// Reports a value of the wrong type.
    pub(crate) fn mismatch(&mut self, field: &Field<'_>, wanted: &str, help: &str) {
        let name = if field.element { format!("each of `{}`", field.name) } else { format!("`{}`", shown(field.name)) };
        let message = match &field.node.kind {
            Kind::Rejected => return,
            Kind::Null if field.element => format!("one of `{}` has no value", field.name),
            Kind::Null => format!("{name} has no value"),
            Kind::Plain(text) if looks_boolean(text) => format!("{name} must be {wanted}, not true or false"),
            Kind::Plain(text) if looks_numeric(text) => format!("{name} must be {wanted}, not a number"),
            Kind::Plain(_) | Kind::Quoted(_) => format!("{name} must be {wanted}, not a text"),
            Kind::List(_) => format!("{name} must be {wanted}, not a list"),
            Kind::Map(_) => format!("{name} must be {wanted}, not a mapping"),
        };
        self.error(field.place(), message, help);
    }

    /// A mapping. Unknown keys are reported, and the others kept.
    pub(crate) fn fields<'n>(&mut self, field: &Field<'n>, level: &'static Level, help: &str) -> Option<Fields<'n>> {
        let Kind::Map(entries) = &field.node.kind else {
            self.mismatch(field, "a mapping", help);
            return None;
        };
        let mut known = Vec::new();
        for entry in entries {
            if level.keys.contains(&entry.key.as_str()) {
                known.push(entry);
                continue;
            }
            if let Some((key, help)) = level.later.iter().find(|(key, _)| *key == entry.key) {
                self.error(entry.place, format!("`{key}` is not supported by this version"), *help);
            } else {
                let help = advice(level, &entry.key);
                self.error(entry.place, format!("unknown key `{}`", shown(&entry.key)), help);
            }
        }
        Some(Fields { level, place: field.node.place, entries: known })
    }

    /// Reports keys that mappings of another kind have, and says whether there are any.
    pub(crate) fn foreign(&mut self, fields: &Fields<'_>, kinds: &Kinds, kind: &str) -> bool {
        let mut found = false;
        let named = fields.entries.iter().any(|entry| entry.key == "kind");
        for entry in &fields.entries {
            let Some(theirs) = kinds.elsewhere(&entry.key, kind) else { continue };
            let listed =
                |prefix: &str| theirs.iter().map(|kind| format!("`{prefix}{kind}`")).collect::<Vec<_>>().join(" or ");
            let this = if named { format!("is of kind `{kind}`") } else { "has no `kind`".to_owned() };
            self.error(
                entry.place,
                format!("`{}` is a key of {} of kind {}, and this one {this}", entry.key, kinds.many, listed("")),
                format!("remove it, or write {}", listed("kind: ")),
            );
            found = true;
        }
        found
    }

    /// A list of at most `most` elements.
    pub(crate) fn list<'n>(&mut self, field: &Field<'n>, most: usize, help: &str) -> Option<&'n [Node]> {
        let Kind::List(items) = &field.node.kind else {
            self.mismatch(field, "a list", help);
            return None;
        };
        if let Some(extra) = items.get(most) {
            self.error(
                extra.place,
                format!("`{}` has {} elements, and at most {most} are allowed", field.name, items.len()),
                "remove the rest",
            );
            return None;
        }
        Some(items)
    }

    /// A text. Numbers and true or false need quotes to be one.
    pub(crate) fn text<'n>(&mut self, field: &Field<'n>, help: &str) -> Option<&'n str> {
        match &field.node.kind {
            Kind::Quoted(text) => Some(text),
            Kind::Plain(text) if !looks_boolean(text) && !looks_numeric(text) => Some(text),
            Kind::Plain(text) => {
                self.mismatch(field, "a text", &format!("put it in quotes: `\"{}\"`", shown(text)));
                None
            }
            _ => {
                self.mismatch(field, "a text", help);
                None
            }
        }
    }

    /// A text that says something.
    pub(crate) fn words<'n>(&mut self, field: &Field<'n>, help: &str) -> Option<&'n str> {
        let text = self.text(field, help)?;
        if text.trim().is_empty() {
            let one = if field.element { "one of " } else { "" };
            self.error(field.place(), format!("{one}`{}` is empty", shown(field.name)), help);
            return None;
        }
        Some(text)
    }

    /// A path of the host that must be there when the file is used.
    pub(crate) fn host_path(&mut self, field: &Field<'_>, wants: Wants, help: &str) -> Option<PathBuf> {
        let text = self.text(field, help)?;
        let path = self.check(field.place(), host_path(text, self.base))?;
        self.host_places.push(HostPlace { place: field.place(), path: path.clone(), wants });
        Some(path)
    }

    /// A duration within `range`, in milliseconds.
    pub(crate) fn time(&mut self, field: &Field<'_>, range: &RangeInclusive<u64>) -> Option<Duration> {
        let text = self.verbatim(field, "a duration", "write a duration such as `30s`")?;
        self.check(field.place(), duration(field.name, text, range))
    }

    /// A whole number within `range`.
    pub(crate) fn number<N>(&mut self, field: &Field<'_>, range: &RangeInclusive<N>) -> Option<N>
    where
        N: Copy + Display + FromStr + PartialOrd,
    {
        let text = self.digits(field)?;
        self.check(field.place(), count(field.name, text, range))
    }

    /// A scalar as it is written, for what programs receive (`60` is the argument "60") and for amounts.
    pub(crate) fn verbatim<'n>(&mut self, field: &Field<'n>, wanted: &str, help: &str) -> Option<&'n str> {
        match &field.node.kind {
            Kind::Quoted(text) | Kind::Plain(text) => Some(text),
            _ => {
                self.mismatch(field, wanted, help);
                None
            }
        }
    }

    pub(crate) fn boolean(&mut self, field: &Field<'_>) -> Option<bool> {
        match &field.node.kind {
            Kind::Plain(text) if text == "true" => Some(true),
            Kind::Plain(text) if text == "false" => Some(false),
            Kind::Quoted(text) if text == "true" || text == "false" => {
                self.mismatch(field, "true or false", &format!("remove the quotes: `{}: {text}`", field.name));
                None
            }
            Kind::Plain(text) | Kind::Quoted(text) => {
                let message = format!("`{}` must be true or false, not `{}`", field.name, shown(text));
                self.error(field.place(), message, "write `true` or `false`, in lower case and without quotes");
                None
            }
            _ => {
                self.mismatch(field, "true or false", "write `true` or `false`");
                None
            }
        }
    }

    /// A whole number written without quotes, as text for a parser that knows the bounds.
    pub(crate) fn digits<'n>(&mut self, field: &Field<'n>) -> Option<&'n str> {
        match &field.node.kind {
            Kind::Plain(text) => Some(text),
            Kind::Quoted(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
                self.mismatch(field, "a number", &format!("remove the quotes: `{text}`"));
                None
            }
            _ => {
                self.mismatch(field, "a number", "write a whole number");
                None
            }
        }
    }

    /// One word out of a few.
    pub(crate) fn choice<T: Copy>(&mut self, field: &Field<'_>, words: &[(&str, T)]) -> Option<T> {
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let all = names.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ");
        let (Kind::Plain(text) | Kind::Quoted(text)) = &field.node.kind else {
            self.mismatch(field, "a text", &format!("write {all}"));
            return None;
        };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let help =
            nearest(text, &names).map_or_else(|| format!("write {all}"), |near| format!("did you mean `{near}`?"));
        self.error(field.place(), format!("`{}` cannot be `{}`, only {all}", field.name, shown(text)), help);
        None
    }
}

/// Whether YAML 1.1 or 1.2 would read this unquoted text as true or false.
fn looks_boolean(text: &str) -> bool {
    matches!(text, "true" | "True" | "TRUE" | "false" | "False" | "FALSE")
}

/// Whether YAML 1.2 would read this unquoted text as a number (core schema, section 10.3.2).
pub(crate) fn looks_numeric(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let all = |digits: &str, radix| !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    if let Some(digits) = text.strip_prefix("0o") {
        return all(digits, 8);
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return all(digits, 16);
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let exponent_fine = exponent.is_none_or(|e| all(e.strip_prefix(['-', '+']).unwrap_or(e), 10));
    let mantissa_fine = match mantissa.split_once('.') {
        Some(("", decimals)) => all(decimals, 10),
        Some((whole, decimals)) => all(whole, 10) && (decimals.is_empty() || all(decimals, 10)),
        None => all(mantissa, 10),
    };
    exponent_fine && mantissa_fine
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_core_schema() {
        for text in
            ["0", "-1", "+12", "0o14", "0xfF", "1.5", ".5", "1.", "1e3", "-1.5E-3", ".inf", "-.INF", ".nan", "012"]
        {
            assert!(looks_numeric(text), "{text}");
        }
        for text in
            ["", "-", ".", "e3", "1e", "0x", "0o8", "1_000", "10.0.0.1", "1:30", "512Mi", "yes", "0xfg", "+.nan"]
        {
            assert!(!looks_numeric(text), "{text}");
        }
    }
}
