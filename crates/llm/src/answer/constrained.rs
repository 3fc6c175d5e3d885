//! Speaking to a provider in a dialect as it is, or held to the form of [`nanoclaw_dialect::constrained`].

use nanoclaw_dialect::{Dialect, Malformed, Request, Response, StreamReader, constrained};
use serde_json::Value;

/// What the form takes the place of in a request, and what would give more answers than the one that is read.
const REPLACED: [&str; 7] = ["tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "stop", "n"];

/// How a provider is spoken to for one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoken {
    /// In this dialect.
    Plain(Dialect),
    /// In chat completions without tools, held to a schema whose answers are tool calls or text.
    Constrained,
}

impl Spoken {
    pub(crate) const fn dialect(self) -> Dialect {
        match self {
            Spoken::Plain(dialect) => dialect,
            Spoken::Constrained => Dialect::Chat,
        }
    }

    /// Whether an answer can be passed to an agent of this dialect as it is.
    pub(super) fn is(self, agent: Dialect) -> bool {
        self == Spoken::Plain(agent)
    }

    pub(super) fn stream_reader(self) -> Box<dyn StreamReader> {
        match self {
            Spoken::Plain(dialect) => dialect.stream_reader(),
            Spoken::Constrained => Box::<constrained::Reader>::default(),
        }
    }

    pub(super) fn read_response(self, body: &Value) -> Result<Response, Malformed> {
        match self {
            Spoken::Plain(dialect) => dialect.read_response(body),
            Spoken::Constrained => constrained::release(Dialect::Chat.read_response(body)?),
        }
    }
}

/// The request to be sent for [`Spoken::Constrained`]. What an agent that speaks chat completions says beside it, stays.
pub(crate) fn constrain(request: &Request, agent: Dialect, body: &Value) -> Result<Value, Malformed> {
    let mut written = Dialect::Chat.write_request(&constrained::constrain(request)?);
    if let (Dialect::Chat, Some(given), Some(written)) = (agent, body.as_object(), written.as_object_mut()) {
        for (key, value) in given {
            if !REPLACED.contains(&key.as_str()) && !written.contains_key(key) {
                written.insert(key.clone(), value.clone());
            }
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_chat_agent_says_beside_its_tools_stays() {
        let body = json!({
            "model": "m", "messages": [{ "role": "user", "content": "Look." }], "seed": 7, "min_p": 0.1, "n": 3,
            "stop": ["x"], "max_completion_tokens": 99, "stream": true, "stream_options": { "include_usage": false },
            "tools": [{ "type": "function", "function": { "name": "read", "parameters": { "type": "object" } } }],
            "tool_choice": "auto", "parallel_tool_calls": true,
        });
        let request = Dialect::Chat.read_request(&body).unwrap();
        let sent = constrain(&request, Dialect::Chat, &body).unwrap();
        let keys: Vec<&str> = sent.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "model",
                "messages",
                "max_tokens",
                "temperature",
                "response_format",
                "stream",
                "stream_options",
                "seed",
                "min_p",
                "max_completion_tokens",
            ]
        );
        assert_eq!((&sent["seed"], &sent["min_p"], &sent["max_tokens"]), (&7.into(), &0.1.into(), &99.into()));
        assert_eq!(sent["stream_options"]["include_usage"], true, "the ledger needs it");
        assert_eq!(sent["response_format"]["type"], "json_schema");
        let translated = constrain(&request, Dialect::Messages, &body).unwrap();
        assert!(translated.get("seed").is_none(), "the body is of another dialect");
    }
}
