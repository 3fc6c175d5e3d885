//! Documents: links lead somewhere, and the limits ledger names constants and tests that exist.

use std::collections::BTreeSet;
use std::path::Path;

use crate::{none, texts_ending, top};

const LEDGER: &str = "docs/LIMITS.md";

/// The lines of a document outside of code blocks, from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(n, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fenced && !fence).then_some((n + 1, line))
    })
}

/// `line` without what stands between backticks.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

/// Where the links of a line lead.
fn links(line: &str) -> Vec<String> {
    let line = without_code(line);
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(to, _)| to.to_owned()).collect()
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let slug = |title: &str| -> String {
        let kept = title.trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    let headings = prose(text).filter(|(_, line)| line.starts_with('#'));
    headings.map(|(_, line)| slug(line.trim_start_matches('#'))).collect()
}

/// Links that lead nowhere. `read` gives the text of a file of the tree, an empty one for what is no text, and nothing for
/// what is not there.
fn broken_links(file: &str, text: &str, read: impl Fn(&Path) -> Option<String>) -> Vec<String> {
    let mut offences = Vec::new();
    for (line, to) in prose(text).flat_map(|(n, line)| links(line).into_iter().map(move |to| (n, to))) {
        if to.contains("://") || to.starts_with("mailto:") {
            continue;
        }
        let (path, anchor) = to.split_once('#').map_or((to.as_str(), None), |(path, anchor)| (path, Some(anchor)));
        let target = match path {
            "" => Some(text.to_owned()),
            path => read(&Path::new(file).parent().unwrap_or(Path::new("")).join(path)),
        };
        let found = target.is_some_and(|target| anchor.is_none_or(|anchor| anchors(&target).contains(anchor)));
        if !found {
            offences.push(format!("{file}:{line}: the link `{to}` leads nowhere"));
        }
    }
    offences
}

#[test]
fn links_between_documents_lead_somewhere() {
    let documents = texts_ending(".md");
    assert!(documents.len() > 5, "the documents are read");
    let read = |path: &Path| {
        let path = top().join(path);
        path.exists().then(|| std::fs::read_to_string(&path).unwrap_or_default())
    };
    none(&documents.iter().flat_map(|(file, text)| broken_links(file, text, read)).collect::<Vec<_>>());
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let read = |path: &Path| (path == Path::new("docs/there.md")).then(|| "# A title: `x`\n".to_owned());
    let text = "[a](there.md) [b](there.md#a-title-x) [c](https://example.com/x) `[d](code.md)`\n\
                ```\n[e](fenced.md)\n```\n[f](gone.md) [g](there.md#gone) [h](#here)\n";
    assert_eq!(
        broken_links("docs/a.md", text, read),
        [
            "docs/a.md:5: the link `gone.md` leads nowhere",
            "docs/a.md:5: the link `there.md#gone` leads nowhere",
            "docs/a.md:5: the link `#here` leads nowhere",
        ]
    );
}

/// What the ledger may name.
#[derive(Default)]
struct Names {
    constants: BTreeSet<String>,
    functions: BTreeSet<String>,
    attacks: BTreeSet<String>,
}

impl Names {
    fn add(&mut self, source: &str) {
        for line in source.lines().map(str::trim) {
            if let Some(name) = line.split("const ").nth(1).and_then(|rest| rest.split([':', ' ', '(']).next())
                && !line.starts_with("//")
            {
                self.constants.insert(name.to_owned());
            }
            if let Some(name) = line.split("fn ").nth(1).and_then(|rest| rest.split(['(', '<']).next()) {
                self.functions.insert(name.to_owned());
            }
            let kebab = line.split('"').nth(1).filter(|name| is_attack(name));
            self.attacks.extend(kebab.map(str::to_owned));
        }
    }

    fn have(&self, name: &str) -> bool {
        let all = if is_constant(name) {
            &self.constants
        } else if is_attack(name) {
            &self.attacks
        } else {
            &self.functions
        };
        all.contains(name)
    }
}

fn is_constant(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

fn is_attack(name: &str) -> bool {
    name.contains('-') && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// The texts between backticks in one cell of a table.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Rows of the ledger are `| limit | value | what happens | where | test |`. Returns the names in the columns *where*
/// (constants only) and *test*, with their lines.
fn ledger_names(ledger: &str) -> Vec<(usize, &str)> {
    let mut names = Vec::new();
    for (n, line) in prose(ledger) {
        let cells: Vec<&str> = line.split(" | ").collect();
        if let [_, _, _, place, test] = cells.as_slice()
            && line.starts_with("| ")
        {
            names.extend(quoted(place).filter(|name| is_constant(name)).map(|name| (n, name)));
            names.extend(quoted(test).map(|name| (n, name)));
        }
    }
    names
}

fn not_there(ledger: &str, names: &Names) -> Vec<String> {
    let missing = ledger_names(ledger).into_iter().filter(|(_, name)| !names.have(name));
    missing.map(|(line, name)| format!("{LEDGER}:{line}: there is no `{name}` in the source")).collect()
}

/// Constants that are ceilings by their name and that the ledger does not list.
fn not_listed(ledger: &str, names: &Names) -> Vec<String> {
    let ceiling = |name: &&String| {
        let words: Vec<&str> = name.split('_').collect();
        words.iter().any(|word| ["MAX", "MOST", "LONGEST", "CAPACITY", "CONNECTIONS"].contains(word))
    };
    let listed: BTreeSet<&str> = ledger_names(ledger).into_iter().map(|(_, name)| name).collect();
    let missing = names.constants.iter().filter(ceiling).filter(|name| !listed.contains(name.as_str()));
    missing.map(|name| format!("`{name}` is a ceiling and does not stand in {LEDGER}")).collect()
}

#[test]
fn the_limits_ledger_and_the_source_name_the_same_things() {
    let mut names = Names::default();
    let mut ceilings = Names::default();
    for (file, source) in texts_ending(".rs") {
        names.add(&source);
        if file.contains("/src/") && !file.contains("/attack/") && !file.contains("/tests") {
            ceilings.add(&source);
        }
    }
    let ledger = std::fs::read_to_string(top().join(LEDGER)).unwrap();
    assert!(ledger_names(&ledger).len() > 60, "the ledger is read");
    none(&not_there(&ledger, &names));
    none(&not_listed(&ledger, &ceilings));
}

#[test]
fn a_name_that_only_the_ledger_or_only_the_source_has_is_found() {
    let mut names = Names::default();
    names.add(
        "const MAX_FILE: usize = 1;\npub(crate) const LONGEST: usize = 4;\nfn big_is_refused() {\n\"fork-bomb\",\n",
    );
    let ledger = "\
| limit | value | what happens | where | test |
|---|---|---|---|---|
| a | 1 | no | [load.rs](x) `MAX_FILE` | `big_is_refused`, `fork-bomb` |
| b | 2 | no | `MAX_GONE` in `text.rs` | `gone`, `gone-bomb` |
| c | 3 | no | [x.rs](x) | (no test yet) |
";
    assert_eq!(
        not_there(ledger, &names),
        [
            "docs/LIMITS.md:4: there is no `MAX_GONE` in the source",
            "docs/LIMITS.md:4: there is no `gone` in the source",
            "docs/LIMITS.md:4: there is no `gone-bomb` in the source",
        ]
    );
    assert_eq!(not_listed(ledger, &names), ["`LONGEST` is a ceiling and does not stand in docs/LIMITS.md"]);
}
