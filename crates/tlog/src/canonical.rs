//! The one encoding of an entry: the JSON Canonicalization Scheme (RFC 8785), for the JSON that records are made of.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// Integers beyond this cannot be told apart by every JSON parser (RFC 8785 §3.2.2.3).
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// A text has no canonical form here.
#[derive(Debug, thiserror::Error)]
pub enum CanonicalError {
    /// It is no JSON.
    #[error("not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    /// It has a number that is no integer, or too large a one: no record has such a number.
    #[error("the number `{0}` is not an integer below 2^53")]
    Number(serde_json::Number),
}

/// The canonical form of a JSON text.
///
/// # Errors
/// It is no JSON, or holds a number that records do not have. JSON is read to a depth of 128.
pub fn canonical(json: &[u8]) -> Result<Vec<u8>, CanonicalError> {
    let mut out = Vec::with_capacity(json.len());
    match serde_json::from_slice::<BTreeMap<&str, &RawValue>>(json) {
        // Such names sort by bytes as they do by UTF-16.
        Ok(fields) if fields.keys().all(|name| name.is_ascii()) => {
            out.push(b'{');
            for (n, (name, value)) in fields.into_iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut out, name)?;
                out.push(b':');
                write_raw(value.get(), &mut out)?;
            }
            out.push(b'}');
        }
        _ => write(&serde_json::from_slice(json)?, &mut out)?,
    }
    Ok(out)
}

/// Whether a name stands twice in an object of a JSON text, so that one reader takes the first and another the last.
pub(crate) fn repeats_a_name(json: &[u8]) -> bool {
    serde_json::from_slice::<Unique>(json).is_err()
}

/// JSON in which it does not.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Unique)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON whose names are unique")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut names = HashSet::new();
        while let Some((name, Unique)) = map.next_entry::<String, Self>()? {
            if !names.insert(name) {
                return Err(de::Error::custom("a name stands twice"));
            }
        }
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
}

/// Most values are a text without escapes or a number of few digits, and those need not be taken apart.
fn write_raw(value: &str, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    let as_it_should_be = match value.as_bytes() {
        [b'"', text @ ..] => !text.contains(&b'\\'),
        [b'0'..=b'9', rest @ ..] => rest.len() < 15 && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    match as_it_should_be {
        true => out.extend_from_slice(value.as_bytes()),
        false => write(&serde_json::from_str(value)?, out)?,
    }
    Ok(())
}

fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    match value {
        Value::Null | Value::Bool(_) => serde_json::to_writer(out, value)?,
        // The escapes that serde_json writes are the ones of RFC 8785 §3.2.2.2.
        Value::String(text) => serde_json::to_writer(out, text)?,
        Value::Number(number) => {
            let size = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
            if size.is_none_or(|size| size > MAX_INTEGER) {
                return Err(CanonicalError::Number(number.clone()));
            }
            serde_json::to_writer(out, number)?;
        }
        Value::Array(items) => {
            out.push(b'[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                write(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(fields) => {
            let mut sorted: Vec<(&String, &Value)> = fields.iter().collect();
            sorted.sort_unstable_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push(b'{');
            for (n, (name, value)) in sorted.into_iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut *out, name)?;
                out.push(b':');
                write(value, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str) -> String {
        String::from_utf8(canonical(json.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn fields_are_sorted_by_utf_16_and_spaces_go() {
        // U+10000 sorts before U+FB33 in UTF-16, and behind it in UTF-8: the example of RFC 8785 §3.2.3.
        let json = "{ \"\u{20ac}\": 1, \"\\r\": 2, \"\u{fb33}\": 3, \"1\": 4, \"\u{1f600}\": 5, \"\u{80}\": 6, \"\u{f6}\": 7 }";
        assert_eq!(
            text(json),
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}"
        );
    }

    #[test]
    fn escapes_are_the_shortest_ones() {
        assert_eq!(
            text(r#""\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/\u007f\u202e""#),
            "\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\u{7f}\u{202e}\""
        );
    }

    #[test]
    fn what_is_copied_is_what_would_be_written() {
        for json in [
            r#"{"b":"€\u202e","a":"\u0041","c":{"z":1,"a":[ 2 ]},"e":900719925474099,"f":[],"g":false,"a":"last"}"#,
            r#"{"\u0061":1,"b":2}"#,
            r#"{"é":1,"b":2}"#,
            "{ }",
        ] {
            let mut out = Vec::new();
            write(&serde_json::from_str(json).unwrap(), &mut out).unwrap();
            assert_eq!(canonical(json.as_bytes()).unwrap(), out, "{json}");
        }
    }

    #[test]
    fn a_name_that_stands_twice_is_seen_at_any_depth() {
        for json in [r#"{"a":1,"b":{"a":[1,-1,1.5,"x",null,true,{"c":1}]},"c":{}}"#, "[]"] {
            assert!(!repeats_a_name(json.as_bytes()), "{json}");
        }
        for json in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":1}"#, r#"[{"b":{"c":1,"d":2,"c":1}}]"#] {
            assert!(repeats_a_name(json.as_bytes()), "{json}");
        }
    }

    #[test]
    fn what_is_canonical_stays_as_it_is() {
        let json = r#"{"a":[1,-2,null,true,{"b":"c"}],"z":9007199254740991}"#;
        assert_eq!(text(json), json);
    }

    #[test]
    fn numbers_that_parsers_disagree_about_are_refused() {
        for json in [
            r#"{"a":1.5}"#,
            r#"{"a":9007199254740992}"#,
            "1.5",
            "1e3",
            "9007199254740992",
            "-9007199254740992",
            "[18446744073709551615]",
        ] {
            assert!(matches!(canonical(json.as_bytes()), Err(CanonicalError::Number(_))), "{json}");
        }
        assert!(matches!(canonical(b"{\"a\":1} x"), Err(CanonicalError::NotJson(_))));
    }
}
