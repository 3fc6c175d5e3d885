//! Where keys are. A key itself is never taken over, shown or written.

use std::path::{Path, PathBuf};

use super::node::Node;
use super::report::Report;

/// Where a provider's key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// It has none.
    None,
    /// In a variable of NanoClaw's environment.
    Env(String),
    /// In a file that is there.
    File(String),
    /// Most likely nowhere; else in this variable.
    Perhaps(String),
}

/// How OpenClaw finds secrets.
pub(super) struct Secrets<'v> {
    /// `secrets.providers`.
    providers: Option<Node<'v>>,
    /// `secrets.defaults.file`.
    default_file: &'v str,
    home: Option<&'v Path>,
    /// Where the configuration lies.
    base: &'v Path,
}

impl<'v> Secrets<'v> {
    pub(super) fn read(root: &Node<'v>, home: Option<&'v Path>, base: &'v Path) -> Self {
        let default_file = root.at(&["secrets", "defaults", "file"]).and_then(|name| name.text()).unwrap_or("default");
        Self { providers: root.at(&["secrets", "providers"]), default_file, home, base }
    }

    /// Where NanoClaw finds a key that stands at `node`. It is `variable` of the environment, unless OpenClaw says
    /// something that NanoClaw can do too. `local`: the provider is on this machine's loopback.
    pub(super) fn key(&self, node: &Node<'_>, variable: &str, local: bool, report: &mut Report) -> Key {
        if let Some(text) = node.text() {
            if let Some(name) = reference(text) {
                report.carried(&node.path, format!("from the variable `{name}`"));
                return Key::Env(name.to_owned());
            }
            if local {
                let say = format!(
                    "not copied: servers on this machine rarely want a key; if this one does, write `api_key: {{ env: {variable} }}`"
                );
                report.changed(&node.path, say);
                return Key::Perhaps(variable.to_owned());
            }
            report.changed(&node.path, format!("the key is not copied; put it into the variable `{variable}`"));
            return Key::Env(variable.to_owned());
        }
        let part = |key| node.get(key).and_then(|part| part.text());
        let not_so = |report: &mut Report, why: &str| {
            report.changed(&node.path, format!("{why}; put the key into the variable `{variable}`"));
            Key::Env(variable.to_owned())
        };
        match (part("source"), part("id")) {
            (Some("env"), Some(id)) if is_name(id) => {
                report.carried(&node.path, format!("from the variable `{id}`"));
                Key::Env(id.to_owned())
            }
            (Some("file"), Some(id)) => match self.file(part("provider").unwrap_or(self.default_file), id) {
                Ok(path) => {
                    report.carried(&node.path, format!("from the file `{path}`"));
                    Key::File(path)
                }
                Err(why) => not_so(report, why),
            },
            (Some("exec"), _) => not_so(report, "NanoClaw runs no program to get a key"),
            (Some("store"), _) => not_so(report, "NanoClaw does not read OpenClaw's store"),
            _ => not_so(report, "this says nothing about a key that NanoClaw understands"),
        }
    }

    /// The file that holds exactly one secret.
    fn file(&self, provider: &str, id: &str) -> Result<String, &'static str> {
        let provider =
            self.providers.as_ref().and_then(|all| all.get(provider)).ok_or("there is no such secret provider")?;
        let part = |key| provider.get(key).and_then(|part| part.text());
        if part("mode") != Some("singleValue") || id != "value" {
            return Err("the file holds several secrets, and NanoClaw reads files that hold one");
        }
        let path = self.expand(part("path").unwrap_or_default()).ok_or("the file cannot be found")?;
        match path.to_str() {
            Some(text) if path.is_file() => Ok(text.to_owned()),
            _ => Err("the file is not there"),
        }
    }

    /// A path as OpenClaw means it, absolute.
    pub(super) fn expand(&self, path: &str) -> Option<PathBuf> {
        match path.strip_prefix("~/") {
            Some(rest) => Some(self.home?.join(rest)),
            None if path.is_empty() || path.starts_with('~') => None,
            None => Some(self.base.join(path)),
        }
    }
}

/// The variable that `${NAME}` or `$NAME` means.
fn reference(text: &str) -> Option<&str> {
    let name = text.strip_prefix('$')?;
    let name = name.strip_prefix('{').map_or(Some(name), |inner| inner.strip_suffix('}'))?;
    is_name(name).then_some(name)
}

/// Whether OpenClaw would take it for the name of a variable.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && text.len() <= 128
        && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// The name of a variable for the key of a provider of this name.
pub(super) fn variable(provider: &str) -> String {
    let name = provider.to_ascii_uppercase().replace('-', "_");
    let before = if name.starts_with(|c: char| c.is_ascii_digit()) { "PROVIDER_" } else { "" };
    format!("{before}{name}_API_KEY")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_to_variables_are_recognised() {
        assert_eq!(reference("${OPENAI_API_KEY}"), Some("OPENAI_API_KEY"));
        assert_eq!(reference("$OPENAI_API_KEY"), Some("OPENAI_API_KEY"));
        for text in ["OPENAI_API_KEY", "${openai}", "${A}B", "$", "${}", "$${A}", "sk-1", "${A"] {
            assert_eq!(reference(text), None, "{text}");
        }
    }

    #[test]
    fn every_provider_has_a_variable() {
        assert_eq!(variable("my-provider"), "MY_PROVIDER_API_KEY");
        assert_eq!(variable("9router"), "PROVIDER_9ROUTER_API_KEY");
    }
}
