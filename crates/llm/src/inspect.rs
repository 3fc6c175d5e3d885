//! What is said to a model and what it says, looked at on the way. The stages are typed: a whole request; the text of an
//! answer as it grows, with a tail that is held back because something forbidden may be beginning in it; each tool call
//! by itself.
//!
//! Here the stages look for the providers' keys: a request that holds one is proof of a leak, and no answer may carry
//! one into a cell.

use std::sync::Arc;

use nanoclaw_dialect::ToolCall;
use nanoclaw_request::{Refusal, RefusalCode, Stage};
use nanoclaw_vault::{Scrubber, Secret};
use serde_json::Value;

/// Shortest secret in bytes that is looked for: shorter ones come up by chance.
const SHORTEST_SECRET: usize = 8;
/// Longest message about a provider's answer, in characters.
const MAX_MESSAGE_CHARS: usize = 500;
/// What is to be done where a key was found.
const REPLACE: &str = "tell whoever runs NanoClaw: the key must be replaced";

/// The stages, for all cells.
#[derive(Clone)]
pub(crate) struct Pipeline {
    secrets: Arc<[Secret]>,
    /// Bytes of the longest of them.
    longest: usize,
    scrubber: Arc<Scrubber>,
}

/// What to do with text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// It may pass, but for so many bytes at its end, which could be the beginning of something.
    Pass {
        /// Bytes to hold back.
        hold: usize,
    },
    /// The answer must end here.
    Cut(Refusal),
}

impl Pipeline {
    pub(crate) fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        let secrets: Arc<[Secret]> =
            secrets.into_iter().filter(|secret| secret.dangerously_expose().len() >= SHORTEST_SECRET).collect();
        let longest = secrets.iter().map(|secret| secret.dangerously_expose().len()).max().unwrap_or_default();
        Self { scrubber: Arc::new(Scrubber::new(secrets.iter())), longest, secrets }
    }

    /// Looks at a request before it is sent: at all of it, as what the dialect does not know is sent too.
    pub(crate) fn request(&self, body: &Value) -> Result<(), Refusal> {
        if self.holds(body) { Err(refusal("the request holds the key of a provider")) } else { Ok(()) }
    }

    /// Looks at a tool call before the agent sees it.
    pub(crate) fn call(&self, call: &ToolCall) -> Result<(), Refusal> {
        if self.finds_in_json(&call.arguments) || self.finds(&call.name) || self.finds(&call.id) {
            return Err(refusal("the tool call holds the key of a provider"));
        }
        Ok(())
    }

    /// Looks at the text of an answer that is not passed on yet. How much is held back depends on the text and on the
    /// length of the longest secret alone: an agent that lets a model say guesses learns nothing from when they come.
    pub(crate) fn text(&self, text: &str) -> Look {
        if self.finds(text) {
            return Look::Cut(self.leak());
        }
        // A secret is visible ASCII, and it is not all there.
        let word = text.bytes().rev().take_while(u8::is_ascii_graphic);
        let hold = word.take(self.longest.saturating_sub(1)).count();
        Look::Pass { hold }
    }

    /// Why something that holds a key does not pass.
    pub(crate) fn leak(&self) -> Refusal {
        refusal("the answer holds the key of a provider")
    }

    /// Whether something was refused for a key in it.
    pub(crate) fn is_leak(&self, refusal: &Refusal) -> bool {
        refusal.code == RefusalCode::ContentRefused && refusal.help == REPLACE
    }

    /// Whether one of the secrets stands in a text of `json`.
    pub(crate) fn holds(&self, json: &Value) -> bool {
        match json {
            Value::String(text) => self.finds(text),
            Value::Array(items) => items.iter().any(|item| self.holds(item)),
            Value::Object(fields) => fields.iter().any(|(key, value)| self.finds(key) || self.holds(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }

    /// The same for JSON that was not read: its writer may have escaped any character.
    pub(crate) fn finds_in_json(&self, text: &str) -> bool {
        self.finds(text) || (text.contains('\\') && serde_json::from_str(text).is_ok_and(|json| self.holds(&json)))
    }

    /// What may be told of a text that a provider wrote: one line, not too long, without keys or long parts of them.
    pub(crate) fn clean(&self, text: &str) -> String {
        let line: String = text.chars().filter(|c| !c.is_control()).collect();
        let scrubbed = self.scrubber.scrub(&line);
        match scrubbed.char_indices().nth(MAX_MESSAGE_CHARS) {
            Some((end, _)) => format!("{}…", scrubbed.get(..end).unwrap_or_default()),
            None => scrubbed,
        }
    }

    /// Whether one of the secrets stands in `text`.
    fn finds(&self, text: &str) -> bool {
        self.secrets.iter().any(|secret| text.contains(secret.dangerously_expose()))
    }
}

fn refusal(reason: &str) -> Refusal {
    Refusal {
        stage: Stage::Inspect,
        code: RefusalCode::ContentRefused,
        reason: reason.to_owned(),
        help: REPLACE.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipeline() -> Pipeline {
        Pipeline::new(["sk-0123456789", "short"].map(|text| Secret::new(text.to_owned()).unwrap()))
    }

    #[test]
    fn a_key_is_found_whole_and_the_last_word_is_held() {
        let pipeline = pipeline();
        assert!(matches!(pipeline.text("is sk-0123456789!"), Look::Cut(_)));
        assert_eq!(pipeline.text("is sk-01234 no "), Look::Pass { hold: 0 });
        assert_eq!(pipeline.text("is «sk"), Look::Pass { hold: 2 });
        assert_eq!(pipeline.text("short"), Look::Pass { hold: 5 }, "too short to be told from chance");
        assert_eq!(Pipeline::new([]).text("is sk-01234"), Look::Pass { hold: 0 }, "there is nothing to look for");
    }

    #[test]
    fn what_is_held_does_not_tell_a_key() {
        for guess in ["sk-01234", "sk-0123x", "xxxxxxxx", "~~~~~~~~"] {
            assert_eq!(pipeline().text(&format!("is {guess}")), Look::Pass { hold: 8 }, "{guess}");
            assert_eq!(pipeline().text(&format!("{guess}{guess}")), Look::Pass { hold: 12 }, "{guess}");
        }
    }

    #[test]
    fn a_key_is_found_wherever_json_can_hold_it() {
        let pipeline = pipeline();
        for json in [
            r#"{"a": [{"sk-0123456789": 1}]}"#,
            r#"["is sk-0123456789!"]"#,
            r#"{"a": "sk\u002d0123456789"}"#,
            r#"{"\u0073k-0123456789": null}"#,
        ] {
            assert!(pipeline.finds_in_json(json), "{json}");
            assert!(pipeline.request(&serde_json::from_str(json).unwrap()).is_err(), "{json}");
        }
        let innocent = r#"{"a": ["sk-012345678", "9\n"]}"#;
        assert!(!pipeline.finds_in_json(innocent));
        assert_eq!(pipeline.request(&serde_json::from_str(innocent).unwrap()), Ok(()));
    }

    #[test]
    fn what_a_provider_wrote_is_told_in_one_short_line() {
        let pipeline = pipeline();
        assert_eq!(pipeline.clean("no\r\n\x1b[1m sk-0123456789"), "no[1m ***");
        assert_eq!(pipeline.clean("sk-012345678 "), "sk-012345678 ", "a guess is not answered");
        assert_eq!(pipeline.clean(&"é".repeat(501)), "é".repeat(500) + "…");
    }
}
