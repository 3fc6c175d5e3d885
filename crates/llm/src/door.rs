//! The door of one run of one cell: HTTP on the connections that the network door hands over.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request};
use hyper_util::rt::{TokioIo, TokioTimer};
use nanoclaw_audit::{AuditError, Recorded, Recorder, Ticket};
use nanoclaw_config::ModelAccess;
use nanoclaw_dialect::{Dialect, Fault, FaultKind};
use nanoclaw_identity::CellSockets;
use nanoclaw_policy::Engine;
use nanoclaw_request::{Action, Arrived, CellId, Door as Kind, Refusal};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::models::{Models, Shared};
use crate::provenance::Provenance;
use crate::respond::{self, Answered};
use crate::routes::{self, Route};
use crate::{call, embeddings, listing};

/// Longest request in bytes.
const MAX_REQUEST_BYTES: usize = 32 * 1024 * 1024;
/// Most bytes of requests that one cell may have under way.
const MAX_BYTES_UNDER_WAY: usize = 64 * 1024 * 1024;
/// Bytes that one permit stands for.
const PERMIT_BYTES: usize = 1024;
/// Bytes of memory that one JSON value may take, besides its text.
const BYTES_PER_VALUE: usize = 128;
/// Longest head of a request in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// How long the head of a request may take, and how long a connection may idle.
const HEAD_TIME: Duration = Duration::from_secs(60);
/// How long the body of a request may take.
const BODY_TIME: Duration = Duration::from_secs(60);

/// The model door of one run of one cell. Clones are the same door.
#[derive(Clone)]
pub struct ModelDoor {
    door: Arc<Door>,
}

/// What all connections of a cell share.
pub(crate) struct Door {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: CellId,
    pub(crate) access: ModelAccess,
    pub(crate) recorder: Recorder,
    pub(crate) provenance: Mutex<Provenance>,
    cell: CellSockets,
    engine: Arc<Engine>,
    bytes: Arc<Semaphore>,
    broken: watch::Sender<Option<AuditError>>,
}

/// A request that was read whole.
pub(crate) struct Asked {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Held while the body is in memory.
    pub(crate) _bytes: Option<OwnedSemaphorePermit>,
}

/// Where the answer goes, once; gone when the agent has left.
pub(crate) type Reply = oneshot::Sender<Answered>;

impl ModelDoor {
    /// A door for the cell that `cell` identifies, under the rules of `engine`. `access` is what it may do, with its own
    /// model filled in ([`Models::access`]).
    pub fn new(
        models: &Models,
        id: CellId,
        access: ModelAccess,
        cell: CellSockets,
        engine: Arc<Engine>,
        recorder: Recorder,
    ) -> Self {
        Self {
            door: Arc::new(Door {
                shared: Arc::clone(&models.shared),
                id,
                access,
                recorder,
                provenance: Mutex::default(),
                cell,
                engine,
                bytes: Arc::new(Semaphore::new(MAX_BYTES_UNDER_WAY / PERMIT_BYTES)),
                broken: watch::Sender::new(None),
            }),
        }
    }

