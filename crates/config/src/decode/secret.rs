//! Where secrets are. One that stands in the file itself is refused, and no message repeats it.

use super::Wants;
use super::keys::{ALL, SECRET};
use super::reader::{Field, Reader};
use crate::SecretSource;
use crate::report::Mistakes;
use crate::source::{Hidden, Place, Source};
use crate::tree::{Entry, Kind, Node};
use crate::value::env_name;

/// The keys whose values are secrets.
const KEYS: [&str; 3] = ["api_key", "token", "password"];

/// Reads where a secret is.
pub(super) fn secret(r: &mut Reader<'_>, field: &Field<'_>) -> Option<SecretSource> {
    let help = "write `{ env: NAME }` and put it into that variable of NanoClaw's environment, or `{ file: PATH }`";
    if matches!(field.node.kind, Kind::Plain(_) | Kind::Quoted(_)) {
        r.error(field.place(), format!("`{}` must not stand in this file", field.name), help);
        return None;
    }
    let fields = r.fields(field, &SECRET, help)?;
    match (fields.get("env"), fields.get("file")) {
        (Some(env), None) => {
            let help = "write the name of the variable that holds it, such as `{ env: MAIN_KEY }`";
            let text = r.verbatim(&env, "a text", help)?;
            if env_name(text).is_err() {
                r.error(env.place(), "`env` is not the name of an environment variable", help);
                return None;
            }
            Some(SecretSource::Env(text.to_owned()))
        }
        (None, Some(file)) => {
            let help = "write the path of the file that holds it, such as `{ file: ./main.key }`";
            r.host_path(&file, Wants::File, help).map(SecretSource::File)
        }
        (Some(_), Some(file)) => {
            r.error(file.key, format!("`{}` has both `env` and `file`", field.name), "keep one of the two");
            None
        }
        (None, None) => {
            // Where there are keys, they are wrong ones, and that was said.
            if matches!(&field.node.kind, Kind::Map(entries) if entries.is_empty()) {
                r.error(field.place(), format!("`{}` does not say where it is", field.name), help);
            }
            None
        }
    }
}

/// Keeps every value that may be a secret out of the messages, wherever it stands and whatever else is wrong there.
pub(super) fn hide(node: &Node, mistakes: &mut Mistakes<'_>) {
    match &node.kind {
        Kind::List(items) => items.iter().for_each(|item| hide(item, mistakes)),
        Kind::Map(entries) => {
            for Entry { key, value, .. } in entries {
                match &value.kind {
                    Kind::Map(parts) if KEYS.contains(&key.as_str()) => {
                        let place = |part: &Entry| part.key == "file" || part.key == "env" && is_name(&part.value);
                        parts.iter().filter(|part| !place(part)).for_each(|part| mistakes.hide(part.value.whole()));
                    }
                    _ if KEYS.contains(&key.as_str()) || likely(key, value) => mistakes.hide(value.whole()),
                    _ => hide(value, mistakes),
                }
            }
        }
        Kind::Null | Kind::Plain(_) | Kind::Quoted(_) | Kind::Rejected => {}
    }
}

/// Whether it is the name of a variable, and so hardly the secret itself.
fn is_name(node: &Node) -> bool {
    matches!(&node.kind, Kind::Plain(text) | Kind::Quoted(text) if env_name(text).is_ok())
}

/// Whether what stands behind a key looks as if it were a secret, or a URL with one in it.
fn likely(key: &str, value: &Node) -> bool {
    let (Kind::Plain(text) | Kind::Quoted(text)) = &value.kind else { return false };
    if matches!(key, "base_url" | "url" | "issuer") {
        return text.contains(['@', '?', '#']);
    }
    let known = ALL.iter().any(|level| level.keys.contains(&key));
    let amount = text.bytes().all(|b| b.is_ascii_digit());
    let key = key.to_ascii_lowercase();
    !known && !amount && ["key", "token", "secret", "password", "credential"].iter().any(|word| key.contains(word))
}

/// Hides what follows the keys of secrets on their lines, where the tree does not hold all that the file says.
pub(super) fn hide_likely(source: &Source<'_>, mistakes: &mut Mistakes<'_>) {
    for (n, line) in source.lines().enumerate() {
        let found = KEYS.iter().flat_map(|key| line.match_indices(key)).find_map(|(at, key)| {
            let (before, after) = line.split_at_checked(at + key.len())?;
            let value = after.trim_start_matches(['"', '\'']).trim_start().strip_prefix(':')?.trim_start();
            (!value.is_empty() && !value.starts_with('{')).then(|| before.chars().count() + 2)
        });
        if let Some(column) = found {
            mistakes.hide(Hidden { place: Place { line: n + 1, column, width: usize::MAX }, last: n + 1 });
        }
    }
}
