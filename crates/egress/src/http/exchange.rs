//! One request to the server and its response back, head by head and body by body.

use nanoclaw_audit::Outcome;
use nanoclaw_request::{Refusal, RefusalCode, Stage};
use std::sync::Arc;

use super::held::Held;
use crate::Inner;
use crate::act::Upstream;
use crate::inspect::chunked::ChunkedBody;
use crate::inspect::head::{Framing, HeadScanner, RequestHead, ResponseHead};
use crate::path::{Stop, cause, unreachable};
use crate::relay::{Broken, Flow, Relayed, relay};
use crate::respond::Speech;
use crate::standing::Standing;
use crate::traffic::{Direction, Traffic};
use crate::wire::{Reader, Wire};

/// Both ends of one exchange.
pub(super) struct Exchange<'a> {
    pub(super) door: &'a Arc<Inner>,
    pub(super) client: &'a mut Wire,
    pub(super) upstream: &'a mut Upstream,
    pub(super) request: &'a RequestHead,
    /// Its body, where that was held back and may leave.
    pub(super) held: Option<Held>,
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
    /// It is not allowed any more.
    Lost(Refusal),
}

impl Exchange<'_> {
    /// Sends the request and the response. Once the response has begun, `speech` says so.
    pub(super) async fn run(self, speech: &mut Speech) -> Exchanged {
        let Exchange { door, client, upstream, request, held } = self;
        let (before_sent, before_received) = (upstream.traffic.sent(), upstream.traffic.received());
        upstream.traffic.touch();
        let answered = {
            let Upstream { wire, traffic, standing, .. } = &mut *upstream;
            let talk = talk(door, client, wire, (traffic, standing), (request, held), speech);
            tokio::select! {
                answered = talk => answered,
                () = traffic.idle(door.limits.idle) => Err(Fault::Idle),
                why = standing.lost() => Err(Fault::Lost(why)),
            }
        };
        let answered = match answered {
            Ok(Answered::Switched) => {
                let Upstream { wire, traffic, standing, .. } = &mut *upstream;
                match relay(door, client, wire, traffic, standing).await {
                    Relayed::Whole | Relayed::ByCell => Ok(Answered::Last),
                    Relayed::ByOutside(error) => Err(Fault::Server(cause(&error))),
                    Relayed::Idle => Err(Fault::Idle),
                    Relayed::Lost(why) => Err(Fault::Lost(why)),
                }
            }
            other => other,
        };
        let (reusable, stop) = match answered {
            Ok(Answered::Reusable) => (true, None),
            Ok(Answered::Last | Answered::Switched) => (false, None),
            Err(fault) => (false, Some(fault.stop(upstream))),
        };
        let failure = match &stop {
            Some(Stop::Failed(why) | Stop::Refused(why)) => Some(why.clone()),
            Some(Stop::Gone | Stop::Closed(_)) | None => None,
        };
        let outcome = Outcome {
            error: failure,
            bytes_sent: Some(upstream.traffic.sent() - before_sent),
            bytes_received: Some(upstream.traffic.received() - before_received),
            ..Outcome::default()
        };
        Exchanged { outcome, reusable, stop }
    }
}

impl Fault {
    fn of_sending(broken: Broken) -> Self {
        match broken {
            Broken::Writing(error) => Fault::Server(cause(&error)),
            Broken::Reading(error) => Fault::Client(cause(&error)),
            Broken::Lost(why) => Fault::Lost(why),
        }
    }

    fn of_receiving(broken: Broken) -> Self {
        match broken {
            Broken::Writing(error) => Fault::Client(cause(&error)),
            Broken::Reading(error) => Fault::Server(cause(&error)),
            Broken::Lost(why) => Fault::Lost(why),
        }
    }

    fn stop(self, upstream: &Upstream) -> Stop {
        let to = &upstream.destination;
        match self {
            Fault::Client(why) => {
                let reason = format!("the request to {to} ended early: {why}");
                Stop::Failed(Refusal { stage: Stage::Act, code: RefusalCode::Malformed, reason, help: String::new() })
            }
            Fault::Server(why) => Stop::Failed(unreachable(format!("{to} did not answer in full: {why}"))),
            Fault::Idle => Stop::Failed(unreachable(format!("nothing was sent to or from {to} for too long"))),
            Fault::Lost(why) => Stop::Refused(why),
        }
    }
}

/// Sends the request while it waits for the response: either may be long, and a server may answer before it has
/// read all.
async fn talk(
    door: &Inner,
    client: &mut Wire,
    server: &mut Wire,
    (traffic, standing): (&Traffic, &Standing),
    (request, held): (&RequestHead, Option<Held>),
    speech: &mut Speech,
) -> Result<Answered, Fault> {
    let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
    let pipes = &door.pipes;
    let up = Flow { from: from_client, to: to_server, direction: Direction::Out, traffic, standing, pipes };
    let down = Flow { from: from_server, to: to_client, direction: Direction::In, traffic, standing, pipes };
    let (upload, download) = (send(up, request, held), receive(down, request, speech));
    tokio::pin!(upload, download);
    let mut uploaded = false;
    loop {
        tokio::select! {
            sent = &mut upload, if !uploaded => match sent {
                Ok(()) => uploaded = true,
                Err(fault @ (Fault::Client(_) | Fault::Lost(_))) => return Err(fault),
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

async fn send(mut flow: Flow<'_>, request: &RequestHead, held: Option<Held>) -> Result<(), Fault> {
    flow.write(&request.to_bytes()).await.map_err(Fault::of_sending)?;
    if let Some(Held(body)) = held {
        return flow.write(&body).await.map_err(Fault::of_sending);
    }
    let body = body(&mut flow, request.framing, ChunkedBody::of_request());
    body.await.map_err(|error| match error {
        BodyError::Broken(broken) => Fault::of_sending(broken),
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
        flow.write(&bytes).await.map_err(Fault::of_receiving)?;
        if switches {
            return Ok(Answered::Switched);
        }
        if interim {
            continue;
        }
        let body = body(&mut flow, head.framing, ChunkedBody::of_response());
        body.await.map_err(|error| match error {
            BodyError::Broken(broken) => Fault::of_receiving(broken),
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
