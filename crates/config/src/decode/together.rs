//! What the keys of an agent say together: what can never work, and what does something else than it looks like.

use super::keys::nearest;
use super::reader::{Field, Fields, Reader};
use crate::display::shown;
use crate::source::Place;
use crate::tree::{Kind, Node};
use crate::{AgentKind, BUILTIN_TOOLS, Builtin, ModelAccess, Models, Rootfs, glob};

/// Variables in which client libraries find the model door.
const ADDRESSES: [&str; 2] = ["OPENAI_BASE_URL", "ANTHROPIC_BASE_URL"];
/// Variables in which they find something that looks like a key.
const KEYS: [&str; 2] = ["OPENAI_API_KEY", "ANTHROPIC_API_KEY"];

/// Looks at an agent whose keys have been read one by one.
pub(super) fn together(
    r: &mut Reader<'_>,
    fields: &Fields<'_>,
    who: &str,
    kind: &AgentKind,
    rootfs: &Rootfs,
    access: Option<&ModelAccess>,
    models: &Models,
) {
    let minimal = *rootfs == Rootfs::Minimal;
    match kind {
        AgentKind::OpenClaw { .. } if minimal => {
            if let Some(field) = fields.get("rootfs") {
                let message = format!("{who} is OpenClaw, which needs a node, and `minimal` has none");
                r.error(field.place(), message, "remove `rootfs`, or name a directory with a node in it");
            }
        }
        AgentKind::Builtin(builtin) => tools(r, fields, who, builtin, minimal),
        AgentKind::OpenClaw { .. } | AgentKind::Command(_) => {}
    }
    let Some(access) = access else { return };
    let own = match kind {
        // It need not use the model of those that name none.
        AgentKind::Command(_) => access.model.as_ref(),
        AgentKind::Builtin(_) | AgentKind::OpenClaw { .. } => access.model.as_ref().or(models.default.as_ref()),
    };
    if let Some(own) = own {
        denied(r, fields, who, own, models);
    }
    environment(r, fields, who);
}

/// The texts in the list `key` of the mapping `field`, with their places: as they are, or as the `name` of a mapping.
fn texts<'n>(field: &Field<'n>, key: &str) -> Vec<(Place, &'n str)> {
    let entry = |node: &'n Node, key: &str| match &node.kind {
        Kind::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value),
        _ => None,
    };
    let items = match entry(field.node, key).map(|node| &node.kind) {
        Some(Kind::List(items)) => items.as_slice(),
        _ => &[],
    };
    let text = |node: &'n Node| match &node.kind {
        Kind::Plain(text) | Kind::Quoted(text) => Some((node.place, text.as_str())),
        _ => None,
    };
    items.iter().filter_map(|node| text(node).or_else(|| text(entry(node, "name")?))).collect()
}

/// Tool rules that never hold.
fn tools(r: &mut Reader<'_>, fields: &Fields<'_>, who: &str, builtin: &Builtin, minimal: bool) {
    let Some(field) = fields.get("tools") else { return };
    for (place, pattern) in ["allow", "deny"].into_iter().flat_map(|key| texts(&field, key)) {
        let fits = BUILTIN_TOOLS.iter().any(|tool| glob::matches(pattern, tool))
            || builtin.mcp.iter().any(|server| begins(pattern, &format!("{}__", server.name)));
        if !fits {
            let servers: Vec<&str> = builtin.mcp.iter().map(|server| server.name.as_str()).collect();
            let meant = match pattern.split_once("__") {
                Some((server, tool)) => nearest(server, &servers).map(|near| format!("{near}__{}", shown(tool))),
                None => nearest(pattern, &BUILTIN_TOOLS).map(str::to_owned),
            };
            let meant = match meant {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it has {} and `SERVER__TOOL` of its MCP servers", BUILTIN_TOOLS.join(", ")),
            };
            r.notice(
                place,
                false,
                format!("{who} has no tool `{}`, so this rule never holds; {meant}", shown(pattern)),
            );
        }
    }
    if minimal && let Some((place, _)) = texts(&field, "allow").into_iter().find(|(_, name)| *name == "shell") {
        r.notice(place, false, format!("{who} has no shell in its cell to run, as its `rootfs` is `minimal`"));
    }
}

/// Whether `pattern` fits a text that begins with `prefix`.
fn begins(pattern: &str, prefix: &str) -> bool {
    match pattern.split_once('*') {
        Some((literal, _)) => literal.starts_with(prefix) || prefix.starts_with(literal),
        None => pattern.starts_with(prefix),
    }
}

/// An agent that may not use its own model gets no answer at all.
fn denied(r: &mut Reader<'_>, fields: &Fields<'_>, who: &str, own: &str, models: &Models) {
    let Some(field) = fields.get("models") else { return };
    // An alias is denied with any of those that it stands for.
    let candidates = models.aliases.get(own).into_iter().flatten().map(ToString::to_string);
    let names: Vec<String> = std::iter::once(own.to_owned()).chain(candidates).collect();
    for (place, pattern) in texts(&field, "deny") {
        if let Some(name) = names.iter().find(|name| glob::matches(pattern, name)) {
            let for_own = if name == own { String::new() } else { format!(", for which `{}` stands", shown(own)) };
            let message = format!("{who} may not use its own model: this denies `{}`{for_own}", shown(name));
            r.error(place, message, "remove it, or give the agent another `model`");
        }
    }
}

/// Variables that take the place of those of the model door.
fn environment(r: &mut Reader<'_>, fields: &Fields<'_>, who: &str) {
    let Some(Field { node: Node { kind: Kind::Map(entries), .. }, .. }) = fields.get("env") else { return };
    for entry in entries {
        let key = entry.key.as_str();
        if ADDRESSES.contains(&key) {
            let message =
                format!("`{key}` replaces the address of the model door, so that clients of {who} ask somebody else");
            r.notice(entry.place, false, message);
        } else if KEYS.contains(&key) {
            let message = format!(
                "`{key}` replaces a placeholder: {who} needs no key for the model door, and all that runs in its cell can read this one"
            );
            r.notice(entry.place, true, message);
        }
    }
}
