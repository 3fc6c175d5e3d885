//! `models` at the top level: providers, aliases, and what else concerns all models.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::Wants;
use super::agent::limits;
use super::keys::{MODELS, PROVIDER, PROVIDER_KINDS};
use super::names::{Names, Naming, check, name};
use super::reader::{Field, Fields, Reader};
use super::secret::secret;
use crate::display::shown;
use crate::tree::Kind;
use crate::value::url;
use crate::{LlamaServer, ModelRef, Models, Provider, ProviderKind, Remote, ValueError};

/// Most providers.
const MAX_PROVIDERS: usize = 64;
/// Most aliases.
const MAX_ALIASES: usize = 256;
/// Most models that one alias stands for.
const MAX_TARGETS: usize = 16;
/// Longest name of a header, in bytes.
const MAX_HEADER: usize = 64;
/// Bounds of `connect_timeout`, in milliseconds.
const CONNECT: RangeInclusive<u64> = 100..=300_000;
/// Bounds of `idle_timeout`, in milliseconds.
const IDLE: RangeInclusive<u64> = 1000..=3_600_000;
/// Bounds of `timeout` of a provider, in milliseconds.
const WHOLE: RangeInclusive<u64> = 1000..=86_400_000;
/// Bounds of `retries` of a provider.
pub(crate) const RETRIES: RangeInclusive<u32> = 0..=10;
/// Bounds of `context`, in tokens.
pub(crate) const CONTEXT: RangeInclusive<u32> = 256..=16_777_216;
/// The value of `context` where nothing is said, in tokens.
pub(crate) const DEFAULT_CONTEXT: u32 = 8192;

/// What a `base_url` looks like for a kind of provider: paths of the dialect are added to it.
fn example(kind: &str) -> &'static str {
    match kind {
        "anthropic" => "https://api.anthropic.com",
        "gemini" => "https://generativelanguage.googleapis.com",
        _ => "https://api.example.com/v1",
    }
}

/// Reads `models`, and keeps the names in it for those who refer to them.
pub(super) fn models(r: &mut Reader<'_>, field: Option<Field<'_>>) -> (Models, Names) {
    let mut names = Names::default();
    let mut models = Models::default();
    let Some(field) = field else { return (models, names) };
    let help = "write a mapping such as `models: { providers: [{ name: main, … }], default: main/MODEL }`";
    let Some(fields) = r.fields(&field, &MODELS, help) else {
        names.providers.cut();
        names.aliases.cut();
        names.default = true;
        return (models, names);
    };
    if let Some(field) = fields.get("providers") {
        models.providers = providers(r, &field, &mut names);
    }
    if let Some(field) = fields.get("aliases") {
        models.aliases = aliases(r, &field, &mut names);
    }
    if let Some(field) = fields.get("default") {
        names.default = true;
        models.default = r
            .text(&field, "write an alias, or `PROVIDER/MODEL`")
            .and_then(|text| r.check(field.place(), names.model(text).map(|()| text.to_owned())));
    }
    models.prices =
        fields.get("prices").and_then(|field| r.host_path(&field, Wants::File, "write a file such as `./prices.json`"));
    models.keep_bodies = fields.get("keep_bodies").and_then(|field| r.boolean(&field)).unwrap_or_default();
    (models, names)
}

