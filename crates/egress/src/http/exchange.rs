//! One request to the server and its response back, head by head and body by body.

use nanoclaw_audit::Outcome;
use nanoclaw_request::{Refusal, RefusalCode, Stage};
use std::sync::Arc;

use crate::Inner;
use crate::act::Upstream;
use crate::inspect::chunked::ChunkedBody;
use crate::inspect::head::{Framing, HeadScanner, RequestHead, ResponseHead};
use crate::path::{Stop, cause, unreachable};
use crate::relay::{Broken, Flow, Relayed, relay};
use crate::respond::Speech;
use crate::traffic::{Direction, Traffic};
use crate::wire::{Reader, Wire, write_all};

/// Both ends of one exchange.
pub(super) struct Exchange<'a> {
    pub(super) door: &'a Arc<Inner>,
    pub(super) client: &'a mut Wire,
    pub(super) upstream: &'a mut Upstream,
    pub(super) request: &'a RequestHead,
}

/// What came of it.
pub(super) struct Exchanged {
    pub(super) outcome: Outcome,
    /// Whether another request can follow on both connections.
    pub(super) reusable: bool,
    /// Why the client's connection must end early.
    pub(super) stop: Option<Stop>,
}

/// How a response ended.
enum Answered {
    /// In full; another may follow.
    Reusable,
    /// In full; it is the last.
    Last,
    /// By a change to WebSocket.
    Switched,
}

/// Why an exchange does not end well.
#[derive(Debug)]
enum Fault {
    /// The client is gone, or what it sends is no body.
    Client(String),
    /// The server is gone, or what it sends is no response.
    Server(String),
    /// Nothing moved for too long.
    Idle,
}

impl Exchange<'_> {
    /// Sends the request and the response. Once the response has begun, `speech` says so.
    pub(super) async fn run(self, speech: &mut Speech) -> Exchanged {
        let Exchange { door, client, upstream, request } = self;
        let (before_sent, before_received) = (upstream.traffic.sent(), upstream.traffic.received());
        upstream.traffic.touch();
        let answered = {
            let Upstream { wire, traffic, .. } = &mut *upstream;
            let talk = talk(door, client, wire, traffic, request, speech);
            tokio::select! {
                answered = talk => answered,
                () = traffic.idle(door.limits.idle) => Err(Fault::Idle),
            }
        };
        let answered = match answered {
            Ok(Answered::Switched) => {
                let Upstream { wire, traffic, .. } = &mut *upstream;
                match relay(door, client, wire, traffic).await {
                    Relayed::Whole | Relayed::ByCell => Ok(Answered::Last),
                    Relayed::ByOutside(error) => Err(Fault::Server(cause(&error))),
                    Relayed::Idle => Err(Fault::Idle),
                }
            }
            other => other,
        };
        let (reusable, failure) = match answered {
            Ok(Answered::Reusable) => (true, None),
            Ok(Answered::Last | Answered::Switched) => (false, None),
            Err(fault) => (false, Some(fault.failure(upstream))),
        };
        let outcome = Outcome {
            error: failure.clone(),
            bytes_sent: Some(upstream.traffic.sent() - before_sent),
            bytes_received: Some(upstream.traffic.received() - before_received),
            ..Outcome::default()
        };
        Exchanged { outcome, reusable, stop: failure.map(Stop::Failed) }
    }
}

impl Fault {
    fn failure(self, upstream: &Upstream) -> Refusal {
        let to = &upstream.destination;
        match self {
            Fault::Client(why) => {
                let reason = format!("the request to {to} ended early: {why}");
                Refusal { stage: Stage::Act, code: RefusalCode::Malformed, reason, help: String::new() }
            }
            Fault::Server(why) => unreachable(format!("{to} did not answer in full: {why}")),
            Fault::Idle => unreachable(format!("nothing was sent to or from {to} for too long")),
        }
    }
}

/// Sends the request while it waits for the response: either may be long, and a server may answer before it has
/// read all.
async fn talk(
    door: &Inner,
    client: &mut Wire,
    server: &mut Wire,
    traffic: &Traffic,
    request: &RequestHead,
    speech: &mut Speech,
) -> Result<Answered, Fault> {
    let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
    let pipes = &door.pipes;
    let upload = send(Flow { from: from_client, to: to_server, direction: Direction::Out, traffic, pipes }, request);
    let download =
        receive(Flow { from: from_server, to: to_client, direction: Direction::In, traffic, pipes }, request, speech);
    tokio::pin!(upload, download);
    let mut uploaded = false;
    loop {
        tokio::select! {
            sent = &mut upload, if !uploaded => match sent {
                Ok(()) => uploaded = true,
                Err(Fault::Client(why)) => return Err(Fault::Client(why)),
                // The server reads no further, but it may have answered: the response decides.
                Err(Fault::Server(_) | Fault::Idle) => return download.await.map(|_| Answered::Last),
            },
            answered = &mut download => return match answered {
                Ok(Answered::Reusable) if !uploaded => Ok(Answered::Last),
                other => other,
            },
            () = door.gone(), if uploaded => return Err(Fault::Client("the cell has ended".to_owned())),
        }
    }
}

