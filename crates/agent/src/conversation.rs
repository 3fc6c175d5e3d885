//! A session as the model is told of it.

use nanoclaw_dialect::{Message, Part, Reasoning, Role, ToolCall, ToolResult};
use serde_json::{Value, json};

use crate::prompt;
use crate::protocol::{AnswerPart, Entry};
use crate::settings::ToolMode;
use crate::store::Session;

/// The messages of a session, without the system prompt.
pub(crate) fn messages(session: &Session, mode: ToolMode) -> Vec<Message> {
    let mut messages = Vec::new();
    if let Some(summary) = &session.summary {
        messages.push(Message::text(Role::User, prompt::summary(summary)));
    }
    let mut results = Results::default();
    for (_, entry) in &session.recent {
        if let Entry::Result { id, name, output, failed } = entry {
            results.add(id, name, output, *failed, mode);
            continue;
        }
        results.flush(&mut messages);
        match entry {
            Entry::Prompt { text, untrusted } => {
                messages.push(Message::text(Role::User, prompt::prompt(text, untrusted.as_deref())));
            }
            Entry::Note { text } => messages.push(Message::text(Role::User, prompt::note(text))),
            Entry::Answer { parts } => {
                results.expect(parts);
                let parts = match mode {
                    ToolMode::Native => native(parts),
                    ToolMode::Schema => vec![Part::Text(step(parts).to_string())],
                };
                // An answer of no words is none to the provider.
                if !parts.is_empty() {
                    messages.push(Message { role: Role::Assistant, parts });
                }
            }
            // Stands before everything else.
            Entry::Summary { .. } | Entry::Result { .. } => {}
        }
    }
    results.flush(&mut messages);
    messages
}

/// Results since the last answer: one message in the order of the calls, as providers want it.
#[derive(Default)]
struct Results {
    order: Vec<Option<String>>,
    parts: Vec<(usize, Part)>,
}

impl Results {
    fn expect(&mut self, parts: &[AnswerPart]) {
        self.order = calls(parts).map(|call| Some(call.id)).collect();
    }

    fn add(&mut self, id: &str, name: &str, output: &str, failed: bool, mode: ToolMode) {
        let place = self.order.iter().position(|known| known.as_deref() == Some(id)).unwrap_or(usize::MAX);
        if let Some(taken) = self.order.get_mut(place) {
            *taken = None;
        }
        let part = match mode {
            ToolMode::Native => {
                let parts = vec![Part::Text(output.to_owned())];
                Part::Result(ToolResult { id: id.to_owned(), parts, failed })
            }
            ToolMode::Schema => {
                let what = if failed { "Failure of the call of" } else { "Result of the call of" };
                Part::Text(prompt::marked(&format!("{what} {name}"), output))
            }
        };
        self.parts.push((place, part));
    }

    fn flush(&mut self, messages: &mut Vec<Message>) {
        if self.parts.is_empty() {
            return;
        }
        self.parts.sort_by_key(|(place, _)| *place);
        messages.push(Message { role: Role::User, parts: self.parts.drain(..).map(|(_, part)| part).collect() });
    }
}

/// The calls of an answer, in order.
pub(crate) fn calls(parts: &[AnswerPart]) -> impl Iterator<Item = ToolCall> {
    parts.iter().filter_map(|part| match part {
        AnswerPart::Call { id, name, arguments } => {
            Some(ToolCall { id: id.clone(), name: name.clone(), arguments: arguments.clone() })
        }
        AnswerPart::Text { .. } | AnswerPart::Reasoning { .. } => None,
    })
}

/// The words of an answer.
pub(crate) fn text(parts: &[AnswerPart]) -> String {
    let text = |part: &AnswerPart| match part {
        AnswerPart::Text { text } => Some(text.clone()),
        AnswerPart::Reasoning { .. } | AnswerPart::Call { .. } => None,
    };
    parts.iter().filter_map(text).collect()
}

