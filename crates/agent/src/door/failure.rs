//! What can go wrong between the agent and the model, for people.

use std::time::Duration;

use serde_json::Value;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DoorError {
    /// No connection to the door.
    #[error("the model door cannot be reached: {0}")]
    Unreachable(String),
    /// Nothing came for too long.
    #[error("the model door was silent for {} s", .0.as_secs())]
    Silent(Duration),
    /// The door answered with an error.
    #[error("{message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The error's own code, where it has one.
        code: String,
        /// What it says.
        message: String,
        /// After how many seconds it can be asked again, where it says so.
        retry_after: Option<u64>,
    },
    /// The answer ended too early.
    #[error("the answer of the model broke off: {0}")]
    BrokeOff(String),
    /// The provider reports an error in the answer, or the answer is not of the dialect.
    #[error("the answer of the model is of no use: {0}")]
    Provider(String),
    /// The answer is not what it should be.
    #[error("the answer of the model door cannot be read: {0}")]
    Broken(String),
}

/// Longest message of the door that is passed on, in characters.
pub(crate) const LONGEST_MESSAGE: usize = 2000;

/// Codes and types of errors that say so: OpenAI's, and llama-server's.
const TOO_LONG: [&str; 2] = ["context_length_exceeded", "exceed_context_size_error"];

/// Words of providers that say so: OpenAI and those who speak like it, llama-server, Anthropic, Gemini.
const TOO_LONG_WORDS: [&str; 8] = [
    "context_length_exceeded",
    "exceed_context_size_error",
    "context length",
    "context size",
    "context window",
    "prompt is too long",
    "input is too long",
    "input token count",
];

fn says_too_long(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    TOO_LONG_WORDS.iter().any(|words| message.contains(words))
}

impl DoorError {
    /// From an answer whose status is not 200.
    pub(crate) fn refused(head: &http::response::Parts, body: &[u8]) -> Self {
        let status = head.status.as_u16();
        let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |place: &str| parsed.pointer(place).and_then(Value::as_str).map(str::to_owned);
        let code = text("/error/code").or_else(|| text("/error/type")).unwrap_or_default();
        let said = text("/error/message").unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned());
        let said: String = said.chars().take(LONGEST_MESSAGE).collect();
        let message = if said.is_empty() { format!("the model door answered {status}") } else { said };
        let retry_after = head
            .headers
            .get(http::header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|s| s.parse().ok());
        Self::Refused { status, code, message, retry_after }
    }

    /// Whether the request was longer than the model, or the way to it, takes. The door passes the words of providers on
    /// and not their codes, so the words count too.
    pub(crate) fn too_long(&self) -> bool {
        match self {
            DoorError::Refused { status: 413, .. } => true,
            DoorError::Refused { status: 400..=499, code, message, .. } => {
                TOO_LONG.contains(&code.as_str()) || says_too_long(message)
            }
            DoorError::Provider(message) => says_too_long(message),
            DoorError::Refused { .. }
            | DoorError::Unreachable(_)
            | DoorError::Silent(_)
            | DoorError::BrokeOff(_)
            | DoorError::Broken(_) => false,
        }
    }

    /// What to do about it.
    pub(crate) fn help(&self) -> String {
        match self {
            error if error.too_long() => {
                "ask with less, begin a new session, or set `context_tokens` of this agent to what its model takes"
                    .to_owned()
            }
            DoorError::Unreachable(_) => {
                "see whether this agent has access to models: `nanoclaw doctor`, and the log of the control plane"
                    .to_owned()
            }
            DoorError::Silent(_) => "see whether the provider answers, then ask again".to_owned(),
            DoorError::Refused { status: 429, retry_after: Some(seconds), .. } => format!("ask again in {seconds} s"),
            DoorError::Refused { status: 429, retry_after: None, .. } => {
                "raise the budget, or wait until it returns".to_owned()
            }
            DoorError::Refused { status: 401 | 403, .. } => {
                "change what the configuration allows this agent, or ask for something else".to_owned()
            }
            DoorError::Refused { status: 404, .. } => "name a model that the configuration has".to_owned(),
            DoorError::Refused { status: 400..=499, .. } => "the audit log has the record of this call".to_owned(),
            DoorError::Refused { .. } | DoorError::BrokeOff(_) | DoorError::Provider(_) => {
                "ask again; if it stays so, look at the provider".to_owned()
            }
            DoorError::Broken(_) => "see what stands at the door's address".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, retry: Option<&str>, body: &str) -> DoorError {
        let mut response = http::Response::builder().status(status);
        if let Some(retry) = retry {
            response = response.header("retry-after", retry);
        }
        DoorError::refused(&response.body(()).unwrap().into_parts().0, body.as_bytes())
    }

    #[test]
    fn the_doors_own_words_are_passed_on() {
        let chat =
            refused(429, Some("7"), r#"{"error":{"message":"the budget is used up","code":"budget-exhausted"}}"#);
        assert_eq!(chat.to_string(), "the budget is used up");
        assert_eq!(chat.help(), "ask again in 7 s");
        let messages = refused(403, None, r#"{"type":"error","error":{"type":"permission_error","message":"no"}}"#);
        assert_eq!(
            messages,
            DoorError::Refused {
                status: 403,
                code: "permission_error".into(),
                message: "no".into(),
                retry_after: None
            }
        );
    }

    #[test]
    fn errors_that_are_no_json_are_told_as_they_are() {
        assert_eq!(refused(502, None, " <p>bad</p> ").to_string(), "<p>bad</p>");
        assert_eq!(refused(500, Some("soon"), "").to_string(), "the model door answered 500");
    }

    #[test]
    fn a_context_that_is_full_is_known_by_the_code_or_by_the_words_of_the_provider() {
        for (status, body) in [
            (413, ""),
            (400, r#"{"error":{"message":"no","code":"context_length_exceeded"}}"#),
            (
                400,
                "provider `local` refused the request (400): request (9000 tokens) exceeds the available context size \
                 (8192 tokens), try increasing it",
            ),
            (400, "provider `o` refused the request (400): This model's maximum context length is 8192 tokens"),
            (400, "provider `c` refused the request (400): prompt is too long: 215423 tokens > 200000 maximum"),
            (400, "provider `g` refused the request (400): The input token count (9) exceeds the maximum number (8)"),
        ] {
            let error = refused(status, None, body);
            assert!(error.too_long() && error.help().contains("`context_tokens`"), "{error}");
        }
        for (status, body) in [(400, "the schema is wrong"), (500, "context length"), (429, "too many tokens")] {
            assert!(!refused(status, None, body).too_long(), "{body}");
        }
    }

    #[test]
    fn long_messages_are_cut() {
        assert_eq!(refused(500, None, &"é".repeat(5000)).to_string().chars().count(), LONGEST_MESSAGE);
    }
}
