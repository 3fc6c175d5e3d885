//! An answer that comes piece by piece.
//!
//! The agent hears nothing before the provider's first event, so that until then somebody else can be asked. From then
//! on nothing is repeated: a provider that breaks off ends the answer with an error in the agent's dialect.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::Response;
use nanoclaw_audit::AuditError;
use nanoclaw_dialect::guard::{HeldCall, Piece, StreamGuard};
use nanoclaw_dialect::sse::{Event, Parser};
use nanoclaw_dialect::{Dialect, Malformed, StreamReader, StreamWriter};
use nanoclaw_request::Refusal;
use nanoclaw_vault::digest::{Sha256, hex};
use tokio::sync::mpsc;

use super::{Passed, body, decide};
use crate::bodies;
use crate::call::{Ready, agent_left, unreachable};
use crate::door::{Door, Reply};
use crate::inspect::Look;
use crate::ledger::Ledger;
use crate::respond::{Answered, of_failure, of_refusal, refused_call};
use crate::upstream::{Answer, Failure};

/// What comes from the provider.
struct Source {
    answer: Answer,
    parser: Parser,
    digest: Sha256,
    /// The bytes so far, where they are kept.
    kept: Option<Vec<u8>>,
}

impl Source {
    /// The next event, if it is there already.
    fn ready(&mut self) -> Option<Event> {
        self.parser.next()
    }

    /// Reads on; `false` when the provider has ended the stream.
    async fn read(&mut self) -> Result<bool, Failure> {
        let Some(chunk) = self.answer.body.chunk().await? else { return Ok(false) };
        self.digest.update(&chunk);
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(&chunk);
        }
        self.parser.push(&chunk).map_err(|error| Failure::provider(format!("the provider's stream: {error}")))?;
        Ok(true)
    }

    /// The first event.
    async fn first(&mut self) -> Result<Event, Failure> {
        loop {
            if let Some(event) = self.ready() {
                return Ok(event);
            }
            if !self.read().await? {
                return Err(Failure::provider("the provider ended the stream before it began".to_owned()));
            }
        }
    }
}

/// Why a stream ends before its end.
enum Ended {
    /// Something in it may not pass.
    Refused(Refusal),
    /// The provider broke off.
    Failed(Failure),
    /// The agent has left.
    Left,
    /// It cannot be recorded.
    Unrecorded(AuditError),
}

impl From<Malformed> for Ended {
    fn from(error: Malformed) -> Self {
        Ended::Failed(Failure::provider(format!("the provider's stream cannot be read: {error}")))
    }
}

impl From<AuditError> for Ended {
    fn from(error: AuditError) -> Self {
        Ended::Unrecorded(error)
    }
}

/// What goes to the agent.
struct Passage<'a> {
    door: &'a Arc<Door>,
    translation: Option<(Box<dyn StreamReader>, Box<dyn StreamWriter>)>,
    guard: Box<dyn StreamGuard>,
    ledger: Ledger,
    /// Events that wait, with the text that each adds: their end could be the beginning of something.
    waiting: VecDeque<(Event, String)>,
    /// All text of `waiting`.
    window: String,
    /// Bytes that may go out.
    out: Vec<u8>,
}

pub(super) async fn pass_on(
    door: &Arc<Door>,
    ready: &Ready,
    spoken: Dialect,
    answer: Answer,
    ledger: Ledger,
    mut reply: Reply,
) -> Result<Passed, AuditError> {
    let kept = door.shared.bodies.as_ref().map(|_| Vec::new());
    let mut source = Source { answer, parser: Parser::default(), digest: Sha256::default(), kept };
    let first = tokio::select! {
        first = source.first() => first,
        () = reply.closed() => {
            ledger.close(&Default::default(), Some(agent_left())).await?;
            return Ok(Passed::Over);
        }
    };
    // A chat agent that did not ask what was used is not told.
    let hide_usage = ready.dialect == Dialect::Chat
        && ready.body.pointer("/stream_options/include_usage").and_then(serde_json::Value::as_bool) != Some(true);
    let set_up = (first, ready.dialect.stream_guard(hide_usage), ready.dialect.stream_writer());
    let (first, guard, writer) = match set_up {
        (Ok(first), Some(guard), Some(writer)) => (first, guard, writer),
        (Err(failure), _, _) => return Ok(Passed::Not { failure, ledger: Box::new(ledger), reply }),
        (Ok(_), _, _) => {
            let failure = Failure::provider(format!("no agent speaks {}", ready.dialect.name()));
            return Ok(Passed::Not { failure, ledger: Box::new(ledger), reply });
        }
    };
    let translation = (spoken != ready.dialect).then(|| (spoken.stream_reader(), writer));
    let mut passage = Passage {
        door,
        translation,
        guard,
        ledger,
        waiting: VecDeque::new(),
        window: String::new(),
        out: Vec::new(),
    };
    passage.ledger.begun();
    let (sender, body) = body::fed();
    if reply.send(streamed(body)).is_err() {
        passage.ledger.close(&Default::default(), Some(agent_left())).await?;
        return Ok(Passed::Over);
    }
    let ended = passage.carry(&mut source, first, &sender).await;
    passage.end(ready.dialect, source, ended, sender).await?;
    Ok(Passed::Over)
}

