//! Records on their way to a sink.

use std::borrow::Cow;
use std::path::Path;

use jiff::Timestamp;
use nanoclaw_audit::ocsf;
use nanoclaw_config::RecordFormat;
use nanoclaw_tlog::canonical::canonical;
use nanoclaw_tlog::checkpoint::Checkpoint;
use nanoclaw_tlog::merkle::leaf_hash;
use nanoclaw_tlog::note::SignedNote;
use nanoclaw_tlog::verify::CHECKPOINT;
use nanoclaw_vault::digest::hex;
use serde::Deserialize;

/// A record and what sinks ask about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) seq: u64,
    pub(crate) timestamp: Timestamp,
    pub(crate) agent: String,
    pub(crate) action: String,
    pub(crate) result: String,
    pub(crate) severity: String,
    /// The hash by which the tree knows it, in hexadecimal: the same wherever and however often it is sent.
    pub(crate) hash: String,
    /// A JSON object without line breaks, in the format of the sink.
    pub(crate) line: String,
}

#[derive(Deserialize)]
struct Seen<'a> {
    seq: u64,
    timestamp: Timestamp,
    #[serde(borrow)]
    agent_id: Cow<'a, str>,
    #[serde(borrow)]
    action: Cow<'a, str>,
    #[serde(borrow)]
    result: Cow<'a, str>,
    #[serde(borrow, default)]
    severity: Cow<'a, str>,
}

impl Record {
    /// A line of the log; `None` where it is no record.
    pub(crate) fn read(line: String, format: RecordFormat, host: &str) -> Option<Self> {
        let seen: Seen<'_> = serde_json::from_str(&line).ok()?;
        let hash = hex(&leaf_hash(&canonical(line.as_bytes()).ok()?));
        let Seen { seq, timestamp, agent_id, action, result, severity } = seen;
        let [agent, action, result, severity] = [agent_id, action, result, severity].map(Cow::into_owned);
        let line = match format {
            RecordFormat::Nanoclaw => line,
            RecordFormat::Ocsf => ocsf(&line, host)?,
        };
        Some(Self { seq, timestamp, agent, action, result, severity, hash, line })
    }
}

/// How many records the newest checkpoint of a log counts; 0 where there is none yet.
pub(crate) fn sealed(log: &Path) -> u64 {
    let note = std::fs::read_to_string(log.join(CHECKPOINT)).ok().and_then(|text| text.parse::<SignedNote>().ok());
    note.and_then(|note| note.text.parse::<Checkpoint>().ok()).map_or(0, |checkpoint| checkpoint.size)
}
