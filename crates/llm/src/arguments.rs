//! The arguments of a call, read in one way or not at all: where a key stands twice, one reader takes the first and another
//! the last.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Most arguments of one call that are looked at one by one; a call with more cannot be read in one way only.
const MOST_ARGUMENTS: usize = 256;

/// The arguments of a call by key, in their order; `None` where they are no object, hold a key twice at any depth, or are
/// too many.
pub(crate) fn read(text: &str) -> Option<Vec<(String, Value)>> {
    // No arguments at all is how some models say that there are none.
    if text.trim().is_empty() {
        return Some(Vec::new());
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let pairs = reader.deserialize_map(Pairs).ok()?;
    reader.end().ok()?;
    Some(pairs)
}

/// Any JSON; `None` also where a key stands twice in it.
pub(crate) fn json(text: &str) -> Option<Value> {
    serde_json::from_str::<Once>(text).ok().map(|Once(value)| value)
}

struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs: Vec<(String, Value)> = Vec::new();
        while let Some((key, Once(value))) = map.next_entry::<String, Once>()? {
            if pairs.len() == MOST_ARGUMENTS || pairs.iter().any(|(seen, _)| *seen == key) {
                return Err(A::Error::custom("too many arguments, or one twice"));
            }
            pairs.push((key, value));
        }
        Ok(pairs)
    }
}

/// A value in which no key stands twice.
struct Once(Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E: Error>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
                let mut items = Vec::new();
                while let Some(Once(item)) = list.next_element()? {
                    items.push(item);
                }
                Ok(Value::Array(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                let mut fields = Map::new();
                while let Some((key, Once(value))) = map.next_entry::<String, Once>()? {
                    if fields.insert(key, value).is_some() {
                        return Err(A::Error::custom("a key stands twice"));
                    }
                }
                Ok(Value::Object(fields))
            }
        }
        deserializer.deserialize_any(Any).map(Once)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_are_read_in_one_way_or_not_at_all() {
        let pair = |key: &str, value: Value| (key.to_owned(), value);
        assert_eq!(
            read(r#" {"command": "ls", "n": -3, "deep": {"a": [1.5, true, null]}} "#),
            Some(vec![
                pair("command", json!("ls")),
                pair("n", json!(-3)),
                pair("deep", json!({ "a": [1.5, true, null] }))
            ])
        );
        assert_eq!(read(""), Some(Vec::new()));
        for text in [
            r#"{"command": "ls", "command": "rm"}"#,
            r#"{"command": "ls", "c\u006fmmand": "rm"}"#,
            r#"{"to": [{"address": "bob@x.com", "address": "evil@x.org"}]}"#,
            r#"{"command": "ls"} {"command": "rm"}"#,
            r#"["ls"]"#,
            r#"{"command": "ls""#,
            "null",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!((json(r#"[{"a": 1, "a": 2}]"#), json(r#"[{"a": 1}]"#)), (None, Some(json!([{ "a": 1 }]))));
    }
}
