//! What a policy of a file speaks of by name.

use std::collections::BTreeSet;

use cedar_policy::{ActionConstraint, Policy};
use serde_json::Value;

use crate::slice::AGENT_ACTIONS;

/// The names, texts and numbers that stand in a policy.
#[derive(Debug, Default)]
pub(super) struct Literals {
    /// The actions of agents that it can be about.
    pub(super) actions: Vec<&'static str>,
    /// Entities as type and id.
    entities: BTreeSet<(String, String)>,
    /// Texts, and texts that patterns describe.
    pub(super) texts: BTreeSet<String>,
    /// Names of tags: arguments of tools.
    pub(super) keys: BTreeSet<String>,
    /// Numbers.
    pub(super) numbers: BTreeSet<i64>,
}

/// What a star of a pattern is taken to stand for.
pub(super) const ANYTHING: &str = "x";

impl Literals {
    /// What stands in `policy`.
    pub(super) fn of(policy: &Policy) -> Self {
        let scope = policy.action_constraint();
        let covers = |action: &&&str| match &scope {
            ActionConstraint::Any => true,
            ActionConstraint::In(uids) => uids.iter().any(|uid| uid.id().unescaped() == **action),
            ActionConstraint::Eq(uid) => uid.id().unescaped() == **action,
        };
        let actions = AGENT_ACTIONS.iter().filter(covers).copied().collect();
        let mut literals = Self { actions, ..Self::default() };
        if let Ok(json) = policy.to_json() {
            for part in ["resource", "conditions"] {
                json.get(part).into_iter().for_each(|part| literals.walk(part));
            }
        }
        literals
    }

    /// The ids of entities of this type.
    pub(super) fn ids(&self, of_type: &str) -> Vec<String> {
        let ids = self.entities.iter().filter(|(kind, _)| kind == of_type);
        ids.map(|(_, id)| id.clone()).collect()
    }

    fn walk(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.walk(item)),
            Value::Object(fields) => {
                if let (Some(Value::String(kind)), Some(Value::String(id))) = (fields.get("type"), fields.get("id")) {
                    self.entities.insert((kind.clone(), id.clone()));
                    return;
                }
                for (key, value) in fields {
                    match (key.as_str(), value) {
                        ("Value", value) => self.value(value),
                        ("like", Value::Object(like)) => {
                            like.get("left").into_iter().for_each(|left| self.walk(left));
                            self.texts
                                .extend(like.get("pattern").and_then(Value::as_array).map(|parts| described(parts)));
                        }
                        ("getTag" | "hasTag", Value::Object(sides)) => {
                            sides.get("left").into_iter().for_each(|left| self.walk(left));
                            let key = sides.get("right").and_then(|right| right.get("Value")).and_then(Value::as_str);
                            self.keys.extend(key.map(str::to_owned));
                        }
                        // Annotations, names of attributes and of variables.
                        ("annotations" | "attr" | "Var", _) => {}
                        (_, value) => self.walk(value),
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::String(text) => {
                self.texts.insert(text.clone());
            }
            Value::Number(number) => self.numbers.extend(number.as_i64()),
            Value::Object(fields) => fields.get("__entity").into_iter().for_each(|entity| self.walk(entity)),
            Value::Array(items) => items.iter().for_each(|item| self.value(item)),
            Value::Null | Value::Bool(_) => {}
        }
    }
}

/// A text that a pattern of Cedar describes.
fn described(parts: &[Value]) -> String {
    let part = |part: &Value| match part.get("Literal").and_then(Value::as_str) {
        Some(literal) => literal.to_owned(),
        None => ANYTHING.to_owned(),
    };
    parts.iter().map(part).collect()
}
