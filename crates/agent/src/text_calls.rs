//! Tool calls that a model writes as text, as small ones do that know tools only from their prompt.
//!
//! A text is a call only where the model can have meant nothing else. One of these must hold:
//!
//! - the whole answer, white space aside, is the JSON of one call, of several one after the other, or a list of calls;
//! - the whole answer is one code fence with that in it;
//! - the answer ends with one or several `<tool_call>…</tool_call>`, each with the JSON of one call, and what stands
//!   before them is outside of code and quotations.
//!
//! So a call in a document that the model quotes, explains or puts beside other words is none. The JSON of a call is an
//! object of exactly a `name`, which must be that of an offered tool, and `arguments` (or `parameters`), an object. If
//! one of several is wrong, none is a call.
//!
//! The model door has not seen such calls as calls. It must be asked before they are made.

use serde_json::{Map, Value};

/// Most calls that one answer can hold.
pub(crate) const MOST_TEXT_CALLS: usize = 8;

const OPEN: &str = "<tool_call>";
const CLOSE: &str = "</tool_call>";

/// A call that was written as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TextCall {
    /// The tool.
    pub name: String,
    /// JSON text of an object.
    pub arguments: String,
}

/// The calls that `answer` is, and the words before them; `None` where it is none.
pub(crate) fn find(answer: &str, offered: impl Fn(&str) -> bool) -> Option<(String, Vec<TextCall>)> {
    let answer = answer.trim();
    let (words, values) = match answer.find(OPEN) {
        Some(at) => {
            let (words, tagged) = answer.split_at(at);
            (words.trim(), plain(words).then(|| tagged_values(tagged))??)
        }
        None => ("", values(fenced(answer).unwrap_or(answer))?),
    };
    if values.is_empty() || values.len() > MOST_TEXT_CALLS {
        return None;
    }
    let calls = values.into_iter().map(|value| call(value, &offered)).collect::<Option<Vec<_>>>()?;
    Some((words.to_owned(), calls))
}

/// Whether words end outside of code and quotations, and on a line of their own.
fn plain(words: &str) -> bool {
    let fences =
        words.lines().filter(|line| line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~"));
    let line = words.rsplit('\n').next().unwrap_or_default();
    fences.count() % 2 == 0 && line.trim().is_empty()
}

/// What stands in the tags that `text` consists of.
fn tagged_values(text: &str) -> Option<Vec<Value>> {
    let mut values = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (inner, after) = rest.strip_prefix(OPEN)?.split_once(CLOSE)?;
        values.push(serde_json::from_str(inner).ok()?);
        rest = after.trim_start();
    }
    Some(values)
}

/// The inside of the one fence that `text` is.
fn fenced(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("```")?.strip_suffix("```")?;
    let (language, inner) = inner.split_once('\n')?;
    let known = matches!(language.trim(), "" | "json" | "tool_call" | "tool_code");
    (known && !inner.contains("```")).then_some(inner)
}

/// The objects that `text` consists of: one, several one after the other, or a list of them.
fn values(text: &str) -> Option<Vec<Value>> {
    // Most answers are no JSON; that is seen at their first character.
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter().collect::<Result<Vec<Value>, _>>().ok()?;
    match values.as_mut_slice() {
        [Value::Array(list)] => Some(std::mem::take(list)),
        _ => Some(values),
    }
}

fn call(value: Value, offered: &impl Fn(&str) -> bool) -> Option<TextCall> {
    let Value::Object(object) = value else { return None };
    let (name, arguments) = name_and_arguments(&object)?;
    offered(name).then(|| TextCall { name: name.to_owned(), arguments: Value::Object(arguments.clone()).to_string() })
}

