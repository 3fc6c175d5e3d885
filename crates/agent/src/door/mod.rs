//! The way to the model door: HTTP/1.1 without TLS, on a connection that never leaves the machine.
//!
//! One idle connection is kept; turns that run at the same time open further ones. Dropping a [`Stream`] before its end
//! closes its connection, which is how the door learns that nobody waits for the answer any more.

mod failure;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use nanoclaw_dialect::sse::Parser;
use nanoclaw_dialect::{Delta, Request, StreamReader};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(crate) use failure::DoorError;

use crate::settings::{Settings, Speech};

/// Longest time until the door answers a connection attempt.
const LONGEST_CONNECT: Duration = Duration::from_secs(10);

/// Longest silence of the door: longer than people may take to agree to a call. It has bounds of its own towards providers.
const LONGEST_SILENCE: Duration = Duration::from_secs(25 * 60 * 60);

/// Largest answer in bytes, as it comes over the wire.
pub(crate) const MAX_ANSWER: usize = 32 * 1024 * 1024;

/// Largest error or list of decisions in bytes.
const MAX_SHORT_ANSWER: usize = 256 * 1024;

/// Where the door decides on calls that did not come as native tool calls.
const DECISIONS: &str = "/v1/nanoclaw/tool-calls";

/// Host and port of `http://HOST[:PORT]`, as `HOST:PORT`.
///
/// # Errors
/// It is something else; says what.
pub(crate) fn authority(base_url: &str) -> Result<String, String> {
    let form = || format!("`{base_url}` must be `http://HOST` or `http://HOST:PORT`");
    let rest = base_url.strip_prefix("http://").ok_or_else(form)?;
    let authority: http::uri::Authority = rest.parse().map_err(|_| form())?;
    if authority.host().is_empty() || authority.as_str().contains('@') {
        return Err(form());
    }
    match authority.as_str().strip_prefix(authority.host()) {
        Some("") => Ok(format!("{}:80", authority.host())),
        Some(_) if authority.port_u16().is_some_and(|port| port != 0) => Ok(authority.to_string()),
        Some(_) | None => Err(form()),
    }
}

type Connection = SendRequest<Full<Bytes>>;

/// The way to the door.
#[derive(Debug)]
pub(crate) struct Door {
    authority: String,
    speech: Speech,
    idle: RefCell<Option<Connection>>,
}

/// A call for the door to decide on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct AskedCall {
    /// The tool.
    pub name: String,
    /// JSON text of an object.
    pub arguments: String,
}

/// What the door decided on a call.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Decision {
    /// Whether it may be made.
    pub allowed: bool,
    /// If not: why.
    #[serde(default)]
    pub reason: String,
}

impl Door {
    /// The door of these settings, which were checked.
    pub(crate) fn new(settings: &Settings) -> Self {
        let authority = authority(&settings.base_url).unwrap_or_default();
        Self { authority, speech: settings.dialect, idle: RefCell::new(None) }
    }

