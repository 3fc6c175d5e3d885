//! What policy decides by, from one moment to the next.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use nanoclaw_config::{Labels, ModelAccess, NetRule, RuleSet};
use nanoclaw_request::CellId;
use tokio::sync::watch;

use crate::Written;

/// What a configuration says about one cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CellRules {
    /// What it may reach.
    pub networks: Vec<NetRule>,
    /// What it may do with models, its own model filled in; `None` means nothing.
    pub models: Option<ModelAccess>,
    /// Built-in rules that hold for it; `None` means those of the fleet.
    pub rule_sets: Option<Vec<RuleSet>>,
    /// The places of the host that it sees, as it sees them.
    pub mounts: Vec<PathBuf>,
}

/// Everything that policy decides by. It never changes: something new is another generation.
#[derive(Clone, Debug, Default)]
pub struct Generation {
    number: u64,
    cells: BTreeMap<CellId, CellRules>,
    written: Arc<Written>,
    labels: Arc<Labels>,
    rule_sets: Vec<RuleSet>,
}

impl Generation {
    /// What files with policies say, what sources are labelled with, and the rule sets of all cells that have none of their
    /// own; no cell may do anything yet.
    pub fn new(written: Arc<Written>, labels: Labels, rule_sets: Vec<RuleSet>) -> Self {
        Self { number: 0, cells: BTreeMap::new(), written, labels: Arc::new(labels), rule_sets }
    }

    /// The same, and the configuration says this about `cell`.
    pub fn with_cell(mut self, cell: CellId, rules: CellRules) -> Self {
        self.cells.insert(cell, rules);
        self
    }

    /// Which one it is, from 1 on, in the order in which they came into force; 0 if it never did.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What sources are labelled with.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The policies that stand in files.
    pub fn written(&self) -> &Arc<Written> {
        &self.written
    }

    /// The cells that the configuration says something about.
    pub fn cells(&self) -> impl Iterator<Item = &CellId> {
        self.cells.keys()
    }

    /// The rule sets that hold for a cell.
    pub fn rule_sets(&self, cell: &CellId) -> &[RuleSet] {
        self.cells.get(cell).and_then(|rules| rules.rule_sets.as_deref()).unwrap_or(&self.rule_sets)
    }

    /// What the configuration says about a cell; nothing where it does not know it.
    pub fn rules(&self, cell: &CellId) -> CellRules {
        self.cells.get(cell).cloned().unwrap_or_default()
    }
}

/// The generation in force. Clones are the same: what one puts in force holds at all doors with their next decision.
#[derive(Clone, Debug)]
pub struct Policies {
    current: Arc<watch::Sender<Arc<Generation>>>,
}

impl Policies {
    /// Begins with `first`.
    pub fn new(first: Generation) -> Self {
        Self { current: Arc::new(watch::Sender::new(Arc::new(Generation { number: 1, ..first }))) }
    }

    /// The one in force now.
    pub fn current(&self) -> Arc<Generation> {
        self.current.borrow().clone()
    }

    /// Puts another in force, at once and for all, and gives its number.
    pub fn replace(&self, next: Generation) -> u64 {
        let mut number = 0;
        self.current.send_modify(|current| {
            number = current.number + 1;
            *current = Arc::new(Generation { number, ..next });
        });
        number
    }

    /// Makes a cell known that no configuration has. One that is known keeps its rules.
    pub fn admit(&self, cell: &CellId, rules: &CellRules) {
        self.current.send_if_modified(|current| {
            let unknown = !current.cells.contains_key(cell);
            if unknown {
                *current = Arc::new(Generation::clone(current).with_cell(cell.clone(), rules.clone()));
            }
            unknown
        });
    }

    /// Sees each change from now on.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Generation>> {
        self.current.subscribe()
    }
}
