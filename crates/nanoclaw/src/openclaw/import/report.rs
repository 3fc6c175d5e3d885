//! What became of each part of an imported configuration.

use std::fmt;

use crate::terminal::line;

/// Longest statement in columns.
const COLUMNS: usize = 400;

/// Three lists, in the order in which things were looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    carried: Vec<(String, String)>,
    changed: Vec<(String, String)>,
    dropped: Vec<(String, String)>,
}

impl Report {
    /// It means the same as before.
    pub(super) fn carried(&mut self, path: &str, what: impl Into<String>) {
        self.carried.push((path.to_owned(), what.into()));
    }

    /// It means something else now.
    pub(super) fn changed(&mut self, path: &str, what: impl Into<String>) {
        self.changed.push((path.to_owned(), what.into()));
    }

    /// It means nothing any more: why, and what to do.
    pub(super) fn dropped(&mut self, path: &str, what: impl Into<String>) {
        self.dropped.push((path.to_owned(), what.into()));
    }

    /// What is said about a path.
    #[cfg(test)]
    pub(super) fn said(&self, list: &str, path: &str) -> String {
        let list = match list {
            "carried" => &self.carried,
            "changed" => &self.changed,
            _ => &self.dropped,
        };
        list.iter().filter(|(at, _)| at == path).map(|(_, what)| what.as_str()).collect::<Vec<_>>().join("; ")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (title, items) in
            [("carried over", &self.carried), ("changed", &self.changed), ("not carried over", &self.dropped)]
        {
            if items.is_empty() {
                continue;
            }
            writeln!(f, "{title}:")?;
            for (path, what) in items {
                writeln!(f, "  {}: {}", line(path, COLUMNS), line(what, COLUMNS))?;
            }
        }
        Ok(())
    }
}
