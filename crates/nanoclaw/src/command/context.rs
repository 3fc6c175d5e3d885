//! `nanoclaw context`: servers elsewhere.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::process::ExitCode;

use nanoclaw_vault::Secret;
use serde_json::json;

use crate::cli::Context as Arguments;
use crate::output::{self, FAILED, Failure};
use crate::remote::{Context, Invited, enrol, fingerprint, same_fingerprint};
use crate::terminal::visible;

/// Longest line that is read from standard input, in bytes.
const LONGEST_LINE: u64 = 64 * 1024;

/// Adds, lists, shows or forgets servers.
pub fn main(arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments {
        Arguments::Add { name, url, token, ca_fingerprint } => add(&name, &url, token, ca_fingerprint.as_deref()),
        Arguments::Ls { json } => list(json),
        Arguments::Rm { name } => {
            Context::remove(&name)?;
            Ok(ExitCode::SUCCESS)
        }
        Arguments::Show { name } => show(&Context::open(&name)?),
        Arguments::Token { name, remove } => {
            let context = Context::open(&name)?;
            let token = if remove { None } else { Some(secret(line_of_input()?, "the token")?) };
            context.keep_token(token.as_ref())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn add(name: &str, url: &str, token: String, expected: Option<&str>) -> Result<ExitCode, Failure> {
    let token = if token == "-" { asked("invitation")? } else { token };
    let token = secret(token, "the invitation")?;
    let made = enrol(&Invited { name, url, token: &token }, |print| believes(url, print, expected))?;
    let Some(context) = made else {
        return Err(Failure::with_status("not enrolled; the invitation was not sent, and is still good", FAILED));
    };
    output::line(format_args!(
        "enrolled as {} until {}; `nanoclaw --context {name} ps` lists the agents",
        visible(&context.facts.operator),
        context.facts.not_after
    ));
    Ok(ExitCode::SUCCESS)
}

/// Whether the authority with this fingerprint is the one that was meant.
fn believes(url: &str, print: &str, expected: Option<&str>) -> Result<bool, Failure> {
    if let Some(expected) = expected {
        if same_fingerprint(expected, print) {
            return Ok(true);
        }
        let message = format!(
            "the authority of `{}` has the fingerprint sha256:{print}, and not the one that was given; the invitation \
             was not sent. Ask whoever invited you for the right address and fingerprint: somebody may be in between",
            visible(url)
        );
        return Err(Failure::with_status(message, FAILED));
    }
    let (stdin, stderr) = (io::stdin(), io::stderr());
    if !stdin.is_terminal() || !stderr.is_terminal() {
        let message = "nobody is there to compare the fingerprint of the server's authority; add \
                       `--ca-fingerprint sha256:HEX`, which came with the invitation";
        return Err(Failure::with_status(message, FAILED));
    }
    writeln!(stderr.lock(), "the authority of {} has the fingerprint\n  sha256:{print}", visible(url))?;
    write!(stderr.lock(), "is it the one that came with the invitation? [y/N] ")?;
    let mut typed = String::new();
    stdin.lock().take(64).read_line(&mut typed)?;
    Ok(matches!(typed.trim(), "y" | "Y" | "yes"))
}

fn list(json: bool) -> Result<ExitCode, Failure> {
    let (mut rows, mut bad) = (Vec::new(), 0);
    for context in Context::all()? {
        match context {
            Ok(context) => rows.push(context),
            Err(error) => {
                output::notice(error);
                bad += 1;
            }
        }
    }
    let width = rows.iter().map(|context| context.name.len()).max().unwrap_or_default().max(7);
    if !json && !rows.is_empty() {
        output::line(format_args!("{:width$}  {:16}  {:30}  SERVER", "CONTEXT", "OPERATOR", "UNTIL"));
    }
    for Context { name, facts, .. } in &rows {
        if json {
            output::line(
                json!({ "name": name, "server": facts.server, "operator": facts.operator, "not_after": facts.not_after }),
            );
        } else {
            let until = facts.not_after.to_string();
            output::line(format_args!(
                "{name:width$}  {:16}  {until:30}  {}",
                visible(&facts.operator),
                visible(&facts.server)
            ));
        }
    }
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn show(context: &Context) -> Result<ExitCode, Failure> {
    let authority = fingerprint(&context.authority()?).map_err(|why| Failure::with_status(why, FAILED))?;
    let token = if context.has_token() { "the certificate, and a token on top of it" } else { "the certificate" };
    let facts = &context.facts;
    output::line(visible(&format!(
        "context      {}\nserver       {}\noperator     {}\ncertificate  {}, until {}\nauthority    sha256:{authority}\nuses         {token}\ndirectory    {}",
        context.name,
        facts.server,
        facts.operator,
        facts.serial,
        facts.not_after,
        context.directory.display()
    )));
    Ok(ExitCode::SUCCESS)
}

/// A line of standard input, without its end.
pub(super) fn line_of_input() -> Result<String, Failure> {
    let mut text = String::new();
    io::stdin().lock().take(LONGEST_LINE).read_line(&mut text)?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text)
}

/// The same, asked for where somebody is there to be asked.
fn asked(what: &str) -> Result<String, Failure> {
    let stderr = io::stderr();
    if io::stdin().is_terminal() && stderr.is_terminal() {
        write!(stderr.lock(), "{what}: ")?;
    }
    line_of_input()
}

fn secret(text: String, what: &str) -> Result<Secret, Failure> {
    let message = || format!("{what} is empty, or holds what no token does; copy all of it and nothing else");
    Secret::new(text).ok_or_else(|| Failure::with_status(message(), FAILED))
}
