//! What a request gives besides who sends it: the parts of its path, its query and its body, read strictly. What is not
//! known, or stands there twice, is refused.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::answer::Fault;

/// Longest query in bytes.
const MAX_QUERY_BYTES: usize = 1024;

/// The query of a request, as names and values.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads `text`, whose names must be among `known`.
    pub(super) fn read<'n>(text: &str, known: impl Iterator<Item = &'n str> + Clone) -> Result<Self, Fault> {
        if text.len() > MAX_QUERY_BYTES {
            return Err(Fault::malformed(format!("the query is longer than {MAX_QUERY_BYTES} bytes"), ""));
        }
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decoded(name), decoded(value)) else {
                return Err(Fault::malformed("the query cannot be read", "write each byte as `%` and two digits"));
            };
            if !known.clone().any(|known| known == name) {
                let help = "`GET /v1/openapi.json` says what there is";
                return Err(Fault::malformed(format!("`{}` says nothing here", name.escape_debug()), help));
            }
            if pairs.iter().any(|(other, _)| *other == name) {
                return Err(Fault::malformed(format!("`{name}` stands there twice"), "write it once"));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// The value of this name.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The same, as a number within these bounds.
    pub(super) fn number(&self, name: &str, least: u64, most: u64) -> Result<Option<u64>, Fault> {
        let Some(text) = self.text(name) else { return Ok(None) };
        // As JSON has it: no sign, no leading zero.
        let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        let number = plain.then(|| text.parse().ok()).flatten().filter(|number| (least..=most).contains(number));
        let wrong =
            || Fault::malformed(format!("`{name}` is not a number from {least} to {most}"), "write it in digits");
        number.map(Some).ok_or_else(wrong)
    }
}

/// A text in which `%41` stands for a byte (RFC 3986) and `+` for a space.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Everything that a route looks at.
pub(super) struct Given<'r> {
    /// The parts of the path that the route leaves open.
    pub(super) parts: Vec<&'r str>,
    pub(super) query: Result<Query, Fault>,
    pub(super) body: Result<Bytes, Fault>,
}

impl Given<'_> {
    /// The open part of the path of this number.
    pub(super) fn part(&self, number: usize) -> String {
        self.parts.get(number).map(|part| (*part).to_owned()).unwrap_or_default()
    }

    /// The query.
    pub(super) fn query(&mut self) -> Result<Query, Fault> {
        std::mem::replace(&mut self.query, Ok(Query::default()))
    }

    /// The body as JSON.
    pub(super) fn json<T: DeserializeOwned>(&mut self) -> Result<T, Fault> {
        let body = std::mem::replace(&mut self.body, Ok(Bytes::new()))?;
        let read = serde_json::from_slice(&body).map_err(|error| unreadable(&error))?;
        // Where a name stands twice, somebody could be shown the one and another take the other.
        if nanoclaw_request::json::strict(&body).is_none() {
            return Err(Fault::malformed("a name stands twice in the body", "write each once"));
        }
        Ok(read)
    }

    /// Refuses a body where none is expected, and a query that cannot be read.
    pub(super) fn nothing(&mut self) -> Result<(), Fault> {
        self.query()?;
        match std::mem::replace(&mut self.body, Ok(Bytes::new()))? {
            body if body.is_empty() => Ok(()),
            _ => Err(Fault::malformed("there is a body where none is expected", "leave it out")),
        }
    }
}

/// A body that is not what it must be. What serde says of it can quote it, and prompts and passwords stay out of the log.
pub(super) fn unreadable(error: &serde_json::Error) -> Fault {
    let what = match error.classify() {
        Category::Syntax | Category::Io => "is no JSON",
        Category::Eof => "ends too early",
        Category::Data => "is not what it must be here",
    };
    let reason = format!("the body {what} (line {}, column {})", error.line(), error.column());
    Fault::malformed(reason, "`nanoclaw api schema` says what it must be")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Query> {
        Query::read(text, ["from", "agent"].into_iter()).ok()
    }

    #[test]
    fn a_query_is_read_strictly() {
        let query = read("from=12&agent=a%2Db").unwrap();
        assert_eq!(query.number("from", 1, 100).unwrap(), Some(12));
        assert_eq!(query.text("agent"), Some("a-b"));
        assert_eq!(query.number("limit", 1, 2).unwrap(), None);
        for wrong in
            ["other=1", "from=1&from=2", "from=%4", "from=%zz", "from=%ff", &format!("from={}", "1".repeat(2000))]
        {
            assert!(read(wrong).is_none(), "{wrong}");
        }
        for wrong in ["from=", "from=-1", "from=%2B1", "from=01", "from=101", "from=99999999999999999999", "from"] {
            assert!(read(wrong).unwrap().number("from", 0, 100).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_a_body_held_is_not_repeated() {
        let error = serde_json::from_str::<Vec<u8>>("\"my password\"").unwrap_err();
        let fault = unreadable(&error);
        assert_eq!(fault.refusal.reason, "the body is not what it must be here (line 1, column 13)");
    }
}
