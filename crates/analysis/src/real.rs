//! Which requests there are.
//!
//! A solver takes every request that the schema allows: hosts of minus one label, ports beyond 65,535. What NanoClaw really
//! asks is less. Here is what holds for all of it, as conditions in Cedar: a proof that takes them for granted still covers
//! every request that can come. Leaving one out makes examples worse and no proof wrong; a false one would make proofs wrong.

use std::collections::BTreeSet;

use nanoclaw_config::{HostSet, ToolClass, Trust};
use nanoclaw_policy::Engine;
use nanoclaw_request::{Destination, DnsName, Host};

use crate::quoted;

const ALWAYS: &[&str] = &[
    "context.session.data >= 0 && context.session.data <= 3",
    "context.session.suspicion >= 0 && context.session.suspicion <= 3",
    "context.session.suspicion == 0 || context.session.untrusted",
    "context.now.weekday >= 1 && context.now.weekday <= 7",
    "context.now.hour >= 0 && context.now.hour <= 23",
    "context.now.minute >= 0 && context.now.minute <= 59",
];

const HOST: &[&str] = &[
    "resource.data >= 0 && resource.data <= 3",
    "resource.labels >= 1",
    r#"resource.name != "" && !(resource.name like "* *")"#,
    r#"resource.literal || !(resource.name like ".*" || resource.name like "*." || resource.name like "*..*" || resource.name like "*:*")"#,
];

const NUMBER_OF_PORT: &str = "resource.port >= 0 && resource.port <= 65535";

const CONNECT: &[&str] = &[
    r#"["transparent", "http-connect", "http-proxy"].contains(context.via)"#,
    r#"["tls", "http", "opaque", "silent"].contains(context.evidence)"#,
    r#"!context.agrees || ["tls", "http"].contains(context.evidence)"#,
    r#"["public", "loopback", "metadata", "special"].contains(context.class)"#,
    r#"context has address || (!resource.literal && context.class == "public")"#,
];

/// Networks without a public address; an IPv4 address can also stand in an IPv6 one, so there are more.
const NOT_PUBLIC: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "224.0.0.0/3",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
    "ff00::/8",
];

const BUDGET: &str = "context.budget_left >= 0 && context.budget_left <= 100";

const MODEL: &[&str] = &[
    r#"["chat", "responses", "messages", "embeddings", "count-tokens", "list"].contains(context.operation)"#,
    r#"context.operation != "list" || resource.name == """#,
    "context.messages >= 0 && context.reserved_tokens >= 0",
    BUDGET,
];

/// Conditions that hold for every question about `action` that is ever asked.
pub(crate) fn always(action: &str) -> Vec<String> {
    let port = format!("resource has port && {NUMBER_OF_PORT}");
    let own = match action {
        "net_resolve" => {
            vec!["!resource.literal".to_owned(), format!("if resource has port then {NUMBER_OF_PORT} else true")]
        }
        "net_connect" => {
            let mut own: Vec<String> =
                std::iter::once(port).chain(CONNECT.iter().map(|&text| text.to_owned())).collect();
            let within = |net: &&str| format!("context.address.isInRange(ip(\"{net}\"))");
            let elsewhere = NOT_PUBLIC.iter().map(within).collect::<Vec<_>>().join(" || ");
            own.push(format!("if context has address then context.class != \"public\" || !({elsewhere}) else true"));
            own
        }
        "http_request" => vec![port, "(context has address) == resource.literal".to_owned()],
        "net_datagram" => {
            vec![port, "resource.literal".to_owned(), "context.protocol >= 0 && context.protocol <= 255".to_owned()]
        }
        "model_call" => MODEL.iter().map(|&text| text.to_owned()).collect(),
        "tool_call" => vec![BUDGET.to_owned()],
        _ => Vec::new(),
    };
    let host = is_about_hosts(action).then(|| HOST.iter().map(|&text| text.to_owned()));
    ALWAYS.iter().map(|&text| text.to_owned()).chain(host.into_iter().flatten()).chain(own).collect()
}

pub(crate) fn is_about_hosts(action: &str) -> bool {
    matches!(action, "net_resolve" | "net_connect" | "http_request" | "net_datagram")
}

/// The attribute that has the text by which a resource of `action` is known, and which is its id as well.
pub(crate) fn name_of(action: &str) -> &'static str {
    match action {
        "file_write" | "exec" => "path",
        _ => "name",
    }
}

