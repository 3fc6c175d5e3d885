//! `nanoclaw policy learn`: rules that would have allowed what an agent was refused, for a person to accept.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use nanoclaw_audit::{Filter, Reader, ResultKind};
use nanoclaw_request::CellId;
use nanoclaw_server::learn::{Kind, Sources, learn};

use super::{Loaded, failed};
use crate::output::{self, Failure};

/// What to learn from.
pub struct Question<'a> {
    /// The configuration.
    pub config: &'a Path,
    /// The agent.
    pub agent: &'a CellId,
    /// The first record.
    pub since: u64,
    /// The kinds of actions; all where it is empty.
    pub kinds: &'a [Kind],
    /// Where to write; else standard output.
    pub output: Option<&'a Path>,
}

/// Proposes.
pub fn main(state_dir: Option<&Path>, question: &Question<'_>) -> Result<ExitCode, Failure> {
    let loaded = Loaded::load(question.config)?;
    let agent = loaded.agent(question.agent.as_str()).map_err(failed)?;
    let state = super::super::fleet(state_dir)?;
    let filter = Filter { agent: Some(agent.id.to_string()), result: Some(ResultKind::Denied) };
    let records = Reader::open_behind(&state.audit(), filter, question.since.saturating_sub(1))?;
    let sources =
        Sources { config: &loaded.config, written: Arc::clone(&loaded.written), agent, kinds: question.kinds };
    let proposal = learn(&sources, records)?;
    match question.output {
        None => output::line(proposal.to_string().trim_end()),
        Some(path) => {
            let mut file = File::create_new(path).map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists => failed(format_args!(
                    "`{}` is there already; name another file with `--output`, or move it away",
                    path.display()
                )),
                _ => failed(format_args!("`{}`: {error}", path.display())),
            })?;
            file.write_all(proposal.to_string().as_bytes())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
