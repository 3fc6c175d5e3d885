//! `nanoclaw approvals`: what agents may do only if a person agrees, and the answers.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, IsTerminal, Read as _, Write as _};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use nanoclaw_gate::{Answer, Answered, Question};
use nanoclaw_request::json::strict;
use nanoclaw_sandbox::wire;
use nanoclaw_server::control::{Client, Reply, Request};
use nanoclaw_server::state::State;
use serde_json::json;
use unicode_width::UnicodeWidthChar as _;

use crate::cli::{Approval, Approvals};
use crate::output::{self, FAILED, Failure};
use crate::remote::{self, part};
use crate::terminal::{Look, json as json_line, line, visible};

/// The exit status of a question that was shown and not answered.
const NOT_ANSWERED: u8 = 1;
/// Longest file with arguments in bytes; the fleet takes fewer.
const LONGEST_FILE: u64 = 1024 * 1024;
/// Longest line that is typed in bytes.
const LONGEST_LINE: u64 = 4096;
/// How often a fleet elsewhere is asked for what is new.
const LOOK: Duration = Duration::from_secs(3);
/// Widest agent, and action with resource, in the list, in columns.
const WIDEST: [usize; 2] = [24, 48];
/// Columns before the detail of a question.
const INDENT: usize = 12;
/// Narrowest column of the detail.
const NARROWEST: usize = 20;
/// Widest reason there, in columns.
const WIDEST_WHY: usize = 160;

/// Where questions wait.
enum Desk {
    /// In a fleet on this machine.
    Here(State),
    /// Elsewhere.
    There(remote::Client),
}

/// Lists, shows or answers.
pub fn main(state_dir: Option<&Path>, arguments: Approvals) -> Result<ExitCode, Failure> {
    at(&Desk::Here(super::fleet(state_dir)?), arguments)
}

/// The same, of a fleet elsewhere.
pub fn over(client: remote::Client, arguments: Approvals) -> Result<ExitCode, Failure> {
    at(&Desk::There(client), arguments)
}

fn at(desk: &Desk, arguments: Approvals) -> Result<ExitCode, Failure> {
    match arguments.what {
        None if arguments.watch => watch(desk, arguments.json),
        None => list(desk, arguments.json),
        Some(Approval::Show { id, json }) => {
            let question = find(desk, &id)?;
            if json {
                output::line(json_line(&serde_json::to_string(&question)?));
            } else {
                output::line(visible(&shown(&question, columns(&io::stdout()))));
            }
            Ok(ExitCode::SUCCESS)
        }
        Some(Approval::Answer) => answer_each(desk),
        Some(Approval::Approve { id, digest: Some(digest) }) => answer(desk, id, digest, &Answer::Approve),
        Some(Approval::Approve { id, digest: None }) => approve(desk, id),
        Some(Approval::Deny { id, reason }) => {
            let digest = find(desk, &id)?.digest;
            answer(desk, id, digest, &Answer::Deny { reason: reason.unwrap_or_default() })
        }
        Some(Approval::Edit { id, arguments }) => {
            let arguments = match arguments.strip_prefix('@') {
                Some(file) => read(Path::new(file))?,
                None => arguments,
            };
            let digest = find(desk, &id)?.digest;
            answer(desk, id, digest, &Answer::Edit { arguments })
        }
    }
}

impl Desk {
    fn waiting(&self) -> Result<Vec<Question>, Failure> {
        match self {
            Desk::Here(state) => match Client::connect(state)?.ask(&Request::Approvals { watch: false }, &[])? {
                Reply::Questions(questions) => Ok(questions),
                _ => Err(io::Error::from(io::ErrorKind::InvalidData).into()),
            },
            Desk::There(client) => Ok(client.get("/v1/approvals")?),
        }
    }

    fn answer(&self, id: String, digest: String, answer: &Answer) -> Result<Answered, Failure> {
        match self {
            Desk::Here(state) => {
                let memory = wire::to_memory(answer)?;
                match Client::connect(state)?.ask(&Request::Answer { id, digest }, &[memory.as_fd()])? {
                    Reply::Answered(answered) => Ok(answered),
                    _ => Err(io::Error::from(io::ErrorKind::InvalidData).into()),
                }
            }
            Desk::There(client) => {
                let body = match answer {
                    Answer::Approve => json!({ "digest": digest, "answer": "approve" }),
                    Answer::Deny { reason } => json!({ "digest": digest, "answer": "deny", "reason": reason }),
                    Answer::Edit { arguments } => {
                        let arguments = strict(arguments.as_bytes()).ok_or_else(|| {
                            let message = "the new arguments are no JSON, or a key stands there twice";
                            Failure::with_status(message, FAILED)
                        })?;
                        json!({ "digest": digest, "answer": "edit", "arguments": arguments })
                    }
                };
                Ok(client.post(&format!("/v1/approvals/{}", part(&id)?), &body)?)
            }
        }
    }
}

