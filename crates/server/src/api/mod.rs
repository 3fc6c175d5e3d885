//! The control plane's REST API: how people and programs steer a running fleet from anywhere.
//!
//! It is a door like the others. Every request walks one way: the connection and the request say who it is
//! ([`caller`], at each request anew), [`routes`] says what is asked for, policy decides with the same engine as the
//! control socket, the verdict is on record, and only then is anything done. The routes for those who cannot show who
//! they are yet ([`enter`]) give them something to show, and nothing else.
//!
//! It is served on a unix socket in the state directory, where the kernel says who calls, and over TLS 1.3 where the
//! configuration says so, to those with a client certificate of the internal authority. HTTP/1.1; the OpenAPI document
//! ([`document`]) is made from the table that requests are dispatched by.

mod agents;
mod answer;
mod approvals;
mod call;
mod caller;
mod connection;
mod enter;
mod first;
mod given;
mod guard;
mod log;
mod oidc;
mod openapi;
mod patience;
mod peer;
mod people;
mod places;
mod policy;
mod routes;
mod schema;
mod strikes;
mod turns;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Collected, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::header::{ALLOW, CONNECTION, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, StatusCode};
use jiff::Timestamp;
use nanoclaw_audit::{Outcome, Recorded, Ticket, Warrant};
use nanoclaw_config::{Config, ModelRef};
use nanoclaw_gate::DeskError;
use nanoclaw_identity::operators::Operators;
use nanoclaw_identity::{Operator, identify_person};
use nanoclaw_policy::{Engine, Verdict};
use nanoclaw_request::{Action, Arrived, CellId, Door, IdError, Manage, RefusalCode, Stage};
use nanoclaw_vault::tls::TlsError;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::fleet::Fleet;
use crate::plane::Plane;
use crate::reload::Reload;
use crate::say;
use answer::{Answer, Fault};
use call::{Asked, Call};
use caller::Shown;
use connection::Connections;
use given::{Given, Query};
use oidc::Issuer;
pub use openapi::document;
use peer::{Peer, Way};
use places::Places;
use routes::{Found, Route, Serves};
use strikes::Strikes;

/// Longest body of a request in bytes.
const MAX_BODY: usize = 1024 * 1024;
/// How long a body may take to come.
const BODY_TIME: Duration = Duration::from_secs(10);
/// Most streams of events at once, and as many on the unix socket.
const MOST_STREAMS: usize = 64;
/// Most of them of one person.
const MOST_STREAMS_OF_ONE: usize = 16;

