//! Calls that did not succeed: whose fault it is, what the agent is told, and whether another attempt makes sense.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{StatusCode, Uri};
use nanoclaw_dialect::{Dialect, FaultKind, chat, gemini, messages};
use nanoclaw_vault::Scrubber;

use super::MAX_ANSWER_BYTES;

/// Longest message of a provider that is passed on, in characters.
const MAX_MESSAGE_CHARS: usize = 500;

/// A call that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What kind, for the agent.
    pub kind: FaultKind,
    /// The provider's status, if it gave one.
    pub status: Option<u16>,
    /// What happened and what to do. Holds no key, no control characters, and at most 500 characters of the provider.
    pub message: String,
    /// How long the provider asks to be left alone.
    pub retry_after: Option<Duration>,
    /// Whether the fault is the provider's and nothing of an answer has come, so that the same call may be made to
    /// another one.
    pub retryable: bool,
    /// Whether the provider may charge for the last attempt: the request was sent, and no status from 400 on came back.
    pub charged: bool,
    /// How many attempts [`Upstream::send`](super::Upstream::send) made; 0 for what fails after it.
    pub attempts: u32,
}

impl Failure {
    fn new(kind: FaultKind, message: String) -> Self {
        Self { kind, status: None, message, retry_after: None, retryable: false, charged: false, attempts: 0 }
    }

    /// A provider's answer is none.
    pub(crate) fn provider(message: String) -> Self {
        Self { charged: true, ..Self::new(FaultKind::Provider, message) }
    }

    /// There is no provider to ask.
    pub(crate) fn unavailable(message: String) -> Self {
        Self::new(FaultKind::Unavailable, message)
    }

    /// The request cannot be made to a provider.
    pub(crate) fn invalid(message: String) -> Self {
        Self::new(FaultKind::Invalid, message)
    }

    pub(super) fn no_such_provider(name: &str) -> Self {
        Self::new(FaultKind::Internal, format!("no provider is called `{name}`; name it under `models.providers`"))
    }
}

/// An attempt that failed.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) failure: Failure,
    /// Whether the same provider may be asked again.
    pub(super) again: bool,
}

/// Makes the failures of one provider.
#[derive(Clone)]
pub(super) struct Reporter {
    provider: Arc<str>,
    has_key: bool,
    /// Whether NanoClaw itself runs it, in a cell.
    in_cell: bool,
    scrubber: Arc<Scrubber>,
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reporter({})", self.provider)
    }
}

impl Reporter {
    pub(super) fn new(provider: &str, has_key: bool, in_cell: bool, scrubber: Arc<Scrubber>) -> Self {
        Self { provider: provider.into(), has_key, in_cell, scrubber }
    }

    /// What goes wrong when a request was sent, unless the caller knows better.
    fn failure(&self, kind: FaultKind, what: &str) -> Failure {
        Failure { charged: true, ..Failure::new(kind, format!("provider `{}` {what}", self.provider)) }
    }

    /// It does not offer what was asked of it.
    pub(super) fn not_offered(&self) -> Failure {
        let failure =
            self.failure(FaultKind::NotFound, "does not offer this operation; use a model of another provider");
        Failure { charged: false, ..failure }
    }

    /// Nothing came for this long, while an answer was on its way.
    pub(super) fn silent(&self, idle: Duration) -> Failure {
        self.failure(FaultKind::Timeout, &format!("said nothing for {idle:?}; its `idle_timeout` says how long it may"))
    }

    /// The whole time is over, while an answer was on its way.
    pub(super) fn too_long(&self) -> Failure {
        self.failure(FaultKind::Timeout, "took longer for its answer than its `timeout` allows")
    }

    /// The answer has no end.
    pub(super) fn too_large(&self) -> Failure {
        self.failure(FaultKind::Provider, &format!("answered with more than {MAX_ANSWER_BYTES} bytes"))
    }

    /// The connection broke, while an answer was on its way.
    pub(super) fn broken_off(&self, error: &hyper::Error) -> Failure {
        self.failure(FaultKind::Provider, &format!("broke its answer off: {}", self.clean(&root(error))))
    }

    /// It answers in a form that was not asked for.
    pub(super) fn encoded(&self, status: StatusCode) -> Failed {
        let failure = self.failure(FaultKind::Provider, "answered in a compressed form, which nobody asked it for");
        Failed { failure: Failure { status: Some(status.as_u16()), retryable: true, ..failure }, again: false }
    }

