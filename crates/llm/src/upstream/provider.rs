//! One provider: its address, its key, its connections.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST,
    TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use jiff::Timestamp;
use nanoclaw_config::{ProviderKind, Remote};
use nanoclaw_dialect::{Dialect, FaultKind};
use nanoclaw_vault::tls::TlsError;
use nanoclaw_vault::{Secret, SecretError};
use tokio::time::Instant;

use super::address::{Base, Service};
use super::connect::{Connector, DialCell, SystemTls};
use super::failure::{Failed, Failure, Reporter};
use super::{Answer, AnswerBody, Call, Operation, retry};

/// Longest body of an error that is read, in bytes.
const MAX_ERROR_BYTES: usize = 64 * 1024;
/// Longest time for reading it.
const LONGEST_ERROR_BODY: Duration = Duration::from_secs(5);
/// Longest head of an answer, in bytes. It may have 100 fields.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Most connections to one provider that are kept for later.
const MOST_KEPT_CONNECTIONS: usize = 64;
/// Pause between two looks at whether a provider in a cell is ready.
const LOOK: Duration = Duration::from_millis(500);
/// Longest time that they are kept without use. Many a server closes them sooner, which the pool notices.
const LONGEST_KEPT: Duration = Duration::from_secs(50);

/// Belong to the connection, not to what is said on it, so nobody else sets them (RFC 9110, section 7.6.1).
const OF_THE_CONNECTION: [HeaderName; 8] =
    [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, TE, TRAILER, UPGRADE, EXPECT];
/// The version of Anthropic's interface that this client was written for.
const ANTHROPIC_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");

/// A provider that cannot be used as the configuration says.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// Its key cannot be had.
    #[error("provider `{provider}` has no key: {error}")]
    Key {
        /// Its name.
        provider: String,
        /// Why.
        error: SecretError,
    },
    /// Its key would go into something that is no header.
    #[error("provider `{provider}`: `key_header` `{header}` is not a header's name; write one such as `api-key`")]
    KeyHeader {
        /// Its name.
        provider: String,
        /// What should be a header.
        header: String,
    },
    /// Its address is none.
    #[error(
        "provider `{provider}`: `base_url` `{base_url}` cannot be used; write one such as `https://api.example.com/v1`"
    )]
    BaseUrl {
        /// Its name.
        provider: String,
        /// What should be an address.
        base_url: String,
    },
    /// TLS cannot be set up for it.
    #[error("provider `{provider}`: {error}")]
    Tls {
        /// Its name.
        provider: String,
        /// Why.
        error: TlsError,
    },
    /// It runs in a cell, and there are none here.
    #[error("provider `{provider}` runs in a cell, and no cells can be started here; start it with `nanoclaw up`")]
    NoCells {
        /// Its name.
        provider: String,
    },
}

/// The key of a provider, if it has one.
pub(super) fn key(config: &nanoclaw_config::Provider) -> Result<Option<Secret>, SetUpError> {
    let source = remote(&config.kind).and_then(|remote| remote.api_key.as_ref());
    let secret = source.map(nanoclaw_vault::read).transpose();
    secret.map_err(|error| SetUpError::Key { provider: config.name.clone(), error })
}

fn remote(kind: &ProviderKind) -> Option<&Remote> {
    match kind {
        ProviderKind::OpenAi(remote) | ProviderKind::Anthropic(remote) | ProviderKind::Gemini(remote) => Some(remote),
        ProviderKind::LlamaServer(_) => None,
    }
}

/// One provider, ready to be called.
pub(super) struct Provider {
    base: Base,
    /// Those that every request has. The key is among them.
    headers: HeaderMap,
    key: Option<Secret>,
    client: Client<Connector, Full<Bytes>>,
    /// Longest time until a connection stands.
    connect: Duration,
    /// Longest time until a connection stands and the head of an answer has come.
    head: Duration,
    idle: Duration,
    timeout: Duration,
    retries: u32,
    reporter: Reporter,
}

impl Provider {
    pub(super) fn new(
        config: &nanoclaw_config::Provider,
        key: Option<Secret>,
        reporter: Reporter,
        dial: Option<&DialCell>,
        system: &mut SystemTls,
    ) -> Result<Self, SetUpError> {
        let provider = || config.name.clone();
        let within = config.connect_timeout;
        let service = Service::of(&config.kind);
        let (base, connector) = match (remote(&config.kind), dial) {
            (None, None) => return Err(SetUpError::NoCells { provider: provider() }),
            (None, Some(dial)) => (Base::of_cell(), Connector::cell(within, &config.name, dial)),
            (Some(remote), _) => {
                let bad = || SetUpError::BaseUrl { provider: provider(), base_url: remote.base_url.clone() };
                let base = Base::parse(service, &remote.base_url).ok_or_else(bad)?;
                let connector = if base.is_https() {
                    Connector::tls(within, remote.ca.as_deref(), system)
                        .map_err(|error| SetUpError::Tls { provider: provider(), error })?
                } else {
                    Connector::plain(within)
                };
                (base, connector)
            }
        };
        let header = remote(&config.kind).and_then(|remote| remote.key_header.as_deref());
        let headers = headers(service, key.as_ref(), header);
        let headers =
            headers.map_err(|header| SetUpError::KeyHeader { provider: provider(), header: header.to_owned() })?;
        Ok(Self {
            base,
            headers,
            key,
            client: client(connector),
            connect: within,
            head: config.connect_timeout + config.idle_timeout,
            idle: config.idle_timeout,
            timeout: config.timeout,
            retries: config.retries,
            reporter,
        })
    }

