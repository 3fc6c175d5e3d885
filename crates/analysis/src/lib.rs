//! What can be proven about policies, for every request that there can be: that something is never allowed, that no policy
//! fails, that a change allows nothing new.
//!
//! Cedar's symbolic compiler turns policies into formulas and the solver cvc5 looks for a request that contradicts. Where it
//! finds none, there is none. What it finds is asked of [`nanoclaw_policy::Engine`], which decides for the doors: only what
//! that allows too contradicts a statement. Everything else is [`Answer::Undecided`], never [`Answer::Proven`].
#![forbid(unsafe_code)]

mod aliases;
mod change;
mod never;
mod question;
mod real;
mod solver;
mod statement;
mod subject;

use cedar_policy::{Policy, PolicyId, RequestEnv};
use cedar_policy_symcc::CompiledPolicySet;
use nanoclaw_policy::Case;
use serde_json::{Value, json};

pub use solver::{LONGEST_PROOF, Prover, ProverError};
pub use statement::{MAX_STATEMENT, Never, Statement, StatementError, Who};
pub use subject::Subject;

use question::Example;
use solver::Found;

/// Most examples that a solver is asked for until one is a question.
const MOST_EXAMPLES: usize = 4;

/// What was found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is so, for every request.
    Proven,
    /// It is so because there is no such request at all: the statement says nothing.
    Empty,
    /// It is not so: these words of `nanoclaw policy explain` show it.
    Refuted(Vec<String>),
    /// Nobody knows, and why.
    Undecided(String),
}

/// What keeps a question from being put to the solver.
type Try<T> = Result<T, String>;

/// What is done where nothing contradicts, and how it is shown where something does.
struct Search<'s> {
    /// Whose questions they are.
    agent: &'s str,
    action: &'static str,
    /// Looks for a request that contradicts, under further conditions.
    find: &'s mut dyn FnMut(&mut Prover, &[String]) -> Try<Found>,
    /// Whether a question really contradicts.
    shows: &'s dyn Fn(&Case) -> bool,
}

impl Prover {
    /// Looks for what contradicts.
    fn search(&mut self, Search { agent, action, find, shows }: Search<'_>) -> Try<Answer> {
        let first = match find(self, &[])? {
            Found::Nothing => return Ok(Answer::Proven),
            Found::Unknown(why) => return Ok(Answer::Undecided(why)),
            Found::Example(example) => example,
        };
        let shown = |example: &Example<'_>| {
            let is_shown = |words: &Vec<String>| Case::parse(words).is_ok_and(|case| shows(&case));
            example.questions(agent, action).find(is_shown)
        };
        // From here on nothing can be proven any more: what is left out is left out to find an example that can be asked.
        let attribute = real::name_of(action);
        for plain in [real::plain(action), &[]] {
            let mut conditions: Vec<String> =
                plain.iter().chain(real::askable(action)).map(|&text| text.to_owned()).collect();
            for _ in 0..MOST_EXAMPLES {
                let Found::Example(found) = find(self, &conditions)? else { break };
                let example = Example::new(&found);
                if let Some(words) = shown(&example) {
                    return Ok(Answer::Refuted(words));
                }
                let Some(name) = example.name(attribute) else { break };
                conditions.push(format!("resource.{attribute} != {}", quoted(&name)));
            }
        }
        let example = Example::new(&first);
        if let Some(words) = shown(&example) {
            return Ok(Answer::Refuted(words));
        }
        Ok(Answer::Undecided(format!("`policy explain` cannot ask what the solver found: {example}")))
    }

    fn compile<'p>(
        &self,
        policies: impl IntoIterator<Item = &'p Policy>,
        environment: &RequestEnv,
    ) -> Try<CompiledPolicySet> {
        let set = subject::set(policies)?;
        CompiledPolicySet::compile(&set, environment, &self.schema).map_err(reason)
    }

    fn environment_of(&self, action: &str) -> Try<RequestEnv> {
        self.environment(action).ok_or_else(|| format!("the schema has no action `{action}` of agents"))
    }
}

/// A text as Cedar reads it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.escape_default())
}

/// What is wrong, with every mistake that was found in a policy.
fn reason(error: cedar_policy_symcc::err::Error) -> String {
    match &error {
        cedar_policy_symcc::err::Error::PolicyNotWellTyped { errs } => {
            let said = errs.iter().map(|error| {
                let text = error.to_string();
                // Its name would tell nobody anything.
                let after = text.strip_prefix("for policy `").and_then(|rest| rest.split_once("`, "));
                after.map_or_else(|| text.clone(), |(_, mistake)| mistake.to_owned())
            });
            let mut mistakes: Vec<String> = said.collect();
            mistakes.dedup();
            mistakes.join("; ")
        }
        _ => error.to_string(),
    }
}

/// A policy under the conditions of another, which come first.
fn guarded(policy: &Policy, scope: &Policy) -> Try<Policy> {
    let json = |policy: &Policy| policy.to_json().map_err(|error| error.to_string());
    let (mut guarded, mut scope) = (json(policy)?, json(scope)?);
    let first = std::mem::take(conditions(&mut scope)?);
    conditions(&mut guarded)?.splice(0..0, first);
    from_json(guarded)
}

/// What forbids where a policy that permits does not.
fn outside(scope: &Policy) -> Try<Policy> {
    let mut json = scope.to_json().map_err(|error| error.to_string())?;
    let bodies: Vec<Value> = conditions(&mut json)?.iter().filter_map(|kind| kind.get("body").cloned()).collect();
    let both = |right: Value, left: Value| json!({ "&&": { "left": left, "right": right } });
    let body = bodies.into_iter().rev().reduce(both).ok_or("no conditions")?;
    *conditions(&mut json)? = vec![json!({ "kind": "unless", "body": body })];
    if let Some(fields) = json.as_object_mut() {
        fields.insert("effect".to_owned(), json!("forbid"));
    }
    from_json(json)
}

fn conditions(json: &mut Value) -> Try<&mut Vec<Value>> {
    json.get_mut("conditions").and_then(Value::as_array_mut).ok_or_else(|| "a policy without conditions".to_owned())
}

fn from_json(json: Value) -> Try<Policy> {
    Policy::from_json(Some(PolicyId::new("policy")), json).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
