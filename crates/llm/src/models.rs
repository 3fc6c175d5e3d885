//! What all cells share: providers, keys, names, prices, budgets, metrics.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use nanoclaw_config::{Agent, AgentKind, Config, ModelAccess, ModelRef, ProviderKind};
use nanoclaw_firewall::{Channel, Firewall};
use nanoclaw_request::CellId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::budget::{Budgets, JournalError};
use crate::inspect::Pipeline;
use crate::metrics::Metrics;
use crate::price::{Price, PriceError, Prices};
use crate::route::Router;
use crate::upstream::{self, DialCell, Upstream};

/// Most of what models did that waits for whoever watches; more is not shown, but recorded.
const MOST_SEEN: usize = 64;
/// Longest text in bytes that whoever watches is shown of a call.
const LONGEST_SHOWN: usize = 64 * 1024;

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
    /// Whoever watches what the models of a cell do. Only cells of the fleet are ever watched.
    watchers: Mutex<HashMap<CellId, Watched>>,
}

/// One cell, and who watches its models.
struct Watched {
    /// There is one, so that nobody sees what is done for somebody else.
    place: Arc<Semaphore>,
    watcher: Option<mpsc::Sender<Seen>>,
}

/// Sees what the models of one cell do, until it is dropped. There is one for a cell at a time.
pub struct Watching {
    shared: Arc<Shared>,
    cell: CellId,
    /// What they do.
    pub seen: mpsc::Receiver<Seen>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        if let Some(watched) = self.shared.watchers().get_mut(&self.cell) {
            watched.watcher = None;
        }
    }
}

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
        // Rules and weights are made ready by the first text: here, and not while a request waits.
        for channel in Channel::ALL {
            Firewall::unconfigured().judge(channel, "ready");
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

    /// What an agent may do with models, its own model filled in, whether it takes text for calls and whether the control
    /// plane speaks to it; `None` where it may do nothing.
    pub fn access(&self, agent: &Agent) -> Option<ModelAccess> {
        let access = agent.models.clone()?;
        let model = self.shared.router.own(access.model.as_deref()).map(str::to_owned);
        let text_calls = matches!(agent.kind, AgentKind::OpenClaw { .. });
        Some(ModelAccess { model, text_calls, told: is_told(&agent.kind), ..access })
    }

    /// What whoever runs the fleet should know of the use of budgets before the first call.
    pub fn notice(&self) -> Option<&str> {
        self.shared.budgets.notice()
    }

    /// The metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Watches what the models of `cell` do, as soon as nobody else does. Whoever came first is first.
    pub async fn watch(&self, cell: CellId) -> Watching {
        let new = || Watched { place: Arc::new(Semaphore::new(1)), watcher: None };
        let place = self.shared.watchers().entry(cell.clone()).or_insert_with(new).place.clone();
        // It is never closed, so there is one in the end.
        let place = place.acquire_owned().await.ok();
        let (watcher, seen) = mpsc::channel(MOST_SEEN);
        if let Some(watched) = self.shared.watchers().get_mut(&cell) {
            watched.watcher = Some(watcher);
        }
        Watching { shared: self.shared.clone(), cell, seen, _place: place }
    }
}

impl Shared {
    /// What a model costs, where that is known.
    pub(crate) fn price(&self, model: &ModelRef) -> Option<Price> {
        if self.free.contains(&model.provider) { Some(Price::default()) } else { self.prices.of(model) }
    }

    pub(crate) fn tell(&self, cell: &CellId, seen: &Seen) {
        if let Some(watcher) = self.watchers().get(cell).and_then(|watched| watched.watcher.as_ref()) {
            // Nobody who watches slowly holds up a door; the records have all of it.
            let _shown = watcher.try_send(seen.cut()).is_ok();
        }
    }

    fn watchers(&self) -> std::sync::MutexGuard<'_, HashMap<CellId, Watched>> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// The same, no longer than it may be.
    fn cut(&self) -> Self {
        let cut = |text: &String| text.get(..text.floor_char_boundary(LONGEST_SHOWN)).unwrap_or_default().to_owned();
        match self {
            Seen::Call { id, name, arguments } => {
                Seen::Call { id: cut(id), name: cut(name), arguments: cut(arguments) }
            }
            Seen::Refused { name, reason } => Seen::Refused { name: cut(name), reason: cut(reason) },
            Seen::Used { input, output } => Seen::Used { input: *input, output: *output },
        }
    }
}

/// Whether the control plane tells such an agent what its users say.
pub(crate) const fn is_told(kind: &AgentKind) -> bool {
    match kind {
        AgentKind::Builtin(_) | AgentKind::OpenClaw { .. } => true,
        AgentKind::Command(_) => false,
    }
}

fn account(agent: &Agent) -> Option<(CellId, nanoclaw_config::Budget, Option<String>)> {
    let access = agent.models.as_ref()?;
    Some((agent.id.clone(), access.budget, access.group.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models() -> Models {
        let directory = tempfile::tempdir().unwrap();
        let loaded = nanoclaw_config::parse("agents: []\n", "f".as_ref(), "/base".as_ref()).unwrap();
        let set_up =
            SetUp { journal: directory.path().join("budgets"), bodies: directory.path().join("bodies"), dial: None };
        Models::new(&loaded.config, set_up).unwrap()
    }

    fn call(arguments: &str) -> Seen {
        Seen::Call { id: "1".into(), name: "exec".into(), arguments: arguments.into() }
    }

    #[tokio::test]
    async fn one_at_a_time_sees_what_the_models_of_a_cell_do() {
        let (models, cell) = (models(), CellId::parse("claw").unwrap());
        let mut first = models.watch(cell.clone()).await;
        let second = models.watch(cell.clone());
        tokio::pin!(second);
        tokio::select! {
            biased;
            _ = &mut second => panic!("two watch at once"),
            () = std::future::ready(()) => {}
        }
        models.shared.tell(&cell, &call("{}"));
        models.shared.tell(&CellId::parse("other").unwrap(), &call("[]"));
        assert_eq!(first.seen.try_recv(), Ok(call("{}")));
        assert!(first.seen.try_recv().is_err());
        drop(first);
        models.shared.tell(&cell, &call("{}"));
        assert!(second.await.seen.try_recv().is_err(), "what nobody watched is not kept for the next");
    }

    #[tokio::test]
    async fn whoever_watches_slowly_makes_nothing_grow() {
        let (models, cell) = (models(), CellId::parse("claw").unwrap());
        let mut watching = models.watch(cell.clone()).await;
        for _ in 0..10 * MOST_SEEN {
            models.shared.tell(&cell, &call(&"\u{e4}".repeat(LONGEST_SHOWN)));
        }
        let mut count = 0;
        while let Ok(Seen::Call { arguments, .. }) = watching.seen.try_recv() {
            assert_eq!(arguments.len(), LONGEST_SHOWN);
            count += 1;
        }
        assert_eq!(count, MOST_SEEN);
    }
}
