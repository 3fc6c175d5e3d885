//! What is left of schemas.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::schema;

/// The schema of one tool's arguments.
fn arguments(schema: &Value) -> Value {
    schema::arguments([schema]).remove(0)
}

#[test]
fn schemas_are_reduced_to_what_the_converter_knows() {
    let any = json!({ "type": ["string", "number", "boolean", "object", "array", "null"] });
    let text = json!({ "type": "string" });
    for (given, expected) in [
        (
            json!({ "type": "string", "pattern": "(?=a)", "format": "uri", "maxLength": 9, "description": "x" }),
            text.clone(),
        ),
        (json!({ "type": "integer", "minimum": 1, "default": 2 }), json!({ "type": "integer" })),
        (json!({ "type": ["string", "null"], "minLength": 1 }), json!({ "anyOf": [text, { "type": "null" }] })),
        (json!({ "type": "string", "enum": ["a", "b"] }), json!({ "enum": ["a", "b"] })),
        (json!({ "enum": [] }), any.clone()),
        (json!({ "const": { "a": [1] }, "title": "x" }), json!({ "const": { "a": [1] } })),
        (json!({ "type": "array" }), json!({ "type": "array", "items": any })),
        (
            json!({ "items": { "type": "string" }, "minItems": 1, "maxItems": 5, "uniqueItems": true }),
            json!({ "type": "array", "items": text, "minItems": 1, "maxItems": 5 }),
        ),
        (
            json!({ "type": "array", "items": { "type": "string" }, "minItems": 1_000_000, "maxItems": 2_000_000 }),
            json!({ "type": "array", "items": text }),
        ),
        (
            json!({ "oneOf": [{ "type": "string" }, { "type": "null" }] }),
            json!({ "anyOf": [text, { "type": "null" }] }),
        ),
        (json!({ "allOf": [{ "$ref": "#/$defs/t" }] }), text.clone()),
        (json!({ "allOf": [{ "type": "string" }, { "minLength": 1 }] }), any.clone()),
        (json!({ "$ref": "#/$defs/t", "description": "x" }), text.clone()),
        (json!({ "$ref": "#/$defs/none" }), any.clone()),
        (json!({ "$ref": "https://a.example/s" }), any.clone()),
        (json!({ "type": "object" }), json!({ "type": "object" })),
        (
            json!({ "type": "object", "additionalProperties": { "type": "string", "minLength": 1 } }),
            json!({ "type": "object", "additionalProperties": text }),
        ),
        (
            json!({ "properties": { "a": { "type": "string" } }, "required": ["a", "b", 1], "anyOf": [{ "required": ["a"] }] }),
            json!({ "type": "object", "required": ["a"], "properties": { "a": text }, "additionalProperties": false }),
        ),
        (json!({ "not": { "type": "string" } }), any.clone()),
        (json!({ "type": "file" }), any.clone()),
        (json!(true), any.clone()),
    ] {
        let root = json!({ "type": "object", "properties": { "x": given }, "$defs": { "t": { "type": "string", "title": "T" } } });
        let simple = arguments(&root);
        assert_eq!(simple.pointer("/properties/x"), Some(&expected), "{given}");
    }
}

#[test]
fn arguments_are_always_an_object() {
    for given in [
        json!({}),
        json!(null),
        json!({ "type": "string" }),
        json!({ "anyOf": [{ "type": "object" }, { "type": "null" }] }),
    ] {
        assert_eq!(arguments(&given), json!({ "type": "object" }), "{given}");
    }
}

#[test]
fn references_in_circles_and_many_of_them_come_to_an_end() {
    let circle = json!({ "type": "object", "properties": { "a": { "$ref": "#" }, "b": { "$ref": "#/properties/b" } } });
    assert!(arguments(&circle).to_string().len() < 1 << 20);
    let many: Map<String, Value> = (0..50).map(|n| (format!("p{n}"), json!({ "$ref": "#" }))).collect();
    let many = json!({ "type": "object", "properties": many });
    let together = schema::arguments(std::iter::repeat_n(&many, 1_000));
    assert!(together.iter().map(|schema| schema.to_string().len()).sum::<usize>() < 1 << 20);
    assert_eq!(together.last(), Some(&json!({ "type": "object" })), "there is no room left for the last ones");
}

#[test]
fn a_long_value_is_not_repeated_by_references() {
    let text = "x".repeat(200_000);
    let long: Map<String, Value> = (0..100).map(|n| (format!("p{n}"), json!({ "$ref": "#/$defs/long" }))).collect();
    for word in [json!({ "const": text }), json!({ "enum": [text] })] {
        let schema = json!({ "type": "object", "properties": long, "$defs": { "long": word } });
        let simple = arguments(&schema).to_string();
        assert!(simple.contains(&text), "once it is short enough");
        assert!(simple.len() < 500_000, "{}", simple.len());
    }
}

pub(super) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        prop::sample::select(vec!["string", "object", "array", "integer", "#", "#/properties/a"]).prop_map(Value::from),
    ];
    let keys = vec![
        "type",
        "properties",
        "required",
        "items",
        "enum",
        "const",
        "anyOf",
        "oneOf",
        "allOf",
        "$ref",
        "minItems",
        "maxItems",
        "additionalProperties",
        "description",
        "a",
        "b",
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        let entries = prop::collection::vec((prop::sample::select(keys.clone()), inner.clone()), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            entries.prop_map(|entries| entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

/// Whether the converter knows every word of a schema.
pub(super) fn known(schema: &Value) -> bool {
    let Some(schema) = schema.as_object() else { return false };
    schema.iter().all(|(key, value)| match key.as_str() {
        "type" => value.is_string() || value.as_array().is_some_and(|kinds| kinds.iter().all(Value::is_string)),
        "const" => true,
        "enum" => value.as_array().is_some_and(|values| !values.is_empty()),
        "anyOf" => value.as_array().is_some_and(|choices| choices.len() > 1 && choices.iter().all(known)),
        "items" => known(value),
        "properties" => {
            value.as_object().is_some_and(|properties| !properties.is_empty() && properties.values().all(known))
        }
        "required" => value.as_array().is_some_and(|names| {
            names.iter().all(|name| name.as_str().is_some_and(|name| schema["properties"].get(name).is_some()))
        }),
        "additionalProperties" => *value == Value::Bool(false) || known(value),
        "minItems" | "maxItems" => value.as_u64().is_some_and(|count| count <= 64),
        _ => false,
    }) && !schema.is_empty()
}

proptest! {
    #[test]
    fn any_schema_is_reduced_to_known_words(given in any_json()) {
        let simple = arguments(&given);
        prop_assert!(known(&simple), "{given} became {simple}");
    }

    #[test]
    fn reducing_twice_changes_nothing(given in any_json()) {
        let simple = arguments(&given);
        let depth = simple.to_string().matches('{').count();
        prop_assume!(depth < 10);
        let again = arguments(&simple);
        let spelt = |schema: &Value| schema.to_string().replace(r#"{"type":["string","number","boolean","object","array","null"]}"#, "ANY");
        let expanded = r#"{"anyOf":[{"type":"string"},{"type":"number"},{"type":"boolean"},{"type":"object"},{"type":"array","items":ANY},{"type":"null"}]}"#;
        prop_assert_eq!(spelt(&again).replace(expanded, "ANY"), spelt(&simple));
    }
}