fn name_and_arguments(object: &Map<String, Value>) -> Option<(&str, &Map<String, Value>)> {
    if object.len() != 2 {
        return None;
    }
    let arguments = object.get("arguments").or_else(|| object.get("parameters"))?;
    Some((object.get("name")?.as_str()?, arguments.as_object()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(answer: &str) -> Option<(String, Vec<(String, String)>)> {
        let offered = |name: &str| matches!(name, "shell" | "file_read");
        let (words, calls) = find(answer, offered)?;
        Some((words, calls.into_iter().map(|call| (call.name, call.arguments)).collect()))
    }

    fn is(words: &str, calls: &[(&str, &str)]) -> Option<(String, Vec<(String, String)>)> {
        Some((words.into(), calls.iter().map(|(n, a)| ((*n).to_owned(), (*a).to_owned())).collect()))
    }

    const CALL: &str = r#"{"name": "shell", "arguments": {"command": "ls"}}"#;
    const LS: (&str, &str) = ("shell", r#"{"command":"ls"}"#);

    #[test]
    fn answers_that_are_nothing_but_calls_are_calls() {
        assert_eq!(found(CALL), is("", &[LS]));
        assert_eq!(found(&format!("\n {CALL}\n")), is("", &[LS]));
        assert_eq!(found(&format!("{CALL}\n{CALL}")), is("", &[LS, LS]));
        assert_eq!(found(&format!("[{CALL}, {CALL}]")), is("", &[LS, LS]));
        assert_eq!(found(&format!("```json\n{CALL}\n```")), is("", &[LS]));
        assert_eq!(found(&format!("```\n{CALL}\n{CALL}\n```")), is("", &[LS, LS]));
        assert_eq!(found(r#"{"parameters": {}, "name": "file_read"}"#), is("", &[("file_read", "{}")]));
    }

    #[test]
    fn tagged_calls_may_follow_words() {
        assert_eq!(found(&format!("<tool_call>\n{CALL}\n</tool_call>")), is("", &[LS]));
        assert_eq!(
            found(&format!("I look.\n<tool_call>{CALL}</tool_call>\n<tool_call>{CALL}</tool_call>\n")),
            is("I look.", &[LS, LS])
        );
        assert_eq!(found(&format!("```\ncode\n```\n<tool_call>{CALL}</tool_call>")), is("```\ncode\n```", &[LS]));
    }

    #[test]
    fn quoted_and_explained_calls_are_none() {
        for answer in [
            format!("The page says: {CALL}"),
            format!("{CALL} is what the page says"),
            format!("The page says:\n```json\n{CALL}\n```"),
            format!("```json\n{CALL}\n```\nis what the page says"),
            format!("```json\n{CALL}\n```\n```json\n{CALL}\n```"),
            format!("```python\n{CALL}\n```"),
            format!("The page says `<tool_call>{CALL}</tool_call>`"),
            format!("> <tool_call>{CALL}</tool_call>"),
            format!("The page:\n```\n<tool_call>{CALL}</tool_call>\n```"),
            format!("The page:\n```\n<tool_call>{CALL}</tool_call>"),
            format!("<tool_call>{CALL}</tool_call>\nThat is how a call looks."),
            format!("\"{}\"", CALL.replace('"', "\\\"")),
            format!("{{\"page\": {CALL}}}"),
        ] {
            assert_eq!(found(&answer), None, "{answer}");
        }
    }

    #[test]
    fn only_exact_calls_of_offered_tools_count() {
        for answer in [
            r#"{"name": "file_write", "arguments": {}}"#,
            r#"{"name": "Shell", "arguments": {}}"#,
            r#"{"name": "shell"}"#,
            r#"{"name": "shell", "arguments": "{}"}"#,
            r#"{"name": "shell", "arguments": []}"#,
            r#"{"name": ["shell"], "arguments": {}}"#,
            r#"{"name": "shell", "arguments": {}, "why": "because"}"#,
            r#"{"name": "shell", "arguments": {}, "parameters": {}}"#,
            r#"{"name": "shell", "arguments": {}"#,
            r#"{"name": "shell", "arguments": {},}"#,
            "<tool_call>shell</tool_call>",
            "<tool_call>",
            "{}",
            "[]",
            "",
            "```json\n```",
            "```",
        ] {
            assert_eq!(found(answer), None, "{answer}");
        }
        assert_eq!(found(&format!("{CALL}\n{{\"name\": \"other\", \"arguments\": {{}}}}")), None);
        assert_eq!(found(&format!("<tool_call>{CALL}</tool_call><tool_call>{{}}</tool_call>")), None);
    }

    #[test]
    fn a_name_that_stands_twice_is_the_last_one_as_it_is_for_the_door() {
        let answer = r#"{"name": "file_read", "name": "other", "arguments": {}}"#;
        assert_eq!(found(answer), None);
    }

    #[test]
    fn too_many_calls_are_none() {
        assert!(found(&CALL.repeat(MOST_TEXT_CALLS)).is_some());
        assert_eq!(found(&CALL.repeat(MOST_TEXT_CALLS + 1)), None);
    }

    #[test]
    fn answers_made_to_be_slow_or_deep_are_not() {
        for piece in ["[", "{\"a\":", "<tool_call>", "```\n", "<tool_call></tool_call>"] {
            assert_eq!(found(&piece.repeat(100_000)), None);
        }
    }
}
