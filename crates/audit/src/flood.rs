//! Live counts, and the folding of floods.
//!
//! Every record that may fold passes a token bucket of its own kind: agent, action, result, code and, for files
//! that were written, top directory. Beyond the bucket it
//! is only counted, and the count becomes one record when the second is over. What is written and what is folded always
//! add up to what happened.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nanoclaw_request::SessionId;
use serde::Serialize;

use crate::record::{Record, ResultKind, Severity, VIOLATION, millis};

/// How many like records are written one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flood {
    /// How many at once.
    pub burst: u32,
    /// How many per second in the long run.
    pub per_second: u32,
}

impl Default for Flood {
    fn default() -> Self {
        Self { burst: 200, per_second: 50 }
    }
}

/// How long folded records may wait for their count to be written.
const PAUSE: Duration = Duration::from_secs(1);

/// How often one agent was allowed and refused something since the recorder was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Allowed.
    pub allowed: u64,
    /// Refused.
    pub refused: u64,
}

/// All like refusals of one agent. There are at most as many of these as there are actions times refusal codes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusalCount {
    /// What was refused, by its stable name.
    pub action: &'static str,
    /// Why, by its stable name.
    pub code: &'static str,
    /// How often.
    pub count: u64,
    /// The first of them.
    pub first: FirstRefusal,
}

/// The first of many like refusals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FirstRefusal {
    /// When it was asked for.
    #[serde(serialize_with = "millis")]
    pub timestamp: Timestamp,
    /// The path, where it was a file action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What it was about, where it was no file action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Why it was refused.
    pub reason: String,
    /// What would allow it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    action: &'static str,
    result: ResultKind,
    code: Option<&'static str>,
    /// The top directory of a file that was written, so that a busy cache in one place does not hide what was done in
    /// another. Only for what was allowed: there are no more such directories than mounts, whereas a cell may try any
    /// number of others.
    place: Option<String>,
}

impl Kind {
    fn of(record: &Record) -> Self {
        let allowed = (record.result == ResultKind::Allowed).then_some(record.path.as_deref()).flatten();
        let place = allowed.and_then(|path| path.split('/').nth(1)).map(|top| format!("/{top}"));
        Self { action: record.action, result: record.result, code: record.code, place }
    }
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn take(&mut self, flood: Flood, now: Instant) -> bool {
        let refill = now.saturating_duration_since(self.at).as_secs_f64() * f64::from(flood.per_second);
        self.tokens = (self.tokens + refill).min(f64::from(flood.burst));
        self.at = now;
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }
}

#[derive(Debug)]
struct Fold {
    count: u64,
    first: Timestamp,
    last: Timestamp,
    session: Option<SessionId>,
    door: Option<&'static str>,
    severity: Severity,
}

#[derive(Debug)]
struct Tally {
    bucket: Bucket,
    count: u64,
    first: Option<FirstRefusal>,
    fold: Option<Fold>,
}

#[derive(Debug, Default)]
struct Agent {
    counters: Counters,
    kinds: HashMap<Kind, Tally>,
}

/// The counts of all agents.
#[derive(Debug)]
pub(crate) struct Tallies {
    flood: Flood,
    agents: HashMap<String, Agent>,
    /// When the counts that wait are to be written.
    due: Option<Instant>,
}

impl Tallies {
    pub(crate) fn new(flood: Flood) -> Self {
        Self { flood, agents: HashMap::new(), due: None }
    }

    /// Counts a record. False when it is folded and must not be written.
    pub(crate) fn admit(&mut self, record: &Record, foldable: bool, now: Instant) -> bool {
        if !self.agents.contains_key(&record.agent_id) {
            self.agents.insert(record.agent_id.clone(), Agent::default());
        }
        let Some(agent) = self.agents.get_mut(&record.agent_id) else { return true };
        match record.result {
            ResultKind::Allowed => agent.counters.allowed += 1,
            ResultKind::Denied => agent.counters.refused += 1,
            ResultKind::Done | ResultKind::Failed | ResultKind::Noted => {}
        }
        let kind = Kind::of(record);
        let full = Bucket { tokens: f64::from(self.flood.burst), at: now };
        let tally = agent.kinds.entry(kind).or_insert_with(|| Tally {
            bucket: full,
            count: 0,
            first: first(record),
            fold: None,
        });
        tally.count += 1;
        if !foldable || tally.bucket.take(self.flood, now) {
            return true;
        }
        let at = record.timestamp;
        let fold = tally.fold.get_or_insert(Fold {
            count: 0,
            first: at,
            last: at,
            session: record.session_id,
            door: record.door,
            severity: record.severity,
        });
        fold.count += 1;
        fold.first = fold.first.min(at);
        fold.last = fold.last.max(at);
        fold.session = record.session_id;
        self.due.get_or_insert(now + PAUSE);
        false
    }

