//! Where at a provider each operation is found.

use std::fmt::Write as _;

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
use nanoclaw_config::ProviderKind;
use nanoclaw_dialect::Dialect;

use super::Operation;

/// What kind of service a provider offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// OpenAI's, or one that is like it.
    OpenAi {
        /// Whether it also speaks OpenAI responses.
        responses: bool,
    },
    /// Anthropic's.
    Anthropic,
    /// Gemini.
    Gemini,
    /// llama-server in a cell of its own.
    LlamaServer,
}

impl Service {
    pub(super) fn of(kind: &ProviderKind) -> Self {
        match kind {
            ProviderKind::OpenAi(remote) => Service::OpenAi { responses: remote.responses },
            ProviderKind::Anthropic(_) => Service::Anthropic,
            ProviderKind::Gemini(_) => Service::Gemini,
            ProviderKind::LlamaServer(_) => Service::LlamaServer,
        }
    }

    /// Whether a request in this dialect can be sent there as it is.
    pub(super) fn speaks(self, dialect: Dialect) -> bool {
        match self {
            Service::OpenAi { responses } => dialect == Dialect::Chat || (responses && dialect == Dialect::Responses),
            Service::Anthropic => dialect == Dialect::Messages,
            Service::Gemini => dialect == Dialect::Gemini,
            Service::LlamaServer => dialect != Dialect::Gemini,
        }
    }

    /// What to speak where the agent's dialect is not known there.
    pub(super) fn own_dialect(self) -> Dialect {
        match self {
            Service::OpenAi { .. } | Service::LlamaServer => Dialect::Chat,
            Service::Anthropic => Dialect::Messages,
            Service::Gemini => Dialect::Gemini,
        }
    }
}

/// A provider's `base_url`, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Base {
    service: Service,
    scheme: Scheme,
    authority: Authority,
    /// What stands before the paths of the dialect; no slash at its end.
    path: String,
}

impl Base {
    /// Reads a `base_url`. `None` if it is not one.
    pub(super) fn parse(service: Service, base_url: &str) -> Option<Self> {
        let uri: Uri = base_url.parse().ok()?;
        let (scheme, authority) = (uri.scheme()?.clone(), uri.authority()?.clone());
        if uri.query().is_some() || !matches!(scheme.as_str(), "http" | "https") {
            return None;
        }
        let path = uri.path().trim_end_matches('/');
        // The version belongs to the paths of these two; whoever writes it into the address means the same.
        let path = match service {
            Service::Anthropic => path.strip_suffix("/v1").unwrap_or(path),
            Service::Gemini => path.strip_suffix("/v1beta").unwrap_or(path),
            Service::OpenAi { .. } | Service::LlamaServer => path,
        };
        Some(Self { service, scheme, authority, path: path.to_owned() })
    }

    /// That of llama-server. The connection is dialled by the provider's name, so the host only fills the header.
    pub(super) fn of_cell() -> Self {
        Self {
            service: Service::LlamaServer,
            scheme: Scheme::HTTP,
            authority: Authority::from_static("localhost"),
            path: "/v1".to_owned(),
        }
    }

    pub(super) fn service(&self) -> Service {
        self.service
    }

    pub(super) fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Where `operation` is found; `None` if the service does not have it.
    pub(super) fn uri(&self, operation: Operation, model: &str, stream: bool) -> Option<Uri> {
        let path = match (self.service, operation) {
            (service, Operation::Generate(dialect)) if !service.speaks(dialect) => return None,
            (Service::Anthropic, Operation::Generate(_)) => "/v1/messages".to_owned(),
            (Service::Anthropic, Operation::CountTokens) => "/v1/messages/count_tokens".to_owned(),
            (Service::Gemini, Operation::Generate(_)) => gemini(model, stream),
            (_, Operation::Generate(Dialect::Chat)) => "/chat/completions".to_owned(),
            (_, Operation::Generate(Dialect::Responses)) => "/responses".to_owned(),
            (Service::LlamaServer, Operation::Generate(Dialect::Messages)) => "/messages".to_owned(),
            (Service::LlamaServer, Operation::CountTokens) => "/messages/count_tokens".to_owned(),
            (Service::OpenAi { .. }, Operation::Embeddings) => "/embeddings".to_owned(),
            _ => return None,
        };
        let path = PathAndQuery::try_from(format!("{}{path}", self.path)).ok()?;
        let uri = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone());
        uri.path_and_query(path).build().ok()
    }
}

