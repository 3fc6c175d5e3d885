//! One agent of a configuration, and what its policies are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use cedar_policy::{ActionConstraint, Effect, EntityUid, Policy, PolicyId, PolicySet};
use nanoclaw_policy::{
    Case, CellRules, Engine, Generation, Policies, Session, Would, Written, base_texts, compile, rule_set_texts,
};
use nanoclaw_request::{Action, CellId, ModelOperation, Refusal};
use serde_json::Value;

use crate::real;

/// One agent, and what decides about it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The policies of the configuration.
    pub generation: &'a Generation,
    /// The agent.
    pub agent: &'a CellId,
    /// What each alias of the configuration stands for, as `provider/model`.
    pub aliases: &'a BTreeMap<String, Vec<String>>,
}

/// The id of the policy that a statement becomes.
const STATEMENT: &str = "statement";
/// The annotation of a policy that leaves the decision to people.
const ASK: &str = "ask";

impl Subject<'_> {
    fn rules(&self) -> CellRules {
        self.generation.rules(self.agent)
    }

    pub(crate) fn group(&self) -> Option<String> {
        self.rules().models.and_then(|models| models.group)
    }

    /// The policies that decide about `action`: with those that ask people, or as if people always agreed.
    pub(crate) fn policies(&self, action: &str, with_asking: bool) -> Result<Vec<Policy>, String> {
        let CellRules { networks, models, .. } = self.rules();
        let compiled = compile(self.agent, &networks, models.as_ref()).into_iter().map(|policy| policy.text);
        let sets = self.generation.rule_sets(self.agent).iter().flat_map(|set| rule_set_texts(*set));
        let texts = base_texts().into_iter().chain(compiled).chain(sets).chain(self.generation.written().texts());
        let mut policies = Vec::new();
        for (number, text) in texts.enumerate() {
            let policy = parse(&format!("p{number}"), &text)?;
            let asks = policy.effect() == Effect::Forbid && policy.annotation(ASK).is_some();
            if covers(&policy, action) && (with_asking || !asks) {
                policies.push(policy);
            }
        }
        Ok(policies)
    }

    fn engine(&self, generation: Generation, session: Session) -> Engine {
        Engine::of(Policies::new(generation), self.agent.clone(), Arc::new(session))
    }

    /// What the agent would be told.
    pub(crate) fn decide(&self, case: &Case) -> Result<Would, Refusal> {
        let mut action = case.action.clone();
        if let Action::CallModel(call) = &mut action {
            // As the model door finds them.
            let aliased = self.aliases.get(&call.asked).cloned();
            call.candidates = aliased.unwrap_or_else(|| vec![call.asked.clone()]);
        }
        self.engine(self.generation.clone(), Session::resumed(case.session)).would(&action)
    }

    /// Whether the policy `text`, which permits, is about what is asked; of an alias, whether it is about any of its models.
    pub(crate) fn fits(&self, text: &str, case: &Case) -> bool {
        let written = format!("@id(\"{STATEMENT}\")\n{text}");
        let Ok(written) = Written::read([(Path::new(STATEMENT), written.as_str())]) else { return false };
        let group = CellRules { rule_sets: Some(Vec::new()), ..self.rules() };
        let generation = Generation::new(Arc::new(written), self.generation.labels().clone(), Vec::new())
            .with_cell(self.agent.clone(), group);
        let engine = self.engine(generation, Session::resumed(case.session));
        let permits =
            |action: &Action| engine.would(action).is_ok_and(|would| would.policies.iter().any(|id| id == STATEMENT));
        match &case.action {
            Action::CallModel(call) if call.operation != ModelOperation::List => {
                let aliased = self.aliases.get(&call.asked).into_iter().flatten();
                let named = |name: &String| {
                    let mut call = call.clone();
                    call.asked.clone_from(name);
                    permits(&Action::CallModel(call))
                };
                std::iter::once(&call.asked).chain(aliased).any(named)
            }
            action => permits(action),
        }
    }

    /// A policy that permits what this agent does as `action` under all of `conditions`. The groups that `policies` name
    /// are those of the agent or not.
    pub(crate) fn scope(&self, action: &str, policies: &[&Policy], conditions: &[String]) -> String {
        let agent = format!("Agent::\"{}\"", self.agent);
        let group = self.group();
        let mut when = vec![format!("principal == {agent}")];
        let literals: BTreeSet<EntityUid> = policies.iter().flat_map(|policy| policy.entity_literals()).collect();
        let (mut names, mut patterns) = (BTreeSet::new(), BTreeSet::new());
        for policy in policies {
            if let Ok(json) = policy.to_json() {
                texts(&json, &mut names, &mut patterns);
            }
        }
        for uid in literals {
            let (kind, id) = (uid.type_name().basename().to_owned(), uid.id().unescaped().to_owned());
            match kind.as_str() {
                "Group" => {
                    let is = if group.as_deref() == Some(&id) { "" } else { "!" };
                    when.push(format!("{is}(principal in {uid})"));
                }
                kind if kind == resource_of(action) => {
                    let attribute = real::name_of(action);
                    when.push(format!("(resource == {uid}) == (resource.{attribute} == \"{}\")", id.escape_default()));
                    names.insert(id);
                }
                _ => {}
            }
        }
        let engine = self.engine(self.generation.clone(), Session::default());
        let mut facts = real::facts(action, &names, &engine);
        if real::is_about_hosts(action) && self.generation.labels().hosts.is_empty() {
            facts.push("!resource.trusted && resource.data == 0".to_owned());
        }
        when.extend(real::always(action));
        if real::is_about_hosts(action) {
            when.extend(real::no_addresses(&patterns));
        }
        when.extend(facts);
        when.extend(conditions.iter().cloned());
        // Nested to the right: the symbolic compiler says the left side of each `&&` more than once.
        let all = when.into_iter().rev().reduce(|rest, clause| format!("({clause}) && ({rest})")).unwrap_or_default();
        format!("permit(principal, action == Action::\"{action}\", resource)\nwhen {{ {all} }};")
    }
}