    /// No head of an answer came in time. The provider may be at work on it, so it is not asked again.
    pub(super) fn no_head(&self, failure: Failure) -> Failed {
        Failed { failure: Failure { retryable: true, ..failure }, again: false }
    }

    /// There was no answer.
    pub(super) fn no_answer(&self, error: &hyper_util::client::legacy::Error) -> Failed {
        let cause = self.clean(&root(error));
        let hyper = error.source().and_then(|source| source.downcast_ref::<hyper::Error>());
        let (kind, what, again) = if let Some(distrust) = nanoclaw_vault::tls::failure(error) {
            let what = format!(
                "cannot be spoken to securely: {}; if its authority is your own, name it with `ca`",
                self.clean(&distrust)
            );
            (FaultKind::Provider, what, false)
        } else if error.is_connect() {
            let what = if self.in_cell {
                format!(
                    "cannot be reached: {cause}; `nanoclaw ps` and `nanoclaw logs model-{}` tell why",
                    self.provider
                )
            } else {
                format!("cannot be reached: {cause}; check its `base_url` and that it runs")
            };
            (FaultKind::Unavailable, what, true)
        } else if hyper.is_some_and(hyper::Error::is_parse) {
            (FaultKind::Provider, format!("answered with something that is not HTTP: {cause}"), false)
        } else {
            (FaultKind::Provider, format!("closed the connection without an answer: {cause}"), true)
        };
        Failed {
            failure: Failure { retryable: true, charged: !error.is_connect(), ..self.failure(kind, &what) },
            again,
        }
    }

    /// It answered with a status other than success when `asked` was asked for. `body` is the beginning of what came with it.
    pub(super) fn status(
        &self,
        status: StatusCode,
        retry_after: Option<Duration>,
        dialect: Dialect,
        body: &[u8],
        asked: &Uri,
    ) -> Failed {
        let said = match self.said(dialect, body) {
            Some(said) => format!("({}): {said}", status.as_u16()),
            None => format!("({})", status.as_u16()),
        };
        let (kind, what, retryable) = match status.as_u16() {
            400 | 422 => (FaultKind::Invalid, format!("refused the request {said}"), false),
            // What it says along with these may repeat parts of the key that cannot be told from other text.
            status @ (401 | 403) if self.has_key => {
                let what = format!("refused NanoClaw's key ({status}); its `api_key` must be mended, not the agent");
                (FaultKind::Provider, what, true)
            }
            status @ (401 | 403) => {
                (FaultKind::Provider, format!("wants a key ({status}); name one with its `api_key`"), true)
            }
            404 if self.in_cell => (FaultKind::NotFound, format!("does not have this model or address {said}"), true),
            404 => {
                let port = asked.port().map(|port| format!(":{port}")).unwrap_or_default();
                let address = self.clean(&format!("{}{port}{}", asked.host().unwrap_or_default(), asked.path()));
                let what = format!(
                    "does not have this model, or nothing at `{address}`, which was asked {said}; if that is not where it is, its `base_url` is wrong"
                );
                (FaultKind::NotFound, what, true)
            }
            413 => (FaultKind::TooLarge, format!("takes no request of this size {said}"), false),
            429 => (FaultKind::Exhausted, format!("takes no more requests for now {said}"), true),
            503 if self.in_cell => {
                let what =
                    format!("has not loaded its model; `nanoclaw logs model-{}` shows how far it is", self.provider);
                (FaultKind::Unavailable, what, true)
            }
            503 | 529 => (FaultKind::Unavailable, format!("is overloaded or closed {said}"), true),
            408 | 504 => (FaultKind::Timeout, format!("did not finish in time {said}"), true),
            status @ 300..400 => {
                let what = format!(
                    "redirects elsewhere ({status}), which NanoClaw does not follow; write the address that it leads to as its `base_url`"
                );
                (FaultKind::Provider, what, true)
            }
            _ => (FaultKind::Provider, format!("failed {said}"), true),
        };
        let again = matches!(status.as_u16(), 408 | 409 | 429 | 500 | 502 | 503 | 504 | 529);
        let failure = self.failure(kind, &what);
        let charged = !(status.is_client_error() || status.is_server_error());
        Failed { failure: Failure { status: Some(status.as_u16()), retry_after, retryable, charged, ..failure }, again }
    }

    /// The provider's own words.
    fn said(&self, dialect: Dialect, body: &[u8]) -> Option<String> {
        let text = match serde_json::from_slice(body) {
            Ok(value) => match dialect {
                Dialect::Chat | Dialect::Responses => chat::read_error(&value),
                Dialect::Messages => messages::read_error(&value),
                Dialect::Gemini => gemini::read_error(&value),
            }?,
            // Something in between may answer in plain text; a page for browsers says nothing.
            Err(_) => str::from_utf8(body).ok().filter(|text| !text.trim_start().starts_with('<'))?.to_owned(),
        };
        let text = self.clean(&text);
        (!text.is_empty()).then_some(text)
    }

