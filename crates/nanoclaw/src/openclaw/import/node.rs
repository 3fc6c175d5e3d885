//! A value of the imported configuration with the path to it.

use serde_json::{Map, Value};

use super::report::Report;

/// Longest key that is shown, in characters.
const KEY: usize = 48;

/// One value.
#[derive(Clone)]
pub(super) struct Node<'v> {
    pub(super) path: String,
    pub(super) value: &'v Value,
}

impl<'v> Node<'v> {
    pub(super) fn root(value: &'v Value) -> Self {
        Self { path: String::new(), value }
    }

    fn below(&self, key: &str, value: &'v Value) -> Self {
        let simple = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        let shown: String = key.chars().take(KEY).collect();
        let path = match (self.path.as_str(), simple) {
            ("", true) => shown,
            ("", false) => format!("[{shown:?}]"),
            (path, true) => format!("{path}.{shown}"),
            (path, false) => format!("{path}[{shown:?}]"),
        };
        Self { path, value }
    }

    /// The value of a key, unless it is null.
    pub(super) fn get(&self, key: &str) -> Option<Node<'v>> {
        let value = self.value.get(key).filter(|value| !value.is_null())?;
        Some(self.below(key, value))
    }

    /// The value at the end of several keys.
    pub(super) fn at(&self, keys: &[&str]) -> Option<Node<'v>> {
        keys.iter().try_fold(self.clone(), |node, key| node.get(key))
    }

    pub(super) fn text(&self) -> Option<&'v str> {
        self.value.as_str()
    }

    fn map(&self) -> Option<&'v Map<String, Value>> {
        self.value.as_object()
    }

    /// The entries of an object, with their keys.
    pub(super) fn entries(&self) -> Vec<(&'v str, Node<'v>)> {
        let entries = self.map().into_iter().flatten();
        entries
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.as_str(), self.below(key, value)))
            .collect()
    }

    /// The elements of a list.
    pub(super) fn items(&self) -> Vec<Node<'v>> {
        let items = self.value.as_array().into_iter().flatten().enumerate();
        items.map(|(n, value)| Node { path: format!("{}[{n}]", self.path), value }).collect()
    }

    /// The texts of a list, with their places. What is no text is said to be left out.
    pub(super) fn texts(&self, report: &mut Report) -> Vec<(Node<'v>, &'v str)> {
        let mut texts = Vec::new();
        for item in self.items() {
            match item.text() {
                Some(text) => texts.push((item, text)),
                None => report.dropped(&item.path, "it is not a text; write one"),
            }
        }
        texts
    }

    /// Says of each key that is not in `handled` why it is not carried over: what `known` says of it, or `other`.
    pub(super) fn leave(&self, report: &mut Report, handled: &[&str], known: &[(&str, &str)], other: &str) {
        for (key, node) in self.entries() {
            if handled.contains(&key) || key == "$include" {
                continue;
            }
            let why = known.iter().find(|(name, _)| *name == key).map_or(other, |(_, why)| why);
            report.dropped(&node.path, why);
        }
    }
}

/// The places of every `$include`: what they name is not read.
pub(super) fn includes(root: &Node<'_>, report: &mut Report) {
    let mut nodes = vec![root.clone()];
    while let Some(node) = nodes.pop() {
        for (key, below) in node.entries() {
            if key == "$include" {
                report.dropped(
                    &below.path,
                    "files that the configuration includes are not read; write their content here and import again",
                );
            }
            nodes.push(below);
        }
        nodes.extend(node.items());
    }
}
