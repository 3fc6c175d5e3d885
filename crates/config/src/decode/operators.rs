//! The people who run a fleet: approvals, the API, and who vouches for them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use super::Wants;
use super::keys::{API, APPROVALS, OIDC, OPERATORS};
use super::labels::words;
use super::network::international;
use super::reader::{Field, Fields, Reader};
use super::turns::socket;
use crate::display::shown;
use crate::network::host_name;
use crate::tree::Kind;
use crate::value::url;
use crate::{Api, Approvals, HostPattern, Oidc, ROLES, ValueError};

/// Bounds of `approvals.wait`, in milliseconds: 1 s to 24 h.
const WAIT: RangeInclusive<u64> = 1000..=86_400_000;
/// Bounds of `approvals.people`.
pub(crate) const PEOPLE: RangeInclusive<u8> = 1..=2;
/// Most further names of the API's certificate.
const MAX_NAMES: usize = 32;
/// Most groups that have roles.
const MAX_ROLE_GROUPS: usize = 256;
/// Longest audience, claim or name of a group, in bytes.
const MAX_WORD: usize = 256;

/// Reads how people answer what policy leaves to them.
pub(super) fn approvals(r: &mut Reader<'_>, field: &Field<'_>) -> Approvals {
    let usual = Approvals::default();
    let Some(fields) = r.fields(field, &APPROVALS, "write a mapping such as `{ wait: 5m, people: 2 }`") else {
        return usual;
    };
    let approvals = Approvals {
        wait: fields.get("wait").and_then(|field| r.time(&field, &WAIT)).unwrap_or(usual.wait),
        people: fields.get("people").and_then(|field| r.number(&field, &PEOPLE)).unwrap_or(usual.people),
        own: fields.get("own").and_then(|field| r.boolean(&field)).unwrap_or(usual.own),
    };
    if let Some(field) = fields.get("own").filter(|_| approvals.own && approvals.people > 1) {
        let message = "`own: true` beside `people: 2`: four eyes are those of two people who did not ask for it";
        r.error(field.place(), message, "remove one of the two");
    }
    approvals
}

/// Reads where the API is served, which nothing else may be: `others` listens already.
pub(super) fn api(r: &mut Reader<'_>, field: &Field<'_>, others: Option<SocketAddr>) -> Option<Api> {
    let fields = r.fields(field, &API, "write a mapping such as `{ listen: 127.0.0.1:7443 }`")?;
    let names = fields.get("names").map(|field| names(r, &field)).unwrap_or_default();
    let Some(field) = fields.get("listen") else {
        r.error(fields.place, "`api` has no `listen`", "add `listen: 127.0.0.1:7443`");
        return None;
    };
    let text = r.verbatim(&field, "an address and a port", "write `127.0.0.1:7443`")?;
    let listen = r.check(field.place(), socket(text, 7443))?;
    let nameless =
        fields.get("names").is_none_or(|names| matches!(&names.node.kind, Kind::List(all) if all.is_empty()));
    if nameless && !listen.ip().is_loopback() {
        let message = format!("`{listen}` is not on this host's loopback, and `api` has no `names`");
        let help = "add `names: [nanoclaw.bank.com]`: what others call this host, for its certificate";
        r.error(field.place(), message, help);
    }
    if others.is_some_and(|others| overlap(others, listen)) {
        let message = format!("`listen` at the top level has the port {} of `api` already", listen.port());
        r.error(field.place(), message, "choose another port for one of the two");
    }
    Some(Api { listen, names })
}

/// Whether both cannot be listened on.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
}

fn names(r: &mut Reader<'_>, field: &Field<'_>) -> Vec<String> {
    let help = "write a list of host names and IP addresses such as `[nanoclaw.bank.com, 10.1.2.3]`";
    let Some(items) = r.list(field, MAX_NAMES, help) else { return Vec::new() };
    let mut names = Vec::new();
    for node in items {
        let item = field.element(node);
        let Some(name) = api_name(r, &item, help) else { continue };
        if names.contains(&name) {
            r.error(item.place(), format!("`{name}` is named twice"), "remove one of the two");
        } else {
            names.push(name);
        }
    }
    names
}

/// Reads a name of the API's certificate, in its canonical form.
fn api_name(r: &mut Reader<'_>, item: &Field<'_>, help: &str) -> Option<String> {
    let text = r.words(item, help)?;
    if let Ok(address) = text.parse::<IpAddr>() {
        if address.is_unspecified() {
            r.error(item.place(), format!("`{address}` is no address that anybody connects to"), help);
            return None;
        }
        return Some(address.to_string());
    }
    if text.contains('*') {
        let message = format!("`{}` is a pattern, and a certificate is for whom it names", shown(text));
        r.error(item.place(), message, help);
        return None;
    }
    let name = r.check(item.place(), host_name(text))?;
    international(r, item.place(), text, &HostPattern::Exact(name.clone()));
    Some(name.to_string())
}

