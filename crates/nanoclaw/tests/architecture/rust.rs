//! Rules on Rust source: `unsafe` and its reasons, and the length of files.

use crate::{none, texts_ending};

/// The only directory whose code may say `unsafe`.
const UNSAFE_ROOM: &str = "crates/sandbox/";
/// Longest file, in lines. Most should be far shorter.
const LONGEST: usize = 800;
/// How far above a block its reason may stand, in lines that are no comment.
const REACH: usize = 4;

/// `source` with comments and the insides of literals blanked out, line for line.
fn code(source: &str) -> String {
    let text: Vec<char> = source.chars().collect();
    let at = |n: usize| text.get(n).copied().unwrap_or('\0');
    let blank = |from: usize, to: usize| -> String {
        text[from..to.min(text.len())].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }).collect()
    };
    let mut out = String::with_capacity(source.len());
    let mut n = 0;
    while n < text.len() {
        let word_before = n > 0 && (at(n - 1).is_alphanumeric() || at(n - 1) == '_');
        let end = match at(n) {
            '/' if at(n + 1) == '/' => (n..).find(|n| matches!(at(*n), '\n' | '\0')),
            '/' if at(n + 1) == '*' => Some(block_comment(&text, n)),
            'r' if !word_before && matches!(at(n + 1), '"' | '#') => raw_string(&text, n + 1),
            'b' if !word_before && at(n + 1) == 'r' && matches!(at(n + 2), '"' | '#') => raw_string(&text, n + 2),
            '"' => Some(quoted(&text, n)),
            // A lifetime has no closing quote behind one character.
            '\'' if at(n + 1) == '\\' || at(n + 2) == '\'' => Some(quoted(&text, n)),
            _ => None,
        };
        match end {
            Some(end) => {
                out.push_str(&blank(n, end));
                n = end;
            }
            None => {
                out.push(at(n));
                n += 1;
            }
        }
    }
    out
}

/// Behind a block comment, which may hold others.
fn block_comment(text: &[char], start: usize) -> usize {
    let (mut depth, mut n) = (0, start);
    while n < text.len() {
        match &text[n..(n + 2).min(text.len())] {
            ['/', '*'] => (depth, n) = (depth + 1, n + 2),
            ['*', '/'] => (depth, n) = (depth - 1, n + 2),
            _ => n += 1,
        }
        if depth == 0 {
            return n;
        }
    }
    n
}

/// Behind a raw string whose `#` or `"` is at `start`; nothing where it is none, as in `r#type`.
fn raw_string(text: &[char], start: usize) -> Option<usize> {
    let hashes = text[start..].iter().take_while(|c| **c == '#').count();
    let open = start + hashes;
    if text.get(open) != Some(&'"') {
        return None;
    }
    let closed = |n: &usize| text[*n] == '"' && text[n + 1..].iter().take_while(|c| **c == '#').count() >= hashes;
    Some((open + 1..text.len()).find(closed).map_or(text.len(), |n| n + 1 + hashes))
}

/// Behind a string or character whose quote is at `start`.
fn quoted(text: &[char], start: usize) -> usize {
    let mut n = start + 1;
    while n < text.len() && text[n] != text[start] {
        n += if text[n] == '\\' { 2 } else { 1 };
    }
    n + 1
}

/// The lines, from 1, on which `word` stands in code, with what follows it there.
fn uses<'c>(code: &'c str, word: &'c str) -> impl Iterator<Item = (usize, &'c str)> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).filter_map(move |(at, _)| {
        let (before, after) = (&code[..at], &code[at + word.len()..]);
        let whole = !before.ends_with(part) && !after.starts_with(part);
        whole.then(|| (before.matches('\n').count() + 1, after.trim_start()))
    })
}

fn unsafe_elsewhere(file: &str, source: &str) -> Vec<String> {
    if file.starts_with(UNSAFE_ROOM) {
        return Vec::new();
    }
    uses(&code(source), "unsafe").map(|(line, _)| format!("{file}:{line}: `unsafe` outside of {UNSAFE_ROOM}")).collect()
}

