//! Speaking to services over HTTP.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use nanoclaw_config::{Credential, Http};
use nanoclaw_vault::tls::{client_config_with, failure};
use tokio::time::timeout;

use crate::SinkError;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a request may take, with its answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest answer, in bytes: one for each record of a delivery, with what is wrong with it.
const MAX_ANSWER: usize = 4 << 20;
/// Most of an answer that a message repeats, in characters.
const MOST_SHOWN: usize = 200;

/// What a service says to a request.
pub(crate) enum Posted {
    /// It has it, and answers this.
    Taken(Bytes),
    /// It refuses it, however often it is asked, and why.
    Refused(String),
}

/// A service, and one path of it that everything is posted to.
pub(crate) struct Service {
    uri: Uri,
    headers: HeaderMap,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Service {
    /// `path` begins with a slash. It is posted to as `content`.
    pub(crate) fn new(sink: &str, http: &Http, path: &str, content: &'static str) -> Result<Self, SinkError> {
        let url = format!("{}{path}", http.url);
        let address = || SinkError::Address { sink: sink.to_owned(), url: url.clone() };
        let uri: Uri = url.parse().map_err(|_| address())?;
        let tls = |error| SinkError::Tls { sink: sink.to_owned(), error };
        let config = Arc::new(client_config_with(http.ca.as_deref()).map_err(tls)?);
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        let mut connector = HttpsConnector::from((tcp, config));
        if uri.scheme_str() == Some("https") {
            connector.enforce_https();
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("nanoclaw/", env!("CARGO_PKG_VERSION"))));
        if let Some(credential) = &http.credential {
            let mut shown = authorization(credential)
                .map_err(|error| SinkError::Secret { sink: sink.to_owned(), error })?
                .parse::<HeaderValue>()
                .map_err(|_| address())?;
            shown.set_sensitive(true);
            headers.insert(AUTHORIZATION, shown);
        }
        Ok(Self { uri, headers, client: Client::builder(TokioExecutor::new()).build(connector) })
    }

    /// Says something else in every request.
    pub(crate) fn with_header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = value.parse() {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }

    /// Posts, and gives what came of it.
    ///
    /// # Errors
    /// There is no answer, or one that another attempt may change, and why.
    pub(crate) async fn post(&self, body: String) -> Result<Posted, String> {
        let mut request = Request::new(Full::from(body));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        let answer = async {
            let response = self.client.request(request).await.map_err(|error| reason(&error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            Ok((status, body.map_err(|error| error.to_string())?.to_bytes()))
        };
        let late = |_| Err(format!("no answer within {} s", PATIENCE.as_secs()));
        let (status, answer) = timeout(PATIENCE, answer).await.unwrap_or_else(late)?;
        match status {
            StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {
                Ok(Posted::Refused(said(status, &answer)))
            }
            status if status.is_success() => Ok(Posted::Taken(answer)),
            // A sink that is set up wrongly gets everything once it is set right.
            status => Err(said(status, &answer)),
        }
    }
}

fn authorization(credential: &Credential) -> Result<String, nanoclaw_vault::SecretError> {
    Ok(match credential {
        Credential::Token(source) => format!("Bearer {}", nanoclaw_vault::read(source)?.dangerously_expose()),
        Credential::ApiKey(source) => format!("ApiKey {}", nanoclaw_vault::read(source)?.dangerously_expose()),
        Credential::Password { user, password } => {
            let pair = format!("{user}:{}", nanoclaw_vault::read(password)?.dangerously_expose());
            format!("Basic {}", STANDARD.encode(pair))
        }
    })
}

/// Why there is no answer: what TLS has against the server, or the innermost cause.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    if let Some(tls) = failure(error) {
        return tls;
    }
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

fn said(status: StatusCode, body: &[u8]) -> String {
    format!("status {}: {}", status.as_u16(), quoted(&String::from_utf8_lossy(body), MOST_SHOWN))
}

/// What a service says, for a message: without control characters, and so many characters at most.
pub(crate) fn quoted(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}
