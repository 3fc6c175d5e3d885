//! Labels of tools.

use std::collections::BTreeMap;

use super::keys::TOOL_LABEL;
use super::labels::{MAX_LABELS, counts, data, says_something, trust, words};
use super::names::check;
use super::reader::{Field, Reader};
use crate::display::shown;
use crate::tree::Kind;
use crate::{ToolClass, ToolLabel, ValueError, glob};

/// Most arguments of one label, as `destinations` and in `allow`.
const MAX_DESTINATIONS: usize = 64;
/// Longest name of an argument, in bytes.
const MAX_ARGUMENT_NAME: usize = 128;
/// Most patterns for the values of one argument.
const MAX_VALUES: usize = 512;
/// Longest pattern for a value, in bytes: as long as the longest URL.
const MAX_VALUE: usize = 2048;

const TOOL: &str = "write a tool such as `send_email`, or a pattern such as `\"mail__*\"`";

/// Reads the labels of tools.
pub(super) fn tools(r: &mut Reader<'_>, field: &Field<'_>) -> Vec<ToolLabel> {
    let help = "write a list such as `[{ name: read_inbox, trust: untrusted, data: confidential }]`";
    let Some(items) = r.list(field, MAX_LABELS, help) else { return Vec::new() };
    let (mut labels, mut before) = (Vec::<ToolLabel>::new(), Vec::new());
    for (index, node) in items.iter().enumerate() {
        let item = field.element(node);
        let Some(fields) = r.fields(&item, &TOOL_LABEL, "write `{ name: read_inbox, trust: untrusted }`") else {
            continue;
        };
        let (trust, data) = (trust(r, &fields), data(r, &fields));
        let classes = ToolClass::ALL.map(|class| (class.name(), class));
        let does = fields.get("does").map(|field| {
            let help = "write a list such as `[reads]` or `[writes, sends]`, or `[]` where it does nothing";
            words(r, &field, &classes, help).into_iter().collect()
        });
        let destinations = fields.get("destinations").and_then(|field| names(r, &field, DESTINATIONS));
        let vouches = fields.get("vouches").and_then(|field| names(r, &field, VOUCHES)).unwrap_or_default();
        let allow = fields.get("allow").map(|field| allow(r, &field, destinations.as_deref())).unwrap_or_default();
        let Some(name) = fields.get("name") else {
            r.error(fields.place, "a label of tools has no `name`", "add `name: send_email`, or `name: \"mail__*\"`");
            continue;
        };
        let Some(text) = r.text(&name, TOOL) else { continue };
        says_something(r, &item, "name", text);
        let Some(text) = r.check(name.place(), check(text, true).map(|()| text)) else { continue };
        // What it fits is all there is of it: no character but `*` stands for others.
        let earlier = labels.iter().zip(&before).find(|(label, _)| glob::matches(&label.name, text));
        counts(r, name.place(), text, earlier.map(|(_, before)| before));
        before.push((name.place().line, shown(text)));
        let id = format!("labels.tools[{index}]");
        labels.push(ToolLabel { id, name: text.to_owned(), trust, data, does, destinations, allow, vouches });
    }
    labels
}

const DESTINATIONS: &str =
    "write a list of the tool's arguments such as `[recipients, cc]`, or `[]` where none says where to";
const VOUCHES: &str = "write a list of fields of the tool's results such as `[sender, participants]`";

/// Reads names of arguments or fields.
fn names(r: &mut Reader<'_>, field: &Field<'_>, help: &'static str) -> Option<Vec<String>> {
    let items = r.list(field, MAX_DESTINATIONS, help)?;
    let mut names = Vec::new();
    for node in items {
        let item = field.element(node);
        let Some(text) = r.text(&item, help) else { continue };
        let Some(()) = r.check(item.place(), argument(text)) else { continue };
        if names.iter().any(|name| name == text) {
            r.error(item.place(), format!("`{}` is named twice", shown(text)), "remove one of the two");
        } else {
            names.push(text.to_owned());
        }
    }
    Some(names)
}

/// Checks the name of an argument.
fn argument(name: &str) -> Result<(), ValueError> {
    let help = "write the name of an argument such as `recipient`";
    if name.trim().is_empty() {
        return Err(ValueError::new("the name of an argument is empty", help));
    }
    if name.len() > MAX_ARGUMENT_NAME {
        return Err(ValueError::new(format!("`{}` is longer than {MAX_ARGUMENT_NAME} bytes", shown(name)), help));
    }
    if name.contains('*') || name.chars().any(char::is_control) {
        let message = format!("`{}` has a `*` or a control character in it", shown(name));
        return Err(ValueError::new(message, "name each argument as the tool calls it"));
    }
    Ok(())
}

/// Reads which values of destinations need nobody's word.
fn allow(r: &mut Reader<'_>, field: &Field<'_>, destinations: Option<&[String]>) -> BTreeMap<String, Vec<String>> {
    let Kind::Map(entries) = &field.node.kind else {
        r.mismatch(field, "a mapping", "write a mapping such as `{ recipients: [\"*@bank.com\"] }`");
        return BTreeMap::new();
    };
    if let Some(extra) = entries.get(MAX_DESTINATIONS) {
        let message = format!("`allow` has {} arguments, and at most {MAX_DESTINATIONS} are allowed", entries.len());
        r.error(extra.place, message, "remove the rest");
        return BTreeMap::new();
    }
    let mut allow = BTreeMap::new();
    for entry in entries {
        let item = Field::new(&entry.key, entry.place, &entry.value);
        if r.check(entry.place, argument(&entry.key)).is_none() {
            continue;
        }
        if destinations.is_some_and(|names| !names.contains(&entry.key)) {
            let message = format!("`{}` is not one of the `destinations` of this tool", shown(&entry.key));
            r.error(entry.place, message, "add it there, or remove it here");
        }
        allow.insert(entry.key.clone(), values(r, &item));
    }
    allow
}

fn values(r: &mut Reader<'_>, field: &Field<'_>) -> Vec<String> {
    let help = "write a list of values such as `[\"*@bank.com\"]`, where `*` stands for any characters";
    let Some(items) = r.list(field, MAX_VALUES, help) else { return Vec::new() };
    if items.is_empty() {
        r.error(field.place(), format!("`{}` allows no value", shown(field.name)), "name one, or remove it");
    }
    let mut values = Vec::new();
    for node in items {
        let item = field.element(node);
        let Some(text) = r.words(&item, help) else { continue };
        if text.len() > MAX_VALUE {
            r.error(item.place(), format!("a value has {} bytes, more than {MAX_VALUE}", text.len()), "shorten it");
        } else if values.iter().any(|value| value == text) {
            r.error(item.place(), format!("`{}` is named twice", shown(text)), "remove one of the two");
        } else {
            if text.bytes().all(|byte| byte == b'*') {
                let message = format!("every value of `{}` is allowed, wherever it comes from", shown(field.name));
                r.notice(item.place(), true, message);
            }
            values.push(text.to_owned());
        }
    }
    values
}
