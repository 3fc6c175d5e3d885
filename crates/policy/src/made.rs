//! What one generation is to one cell: its policies, sorted, and what they speak of.

use std::sync::Arc;

use cedar_policy::PolicySet;
use jiff::Timestamp;
use nanoclaw_config::{Label, RuleSet};
use nanoclaw_request::{Action, CellId, Refusal};

use crate::ask::Asker;
use crate::compile::compile;
use crate::engine::{Refused, Would};
use crate::explain::Rules;
use crate::generation::{CellRules, Generation};
use crate::language::Language;
use crate::remembered::Remembered;
use crate::session::{NOTHING_READ, Session};
use crate::slice::Slices;
use crate::{hosts, rule_sets};

/// The policy of the base ones that has words of its own.
const NO_LOOPBACK: &str = "net.no-loopback-by-name";
/// Those of them that say what the walls of a cell do, in the words of the walls.
const WALLS: [&str; 4] = ["cell.not-writable", "cell.not-executable", "cell.closed-call", "net.only-tcp"];

/// What one generation is to one cell.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) generation: Arc<Generation>,
    pub(crate) rules: Rules,
    /// The error is a defect of this program; everything is refused then.
    pub(crate) slices: Result<Slices, String>,
    pub(crate) mentions: Mentions,
    /// The label of what tools can read in the cell.
    pub(crate) visible: Option<Label>,
    pub(crate) remembered: Remembered<Result<Would, Refused>>,
}

/// What policies speak of. It costs time to find out, so what none speaks of is left out of the questions.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mentions {
    /// Addresses, also where their class is enough for the rules.
    pub(crate) addresses: bool,
    /// Labels of the session and of hosts.
    pub(crate) labels: bool,
    /// What time it is.
    pub(crate) now: bool,
    /// What users said.
    pub(crate) said: bool,
    /// How much is left of budgets.
    pub(crate) budget: bool,
    /// Where the texts in the arguments of calls come from.
    pub(crate) values: bool,
}

impl Mentions {
    /// What a policy may speak of, as its JSON says it, in which nothing is spelled otherwise. A name that only looks like one
    /// costs a little time, and nothing else.
    pub(crate) fn of(text: &str) -> Self {
        Self {
            addresses: text.contains("address"),
            labels: ["session", "trusted", "data"].iter().any(|word| text.contains(word)),
            now: text.contains("now"),
            said: text.contains("said"),
            budget: text.contains("budget_left"),
            values: ["vouched", "from_user", "from_untrusted"].iter().any(|word| text.contains(word)),
        }
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            addresses: self.addresses || other.addresses,
            labels: self.labels || other.labels,
            now: self.now || other.now,
            said: self.said || other.said,
            budget: self.budget || other.budget,
            values: self.values || other.values,
        }
    }
}

impl Made {
    pub(crate) fn new(generation: Arc<Generation>, cell: &CellId) -> Self {
        let CellRules { networks, models, rule_sets: _, mounts } = generation.rules(cell);
        let rule_sets = generation.rule_sets(cell);
        let rules = Rules { cell: cell.clone(), networks, models };
        let slices = Language::get().and_then(|language| {
            let agent = language.agent.of(cell.as_str());
            let groups: Vec<_> = rules.group().map(|group| language.group.of(group)).into_iter().collect();
            let compiled = compile(cell, &rules.networks, rules.models.as_ref());
            let sets = rule_sets.iter().map(|set| rule_sets::policies(*set)).collect::<Result<Vec<_>, _>>()?;
            let of_sets = sets.into_iter().flat_map(PolicySet::policies);
            let others: Vec<_> =
                language.base.policies().chain(of_sets).chain(generation.written().policies()).collect();
            Slices::new(language, &compiled, &others, &agent, &groups)
        });
        // All built-in rule sets look at the session.
        let values = rule_sets.contains(&RuleSet::ValueProvenance);
        let of_sets = Mentions { labels: !rule_sets.is_empty(), values, ..Mentions::default() };
        let mentions = generation.written().mentions().and(of_sets);
        let visible = hosts::visible(generation.labels(), &mounts);
        Self { slices, mentions, visible, rules, generation, remembered: Remembered::default() }
    }

    pub(crate) fn asker<'a>(
        &'a self,
        language: &'static Language,
        session: &'a Session,
        label: Label,
        now: Timestamp,
    ) -> Asker<'a> {
        Asker {
            language,
            agent: &self.rules.cell,
            group: self.rules.group(),
            labels: self.generation.labels(),
            session,
            label,
            reads: NOTHING_READ,
            now,
            mentions: self.mentions,
        }
    }

    pub(crate) fn forbidden(&self, action: &Action, name: &str, policies: &[String]) -> Refusal {
        if let Action::Connect(connect) = action
            && policies.iter().all(|id| id == NO_LOOPBACK)
            && let Some(refusal) = self.rules.loopback(connect)
        {
            return refusal;
        }
        let others: Vec<String> = policies.iter().filter(|id| !WALLS.contains(&id.as_str())).cloned().collect();
        if others.is_empty() {
            return self.rules.explain(action);
        }
        let what = match action {
            Action::CallModel(_) => format!("model `{name}`"),
            Action::ToolCall(call) => format!("tool `{}`", call.tool),
            Action::Connect(connect) => connect.destination.to_string(),
            Action::Http(http) => http.connection.to_string(),
            _ => format!("{} `{name}`", action.name()),
        };
        let refusal = self.rules.forbidden(action, &what, &others);
        match policies.iter().find_map(|id| self.generation.written().help(id)) {
            Some(help) => Refusal { help: help.to_owned(), ..refusal },
            None => refusal,
        }
    }
}