    /// Asks the model; the answer is streamed.
    pub(crate) async fn ask(&self, request: &Request) -> Result<Stream<'_>, DoorError> {
        let dialect = self.speech.dialect();
        let body = dialect.write_request(request).to_string();
        let (connection, response) = self.post(self.speech.path(), body).await?;
        let kind = response.headers().get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
            return Err(DoorError::Broken(format!("it is `{}`, not a stream of events", kind.unwrap_or("nothing"))));
        }
        Ok(Stream {
            door: self,
            connection: Some(connection),
            body: response.into_body(),
            parser: Parser::default(),
            reader: dialect.stream_reader(),
            read: 0,
            ready: VecDeque::new(),
            ended: false,
        })
    }

    /// Asks which of these calls may be made; one decision for each, in order.
    pub(crate) async fn decide(&self, calls: &[AskedCall]) -> Result<Vec<Decision>, DoorError> {
        #[derive(Serialize)]
        struct Question<'a> {
            calls: &'a [AskedCall],
        }
        #[derive(Deserialize)]
        struct Answer {
            decisions: Vec<Decision>,
        }
        let body = serde_json::to_string(&Question { calls }).map_err(|error| DoorError::Broken(error.to_string()))?;
        let (connection, response) = self.post(DECISIONS, body).await?;
        let bytes = short(response.into_body()).await?;
        self.keep(connection);
        let answer: Answer = serde_json::from_slice(&bytes)
            .map_err(|error| DoorError::Broken(format!("it is no list of decisions: {error}")))?;
        if answer.decisions.len() != calls.len() {
            let (asked, got) = (calls.len(), answer.decisions.len());
            return Err(DoorError::Broken(format!("it has {got} decisions on {asked} calls")));
        }
        Ok(answer.decisions)
    }

    /// Posts JSON and gives the response when its status is 200.
    async fn post(&self, path: &str, body: String) -> Result<(Connection, http::Response<Incoming>), DoorError> {
        let body = Bytes::from(body);
        let kept = self.idle.borrow_mut().take().filter(|connection| !connection.is_closed());
        let reused = kept.is_some();
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let response = match self.send(&mut connection, path, body.clone()).await {
            // The door closed the idle connection while the request was on its way. Asking twice does no harm.
            Err(Unsent::Gone(_)) if reused => {
                connection = self.connect().await?;
                self.send(&mut connection, path, body).await?
            }
            response => response?,
        };
        if response.status() != http::StatusCode::OK {
            let (head, body) = response.into_parts();
            // An error that cannot be read to its end still has its status.
            return Err(DoorError::refused(&head, &short(body).await.unwrap_or_default()));
        }
        Ok((connection, response))
    }

    async fn send(
        &self,
        connection: &mut Connection,
        path: &str,
        body: Bytes,
    ) -> Result<http::Response<Incoming>, Unsent> {
        let host = self.authority.strip_suffix(":80").unwrap_or(&self.authority);
        let request = http::Request::post(path)
            .header(http::header::HOST, host)
            .header(http::header::CONTENT_TYPE, "application/json")
            .header(http::header::ACCEPT, "text/event-stream, application/json")
            .body(Full::new(body))
            .map_err(|error| Unsent::Failed(DoorError::Broken(error.to_string())))?;
        if let Err(error) = connection.ready().await {
            return Err(Unsent::Gone(DoorError::Unreachable(error.to_string())));
        }
        match timeout(LONGEST_SILENCE, connection.send_request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_canceled() || error.is_incomplete_message() => {
                Err(Unsent::Gone(DoorError::Unreachable(error.to_string())))
            }
            Ok(Err(error)) => Err(Unsent::Failed(DoorError::Unreachable(error.to_string()))),
            Err(_) => Err(Unsent::Failed(DoorError::Silent(LONGEST_SILENCE))),
        }
    }

    async fn connect(&self) -> Result<Connection, DoorError> {
        let unreachable = |cause: String| DoorError::Unreachable(cause);
        let stream = timeout(LONGEST_CONNECT, TcpStream::connect(&self.authority))
            .await
            .map_err(|_| unreachable(format!("no connection within {} s", LONGEST_CONNECT.as_secs())))?
            .map_err(|error| unreachable(error.to_string()))?;
        let _ = stream.set_nodelay(true);
        let (connection, driver) =
            handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(error.to_string()))?;
        tokio::task::spawn_local(async move {
            // Whoever waits for an answer on it is told by hyper.
            let _ = driver.await;
        });
        Ok(connection)
    }

    fn keep(&self, connection: Connection) {
        *self.idle.borrow_mut() = Some(connection);
    }
}

/// Why a request has no response.
enum Unsent {
    /// The connection ended before the first byte of one.
    Gone(DoorError),
    /// Something else.
    Failed(DoorError),
}

impl From<Unsent> for DoorError {
    fn from(unsent: Unsent) -> Self {
        match unsent {
            Unsent::Gone(error) | Unsent::Failed(error) => error,
        }
    }
}

/// Reads a short body whole.
async fn short(body: Incoming) -> Result<Bytes, DoorError> {
    match timeout(LONGEST_SILENCE, Limited::new(body, MAX_SHORT_ANSWER).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) => Err(DoorError::Broken(error.to_string())),
        Err(_) => Err(DoorError::Silent(LONGEST_SILENCE)),
    }
}

/// An answer while it comes.
pub(crate) struct Stream<'a> {
    door: &'a Door,
    connection: Option<Connection>,
    body: Incoming,
    parser: Parser,
    reader: Box<dyn StreamReader>,
    read: usize,
    ready: VecDeque<Delta>,
    ended: bool,
}

impl Stream<'_> {
    /// The next step of the answer; `None` after its end.
    pub(crate) async fn next(&mut self) -> Result<Option<Delta>, DoorError> {
        loop {
            match self.ready.pop_front() {
                Some(Delta::End) => self.ended = true,
                Some(delta) => return Ok(Some(delta)),
                None if self.ended => {
                    self.finish().await;
                    return Ok(None);
                }
                None => self.read_more().await?,
            }
        }
    }

    async fn read_more(&mut self) -> Result<(), DoorError> {
        let frame =
            timeout(LONGEST_SILENCE, self.body.frame()).await.map_err(|_| DoorError::Silent(LONGEST_SILENCE))?;
        let frame = match frame {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Err(DoorError::BrokeOff(error.to_string())),
            None => return Err(DoorError::BrokeOff("the stream ended before the answer did".to_owned())),
        };
        let Some(bytes) = frame.data_ref() else { return Ok(()) };
        self.read = self.read.saturating_add(bytes.len());
        if self.read > MAX_ANSWER {
            return Err(DoorError::Broken(format!("it is longer than {MAX_ANSWER} bytes")));
        }
        let pushed = self.parser.push(bytes);
        for event in std::iter::from_fn(|| self.parser.next()) {
            let deltas = self.reader.read(&event).map_err(|error| DoorError::Provider(error.to_string()))?;
            self.ready.extend(deltas);
        }
        pushed.map_err(|error| DoorError::Broken(error.to_string()))
    }

    /// Reads what is left of the body, so that the connection can be used again.
    async fn finish(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let rest = async { while let Some(Ok(_)) = self.body.frame().await {} };
        if timeout(Duration::from_secs(1), rest).await.is_ok() {
            self.door.keep(connection);
        }
    }
}

#[cfg(test)]
mod tests;
