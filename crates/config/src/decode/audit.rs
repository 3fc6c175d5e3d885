//! `audit`: how the log is sealed, and who else gets it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::Wants;
use super::keys::{AUDIT, SINK, SINK_KINDS};
use super::names::{Naming, name};
use super::reader::{Field, Fields, Reader};
use super::secret::secret;
use crate::display::shown;
use crate::network::{host_name, port_number};
use crate::value::{host_path, url};
use crate::{Audit, Credential, Http, RecordFormat, Sink, SinkKind, ValueError};

/// Most sinks.
const MAX_SINKS: usize = 16;
/// Bounds of `checkpoint_every`, in milliseconds.
const EVERY: RangeInclusive<u64> = 100..=60_000;
/// Longest index, tenant or user, in bytes.
const MAX_WORD: usize = 128;
/// Where records go in Elasticsearch if nothing is said: a data stream of logs.
const INDEX: &str = "logs-nanoclaw.audit-default";

/// Reads all of it.
pub(super) fn audit(r: &mut Reader<'_>, field: &Field<'_>) -> Audit {
    let mut audit = Audit::default();
    let help = "write a mapping such as `{ sinks: [{ name: siem, kind: syslog, address: \"siem.bank.com:6514\" }] }`";
    let Some(fields) = r.fields(field, &AUDIT, help) else { return audit };
    if let Some(every) = fields.get("checkpoint_every").and_then(|field| r.time(&field, &EVERY)) {
        audit.checkpoint_every = every;
    }
    if let Some(field) = fields.get("sinks") {
        audit.sinks = sinks(r, &field);
    }
    audit
}

fn sinks(r: &mut Reader<'_>, field: &Field<'_>) -> Vec<Sink> {
    let help = "write a list such as `[{ name: copy, kind: file, path: /var/log/nanoclaw.jsonl }]`";
    let Some(items) = r.list(field, MAX_SINKS, help) else { return Vec::new() };
    let mut seen = HashMap::new();
    let mut sinks = Vec::new();
    for node in items {
        let item = field.element(node);
        let Some(fields) = r.fields(&item, &SINK, "write `- name: siem`, and `kind` below it") else { continue };
        let name = name(r, &fields, &Naming::SINK, &mut seen);
        let who = name.as_ref().map_or_else(|| "a sink".to_owned(), |name| format!("sink `{name}`"));
        let words = [("nanoclaw", RecordFormat::Nanoclaw), ("ocsf", RecordFormat::Ocsf)];
        let format = fields.get("format").and_then(|field| r.choice(&field, &words)).unwrap_or_default();
        if let (Some(kind), Some(name)) = (kind(r, &fields, &who), name) {
            sinks.push(Sink { name: name.to_string(), format, kind });
        }
    }
    sinks
}

fn kind(r: &mut Reader<'_>, fields: &Fields<'_>, who: &str) -> Option<SinkKind> {
    let words = ["file", "syslog", "elasticsearch", "loki", "otlp"].map(|word| (word, word));
    let Some(field) = fields.get("kind") else {
        let help = "add `kind: file`, or `syslog`, `elasticsearch`, `loki` or `otlp`";
        r.error(fields.place, format!("{who} has no `kind`"), help);
        return None;
    };
    let word = r.choice(&field, &words)?;
    r.foreign(fields, &SINK_KINDS, word);
    match word {
        "file" => file(r, fields, who),
        "syslog" => syslog(r, fields, who),
        "elasticsearch" => {
            let index = text(r, fields, "index").unwrap_or_else(|| Some(INDEX.to_owned()));
            let http = http(r, fields, who, "https://elastic.bank.com:9200");
            Some(SinkKind::Elasticsearch { http: http?, index: index? })
        }
        "loki" => {
            let tenant = text(r, fields, "tenant");
            let http = http(r, fields, who, "https://loki.bank.com:3100");
            Some(SinkKind::Loki { http: http?, tenant: tenant.flatten() })
        }
        _ => http(r, fields, who, "https://collector.bank.com:4318").map(SinkKind::Otlp),
    }
}

fn file(r: &mut Reader<'_>, fields: &Fields<'_>, who: &str) -> Option<SinkKind> {
    let help = "write `path: /var/log/nanoclaw.jsonl`";
    let Some(field) = fields.get("path") else {
        r.error(fields.place, format!("{who} has no `path`"), help);
        return None;
    };
    let text = r.text(&field, help)?;
    // It need not be there.
    let path = host_path(text, r.base);
    r.check(field.place(), path).map(SinkKind::File)
}

