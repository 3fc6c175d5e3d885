//! Where secrets are. One that stands in the file itself is refused, and no message repeats it.

use super::Wants;
use super::keys::SECRET;
use super::reader::{Field, Reader};
use crate::SecretSource;
use crate::report::Mistakes;
use crate::source::{Hidden, Place, Source};
use crate::tree::{Entry, Kind};
use crate::value::env_name;

/// The keys whose values are secrets.
const KEYS: [&str; 2] = ["api_key", "token"];

/// Reads where a secret is.
pub(super) fn secret(r: &mut Reader<'_>, field: &Field<'_>) -> Option<SecretSource> {
    let help = "write `{ env: NAME }` and put it into that variable of NanoClaw's environment, or `{ file: PATH }`";
    match &field.node.kind {
        Kind::Plain(_) | Kind::Quoted(_) => {
            r.hide(field.node);
            r.error(field.place(), format!("`{}` must not stand in this file", field.name), help);
            return None;
        }
        Kind::Map(entries) if entries.iter().all(|entry| SECRET.keys.contains(&entry.key.as_str())) => {}
        Kind::Map(_) | Kind::List(_) => r.hide(field.node),
        Kind::Null | Kind::Rejected => {}
    }
    let fields = r.fields(field, &SECRET, help)?;
    match (fields.get("env"), fields.get("file")) {
        (Some(env), None) => {
            let help = "write the name of the variable that holds it, such as `{ env: MAIN_KEY }`";
            let text = r.verbatim(&env, "a text", help)?;
            if env_name(text).is_err() {
                // Probably it is the secret.
                r.hide(env.node);
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

/// Whether the value of an unknown key may be a secret.
pub(super) fn likely(entry: &Entry) -> bool {
    let key = entry.key.to_ascii_lowercase();
    let amount = matches!(&entry.value.kind, Kind::Plain(text) if text.bytes().all(|b| b.is_ascii_digit()));
    !amount && ["key", "token", "secret", "password", "credential"].iter().any(|word| key.contains(word))
}

/// Hides what follows the keys of secrets, where the file cannot be read as a whole.
pub(super) fn hide_likely(source: &Source<'_>, mistakes: &mut Mistakes<'_>) {
    for (n, line) in source.lines().enumerate() {
        for key in KEYS {
            let Some((before, after)) = line.split_once(key) else { continue };
            let after = after.trim_start_matches(['"', '\'']);
            let Some(value) = after.trim_start().strip_prefix(':').map(str::trim_start) else { continue };
            if !value.is_empty() && !value.starts_with('{') {
                let column = before.chars().count() + key.len() + 2;
                mistakes.hide(Hidden { place: Place { line: n + 1, column, width: usize::MAX }, last: n + 1 });
            }
        }
    }
}
