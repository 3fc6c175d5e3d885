//! Names that NanoClaw takes: of a-z, 0-9 and `-`, each once.

use std::collections::BTreeSet;

use nanoclaw_request::CellId;

/// The names of one kind that are taken.
#[derive(Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// Takes a name that is as near to `wanted` as can be.
    pub(super) fn take(&mut self, wanted: &str) -> String {
        let mut name = String::new();
        for c in wanted.chars().take(CellId::MAX) {
            match c.to_ascii_lowercase() {
                c @ ('a'..='z' | '0'..='9') => name.push(c),
                _ if name.is_empty() || name.ends_with('-') => {}
                _ => name.push('-'),
            }
        }
        let base = match name.trim_matches('-') {
            "" => "unnamed",
            name => name,
        };
        let mut name = base.to_owned();
        let mut n = 1_usize;
        while self.0.contains(&name) {
            n += 1;
            let end = format!("-{n}");
            let kept: String = base.chars().take(CellId::MAX - end.len()).collect();
            name = format!("{}{end}", kept.trim_end_matches('-'));
        }
        self.0.insert(name.clone());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_valid_and_taken_once() {
        let mut names = Names::default();
        for (wanted, name) in [
            ("main", "main"),
            ("Main", "main-2"),
            ("my.provider/eu", "my-provider-eu"),
            ("--", "unnamed"),
            ("漢字", "unnamed-2"),
            ("a_b", "a-b"),
        ] {
            assert_eq!(names.take(wanted), name);
        }
        let long = "x".repeat(100);
        for _ in 0..20 {
            CellId::parse(&names.take(&long)).unwrap();
        }
    }
}
