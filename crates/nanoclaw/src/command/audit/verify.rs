//! `nanoclaw audit verify` and `nanoclaw audit prove`.

use std::path::Path;
use std::process::ExitCode;

use jiff::Timestamp;
use nanoclaw_tlog::proof::Proof;
use nanoclaw_tlog::verify::{Report, Trust, Vouched, directory};
use serde_json::{Value, json};

use crate::cli::{ProveRecord, VerifyLog};
use crate::output::{self, Failure};
use crate::terminal::visible;

/// Ends with 1 where something was changed.
pub fn verify(state_dir: Option<&Path>, arguments: &VerifyLog) -> Result<ExitCode, Failure> {
    let place = match &arguments.directory {
        Some(directory) => directory.clone(),
        None => super::super::fleet(state_dir)?.audit(),
    };
    let trust = Trust::read(&arguments.keys, &arguments.witnesses, &arguments.checkpoints)?;
    let report = directory(&place, &trust);
    if arguments.json {
        output::line(as_json(&report));
    } else {
        for line in report.to_string().lines() {
            output::line(visible(line));
        }
    }
    if report.own_keys && trust.held.is_empty() {
        output::notice(
            "nothing was held elsewhere: whoever could write to the log and to its keys could have made another one; keep \
             copies of `log.vkey` and `checkpoint` where they could not, and name them with `--key` and `--checkpoint`",
        );
    }
    Ok(ExitCode::from(u8::from(!report.is_clean())))
}

fn as_json(report: &Report) -> Value {
    let time = |seconds: u64| Timestamp::from_second(i64::try_from(seconds).ok()?).ok().map(|time| time.to_string());
    let witness = |Vouched { name, size, time: at }: &Vouched| json!({ "name": name, "records": size, "time": at.and_then(time) });
    json!({
        "clean": report.is_clean(),
        "log": report.checkpoint.as_ref().map(|checkpoint| &checkpoint.origin),
        "records": report.checkpoint.as_ref().map(|checkpoint| checkpoint.size),
        "own_keys": report.own_keys,
        "held": report.held,
        "witnesses": report.witnesses.iter().map(witness).collect::<Vec<_>>(),
        "lines": report.lines,
        "unsealed": report.unsealed,
        "archived": report.archived,
        "findings": report.findings.iter().map(|finding| json!({ "place": finding.place, "problem": finding.problem })).collect::<Vec<_>>(),
        "more": report.more,
    })
}

/// Writes the proof that a record is in the log.
pub fn prove(state_dir: Option<&Path>, arguments: &ProveRecord) -> Result<ExitCode, Failure> {
    let proof = Proof::find(&super::super::fleet(state_dir)?.audit(), arguments.seq)?.to_string();
    match &arguments.output {
        Some(file) => std::fs::write(file, proof)
            .map_err(|error| Failure::with_status(format!("`{}`: {error}", file.display()), output::FAILED))?,
        None => output::data(proof.as_bytes()),
    }
    Ok(ExitCode::SUCCESS)
}