fn syslog(r: &mut Reader<'_>, fields: &Fields<'_>, who: &str) -> Option<SinkKind> {
    let tls = fields.get("tls").and_then(|field| r.boolean(&field)).unwrap_or(true);
    let ca = ca(r, fields);
    if let Some(field) = fields.get("ca").filter(|_| !tls) {
        r.error(field.key, format!("`ca` is for TLS, and {who} has `tls: false`"), "remove one of the two");
    }
    let Some(field) = fields.get("address") else {
        r.error(fields.place, format!("{who} has no `address`"), "add `address: \"siem.bank.com:6514\"`");
        return None;
    };
    let text = r.verbatim(&field, "a host and a port", "write `\"siem.bank.com:6514\"`")?;
    let (host, port) = r.check(field.place(), address(text))?;
    let local = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    if !tls && !local {
        let message = format!("{who} has `tls: false`: who is on the way to it reads and changes its records");
        r.notice(field.place(), true, &message);
    }
    Some(SinkKind::Syslog { host, port, tls, ca })
}

/// Reads `HOST:PORT`, where an address of IPv6 stands in brackets.
fn address(text: &str) -> Result<(String, u16), ValueError> {
    let wrong = |host: &str| {
        let help = format!("write `\"{}:6514\"`", shown(host));
        ValueError::new(format!("`{}` is not a host and a port", shown(text)), help)
    };
    let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong(text))?;
    let port = port_number(port).map_err(|_| wrong(host))?;
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match bracketed.unwrap_or(host).parse::<IpAddr>() {
        Ok(address) if address.is_ipv6() == bracketed.is_some() => Ok((address.to_string(), port)),
        Ok(_) => Err(wrong(host)),
        Err(_) => Ok((host_name(host)?.to_string(), port)),
    }
}

fn http(r: &mut Reader<'_>, fields: &Fields<'_>, who: &str, example: &str) -> Option<Http> {
    let credential = credential(r, fields, who);
    let ca = ca(r, fields);
    let Some(field) = fields.get("url") else {
        r.error(fields.place, format!("{who} has no `url`"), format!("add `url: \"{example}\"`"));
        return None;
    };
    let text = r.text(&field, &format!("write a URL such as `{example}`"))?;
    let url = r.check(field.place(), url(text, example))?;
    if !url.tls {
        if credential.is_some() && !url.loopback {
            let help = "write `https://`, or run it on this host's loopback";
            r.error(field.place(), format!("the secret of {who} would cross the network in the clear"), help);
        }
        if let Some(field) = fields.get("ca") {
            r.error(field.key, "`ca` is for `https`, and `url` is not", "remove it, or write `https://`");
        }
        if !url.loopback && credential.is_none() {
            let message = format!("{who} has no `https`: who is on the way to it reads and changes its records");
            r.notice(field.place(), true, &message);
        }
    }
    Some(Http { url: url.text, credential, ca })
}

fn credential(r: &mut Reader<'_>, fields: &Fields<'_>, who: &str) -> Option<Credential> {
    let named: Vec<Field<'_>> = ["token", "api_key", "password"].iter().filter_map(|key| fields.get(key)).collect();
    if let [_, second, ..] = named.as_slice() {
        r.error(second.key, format!("{who} shows more than one secret"), "keep one");
        return None;
    }
    let user = text(r, fields, "user");
    match (named.first(), user) {
        (Some(field), Some(user)) if field.name == "password" => {
            let password = secret(r, field)?;
            Some(Credential::Password { user: user?, password })
        }
        (Some(field), None) if field.name == "password" => {
            r.error(field.key, format!("{who} has a `password` and no `user`"), "add `user: NAME`");
            None
        }
        (_, Some(_)) => {
            let place = fields.get("user").map_or(fields.place, |field| field.key);
            r.error(place, format!("{who} has a `user` and no `password`"), "add `password: { file: PATH }`");
            None
        }
        (Some(field), None) => {
            let source = secret(r, field)?;
            Some(if field.name == "token" { Credential::Token(source) } else { Credential::ApiKey(source) })
        }
        (None, None) => None,
    }
}

fn ca(r: &mut Reader<'_>, fields: &Fields<'_>) -> Option<PathBuf> {
    fields.get("ca").and_then(|field| r.host_path(&field, Wants::File, "write a PEM file such as `./ca.pem`"))
}

/// A name that goes into a header or a path: `None` where there is none, `Some(None)` where it is wrong.
fn text(r: &mut Reader<'_>, fields: &Fields<'_>, key: &str) -> Option<Option<String>> {
    let field = fields.get(key)?;
    let help = format!("write letters, digits, `-`, `_` and `.`, such as `{key}: nanoclaw`");
    let Some(text) = r.text(&field, &help) else { return Some(None) };
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.len() > MAX_WORD || !text.chars().all(fits) || text.starts_with(['-', '_', '.']) {
        r.error(field.place(), format!("`{key}` cannot be `{}`", shown(text)), help);
        return Some(None);
    }
    Some(Some(text.to_owned()))
}