fn native(parts: &[AnswerPart]) -> Vec<Part> {
    let part = |part: &AnswerPart| match part {
        AnswerPart::Text { text } => (!text.is_empty()).then(|| Part::Text(text.clone())),
        // Thoughts go back only where the provider can see that they are its own, and wants them.
        AnswerPart::Reasoning { text, signature } => signature
            .clone()
            .map(|signature| Part::Reasoning(Reasoning { text: text.clone(), signature: Some(signature) })),
        AnswerPart::Call { id, name, arguments } => {
            Some(Part::Call(ToolCall { id: id.clone(), name: name.clone(), arguments: arguments.clone() }))
        }
    };
    parts.iter().filter_map(part).collect()
}

/// An answer in the form that steps have in [`ToolMode::Schema`].
fn step(parts: &[AnswerPart]) -> Value {
    match calls(parts).next() {
        Some(call) => {
            let arguments = serde_json::from_str(&call.arguments).unwrap_or(Value::Null);
            json!({"tool": call.name, "arguments": arguments, "answer": ""})
        }
        None => json!({"tool": "answer", "arguments": {}, "answer": text(parts)}),
    }
}

/// Calls of the last answer that have no result. Where two have the same id, each needs one of its own.
pub(crate) fn open_calls(session: &Session) -> Vec<ToolCall> {
    let mut results = Vec::new();
    for (_, entry) in session.recent.iter().rev() {
        match entry {
            Entry::Result { id, .. } => results.push(id),
            Entry::Answer { parts } => {
                let mut open: Vec<ToolCall> = calls(parts).collect();
                for id in results {
                    if let Some(at) = open.iter().position(|call| call.id == *id) {
                        open.remove(at);
                    }
                }
                return open;
            }
            Entry::Prompt { .. } | Entry::Note { .. } | Entry::Summary { .. } => {}
        }
    }
    Vec::new()
}

/// About how many tokens a text has: three letters of ASCII or one other character for each, which is more than
/// providers usually count.
pub(crate) fn tokens(text: &str) -> u64 {
    let ascii = text.bytes().filter(u8::is_ascii).count() as u64;
    let other = text.chars().count() as u64 - ascii;
    ascii.div_ceil(3) + other
}

/// Tokens that a message takes besides its words.
const FRAME: u64 = 8;

/// About how many tokens an entry has.
pub(crate) fn entry_tokens(entry: &Entry) -> u64 {
    FRAME
        + match entry {
            Entry::Prompt { text, untrusted } => tokens(text) + untrusted.as_deref().map_or(0, tokens),
            Entry::Note { text } | Entry::Summary { text, .. } => tokens(text),
            Entry::Result { output, .. } => tokens(output),
            Entry::Answer { parts } => parts
                .iter()
                .map(|part| match part {
                    AnswerPart::Text { text } => tokens(text),
                    AnswerPart::Reasoning { text, signature } => signature.as_ref().map_or(0, |_| tokens(text)),
                    AnswerPart::Call { name, arguments, .. } => FRAME + tokens(name) + tokens(arguments),
                })
                .sum(),
        }
}

