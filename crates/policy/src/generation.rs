//! What policy decides by, from one moment to the next.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use nanoclaw_config::{Labels, ModelAccess, NetRule, RuleSet};
use nanoclaw_firewall::Firewall;
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
#[derive(Clone, Debug)]
pub struct Generation {
    number: u64,
    cells: BTreeMap<CellId, CellRules>,
    /// Cells that no configuration has.
    admitted: BTreeMap<CellId, CellRules>,
    written: Arc<Written>,
    labels: Arc<Labels>,
    rule_sets: Vec<RuleSet>,
    firewall: Arc<Firewall>,
}

impl Default for Generation {
    fn default() -> Self {
        Self::new(Arc::default(), Labels::default(), Vec::new())
    }
}

impl Generation {
    /// What files with policies say, what sources are labelled with, and the rule sets of all cells that have none of their
    /// own; no cell may do anything yet.
    pub fn new(written: Arc<Written>, labels: Labels, rule_sets: Vec<RuleSet>) -> Self {
        let (cells, admitted) = (BTreeMap::new(), BTreeMap::new());
        let firewall = Firewall::unconfigured();
        Self { number: 0, cells, admitted, written, labels: Arc::new(labels), rule_sets, firewall }
    }

    /// The same, and texts are judged by `firewall`.
    #[must_use]
    pub fn with_firewall(mut self, firewall: Arc<Firewall>) -> Self {
        self.firewall = firewall;
        self
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

    /// What judges texts.
    pub fn firewall(&self) -> &Arc<Firewall> {
        &self.firewall
    }

    /// The policies that stand in files.
    pub fn written(&self) -> &Arc<Written> {
        &self.written
    }

    /// The cells that the configuration says something about.
    pub fn cells(&self) -> impl Iterator<Item = &CellId> {
        self.cells.keys()
    }

    fn known(&self, cell: &CellId) -> Option<&CellRules> {
        self.cells.get(cell).or_else(|| self.admitted.get(cell))
    }

    /// The rule sets that hold for a cell.
    pub fn rule_sets(&self, cell: &CellId) -> &[RuleSet] {
        self.known(cell).and_then(|rules| rules.rule_sets.as_deref()).unwrap_or(&self.rule_sets)
    }

    /// Whether anything that decides about a cell looks at what it has read.
    pub(crate) fn looks_at_sessions(&self, cell: &CellId) -> bool {
        self.written.mentions().labels || !self.rule_sets(cell).is_empty()
    }

    /// All of it as one text. Generations with the same text decide the same.
    pub fn text(&self) -> String {
        let mut texts = vec![crate::BASE.to_owned()];
        texts.extend(RuleSet::ALL.into_iter().flat_map(crate::rule_set_texts));
        for cell in self.cells.keys().chain(self.admitted.keys()) {
            let CellRules { networks, models, rule_sets: _, mounts } = self.rules(cell);
            let group = models.as_ref().and_then(|access| access.group.as_ref());
            texts.push(format!("{cell:?} {:?} {group:?} {mounts:?}", self.rule_sets(cell)));
            texts.extend(crate::compile(cell, &networks, models.as_ref()).into_iter().map(|policy| policy.text));
        }
        let mut written: Vec<String> =
            self.written.policies().map(|policy| format!("{}\n{policy}", policy.id())).collect();
        written.sort_unstable();
        texts.extend(written);
        texts.push(format!("{:?} {:?}", self.rule_sets, self.labels));
        texts.push(self.firewall.text());
        texts.join("\n")
    }

    /// What the configuration says about a cell; nothing where it does not know it.
    pub fn rules(&self, cell: &CellId) -> CellRules {
        self.known(cell).cloned().unwrap_or_default()
    }

    /// What this is when it comes into force after `before`, while cells run. They still see what they saw, so that labels
    /// of places count for it; a cell of the configuration before that this one does not have loses all else, and is known
    /// as one without rules, so that no further run of it gets some; cells that no configuration has keep theirs.
    #[must_use]
    pub fn after(mut self, before: &Self) -> Self {
        for (cell, rules) in &before.cells {
            let mounts = &mut self.cells.entry(cell.clone()).or_default().mounts;
            let gone: Vec<_> = rules.mounts.iter().filter(|mount| !mounts.contains(mount)).cloned().collect();
            mounts.extend(gone);
        }
        self.admitted.extend(before.admitted.clone());
        self
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

    /// Puts another in force, at once and for all, as what it is [after](Generation::after) the one in force now. Gives its
    /// number.
    pub fn replace(&self, next: Generation) -> u64 {
        let mut number = 0;
        self.current.send_modify(|current| {
            number = current.number + 1;
            *current = Arc::new(Generation { number, ..next.after(current) });
        });
        number
    }

    /// Makes a cell known that no configuration has. One that is known keeps its rules.
    pub fn admit(&self, cell: &CellId, rules: &CellRules) {
        self.current.send_if_modified(|current| {
            let unknown = current.known(cell).is_none();
            if unknown {
                let mut next = Generation::clone(current);
                next.admitted.insert(cell.clone(), rules.clone());
                *current = Arc::new(next);
            }
            unknown
        });
    }

    /// Sees each change from now on.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Generation>> {
        self.current.subscribe()
    }
}