/// Reads who vouches for operators.
pub(super) fn operators(r: &mut Reader<'_>, field: &Field<'_>) -> Option<Oidc> {
    let example = "{ oidc: { issuer: \"https://id.bank.com\", audience: nanoclaw, roles: { admins: [admin] } } }";
    let fields = r.fields(field, &OPERATORS, &format!("write a mapping such as `{example}`"))?;
    fields.get("oidc").and_then(|field| oidc(r, &field))
}

fn oidc(r: &mut Reader<'_>, field: &Field<'_>) -> Option<Oidc> {
    let example = "{ issuer: \"https://id.bank.com\", audience: nanoclaw, roles: { admins: [admin] } }";
    let fields = r.fields(field, &OIDC, &format!("write a mapping such as `{example}`"))?;
    let issuer = issuer(r, &fields);
    let audience = match fields.get("audience") {
        Some(field) => word(r, &field, "write whom its tokens are for, such as `audience: nanoclaw`"),
        None => {
            r.error(fields.place, "`oidc` has no `audience`", "add `audience: nanoclaw`, for whom its tokens are");
            None
        }
    };
    let ca = fields.get("ca").and_then(|field| r.host_path(&field, Wants::File, "write a PEM file such as `./ca.pem`"));
    let claim = match fields.get("claim") {
        Some(field) => word(r, &field, "write the claim that holds the groups, such as `claim: groups`"),
        None => Some("groups".to_owned()),
    };
    let roles = match fields.get("roles") {
        Some(field) => roles(r, &field),
        None => {
            let help = "add `roles: { GROUP: [operator, approver] }`; who is in none of these groups may do nothing";
            r.error(fields.place, "`oidc` gives nobody a role", help);
            None
        }
    };
    Some(Oidc { issuer: issuer?, audience: audience?, ca, claim: claim?, roles: roles? })
}

/// Reads the issuer. Its text stays as it is, since tokens must name it exactly so.
fn issuer(r: &mut Reader<'_>, fields: &Fields<'_>) -> Option<String> {
    let example = "https://id.bank.com";
    let Some(field) = fields.get("issuer") else {
        r.error(fields.place, "`oidc` has no `issuer`", format!("add `issuer: \"{example}\"`"));
        return None;
    };
    let text = r.text(&field, &format!("write a URL such as `{example}`"))?;
    let read = r.check(field.place(), url(text, example))?;
    if !read.tls && !read.loopback {
        let message = format!("whoever is between could take the place of `{}`", shown(text));
        r.error(field.place(), message, "write `https://`; `http://` is for issuers on this host's loopback");
    }
    if !read.tls
        && let Some(ca) = fields.get("ca")
    {
        r.error(ca.key, "`ca` is for `https`, and `issuer` is not", "remove it, or write `https://`");
    }
    Some(text.to_owned())
}

/// Reads a short text that must be met exactly.
fn word(r: &mut Reader<'_>, field: &Field<'_>, help: &str) -> Option<String> {
    let text = r.text(field, help)?;
    r.check(field.place(), exact(text, help).map(|()| text.to_owned()))
}

/// Checks a text that something else is compared with.
fn exact(text: &str, help: &str) -> Result<(), ValueError> {
    let bad = |what: String| Err(ValueError::new(what, help));
    if text.is_empty() {
        return bad("the text is empty".to_owned());
    }
    if text.len() > MAX_WORD {
        return bad(format!("`{}` is longer than {MAX_WORD} bytes", shown(text)));
    }
    if text.trim() != text || text.chars().any(char::is_control) {
        return bad(format!("`{}` begins or ends with a space, or has a control character in it", shown(text)));
    }
    Ok(())
}

/// Reads which roles the groups of people give.
fn roles(r: &mut Reader<'_>, field: &Field<'_>) -> Option<BTreeMap<String, Vec<String>>> {
    let help = "write a mapping such as `{ bank-approvers: [approver], bank-admins: [admin] }`";
    let Kind::Map(entries) = &field.node.kind else {
        r.mismatch(field, "a mapping", help);
        return None;
    };
    if let Some(extra) = entries.get(MAX_ROLE_GROUPS) {
        let message = format!("`roles` has {} groups, and at most {MAX_ROLE_GROUPS} are allowed", entries.len());
        r.error(extra.place, message, "remove the rest");
        return None;
    }
    if entries.is_empty() {
        r.error(field.place(), "`roles` gives nobody a role", help);
    }
    let known = ROLES.map(|role| (role, role));
    let mut roles = BTreeMap::new();
    for entry in entries {
        let item = Field::new(&entry.key, entry.place, &entry.value);
        if r.check(entry.place, exact(&entry.key, "write the name of a group as the issuer writes it")).is_none() {
            continue;
        }
        let help = format!("write a list such as `{}: [operator, approver]`", shown(&entry.key));
        let given = words(r, &item, &known, &help);
        if matches!(&entry.value.kind, Kind::List(items) if items.is_empty()) {
            r.error(item.place(), format!("the group `{}` has no role", shown(&entry.key)), "name one, or remove it");
        }
        roles.insert(entry.key.clone(), given.into_iter().map(str::to_owned).collect());
    }
    Some(roles)
}