async fn send(mut flow: Flow<'_>, request: &RequestHead) -> Result<(), Fault> {
    let head = request.to_bytes();
    write_all(flow.to, &head).await.map_err(|error| Fault::Server(cause(&error)))?;
    flow.traffic.moved(Direction::Out, head.len());
    let body = body(&mut flow, request.framing, ChunkedBody::of_request());
    body.await.map_err(|error| match error {
        BodyError::Broken(Broken::Writing(error)) => Fault::Server(cause(&error)),
        BodyError::Broken(Broken::Reading(error)) => Fault::Client(cause(&error)),
        BodyError::Cut(why) => Fault::Client(why),
    })
}

async fn receive(mut flow: Flow<'_>, request: &RequestHead, speech: &mut Speech) -> Result<Answered, Fault> {
    loop {
        let head = read_head(&mut flow.from, &request.method).await?;
        let switches = request.asks_for_websocket() && head.switches_to_websocket();
        if head.status == 101 && !switches {
            return Err(Fault::Server("it changed to a protocol that was not asked for".to_owned()));
        }
        let interim = head.status < 200 && !switches;
        let reusable = request.is_persistent() && head.is_persistent();
        *speech = if interim { *speech } else { Speech::Nothing };
        let bytes = head.to_bytes(!interim && !reusable);
        write_all(flow.to, &bytes).await.map_err(|error| Fault::Client(cause(&error)))?;
        flow.traffic.moved(Direction::In, bytes.len());
        if switches {
            return Ok(Answered::Switched);
        }
        if interim {
            continue;
        }
        let body = body(&mut flow, head.framing, ChunkedBody::of_response());
        body.await.map_err(|error| match error {
            BodyError::Broken(Broken::Writing(error)) => Fault::Client(cause(&error)),
            BodyError::Broken(Broken::Reading(error)) => Fault::Server(cause(&error)),
            BodyError::Cut(why) => Fault::Server(why),
        })?;
        return Ok(if reusable { Answered::Reusable } else { Answered::Last });
    }
}

async fn read_head(from: &mut Reader<'_>, method: &str) -> Result<ResponseHead, Fault> {
    let mut scanner = HeadScanner::default();
    let fault = |error: crate::inspect::head::HeadError| Fault::Server(error.to_string());
    loop {
        if let Some(end) = scanner.scan(from.ahead).map_err(fault)? {
            let head = ResponseHead::parse(from.ahead.get(..end).unwrap_or_default(), method).map_err(fault)?;
            from.consume(end);
            return Ok(head);
        }
        match from.read_more().await {
            Ok(1..) => {}
            Ok(0) => return Err(Fault::Server("it closed the connection".to_owned())),
            Err(error) => return Err(Fault::Server(cause(&error))),
        }
    }
}

enum BodyError {
    Broken(Broken),
    /// It is malformed, or ends before its end.
    Cut(String),
}

impl From<Broken> for BodyError {
    fn from(broken: Broken) -> Self {
        BodyError::Broken(broken)
    }
}

/// Passes one body on, to its last byte and no further.
async fn body(flow: &mut Flow<'_>, framing: Framing, mut chunks: ChunkedBody) -> Result<(), BodyError> {
    const EARLY: &str = "the connection closed before the end of the body";
    match framing {
        Framing::None => Ok(()),
        Framing::UntilClose => Ok(flow.copy(u64::MAX).await.map(|_| ())?),
        Framing::Length(length) => {
            if flow.copy(length).await? == length {
                Ok(())
            } else {
                Err(BodyError::Cut(EARLY.to_owned()))
            }
        }
        Framing::Chunked => loop {
            let count = chunks.advance(flow.from.ahead).map_err(|error| BodyError::Cut(error.to_string()))?;
            flow.pass_ahead(count).await?;
            if chunks.is_done() {
                return Ok(());
            }
            if flow.from.read_more().await.map_err(Broken::Reading)? == 0 {
                return Err(BodyError::Cut(EARLY.to_owned()));
            }
        },
    }
}
