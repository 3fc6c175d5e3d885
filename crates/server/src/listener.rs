//! What the control plane serves over HTTP on the host's loopback: metrics, and webhooks that start turns.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use nanoclaw_agent::protocol::Order;
use nanoclaw_audit::{Fact, Note};
use nanoclaw_config::Config;
use nanoclaw_identity::identify_webhook;
use nanoclaw_request::{Arrived, CellId, Door};
use nanoclaw_vault::{Secret, SecretError};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::clock::unattended;
use crate::fleet::Fleet;
use crate::metrics;
use crate::plane::Plane;
use crate::say;

/// Most connections at once on which nobody has shown a token; for one more the oldest is closed.
const CONNECTIONS: usize = 64;
/// Most turns of webhooks at once; more are refused.
const MOST_TURNS: usize = 16;
/// Most of them that one agent may have.
const MOST_TURNS_OF_AGENT: usize = 4;
/// Longest body of a webhook in bytes.
const MAX_BODY: usize = 256 * 1024;
/// How long a request may take to come.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// How long a connection may last: it is for one request.
const CONNECTION_TIME: Duration = Duration::from_secs(30);

/// Why it does not listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// A token cannot be had.
    #[error("the webhook of agent `{agent}`: {source}")]
    Token {
        /// Whose.
        agent: CellId,
        /// Why.
        source: SecretError,
    },
    /// The address cannot be used.
    #[error("`listen: {address}`: {source}; choose another address")]
    Address {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

struct Hook {
    agent: CellId,
    token: Secret,
    prompt: String,
    turns: Arc<Semaphore>,
}

struct Listener {
    plane: Plane,
    fleet: Fleet,
    hooks: Vec<Hook>,
    turns: Arc<Semaphore>,
    address: IpAddr,
    /// Connections on which nobody has shown a token, by their number.
    strangers: Mutex<BTreeMap<u64, AbortHandle>>,
}

/// Listens where the configuration says, if it does. Serves until the runtime ends.
///
/// # Errors
/// A token or the address cannot be had.
pub async fn start(plane: &Plane, fleet: &Fleet, config: &Config) -> Result<(), ListenError> {
    let Some(address) = config.listen else { return Ok(()) };
    let mut hooks = Vec::new();
    for agent in &config.agents {
        let Some(webhook) = &agent.webhook else { continue };
        let token = nanoclaw_vault::read(&webhook.token)
            .map_err(|source| ListenError::Token { agent: agent.id.clone(), source })?;
        let turns = Arc::new(Semaphore::new(MOST_TURNS_OF_AGENT));
        hooks.push(Hook { agent: agent.id.clone(), token, prompt: webhook.prompt.clone(), turns });
    }
    let listener = TcpListener::bind(address).await.map_err(|source| ListenError::Address { address, source })?;
    if let Ok(address) = listener.local_addr() {
        say(format_args!("metrics and webhooks on http://{address}"));
    }
    let turns = Arc::new(Semaphore::new(MOST_TURNS));
    let served = Arc::new(Listener {
        plane: plane.clone(),
        fleet: fleet.clone(),
        hooks,
        turns,
        address: address.ip(),
        strangers: Mutex::default(),
    });
    tokio::spawn(serve(listener, served));
    Ok(())
}

async fn serve(listener: TcpListener, served: Arc<Listener>) {
    for number in 0.. {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: others will be closed.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let here = served.clone();
        // Held until it is on the list, from which it removes itself.
        let mut strangers = served.strangers();
        let connection = tokio::spawn(async move {
            let service =
                service_fn(|request| async { Ok::<_, Infallible>(here.clone().answer(number, request).await) });
            let connection = hyper::server::conn::http1::Builder::new()
                .keep_alive(false)
                .timer(TokioTimer::new())
                .header_read_timeout(REQUEST_TIME)
                .serve_connection(TokioIo::new(stream), service);
            // However it ended, there is nobody left to tell.
            let _ended = timeout(CONNECTION_TIME, connection).await.is_err();
            here.strangers().remove(&number);
        });
        strangers.insert(number, connection.abort_handle());
        if strangers.len() > CONNECTIONS
            && let Some((_, oldest)) = strangers.pop_first()
        {
            oldest.abort();
        }
    }
}

impl Listener {
    fn strangers(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, AbortHandle>> {
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(self: Arc<Self>, number: u64, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        match (path.strip_prefix("/hooks/"), path.as_str()) {
            (Some(agent), _) => match *request.method() {
                Method::POST => self.hook(number, agent, request).await,
                _ => method("POST"),
            },
            (None, "/metrics") => match *request.method() {
                // A page in a browser on this host can have a name of its own lead here, but not choose this field.
                Method::GET if !is_ours(request.headers(), self.address) => {
                    text(StatusCode::MISDIRECTED_REQUEST, "the field `Host` names another server\n")
                }
                Method::GET => self.metrics().await,
                _ => method("GET"),
            },
            (None, "/healthz") => text(StatusCode::OK, "well\n"),
            (None, "/readyz") => match self.plane.recorder.failure() {
                None => text(StatusCode::OK, "ready\n"),
                Some(_) => {
                    text(StatusCode::SERVICE_UNAVAILABLE, "the audit log cannot be written, so nothing is allowed\n")
                }
            },
            (None, _) => text(StatusCode::NOT_FOUND, "there are /metrics, /healthz, /readyz and /hooks/AGENT\n"),
        }
    }

    async fn metrics(&self) -> Response<Full<Bytes>> {
        let mut response = text(StatusCode::OK, &metrics::text(&self.plane, &self.fleet).await);
        let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }

    /// Starts a turn for a caller who holds the token. The body is data to the agent, not an instruction.
    async fn hook(self: Arc<Self>, number: u64, agent: &str, request: Request<Incoming>) -> Response<Full<Bytes>> {
        // An agent that has no webhook is answered as one whose token is not held, so that nobody learns of it.
        let hook = self.hooks.iter().find(|hook| hook.agent.as_str() == agent);
        let given = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
        let given = given.strip_prefix(b"Bearer ").unwrap_or_default();
        let matches = hook.is_some_and(|hook| hook.token.matches(given));
        // What is no name of an agent does not get into the log.
        let named = CellId::parse(agent).map_or_else(|_| "?".to_owned(), |id| id.to_string());
        let rule = format!("agents.{named}.webhook");
        let arrived = Arrived::now(Door::Webhook, ());
        let known = match (hook, identify_webhook(arrived, &rule, matches)) {
            (Some(hook), Ok(_)) => hook,
            (_, refused) => {
                let Err(refusal) = refused else { return text(StatusCode::UNAUTHORIZED, "") };
                let shown = refusal.reason.clone();
                let fact = Fact::CallerRefused { door: Door::Webhook, who: None, refusal };
                if self.plane.recorder.note(Note::of_control(fact)).await.is_err() {
                    return text(StatusCode::SERVICE_UNAVAILABLE, "this cannot be recorded\n");
                }
                return text(StatusCode::UNAUTHORIZED, &format!("{shown}\n"));
            }
        };
        let places = (known.turns.clone().try_acquire_owned(), self.turns.clone().try_acquire_owned());
        let (Ok(own), Ok(place)) = places else {
            return text(StatusCode::TOO_MANY_REQUESTS, "too many turns of webhooks are under way; try again later\n");
        };
        self.strangers().remove(&number);
        let body = timeout(REQUEST_TIME, Limited::new(request.into_body(), MAX_BODY).collect()).await;
        let body = match body {
            Ok(Ok(body)) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return text(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long\n");
            }
            Ok(Err(_)) => return text(StatusCode::BAD_REQUEST, "the body cannot be read, or broke off\n"),
            Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "the body did not come in time\n"),
        };
        let (id, prompt) = (known.agent.clone(), known.prompt.clone());
        let served = self.clone();
        tokio::spawn(async move {
            let order = Order::Turn { session: None, prompt, untrusted: Some(body), schema: None };
            let Ok(identified) = identify_webhook(Arrived::now(Door::Webhook, order), &rule, matches) else { return };
            let done = unattended(&served.plane, &served.fleet, &id, &rule, identified).await;
            if let Err(error) = done {
                say(format_args!("{rule} cannot be recorded, so it is not done: {error}"));
            }
            drop((own, place));
        });
        text(StatusCode::ACCEPTED, "the turn has begun\n")
    }
}

/// Whether a request is meant for this listener, by the name that it gives: the loopback, or the address listened on.
fn is_ours(headers: &HeaderMap, listened: IpAddr) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let Ok(authority) = host.parse::<hyper::http::uri::Authority>() else { return false };
    let name = authority.host();
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name).parse::<IpAddr>();
    address.map_or(name.eq_ignore_ascii_case("localhost"), |address| address.is_loopback() || address == listened)
}

fn text(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text.to_owned())));
    *response.status_mut() = status;
    response
}

fn method(allowed: &'static str) -> Response<Full<Bytes>> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_leads_to_the_loopback_is_not_the_loopback() {
        let ours = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            is_ours(&headers, "192.0.2.7".parse().unwrap())
        };
        for host in ["127.0.0.1:7280", "127.0.0.1", "[::1]:7280", "localhost:7280", "LOCALHOST", "192.0.2.7:7280"] {
            assert!(ours(host), "{host}");
        }
        for host in ["evil.example.com:7280", "localhost.evil.example.com", "127.0.0.1.evil.example.com", "", "a b"] {
            assert!(!ours(host), "{host}");
        }
        assert!(!is_ours(&HeaderMap::new(), "127.0.0.1".parse().unwrap()));
    }
}
