//! What aliases of models change. One is permitted by its own name or by the names of all that it stands for, and forbidden
//! by each of them; Cedar is asked name by name. So the policies are said again of the aliases.

use std::collections::BTreeMap;

use cedar_policy::{Effect, Policy};
use serde_json::{Value, json};

/// What `policies` mean for aliases, in policies about their names.
pub(crate) fn of_policies(policies: &[Policy], aliases: &BTreeMap<String, Vec<String>>) -> Result<Vec<Policy>, String> {
    let mut more = Vec::new();
    for (alias, targets) in aliases {
        for (number, target) in targets.iter().enumerate() {
            for policy in policies {
                // All that it stands for must be permitted; to take the first for all permits no less.
                if policy.effect() == Effect::Forbid || number == 0 {
                    more.extend(said_of(policy, target, alias)?);
                }
            }
        }
    }
    Ok(more)
}

/// What a statement about models means for those who are asked for by an alias.
pub(crate) fn of_statement(statement: &Policy, aliases: &BTreeMap<String, Vec<String>>) -> Result<Vec<Policy>, String> {
    let pairs = aliases.iter().flat_map(|(alias, targets)| targets.iter().map(move |target| (alias, target)));
    let mut more = Vec::new();
    for (alias, target) in pairs {
        more.extend(said_of(statement, target, alias)?);
    }
    Ok(more)
}

/// What `policy` says of the model `name`, said of `alias`; nothing if it is about another.
fn said_of(policy: &Policy, name: &str, alias: &str) -> Result<Option<Policy>, String> {
    let mut json = policy.to_json().map_err(|error| error.to_string())?;
    let scope = json.get("resource");
    let entity = scope.and_then(|scope| scope.get("entity"));
    if let Some(entity) = entity {
        let same = entity.get("id").or_else(|| entity.pointer("/__entity/id")).and_then(Value::as_str) == Some(name);
        if !same {
            return Ok(None);
        }
    }
    let conditions = crate::conditions(&mut json)?;
    conditions.iter_mut().for_each(|condition| put(condition, name));
    let is_alias = json!({ "==": { "left": name_of_resource(), "right": { "Value": alias } } });
    conditions.insert(0, json!({ "kind": "when", "body": is_alias }));
    if let Some(fields) = json.as_object_mut() {
        fields.insert("resource".to_owned(), json!({ "op": "All" }));
    }
    crate::from_json(json).map(Some)
}

fn name_of_resource() -> Value {
    json!({ ".": { "left": { "Var": "resource" }, "attr": "name" } })
}

/// Puts a model's name for that of the resource, and the model for the resource.
fn put(json: &mut Value, name: &str) {
    if *json == name_of_resource() {
        *json = json!({ "Value": name });
    } else if *json == json!({ "Var": "resource" }) {
        *json = json!({ "Value": { "__entity": { "type": "Model", "id": name } } });
    } else {
        match json {
            Value::Object(fields) => fields.values_mut().for_each(|value| put(value, name)),
            Value::Array(values) => values.iter_mut().for_each(|value| put(value, name)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::parse;

    #[test]
    fn a_policy_about_a_model_is_said_of_the_alias_that_leads_to_it() {
        let said = |text: &str| {
            let policy = parse("x", text).unwrap();
            said_of(&policy, "a/big", "fast").unwrap().map(|policy| policy.to_cedar().unwrap())
        };
        let text = "forbid(principal, action == Action::\"model_call\", resource) when { resource.name like \"a/*\" } unless { resource == Model::\"a/b\" };";
        let expected = "resource.name == \"fast\"";
        let found = said(text).unwrap();
        assert!(found.contains(expected), "{found}");
        assert!(
            found.contains("\"a/big\" like \"a/*\"") && found.contains("Model::\"a/big\" == Model::\"a/b\""),
            "{found}"
        );
        let one = |id: &str| format!("permit(principal, action, resource == Model::\"{id}\");");
        assert!(said(&one("a/big")).unwrap().contains(expected));
        assert_eq!(said(&one("a/b")), None);
    }
}
