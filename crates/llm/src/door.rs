//! The door of one run of one cell: HTTP on the connections that the network door hands over.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request};
use hyper_util::rt::{TokioIo, TokioTimer};
use nanoclaw_audit::{AuditError, Fact, Note, Recorded, Ticket};
use nanoclaw_config::{Label, ModelAccess};
use nanoclaw_dialect::{Dialect, Fault, FaultKind};
use nanoclaw_gate::Gate;
use nanoclaw_identity::{Caller, CellSockets};
use nanoclaw_request::{Action, Arrived, CellId, Door as Kind, ModelCall, ModelOperation, Refusal, RefusalCode, Stage};
use nanoclaw_vault::digest;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::models::{Models, Shared};
use crate::provenance::Provenance;
use crate::respond::{self, Answered};
use crate::routes::{self, Route};
use crate::screen::Screen;
use crate::{call, embeddings, listing};

/// Longest request in bytes.
const MAX_REQUEST_BYTES: usize = 32 * 1024 * 1024;
/// Most bytes of requests that one cell may have under way; and as many of memory for the JSON values in them.
const MAX_BYTES_UNDER_WAY: usize = 64 * 1024 * 1024;
/// Bytes that one permit stands for.
const PERMIT_BYTES: usize = 1024;
/// Bytes of memory that one JSON value may take, besides its text.
const BYTES_PER_VALUE: usize = 128;
/// Longest head of a request in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// How long the head of a request may take, and how long a connection may idle.
const HEAD_TIME: Duration = Duration::from_secs(60);
/// How long the body of a request may take, and how long it may wait for its share before and after that.
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
    pub(crate) provenance: Provenance,
    pub(crate) screen: Screen,
    cell: CellSockets,
    pub(crate) gate: Gate,
    share: Share,
    broken: watch::Sender<Option<AuditError>>,
}

/// A request that was read whole.
pub(crate) struct Asked {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Held while the body is in memory.
    _held: Held,
}

/// What the requests of one cell may take of the memory that all cells share. A body takes all of its bytes before it is
/// read, and memory for its values when it has been read: whoever waits for values holds bytes, but whoever has values
/// waits for nothing, so that somebody always goes on.
struct Share {
    bytes: Arc<Semaphore>,
    values: Arc<Semaphore>,
}

/// What one request has of it.
struct Held {
    _bytes: Option<OwnedSemaphorePermit>,
    _values: OwnedSemaphorePermit,
}

/// What came of a proposal: the action is to be done, or why not.
pub(crate) type Walked = Result<(Action, Ticket), Refusal>;

/// Where the answer goes, once; gone when the agent has left.
pub(crate) type Reply = oneshot::Sender<Answered>;