/// The type of what `action` is done to.
fn resource_of(action: &str) -> &'static str {
    match action {
        "file_write" => "File",
        "exec" => "Program",
        "syscall" => "SystemCall",
        "model_call" => "Model",
        "tool_call" => "Tool",
        _ => "Host",
    }
}

pub(crate) fn parse(id: &str, text: &str) -> Result<Policy, String> {
    Policy::parse(Some(PolicyId::new(id)), text).map_err(|error| format!("{error}: {text}"))
}

/// A set of policies under new ids.
pub(crate) fn set<'p>(policies: impl IntoIterator<Item = &'p Policy>) -> Result<PolicySet, String> {
    let numbered = policies.into_iter().enumerate();
    let renamed = numbered.map(|(number, policy)| policy.new_id(PolicyId::new(format!("p{number}"))));
    PolicySet::from_policies(renamed).map_err(|error| error.to_string())
}

fn covers(policy: &Policy, action: &str) -> bool {
    let is = |uid: &EntityUid| uid.id().unescaped() == action;
    match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::In(actions) => actions.iter().any(is),
        ActionConstraint::Eq(uid) => is(&uid),
    }
}

/// The texts that a policy compares with, and its patterns with a star; those without are texts as well.
fn texts(json: &Value, found: &mut BTreeSet<String>, patterns: &mut BTreeSet<String>) {
    match json {
        Value::Object(fields) => {
            if let Some(Value::String(text)) = fields.get("Value") {
                found.insert(text.clone());
            }
            if let Some(Value::Array(parts)) = fields.get("pattern") {
                let part = |part: &Value| part.get("Literal").and_then(Value::as_str).map(str::to_owned);
                match parts.iter().map(part).collect::<Option<String>>() {
                    Some(text) => found.insert(text),
                    None => {
                        patterns.insert(parts.iter().map(|it| part(it).unwrap_or_else(|| "*".to_owned())).collect())
                    }
                };
            }
            fields.values().for_each(|value| texts(value, found, patterns));
        }
        Value::Array(values) => values.iter().for_each(|value| texts(value, found, patterns)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