/// What a person can ask `nanoclaw policy explain`.
pub(crate) fn askable(action: &str) -> &'static [&'static str] {
    match action {
        "net_resolve" => &["!(resource has port) && resource.labels <= 9"],
        "net_connect" => &[
            "resource.literal || resource.labels <= 9",
            r#"context.via == "transparent""#,
            r#"(context.evidence == "http" && context.agrees) || (["opaque", "silent"].contains(context.evidence) && !context.agrees)"#,
            r#"context.class != "loopback" || (context has address && context.address.isInRange(ip("127.0.0.0/8")))"#,
            r#"context.class != "metadata" || (context has address && context.address == ip("169.254.169.254"))"#,
            r#"context.class != "special" || (context has address && (context.address.isInRange(ip("10.0.0.0/8")) || context.address.isInRange(ip("172.16.0.0/12")) || context.address.isInRange(ip("192.168.0.0/16")) || context.address.isInRange(ip("fd00::/16"))))"#,
        ],
        "http_request" => {
            &[r#"context.path like "/*" && context.method != "" && (resource.literal || resource.labels <= 9)"#]
        }
        "net_datagram" => &["context.protocol == 17"],
        "file_write" => &[r#"context.writable && context.operation == "open" && resource.path like "/*""#],
        "exec" => &[r#"context.executable && resource.path like "/*""#],
        "syscall" => &[r#"resource.name != """#],
        "model_call" => &[
            "context.budget_left == 100",
            r#"context.operation == "chat" && !context.stream && context.messages == 1 && context.reserved_tokens == 0 && resource.name != "" && resource.name != "default""#,
        ],
        "tool_call" => &[
            "context.budget_left == 100",
            r#"resource.readable && resource.name != "" && context.from_user.isEmpty() && context.from_untrusted.isEmpty()"#,
        ],
        _ => &[],
    }
}

/// What makes a question short: nothing was read before, and names lead to public addresses.
pub(crate) fn plain(action: &str) -> &'static [&'static str] {
    const NOTHING_READ: &str =
        "!context.session.untrusted && context.session.data == 0 && context.session.suspicion == 0";
    match action {
        "net_connect" => {
            &[NOTHING_READ, r#"resource.literal || (context.class == "public" && !(context has address))"#]
        }
        "tool_call" => &[NOTHING_READ, "!resource.at_provider"],
        _ => &[NOTHING_READ],
    }
}

/// What patterns say that no address as text can fit.
pub(crate) fn no_addresses(patterns: &BTreeSet<String>) -> Vec<String> {
    let of_address = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c) || ".:*".contains(c);
    let others = patterns.iter().filter(|pattern| !pattern.chars().all(of_address));
    others.map(|pattern| format!("!resource.literal || !(resource.name like {})", quoted(pattern))).collect()
}

/// What the configuration and NanoClaw's own table say about these tools or hosts.
pub(crate) fn facts(action: &str, names: &BTreeSet<String>, engine: &Engine) -> Vec<String> {
    let said = names.iter().filter_map(|name| Some((name, fact(action, name, engine)?)));
    said.map(|(name, said)| format!("resource.name != {} || ({said})", quoted(name))).collect()
}

fn fact(action: &str, name: &str, engine: &Engine) -> Option<String> {
    match action {
        "tool_call" => {
            let does = engine.tool(name).does;
            let says =
                |(class, attribute)| format!("{}resource.{attribute}", if does.contains(&class) { "" } else { "!" });
            Some(CLASSES.into_iter().map(says).collect::<Vec<_>>().join(" && "))
        }
        "net_resolve" | "net_connect" | "http_request" => {
            let host = DnsName::parse(name).ok()?;
            // Names are asked about in this spelling only.
            let labels = host.as_str().split('.').count();
            // A connection has the labels of the addresses too that the name leads to, and nobody knows them here.
            let by_address = |target: &HostSet| matches!(target, HostSet::Net(_));
            let current = engine.policies().current();
            if action == "net_connect" && current.labels().hosts.iter().any(|label| by_address(&label.target)) {
                return Some(format!("!resource.literal && resource.labels == {labels}"));
            }
            let label = engine.label_of_host(&Destination { host: Host::Name(host), port: 443 });
            let trusted = if label.trust == Trust::Trusted { "" } else { "!" };
            let data = label.data as u8;
            Some(format!(
                "!resource.literal && resource.labels == {labels} && {trusted}resource.trusted && resource.data == {data}"
            ))
        }
        _ => None,
    }
}

const CLASSES: [(ToolClass, &str); 5] = [
    (ToolClass::Reads, "reads"),
    (ToolClass::Writes, "writes"),
    (ToolClass::Sends, "sends"),
    (ToolClass::Pays, "pays"),
    (ToolClass::Executes, "executes"),
];