impl ModelDoor {
    /// A door for the cell that `cell` identifies, at `gate`. `access` is what it may do, with its own
    /// model filled in ([`Models::access`]).
    pub fn new(models: &Models, id: CellId, access: ModelAccess, cell: CellSockets, gate: Gate) -> Self {
        let (budgets, spender) = (models.shared.budgets.clone(), id.clone());
        gate.engine().session().spends(move || budgets.left(&spender));
        Self {
            door: Arc::new(Door {
                shared: Arc::clone(&models.shared),
                id,
                provenance: Provenance::new(access.told),
                screen: Screen::default(),
                access,
                cell,
                gate,
                share: Share::default(),
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
        let asked = match routes::find(&head.method, head.uri.path()) {
            Ok(route) => match self.share.read(body).await {
                Ok((body, held)) => Ok((route, Asked { headers: head.headers, body, _held: held })),
                Err(fault) => Err((route.operation(), fault)),
            },
            Err(fault) => Err((ModelOperation::List, fault)),
        };
        let (reply, answer) = oneshot::channel();
        let door = Arc::clone(&self);
        calls.spawn(async move {
            let ended = match asked {
                Ok((Route::Generate(dialect), asked)) => call::generate(&door, dialect, asked, reply).await,
                Ok((Route::Embeddings, asked)) => embeddings::answer(&door, asked, reply).await,
                Ok((Route::CountTokens, asked)) => listing::count_tokens(&door, asked, reply).await,
                Ok((Route::Models, _)) => listing::models(&door, dialect, None, reply).await,
                Ok((Route::Model(model), _)) => listing::models(&door, dialect, Some(model), reply).await,
                Ok((Route::ToolCalls, asked)) => listing::tool_calls(&door, asked, reply).await,
                Err((operation, fault)) => door.unread(operation, &fault).await.map(|()| {
                    let _agent_left = reply.send(respond::fault(dialect, &fault, None)).is_err();
                }),
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

    /// Records what leads nowhere, and requests that could not be read.
    pub(crate) async fn unread(&self, operation: ModelOperation, fault: &Fault) -> Result<(), AuditError> {
        let call = unread_call(operation);
        let code = if fault.kind == FaultKind::Exhausted { RefusalCode::Limit } else { RefusalCode::Malformed };
        // A path can hold anything. The agent hears of its own path as it wrote it: to clean that would tell it what a
        // key is.
        let reason = self.shared.pipeline.clean(&fault.message);
        let refusal = Refusal { stage: Stage::Inspect, code, reason, help: String::new() };
        self.walk(Err((Action::CallModel(call), refusal))).await.map(|_declined| ())
    }

    /// Closes the door: what is done cannot be recorded.
    pub(crate) fn broke(&self, error: AuditError) {
        self.broken.send_replace(Some(error));
    }

    /// What a conversation brings into the session is read before anything is decided that comes of it.
    pub(crate) async fn read(&self, label: Label) -> Result<(), AuditError> {
        let identified = self.cell.identify(Arrived::now(Kind::Model, ()));
        match identified.caller() {
            Caller::Cell { id, session } => self.gate.read(id, *session, label).await,
            // Its sockets are a cell's.
            Caller::Operator(_) | Caller::Schedule { .. } | Caller::Webhook { .. } => Ok(()),
        }
    }

    /// Puts a fact about the cell on record.
    pub(crate) async fn note(&self, fact: Fact) -> Result<(), AuditError> {
        let identified = self.cell.identify(Arrived::now(Kind::Model, ()));
        match identified.caller() {
            Caller::Cell { id, session } => self.gate.recorder().note(Note::of_cell(id.clone(), *session, fact)).await,
            // Its sockets are a cell's.
            Caller::Operator(_) | Caller::Schedule { .. } | Caller::Webhook { .. } => Ok(()),
        }
    }

    /// Walks the path: identify, propose, authorise, record. The refusal is on record.
    pub(crate) async fn walk(&self, proposed: Result<Action, (Action, Refusal)>) -> Result<Walked, AuditError> {
        let identified = self.cell.identify(Arrived::now(Kind::Model, proposed));
        let recorded = self.gate.pass(identified.propose(|proposed| proposed)).await?;
        Ok(self.walked(recorded))
    }

    /// The same; where people are asked and `gone` is ready before they answer, there is nothing to act on.
    pub(crate) async fn walk_unless(
        &self,
        proposed: Result<Action, (Action, Refusal)>,
        gone: impl Future<Output = ()>,
    ) -> Result<Option<Walked>, AuditError> {
        let identified = self.cell.identify(Arrived::now(Kind::Model, proposed));
        let recorded = self.gate.pass_unless(identified.propose(|proposed| proposed), None, gone).await?;
        Ok(recorded.map(|recorded| self.walked(recorded)))
    }

    fn walked(&self, recorded: Recorded) -> Walked {
        match recorded {
            Recorded::Proceed(warrant) => Ok(warrant.spend()),
            Recorded::Stop(declined) => {
                let refusal = declined.refusal().clone();
                self.shared.metrics.refused(&self.id, declined.proposal().action().name(), refusal.code);
                Err(refusal)
            }
        }
    }
}

impl Default for Share {
    fn default() -> Self {
        let all = || Arc::new(Semaphore::new(MAX_BYTES_UNDER_WAY / PERMIT_BYTES));
        Self { bytes: all(), values: all() }
    }
}

impl Share {
    /// Reads a whole body, within its bounds.
    async fn read(&self, mut body: Incoming) -> Result<(Bytes, Held), Fault> {
        if body.size_hint().lower() > MAX_REQUEST_BYTES as u64 {
            return Err(too_large());
        }
        let mut held = None;
        if let Some(length) = body.size_hint().exact() {
            held = Some(wait(&self.bytes, permits(usize::try_from(length).unwrap_or(usize::MAX))).await?);
        }
        let mut bytes = Vec::new();
        let mut values = Values::default();
        let whole = async {
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
                self.grow(&mut held, bytes.len())?;
                values.count(&data);
                if values.bytes() > MAX_BYTES_UNDER_WAY {
                    return Err(Fault { message: "the request holds too many JSON values".to_owned(), ..too_large() });
                }
            }
            Ok(())
        };
        timeout(BODY_TIME, whole).await.unwrap_or_else(|_| {
            Err(Fault {
                kind: FaultKind::Slow,
                code: "slow".to_owned(),
                message: format!("the request did not come within {} s", BODY_TIME.as_secs()),
            })
        })?;
        let values = wait(&self.values, permits(values.bytes())).await?;
        Ok((Bytes::from(bytes), Held { _bytes: held, _values: values }))
    }

    /// Takes what is still missing for a body whose length nobody said. It does not wait: others could, in the same way,
    /// for what this one holds.
    fn grow(&self, held: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> Result<(), Fault> {
        let more = permits(bytes).saturating_sub(held.as_ref().map_or(0, permits_of));
        if more > 0 {
            let permit = Arc::clone(&self.bytes).try_acquire_many_owned(more).map_err(|_| too_many())?;
            match held {
                Some(held) => held.merge(permit),
                None => *held = Some(permit),
            }
        }
        Ok(())
    }
}

/// Waits, in turn, until so many permits are free.
async fn wait(share: &Arc<Semaphore>, permits: u32) -> Result<OwnedSemaphorePermit, Fault> {
    match timeout(BODY_TIME, Arc::clone(share).acquire_many_owned(permits)).await {
        // The semaphore is never closed.
        Ok(permit) => permit.map_err(|_| too_many()),
        Err(_) => Err(too_many()),
    }
}

fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX)
}

fn permits_of(held: &OwnedSemaphorePermit) -> u32 {
    u32::try_from(held.num_permits()).unwrap_or(u32::MAX)
}

fn too_large() -> Fault {
    Fault {
        kind: FaultKind::TooLarge,
        code: "too-large".to_owned(),
        message: format!("the request is longer than {MAX_REQUEST_BYTES} bytes"),
    }
}

fn too_many() -> Fault {
    Fault {
        kind: FaultKind::Exhausted,
        code: RefusalCode::Limit.name().to_owned(),
        message: "the requests of this agent that are under way take up all the memory that it may have for them; try again when one of them has ended".to_owned(),
    }
}

/// How many values a JSON text holds at most, before it is read; it comes in pieces.
#[derive(Default)]
struct Values {
    count: usize,
    inside: bool,
    escaped: bool,
}

impl Values {
    fn count(&mut self, piece: &[u8]) {
        if self.count == 0 && !piece.is_empty() {
            self.count = 1;
        }
        let mut rest = piece;
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = self.inside,
                b'"' => self.inside = !self.inside,
                b',' | b'[' | b'{' if !self.inside => self.count = self.count.saturating_add(1),
                _ => {}
            }
            if self.inside && !self.escaped {
                // Most of a request is text.
                let end = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                rest = rest.get(end..).unwrap_or_default();
            }
        }
    }

    /// Memory that they take.
    fn bytes(&self) -> usize {
        self.count.saturating_mul(BYTES_PER_VALUE)
    }
}

/// A call of which nothing is known but what it is for.
pub(crate) fn unread_call(operation: ModelOperation) -> ModelCall {
    ModelCall {
        operation,
        asked: String::new(),
        candidates: Vec::new(),
        stream: false,
        messages: 0,
        bytes: 0,
        digest: digest::hex(&digest::sha256(b"")),
        reserved_tokens: 0,
    }
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
        for (json, count) in [("1", 1), (r#"{"a": [1, 2, {"b": "x, [y\", {"}]}"#, 6), (r#""\\",1"#, 2), ("", 0)] {
            for length in 1..=json.len().max(1) {
                let mut values = Values::default();
                json.as_bytes().chunks(length).for_each(|piece| values.count(piece));
                assert_eq!(values.bytes(), count * BYTES_PER_VALUE, "{json} in pieces of {length}");
            }
        }
        assert!(size_of::<serde_json::Value>() <= BYTES_PER_VALUE);
    }
}
