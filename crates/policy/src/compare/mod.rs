//! What one generation decides that another does not.
//!
//! Both are compared by the texts of their policies, and by questions that are put to both: each pattern of either is made
//! into names that it describes, each text of a policy in a file into the resources that it can be about. An answer that
//! changes is a fact. That none changes is no proof, since there are more questions than can be asked.

mod literals;
mod probes;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use nanoclaw_config::{DataClass, Label, RuleSet, Trust};
use nanoclaw_firewall::Level;
use nanoclaw_request::{Action, CellId, ModelCall};

use crate::case::Case;
use crate::compile;
use crate::engine::Engine;
use crate::generation::{Generation, Policies};
use crate::session::{NOTHING_READ, Session};
use probes::Probes;

/// Most questions that are put to both; those about policies that differ come first.
const MOST_QUESTIONS: usize = 10_000;
/// Most policies that are named, and bytes of each that are shown.
const MOST_POLICIES: usize = 1_000;
const LONGEST_TEXT: usize = 2_000;

/// One of two generations, and how its configuration names models.
pub struct Side<'a> {
    /// What decides.
    pub generation: &'a Generation,
    /// Names of models besides those that rules name: aliases, and what they stand for.
    pub models: Vec<String>,
    /// Fills in what a call of a model by an agent means.
    pub resolve: &'a (dyn Fn(&CellId, &mut ModelCall) + Sync),
}

/// The answer to a question, the strictest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answered {
    /// It is refused.
    Deny,
    /// People decide.
    Ask,
    /// It is allowed.
    Allow,
}

impl Answered {
    /// Its word, as in tables of expected decisions.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Ask => "ask",
            Self::Allow => "allow",
        }
    }
}

/// A question whose answer differs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Turned {
    /// The question, as [`words`](crate::words) and [`Case::parse`] read it.
    pub question: String,
    /// Before.
    pub before: Answered,
    /// After.
    pub after: Answered,
}

/// What became of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Became {
    /// There was none like it.
    Added,
    /// It is there no more.
    Removed,
    /// It says something else under the same id.
    Changed,
}

/// A policy that differs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ChangedPolicy {
    /// What became of it.
    pub became: Became,
    /// Whose it is; `None` where it stands in a file.
    pub agent: Option<String>,
    /// Its id.
    pub id: String,
    /// What it says now, or said.
    pub text: String,
}

/// All that differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Comparison {
    /// Policies that differ.
    pub policies: Vec<ChangedPolicy>,
    /// How many more do.
    pub more_policies: usize,
    /// What else is decided by and differs: rule sets and labels, a line each.
    pub settings: Vec<String>,
    /// Questions whose answers differ.
    pub turned: Vec<Turned>,
    /// How many questions were put to both.
    pub asked: usize,
    /// How many more there would have been.
    pub left_out: usize,
}

impl Comparison {
    /// What is less refused than before.
    pub fn newly_allowed(&self) -> impl Iterator<Item = &Turned> {
        self.turned.iter().filter(|turned| turned.after > turned.before)
    }

    /// What is more refused than before.
    pub fn newly_refused(&self) -> impl Iterator<Item = &Turned> {
        self.turned.iter().filter(|turned| turned.after < turned.before)
    }

    /// Whether nothing differs that anything is decided by.
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty() && self.settings.is_empty() && self.turned.is_empty()
    }
}

/// Compares what was with what is to be.
pub fn compare(before: &Side<'_>, after: &Side<'_>) -> Comparison {
    asking(before, after, MOST_QUESTIONS)
}

/// Compares with at most so many questions.
fn asking(before: &Side<'_>, after: &Side<'_>, most: usize) -> Comparison {
    let mut comparison = Comparison::default();
    of_files(before.generation, after.generation, &mut comparison);
    of_labels(before.generation, after.generation, &mut comparison);
    let everywhere = !comparison.policies.is_empty() || !comparison.settings.is_empty();
    let mut cells: Vec<&CellId> = before.generation.cells().chain(after.generation.cells()).collect();
    cells.sort_unstable();
    cells.dedup();
    let mut probes = Probes::new(most);
    for cell in cells {
        let differed = (comparison.policies.len(), comparison.settings.len());
        of_cell(before.generation, after.generation, cell, &mut comparison);
        // Where nothing differs that an agent's questions are decided by, no answer does.
        if everywhere
            || differed != (comparison.policies.len(), comparison.settings.len())
            || before.models != after.models
            || before.generation.rules(cell) != after.generation.rules(cell)
        {
            probes.of(cell, before, after);
        }
    }
    comparison.more_policies = comparison.policies.len().saturating_sub(MOST_POLICIES);
    comparison.policies.truncate(MOST_POLICIES);
    comparison.left_out = probes.left_out();
    ask(before, after, probes.into_questions(), &mut comparison);
    comparison
}

/// The policies of files.
fn of_files(before: &Generation, after: &Generation, comparison: &mut Comparison) {
    let texts = |generation: &Generation| {
        let policies = generation.written().policies().map(|policy| (policy.id().to_string(), policy.to_string()));
        policies.collect::<Vec<_>>()
    };
    of_policies(None, &texts(before), &texts(after), comparison);
}

fn of_labels(before: &Generation, after: &Generation, comparison: &mut Comparison) {
    let (old, new) = (before.labels(), after.labels());
    let differs = [
        ("tools", old.tools != new.tools),
        ("hosts", old.hosts != new.hosts),
        ("paths", old.paths != new.paths),
        ("users", old.users != new.users),
    ];
    let lines = differs.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| format!("labels.{key}"));
    comparison.settings.extend(lines);
}

