//! What is known of sources, and the rule sets that decide by it.

use super::keys::{HOST_LABEL, LABELS, PATH_LABEL, USER_LABEL, USERS};
use super::network::international;
use super::reader::{Field, Fields, Reader};
use super::tool_labels::tools;
use crate::display::shown;
use crate::network::{Where, any_place};
use crate::source::Place;
use crate::tree::Kind;
use crate::value::cell_path;
use crate::{
    DataClass, HostLabel, HostPattern, HostSet, Label, Labels, PathLabel, RuleSet, Trust, UserLabels, ValueError,
};

/// Most labels in one list.
pub(crate) const MAX_LABELS: usize = 512;

/// Reads which of the policies that NanoClaw brings along count.
pub(super) fn rule_sets(r: &mut Reader<'_>, field: &Field<'_>) -> Vec<RuleSet> {
    let help = "write a list such as `[rule-of-two, value-provenance]`, or `[]` for none";
    words(r, field, &RuleSet::ALL.map(|set| (set.name(), set)), help)
}

/// Reads a list of words, each at most once.
pub(super) fn words<T: Copy + PartialEq>(
    r: &mut Reader<'_>,
    field: &Field<'_>,
    words: &[(&str, T)],
    help: &str,
) -> Vec<T> {
    let Some(items) = r.list(field, words.len(), help) else { return Vec::new() };
    let mut chosen = Vec::new();
    for node in items {
        let item = field.element(node);
        let Some(word) = r.choice(&item, words) else { continue };
        if chosen.contains(&word) {
            let name = words.iter().find(|(_, value)| *value == word).map_or("", |(name, _)| name);
            r.error(item.place(), format!("`{name}` is named twice"), "remove one of the two");
        } else {
            chosen.push(word);
        }
    }
    chosen
}

/// Reads `labels`.
pub(super) fn labels(r: &mut Reader<'_>, field: &Field<'_>) -> Labels {
    let help = "write a mapping such as `{ hosts: [{ name: \"**.bank.com\", trust: trusted }] }`";
    let Some(fields) = r.fields(field, &LABELS, help) else { return Labels::default() };
    Labels {
        tools: fields.get("tools").map(|field| tools(r, &field)).unwrap_or_default(),
        hosts: fields.get("hosts").map(|field| hosts(r, &field)).unwrap_or_default(),
        paths: fields.get("paths").map(|field| paths(r, &field)).unwrap_or_default(),
        users: fields.get("users").map(|field| users(r, &field)).unwrap_or_default(),
    }
}

