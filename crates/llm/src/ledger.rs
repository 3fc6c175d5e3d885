//! What is known of a call while it runs, and its closing: the budget is settled, the outcome recorded, the metrics counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nanoclaw_audit::{AuditError, ModelUse, Outcome, Screened, Ticket};
use nanoclaw_config::{ModelRef, NanoUsd};
use nanoclaw_dialect::guard::Facts;
use nanoclaw_dialect::{Stop, Usage};
use nanoclaw_request::{ModelOperation, Refusal};

use crate::budget::Reservation;
use crate::call::{Most, TurnedAway, agent_left, price, reserve};
use crate::door::Door;
use crate::estimate;
use crate::metrics::Ended;
use crate::models::Seen;

/// Most names of tools, and most sources of a conversation, that stand in one record. The rest is counted.
const MOST_NAMES: usize = 64;
/// Longest name of a tool in a record, in characters.
const MAX_NAME_CHARS: usize = 128;

/// What a call used, with all of its attempts that were charged.
#[derive(Clone, Copy, Debug, Default)]
struct Settled {
    usage: Usage,
    cost: Option<NanoUsd>,
    /// Whether the provider did not say.
    estimated: bool,
}

impl Settled {
    fn add(&mut self, usage: Usage, cost: Option<NanoUsd>, estimated: bool) {
        let sum = |of: fn(Usage) -> u64| of(self.usage).saturating_add(of(usage));
        self.usage = Usage {
            input: sum(|usage| usage.input),
            output: sum(|usage| usage.output),
            cached: sum(|usage| usage.cached),
            reasoning: sum(|usage| usage.reasoning),
            surcharge: sum(|usage| usage.surcharge),
        };
        self.cost = match (self.cost, cost) {
            (Some(before), Some(cost)) => Some(NanoUsd(before.0.saturating_add(cost.0))),
            (before, cost) => before.or(cost),
        };
        self.estimated |= estimated;
    }
}

/// Most findings in the record of a call: those of the request, of the answer, and of each call that it proposes.
const MOST_SCREENED: usize = 64;

/// What is known of the parts of a request.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// How many come from where.
    pub(crate) counts: BTreeMap<String, u64>,
    /// What the firewall found in them.
    pub(crate) screened: Vec<Screened>,
}

/// One call under way.
pub(crate) struct Ledger {
    door: Arc<Door>,
    ticket: Ticket,
    /// For the attempt under way; gone once that is settled.
    reservation: Option<Reservation>,
    operation: ModelOperation,
    started: Instant,
    most: Most,
    settled: Settled,
    sources: Sources,
    /// The model that answers, once one does.
    pub(crate) model: Option<ModelRef>,
    /// Requests sent for it.
    pub(crate) attempts: u32,
    first_token: Option<Duration>,
    /// Bytes of text and arguments in the answer so far.
    said: u64,
    /// Events of the answer so far; each has a token or more.
    heard: u64,
    /// Names of tools that were proposed.
    pub(crate) proposed: Vec<String>,
    /// Those that were refused.
    pub(crate) denied: Vec<String>,
    /// SHA-256 of the answer, in hex.
    pub(crate) answer_digest: Option<String>,
}

impl Ledger {
    pub(crate) fn new(
        door: Arc<Door>,
        ticket: Ticket,
        mut reservation: Reservation,
        operation: ModelOperation,
        started: Instant,
        most: Most,
        sources: Sources,
    ) -> Self {
        reservation.send();
        Self {
            door,
            ticket,
            reservation: Some(reservation),
            operation,
            started,
            most,
            settled: Settled::default(),
            sources,
            model: None,
            attempts: 0,
            first_token: None,
            said: 0,
            heard: 0,
            proposed: Vec::new(),
            denied: Vec::new(),
            answer_digest: None,
        }
    }

    /// The answer has begun.
    pub(crate) fn begun(&mut self) {
        self.first_token.get_or_insert_with(|| self.started.elapsed());
    }

    /// Charges what the attempt used; once, so that later calls change nothing. Do so before the agent has the end of the
    /// answer: its next call must find what this one gave back.
    pub(crate) fn settle(&mut self, facts: &Facts) {
        let (usage, estimated) = self.used(facts);
        self.charge(usage, estimated);
    }

    /// Charges all that was reserved for an attempt: nobody knows what the provider did for it.
    pub(crate) fn lose(&mut self) {
        self.charge(self.most.usage, true);
    }

    /// Reserves for a further attempt, where the one before was charged.
    ///
    /// # Errors
    /// A budget does not have it. The attempt must not be made.
    pub(crate) fn renew(&mut self, candidates: &[ModelRef]) -> Result<(), TurnedAway> {
        if self.reservation.is_none() {
            self.reservation.insert(reserve(&self.door, candidates, &self.most)?).send();
        }
        Ok(())
    }

    fn charge(&mut self, usage: Usage, estimated: bool) {
        let Some(reservation) = self.reservation.take() else { return };
        let price = self.model.as_ref().and_then(|model| price(&self.door, model, &self.most));
        let cost = price.map(|price| price.of(usage));
        self.settled.add(usage, cost, estimated);
        reservation.settle(usage.input.saturating_add(usage.output), cost.unwrap_or(NanoUsd(0)));
    }

