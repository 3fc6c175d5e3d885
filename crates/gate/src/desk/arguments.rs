//! Arguments of tools, read so that nobody can read them in another way.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The first whole number that a reader with floating-point numbers may take for another one.
const UNSAFE_INTEGER: f64 = 9_007_199_254_740_992.0;

/// The arguments as an object whose keys are sorted at every depth, so that what says the same is the same. `None` where
/// two readers could read them differently: they are no object, hold a key twice, or a number that not all can hold.
pub(super) fn canonical(text: &str) -> Option<Value> {
    // No arguments at all is how some models say that there are none.
    if text.trim().is_empty() {
        return Some(Value::Object(Map::new()));
    }
    let Strict(mut value) = serde_json::from_str(text).ok()?;
    value.sort_all_objects();
    value.is_object().then_some(value)
}

/// A value that can be read in one way only.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Strict)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON that can be read in one way only")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        safe(value as f64).map(|()| value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        safe(value as f64).map(|()| value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        safe(value)?;
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("no finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((key, Strict(value))) = fields.next_entry::<String, _>()? {
            if object.insert(key, value).is_some() {
                return Err(A::Error::custom("a key stands there twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

fn safe<E: Error>(value: f64) -> Result<(), E> {
    if value.abs() < UNSAFE_INTEGER { Ok(()) } else { Err(E::custom("a number that not every reader can hold")) }
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
