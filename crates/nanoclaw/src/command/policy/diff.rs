//! `nanoclaw policy diff`: what one configuration decides differently from another.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use nanoclaw_analysis::{Answer, Prover, Subject};
use nanoclaw_policy::{AGENT_ACTIONS, Comparison, Generation, line};
use nanoclaw_server::policies;
use nanoclaw_server::reload::{Later, waiting};
use serde::Serialize;

use super::{Loaded, REFUSED, failed};
use crate::command::prove::aliases;
use crate::comparison;
use crate::output::{self, Failure};
use crate::terminal::visible;

/// Longest time for one proof about a change: there is one for each action of each agent that differs.
const LONGEST_CHANGE_PROOF: Duration = Duration::from_secs(10);

/// All that differs, for programs.
#[derive(Serialize)]
struct Difference<'d> {
    #[serde(flatten)]
    comparison: &'d Comparison,
    /// What policy does not decide and differs.
    beside: &'d [Later],
    /// Agents that only the old one has.
    removed: &'d [String],
    /// Agents that only the new one has.
    added: &'d [String],
    proof: &'d Proof,
}

/// What a solver says to the statement that nothing is newly allowed.
#[derive(Default, Serialize)]
struct Proof {
    /// It is so, for every request.
    proven: bool,
    /// It is not: questions, as `nanoclaw policy explain` takes them.
    newly_allowed: Vec<String>,
    /// What is neither proven nor refuted, and why.
    not_proven: Vec<String>,
}

/// Compares; ends as `diff` does, for what is newly allowed.
pub fn main(old: &Path, new: &Path, json: bool) -> Result<ExitCode, Failure> {
    let (old, new) = (Loaded::load(old)?, Loaded::load(new)?);
    let generation = |loaded: &Loaded| policies::generation(&loaded.config, Arc::clone(&loaded.written));
    let (before, after) = (generation(&old), generation(&new));
    let compared = policies::deep(|| policies::compare((&old.config, &before), (&new.config, &after)));
    let mut comparison = compared.map_err(failed)?;
    let (lines, eased) = policies::approvals(old.config.approvals, new.config.approvals);
    comparison.settings.extend(lines);
    let (beside, removed, added) = waiting(&old.config, &new.config);
    let more = eased || comparison.newly_allowed().next().is_some();
    let same = comparison.is_empty() && aliases(&old.config) == aliases(&new.config);
    // What is refuted needs no proof, and what is the same is proven.
    let proof = match (more, same) {
        (true, _) => Proof::default(),
        (false, true) => Proof { proven: true, ..Proof::default() },
        (false, false) => proof((&old, &before), (&new, &after), &comparison),
    };
    let more = more || !proof.newly_allowed.is_empty();
    if json {
        let (beside, removed, added) = (beside.as_slice(), removed.as_slice(), added.as_slice());
        let all = Difference { comparison: &comparison, beside, removed, added, proof: &proof };
        output::line(serde_json::to_string(&all)?);
    } else {
        comparison::tell(&comparison);
        if !(beside.is_empty() && removed.is_empty() && added.is_empty()) {
            output::line("beside what policy decides:");
        }
        comparison::waiting(&beside);
        added.iter().for_each(|agent| output::line(format_args!("  agent {agent}: it is new")));
        removed.iter().for_each(|agent| output::line(format_args!("  agent {agent}: it is gone")));
        if !same {
            tell(&proof);
        }
    }
    Ok(if more { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS })
}

fn tell(Proof { proven, newly_allowed, not_proven }: &Proof) {
    for question in newly_allowed {
        output::line(format_args!("newly allowed, as the solver found: {}", visible(question)));
    }
    for what in not_proven {
        output::line(format_args!("not proven: {}", visible(what)));
    }
    if *proven {
        output::line("proven: nothing is newly allowed");
    }
}

/// Has a solver look for anything that is newly allowed.
fn proof(old: (&Loaded, &Generation), new: (&Loaded, &Generation), comparison: &Comparison) -> Proof {
    let mut proof = Proof::default();
    let mut prover = match Prover::new(None, LONGEST_CHANGE_PROOF) {
        Ok(prover) => prover,
        Err(error) => {
            proof.not_proven.push(error.to_string());
            return proof;
        }
    };
    let ((old, before), (new, after)) = (old, new);
    let of_people = |loaded: &Loaded| loaded.written.of_people().collect::<BTreeSet<_>>();
    if of_people(old) != of_people(new) {
        proof
            .not_proven
            .push("what people may do: policies of files about that differ, and are not looked into".to_owned());
    }
    let everywhere = comparison.policies.iter().any(|policy| policy.agent.is_none())
        || comparison.settings.iter().any(|setting| setting.starts_with("labels."));
    let aliases = (aliases(&old.config), aliases(&new.config));
    for agent in after.cells() {
        let same = before.rules(agent) == after.rules(agent) && before.rule_sets(agent) == after.rule_sets(agent);
        if same && !everywhere && aliases.0 == aliases.1 {
            continue;
        }
        let was = Subject { generation: before, agent, aliases: &aliases.0 };
        let is = Subject { generation: after, agent, aliases: &aliases.1 };
        for action in AGENT_ACTIONS {
            match prover.allows_nothing_new(&was, &is, action) {
                Answer::Proven | Answer::Empty => {}
                Answer::Refuted(words) => proof.newly_allowed.push(line(&words)),
                Answer::Undecided(why) => proof.not_proven.push(format!("{agent}, {action}: {why}")),
            }
        }
    }
    proof.proven = proof.newly_allowed.is_empty() && proof.not_proven.is_empty();
    proof
}