    /// When [`Tallies::unfold`] has something to write that has waited long enough.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// The records of everything that was folded since the last call.
    pub(crate) fn unfold(&mut self) -> Vec<Record> {
        self.due = None;
        let mut records = Vec::new();
        for (agent_id, agent) in &mut self.agents {
            for (kind, tally) in &mut agent.kinds {
                if let Some(fold) = tally.fold.take() {
                    records.push(folded(agent_id, kind, &fold));
                }
            }
        }
        records
    }

    pub(crate) fn counters(&self, agent: &str) -> Counters {
        self.agents.get(agent).map(|agent| agent.counters).unwrap_or_default()
    }

    /// What was refused to `agent`, in the order in which it was first tried.
    pub(crate) fn refusals(&self, agent: &str) -> Vec<RefusalCount> {
        let kinds = self.agents.get(agent).into_iter().flat_map(|agent| &agent.kinds);
        let mut refusals: Vec<RefusalCount> = kinds
            .filter_map(|(kind, tally)| {
                let first = tally.first.clone()?;
                Some(RefusalCount { action: kind.action, code: kind.code?, count: tally.count, first })
            })
            .collect();
        refusals.sort_by_key(|refusal| (refusal.first.timestamp, refusal.action, refusal.code));
        refusals
    }
}

fn first(record: &Record) -> Option<FirstRefusal> {
    (record.result == ResultKind::Denied).then(|| FirstRefusal {
        timestamp: record.timestamp,
        path: record.path.clone(),
        resource: record.resource.clone(),
        reason: record.reason.clone().unwrap_or_default(),
        help: record.help.clone(),
    })
}

fn folded(agent_id: &str, kind: &Kind, fold: &Fold) -> Record {
    let count = fold.count;
    Record {
        reason: (kind.result == ResultKind::Denied).then(|| format!("{VIOLATION}: {count} more like those before it")),
        session_id: fold.session,
        door: fold.door,
        code: kind.code,
        path: kind.place.clone(),
        severity: fold.severity,
        folded: Some(count),
        first: Some(fold.first),
        last: Some(fold.last),
        ..Record::new(Timestamp::now(), agent_id.to_owned(), kind.action, kind.result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOD: Flood = Flood { burst: 3, per_second: 2 };

    fn record(agent: &str, code: &'static str) -> Record {
        let record = Record::new(Timestamp::UNIX_EPOCH, agent.to_owned(), "file_write", ResultKind::Denied);
        Record { code: Some(code), ..record }
    }

    #[test]
    fn a_burst_passes_then_the_rate() {
        let mut tallies = Tallies::new(FLOOD);
        let start = Instant::now();
        let mut admitted =
            |millis| tallies.admit(&record("a", "read-only"), true, start + Duration::from_millis(millis));
        assert_eq!([0, 0, 0, 0, 0].map(&mut admitted), [true, true, true, false, false]);
        assert_eq!([499, 500, 501, 1000].map(&mut admitted), [false, true, false, true]);
        // A long pause fills the bucket to the burst, not beyond.
        assert_eq!([60_000; 5].map(&mut admitted), [true, true, true, false, false]);
        assert_eq!(tallies.due(), Some(start + PAUSE));
        let counts: Vec<_> = tallies.unfold().into_iter().map(|record| record.folded).collect();
        assert_eq!(counts, [Some(6)]);
        assert_eq!((tallies.due(), tallies.unfold().len()), (None, 0));
        assert_eq!(tallies.counters("a"), Counters { allowed: 0, refused: 14 });
    }

    #[test]
    fn one_agents_flood_does_not_fold_anothers_record() {
        let mut tallies = Tallies::new(FLOOD);
        let now = Instant::now();
        for _ in 0..100 {
            tallies.admit(&record("loud", "read-only"), true, now);
        }
        assert!(tallies.admit(&record("quiet", "read-only"), true, now));
        assert!(tallies.admit(&record("loud", "host-not-allowed"), true, now), "another code has its own bucket");
        assert!(tallies.admit(&record("loud", "read-only"), false, now), "what may not fold never does");
        let refusals = tallies.refusals("loud");
        assert_eq!(
            refusals.iter().map(|r| (r.code, r.count)).collect::<Vec<_>>(),
            [("host-not-allowed", 1), ("read-only", 101)]
        );
    }
}
