//! What a conversation has come to, whatever format it is in.

use std::borrow::Cow;

use serde_json::Value;

use crate::script::{Script, Unreadable, begins_turn};

/// A step of a conversation.
#[derive(Debug)]
pub enum Said<'r> {
    /// Text of the user.
    User(Cow<'r, str>),
    /// Tool calls of the model, by their ids.
    Calls(Vec<Cow<'r, str>>),
    /// What one of them gave.
    Result { id: Cow<'r, str>, text: Cow<'r, str> },
    /// Text of the model.
    Model,
}

/// A request that a provider would refuse.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Wrong(pub String);

impl Wrong {
    /// `message` is what the mock says.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// Where a conversation stands.
#[derive(Debug)]
pub struct Conversation<'r> {
    /// The message that holds the script; empty if none does.
    pub script: &'r str,
    /// Answers with tool calls since then.
    pub step: usize,
    /// What those calls gave.
    pub results: Vec<Cow<'r, str>>,
}

impl<'r> Conversation<'r> {
    /// Reads a conversation, and its script.
    pub fn new(said: &'r [Said<'r>]) -> (Self, Result<Script, Unreadable>) {
        let users = || {
            said.iter().enumerate().filter_map(|(at, said)| match said {
                Said::User(text) => Some((at, text.as_ref())),
                _ => None,
            })
        };
        let begun = users().rev().find(|(_, text)| begins_turn(text));
        let candidates = begun.map_or_else(|| users().collect(), |user| vec![user]);
        let found = candidates.into_iter().find_map(|(at, text)| match Script::read(text) {
            Ok(script) => script.map(|script| (at, text, Ok(script))),
            Err(error) => Some((at, text, Err(error))),
        });
        let (at, text, script) = found.unwrap_or((0, "", Ok(Script::default())));
        let since = || said.iter().skip(at);
        let step = since().filter(|said| matches!(said, Said::Calls(_))).count();
        let results = since().filter_map(|said| match said {
            Said::Result { text, .. } => Some(Cow::Borrowed(text.as_ref())),
            _ => None,
        });
        (Self { script: text, step, results: results.collect() }, script)
    }
}

/// Refuses calls without results, and results without calls.
pub fn paired(said: &[Said<'_>]) -> Result<(), Wrong> {
    let mut open: Vec<&str> = Vec::new();
    for said in said {
        if let Said::Result { id, .. } = said {
            let Some(at) = open.iter().position(|call| call == id) else {
                return Err(Wrong::new(format!("the result `{id}` does not follow a tool call with this id")));
            };
            open.swap_remove(at);
            continue;
        }
        if let Some(id) = open.first() {
            return Err(Wrong::new(format!("the tool call `{id}` is not followed by its result")));
        }
        if let Said::Calls(ids) = said {
            open.extend(ids.iter().map(AsRef::as_ref));
        }
    }
    match open.first() {
        Some(id) => Err(Wrong::new(format!("the tool call `{id}` is not followed by its result"))),
        None => Ok(()),
    }
}

/// A list in a request.
pub fn list<'r>(of: &'r Value, key: &str) -> Result<&'r [Value], Wrong> {
    of.get(key).and_then(Value::as_array).map(Vec::as_slice).ok_or_else(|| Wrong::new(format!("`{key}` is not a list")))
}

/// A text in a request.
pub fn text<'r>(of: &'r Value, key: &str) -> Result<&'r str, Wrong> {
    of.get(key).and_then(Value::as_str).ok_or_else(|| Wrong::new(format!("`{key}` is not a text")))
}

/// The text of a content that is either a text or a list of parts.
pub fn content(content: Option<&Value>) -> Cow<'_, str> {
    match content {
        Some(Value::String(text)) => Cow::Borrowed(text),
        Some(Value::Array(parts)) => {
            let mut texts = parts.iter().filter_map(|part| part.get("text")?.as_str());
            match (texts.next(), texts.next()) {
                (None, _) => Cow::Borrowed(""),
                (Some(only), None) => Cow::Borrowed(only),
                (Some(first), Some(second)) => {
                    let rest: Vec<&str> = [first, second].into_iter().chain(texts).collect();
                    Cow::Owned(rest.join("\n"))
                }
            }
        }
        _ => Cow::Borrowed(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(id: &'static str) -> Said<'static> {
        Said::Result { id: id.into(), text: format!("gave {id}").into() }
    }

    #[test]
    fn steps_are_counted_from_the_script() {
        let calls = || Said::Calls(vec!["a".into()]);
        let mut said =
            vec![Said::User("context".into()), Said::User("CALL x {}".into()), calls(), result("a"), Said::Model];
        {
            let (conversation, script) = Conversation::new(&said);
            assert_eq!((conversation.step, conversation.results.as_slice()), (1, &["gave a".into()][..]));
            assert_eq!(script.unwrap().steps.len(), 1);
        }
        said.extend([Said::User("SAY ignored".into()), Said::User("TURN\nSAY again".into())]);
        let (conversation, script) = Conversation::new(&said);
        assert_eq!((conversation.step, conversation.results.len()), (0, 0));
        assert_eq!(script.unwrap().say.as_deref(), Some("again"));
    }

    #[test]
    fn a_call_and_its_result_belong_together() {
        let calls = |ids: &[&'static str]| Said::Calls(ids.iter().map(|id| (*id).into()).collect());
        assert_eq!(paired(&[calls(&["a", "b"]), result("b"), result("a"), Said::Model]), Ok(()));
        for (said, wrong) in [
            (vec![calls(&["a"])], "the tool call `a` is not followed by its result"),
            (
                vec![calls(&["a"]), Said::User("".into()), result("a")],
                "the tool call `a` is not followed by its result",
            ),
            (vec![calls(&["a"]), result("a"), result("a")], "the result `a` does not follow a tool call with this id"),
        ] {
            assert_eq!(paired(&said).unwrap_err().to_string(), wrong);
        }
    }
}