fn providers(r: &mut Reader<'_>, field: &Field<'_>, names: &mut Names) -> Vec<Provider> {
    let help = "write a list such as `[{ name: main, kind: openai, base_url: \"https://api.example.com/v1\" }]`";
    let Some(items) = r.list(field, MAX_PROVIDERS, help) else {
        names.providers.cut();
        return Vec::new();
    };
    let mut providers = Vec::new();
    let mut seen = HashMap::new();
    for node in items {
        let item = field.element(node);
        let Some(fields) = r.fields(&item, &PROVIDER, "write `- name: main`, and `kind` and `base_url` below it")
        else {
            names.providers.cut();
            continue;
        };
        let name = name(r, &fields, &Naming::PROVIDER, &mut seen);
        names.providers.add_from(&fields);
        let who = name.as_ref().map_or_else(|| "a provider".to_owned(), |name| format!("provider `{name}`"));
        let kind = kind(r, &fields, &who);
        let mut time = |key: &str, range, default| {
            fields.get(key).and_then(|field| r.time(&field, range)).unwrap_or(Duration::from_secs(default))
        };
        let connect_timeout = time("connect_timeout", &CONNECT, 10);
        let idle_timeout = time("idle_timeout", &IDLE, 120);
        let timeout = time("timeout", &WHOLE, 600);
        let retries = fields.get("retries").and_then(|field| r.number(&field, &RETRIES)).unwrap_or(2);
        if let (Some(name), Some(kind)) = (name, kind) {
            let name = name.to_string();
            providers.push(Provider { name, kind, connect_timeout, idle_timeout, timeout, retries });
        }
    }
    providers
}

fn kind(r: &mut Reader<'_>, fields: &Fields<'_>, who: &str) -> Option<ProviderKind> {
    let words =
        [("openai", "openai"), ("anthropic", "anthropic"), ("gemini", "gemini"), ("llama-server", "llama-server")];
    let Some(field) = fields.get("kind") else {
        let help = "add `kind: openai`, or `anthropic`, `gemini` or `llama-server`";
        r.error(fields.place, format!("{who} has no `kind`"), help);
        return None;
    };
    let word = r.choice(&field, &words)?;
    r.foreign(fields, &PROVIDER_KINDS, word);
    match word {
        "openai" => remote(r, fields, who, word).map(ProviderKind::OpenAi),
        "anthropic" => remote(r, fields, who, word).map(ProviderKind::Anthropic),
        "gemini" => remote(r, fields, who, word).map(ProviderKind::Gemini),
        _ => llama_server(r, fields, who).map(ProviderKind::LlamaServer),
    }
}

fn remote(r: &mut Reader<'_>, fields: &Fields<'_>, who: &str, kind: &str) -> Option<Remote> {
    let example = example(kind);
    let base = match fields.get("base_url") {
        Some(field) => r
            .text(&field, &format!("write a URL such as `{example}`"))
            .and_then(|text| r.check(field.place(), url(text, example)))
            .map(|base| (field.place(), base)),
        None => {
            r.error(fields.place, format!("{who} has no `base_url`"), format!("add `base_url: \"{example}\"`"));
            None
        }
    };
    let api_key = fields.get("api_key").and_then(|field| secret(r, &field));
    let ca = fields.get("ca").and_then(|field| r.host_path(&field, Wants::File, "write a PEM file such as `./ca.pem`"));
    if let Some((place, base)) = &base
        && !base.tls
    {
        if fields.get("api_key").is_some() && !base.loopback {
            let help = "write `https://`, or run it on this host's loopback";
            r.error(*place, format!("the key of {who} would cross the network in the clear"), help);
        }
        if let Some(field) = fields.get("ca") {
            r.error(field.key, "`ca` is for `https`, and `base_url` is not", "remove it, or write `https://`");
        }
    }
    let key_header = fields.get("key_header").and_then(|field| {
        let text = r.text(&field, "write the name of a header such as `api-key`")?;
        r.check(field.place(), header(text))
    });
    if let Some(field) = fields.get("key_header")
        && fields.get("api_key").is_none()
    {
        r.error(field.key, format!("`key_header` is for a key, and {who} has none"), "add `api_key`, or remove it");
    }
    let responses =
        fields.get("responses").filter(|_| kind == "openai").and_then(|field| r.boolean(&field)).unwrap_or_default();
    Some(Remote { base_url: base?.1.text, api_key, key_header, ca, responses })
}