    /// What the attempt used, and whether that is an estimate. One that no answer came of, and that was not
    /// [lost](Self::lose), used nothing. Of an answer that did not come to its end the longest one counts: a model may
    /// think long before it says a word, and whoever leaves early must not have that for nothing.
    fn used(&self, facts: &Facts) -> (Usage, bool) {
        match facts.usage {
            Some(usage) if facts.complete => (usage, false),
            _ if self.first_token.is_none() => (Usage::default(), false),
            told => {
                let told = told.unwrap_or(Usage { output: 0, ..self.most.usage });
                let heard = estimate::bytes(self.said).max(self.heard);
                let least = if facts.complete { heard } else { heard.max(self.most.usage.output) };
                (Usage { output: told.output.max(least), ..told }, true)
            }
        }
    }

    /// Closes a call whose agent left before the answer began.
    pub(crate) async fn close_left(mut self) -> Result<(), AuditError> {
        self.lose();
        self.close(&Facts::default(), Some(agent_left())).await
    }

    /// Closes it. `error` is why it did not go well.
    pub(crate) async fn close(mut self, facts: &Facts, error: Option<Refusal>) -> Result<(), AuditError> {
        self.settle(facts);
        let Settled { usage, cost, estimated } = self.settled;
        let counted = self.first_token.is_some() || estimated;
        let total = self.started.elapsed();
        let model = self.model.unwrap_or(ModelRef { provider: String::new(), model: String::new() });
        self.door.shared.metrics.ended(&Ended {
            cell: &self.door.id,
            operation: self.operation,
            provider: &model.provider,
            model: &model.model,
            error: error.as_ref().map(|error| error.code),
            total,
            first_token: self.first_token,
            usage,
            cost,
        });
        self.door.shared.tell(&self.door.id, &Seen::Used { input: usage.input, output: usage.output });
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let used = ModelUse {
            provider: model.provider,
            name: model.model,
            input_tokens: counted.then_some(usage.input),
            cached_tokens: (usage.cached > 0).then_some(usage.cached),
            output_tokens: counted.then_some(usage.output),
            estimated,
            cost_usd: cost.filter(|_| counted).map(|cost| cost.to_string()),
            first_token_ms: self.first_token.map(millis),
            total_ms: Some(millis(total)),
            attempts: Some(self.attempts),
            stop: facts.stop.as_ref().map(stop_name),
            tools_proposed: listed(self.proposed),
            tools_denied: listed(self.denied),
            sources: bounded(self.sources.counts),
            screened: self.sources.screened,
            answer_sha256: self.answer_digest,
        };
        self.door.gate.recorder().outcome(self.ticket, Outcome { error, model: Some(used), ..Outcome::default() }).await
    }

    /// Notes what the firewall found in the answer.
    pub(crate) fn screened(&mut self, found: Vec<Screened>) {
        let room = MOST_SCREENED.saturating_sub(self.sources.screened.len());
        self.sources.screened.extend(found.into_iter().take(room));
    }

    /// Adds to what the answer is estimated to have.
    pub(crate) fn said(&mut self, text: &str) {
        self.said = self.said.saturating_add(text.len() as u64);
    }

    /// An event of the answer has come.
    pub(crate) fn heard(&mut self) {
        self.heard = self.heard.saturating_add(1);
    }
}

/// Names for the record, which agents and models choose: not too long, and not too many.
fn listed(mut names: Vec<String>) -> Vec<String> {
    let more = names.len().saturating_sub(MOST_NAMES);
    names.truncate(MOST_NAMES);
    let mut names: Vec<String> = names.iter().map(|name| clipped(name)).collect();
    names.extend((more > 0).then(|| format!("…[+{more}]")));
    names
}

fn bounded(sources: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let mut bounded: BTreeMap<String, u64> = BTreeMap::new();
    for (name, count) in sources {
        let name = clipped(&name);
        let known = bounded.len() < MOST_NAMES || bounded.contains_key(&name);
        let counted = bounded.entry(if known { name } else { "…".to_owned() }).or_default();
        *counted = counted.saturating_add(count);
    }
    bounded
}

fn clipped(name: &str) -> String {
    match name.char_indices().nth(MAX_NAME_CHARS) {
        Some((end, _)) => format!("{}…", name.get(..end).unwrap_or_default()),
        None => name.to_owned(),
    }
}

fn stop_name(stop: &Stop) -> String {
    match stop {
        Stop::End => "end".to_owned(),
        Stop::Sequence => "sequence".to_owned(),
        Stop::Length => "length".to_owned(),
        Stop::ToolCalls => "tool-calls".to_owned(),
        Stop::Filtered => "filtered".to_owned(),
        Stop::Other(other) => clipped(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_a_record_have_an_end() {
        let names = |count: usize| (0..count).map(|number| format!("tool_{number:04}")).collect::<Vec<_>>();
        assert_eq!(listed(names(64)), names(64));
        let many = listed(names(1024));
        assert_eq!((many.len(), many.last().map(String::as_str)), (65, Some("…[+960]")));
        assert_eq!(listed(vec!["é".repeat(5000)]), ["é".repeat(128) + "…"]);

        let sources = names(1000).into_iter().map(|name| (name, 2)).collect();
        let bounded = bounded(sources);
        assert_eq!((bounded.len(), bounded.get("…")), (65, Some(&(936 * 2))));
    }
}
