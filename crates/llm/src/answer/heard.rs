//! How an answer is read on its way to an agent: as it is spoken, and for agents that make calls of text, with those
//! calls as native ones ([`nanoclaw_dialect::textual`]).

use nanoclaw_dialect::{Dialect, Malformed, Response, StreamReader, textual};
use serde_json::Value;

use super::Spoken;

/// How an answer is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    pub(super) spoken: Spoken,
    /// Whether the agent makes calls of text.
    pub(super) text_calls: bool,
}

impl Heard {
    /// Whether the answer can be passed to an agent of this dialect as it is.
    pub(super) fn is(self, agent: Dialect) -> bool {
        !self.text_calls && self.spoken.is(agent)
    }

    pub(super) fn stream_reader(self) -> Box<dyn StreamReader> {
        let inner = self.spoken.stream_reader();
        if self.text_calls { Box::new(textual::Reader::new(inner)) } else { inner }
    }

    pub(super) fn read_response(self, body: &Value) -> Result<Response, Malformed> {
        let response = self.spoken.read_response(body)?;
        Ok(if self.text_calls { textual::release(response) } else { response })
    }
}
