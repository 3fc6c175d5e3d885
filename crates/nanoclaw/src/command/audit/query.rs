//! `nanoclaw audit query`, `nanoclaw audit export` and `nanoclaw audit report`.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jiff::Timestamp;
use nanoclaw_audit::{CSV_HEADER, Query, Report, csv, ocsf, render, search};
use nanoclaw_tlog::verify::{CHECKPOINT, Trust};

use crate::cli::{ExportLog, Format, QueryLog, ReportLog, Wanted};
use crate::output::{self, FAILED, Failure};

fn of(wanted: &Wanted) -> Result<Query, Failure> {
    let Wanted { agent, action, result, text, from, to } = wanted;
    let result = result.as_deref().map(str::parse).transpose()?;
    Ok(Query { agent: agent.clone(), action: action.clone(), result, text: text.clone(), from: *from, to: *to })
}

/// Shows what is found.
pub fn query(state_dir: Option<&Path>, arguments: &QueryLog) -> Result<ExitCode, Failure> {
    let query = of(&arguments.wanted)?;
    let mut left = arguments.lines.unwrap_or(usize::MAX);
    let mut out = BufWriter::new(io::stdout().lock());
    write(state_dir, &query, &mut out, |line, out| {
        left = left.saturating_sub(1);
        if arguments.json {
            writeln!(out, "{line}")?
        } else {
            writeln!(out, "{}", render(line))?
        }
        Ok(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })
}

/// Writes what is found, whole or not at all.
pub fn export(state_dir: Option<&Path>, arguments: &ExportLog) -> Result<ExitCode, Failure> {
    let query = of(&arguments.wanted)?;
    match &arguments.output {
        Some(path) => replace(path, |file| form(state_dir, &query, arguments.format, file)),
        None => form(state_dir, &query, arguments.format, &mut BufWriter::new(io::stdout().lock())),
    }
}

/// Writes a page about what is found, with what came of verifying the log.
pub fn report(state_dir: Option<&Path>, arguments: &ReportLog) -> Result<ExitCode, Failure> {
    let ReportLog { agent, from, to, output } = arguments;
    let directory = super::super::fleet(state_dir)?.audit();
    let query = Query { agent: agent.clone(), from: *from, to: *to, ..Query::default() };
    let mut report = Report::default();
    let _broken = search(&directory, &query, |line| {
        report.add(line);
        ControlFlow::Continue(())
    })?;
    let verified = nanoclaw_tlog::verify::directory(&directory, &Trust::default());
    let checkpoint = std::fs::read_to_string(directory.join(CHECKPOINT)).unwrap_or_default();
    let time = |at: Option<Timestamp>, none: &str| at.map_or_else(|| none.to_owned(), |at| format!("{at:.0}"));
    let about = format!(
        "{}, from {} to {}",
        agent.as_deref().unwrap_or("all agents"),
        time(*from, "the beginning"),
        time(*to, "now")
    );
    let page = report.html(&about, &format!("{:.0}", Timestamp::now()), &verified, &checkpoint);
    replace(output, |file| Ok(file.write_all(page.as_bytes())?))?;
    Ok(ExitCode::from(u8::from(!verified.is_clean())))
}

/// Has a file written, whole or not at all.
fn replace<T>(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> Result<T, Failure>) -> Result<T, Failure> {
    let mut new = path.to_owned().into_os_string();
    new.push(".new");
    let new = PathBuf::from(new);
    let failed = |error: io::Error| Failure::with_status(format!("`{}`: {error}", path.display()), FAILED);
    let mut file = BufWriter::new(File::create(&new).map_err(failed)?);
    let done = write(&mut file).and_then(|done| {
        let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
        file.sync_all().and_then(|()| std::fs::rename(&new, path)).map_err(failed)?;
        Ok(done)
    });
    if done.is_err() {
        // What was there stays; a half one is of no use.
        let _ = std::fs::remove_file(&new);
    }
    done
}

fn form(state_dir: Option<&Path>, query: &Query, format: Format, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if let Format::Csv = format {
        // RFC 4180 has both characters at the end of a row.
        write!(out, "{CSV_HEADER}\r\n")?;
    }
    write(state_dir, query, out, |line, out| {
        match format {
            Format::Jsonl => writeln!(out, "{line}")?,
            Format::Ocsf => ocsf(line, &host).map_or(Ok(()), |event| writeln!(out, "{event}"))?,
            Format::Csv => csv(line).map_or(Ok(()), |row| write!(out, "{row}\r\n"))?,
        }
        Ok(ControlFlow::Continue(()))
    })
}

/// Has each record that is found written, until no more are wanted or nobody reads.
fn write(
    state_dir: Option<&Path>,
    query: &Query,
    out: &mut dyn Write,
    mut one: impl FnMut(&str, &mut dyn Write) -> io::Result<ControlFlow<()>>,
) -> Result<ExitCode, Failure> {
    let mut result = Ok(());
    let broken = search(&super::super::fleet(state_dir)?.audit(), query, |line| match one(line, out) {
        Ok(flow) => flow,
        Err(error) => {
            result = Err(error);
            ControlFlow::Break(())
        }
    })?;
    match result.and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
        written => written?,
    }
    if broken > 0 {
        output::notice(format_args!("{broken} lines are no records; `nanoclaw audit verify` says where"));
    }
    Ok(ExitCode::SUCCESS)
}
