//! The rules of the house that a machine can check: which room may know which, where `unsafe` may stand, how long a file
//! may be, and that documents say what is there.
//!
//! Each rule is a function from text to a list of offences. One test runs it over the tree; another shows that it
//! fails on a bad sample.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a rule that cannot be checked is a failed test")]

#[path = "architecture/documents.rs"]
mod documents;
#[path = "architecture/rooms.rs"]
mod rooms;
#[path = "architecture/rust.rs"]
mod rust;

use std::fs;
use std::path::{Path, PathBuf};

/// The top of the repository.
pub fn top() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Directories of the tree that hold what was built or fetched.
const NOT_OURS: [&str; 6] = [".git", ".cache", "target", "artifacts", "node_modules", ".venv"];

/// Every file of the tree that is UTF-8 text, by its path from the top, with its contents.
pub fn texts() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut directories = vec![PathBuf::new()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(top().join(&directory)).unwrap() {
            let entry = entry.unwrap();
            let path = directory.join(entry.file_name());
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && !NOT_OURS.contains(&entry.file_name().to_str().unwrap_or_default()) {
                directories.push(path);
            } else if kind.is_file()
                && let Ok(text) = fs::read_to_string(top().join(&path))
            {
                found.push((path.to_str().unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

/// The texts whose names end so.
pub fn texts_ending(end: &str) -> Vec<(String, String)> {
    texts().into_iter().filter(|(path, _)| path.ends_with(end)).collect()
}

/// Fails with the list of offences, one a line.
#[track_caller]
pub fn none(offences: &[String]) {
    assert!(offences.is_empty(), "{} offences:\n{}", offences.len(), offences.join("\n"));
}

/// Paths that exist on a builder's machine only.
fn machine_paths() -> Vec<String> {
    let checkout = top().canonicalize().unwrap();
    // In two pieces, so that this file does not offend against its own rule.
    let mut paths: Vec<String> =
        [["/work", "/main"], ["/work", "/shared"], ["/root", "/.cargo"], ["/root", "/.rustup"]]
            .map(|p| p.concat())
            .into();
    // A checkout in a directory such as `/src` has a name that means something elsewhere.
    if checkout.components().count() > 2 {
        paths.push(checkout.to_str().unwrap().to_owned());
    }
    paths
}

fn naming(machine_paths: &[String], file: &str, text: &str) -> Vec<String> {
    let offends = |line: &str| machine_paths.iter().any(|path| line.contains(path.as_str()));
    let lines = text.lines().enumerate().filter(|(_, line)| offends(line));
    lines.map(|(n, line)| format!("{file}:{}: names a path of one machine: {}", n + 1, line.trim())).collect()
}

#[test]
fn no_file_names_a_path_of_one_machine() {
    let paths = machine_paths();
    let offences: Vec<String> = texts().iter().flat_map(|(file, text)| naming(&paths, file, text)).collect();
    none(&offences);
}

#[test]
fn a_path_of_one_machine_is_found() {
    let paths = machine_paths();
    let sample = format!("mkdir /workspace\ncd {}/x\n", paths[0]);
    assert_eq!(naming(&paths, "a.sh", &sample).len(), 1);
}
