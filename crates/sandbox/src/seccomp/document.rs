//! The reference page, made from the profile.

use std::fmt::Write as _;

use super::profile;
use super::rule::{Case, Decision, Outcome};

/// `docs/reference/seccomp.md`, whole.
pub fn document() -> String {
    let mut page = String::from(HEAD);
    for chapter in profile::CHAPTERS {
        page += &format!("\n## {}\n\n{}\n\n| calls | answer | why |\n|---|---|---|\n", chapter.title, chapter.about);
        for rule in chapter.rules {
            let calls: Vec<String> = rule.calls.iter().map(|call| format!("`{}`", call.name())).collect();
            let mut answer = describe(&rule.decision);
            if let Some(standard) = &rule.standard {
                let _ = write!(answer, ". In `standard`: {}", describe(standard));
            }
            page += &format!("| {} | {answer} | {} |\n", calls.join(" "), rule.why);
        }
    }
    page
}

const HEAD: &str = "\
# System calls of a cell

This page is made from the profile in `crates/sandbox/src/seccomp/profile/`; a test compares the two.
`UPDATE_DOCS=1 cargo test -p nanoclaw-sandbox the_reference_page_is_the_profile` writes it anew.

One BPF filter is installed by a cell's first process and inherited by all others. It ends a process that calls in
another ABI (32-bit, x32), and answers every other call in one of five ways:

- **allowed**: the kernel runs it. Where this does not depend on arguments, the filter costs nothing.
- **asked**: the thread waits while NanoClaw writes the call down and answers: go on, or an error. An error is final.
  After \"go on\" the kernel looks at the arguments again, so mounts, permissions and Landlock are the wall, and the
  question makes the record.
- **refused**: NanoClaw writes the call down and answers `EPERM`.
- an error such as `ENOSYS`, at once and without a record: programs take it for an older kernel and fall back.
- calls that are not on this page answer `ENOSYS`.

If NanoClaw's control plane is gone, what would be asked or refused answers `ENOSYS`. No second listener can be
installed (`EBUSY`). Only the low 32 bits of a number are compared, as in the kernel, which cuts each of them to
that or less.
";

fn describe(decision: &Decision) -> String {
    match decision {
        Decision::Always(Outcome::Allow) => "allowed".to_owned(),
        Decision::Always(Outcome::Ask) => "asked".to_owned(),
        Decision::Always(Outcome::Refuse) => "**refused**".to_owned(),
        Decision::Always(Outcome::Errno(errno)) => format!("`{}`", errno_name(*errno)),
        Decision::Match { what, cases, otherwise, .. } => {
            let cases: Vec<String> = cases.iter().map(describe_case).collect();
            format!("by {what}: {}; else {}", cases.join("; "), describe(otherwise))
        }
        Decision::AnyBit { what, yes, no, .. } => format!("with {what}: {}; else {}", nested(yes), describe(no)),
        Decision::Null { what, yes, no, .. } => format!("without {what}: {}; else {}", nested(yes), describe(no)),
    }
}

fn describe_case(case: &Case) -> String {
    let names: Vec<String> = case.values.iter().map(|(name, _)| format!("`{name}`")).collect();
    format!("{} {}", names.join(" "), nested(&case.then))
}

fn nested(decision: &Decision) -> String {
    match decision {
        Decision::Always(_) => describe(decision),
        _ => format!("({})", describe(decision)),
    }
}

fn errno_name(errno: u16) -> String {
    match i32::from(errno) {
        libc::ENOSYS => "ENOSYS".to_owned(),
        libc::EINVAL => "EINVAL".to_owned(),
        libc::ENOENT => "ENOENT".to_owned(),
        other => other.to_string(),
    }
}