/// Gemini names the model in the path. The name comes from an agent, so all of it stays within one segment.
fn gemini(model: &str, stream: bool) -> String {
    let mut path = String::from("/v1beta/models/");
    for byte in model.bytes() {
        // RFC 3986, section 2.3. With what follows the name, `..` is an ordinary segment.
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            path.push(char::from(byte));
        } else {
            // Writing to a `String` does not fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path.push_str(if stream { ":streamGenerateContent?alt=sse" } else { ":generateContent" });
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENAI: Service = Service::OpenAi { responses: true };

    fn uri(service: Service, base: &str, operation: Operation, stream: bool) -> String {
        let base = Base::parse(service, base).unwrap();
        base.uri(operation, "gemini-2.5-pro", stream).map_or_else(|| "-".to_owned(), |uri| uri.to_string())
    }

    #[test]
    fn every_operation_has_its_place() {
        use Dialect::{Chat, Gemini, Messages, Responses};
        use Operation::{CountTokens, Embeddings, Generate};
        for (service, base, operation, stream, expected) in [
            (OPENAI, "https://a/v1", Generate(Chat), true, "https://a/v1/chat/completions"),
            (OPENAI, "https://a:8443/x/y", Generate(Responses), false, "https://a:8443/x/y/responses"),
            (OPENAI, "http://[::1]:80/v1", Embeddings, false, "http://[::1]:80/v1/embeddings"),
            (OPENAI, "https://a/v1", CountTokens, false, "-"),
            (OPENAI, "https://a/v1", Generate(Messages), false, "-"),
            (Service::OpenAi { responses: false }, "https://a/v1", Generate(Responses), false, "-"),
            (Service::Anthropic, "https://a", Generate(Messages), true, "https://a/v1/messages"),
            (Service::Anthropic, "https://a/v1", Generate(Messages), true, "https://a/v1/messages"),
            (Service::Anthropic, "https://a/b/v1", CountTokens, false, "https://a/b/v1/messages/count_tokens"),
            (Service::Anthropic, "https://a", Generate(Chat), false, "-"),
            (Service::Anthropic, "https://a", Embeddings, false, "-"),
            (
                Service::Gemini,
                "https://a",
                Generate(Gemini),
                false,
                "https://a/v1beta/models/gemini-2.5-pro:generateContent",
            ),
            (
                Service::Gemini,
                "https://a/v1beta",
                Generate(Gemini),
                true,
                "https://a/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse",
            ),
            (Service::Gemini, "https://a", Embeddings, false, "-"),
        ] {
            assert_eq!(uri(service, base, operation, stream), expected);
        }
        let cell = Base::of_cell();
        for (operation, path) in [
            (Generate(Chat), "/v1/chat/completions"),
            (Generate(Responses), "/v1/responses"),
            (Generate(Messages), "/v1/messages"),
            (CountTokens, "/v1/messages/count_tokens"),
        ] {
            assert_eq!(cell.uri(operation, "m", false).unwrap().path(), path);
        }
        assert_eq!(cell.uri(Generate(Gemini), "m", false), None);
        assert_eq!(cell.uri(Embeddings, "m", false), None);
    }

    #[test]
    fn a_model_name_does_not_leave_its_segment() {
        let base = Base::parse(Service::Gemini, "https://a").unwrap();
        for (model, segment) in [
            ("../../files?x=", "..%2F..%2Ffiles%3Fx%3D"),
            ("..", ".."),
            ("m#:x", "m%23%3Ax"),
            ("m\r\nHost: b", "m%0D%0AHost%3A%20b"),
            ("模", "%E6%A8%A1"),
        ] {
            let uri = base.uri(Operation::Generate(Dialect::Gemini), model, false).unwrap();
            assert_eq!(uri.to_string(), format!("https://a/v1beta/models/{segment}:generateContent"));
        }
    }

    #[test]
    fn what_is_no_base_url_is_refused() {
        for text in ["", "/v1", "a", "ftp://a/v1", "https://a/v1?key=x", "https:///v1"] {
            assert!(Base::parse(OPENAI, text).is_none(), "{text}");
        }
    }
}
