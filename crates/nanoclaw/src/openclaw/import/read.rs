//! JSON5 of somebody else, with bounds.

use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Deepest nesting of lists and objects.
const MAX_DEPTH: usize = 64;

/// Reads a text. Infinite numbers and NaN become null; of a key that is there twice, the later counts.
///
/// # Errors
/// It is not JSON5, or nested too deeply; the text says where.
pub(super) fn json5(text: &str) -> Result<Value, String> {
    let mut deserializer = json5::Deserializer::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    Bounded { depth: 0 }.deserialize(&mut deserializer).map_err(|error| error.to_string())
}

/// A value at some depth.
#[derive(Clone, Copy)]
struct Bounded {
    depth: usize,
}

impl Bounded {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format!("nested more than {MAX_DEPTH} levels deep")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Bounded {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON5 value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            map.insert(key, entries.next_value_seed(inner)?);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn everything_that_json5_allows_is_read() {
        let text = "\u{feff}// a comment\n{ unquoted: 'single', /* more */ list: [1, +2, .5, 0xF,], \"q\": \"a\\\nb\", nan: NaN, n: null, }";
        assert_eq!(
            json5(text).unwrap(),
            json!({ "unquoted": "single", "list": [1, 2, 0.5, 15], "q": "ab", "nan": null, "n": null })
        );
    }

    #[test]
    fn what_is_nested_too_deeply_is_refused() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(json5(&nested(MAX_DEPTH)).is_ok());
        assert!(json5(&nested(MAX_DEPTH + 1)).unwrap_err().contains("nested more than 64 levels deep"));
        assert!(json5(&"[".repeat(1 << 20)).is_err());
        assert!(json5(&"{a:".repeat(1 << 18)).is_err());
    }

    #[test]
    fn mistakes_have_a_place() {
        let error = json5("{\n  a: 1\n  b: 2 }").unwrap_err();
        assert!(error.contains('3'), "{error}");
    }
}
