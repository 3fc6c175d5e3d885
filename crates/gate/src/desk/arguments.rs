//! Arguments of tools, read so that nobody can read them in another way.

use nanoclaw_request::json;
use serde_json::{Map, Value};

/// The first whole number that a reader with floating-point numbers may take for another one.
const UNSAFE_INTEGER: f64 = 9_007_199_254_740_992.0;

/// The arguments as an object whose keys are sorted at every depth, so that what says the same is the same. `None` where
/// two readers could read them differently: they are no object, hold a key twice, or a number that not all can hold.
pub(super) fn canonical(text: &str) -> Option<Value> {
    // No arguments at all is how some models say that there are none.
    if text.trim().is_empty() {
        return Some(Value::Object(Map::new()));
    }
    let mut value = json::strict(text.as_bytes())?;
    value.sort_all_objects();
    (value.is_object() && numbers_are_safe(&value)).then_some(value)
}

fn numbers_are_safe(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64().is_some_and(|number| number.abs() < UNSAFE_INTEGER),
        Value::Array(items) => items.iter().all(numbers_are_safe),
        Value::Object(fields) => fields.values().all(numbers_are_safe),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_the_same_is_the_same() {
        let same = [
            r#"{"to":"a","cc":{"x":1,"y":[true,null]}}"#,
            " {\n\t\"cc\": {\"y\": [true, null], \"x\": 1},\n \"\\u0074o\": \"\\u0061\"} ",
        ];
        let texts = same.map(|text| canonical(text).unwrap().to_string());
        assert_eq!(texts[0], r#"{"cc":{"x":1,"y":[true,null]},"to":"a"}"#);
        assert_eq!(texts[0], texts[1]);
        assert_eq!(canonical(" ").unwrap(), canonical("{}").unwrap());
    }

    #[test]
    fn what_says_something_else_is_something_else() {
        for (one, other) in [
            (r#"{"a":1}"#, r#"{"a":"1"}"#),
            (r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#),
            (r#"{"a":"[1]"}"#, r#"{"a":[1]}"#),
            (r#"{"a":null}"#, "{}"),
            (r#"{"a":"x "}"#, r#"{"a":"x"}"#),
        ] {
            assert_ne!(canonical(one).unwrap(), canonical(other).unwrap(), "{one}");
        }
    }

    #[test]
    fn what_two_readers_read_differently_is_not_read() {
        for text in [
            r#"{"to":"a","to":"b"}"#,
            r#"{"deep":[{"to":"a","\u0074o":"b"}]}"#,
            r#"{"amount":9007199254740993}"#,
            r#"{"amount":1e400}"#,
            r#"{"amount":12345678901234567890123}"#,
            r#"["a"]"#,
            r#"{"a":1} {"a":2}"#,
            r#"{"a":1"#,
            "null",
        ] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }
}