fn not_forbidden(file: &str, source: &str) -> Vec<String> {
    let root = file.starts_with("crates/") && (file.ends_with("/src/lib.rs") || file.ends_with("/src/main.rs"));
    let missing = root && !file.starts_with(UNSAFE_ROOM) && !code(source).contains("#![forbid(unsafe_code)]");
    missing.then(|| format!("{file}: the root of a crate lacks `#![forbid(unsafe_code)]`")).into_iter().collect()
}

fn without_reason(file: &str, source: &str) -> Vec<String> {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let explained = |line: usize| {
        let mut reach = REACH;
        for above in lines[..line - 1].iter().rev() {
            if above.starts_with("// SAFETY:") {
                return true;
            }
            if !above.starts_with("//") {
                reach -= 1;
            }
            if reach == 0 {
                return false;
            }
        }
        false
    };
    let code = code(source);
    let blocks = uses(&code, "unsafe").filter(|(_, after)| after.starts_with('{') || after.starts_with("impl"));
    let bare = blocks.filter(|(line, _)| !explained(*line));
    bare.map(|(line, _)| format!("{file}:{line}: `unsafe` without `// SAFETY:` directly above")).collect()
}

fn too_long(file: &str, source: &str) -> Vec<String> {
    let lines = source.lines().count();
    (lines > LONGEST).then(|| format!("{file}: {lines} lines, and at most {LONGEST} are allowed")).into_iter().collect()
}

#[track_caller]
fn over_the_tree(rule: fn(&str, &str) -> Vec<String>) {
    let files = texts_ending(".rs");
    assert!(files.len() > 100, "the tree is read");
    none(&files.iter().flat_map(|(file, source)| rule(file, source)).collect::<Vec<_>>());
}

#[test]
fn unsafe_stands_in_the_sandbox_only() {
    over_the_tree(unsafe_elsewhere);
}

#[test]
fn every_other_crate_forbids_unsafe() {
    over_the_tree(not_forbidden);
}

#[test]
fn every_unsafe_block_says_why_it_is_sound() {
    over_the_tree(without_reason);
}

#[test]
fn no_rust_file_is_too_long() {
    over_the_tree(too_long);
}

#[test]
fn unsafe_outside_of_the_sandbox_is_found_in_code_only() {
    let sample = r##"
// unsafe { in a comment }
/* unsafe /* nested */ unsafe */
const A: &str = "unsafe { in a string \" still }";
const B: &str = r#"unsafe "quoted" unsafe"#;
const C: (char, &[u8]) = ('"', br"unsafe");
fn unsafe_name<'a>(r#type: &'a str) -> &'a str { r#type }
fn d() { unsafe { e() } }
"##;
    assert_eq!(
        unsafe_elsewhere("crates/policy/src/lib.rs", sample),
        ["crates/policy/src/lib.rs:8: `unsafe` outside of crates/sandbox/"]
    );
    assert_eq!(unsafe_elsewhere("crates/sandbox/src/lib.rs", sample), Vec::<String>::new());
}

#[test]
fn a_crate_root_that_does_not_forbid_unsafe_is_found() {
    assert_eq!(not_forbidden("crates/policy/src/lib.rs", "// #![forbid(unsafe_code)]\n").len(), 1);
    assert_eq!(not_forbidden("crates/policy/src/lib.rs", "#![forbid(unsafe_code)]\n").len(), 0);
    assert_eq!(not_forbidden("crates/policy/src/network.rs", "").len(), 0);
}

#[test]
fn an_unsafe_block_without_a_reason_is_found() {
    let bare = "fn f() {\n    unsafe { g() }\n}\n";
    assert_eq!(without_reason("a.rs", bare), ["a.rs:2: `unsafe` without `// SAFETY:` directly above"]);
    let far = format!("// SAFETY: far away.\n{}unsafe {{ g() }}\n", "let a = 1;\n".repeat(REACH));
    assert_eq!(without_reason("a.rs", &far).len(), 1);
    let near = "// SAFETY: a reason\n// of two lines.\nlet a = h(unsafe { g() });\n";
    assert_eq!(without_reason("a.rs", near), Vec::<String>::new());
}

#[test]
fn a_file_that_is_too_long_is_found() {
    assert_eq!(too_long("a.rs", &"\n".repeat(LONGEST)), Vec::<String>::new());
    assert_eq!(too_long("a.rs", &"\n".repeat(LONGEST + 1)), ["a.rs: 801 lines, and at most 800 are allowed"]);
}
