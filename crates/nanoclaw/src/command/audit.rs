//! `nanoclaw audit`: read the log, check it, and prove what stands in it.

mod query;
mod verify;
mod witness;

use std::collections::VecDeque;
use std::io::{ErrorKind, StdoutLock, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use hyper::Method;
use nanoclaw_audit::{Filter, ReadError, Reader, ResultKind};
use nanoclaw_tlog::bundle::seq;

use crate::cli::{Audit, Tail};
use crate::output::{self, Failure};
use crate::remote::{Client, RemoteError, query};

/// How long to wait before a stream that broke off is taken up again.
const PAUSE: Duration = Duration::from_secs(2);
/// Most attempts in a row to take it up.
const MOST_ATTEMPTS: usize = 30;

/// Does what is asked with the log on this machine.
pub fn main(state_dir: Option<&Path>, arguments: &Audit) -> Result<ExitCode, Failure> {
    match arguments {
        Audit::Tail(tail) => print(state_dir, tail),
        Audit::Query(asked) => query::query(state_dir, asked),
        Audit::Report(asked) => query::report(state_dir, asked),
        Audit::Export(asked) => query::export(state_dir, asked),
        Audit::Verify(verify) => verify::verify(state_dir, verify),
        Audit::Prove(prove) => verify::prove(state_dir, prove),
        Audit::Witness(witness) => witness::serve(witness),
        Audit::Cosign(cosign) => witness::cosign(state_dir, cosign),
    }
}

fn print(state_dir: Option<&Path>, tail: &Tail) -> Result<ExitCode, Failure> {
    let state = super::fleet(state_dir)?;
    let result = tail.result.as_deref().map(str::parse::<ResultKind>).transpose()?;
    let mut reader = Reader::open(&state.audit(), Filter { agent: tail.agent.clone(), result })?;
    let mut stdout = std::io::stdout().lock();
    if let Some(lines) = tail.lines {
        let mut last = VecDeque::new();
        for record in reader.by_ref() {
            last.push_back(record);
            if last.len() > lines {
                last.pop_front();
            }
        }
        show(&mut stdout, last, tail.json)?;
    }
    reader.set_follow(tail.follow);
    show(&mut stdout, reader, tail.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the records of a fleet elsewhere.
pub fn over(client: &Client, tail: &Tail) -> Result<ExitCode, Failure> {
    let result = tail.result.as_deref().map(str::parse::<ResultKind>).transpose()?;
    let filter = Filter { agent: tail.agent.clone(), result };
    let agent = tail.agent.as_ref().map(|agent| format!("&agent={}", query(agent))).unwrap_or_default();
    let of_result = result.map(|result| format!("&result={result}")).unwrap_or_default();
    let mut page = Some(format!("/v1/audit?limit=1000{agent}{of_result}"));
    let mut last = VecDeque::new();
    let mut seen = 0;
    let mut stdout = std::io::stdout().lock();
    while let Some(path) = page {
        let answer = client.text(&path)?;
        for record in answer.text.lines() {
            seen = seq(record.as_bytes()).unwrap_or(seen).max(seen);
            last.push_back(Ok(record.to_owned()));
            if tail.lines.is_some_and(|lines| last.len() > lines) {
                last.pop_front();
            }
        }
        if tail.lines.is_none() {
            show(&mut stdout, last.drain(..), tail.json)?;
        }
        page = answer.next;
    }
    show(&mut stdout, last, tail.json)?;
    if tail.follow {
        client.block_on(follow(client, &filter, &agent, seen, &mut stdout, tail.json))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints what is written behind a record, as it comes. A stream that breaks off is taken up where it was.
async fn follow(
    client: &Client,
    filter: &Filter,
    agent: &str,
    mut seen: u64,
    stdout: &mut StdoutLock<'_>,
    json: bool,
) -> Result<(), Failure> {
    let mut attempts = 0;
    loop {
        let ended: RemoteError =
            match client.stream(Method::GET, &format!("/v1/events?after={seen}{agent}"), None).await {
                Ok(mut stream) => loop {
                    match stream.next().await {
                        Ok(Some(told)) => {
                            attempts = 0;
                            seen = told.id.unwrap_or(seen);
                            if filter.wants(&told.data) {
                                show(stdout, [Ok(told.data)], json)?;
                            }
                        }
                        Ok(None) => break RemoteError::Broken { server: client.title(), why: "it ended".to_owned() },
                        Err(error) => break error,
                    }
                },
                Err(error) => error,
            };
        attempts += 1;
        if !ended.may_pass() || attempts > MOST_ATTEMPTS {
            return Err(ended.into());
        }
        output::notice(ended);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Prints until there are no more records, or nobody reads.
fn show(
    stdout: &mut StdoutLock<'_>,
    records: impl IntoIterator<Item = Result<String, ReadError>>,
    json: bool,
) -> std::io::Result<()> {
    for record in records {
        let line = match record {
            Ok(line) if json => line,
            Ok(line) => nanoclaw_audit::render(&line),
            Err(error) => {
                output::notice(error);
                continue;
            }
        };
        match writeln!(stdout, "{line}") {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
            written => written?,
        }
    }
    Ok(())
}
