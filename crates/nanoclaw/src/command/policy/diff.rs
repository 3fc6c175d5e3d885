//! `nanoclaw policy diff`: what one configuration decides differently from another.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use nanoclaw_analysis::{ACTIONS, Answer, Prover, Subject, line};
use nanoclaw_policy::{Comparison, Generation};
use nanoclaw_server::policies;

use super::{Loaded, REFUSED};
use crate::command::prove::aliases;
use crate::comparison;
use crate::output::{self, Failure};
use crate::terminal::visible;

/// Longest time for one proof about a change: there is one for each action of each agent that differs.
const LONGEST_CHANGE_PROOF: Duration = Duration::from_secs(10);

/// Compares; ends as `diff` does, for what is newly allowed.
pub fn main(old: &Path, new: &Path, json: bool) -> Result<ExitCode, Failure> {
    let (old, new) = (Loaded::load(old)?, Loaded::load(new)?);
    let generation = |loaded: &Loaded| policies::generation(&loaded.config, Arc::clone(&loaded.written));
    let (before, after) = (generation(&old), generation(&new));
    let comparison = policies::compare((&old.config, &before), (&new.config, &after));
    if json {
        output::line(serde_json::to_string(&comparison)?);
    } else {
        comparison::tell(&comparison);
    }
    let mut more = comparison.newly_allowed().next().is_some();
    // What is refuted needs no proof, and what is the same is proven.
    if !more && !json && !comparison.is_empty() {
        more = refuted((&old, &before), (&new, &after), &comparison);
    }
    Ok(if more { ExitCode::from(REFUSED) } else { ExitCode::SUCCESS })
}

/// Has a solver look for anything that is newly allowed, says what it found, and whether it found something.
fn refuted(old: (&Loaded, &Generation), new: (&Loaded, &Generation), comparison: &Comparison) -> bool {
    let mut prover = match Prover::new(None, LONGEST_CHANGE_PROOF) {
        Ok(prover) => prover,
        Err(error) => {
            output::line(format_args!("not proven: {error}"));
            return false;
        }
    };
    let everywhere = comparison.policies.iter().any(|policy| policy.agent.is_none())
        || comparison.settings.iter().any(|setting| setting.starts_with("labels."));
    let ((old, before), (new, after)) = (old, new);
    let aliases = (aliases(&old.config), aliases(&new.config));
    let (mut undecided, mut refuted) = (0_u64, 0_u64);
    for agent in after.cells() {
        let same = before.rules(agent) == after.rules(agent) && before.rule_sets(agent) == after.rule_sets(agent);
        if same && !everywhere && aliases.0 == aliases.1 {
            continue;
        }
        let was = Subject { generation: before, agent, aliases: &aliases.0 };
        let is = Subject { generation: after, agent, aliases: &aliases.1 };
        for action in ACTIONS {
            match prover.allows_nothing_new(&was, &is, action) {
                Answer::Proven | Answer::Empty => {}
                Answer::Refuted(words) => {
                    refuted += 1;
                    output::line(format_args!("newly allowed, as the solver found: {}", visible(&line(&words))));
                }
                Answer::Undecided(why) => {
                    undecided += 1;
                    output::line(format_args!("not proven: {agent}, {action}: {}", visible(&why)));
                }
            }
        }
    }
    if refuted == 0 && undecided == 0 {
        output::line("proven: nothing is newly allowed");
    }
    refuted > 0
}