/// Why the API is not served.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The unix socket cannot be had.
    #[error("`{path}`: {source}")]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The address cannot be used.
    #[error("`api.listen: {address}`: {source}; choose another address")]
    Address {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// There is no certificate for the server.
    #[error("the API cannot be served over TLS: {0}")]
    Authority(#[from] nanoclaw_identity::StoreError),
    /// The first admin cannot be invited.
    #[error("the first admin cannot be invited: {0}")]
    Invitation(#[from] nanoclaw_identity::tokens::TokenError),
    /// The issuer's keys cannot be fetched from where the configuration says.
    #[error("`operators.oidc`: {0}")]
    Issuer(#[from] TlsError),
    /// A defect of this program.
    #[error(transparent)]
    Id(#[from] IdError),
}

/// The API of one control plane.
struct Api {
    plane: Plane,
    fleet: Fleet,
    engine: Engine,
    operators: Arc<Operators>,
    reload: Reload,
    issuer: Option<Issuer>,
    /// What models' aliases stand for.
    aliases: BTreeMap<String, Vec<ModelRef>>,
    /// How this server is called, besides as the loopback.
    names: Vec<String>,
    strikes: Strikes,
    connections: Connections,
    streams: Places,
    turns: Mutex<BTreeMap<CellId, Arc<Semaphore>>>,
    /// For what outlives a request.
    itself: Weak<Api>,
}

/// Serves the API, on the unix socket in the state directory and where the configuration says. Call it only while
/// holding the fleet lock. Serves until the runtime ends.
///
/// # Errors
/// A socket, an address or a certificate cannot be had.
pub async fn start(
    plane: &Plane,
    fleet: &Fleet,
    config: &Config,
    operators: &Arc<Operators>,
    reload: &Reload,
) -> Result<(), ApiError> {
    let path = plane.state.api_socket();
    let socket = listen_unix(&path).map_err(|source| ApiError::Socket { path, source })?;
    let mut names: Vec<String> = config.api.iter().flat_map(|api| api.names.iter().cloned()).collect();
    names.extend(
        config.api.as_ref().map(|api| api.listen.ip()).filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string()),
    );
    let issuer = config.oidc.clone().map(Issuer::new).transpose()?;
    let engine = plane.engine(CellId::parse("control")?);
    let api = Arc::new_cyclic(|itself| Api {
        plane: plane.clone(),
        fleet: fleet.clone(),
        engine,
        operators: Arc::clone(operators),
        reload: reload.clone(),
        issuer,
        aliases: config.models.aliases.clone(),
        names,
        strikes: Strikes::default(),
        connections: Connections::default(),
        streams: Places::new(MOST_STREAMS, MOST_STREAMS_OF_ONE),
        turns: Mutex::default(),
        itself: Weak::clone(itself),
    });
    if let Some(served) = &config.api {
        nanoclaw_vault::tls::self_check()?;
        let address = served.listen;
        let listener = TcpListener::bind(address).await.map_err(|source| ApiError::Address { address, source })?;
        let address = listener.local_addr().map_err(|source| ApiError::Address { address, source })?;
        let mut certified = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        certified.extend(api.names.iter().cloned());
        certified.sort_unstable();
        certified.dedup();
        let tls = operators.authority().server_tls(&certified, Timestamp::now())?;
        say(format_args!("API on https://{address}"));
        first::invite(operators, address)?;
        tokio::spawn(Arc::clone(&api).serve_tls(listener, TlsAcceptor::from(Arc::new(tls))));
    }
    tokio::spawn(api.serve_unix(socket));
    Ok(())
}

fn listen_unix(path: &std::path::Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    // The state directory keeps others out, and the kernel says who calls; this is the third of the locks.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

impl Api {
    /// Answers one request.
    async fn answer(&self, peer: &Arc<Peer>, request: Request<Incoming>) -> Answer {
        let (head, mut body) = request.into_parts();
        let mut answer = self.answered(peer, &head, &mut body).await.unwrap_or_else(|fault| fault.answer());
        // A request that was refused before its body came. The connection cannot go on from there, and whoever sends the next
        // request on it would only see it end.
        let known = peer.place.get().is_some();
        let read = body.is_end_stream() || known && read_whole(&mut body).await.is_ok_and(|read| read.is_ok());
        if !read {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }

    async fn answered(&self, peer: &Arc<Peer>, head: &Parts, body: &mut Incoming) -> Result<Answer, Fault> {
        guard::check_size(&head.uri, &head.headers)?;
        if matches!(peer.way, Way::Remote { .. })
            && let Err(fault) = guard::check(&head.uri, &head.headers, &self.names)
        {
            let who = peer.certificate().and_then(|der| nanoclaw_identity::ca::peer_name(der));
            return Err(self.turned_away(peer, who.map(|name| name.as_str().to_owned()), fault).await);
        }
        let path = head.uri.path();
        let found = routes::find(&head.method, path);
        if let Found::Route(Route { serves: Serves::Strangers(entrance), .. }, _) = &found {
            return self.enter(peer, *entrance, head, body).await;
        }
        let shown = Shown::of(peer, &head.headers)?;
        let operator = self.identify(peer, &shown).await?;
        self.connections.know(peer)?;
        match found {
            Found::Route(route, parts) => {
                let Serves::Operators(read) = route.serves else { return Err(nothing_there(path)) };
                let query = Query::read(head.uri.query().unwrap_or_default(), route.query.iter().map(|one| one.name));
                let body = if body.is_end_stream() { Ok(Bytes::new()) } else { whole_body(&head.headers, body).await };
                let asked = read(&mut Given { parts, query, body });
                self.walk(operator, &shown, asked, &head.headers).await
            }
            Found::Method(others) => Err(wrong_method(&others)),
            Found::Nothing => Err(nothing_there(path)),
        }
    }

    /// The way of every request: who, what, whether, on record, and only then done.
    async fn walk(
        &self,
        operator: Operator,
        shown: &Shown,
        (mut action, call): Asked,
        headers: &HeaderMap,
    ) -> Result<Answer, Fault> {
        if let Action::Manage(Manage::Operators { what, name }) = &mut action
            && what.starts_with(call::TOKEN_CREATE)
        {
            // Nobody makes a token for somebody else.
            name.clone_from(&operator.name);
        }
        let call = call.and_then(|call| self.resolved(&mut action, call, headers));
        let known = || identify_person(Arrived::now(Door::Api, ()), operator.clone());
        let (verdict, call) = match call {
            Ok(call) => (self.engine.decide(known().propose(|()| Ok(action))), Some(call)),
            // Whoever may not ask at all does not learn what is wrong with the question.
            Err(fault) => match self.engine.decide(known().propose(|()| Ok(action.clone()))) {
                refused @ Verdict::Refused(_) => (refused, None),
                Verdict::Allowed(_never_used) => {
                    let refusal = nanoclaw_request::Refusal { stage: Stage::Inspect, ..fault.refusal.clone() };
                    let declined = self.engine.decide(known().propose(|()| Err((action, refusal))));
                    let _refused = self.recorded(declined).await?;
                    return Err(fault);
                }
            },
        };
        let shown = shown.clone();
        let done = move |api: Arc<Self>| async move {
            let warrant = api.recorded(verdict).await??;
            match call {
                Some(call) => api.act(operator, shown, call, warrant).await,
                None => Err(Fault::failed("nothing is to be done")),
            }
        };
        self.to_its_end(done).await
    }

    /// Does something to its end though the client leaves: half of it would be on record, or in force, without the rest.
    async fn to_its_end<W, F>(&self, work: W) -> Result<Answer, Fault>
    where
        W: FnOnce(Arc<Self>) -> F,
        F: Future<Output = Result<Answer, Fault>> + Send + 'static,
    {
        let Some(api) = self.itself.upgrade() else { return Err(Fault::failed("the control plane ends")) };
        tokio::spawn(work(api)).await.map_err(Fault::failed)?
    }

    /// Writes a verdict down. The outer error is that it cannot be, the inner one that it is a refusal.
    async fn recorded(&self, verdict: Verdict) -> Result<Result<Warrant, Fault>, Fault> {
        match self.plane.recorder.record(verdict).await {
            Ok(Recorded::Proceed(warrant)) => Ok(Ok(warrant)),
            Ok(Recorded::Stop(declined)) => Ok(Err(declined.refusal().clone().into())),
            Err(error) => Err(Fault::failed(error)),
        }
    }

    /// Checks a call against what there is, and completes the action with it.
    fn resolved(&self, action: &mut Action, mut call: Call, headers: &HeaderMap) -> Result<Call, Fault> {
        match &mut call {
            Call::Agent(cell)
            | Call::Logs { cell, .. }
            | Call::Turn { cell, .. }
            | Call::Sessions(cell)
            | Call::Stop(cell)
            | Call::ResetLabels(cell)
                if self.fleet.log(cell).is_none() =>
            {
                Err(call::no_such_cell(cell.as_str()))
            }
            Call::Answer { question, .. } => {
                let about = self.plane.desk.about(question);
                let about = about.ok_or_else(|| approvals::fault(&DeskError::Unknown(question.clone())))?;
                if let Action::Approve(approve) = action {
                    approve.cell = about;
                }
                Ok(call)
            }
            Call::Events(following) => {
                following.after = log::resumed(headers)?.or(following.after);
                *action = following.action();
                Ok(call)
            }
            _ => Ok(call),
        }
    }

    /// Does what is allowed and on record.
    async fn act(&self, operator: Operator, shown: Shown, call: Call, warrant: Warrant) -> Result<Answer, Fault> {
        let (action, ticket) = warrant.spend();
        let done = match call {
            // These last, and see to the record of their end themselves.
            Call::Turn { cell, order } => {
                return self.turn((action, ticket), (operator, shown), cell, order).await;
            }
            Call::Reload => return self.reload(ticket).await,
            Call::Events(following) => return self.follow((action, ticket), (operator, shown), following).await,
            Call::Me => Ok(people::me(&operator)),
            Call::Renew(request) => self.renew(&operator, &shown, &request).await,
            Call::OpenApi => Ok(answer::json(StatusCode::OK, &document())),
            Call::Agents => self.agents().await,
            Call::Agent(cell) => self.agent(&cell).await,
            Call::Logs { cell, tail } => self.logs(&cell, tail).await,
            Call::Sessions(cell) => self.sessions(&shown.person(&operator), &cell).await,
            Call::Stop(cell) => self.stop(&cell),
            Call::ResetLabels(cell) => self.reset_labels(&cell).await,
            Call::Approvals => Ok(self.approvals()),
            Call::Approval(question) => self.approval(&question),
            Call::Answer { question, digest, answer } => {
                self.answer_question(shown.person(&operator), &question, &digest, answer)
            }
            Call::Down => self.down(),
            Call::Policy => Ok(self.policies()),
            Call::Explain(case) => self.explain(*case),
            Call::Audit(page) => self.page(page).await,
            Call::Operators => Ok(self.list_operators()),
            Call::NewOperator(new) => self.add_operator(&operator, new).await,
            Call::ChangedOperator(name, change) => self.change_operator(&operator, name, change).await,
            Call::RemovedOperator(name) => self.remove_operator(&operator, name).await,
            Call::Tokens => Ok(self.list_tokens()),
            Call::NewToken(roles, expires) => self.add_token(&operator, &roles, expires),
            Call::RevokedToken(id) => self.revoke_token(&id),
            Call::Certificates => Ok(self.list_certificates()),
            Call::NewCertificate(name, request) => self.add_certificate(&operator, &name, &request),
            Call::RevokedCertificate(serial) => self.revoke_certificate(&serial),
            Call::Enrolments => Ok(self.list_enrolments()),
            Call::NewEnrolment(new) => self.add_enrolment(&operator, &new),
        };
        self.finished(ticket, done).await
    }

    /// Writes down what came of it.
    async fn finished(&self, ticket: Ticket, done: Result<Answer, Fault>) -> Result<Answer, Fault> {
        let outcome = match &done {
            Ok(_) => Outcome::default(),
            Err(fault) => Outcome::failed(fault.refusal.clone()),
        };
        self.plane.recorder.outcome(ticket, outcome).await.map_err(Fault::failed)?;
        done
    }
}

/// Reads a body to its end, if that is within reason: in time, and not too long.
async fn read_whole(body: &mut Incoming) -> Result<Result<Bytes, Box<dyn Error + Send + Sync>>, Elapsed> {
    timeout(BODY_TIME, async { Limited::new(body, MAX_BODY).collect().await.map(Collected::to_bytes) }).await
}

async fn whole_body(headers: &HeaderMap, body: &mut Incoming) -> Result<Bytes, Fault> {
    guard::check_body(headers)?;
    let of = |status, reason: &str, help: &str| Fault::of(status, Stage::Inspect, RefusalCode::Malformed, reason, help);
    match read_whole(body).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let reason = format!("the body is longer than {MAX_BODY} bytes");
            Err(of(StatusCode::PAYLOAD_TOO_LARGE, &reason, "send less"))
        }
        Ok(Err(_)) => Err(Fault::malformed("the body cannot be read, or broke off", "send it again")),
        Err(_) => Err(of(StatusCode::REQUEST_TIMEOUT, "the body did not come in time", "send it faster")),
    }
}

fn nothing_there(path: &str) -> Fault {
    let mut path = path.to_owned();
    path.truncate(path.floor_char_boundary(100));
    let reason = format!("there is nothing at `{}`", path.escape_debug());
    let help = "`GET /v1/openapi.json` says what there is";
    Fault::of(StatusCode::NOT_FOUND, Stage::Inspect, RefusalCode::NotFound, reason, help)
}

fn wrong_method(others: &[&str]) -> Fault {
    let others = others.join(", ");
    let help = format!("use {others}");
    let reason = "the method is not one for this place";
    let fault = Fault::of(StatusCode::METHOD_NOT_ALLOWED, Stage::Inspect, RefusalCode::Malformed, reason, &help);
    // Names of methods can stand in a field.
    match HeaderValue::try_from(others) {
        Ok(others) => fault.with(ALLOW, others),
        Err(_) => fault,
    }
}