/// Checks the name of a header (RFC 9110, section 5.1) that a key may go into.
fn header(text: &str) -> Result<String, ValueError> {
    let help = "write the name of a header such as `api-key`";
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if text.is_empty() || text.len() > MAX_HEADER || !text.chars().all(token) {
        return Err(ValueError::new(format!("`{}` is not the name of a header", shown(text)), help));
    }
    let lower = text.to_ascii_lowercase();
    let taken = [
        "host",
        "content-length",
        "content-type",
        "content-encoding",
        "accept",
        "accept-encoding",
        "connection",
        "expect",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    ];
    if taken.contains(&lower.as_str()) {
        return Err(ValueError::new(format!("the header `{lower}` says something else and cannot hold a key"), help));
    }
    Ok(lower)
}

fn llama_server(r: &mut Reader<'_>, fields: &Fields<'_>, who: &str) -> Option<LlamaServer> {
    let mut file = |key: &str, wants, example: &str| {
        let help = format!("write `{key}: {example}`");
        match fields.get(key) {
            Some(field) => r.host_path(&field, wants, &help),
            None => {
                r.error(fields.place, format!("{who} has no `{key}`"), format!("add `{key}: {example}`"));
                None
            }
        }
    };
    let model_file = file("model_file", Wants::Gguf, "./model.gguf");
    let program = file("program", Wants::File, "/usr/bin/llama-server");
    let context = fields.get("context").and_then(|field| r.number(&field, &CONTEXT)).unwrap_or(DEFAULT_CONTEXT);
    let limits = fields.get("limits").map(|field| limits(r, &field)).unwrap_or_default();
    Some(LlamaServer { model_file: model_file?, program: program?, context, limits })
}

fn aliases(r: &mut Reader<'_>, field: &Field<'_>, names: &mut Names) -> BTreeMap<String, Vec<ModelRef>> {
    let mut aliases = BTreeMap::new();
    let Kind::Map(entries) = &field.node.kind else {
        r.mismatch(field, "a mapping", "write a mapping such as `{ fast: main/MODEL }`");
        names.aliases.cut();
        return aliases;
    };
    if let Some(extra) = entries.get(MAX_ALIASES) {
        let message = format!("`aliases` has {} names, and at most {MAX_ALIASES} are allowed", entries.len());
        r.error(extra.place, message, "remove the rest");
        names.aliases.cut();
        return aliases;
    }
    for entry in entries {
        names.aliases.add(&entry.key);
    }
    for entry in entries {
        let item = Field::new(&entry.key, entry.place, &entry.value);
        let known = r.check(entry.place, alias(&entry.key));
        if let (Some(()), Some(targets)) = (known, targets(r, &item, names)) {
            aliases.insert(entry.key.clone(), targets);
        }
    }
    aliases
}

fn alias(name: &str) -> Result<(), ValueError> {
    check(name, false)?;
    if name.contains('/') {
        let help = format!("write a name without `/`, such as `{}`", shown(&name.replace('/', "-")));
        return Err(ValueError::new(format!("`{}` has a `/`, as names of models have", shown(name)), help));
    }
    if name == "default" {
        let help = "write `default: PROVIDER/MODEL` beside `aliases`";
        return Err(ValueError::new("`default` cannot be an alias", help));
    }
    Ok(())
}

/// Reads the models that one alias stands for.
fn targets(r: &mut Reader<'_>, item: &Field<'_>, names: &Names) -> Option<Vec<ModelRef>> {
    let help = "write `PROVIDER/MODEL`, or a list of them to be tried in this order";
    if !matches!(item.node.kind, Kind::List(_)) {
        let text = r.text(item, help)?;
        return r.check(item.place(), names.target(text)).map(|target| vec![target]);
    }
    let items = r.list(item, MAX_TARGETS, help)?;
    if items.is_empty() {
        r.error(item.place(), format!("the alias `{}` stands for no model", shown(item.name)), help);
    }
    let mut targets = Vec::new();
    for node in items {
        let one = item.element(node);
        let target = r.text(&one, help).and_then(|text| r.check(one.place(), names.target(text)));
        match target {
            Some(target) if targets.contains(&target) => {
                r.error(one.place(), format!("`{target}` is named twice"), "remove one of the two");
            }
            target => targets.extend(target),
        }
    }
    Some(targets)
}
