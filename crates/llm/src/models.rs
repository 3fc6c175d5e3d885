//! What all cells share: providers, keys, names, prices, budgets, metrics.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use nanoclaw_config::{Agent, Config, ModelAccess, ModelRef, ProviderKind};
use nanoclaw_request::CellId;

use crate::budget::{Budgets, JournalError};
use crate::inspect::Pipeline;
use crate::metrics::Metrics;
use crate::price::{Price, PriceError, Prices};
use crate::route::Router;
use crate::upstream::{self, DialCell, Upstream};

/// The models of a fleet. Clones are the same models.
#[derive(Clone)]
pub struct Models {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) upstream: Upstream,
    pub(crate) router: Router,
    pub(crate) prices: Prices,
    pub(crate) budgets: Budgets,
    pub(crate) pipeline: Pipeline,
    pub(crate) metrics: Metrics,
    /// Providers on this machine, which cost nothing.
    pub(crate) free: Vec<String>,
    /// Where bodies are kept, if they are.
    pub(crate) bodies: Option<PathBuf>,
    /// Whoever watches what an agent's models propose.
    watchers: Mutex<Vec<(CellId, Watcher)>>,
}

/// Hears what an agent's models propose.
pub type Watcher = tokio::sync::mpsc::UnboundedSender<Seen>;

/// Something that a model did, as its door saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It proposed a call, which was passed on.
    Call {
        /// The call's id.
        id: String,
        /// The tool.
        name: String,
        /// Its arguments, as the model wrote them.
        arguments: String,
    },
    /// It proposed a call, which was refused.
    Refused {
        /// The tool.
        name: String,
        /// Why, and what would allow it.
        reason: String,
    },
    /// A call of the model has ended.
    Used {
        /// Tokens of the request.
        input: u64,
        /// Tokens of the answer.
        output: u64,
    },
}

/// What is needed besides the configuration.
pub struct SetUp {
    /// Where the use of budgets is kept.
    pub journal: PathBuf,
    /// Where bodies are kept, if the configuration asks for it.
    pub bodies: PathBuf,
    /// How to reach providers that run in cells.
    pub dial: Option<DialCell>,
}

/// Why the model door cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// A provider cannot be set up.
    #[error(transparent)]
    Upstream(#[from] upstream::SetUpError),
    /// There are no prices.
    #[error(transparent)]
    Prices(#[from] PriceError),
    /// What is used cannot be written down.
    #[error(transparent)]
    Budget(#[from] JournalError),
    /// There is no place for bodies.
    #[error("`{path}`, where bodies of model calls are kept: {source}")]
    Bodies {
        /// Which directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Models {
    /// Sets up the models of `config`: reads keys, prices and what was used.
    ///
    /// # Errors
    /// Something of it is missing. No cell may start then.
    pub fn new(config: &Config, set_up: SetUp) -> Result<Self, SetUpError> {
        let models = &config.models;
        let upstream = Upstream::new(&models.providers, set_up.dial)?;
        let accounts: Vec<_> = config.agents.iter().filter_map(account).collect();
        let bodies = models.keep_bodies.then_some(set_up.bodies);
        if let Some(path) = &bodies {
            crate::bodies::prepare(path).map_err(|source| SetUpError::Bodies { path: path.clone(), source })?;
        }
        let free = models.providers.iter().filter(|p| matches!(p.kind, ProviderKind::LlamaServer(_)));
        Ok(Self {
            shared: Arc::new(Shared {
                pipeline: Pipeline::new(upstream.secrets()),
                router: Router::new(models),
                prices: Prices::load(models.prices.as_deref())?,
                budgets: Budgets::open(set_up.journal, config.budget, &config.groups, &accounts)?,
                metrics: Metrics::default(),
                free: free.map(|provider| provider.name.clone()).collect(),
                bodies,
                watchers: Mutex::default(),
                upstream,
            }),
        })
    }

    /// What an agent may do with models, its own model filled in; `None` where it may do nothing.
    pub fn access(&self, agent: &Agent) -> Option<ModelAccess> {
        let access = agent.models.clone()?;
        let model = self.shared.router.own(access.model.as_deref()).map(str::to_owned);
        Some(ModelAccess { model, ..access })
    }

    /// The metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Sends what the models of `cell` do to `watcher`, until that is gone.
    pub fn watch(&self, cell: CellId, watcher: Watcher) {
        self.shared.watchers().push((cell, watcher));
    }
}

impl Shared {
    /// What a model costs, where that is known.
    pub(crate) fn price(&self, model: &ModelRef) -> Option<Price> {
        if self.free.contains(&model.provider) { Some(Price::default()) } else { self.prices.of(model) }
    }

    pub(crate) fn tell(&self, cell: &CellId, seen: &Seen) {
        self.watchers().retain(|(watched, watcher)| watched != cell || watcher.send(seen.clone()).is_ok());
    }

    fn watchers(&self) -> std::sync::MutexGuard<'_, Vec<(CellId, Watcher)>> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn account(agent: &Agent) -> Option<(CellId, nanoclaw_config::Budget, Option<String>)> {
    let access = agent.models.as_ref()?;
    Some((agent.id.clone(), access.budget, access.group.clone()))
}
