//! No text makes the reader panic, hang, or point outside of the file.

use std::path::Path;

use nanoclaw_config::{Agent, AgentKind, parse};

const EXAMPLES: [&str; 6] = [
    include_str!("data/seed.yaml"),
    include_str!("data/full.yaml"),
    include_str!("data/models.yaml"),
    include_str!("data/labels.yaml"),
    include_str!("data/audit.yaml"),
    include_str!("data/mistakes.txt"),
];

/// Pieces that mean something to YAML or to a value parser.
const PIECES: [&str; 40] = [
    "",
    "\n",
    "\r",
    "\t",
    " ",
    "  ",
    ":",
    ": ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "#",
    "\"",
    "'",
    "&a ",
    "*a",
    "!!str ",
    "|",
    ">",
    "? ",
    "<<",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "\0",
    "\u{feff}",
    "\u{85}",
    "\u{2028}",
    "銀",
    "e\u{301}",
    "\\u",
    "0x",
    "1e999",
    "~",
    "::",
    "/",
    "**.",
];

fn check(text: &str) {
    match parse(text, Path::new("f"), Path::new("/b")) {
        Ok(loaded) => {
            let runs = |agent: &Agent| !matches!(&agent.kind, AgentKind::Command(command) if command.is_empty());
            assert!(loaded.config.agents.iter().all(runs), "{text:?}");
        }
        Err(report) => {
            assert!(!report.mistakes().is_empty(), "{text:?}");
            let lines = text.split(['\n', '\r']).count();
            for mistake in report.mistakes() {
                assert!((1..=lines).contains(&mistake.line) && mistake.column >= 1, "{mistake:?} of {text:?}");
                assert!(!mistake.help.is_empty() && !mistake.message.ends_with('.'), "{mistake:?} of {text:?}");
            }
            let printed = report.to_string();
            assert!(printed.chars().all(|c| c == '\n' || !c.is_control()), "{printed:?}");
        }
    }
}

/// A small xorshift generator: the same sequence in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }
}

fn boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[test]
fn mutated_examples_are_read_or_refused() {
    let mut random = Random(0x5eed);
    for round in 0..6000 {
        let mut text = EXAMPLES[round % EXAMPLES.len()].to_owned();
        if text.len() > 4096 {
            let start = boundary(&text, random.below(text.len() - 1500));
            text = text[start..boundary(&text, start + 1500)].to_owned();
        }
        for _ in 0..=random.below(6) {
            let a = boundary(&text, random.below(text.len() + 1));
            let b = boundary(&text, (a + random.below(12)).min(text.len()));
            let piece = PIECES[random.below(PIECES.len())];
            text.replace_range(a..b, piece);
        }
        check(&text);
    }
}

#[test]
fn truncated_examples_are_read_or_refused() {
    for example in &EXAMPLES[..4] {
        for (end, _) in example.char_indices() {
            check(&example[..end]);
        }
    }
}

/// The parser sees what is missing behind the end of the last line on a line that is not there.
#[test]
fn a_key_without_a_name_at_the_end_is_missed_on_the_last_line() {
    for (text, line) in [("a: 1\n? ", 2), ("a: 1\n\n\n? ", 4)] {
        check(text);
        let report = parse(text, Path::new("f"), Path::new("/b")).unwrap_err();
        let mistakes: Vec<_> = report.mistakes().iter().filter(|m| m.message == "a key must be a text").collect();
        assert_eq!(mistakes.iter().map(|m| m.line).collect::<Vec<_>>(), [line], "{text:?}: {report}");
    }
}

#[test]
fn a_long_run_of_anything_is_read_or_refused() {
    for piece in [
        "[", "{", "- ", "? ", "a: ", "\"", "'", "a", "#", "\n", "\t", "[]\n", "{}, ", "- - -\n", "|\n", "\0", "&a ",
        "*a ", "!", "銀", "a:\n ", "zz: 1\n", ": ",
    ] {
        check(&piece.repeat((1 << 18) / piece.len()));
        check(&format!("allowed_networks: [{}", piece.repeat((1 << 17) / piece.len())));
    }
}

#[test]
fn unfolding_aliases_are_refused_before_they_unfold() {
    let mut text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 0..20 {
        let name = |n: u8| char::from(b'a' + n);
        text.push_str(&format!("{1}: &{1} [{0}]\n", vec![format!("*{}", name(n)); 10].join(","), name(n + 1)));
    }
    let report = parse(&text, Path::new("f"), Path::new("/b")).unwrap_err();
    assert!(report.mistakes().iter().any(|m| m.message == "YAML aliases (`*`) are not used in this file"));
}
