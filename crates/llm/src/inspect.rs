//! What is said to a model and what it says, looked at on the way. The stages are typed: a whole request; the text of an
//! answer as it grows, with a tail that is held back while something forbidden may be beginning in it; each tool call
//! by itself.
//!
//! Here the stages look for the providers' keys: a request that holds one is proof of a leak, and no answer may carry
//! one into a cell.

use std::sync::Arc;

use nanoclaw_dialect::{Message, Part, Request, ToolCall};
use nanoclaw_request::{Refusal, RefusalCode, Stage};
use nanoclaw_vault::Secret;

/// Shortest secret in bytes that is looked for: shorter ones come up by chance.
const SHORTEST_SECRET: usize = 8;

/// The stages, for all cells.
#[derive(Clone)]
pub(crate) struct Pipeline {
    secrets: Arc<[Secret]>,
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
        Self { secrets: secrets.into_iter().filter(|secret| secret.dangerously_expose().len() >= SHORTEST_SECRET).collect() }
    }

    /// Looks at a request before it is sent.
    pub(crate) fn request(&self, request: &Request) -> Result<(), Refusal> {
        let holds = |part: &Part| texts(part).into_iter().any(|text| self.finds(text));
        if request.messages.iter().any(|Message { parts, .. }| parts.iter().any(holds)) {
            return Err(refusal("the request holds the key of a provider"));
        }
        Ok(())
    }

    /// Looks at a tool call before the agent sees it.
    pub(crate) fn call(&self, call: &ToolCall) -> Result<(), Refusal> {
        if self.finds(&call.arguments) || self.finds(&call.name) || self.finds(&call.id) {
            return Err(refusal("the tool call holds the key of a provider"));
        }
        Ok(())
    }

    /// Looks at the text of an answer that is not passed on yet.
    pub(crate) fn text(&self, text: &str) -> Look {
        if self.finds(text) {
            return Look::Cut(self.leak());
        }
        let hold = self.secrets.iter().map(|secret| beginning(text, secret.dangerously_expose())).max().unwrap_or(0);
        Look::Pass { hold }
    }

    /// Why something that holds a key does not pass.
    pub(crate) fn leak(&self) -> Refusal {
        refusal("the answer holds the key of a provider")
    }

    /// Whether one of the secrets stands in `text`.
    pub(crate) fn finds(&self, text: &str) -> bool {
        self.secrets.iter().any(|secret| text.contains(secret.dangerously_expose()))
    }
}

/// The length of the longest end of `text` that is a beginning of `secret`.
fn beginning(text: &str, secret: &str) -> usize {
    let longest = text.len().min(secret.len().saturating_sub(1));
    let ends = |length: &usize| secret.as_bytes().get(..*length).is_some_and(|start| text.as_bytes().ends_with(start));
    (1..=longest).rev().find(ends).unwrap_or(0)
}

fn texts(part: &Part) -> Vec<&str> {
    match part {
        Part::Text(text) => vec![text],
        Part::Reasoning(reasoning) => vec![&reasoning.text],
        Part::Call(call) => vec![&call.arguments],
        Part::Result(result) => result.parts.iter().flat_map(texts).collect(),
        Part::Image(_) => Vec::new(),
    }
}

fn refusal(reason: &str) -> Refusal {
    Refusal {
        stage: Stage::Inspect,
        code: RefusalCode::ContentRefused,
        reason: reason.to_owned(),
        help: "tell whoever runs NanoClaw: the key must be replaced".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipeline() -> Pipeline {
        Pipeline::new(["sk-0123456789", "short"].map(|text| Secret::new(text.to_owned()).unwrap()))
    }

    #[test]
    fn a_key_is_found_whole_and_its_beginning_is_held() {
        let pipeline = pipeline();
        assert!(matches!(pipeline.text("is sk-0123456789!"), Look::Cut(_)));
        assert_eq!(pipeline.text("is sk-01234"), Look::Pass { hold: 8 });
        assert_eq!(pipeline.text("is sk-01234 no"), Look::Pass { hold: 0 });
        assert_eq!(pipeline.text("short"), Look::Pass { hold: 0 }, "too short to be told from chance");
    }
}
