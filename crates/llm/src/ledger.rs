//! What is known of a call while it runs, and its closing: the budget is settled, the outcome recorded, the metrics counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nanoclaw_audit::{AuditError, ModelUse, Outcome, Ticket};
use nanoclaw_config::{ModelRef, NanoUsd};
use nanoclaw_dialect::guard::Facts;
use nanoclaw_dialect::{Stop, Usage};
use nanoclaw_request::{ModelOperation, Refusal};

use crate::budget::Reservation;
use crate::door::Door;
use crate::estimate;
use crate::metrics::Ended;
use crate::models::Seen;

/// One call under way.
pub(crate) struct Ledger {
    door: Arc<Door>,
    ticket: Ticket,
    reservation: Reservation,
    operation: ModelOperation,
    started: Instant,
    /// Tokens of the request, estimated.
    input: u64,
    sources: BTreeMap<String, u64>,
    /// The model that answers, once one does.
    pub(crate) model: Option<ModelRef>,
    /// Requests sent for it.
    pub(crate) attempts: u32,
    first_token: Option<Duration>,
    /// Bytes of text and arguments in the answer so far.
    pub(crate) output_bytes: u64,
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
        input: u64,
        sources: BTreeMap<String, u64>,
    ) -> Self {
        reservation.send();
        Self {
            door,
            ticket,
            reservation,
            operation,
            started,
            input,
            sources,
            model: None,
            attempts: 0,
            first_token: None,
            output_bytes: 0,
            proposed: Vec::new(),
            denied: Vec::new(),
            answer_digest: None,
        }
    }

    /// The answer has begun.
    pub(crate) fn begun(&mut self) {
        self.first_token.get_or_insert_with(|| self.started.elapsed());
    }

    /// Closes it. `error` is why it did not go well.
    pub(crate) async fn close(self, facts: &Facts, error: Option<Refusal>) -> Result<(), AuditError> {
        let answered = self.first_token.is_some();
        let estimated = facts.usage.is_none() && answered;
        let usage = facts.usage.unwrap_or_else(|| {
            // A provider that never answered is taken to have used nothing.
            let input = if answered { self.input } else { 0 };
            Usage { input, output: estimate::bytes(self.output_bytes), ..Usage::default() }
        });
        let cost = self.model.as_ref().and_then(|model| self.door.shared.price(model)).map(|price| price.of(usage));
        self.reservation.settle(usage.input.saturating_add(usage.output), cost.unwrap_or(NanoUsd(0)));
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
            input_tokens: answered.then_some(usage.input),
            cached_tokens: (usage.cached > 0).then_some(usage.cached),
            output_tokens: answered.then_some(usage.output),
            estimated,
            cost_usd: cost.filter(|_| answered).map(|cost| cost.to_string()),
            first_token_ms: self.first_token.map(millis),
            total_ms: Some(millis(total)),
            attempts: Some(self.attempts),
            stop: facts.stop.as_ref().map(stop_name),
            tools_proposed: self.proposed,
            tools_denied: self.denied,
            sources: self.sources,
            answer_sha256: self.answer_digest,
        };
        self.door.recorder.outcome(self.ticket, Outcome { error, model: Some(used), ..Outcome::default() }).await
    }

    /// Adds to what the answer is estimated to have.
    pub(crate) fn said(&mut self, text: &str) {
        self.output_bytes = self.output_bytes.saturating_add(text.len() as u64);
    }
}

fn stop_name(stop: &Stop) -> String {
    match stop {
        Stop::End => "end".to_owned(),
        Stop::Sequence => "sequence".to_owned(),
        Stop::Length => "length".to_owned(),
        Stop::ToolCalls => "tool-calls".to_owned(),
        Stop::Filtered => "filtered".to_owned(),
        Stop::Other(other) => other.chars().take(64).collect(),
    }
}
