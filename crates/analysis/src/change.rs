//! What a change of the policies allows.

use std::collections::BTreeMap;

use cedar_policy::{EntityId, EntityUid, Policy};
use cedar_policy_symcc::implies_asserts;
use nanoclaw_policy::Case;

use crate::subject::{Subject, parse};
use crate::{Answer, Prover, Search, Try, aliases, outside, quoted, real};

impl Prover {
    /// Whether `new` allows an agent nothing that `old` does not, of one action of [`nanoclaw_policy::AGENT_ACTIONS`]: nothing with people's
    /// consent, and nothing without. The agent may have read anything, and has read the same in both.
    pub fn allows_nothing_new(&mut self, old: &Subject<'_>, new: &Subject<'_>, action: &'static str) -> Answer {
        let labelled = real::is_about_hosts(action) || action == "tool_call";
        if labelled && old.generation.labels() != new.generation.labels() {
            return Answer::Undecided("`labels` changed, so policies see the same request differently".to_owned());
        }
        let moved = |(alias, targets): &(&String, &Vec<String>)| old.aliases.get(*alias) != Some(*targets);
        if action == "model_call"
            && let Some((alias, _)) = new.aliases.iter().find(moved)
        {
            return Answer::Undecided(format!("alias `{alias}` does not stand for what it did"));
        }
        for with_asking in [false, true] {
            let answer = self.deep(|prover| prover.try_nothing_new(old, new, action, with_asking)).flatten();
            match answer.unwrap_or_else(Answer::Undecided) {
                Answer::Proven => {}
                other => return other,
            }
        }
        Answer::Proven
    }

    fn try_nothing_new(
        &mut self,
        old: &Subject<'_>,
        new: &Subject<'_>,
        action: &'static str,
        with_asking: bool,
    ) -> Try<Answer> {
        let all = |subject: &Subject<'_>| -> Try<Vec<Policy>> {
            let mut policies = subject.policies(action, with_asking)?;
            if action == "model_call" {
                policies.extend(aliases::of_policies(&policies, subject.aliases)?);
            }
            Ok(policies)
        };
        let after = all(new)?;
        // An agent may change its group: the groups that the old policies name are told from those of the new.
        let (before, groups) = regrouped(&all(old)?, old.group().as_deref())?;
        let environment = self.environment_of(action)?;
        let was = self.compile(&before, &environment)?;
        let mentioned: Vec<&Policy> = after.iter().collect();
        self.search(Search {
            agent: new.agent.as_str(),
            action,
            find: &mut |prover, conditions| {
                let conditions: Vec<String> = groups.iter().chain(conditions).cloned().collect();
                let scope = parse("scope", &new.scope(action, &mentioned, &conditions))?;
                let is = prover.compile(after.iter().chain([&outside(&scope)?]), &environment)?;
                Ok(prover.solve(&implies_asserts(&is, &was)))
            },
            shows: &|case: &Case| {
                let allows = |subject: &Subject<'_>| {
                    subject.decide(case).is_ok_and(|would| !with_asking || would.asking.is_none())
                };
                allows(new) && !allows(old)
            },
        })
    }
}

/// The policies with other names for their groups, and which of these the agent is in.
fn regrouped(policies: &[Policy], group: Option<&str>) -> Try<(Vec<Policy>, Vec<String>)> {
    let mut names = BTreeMap::new();
    let mut conditions = Vec::new();
    let literals = policies.iter().flat_map(Policy::entity_literals);
    for uid in literals.filter(|uid| uid.type_name().basename() == "Group") {
        let id = uid.id().unescaped().to_owned();
        let name = format!("before {id}");
        if names.contains_key(&uid) {
            continue;
        }
        let is = if group == Some(&id) { "" } else { "!" };
        conditions.push(format!("{is}(principal in Group::{})", quoted(&name)));
        let other = EntityUid::from_type_name_and_id(uid.type_name().clone(), EntityId::new(name));
        names.insert(uid, other);
    }
    let renamed = policies.iter().map(|policy| policy.sub_entity_literals(names.clone()));
    let renamed = renamed.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    Ok((renamed, conditions))
}
