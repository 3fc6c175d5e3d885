//! A server of the web, spoken to over streamable HTTP on the agent's own HTTP client.
//!
//! Every message is a connection of its own, as it is for the tool `http_fetch`: messages are few, and what the network
//! door allows is decided and recorded for each connection.

use std::borrow::Cow;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use rmcp::model::{ClientJsonRpcMessage, ClientRequest, ErrorData, ServerJsonRpcMessage};
use rmcp::transport::common::client_side_sse::ExponentialBackoff;
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpClientTransport, StreamableHttpClientTransportConfig,
    StreamableHttpError, StreamableHttpPostResponse,
};
use sse_stream::{Sse, SseStream};
use tokio::time::timeout;

use super::watch::{Events, MAX_MESSAGE, Watch, too_long};
use crate::plain;
use crate::reach;
use crate::tools::Location;

/// Longest time until a connection is there.
const LONGEST_CONNECT: Duration = Duration::from_secs(10);

/// Longest quotation of an error that a server answers with, in bytes.
const LONGEST_ERROR: usize = 512;

/// Most bytes of such an answer that are read.
const MAX_ERROR: usize = 64 * 1024;

/// Most attempts to go on with a broken stream of events.
const MOST_RETRIES: usize = 5;

/// Field of requests and responses that belong to a session (up to 2025-11-25).
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

/// Field of a request to go on with a stream of events.
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");

type Response = http::Response<Incoming>;
type Failed = StreamableHttpError<WebError>;
type EventStream = Pin<Box<dyn Stream<Item = Result<Sse, SseError>> + Send>>;

/// Why there is no answer of a server, in words for the model.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct WebError(pub(super) String);

/// The way to a server.
#[derive(Clone, Debug)]
pub(super) struct Web {
    location: Arc<Location>,
    watch: Arc<Watch>,
}

/// The transport to the server at `url`. The error says what is wrong with it.
pub(super) fn transport(url: &str, watch: &Arc<Watch>) -> Result<StreamableHttpClientTransport<Web>, String> {
    let location = Arc::new(Location::parse(url)?);
    let mut retries = ExponentialBackoff::default();
    retries.max_times = Some(MOST_RETRIES);
    let mut config = StreamableHttpClientTransportConfig::with_uri(url);
    config.retry_config = Arc::new(retries);
    let web = Web { location, watch: Arc::clone(watch) };
    Ok(StreamableHttpClientTransport::with_client(web, config))
}

fn failed(text: impl Into<String>) -> Failed {
    StreamableHttpError::Client(WebError(text.into()))
}

impl Web {
    async fn send(
        &self,
        method: Method,
        body: Bytes,
        fields: HashMap<HeaderName, HeaderValue>,
    ) -> Result<Response, Failed> {
        let mut request = http::Request::builder()
            .method(method)
            .uri(&self.location.target)
            .body(Full::new(body))
            .map_err(|error| failed(error.to_string()))?;
        let headers = request.headers_mut();
        headers.extend(fields);
        let host = self.location.authority().parse().map_err(|_| failed("the host cannot be sent"))?;
        headers.insert(header::HOST, host);
        headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("nanoclaw/", env!("CARGO_PKG_VERSION"))));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        if *request.method() == Method::POST {
            request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let connecting = timeout(LONGEST_CONNECT, reach::connect(&self.location)).await;
        let stream = connecting
            .map_err(|_| failed(format!("no connection within {} s", LONGEST_CONNECT.as_secs())))?
            .map_err(failed)?;
        let (mut sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|error| failed(error.to_string()))?;
        tokio::spawn(async move {
            // The caller is told by hyper.
            let _ = connection.await;
        });
        sender.send_request(request).await.map_err(|error| failed(error.to_string()))
    }

    fn events(&self, response: Response) -> EventStream {
        Box::pin(SseStream::new(Events::new(response.into_body(), Arc::clone(&self.watch))))
    }
}

impl StreamableHttpClient for Web {
    type Error = WebError;