/// The policies and rule sets of one agent.
fn of_cell(before: &Generation, after: &Generation, cell: &CellId, comparison: &mut Comparison) {
    let texts = |generation: &Generation| {
        let rules = generation.rules(cell);
        let policies = compile(cell, &rules.networks, rules.models.as_ref()).into_iter();
        // The first line is the id, which changes with the place in the list.
        policies.map(|policy| (policy.id, without_id(&policy.text))).collect::<Vec<_>>()
    };
    of_policies(Some(cell), &texts(before), &texts(after), comparison);
    let (old, new) = (before.rule_sets(cell), after.rule_sets(cell));
    if old != new {
        let names = |sets: &[RuleSet]| sets.iter().map(|set| set.name()).collect::<Vec<_>>().join(", ");
        comparison.settings.push(format!("agents.{cell}: rule sets [{}] instead of [{}]", names(new), names(old)));
    }
    let group = |generation: &Generation| generation.rules(cell).models.and_then(|access| access.group);
    if group(before) != group(after) {
        let name = |group: Option<String>| group.unwrap_or_else(|| "none".to_owned());
        let line = format!("agents.{cell}: group {} instead of {}", name(group(after)), name(group(before)));
        comparison.settings.push(line);
    }
}

fn without_id(text: &str) -> String {
    text.split_once('\n').map_or(text, |(_, rest)| rest).to_owned()
}

fn of_policies(agent: Option<&CellId>, old: &[(String, String)], new: &[(String, String)], to: &mut Comparison) {
    let mut policy = |became, id: &str, text: &str| {
        let agent = agent.map(CellId::to_string);
        let text = text.get(..text.floor_char_boundary(LONGEST_TEXT)).unwrap_or_default().to_owned();
        to.policies.push(ChangedPolicy { became, agent, id: id.to_owned(), text });
    };
    let gone = missing(old, new);
    let come = missing(new, old);
    let ids = |policies: &[(&'_ str, &'_ str)]| policies.iter().map(|(id, _)| (*id).to_owned()).collect::<HashSet<_>>();
    let (ids_gone, ids_come) = (ids(&gone), ids(&come));
    for (id, text) in gone.into_iter().filter(|(id, _)| !ids_come.contains(*id)) {
        policy(Became::Removed, id, text);
    }
    for (id, text) in come {
        let became = if ids_gone.contains(id) { Became::Changed } else { Became::Added };
        policy(became, id, text);
    }
}

/// Those of `these` that say what none of `others` says.
fn missing<'t>(these: &'t [(String, String)], others: &[(String, String)]) -> Vec<(&'t str, &'t str)> {
    let said: HashSet<&str> = others.iter().map(|(_, text)| text.as_str()).collect();
    these
        .iter()
        .filter(|(_, text)| !said.contains(text.as_str()))
        .map(|(id, text)| (id.as_str(), text.as_str()))
        .collect()
}

/// What sessions can have read where that matters.
const SESSIONS: [Label; 5] = [
    NOTHING_READ,
    Label::new(Trust::Untrusted, DataClass::Public),
    Label::new(Trust::Trusted, DataClass::Secret),
    Label::new(Trust::Untrusted, DataClass::Secret),
    Label::suspect(Level::Suspect),
];

/// Both engines of an agent, with a session that they share.
struct Both {
    before: Engine,
    after: Engine,
    session: Arc<Session>,
    sessions: &'static [Label],
}

/// Puts the questions to both.
fn ask(before: &Side<'_>, after: &Side<'_>, questions: Vec<(CellId, Vec<String>)>, to: &mut Comparison) {
    let policies = [before, after].map(|side| Policies::new(side.generation.clone()));
    let [old, new] = &policies;
    let mut engines: BTreeMap<CellId, Both> = BTreeMap::new();
    for (cell, words) in questions {
        let both = engines.entry(cell.clone()).or_insert_with(|| {
            let session = Arc::new(Session::default());
            let of = |policies: &Policies| Engine::of(policies.clone(), cell.clone(), Arc::clone(&session));
            let looked_at = [before, after].iter().any(|side| side.generation.looks_at_sessions(&cell));
            let sessions = if looked_at { &SESSIONS[..] } else { &SESSIONS[..1] };
            Both { before: of(old), after: of(new), session, sessions }
        });
        let mut told = Vec::new();
        for label in both.sessions {
            let mut words = words.clone();
            if *label != NOTHING_READ {
                words.insert(0, format!("{cell}[{label}]"));
            } else {
                words.insert(0, cell.to_string());
            }
            // What cannot be asked is nothing that can be done.
            let Ok(case) = Case::parse(&words) else { continue };
            both.session.reset();
            both.session.read(*label);
            let answers = (answer(before, &both.before, &case), answer(after, &both.after, &case));
            to.asked += 1;
            if answers.0 != answers.1 && !told.contains(&answers) {
                told.push(answers);
                to.turned.push(Turned { question: line(&words), before: answers.0, after: answers.1 });
            }
        }
    }
}

fn answer(side: &Side<'_>, engine: &Engine, case: &Case) -> Answered {
    let mut action = case.action.clone();
    if let Action::CallModel(call) = &mut action {
        (side.resolve)(&case.agent, call);
    }
    match engine.would(&action) {
        Ok(would) if would.asking.is_some() => Answered::Ask,
        Ok(_) => Answered::Allow,
        Err(_) => Answered::Deny,
    }
}

/// Words as one line, which a shell takes apart as [`words`](crate::words) does.
pub fn line(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,@%+=".contains(c);
    let quoted = words.iter().map(|word| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r#"'"'"'"#))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
