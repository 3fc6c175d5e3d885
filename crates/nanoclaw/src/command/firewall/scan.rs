//! `nanoclaw firewall scan`: judge what stands on standard input.

use std::borrow::Cow;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use nanoclaw_firewall::{Firewall, Verdict};
use nanoclaw_server::say;
use serde::Deserialize;
use serde_json::Value;

use super::batches::{self, Batch, Lines};
use super::{MAX_TEXT, MISSED, answer};
use crate::cli::{self, Scan};
use crate::output::{self, FAILED, Failure};

/// Most lines that could not be read and are told of one by one; the rest is counted.
const MOST_TOLD: u64 = 20;

/// Judges standard input.
pub(super) fn main(scan: &Scan) -> Result<ExitCode, Failure> {
    let firewall = super::firewall(scan.config.as_deref())?;
    if !scan.jsonl {
        let bytes = super::read(Path::new("-"), MAX_TEXT)?;
        let mut out = Vec::new();
        let text = String::from_utf8_lossy(&bytes);
        let worst = answer::write(&mut out, &firewall, (scan.channel, scan.offsets), &text, None)?;
        output::data(&out);
        return Ok(status(scan, worst, 0));
    }
    let (mut worst, mut unread) = (Verdict::Allow, 0);
    let work = |batch| Judged::of(batch, &firewall, scan);
    let read = batches::run(io::stdin(), MAX_TEXT, work, |judged: Judged| {
        output::data(&judged.out);
        worst = worst.max(judged.worst);
        for (line, error) in judged.errors {
            unread += 1;
            if unread <= MOST_TOLD {
                say(format_args!("error: line {line}: {error}"));
            }
        }
        !output::unread() || scan.fail_on.is_some()
    });
    if unread > MOST_TOLD {
        say(format_args!("error: {unread} lines could not be read, {} of them not shown", unread - MOST_TOLD));
    }
    read.map_err(|error| output::unreadable(Path::new("-"), &error))?;
    Ok(status(scan, worst, unread))
}

fn status(scan: &Scan, worst: Verdict, unread: u64) -> ExitCode {
    match scan.fail_on {
        _ if unread > 0 => ExitCode::from(FAILED),
        Some(limit) if worst >= limit => ExitCode::from(MISSED),
        _ => ExitCode::SUCCESS,
    }
}

/// What came of some lines.
struct Judged {
    /// What is printed, a line for each of them that is not blank.
    out: Vec<u8>,
    worst: Verdict,
    /// Those that could not be read, by their numbers.
    errors: Vec<(u64, String)>,
}

impl Judged {
    fn of(batch: Batch, firewall: &Firewall, scan: &Scan) -> Self {
        let mut judged = Self { out: Vec::new(), worst: Verdict::Allow, errors: Vec::new() };
        let bytes = match batch.lines {
            Lines::Whole(bytes) => bytes,
            Lines::TooLong => {
                judged.error(batch.first, format!("is longer than {MAX_TEXT} bytes; give the text in parts"));
                return judged;
            }
        };
        for (number, line) in (batch.first..).zip(bytes.split(|byte| *byte == b'\n')) {
            if line.trim_ascii().is_empty() {
                continue;
            }
            match judged.line(line, firewall, scan) {
                Ok(verdict) => judged.worst = judged.worst.max(verdict),
                Err(error) => judged.error(number, error),
            }
        }
        judged
    }

    fn line(&mut self, line: &[u8], firewall: &Firewall, scan: &Scan) -> Result<Verdict, String> {
        let line = String::from_utf8_lossy(line);
        let mended;
        let asked = match Asked::read(&line) {
            Ok(asked) => asked,
            Err(error) => {
                mended = mend(&line).ok_or(error)?;
                Asked::read(&mended)?
            }
        };
        let channel = match asked.channel {
            None => scan.channel,
            Some(name) => cli::channel(&name).map_err(|help| format!("`{name}` is no channel; {help}"))?,
        };
        let written = answer::write(&mut self.out, firewall, (channel, scan.offsets), &asked.text, asked.id.as_ref());
        written.map_err(|error| error.to_string())
    }

    /// Says so in the place of the verdict too, so that whoever counts lines stays in step.
    fn error(&mut self, line: u64, error: String) {
        self.out.extend_from_slice(serde_json::json!({ "line": line, "error": error }).to_string().as_bytes());
        self.out.push(b'\n');
        self.errors.push((line, error));
    }
}

/// One line of input. Other keys mean nothing.
#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
    channel: Option<String>,
    id: Option<Value>,
}

impl<'a> Asked<'a> {
    fn read(line: &'a str) -> Result<Self, String> {
        if !line.trim_start().starts_with('{') {
            return Err("is no JSON object; write `{\"text\": \"…\"}`".to_owned());
        }
        serde_json::from_str(line).map_err(|error| {
            let said = error.to_string();
            let what = said.rsplit_once(" at line ").map_or(said.as_str(), |(what, _)| what);
            format!("{what} (column {}); write `{{\"text\": \"…\"}}`", error.column())
        })
    }
}

/// The line with U+FFFD in place of each half of a surrogate pair that stands alone, which some programs write as `\ud800`
/// and which is no character. Nothing if there is none.
fn mend(line: &str) -> Option<String> {
    let mut out = String::with_capacity(line.len());
    let (mut rest, mut mended) = (line, false);
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at_checked(at)?;
        out.push_str(before);
        let length = match (unit(escape), escape.get(6..).and_then(unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                out.push_str("\\ufffd");
                mended = true;
                rest = escape.get(6..)?;
                continue;
            }
            // The character behind the backslash may be another one.
            _ => 1 + escape.get(1..)?.chars().next().map_or(0, char::len_utf8),
        };
        out.push_str(escape.get(..length)?);
        rest = escape.get(length..)?;
    }
    out.push_str(rest);
    mended.then_some(out)
}

/// The number that `\uXXXX` at the beginning of a text stands for.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_pairs_that_stand_alone_are_mended() {
        let mended = |line| mend(line).map(|line| Asked::read(&line).unwrap().text.into_owned());
        assert_eq!(mended(r#"{"text":"a\ud800b\udc00c"}"#).unwrap(), "a\u{fffd}b\u{fffd}c");
        assert_eq!(
            mended(r#"{"text":"\ud83d\ude00 \\ud800 \ud800\ud800\udc00"}"#).unwrap(),
            "😀 \\ud800 \u{fffd}\u{10000}"
        );
        assert_eq!(mended(r#"{"text":"\ud83d\ude00 \\ud800"}"#), None);
        assert_eq!(mend("{\"text\":\"\\"), None);
        assert_eq!(mend("{\"text\":\"\\ué\\u12é4\\ud8"), None);
    }

    #[test]
    fn what_is_no_question_is_an_error_that_says_what_to_write() {
        for line in ["[\"text\"]", "{\"text\":1}", "{}", "{\"text\":\"a\"", "{\"text\":\"a\",\"text\":\"b\"}", "null"] {
            let error = Asked::read(line).map(|asked| asked.text).unwrap_err();
            assert!(error.contains("write `{\"text\": \"…\"}`") && !error.contains("line"), "{error}");
        }
        let asked = Asked::read(" {\"x\":[{}],\"text\":\"a\\n\",\"channel\":null,\"id\":\"7\"}").unwrap();
        assert_eq!((&*asked.text, asked.channel, asked.id), ("a\n", None, Some(Value::from("7"))));
    }
}
