//! Counts and times of model calls, under the names of OpenTelemetry's conventions for generative AI where there is one.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nanoclaw_config::NanoUsd;
use nanoclaw_dialect::Usage;
use nanoclaw_firewall::{Channel, Level};
use nanoclaw_request::{CellId, ModelOperation, RefusalCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Bounds of durations in seconds, as the conventions recommend them for this.
const SECONDS: [f64; 14] = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
/// Bounds of token counts, as the conventions recommend them.
const TOKENS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    gen_ai_agent_id: String,
    gen_ai_operation_name: &'static str,
    gen_ai_provider_name: String,
    gen_ai_request_model: String,
    /// Empty where it went well.
    error_type: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokensOf {
    gen_ai_agent_id: String,
    gen_ai_provider_name: String,
    gen_ai_request_model: String,
    gen_ai_token_type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Model {
    gen_ai_agent_id: String,
    gen_ai_provider_name: String,
    gen_ai_request_model: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    gen_ai_agent_id: String,
    action: &'static str,
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Judged {
    gen_ai_agent_id: String,
    channel: &'static str,
    level: &'static str,
}

/// Most models of one agent that are counted by name; agents may choose names, and each takes memory for good.
const MOST_MODELS: usize = 64;
/// What stands for the models beyond.
const OTHER: &str = "other";

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// The metrics of a fleet. Clones are the same ones.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// Names of models that have been counted, by agent: what one agent asks for is no reason to count less of another.
    models: Arc<Mutex<HashMap<CellId, HashSet<String>>>>,
    durations: Histograms<Call>,
    first_tokens: Histograms<Model>,
    tokens: Histograms<TokensOf>,
    cost: Family<Model, Counter<f64, std::sync::atomic::AtomicU64>>,
    refusals: Family<Refused, Counter>,
    judged: Family<Judged, Counter>,
}

/// A call that has ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended<'a> {
    pub(crate) cell: &'a CellId,
    pub(crate) operation: ModelOperation,
    pub(crate) provider: &'a str,
    pub(crate) model: &'a str,
    pub(crate) error: Option<RefusalCode>,
    pub(crate) total: Duration,
    pub(crate) first_token: Option<Duration>,
    pub(crate) usage: Usage,
    pub(crate) cost: Option<NanoUsd>,
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds: fn() -> Histogram = || Histogram::new(SECONDS);
        let counts: fn() -> Histogram = || Histogram::new(TOKENS);
        let durations = Histograms::new_with_constructor(seconds);
        let first_tokens = Histograms::new_with_constructor(seconds);
        let tokens = Histograms::new_with_constructor(counts);
        let cost = Family::default();
        let refusals = Family::default();
        let judged = Family::default();
        let mut registry = Registry::default();
        registry.register_with_unit(
            "gen_ai_client_operation_duration",
            "How long calls of models took",
            Unit::Seconds,
            durations.clone(),
        );
        registry.register_with_unit(
            "gen_ai_server_time_to_first_token",
            "How long calls of models took until their answer began",
            Unit::Seconds,
            first_tokens.clone(),
        );
        registry.register("gen_ai_client_token_usage", "How many tokens calls of models used", tokens.clone());
        registry.register("nanoclaw_model_cost_usd", "What calls of models cost, in US dollars", Family::clone(&cost));
        registry.register(
            "nanoclaw_model_refusals",
            "How many calls of models and tools were refused",
            Family::clone(&refusals),
        );
        registry.register(
            "nanoclaw_firewall_texts",
            "How many texts of requests the prompt firewall judged, each once in a run",
            Family::clone(&judged),
        );
        let models = Arc::default();
        Self { registry: Arc::new(registry), models, durations, first_tokens, tokens, cost, refusals, judged }
    }
}

impl Metrics {
    /// All of them in the OpenMetrics text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _complete = encode(&mut text, &self.registry).is_ok();
        text
    }

    pub(crate) fn ended(&self, ended: &Ended<'_>) {
        let agent = ended.cell.to_string();
        let model = Model {
            gen_ai_agent_id: agent.clone(),
            gen_ai_provider_name: ended.provider.to_owned(),
            gen_ai_request_model: self.label(ended.cell, ended.model),
        };
        let call = Call {
            gen_ai_agent_id: agent,
            gen_ai_operation_name: if ended.operation == ModelOperation::Embeddings { "embeddings" } else { "chat" },
            gen_ai_provider_name: model.gen_ai_provider_name.clone(),
            gen_ai_request_model: model.gen_ai_request_model.clone(),
            error_type: ended.error.map(|code| code.name().to_owned()).unwrap_or_default(),
        };
        self.durations.get_or_create(&call).observe(ended.total.as_secs_f64());
        if let Some(first) = ended.first_token {
            self.first_tokens.get_or_create(&model).observe(first.as_secs_f64());
        }
        for (kind, count) in [("input", ended.usage.input), ("output", ended.usage.output)] {
            if count > 0 {
                let labels = TokensOf {
                    gen_ai_agent_id: model.gen_ai_agent_id.clone(),
                    gen_ai_provider_name: model.gen_ai_provider_name.clone(),
                    gen_ai_request_model: model.gen_ai_request_model.clone(),
                    gen_ai_token_type: kind,
                };
                self.tokens.get_or_create(&labels).observe(float(count));
            }
        }
        if let Some(cost) = ended.cost {
            self.cost.get_or_create(&model).inc_by(float(cost.0) / float(NanoUsd::USD));
        }
    }

    /// The name under which a model is counted.
    fn label(&self, cell: &CellId, model: &str) -> String {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        let models = models.entry(cell.clone()).or_default();
        if !models.contains(model) {
            if models.len() >= MOST_MODELS {
                return OTHER.to_owned();
            }
            models.insert(model.to_owned());
        }
        model.to_owned()
    }

    pub(crate) fn judged(&self, cell: &CellId, channel: Channel, level: Level, count: u64) {
        let labels = Judged { gen_ai_agent_id: cell.to_string(), channel: channel.name(), level: level.name() };
        self.judged.get_or_create(&labels).inc_by(count);
    }

    pub(crate) fn refused(&self, cell: &CellId, action: &'static str, code: RefusalCode) {
        let labels = Refused { gen_ai_agent_id: cell.to_string(), action, code: code.name() };
        self.refusals.get_or_create(&labels).inc();
    }
}

#[expect(clippy::cast_precision_loss, reason = "metrics need no more than 52 bits")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_agents_choose_do_not_fill_the_memory() {
        let metrics = Metrics::default();
        let [a, b] = ["a", "b"].map(|id| CellId::parse(id).unwrap());
        let names: HashSet<String> =
            (0..2 * MOST_MODELS).map(|number| metrics.label(&a, &number.to_string())).collect();
        assert_eq!(names.len(), MOST_MODELS + 1);
        assert_eq!((metrics.label(&a, "0").as_str(), metrics.label(&a, "9999").as_str()), ("0", OTHER));
        assert_eq!(metrics.label(&b, "9999"), "9999", "another agent's models are counted by name");
    }
}
