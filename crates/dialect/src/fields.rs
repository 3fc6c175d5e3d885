//! Reading JSON field by field, with errors that say where.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::Malformed;

/// A place in a JSON value. Its path is only written out when an error needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum At<'p> {
    Root,
    Field(&'p At<'p>, &'p str),
    Item(&'p At<'p>, usize),
}

impl At<'_> {
    /// What is wrong here, such as `is not a list`.
    pub(crate) fn wrong(&self, what: &str) -> Malformed {
        match self {
            At::Root => Malformed::new("", format!("the body {what}")),
            At::Field(..) | At::Item(..) => Malformed::new(self.to_string(), what),
        }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Root => Ok(()),
            At::Field(At::Root, name) => f.write_str(name),
            At::Field(up, name) => write!(f, "{up}.{name}"),
            At::Item(up, index) => write!(f, "{up}[{index}]"),
        }
    }
}

/// The fields of a JSON object. A field that is `null` counts as absent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'v, 'p> {
    map: &'v Map<String, Value>,
    at: &'p At<'p>,
}

impl<'v, 'p> Fields<'v, 'p> {
    pub(crate) fn of(value: &'v Value, at: &'p At<'p>) -> Result<Self, Malformed> {
        let map = value.as_object().ok_or_else(|| at.wrong("is not an object"))?;
        Ok(Self { map, at })
    }

    pub(crate) fn map(&self) -> &'v Map<String, Value> {
        self.map
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'v Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn wrong(&self, name: &str, what: &str) -> Malformed {
        At::Field(self.at, name).wrong(what)
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&'v str>, Malformed> {
        self.typed(name, Value::as_str, "is not a text")
    }

    pub(crate) fn need_text(&self, name: &str) -> Result<&'v str, Malformed> {
        self.text(name)?.ok_or_else(|| self.wrong(name, "is missing"))
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Malformed> {
        self.typed(name, Value::as_bool, "is neither true nor false")
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<f64>, Malformed> {
        self.typed(name, Value::as_f64, "is not a number")
    }

    /// A whole number that is not negative.
    pub(crate) fn count(&self, name: &str) -> Result<Option<u64>, Malformed> {
        self.typed(name, Value::as_u64, "is not a whole number from 0")
    }

    /// A list; empty where there is none.
    pub(crate) fn list(&self, name: &str) -> Result<&'v [Value], Malformed> {
        Ok(self.typed(name, |value| value.as_array().map(Vec::as_slice), "is not a list")?.unwrap_or_default())
    }

    /// A list of texts; empty where there is none.
    pub(crate) fn texts(&self, name: &str) -> Result<Vec<String>, Malformed> {
        let at = At::Field(self.at, name);
        let each = self.list(name)?.iter().enumerate();
        each.map(|(index, value)| {
            value.as_str().map(str::to_owned).ok_or_else(|| At::Item(&at, index).wrong("is not a text"))
        })
        .collect()
    }

    fn typed<T>(&self, name: &str, read: impl Fn(&'v Value) -> Option<T>, what: &str) -> Result<Option<T>, Malformed> {
        self.get(name).map(|value| read(value).ok_or_else(|| self.wrong(name, what))).transpose()
    }
}

/// Refuses an object whose keys some readers take for others: `Name` for `name`. Then a call could have one name here and
/// another there.
pub(crate) fn exact_keys(object: &Map<String, Value>, known: &[&str], at: &str) -> Result<(), Malformed> {
    let wrong = |key: &&String| {
        let another = known.iter().any(|name| key.eq_ignore_ascii_case(name) && *name != key.as_str());
        another || !key.is_ascii()
    };
    match object.keys().find(wrong) {
        Some(key) => Err(Malformed::new(at, format!("has the field `{key}`, which clients could read in two ways"))),
        None => Ok(()),
    }
}

/// A call's arguments for dialects that carry them as an object instead of as text. Text that is no JSON object stands
/// in the field `arguments` of one, so that a model still sees what it wrote.
pub(crate) fn arguments_object(text: &str) -> Value {
    if text.trim().is_empty() {
        return json!({});
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(map)) => Value::Object(map),
        Ok(other) => json!({ "arguments": other }),
        Err(_) => json!({ "arguments": text }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_place() {
        let body = json!({"messages": [{"content": 1}], "n": -1});
        let root = At::Root;
        let fields = Fields::of(&body, &root).unwrap();
        assert_eq!(fields.count("n").unwrap_err().to_string(), "`n` is not a whole number from 0");
        let messages = At::Field(&root, "messages");
        let first = At::Item(&messages, 0);
        let message = Fields::of(&fields.list("messages").unwrap()[0], &first).unwrap();
        assert_eq!(message.text("content").unwrap_err().to_string(), "`messages[0].content` is not a text");
        assert_eq!(message.need_text("role").unwrap_err().to_string(), "`messages[0].role` is missing");
        assert_eq!(Fields::of(&json!([]), &root).unwrap_err().to_string(), "the body is not an object");
    }

    #[test]
    fn arguments_that_are_no_object_are_kept_in_one() {
        assert_eq!(arguments_object(""), json!({}));
        assert_eq!(arguments_object(r#"{"a":1}"#), json!({"a": 1}));
        assert_eq!(arguments_object("[1]"), json!({"arguments": [1]}));
        assert_eq!(arguments_object("{\"a"), json!({"arguments": "{\"a"}));
    }
}
