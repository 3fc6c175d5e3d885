//! What can be seen of a JSON Schema that cannot work, before a model is asked to follow it.

use serde_json::Value;

/// The types of JSON Schema.
const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];
/// Keywords whose value is a schema.
const ONE: [&str; 8] = ["additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then"];
/// Keywords whose value is a list of schemas. `items` was one too in older drafts.
const LISTS: [&str; 5] = ["allOf", "anyOf", "items", "oneOf", "prefixItems"];
/// Keywords whose value is an object of schemas.
const MAPS: [&str; 5] = ["$defs", "definitions", "dependentSchemas", "patternProperties", "properties"];
/// Most levels of schemas in schemas.
const MAX_DEPTH: usize = 64;

/// Checks the schema of an answer. The error says where it is wrong.
pub(super) fn check(schema: &Value) -> Result<(), String> {
    if !schema.is_object() {
        return Err("it is no JSON Schema, which is a JSON object".to_owned());
    }
    within(schema, "#", MAX_DEPTH)
}

fn within(schema: &Value, place: &str, depth: usize) -> Result<(), String> {
    let Some(rest) = depth.checked_sub(1) else { return Err(format!("it has more than {MAX_DEPTH} levels")) };
    let object = match schema {
        Value::Bool(_) => return Ok(()),
        Value::Object(object) => object,
        _ => return Err(format!("`{}` is no schema, which is an object, `true` or `false`", place.escape_debug())),
    };
    for (key, value) in object {
        let place = format!("{place}/{key}");
        match (key.as_str(), value) {
            ("type", Value::String(name)) => known(name, &place)?,
            ("type", Value::Array(names)) => {
                for name in names {
                    known(name.as_str().unwrap_or_default(), &place)?;
                }
            }
            ("type", _) => known("", &place)?,
            (key, Value::Array(schemas)) if LISTS.contains(&key) => {
                for (at, schema) in schemas.iter().enumerate() {
                    within(schema, &format!("{place}/{at}"), rest)?;
                }
            }
            (key, Value::Object(schemas)) if MAPS.contains(&key) => {
                for (name, schema) in schemas {
                    within(schema, &format!("{place}/{name}"), rest)?;
                }
            }
            (key, value) if ONE.contains(&key) => within(value, &place, rest)?,
            (key, _) if LISTS.contains(&key) => return Err(format!("`{}` is no list", place.escape_debug())),
            (key, _) if MAPS.contains(&key) => return Err(format!("`{}` is no object", place.escape_debug())),
            _ => {}
        }
    }
    Ok(())
}

fn known(name: &str, place: &str) -> Result<(), String> {
    if TYPES.contains(&name) {
        return Ok(());
    }
    Err(format!("`{}` is none of the types {}", place.escape_debug(), TYPES.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schemas_that_cannot_work_are_refused_with_the_place() {
        for (schema, place) in [
            (json!([]), "JSON object"),
            (json!({"type": "nonsense"}), "`#/type`"),
            (json!({"type": ["string", "text"]}), "`#/type`"),
            (json!({"type": 7}), "`#/type`"),
            (json!({"properties": {"n": {"type": "int"}}}), "`#/properties/n/type`"),
            (json!({"properties": []}), "`#/properties` is no object"),
            (json!({"properties": {"n": "string"}}), "`#/properties/n` is no schema"),
            (json!({"items": {"anyOf": [{}, {"type": "date"}]}}), "`#/items/anyOf/1/type`"),
            (json!({"anyOf": {"type": "string"}}), "`#/anyOf` is no list"),
            (json!({"$defs": {"a": {"not": {"type": ""}}}}), "`#/$defs/a/not/type`"),
        ] {
            let error = check(&schema).unwrap_err();
            assert!(error.contains(place), "{schema}: {error}");
        }
        let deep = (0..100).fold(json!({}), |inner, _| json!({"items": inner}));
        assert_eq!(check(&deep).unwrap_err(), "it has more than 64 levels");
    }

    #[test]
    fn schemas_that_work_are_taken() {
        for schema in [
            json!({}),
            json!({"type": "object", "properties": {"type": {"type": ["string", "null"]}, "items": true}, "required": ["type"]}),
            json!({"enum": [{"type": "nonsense"}], "additionalProperties": false, "items": [{}, {"type": "integer"}]}),
        ] {
            assert_eq!(check(&schema), Ok(()), "{schema}");
        }
    }
}