    /// Serves one connection until it ends, or with one answer unless `keep_alive`. Calls that are under way then are
    /// broken off and recorded, also where this future is dropped.
    ///
    /// # Errors
    /// Something cannot be recorded. The door is closed then, for all connections.
    pub async fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send,
        keep_alive: bool,
    ) -> Result<(), AuditError> {
        let calls = Calls::default();
        let service = service_fn(|request| async {
            Ok::<_, std::convert::Infallible>(self.door.clone().answer(request, &calls).await)
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(MAX_HEAD_BYTES)
            .keep_alive(keep_alive)
            .serve_connection(TokioIo::new(stream), service);
        let mut broken = self.door.broken.subscribe();
        tokio::select! {
            // However it ended, there is nobody left to tell.
            _ = connection => {}
            error = broken.wait_for(Option::is_some) => {
                if let Ok(error) = error && let Some(error) = &*error {
                    return Err(error.clone());
                }
            }
        }
        calls.ended().await;
        self.door.broken.borrow().clone().map_or(Ok(()), Err)
    }
}

/// The calls of one connection. They go on without it, until they have seen that nobody waits for them.
#[derive(Default)]
struct Calls(Mutex<JoinSet<()>>);

impl Calls {
    fn set(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self, call: impl Future<Output = ()> + Send + 'static) {
        let mut calls = self.set();
        // Those that have ended are let go, or a connection that is kept would gather them.
        while calls.try_join_next().is_some() {}
        calls.spawn(call);
    }

    async fn ended(&self) {
        let mut calls = std::mem::take(&mut *self.set());
        while calls.join_next().await.is_some() {}
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        self.set().detach_all();
    }
}

impl Door {
    /// Answers one request. The work is done in a task of its own, so that it is brought to its end, and recorded, also
    /// where the agent leaves in the middle.
    async fn answer(self: Arc<Self>, request: Request<Incoming>, calls: &Calls) -> Answered {
        let (head, body) = request.into_parts();
        let dialect = match head.uri.path() {
            path if path.contains("/messages") => Dialect::Messages,
            path if path.contains("/responses") => Dialect::Responses,
            _ if head.headers.contains_key("anthropic-version") => Dialect::Messages,
            _ => Dialect::Chat,
        };
        let route = match routes::find(&head.method, head.uri.path()) {
            Ok(route) => route,
            Err(fault) => return respond::fault(dialect, &fault, None),
        };
        let (body, bytes) = match self.read(body).await {
            Ok(read) => read,
            Err(fault) => {
                if let Err(error) = call::unread(&self, &route, &fault).await {
                    self.broke(error);
                }
                return respond::fault(dialect, &fault, None);
            }
        };
        let asked = Asked { headers: head.headers, body, _bytes: bytes };
        let (reply, answer) = oneshot::channel();
        let door = Arc::clone(&self);
        calls.spawn(async move {
            let ended = match route {
                Route::Generate(dialect) => call::generate(&door, dialect, asked, reply).await,
                Route::Embeddings => embeddings::answer(&door, asked, reply).await,
                Route::CountTokens => listing::count_tokens(&door, asked, reply).await,
                Route::Models => listing::models(&door, dialect, None, reply).await,
                Route::Model(model) => listing::models(&door, dialect, Some(model), reply).await,
                Route::ToolCalls => listing::tool_calls(&door, asked, reply).await,
            };
            if let Err(error) = ended {
                door.broke(error);
            }
        });
        answer.await.unwrap_or_else(|_| {
            let message = "this cannot be recorded, so it is not done".to_owned();
            let fault = Fault { kind: FaultKind::Unavailable, code: "not-recorded".to_owned(), message };
            respond::fault(dialect, &fault, None)
        })
    }

    /// Closes the door: what is done cannot be recorded.
    pub(crate) fn broke(&self, error: AuditError) {
        self.broken.send_replace(Some(error));
    }

    /// Reads a whole body, within its bounds.
    async fn read(&self, mut body: Incoming) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Fault> {
        let too_large = || Fault {
            kind: FaultKind::TooLarge,
            code: "too-large".to_owned(),
            message: format!("the request is longer than {MAX_REQUEST_BYTES} bytes"),
        };
        if body.size_hint().lower() > MAX_REQUEST_BYTES as u64 {
            return Err(too_large());
        }
        let whole = async {
            let mut bytes = Vec::new();
            let mut held = None;
            while let Some(frame) = body.frame().await {
                let broken = |error: hyper::Error| Fault {
                    kind: FaultKind::Invalid,
                    code: "malformed".to_owned(),
                    message: format!("the request cannot be read: {error}"),
                };
                let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
                if bytes.len() + data.len() > MAX_REQUEST_BYTES {
                    return Err(too_large());
                }
                bytes.extend_from_slice(&data);
                self.hold(&mut held, bytes.len()).await;
            }
            let weight = bytes.len() + values(&bytes) * BYTES_PER_VALUE;
            if weight > MAX_BYTES_UNDER_WAY {
                return Err(Fault { message: "the request holds too many JSON values".to_owned(), ..too_large() });
            }
            self.hold(&mut held, weight).await;
            Ok((Bytes::from(bytes), held))
        };
        timeout(BODY_TIME, whole).await.unwrap_or_else(|_| {
            Err(Fault {
                kind: FaultKind::Slow,
                code: "slow".to_owned(),
                message: format!("the request did not come within {} s", BODY_TIME.as_secs()),
            })
        })
    }

    /// Waits until the cell may have so many `bytes` for one request, counting those that are `held`.
    async fn hold(&self, held: &mut Option<OwnedSemaphorePermit>, bytes: usize) {
        let has = held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = u32::try_from(bytes.div_ceil(PERMIT_BYTES).saturating_sub(has)).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        if let Ok(permit) = Arc::clone(&self.bytes).acquire_many_owned(more).await {
            match held {
                Some(held) => held.merge(permit),
                None => *held = Some(permit),
            }
        }
    }

    /// Walks the path: identify, propose, authorise, record. The refusal is on record.
    pub(crate) async fn walk(
        &self,
        proposed: Result<Action, (Action, Refusal)>,
    ) -> Result<Result<(Action, Ticket), Refusal>, AuditError> {
        let identified = self.cell.identify(Arrived::now(Kind::Model, proposed));
        let verdict = self.engine.decide(identified.propose(|proposed| proposed));
        match self.recorder.record(verdict).await? {
            Recorded::Proceed(warrant) => Ok(Ok(warrant.spend())),
            Recorded::Stop(declined) => {
                let refusal = declined.refusal().clone();
                self.shared.metrics.refused(&self.id, declined.proposal().action().name(), refusal.code);
                Ok(Err(refusal))
            }
        }
    }

    pub(crate) fn observe(&self, request: &nanoclaw_dialect::Request) -> BTreeMap<String, u64> {
        self.provenance.lock().unwrap_or_else(PoisonError::into_inner).observe(request)
    }
}

/// How many values a JSON text holds at most, before it is read.
fn values(json: &[u8]) -> usize {
    let (mut inside, mut escaped, mut count) = (false, false, 1);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = inside,
            b'"' => inside = !inside,
            b',' | b'[' | b'{' if !inside => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn calls_that_have_ended_are_let_go() {
        let calls = Calls::default();
        for _ in 0..100 {
            calls.spawn(async {});
            tokio::task::yield_now().await;
        }
        assert!(calls.set().len() < 3);
    }

    #[test]
    fn values_are_counted_outside_of_texts() {
        for (json, count) in [("1", 1), (r#"{"a": [1, 2, {"b": "x, [y\", {"}]}"#, 6), (r#""\\",1"#, 2), ("", 1)] {
            assert_eq!(values(json.as_bytes()), count, "{json}");
        }
        assert!(size_of::<serde_json::Value>() <= BYTES_PER_VALUE);
    }
}