    pub(super) fn service(&self) -> Service {
        self.base.service()
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn retries(&self) -> u32 {
        self.retries
    }

    /// How long to wait until the next look at a provider in a cell that is not ready yet; `None` where the failure is
    /// another, or it had its time. It has `connect_timeout` until it takes connections, and the whole time of the
    /// call to load its model.
    pub(super) fn starting(&self, failure: &Failure, waited: Duration) -> Option<Duration> {
        let starting = match failure.status {
            Some(status) => status == StatusCode::SERVICE_UNAVAILABLE.as_u16(),
            None => failure.kind == FaultKind::Unavailable && waited < self.connect,
        };
        (self.service() == Service::LlamaServer && starting).then_some(LOOK)
    }

    pub(super) fn key(&self) -> Option<&Secret> {
        self.key.as_ref()
    }

    /// The request that `call` describes.
    pub(super) fn request(&self, call: &Call) -> Result<Request<Full<Bytes>>, Failure> {
        let uri = self.base.uri(call.operation, &call.model, call.stream).ok_or_else(|| self.reporter.not_offered())?;
        let mut request = Request::new(Full::new(call.body.clone()));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        for (name, value) in call.headers.iter().filter(|(name, _)| !OF_THE_CONNECTION.contains(name)) {
            headers.append(name, value.clone());
        }
        headers.insert(ACCEPT, if call.stream { EVENTS } else { JSON });
        // Last, and replacing: nothing that comes from an agent stands beside the key.
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        Ok(request)
    }

    /// Makes one attempt.
    pub(super) async fn attempt(
        &self,
        request: Request<Full<Bytes>>,
        deadline: Instant,
        operation: Operation,
    ) -> Result<Answer, Failed> {
        let until = deadline.min(Instant::now() + self.head);
        let asked = request.uri().clone();
        let response = match tokio::time::timeout_at(until, self.client.request(request)).await {
            Err(_) if until == deadline => return Err(self.reporter.no_head(self.reporter.too_long())),
            Err(_) => return Err(self.reporter.no_head(self.reporter.silent(self.idle))),
            Ok(Err(error)) => return Err(self.reporter.no_answer(&error)),
            Ok(Ok(response)) => response,
        };
        if !response.status().is_success() {
            return Err(self.refused(response, deadline, operation, &asked).await);
        }
        let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
        if !response.headers().get_all(CONTENT_ENCODING).iter().all(plain) {
            return Err(self.reporter.encoded(response.status()));
        }
        let kind = response.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        Ok(Answer {
            status: response.status().as_u16(),
            events: kind.eq_ignore_ascii_case(EVENTS.as_bytes()),
            attempts: 1,
            body: AnswerBody::new(response.into_body(), self.idle, deadline, self.reporter.clone()),
        })
    }

    /// What an answer says that is no success.
    async fn refused(
        &self,
        response: Response<Incoming>,
        deadline: Instant,
        operation: Operation,
        asked: &Uri,
    ) -> Failed {
        let (head, body) = response.into_parts();
        let until = deadline.min(Instant::now() + LONGEST_ERROR_BODY);
        // A body that does not come, or has no end, takes its words away and nothing else.
        let body = match tokio::time::timeout_at(until, Limited::new(body, MAX_ERROR_BYTES).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            _ => Bytes::new(),
        };
        let dialect = match operation {
            Operation::Generate(dialect) => dialect,
            Operation::Embeddings => Dialect::Chat,
            Operation::CountTokens => Dialect::Messages,
        };
        self.reporter.status(head.status, retry::asked(&head.headers, Timestamp::now()), dialect, &body, asked)
    }
}

/// The headers that every request has. The error is the name of a header that cannot be one.
fn headers<'c>(service: Service, key: Option<&Secret>, key_header: Option<&'c str>) -> Result<HeaderMap, &'c str> {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("nanoclaw/", env!("CARGO_PKG_VERSION"))));
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if service == Service::Anthropic {
        headers.insert(HeaderName::from_static("anthropic-version"), ANTHROPIC_VERSION);
    }
    let Some(key) = key else { return Ok(headers) };
    let key = key.dangerously_expose();
    let (name, value) = match (key_header, service) {
        (Some(name), _) => (HeaderName::try_from(name).map_err(|_| name)?, HeaderValue::try_from(key)),
        (None, Service::Anthropic) => (HeaderName::from_static("x-api-key"), HeaderValue::try_from(key)),
        (None, Service::Gemini) => (HeaderName::from_static("x-goog-api-key"), HeaderValue::try_from(key)),
        (None, Service::OpenAi { .. } | Service::LlamaServer) => {
            (AUTHORIZATION, HeaderValue::try_from(format!("Bearer {key}")))
        }
    };
    // A `Secret` is visible ASCII, which every header takes.
    if let Ok(mut value) = value {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

fn client(connector: Connector) -> Client<Connector, Full<Bytes>> {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(LONGEST_KEPT)
        .pool_max_idle_per_host(MOST_KEPT_CONNECTIONS)
        .http1_max_buf_size(MAX_HEAD_BYTES)
        .build(connector)
}