    async fn post_message(
        &self,
        _: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        _: Option<String>,
        mut fields: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Failed> {
        let body = serde_json::to_vec(&message)?;
        with_session(&mut fields, session.as_deref());
        let response = self.send(Method::POST, body.into(), fields).await?;
        let status = response.status();
        if !status.is_success() {
            return refused(&message, session.is_some(), response).await;
        }
        // Only requests are answered; what comes on anything else means nothing.
        if status == StatusCode::ACCEPTED || !matches!(message, ClientJsonRpcMessage::Request(_)) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        let session = response.headers().get(SESSION).and_then(|id| id.to_str().ok()).map(str::to_owned);
        match essence(&response).as_str() {
            "text/event-stream" => Ok(StreamableHttpPostResponse::Sse(self.events(response), session)),
            "application/json" => {
                let body = Limited::new(response.into_body(), MAX_MESSAGE).collect().await;
                let body = body.map_err(|error| match error.is::<http_body_util::LengthLimitError>() {
                    true => failed(too_long()),
                    false => failed(format!("the answer broke off: {error}")),
                })?;
                let message = serde_json::from_slice(&body.to_bytes())
                    .map_err(|error| failed(format!("the answer is no message of MCP: {error}")))?;
                Ok(StreamableHttpPostResponse::Json(message, session))
            }
            kind => Err(failed(format!("the answer is `{}`, and no message of MCP", plain::line(kind, 100)))),
        }
    }

    async fn delete_session(
        &self,
        _: Arc<str>,
        session: Arc<str>,
        _: Option<String>,
        mut fields: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Failed> {
        with_session(&mut fields, Some(&session));
        // A server may keep a session to itself, so whatever it answers will do.
        self.send(Method::DELETE, Bytes::new(), fields).await.map(drop)
    }

    async fn get_stream(
        &self,
        _: Arc<str>,
        session: Option<Arc<str>>,
        last: Option<String>,
        _: Option<String>,
        mut fields: HashMap<HeaderName, HeaderValue>,
    ) -> Result<EventStream, Failed> {
        with_session(&mut fields, session.as_deref());
        if let Some(last) = last.and_then(|last| HeaderValue::from_str(&last).ok()) {
            fields.insert(LAST_EVENT, last);
        }
        let response = self.send(Method::GET, Bytes::new(), fields).await?;
        match response.status() {
            status if status.is_success() && essence(&response) == "text/event-stream" => Ok(self.events(response)),
            // Any other answer to this means that there is nothing more to hear, and asking again would not help.
            _ => Err(StreamableHttpError::ServerDoesNotSupportSse),
        }
    }
}

fn with_session(fields: &mut HashMap<HeaderName, HeaderValue>, session: Option<&str>) {
    if let Some(id) = session.and_then(|id| HeaderValue::from_str(id).ok()) {
        fields.insert(SESSION, id);
    }
}

/// The type of a body without its parameters, in small letters.
fn essence(response: &Response) -> String {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// What follows from an answer with an error status. An error of the protocol in it is an answer to the request.
async fn refused(
    message: &ClientJsonRpcMessage,
    in_session: bool,
    response: Response,
) -> Result<StreamableHttpPostResponse, Failed> {
    let status = response.status();
    if status == StatusCode::NOT_FOUND && in_session {
        return Err(StreamableHttpError::SessionExpired);
    }
    let body = beginning(response.into_body()).await;
    let told = match serde_json::from_slice(&body) {
        Ok(ServerJsonRpcMessage::Error(error)) => Some(error.error),
        _ => None,
    };
    let words = match status {
        StatusCode::UNAUTHORIZED => "it wants somebody to sign in, which this agent cannot do".to_owned(),
        _ => plain::line(&String::from_utf8_lossy(&body), LONGEST_ERROR),
    };
    let ClientJsonRpcMessage::Request(request) = message else { return Err(failed(format!("HTTP {status}: {words}"))) };
    let probe = matches!(request.request, ClientRequest::DiscoverRequest(_)) && !in_session;
    let unknown =
        probe && status.is_client_error() && !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    match told {
        // Where the id could not be read, there is none in the error.
        Some(error) => Ok(answer(error, request.id.clone())),
        // A server from before 2026-07-28 does not know the question; that is an answer too.
        None if unknown => {
            Ok(answer(ErrorData::invalid_request(Cow::Owned(format!("HTTP {status}")), None), request.id.clone()))
        }
        None => Err(failed(format!("HTTP {status}: {words}"))),
    }
}

/// The first [`MAX_ERROR`] bytes of a body, as far as they come.
async fn beginning(mut body: Incoming) -> Vec<u8> {
    let mut read = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        let Some(data) = frame.data_ref() else { continue };
        let room = MAX_ERROR.saturating_sub(read.len());
        read.extend_from_slice(data.get(..room.min(data.len())).unwrap_or_default());
        if data.len() >= room {
            break;
        }
    }
    read
}

fn answer(error: ErrorData, id: rmcp::model::RequestId) -> StreamableHttpPostResponse {
    StreamableHttpPostResponse::Json(ServerJsonRpcMessage::error(error, Some(id)), None)
}
