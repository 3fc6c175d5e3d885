//! What the mock says to one request, before it is put into a provider's format.

use crate::conversation::Conversation;
use crate::script::Script;

/// Bytes of a tool's result that the closing text repeats.
const RESULT_SHOWN: usize = 16 << 10;

/// A tool call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The tool.
    pub name: String,
    /// A JSON object, as the script writes it.
    pub arguments: String,
}

/// Tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Of the request.
    pub input: u64,
    /// Of the answer.
    pub output: u64,
    /// Those of `input` that came from a cache.
    pub cached: u64,
    /// Those of `output` that were thoughts.
    pub reasoning: u64,
}

/// An answer. It is, in this order: thoughts, text, calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub thoughts: String,
    pub text: String,
    pub calls: Vec<Call>,
    pub usage: Usage,
    pub too_long: bool,
    /// Bytes in a piece of a stream.
    pub split: usize,
}

impl Answer {
    /// The next answer. `key` is what the request signs in with, `size` the length of the request in bytes.
    pub fn new(script: &Script, conversation: &Conversation<'_>, key: &str, size: usize) -> Self {
        let written = script.write.as_ref().filter(|_| conversation.step == 0);
        let calls = match written {
            Some(_) => Vec::new(),
            None => script.steps.get(conversation.step).cloned().unwrap_or_default(),
        };
        let mut text = match written {
            Some(text) => text.clone(),
            None if calls.is_empty() => closing(script, conversation),
            None => script.remark.clone(),
        };
        if script.echo_key {
            text.push_str(" KEY ");
            text.push_str(key);
        }
        let thoughts = script.think.clone().unwrap_or_default();
        let arguments: usize = calls.iter().map(|call| call.arguments.len()).sum();
        // Four bytes count as a token, which is near enough for a mock.
        let usage = script.tokens.unwrap_or(Usage {
            input: (size / 4) as u64,
            output: ((thoughts.len() + text.len() + arguments) / 4 + 1) as u64,
            cached: 0,
            reasoning: (thoughts.len() / 4) as u64,
        });
        Self { thoughts, text, calls, usage, too_long: script.too_long, split: script.split }
    }

    /// A text in the pieces in which it is streamed.
    pub fn pieces<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str> {
        let split = self.split;
        let mut rest = text;
        std::iter::from_fn(move || {
            let first = rest.chars().next()?.len_utf8();
            let (piece, after) = rest.split_at_checked(rest.floor_char_boundary(split).max(first))?;
            rest = after;
            Some(piece)
        })
    }
}

fn closing(script: &Script, conversation: &Conversation<'_>) -> String {
    if let Some(say) = &script.say {
        return say.clone();
    }
    if script.steps.is_empty() && script.write.is_none() {
        return "ok".to_owned();
    }
    let mut text = "SCRIPT DONE".to_owned();
    for (number, result) in (1..).zip(&conversation.results) {
        let shown = result.get(..result.floor_char_boundary(RESULT_SHOWN)).unwrap_or_default();
        text.push_str(&format!("\n[{number}] {shown}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(split: usize) -> Answer {
        let script = Script { split, ..Script::default() };
        Answer::new(&script, &Conversation { script: "", step: 0, results: Vec::new() }, "", 0)
    }

    #[test]
    fn pieces_end_between_characters() {
        let pieces = |split, text| answer(split).pieces(text).collect::<Vec<_>>();
        assert_eq!(pieces(4, "aé漢字z"), ["aé", "漢", "字z"]);
        assert_eq!(pieces(1, "a漢"), ["a", "漢"]);
        assert_eq!(pieces(9, ""), Vec::<&str>::new());
    }

    #[test]
    fn text_in_the_place_of_a_call_is_said_until_a_call_was_made() {
        let script = Script::read("WRITE <call>").unwrap().unwrap();
        let said = |step, results| Answer::new(&script, &Conversation { script: "", step, results }, "", 0).text;
        assert_eq!(said(0, Vec::new()), "<call>");
        assert_eq!(said(1, vec!["a".into()]), "SCRIPT DONE\n[1] a");
    }

    #[test]
    fn the_closing_text_repeats_results() {
        let script = Script::read("CALL a {}").unwrap().unwrap();
        let conversation =
            Conversation { script: "", step: 1, results: vec!["é".repeat(RESULT_SHOWN).into(), "b".into()] };
        let text = Answer::new(&script, &conversation, "", 0).text;
        assert_eq!(text, format!("SCRIPT DONE\n[1] {}\n[2] b", "é".repeat(RESULT_SHOWN / 2)));
    }
}