/// About how many tokens a session has, as the model is told of it.
pub(crate) fn session_tokens(session: &Session) -> u64 {
    session.summary.as_deref().map_or(0, tokens)
        + session.recent.iter().map(|(_, entry)| entry_tokens(entry)).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str) -> AnswerPart {
        AnswerPart::Call { id: id.into(), name: "shell".into(), arguments: "{\"a\":1}".into() }
    }

    fn result(id: &str) -> Entry {
        Entry::Result { id: id.into(), name: "shell".into(), output: format!("out {id}"), failed: id == "b" }
    }

    fn session(entries: Vec<Entry>) -> Session {
        let recent = (1..).zip(entries).collect();
        Session { id: "s".into(), count: 9, replaced: 0, summary: None, recent }
    }

    fn asked(text: &str) -> Entry {
        Entry::Prompt { text: text.into(), untrusted: None }
    }

    #[test]
    fn results_stand_in_one_message_in_the_order_of_their_calls() {
        let answer = Entry::Answer { parts: vec![AnswerPart::Text { text: "I look".into() }, call("a"), call("b")] };
        let session = session(vec![asked("p"), answer, result("b"), result("a"), Entry::Note { text: "n".into() }]);
        let messages = messages(&session, ToolMode::Native);
        assert_eq!(messages.len(), 4);
        assert_eq!(messages[1].role, Role::Assistant);
        assert_eq!(messages[1].parts.len(), 3);
        let ids: Vec<_> = messages[2]
            .parts
            .iter()
            .map(|part| match part {
                Part::Result(result) => (result.id.as_str(), result.failed),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(ids, [("a", false), ("b", true)]);
        assert_eq!(messages[3], Message::text(Role::User, prompt::note("n")));
    }

    #[test]
    fn thoughts_go_back_only_with_their_proof() {
        let thought = |signature: Option<&str>| AnswerPart::Reasoning {
            text: "hm".into(),
            signature: signature.map(str::to_owned),
        };
        let answer =
            Entry::Answer { parts: vec![thought(None), thought(Some("sig")), AnswerPart::Text { text: "x".into() }] };
        let messages = messages(&session(vec![answer]), ToolMode::Native);
        assert_eq!(messages[0].parts.len(), 2);
        assert!(matches!(&messages[0].parts[0], Part::Reasoning(r) if r.signature.as_deref() == Some("sig")));
    }

    #[test]
    fn an_answer_of_no_words_is_left_out() {
        let empty = Entry::Answer { parts: vec![AnswerPart::Text { text: String::new() }] };
        assert_eq!(messages(&session(vec![asked("p"), empty]), ToolMode::Native).len(), 1);
    }

    #[test]
    fn in_schema_mode_everything_is_text() {
        let entries = vec![asked("p"), Entry::Answer { parts: vec![call("a")] }, result("a")];
        let messages = messages(&session(entries), ToolMode::Schema);
        let step = r#"{"tool":"shell","arguments":{"a":1},"answer":""}"#;
        assert_eq!(messages[1], Message::text(Role::Assistant, step));
        assert_eq!(messages[2], Message::text(Role::User, prompt::marked("Result of the call of shell", "out a")));
    }

    #[test]
    fn a_summary_comes_first() {
        let mut session = session(vec![asked("p")]);
        session.summary = Some("before".into());
        let messages = messages(&session, ToolMode::Native);
        assert_eq!(messages[0], Message::text(Role::User, prompt::summary("before")));
        assert_eq!(messages.len(), 2);
    }

    #[test]
    fn calls_without_a_result_are_found() {
        let answer = Entry::Answer { parts: vec![call("a"), call("b")] };
        let ids = |entries| open_calls(&session(entries)).into_iter().map(|c| c.id).collect::<Vec<_>>();
        assert_eq!(ids(vec![asked("p"), answer.clone()]), ["a", "b"]);
        assert_eq!(ids(vec![asked("p"), answer.clone(), result("b")]), ["a"]);
        assert!(ids(vec![asked("p"), answer.clone(), result("b"), result("a"), asked("q")]).is_empty());
        assert!(ids(vec![asked("p")]).is_empty());
        let twins = Entry::Answer { parts: vec![call("a"), call("b"), call("a")] };
        assert_eq!(ids(vec![twins.clone(), result("a")]), ["b", "a"]);
        assert!(ids(vec![twins, result("a"), result("b"), result("a")]).is_empty());
    }

    #[test]
    fn results_of_calls_with_one_id_stay_in_order() {
        let answer = Entry::Answer { parts: vec![call("a"), call("b"), call("a")] };
        let messages = messages(&session(vec![answer, result("a"), result("a"), result("b")]), ToolMode::Native);
        let id = |part: &Part| match part {
            Part::Result(result) => result.id.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(messages[1].parts.iter().map(id).collect::<Vec<_>>(), ["a", "b", "a"]);
    }

    #[test]
    fn tokens_of_other_scripts_count_each() {
        assert_eq!(tokens("abcdef"), 2);
        assert_eq!(tokens("信用额度"), 4);
        assert_eq!(tokens(""), 0);
    }
}