fn find(desk: &Desk, id: &str) -> Result<Question, Failure> {
    let found = desk.waiting()?.into_iter().find(|question| question.id == id);
    found.ok_or_else(|| Failure::with_status(nanoclaw_gate::DeskError::Unknown(id.to_owned()), FAILED))
}

fn list(desk: &Desk, json: bool) -> Result<ExitCode, Failure> {
    let questions = desk.waiting()?;
    let widest = |of: fn(&Question) -> usize| questions.iter().map(of).max().unwrap_or_default();
    let [agent, what] = WIDEST;
    let widths = [
        widest(|question| question.cell.len()).clamp(5, agent),
        widest(|question| question.action.len() + 1 + question.resource.chars().count()).clamp(4, what),
    ];
    if !json && !questions.is_empty() {
        head(widths);
    }
    for question in &questions {
        output::line(row(question, widths, json)?);
    }
    Ok(ExitCode::SUCCESS)
}

/// Goes on until it is interrupted, or the fleet ends.
fn watch(desk: &Desk, json: bool) -> Result<ExitCode, Failure> {
    if !json {
        head(WIDEST);
    }
    match desk {
        Desk::Here(state) => {
            let Reply::Events(events) = Client::connect(state)?.ask(&Request::Approvals { watch: true }, &[])? else {
                return Err(io::Error::from(io::ErrorKind::InvalidData).into());
            };
            for event in BufReader::new(events).lines() {
                output::line(row(&serde_json::from_str(&event?)?, WIDEST, json)?);
                if output::unread() {
                    break;
                }
            }
            Ok(ExitCode::SUCCESS)
        }
        Desk::There(_) => {
            let mut told = BTreeSet::new();
            while !output::unread() {
                let waiting = desk.waiting()?;
                for question in waiting.iter().filter(|question| !told.contains(&question.id)) {
                    output::line(row(question, WIDEST, json)?);
                }
                told = waiting.into_iter().map(|question| question.id).collect();
                std::thread::sleep(LOOK);
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn head([agent, what]: [usize; 2]) {
    output::line(format_args!(
        "{:8}  {:agent$}  {:what$}  {:>8}  {:8}  WHY",
        "ID", "AGENT", "WHAT", "LEFT", "APPROVED"
    ));
}

fn row(question: &Question, [agent, what]: [usize; 2], json: bool) -> Result<String, Failure> {
    if json {
        return Ok(json_line(&serde_json::to_string(question)?).into_owned());
    }
    let mut why = question.why.clone();
    if !question.requesters.is_empty() {
        why.push_str(&format!(" (for {})", question.requesters.join(", ")));
    }
    // One column more, as the last one is for the mark of what is cut.
    Ok(format!(
        "{:8}  {:agent$}  {:what$}  {:>8}  {:8}  {}",
        line(&question.id, 9),
        line(&question.cell, agent + 1),
        line(&format!("{} {}", question.action, question.resource), what + 1),
        left(question),
        format!("{} of {}", question.approved_by.len(), question.needs),
        line(&why, WIDEST_WHY),
    ))
}

fn left(question: &Question) -> String {
    let seconds = question.expires_at.as_second().saturating_sub(Timestamp::now().as_second()).max(0);
    match seconds {
        3600.. => format!("{}h {}m", seconds / 3600, seconds % 3600 / 60),
        60.. => format!("{}m {}s", seconds / 60, seconds % 60),
        _ => format!("{seconds}s"),
    }
}

/// How wide what stands behind a stream is; nobody knows of what is no terminal.
fn columns(stream: &(impl IsTerminal + AsFd)) -> usize {
    let look = Look::of(stream);
    if look.terminal { look.columns } else { usize::MAX }
}

/// `text` in lines that fit, each after the first marked: what a terminal breaks by itself could look like a line of its
/// own.
fn folded(text: &str, columns: usize) -> String {
    let (mut out, mut used) = (String::new(), 0);
    for c in text.chars() {
        let width = c.width().unwrap_or(0);
        if used + width > columns.max(NARROWEST) {
            out.push_str("\n          … ");
            used = 0;
        }
        used += width;
        out.push(c);
    }
    out
}

/// All of a question; the detail has lines of its own.
fn shown(question: &Question, columns: usize) -> String {
    let or_nobody = |names: &[String]| if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
    let columns = columns.saturating_sub(INDENT);
    let lines = question.detail.lines().map(|line| format!("\n            {}", folded(line, columns)));
    let detail: String = lines.collect();
    let Question { id, digest, cell, action, resource, why, policies, needs, approved_by, requesters, .. } = question;
    format!(
        "question    {id}
agent       {cell}
what        {action} {resource}{detail}
why         {why}
policies    {}
asked for   by {}
approved    by {}; {} of {needs}
time left   {}
digest      {digest}",
        policies.join(", "),
        or_nobody(requesters),
        or_nobody(approved_by),
        approved_by.len(),
        left(question),
    )
}

/// Shows it and asks.
fn approve(desk: &Desk, id: String) -> Result<ExitCode, Failure> {
    let question = find(desk, &id)?;
    if !attended() {
        let message = format!(
            "nobody is there to be shown what question `{id}` is about; read it with `nanoclaw approvals show {id}`, \
             and add `--digest` with its digest"
        );
        return Err(Failure::with_status(message, FAILED));
    }
    if !matches!(asked(&question, "approve? [y/N] ")?.as_str(), "y" | "Y" | "yes") {
        output::line("not answered");
        return Ok(ExitCode::from(NOT_ANSWERED));
    }
    answer(desk, id, question.digest, &Answer::Approve)
}

/// Shows what waits, one question after the other, and asks for the answers.
fn answer_each(desk: &Desk) -> Result<ExitCode, Failure> {
    if !attended() {
        let message =
            "nobody is there to be asked; `nanoclaw approvals` lists what waits, and `approve` takes a `--digest`";
        return Err(Failure::with_status(message, FAILED));
    }
    let mut seen = BTreeSet::new();
    while let Some(question) = desk.waiting()?.into_iter().find(|question| !seen.contains(&question.id)) {
        seen.insert(question.id.clone());
        let said = match asked(&question, "approve? [y]es, [d]eny, [q]uit, anything else leaves it: ")?.as_str() {
            "y" | "yes" => Answer::Approve,
            "d" | "deny" => Answer::Deny { reason: prompted("why, for the agent and the log: ")? },
            "q" | "quit" => return Ok(ExitCode::SUCCESS),
            _ => continue,
        };
        // One that is over, or that somebody else must answer, is no reason to leave the others.
        if let Err(error) = answer(desk, question.id, question.digest, &said) {
            error.report();
        }
    }
    output::line("nothing else waits");
    Ok(ExitCode::SUCCESS)
}

/// Whether a person is there, who sees what is shown.
fn attended() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// What a person types who is shown all of a question.
fn asked(question: &Question, prompt: &str) -> Result<String, Failure> {
    let stderr = io::stderr();
    writeln!(stderr.lock(), "{}", visible(&shown(question, columns(&stderr))))?;
    prompted(prompt)
}

fn prompted(prompt: &str) -> Result<String, Failure> {
    write!(io::stderr().lock(), "{prompt}")?;
    let mut typed = String::new();
    io::stdin().lock().take(LONGEST_LINE).read_line(&mut typed)?;
    Ok(typed.trim().to_owned())
}

fn answer(desk: &Desk, id: String, digest: String, answer: &Answer) -> Result<ExitCode, Failure> {
    let answered = desk.answer(id, digest, answer)?;
    output::line(match answered {
        Answered::Approved => "approved".to_owned(),
        Answered::Counted { missing } => format!("counted; {missing} more must approve"),
        Answered::Denied => "denied".to_owned(),
        Answered::Edited => "changed; the agent was told, and may make the call so once".to_owned(),
    });
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST_FILE).read_to_string(&mut text));
    match read {
        Ok(_) => Ok(text),
        Err(error) => Err(output::unreadable(path, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_an_argument_looks_like_another_line() {
        let forged = format!("\"a\": \"{}”to”: ”friend”\"", "x".repeat(24));
        assert_eq!(folded(&forged, 30), format!("\"a\": \"{}\n          … ”to”: ”friend”\"", "x".repeat(24)));
        assert_eq!(folded("漢字漢字漢字漢字漢字漢字", 21), "漢字漢字漢字漢字漢字\n          … 漢字");
        assert_eq!(folded(&forged, usize::MAX), forged);
    }
}