    /// `text` in one line, without keys, and not too long.
    fn clean(&self, text: &str) -> String {
        let line: String =
            text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !c.is_control()).collect();
        let scrubbed = self.scrubber.scrub(line.trim());
        match scrubbed.char_indices().nth(MAX_MESSAGE_CHARS) {
            Some((end, _)) => format!("{}…", scrubbed.get(..end).unwrap_or_default()),
            None => scrubbed,
        }
    }
}

/// What is at the bottom of an error: the rest only says that there is one.
fn root(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reporter() -> Reporter {
        Reporter::new("main", true, false, Arc::new(Scrubber::new([])))
    }

    fn asked() -> Uri {
        Uri::from_static("https://user:word@api.example.com:8443/v1/chat/completions?key=secret")
    }

    fn status(status: u16, body: &str) -> Failed {
        reporter().status(StatusCode::from_u16(status).unwrap(), None, Dialect::Chat, body.as_bytes(), &asked())
    }

    #[test]
    fn each_status_has_its_kind() {
        use FaultKind::*;
        for (code, kind, again, retryable) in [
            (301, Provider, false, true),
            (307, Provider, false, true),
            (400, Invalid, false, false),
            (401, Provider, false, true),
            (402, Provider, false, true),
            (403, Provider, false, true),
            (404, NotFound, false, true),
            (408, Timeout, true, true),
            (409, Provider, true, true),
            (413, TooLarge, false, false),
            (422, Invalid, false, false),
            (429, Exhausted, true, true),
            (500, Provider, true, true),
            (501, Provider, false, true),
            (502, Provider, true, true),
            (503, Unavailable, true, true),
            (504, Timeout, true, true),
            (529, Unavailable, true, true),
            (599, Provider, false, true),
        ] {
            let failed = status(code, "");
            assert_eq!(
                (failed.failure.kind, failed.again, failed.failure.retryable),
                (kind, again, retryable),
                "{code}"
            );
            assert_eq!((failed.failure.status, failed.failure.charged), (Some(code), code < 400));
        }
    }

    #[test]
    fn words_of_a_provider_are_one_short_line() {
        for (body, said) in [
            ("no\r\nsuch\tthing\x1b[31m\x07\u{9d} ", "provider `main` failed (500): no  such thing[31m".to_owned()),
            ("<html>nginx</html>", "provider `main` failed (500)".to_owned()),
            ("", "provider `main` failed (500)".to_owned()),
            (&"é".repeat(501), format!("provider `main` failed (500): {}…", "é".repeat(500))),
            (&"é".repeat(500), format!("provider `main` failed (500): {}", "é".repeat(500))),
        ] {
            assert_eq!(status(500, body).failure.message, said);
        }
        let failed = reporter().status(StatusCode::BAD_GATEWAY, None, Dialect::Chat, b"\xff", &asked());
        assert_eq!(failed.failure.message, "provider `main` failed (502)");
    }

    #[test]
    fn what_is_not_there_is_said_with_the_address_that_was_asked_and_nothing_secret_in_it() {
        assert_eq!(
            status(404, "no such route").failure.message,
            "provider `main` does not have this model, or nothing at `api.example.com:8443/v1/chat/completions`, which was \
             asked (404): no such route; if that is not where it is, its `base_url` is wrong"
        );
        let in_cell = Reporter { in_cell: true, ..reporter() };
        let failed = in_cell.status(StatusCode::NOT_FOUND, None, Dialect::Chat, b"", &asked());
        assert_eq!(failed.failure.message, "provider `main` does not have this model or address (404)");
    }

    #[test]
    fn a_refused_key_is_the_operators_matter() {
        for code in [401, 403] {
            let said = status(code, "Incorrect API key provided: sk-ab***yz").failure.message;
            assert_eq!(
                said,
                format!("provider `main` refused NanoClaw's key ({code}); its `api_key` must be mended, not the agent")
            );
            let none = Reporter { has_key: false, ..reporter() };
            let failed = none.status(StatusCode::from_u16(code).unwrap(), None, Dialect::Chat, b"", &asked());
            assert_eq!(
                failed.failure.message,
                format!("provider `main` wants a key ({code}); name one with its `api_key`")
            );
        }
    }
}