fn streamed(body: body::Fed) -> Answered {
    let mut response = Response::new(body.boxed());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

impl Passage<'_> {
    /// Carries the stream to its end.
    async fn carry(
        &mut self,
        source: &mut Source,
        first: Event,
        sender: &mpsc::Sender<std::io::Result<Bytes>>,
    ) -> Result<(), Ended> {
        let mut next = Some(first);
        loop {
            while let Some(event) = next.take().or_else(|| source.ready()) {
                self.take(event).await?;
            }
            self.send(sender).await?;
            let more = tokio::select! {
                more = source.read() => more.map_err(Ended::Failed)?,
                () = sender.closed() => return Err(Ended::Left),
            };
            if !more {
                break;
            }
        }
        self.guard.finish();
        self.drain().await?;
        self.release(0);
        if !self.guard.facts().complete {
            return Err(Ended::Failed(Failure::provider("the provider broke its answer off".to_owned())));
        }
        self.send(sender).await
    }

    async fn send(&mut self, sender: &mpsc::Sender<std::io::Result<Bytes>>) -> Result<(), Ended> {
        if self.out.is_empty() {
            return Ok(());
        }
        let bytes = Bytes::from(std::mem::take(&mut self.out));
        sender.send(Ok(bytes)).await.map_err(|_| Ended::Left)
    }

    /// Takes one event of the provider.
    async fn take(&mut self, event: Event) -> Result<(), Ended> {
        match &mut self.translation {
            None => self.guard.feed(event)?,
            Some((reader, writer)) => {
                for delta in reader.read(&event)? {
                    for event in writer.write(delta) {
                        self.guard.feed(event)?;
                    }
                }
            }
        }
        self.drain().await
    }

    /// Takes what the guard gives out past the stages.
    async fn drain(&mut self) -> Result<(), Ended> {
        while let Some(piece) = self.guard.next() {
            match piece {
                Piece::Event(event) => self.event(event, String::new())?,
                Piece::Text { event, text } => {
                    self.ledger.said(&text);
                    self.window.push_str(&text);
                    let look = self.door.shared.pipeline.text(&self.window);
                    self.event(event, text)?;
                    match look {
                        Look::Pass { hold } => self.release(hold),
                        Look::Cut(refusal) => return Err(Ended::Refused(refusal)),
                    }
                }
                Piece::Call(held) => self.call(held).await?,
            }
        }
        Ok(())
    }

    async fn call(&mut self, held: HeldCall) -> Result<(), Ended> {
        self.ledger.said(&held.call.arguments);
        self.ledger.proposed.push(held.call.name.clone());
        let decided = decide(self.door, &held.call).await?;
        let events = match decided {
            Ok(()) => self.guard.allow(held),
            Err(refusal) => {
                self.ledger.denied.push(held.call.name.clone());
                let text = refused_call(&held.call.name, &refusal);
                self.guard.refuse(held, &text)
            }
        };
        // Text does not go on behind a call.
        self.release(0);
        for event in events {
            self.event(event, String::new())?;
        }
        Ok(())
    }

    /// Lets an event pass behind those that wait.
    fn event(&mut self, event: Event, text: String) -> Result<(), Ended> {
        if self.door.shared.pipeline.finds(&event.data) {
            return Err(Ended::Refused(self.door.shared.pipeline.leak()));
        }
        if self.waiting.is_empty() && text.is_empty() {
            event.write(&mut self.out);
        } else {
            self.waiting.push_back((event, text));
        }
        Ok(())
    }

    /// Lets pass what waits, but for the last `hold` bytes of text.
    fn release(&mut self, hold: usize) {
        let mut passed = 0;
        while let Some((event, text)) = self.waiting.front() {
            if self.window.len() - passed - text.len() < hold {
                break;
            }
            passed += text.len();
            event.write(&mut self.out);
            self.waiting.pop_front();
        }
        self.window.drain(..passed);
    }

    /// Ends the stream towards the agent, and closes the call.
    async fn end(
        mut self,
        dialect: Dialect,
        source: Source,
        ended: Result<(), Ended>,
        sender: mpsc::Sender<std::io::Result<Bytes>>,
    ) -> Result<(), AuditError> {
        let facts = self.guard.facts().clone();
        let (last, mut error) = match ended {
            Ok(()) => (Vec::new(), None),
            Err(Ended::Refused(refusal)) => {
                // What holds no text keeps the form of the answer whole.
                let form = self.waiting.drain(..).filter(|(_, text)| text.is_empty());
                form.for_each(|(event, _)| event.write(&mut self.out));
                let text = of_refusal(&refusal).message;
                (self.guard.cut(&format!("[{text}]")), Some(refusal))
            }
            Err(Ended::Failed(failure)) => {
                (vec![dialect.write_error_event(&of_failure(&failure))], Some(unreachable(failure.message)))
            }
            Err(Ended::Left) => (Vec::new(), Some(agent_left())),
            Err(Ended::Unrecorded(unrecorded)) => {
                // The connection is broken off, so that nobody takes a part for the whole.
                let _agent_left = sender.send(Err(std::io::Error::other("not recorded"))).await.is_err();
                return Err(unrecorded);
            }
        };
        let Source { digest, kept, .. } = source;
        let digest = hex(&digest.finish());
        if let (Some(directory), Some(kept)) = (&self.door.shared.bodies, kept)
            && let Err(unkept) = bodies::keep(directory, &digest, &kept).await
        {
            error.get_or_insert(unreachable(format!("the answer cannot be kept: {unkept}")));
        }
        self.ledger.answer_digest = Some(digest);
        // What was held back stays back: only the end goes out behind what is out already.
        let mut out = std::mem::take(&mut self.out);
        last.iter().for_each(|event| event.write(&mut out));
        self.ledger.close(&facts, error).await?;
        if !out.is_empty() {
            let _agent_left = sender.send(Ok(Bytes::from(out))).await.is_err();
        }
        Ok(())
    }
}
