//! Statements about one configuration.

use std::collections::BTreeMap;

use cedar_policy::Policy;
use cedar_policy_symcc::{CompiledPolicy, always_denies_asserts, disjoint_asserts, never_errors_asserts};
use nanoclaw_policy::{AGENT_ACTIONS, Case};
use nanoclaw_request::RefusalCode;

use crate::solver::Found;
use crate::statement::Never;
use crate::subject::{Subject, parse};
use crate::{Answer, Prover, Search, Try, aliases, guarded, reason};

impl Prover {
    /// Whether the agent is never allowed what the statement says.
    pub fn never(&mut self, subject: &Subject<'_>, statement: &Never) -> Answer {
        self.deep(|prover| prover.try_never(subject, statement)).flatten().unwrap_or_else(Answer::Undecided)
    }

    fn try_never(&mut self, subject: &Subject<'_>, statement: &Never) -> Try<Answer> {
        let action = statement.action;
        let policies = subject.policies(action, statement.unasked)?;
        let stated = statement.when.clone().unwrap_or_else(|| "true".to_owned());
        let bare = format!("permit(principal, action == Action::\"{action}\", resource) when {{ {stated} }};");
        let bare = parse("statement", &bare)?;
        let mentioned: Vec<&Policy> = policies.iter().chain([&bare]).collect();
        let scope = |conditions: &[String]| {
            let conditions: Vec<String> = conditions.iter().cloned().chain([stated.clone()]).collect();
            subject.scope(action, &mentioned, &conditions)
        };
        let text = scope(&[]);
        let environment = self.environment_of(action)?;
        let about = |prover: &Self, text: &str| {
            let permit = parse("statement", text)?;
            let of_aliases =
                if action == "model_call" { aliases::of_statement(&permit, subject.aliases)? } else { Vec::new() };
            prover.compile(of_aliases.iter().chain([&permit]), &environment)
        };
        let everything = about(self, &text)?;
        if let Found::Nothing = self.solve(&always_denies_asserts(&everything)) {
            return Ok(Answer::Empty);
        }
        let of_aliases = match action {
            "model_call" => aliases::of_policies(&policies, subject.aliases)?,
            _ => Vec::new(),
        };
        let decides = self.compile(policies.iter().chain(&of_aliases), &environment)?;
        self.search(Search {
            agent: subject.agent.as_str(),
            action,
            find: &mut |prover, conditions| {
                let about = about(prover, &scope(conditions))?;
                Ok(prover.solve(&disjoint_asserts(&decides, &about)))
            },
            shows: &|case: &Case| {
                let would = subject.decide(case);
                would.is_ok_and(|would| !statement.unasked || would.asking.is_none()) && subject.fits(&text, case)
            },
        })
    }

    /// Whether each of the agent's policies can always be evaluated: each by its id, and the answer.
    pub fn never_errors(&mut self, subject: &Subject<'_>) -> Vec<(String, Answer)> {
        let answers = self.deep(|prover| prover.all_never_error(subject)).flatten();
        answers.unwrap_or_else(|why| vec![("all".to_owned(), Answer::Undecided(why))])
    }

    fn all_never_error(&mut self, subject: &Subject<'_>) -> Try<Vec<(String, Answer)>> {
        let mut answers = BTreeMap::new();
        for action in AGENT_ACTIONS {
            for policy in &subject.policies(action, true)? {
                let id = policy.annotation("id").map_or_else(|| policy.to_string(), str::to_owned);
                let answer = self.try_never_errors(subject, action, policy).unwrap_or_else(Answer::Undecided);
                let known = answers.entry(id).or_insert(Answer::Proven);
                if *known == Answer::Proven {
                    *known = answer;
                }
            }
        }
        Ok(answers.into_iter().collect())
    }

    fn try_never_errors(&mut self, subject: &Subject<'_>, action: &'static str, policy: &Policy) -> Try<Answer> {
        let environment = self.environment_of(action)?;
        self.search(Search {
            agent: subject.agent.as_str(),
            action,
            find: &mut |prover, conditions| {
                let scope = parse("scope", &subject.scope(action, &[policy], conditions))?;
                let guarded = guarded(policy, &scope)?;
                let compiled = CompiledPolicy::compile(&guarded, &environment, &prover.schema).map_err(reason)?;
                Ok(prover.solve(&never_errors_asserts(&compiled)))
            },
            shows: &|case: &Case| subject.decide(case).is_err_and(|refusal| refusal.code == RefusalCode::Undecided),
        })
    }
}