pub(super) fn trust(r: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Trust> {
    fields.get("trust").and_then(|field| r.choice(&field, &Trust::ALL.map(|trust| (trust.name(), trust))))
}

pub(super) fn data(r: &mut Reader<'_>, fields: &Fields<'_>) -> Option<DataClass> {
    fields.get("data").and_then(|field| r.choice(&field, &DataClass::ALL.map(|class| (class.name(), class))))
}

/// Reports an entry that has no other key than `own`: whether it is to say what holds anyway, or was left unfinished,
/// is open.
pub(super) fn says_something(r: &mut Reader<'_>, item: &Field<'_>, own: &str, about: &str) {
    if matches!(&item.node.kind, Kind::Map(entries) if entries.iter().all(|entry| entry.key == own)) {
        let help = "add `trust: trusted` or `untrusted`, or `data: public`, `internal`, `confidential` or `secret`";
        r.error(item.place(), format!("nothing is said about `{}`", shown(about)), help);
    }
}

/// Reports an entry that never counts, as one `before` it, on a line and for a text, fits all that it fits.
pub(super) fn counts(r: &mut Reader<'_>, place: Place, text: &str, before: Option<&(usize, String)>) {
    let Some((line, other)) = before else { return };
    let text = shown(text);
    if *other == text {
        r.error(place, format!("two labels are for `{text}`"), format!("keep one; the first is on line {line}"));
    } else {
        let message = format!("this label never counts: the one for `{other}` on line {line} is for `{text}` too");
        r.error(place, message, "the first that fits counts; write this one before it, or remove it");
    }
}

fn hosts(r: &mut Reader<'_>, field: &Field<'_>) -> Vec<HostLabel> {
    let help = "write a list such as `[{ name: \"**.bank.com\", trust: trusted }]`";
    let Some(items) = r.list(field, MAX_LABELS, help) else { return Vec::new() };
    let (mut labels, mut before) = (Vec::<HostLabel>::new(), Vec::new());
    for (index, node) in items.iter().enumerate() {
        let item = field.element(node);
        let Some(fields) = r.fields(&item, &HOST_LABEL, "write `{ name: \"**.bank.com\", trust: trusted }`") else {
            continue;
        };
        let (trust, data) = (trust(r, &fields), data(r, &fields));
        let Some(name) = fields.get("name") else {
            r.error(fields.place, "a label of hosts has no `name`", "add `name: \"**.bank.com\"`");
            continue;
        };
        let Some(text) = r.words(&name, "write a host such as `\"api.bank.com\"`") else { continue };
        says_something(r, &item, "name", text);
        let Some(target) = r.check(name.place(), host_set(text)) else { continue };
        if let HostSet::Name(pattern) = &target {
            international(r, name.place(), text, pattern);
        }
        let earlier = labels.iter().zip(&before).find(|(label, _)| covers(&label.target, &target));
        counts(r, name.place(), text, earlier.map(|(_, before)| before));
        before.push((name.place().line, shown(text)));
        labels.push(HostLabel { id: format!("labels.hosts[{index}]"), target, trust, data });
    }
    labels
}

/// Reads hosts as network rules do, without ports. This host's loopback may be among them, by address.
fn host_set(text: &str) -> Result<HostSet, ValueError> {
    let bad = |what: &str, help: String| Err(ValueError::new(format!("`{}` {what}", shown(text)), help));
    if text.contains("://") || text.contains('@') || text.starts_with("host-service:") {
        let help = "write a name, a pattern, an address or a network: `api.bank.com`, `**.bank.com`, `10.0.0.0/8`";
        return bad("is not a host alone", help.to_owned());
    }
    if let Some((host, _)) = text.rsplit_once(':')
        && !text.ends_with(']')
        && (!host.contains(':') || host.ends_with(']'))
    {
        return bad("has a port", format!("a label is for a host with all its ports; write `\"{}\"`", shown(host)));
    }
    if text == "*" || text == "**" {
        return bad(
            "is every host",
            "name some; the others are untrusted, and what they answer is public data".to_owned(),
        );
    }
    if text == "localhost" || text.ends_with(".localhost") {
        return bad("is this host's loopback", "write its address: `127.0.0.1` or `\"[::1]\"`".to_owned());
    }
    Ok(match any_place(text)? {
        Where::Name(pattern) => HostSet::Name(pattern),
        Where::Network(net) => HostSet::Net(net),
    })
}

/// Whether all of `inner` is in `outer`.
fn covers(outer: &HostSet, inner: &HostSet) -> bool {
    use HostPattern::{AnyDepth, Exact, OneLabel};
    match (outer, inner) {
        (HostSet::Net(outer), HostSet::Net(inner)) => {
            outer.prefix() <= inner.prefix() && outer.contains(inner.address())
        }
        (HostSet::Name(outer), HostSet::Name(inner)) => match (outer, inner) {
            (_, Exact(name)) => outer.matches(name),
            (OneLabel(above), OneLabel(below)) => above == below,
            (AnyDepth(above), OneLabel(below) | AnyDepth(below)) => above == below || outer.matches(below),
            (Exact(_), OneLabel(_) | AnyDepth(_)) | (OneLabel(_), AnyDepth(_)) => false,
        },
        (HostSet::Net(_), HostSet::Name(_)) | (HostSet::Name(_), HostSet::Net(_)) => false,
    }
}

fn paths(r: &mut Reader<'_>, field: &Field<'_>) -> Vec<PathLabel> {
    let help = "write a list such as `[{ path: /data, data: confidential }]`";
    let Some(items) = r.list(field, MAX_LABELS, help) else { return Vec::new() };
    let (mut labels, mut before) = (Vec::<PathLabel>::new(), Vec::new());
    for (index, node) in items.iter().enumerate() {
        let item = field.element(node);
        let Some(fields) = r.fields(&item, &PATH_LABEL, "write `{ path: /data, data: confidential }`") else {
            continue;
        };
        let (trust, data) = (trust(r, &fields), data(r, &fields));
        let Some(place) = fields.get("path") else {
            r.error(fields.place, "a label of paths has no `path`", "add `path: /data`, a place in the cell");
            continue;
        };
        let Some(text) = r.text(&place, "write a path inside the cell such as `/data`") else { continue };
        says_something(r, &item, "path", text);
        let Some(path) = r.check(place.place(), cell_path(text)) else { continue };
        let earlier = labels.iter().zip(&before).find(|(label, _)| path.starts_with(&label.path));
        counts(r, place.place(), text, earlier.map(|(_, before)| before));
        before.push((place.place().line, shown(text)));
        labels.push(PathLabel { id: format!("labels.paths[{index}]"), path, trust, data });
    }
    labels
}

fn users(r: &mut Reader<'_>, field: &Field<'_>) -> UserLabels {
    let help = "write a mapping such as `{ webhook: { trust: untrusted, data: internal } }`";
    let mut users = UserLabels::default();
    let Some(fields) = r.fields(field, &USERS, help) else { return users };
    let own = [("operator", &mut users.operator), ("schedule", &mut users.schedule), ("webhook", &mut users.webhook)];
    for (key, label) in own {
        let Some(field) = fields.get(key) else { continue };
        let Some(parts) = r.fields(&field, &USER_LABEL, "write `{ trust: untrusted, data: internal }`") else {
            continue;
        };
        says_something(r, &field, "", key);
        let (trust, data) = (trust(r, &parts), data(r, &parts));
        *label = Label::new(trust.unwrap_or(label.trust), data.unwrap_or(label.data));
    }
    if users.webhook.trust == Trust::Trusted
        && let Some(field) = fields.get("webhook")
    {
        let message = "what callers of webhooks say is trusted: whoever can write into it gives orders to agents";
        r.notice(field.key, true, message);
    }
    users
}
