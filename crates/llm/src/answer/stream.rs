//! An answer that comes piece by piece.
//!
//! The agent hears nothing before the provider has begun its answer, so that until then somebody else can be asked. From then
//! on nothing is repeated: a provider that breaks off ends the answer with an error in the agent's dialect.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use nanoclaw_audit::AuditError;
use nanoclaw_dialect::guard::{EVENT_COST, Facts, HeldCall, MAX_HELD_BYTES, Piece, StreamGuard};
use nanoclaw_dialect::sse::{Event, Parser};
use nanoclaw_dialect::{Dialect, Malformed, StreamReader, StreamWriter};
use nanoclaw_request::Refusal;
use nanoclaw_vault::digest::{Sha256, hex};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::body::{self, Feeder, Gone};
use super::leaving::{Leaving, Part};
use super::{Heard, Passed, decide};
use crate::call::{Ready, agent_left, keep, unreachable};
use crate::door::{Door, Reply};
use crate::inspect::Look;
use crate::ledger::Ledger;
use crate::respond::{Answered, of_failure, of_refusal, refused_call};
use crate::upstream::{Answer, Failure};
use crate::{bodies, work};

/// How long a provider may take to end its stream after the end of its answer.
const LONGEST_FAREWELL: Duration = Duration::from_secs(1);

/// What an agent hears while people are asked: a remark, which every reader of events passes over.
const SIGN: &[u8] = b": waiting for approval\n\n";
/// How long people may take before the agent hears so for the first time, and each time after that.
const FIRST_SIGN: Duration = Duration::from_secs(1);
const NEXT_SIGN: Duration = Duration::from_secs(10);
/// Bytes after which a provider is not read on while people are asked.
const MOST_READ_AHEAD: usize = 1024 * 1024;
/// Bytes of an answer's text after which they are learnt, and not at its end.
const MOST_UNLEARNT: usize = 64 * 1024;

/// What comes from the provider.
struct Source {
    answer: Answer,
    parser: Parser,
    digest: Sha256,
    /// The bytes so far, where they are kept.
    kept: Option<Vec<u8>>,
    /// How many there were.
    length: usize,
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
        self.length += chunk.len();
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(&chunk);
        }
        self.parser.push(&chunk).map_err(|error| Failure::provider(format!("the provider's stream: {error}")))?;
        Ok(true)
    }

    /// The next event of an answer that has not begun.
    async fn next(&mut self) -> Result<Event, Failure> {
        loop {
            if let Some(event) = self.ready() {
                return Ok(event);
            }
            if !self.read().await? {
                let what = if self.answer.events { "ended the stream before it began" } else { "does not stream" };
                return Err(Failure::provider(format!("the provider {what}")));
            }
        }
    }

    /// Reads on behind the end of the answer, so that the connection can be used again.
    async fn finish(&mut self) {
        // Whatever comes there is no part of the answer.
        let _ended = timeout(LONGEST_FAREWELL, async { while matches!(self.read().await, Ok(true)) {} }).await.is_ok();
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

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Ended::Failed(failure)
    }
}

impl From<Gone> for Ended {
    fn from(Gone: Gone) -> Self {
        Ended::Left
    }
}

impl From<AuditError> for Ended {
    fn from(error: AuditError) -> Self {
        Ended::Unrecorded(error)
    }
}

/// An event that waits.
struct Waiting {
    event: Event,
    /// The text that it adds.
    text: String,
    /// What of it must be decided first.
    parts: Vec<Part>,
}

/// What an event counts while it waits.
fn weight(event: &Event) -> usize {
    event.data.len().saturating_add(EVENT_COST)
}

/// What goes to the agent.
struct Passage<'a> {
    door: &'a Arc<Door>,
    translation: Option<(Box<dyn StreamReader>, Box<dyn StreamWriter>)>,
    guard: Box<dyn StreamGuard>,
    ledger: Ledger,
    ready: &'a Ready,
    /// Events that wait: something may go on in what comes next.
    waiting: VecDeque<Waiting>,
    /// Bytes of their data.
    waiting_bytes: usize,
    /// All text of `waiting`.
    window: String,
    /// How many bytes at its end wait for more.
    hold: usize,
    /// What the firewall has seen.
    leaving: Leaving,
    /// Bytes that may go out.
    out: Vec<u8>,
    /// Whether a key was found in it.
    holds_key: bool,
    /// Text that has not been learnt yet.
    written: String,
}

pub(super) async fn pass_on(
    door: &Arc<Door>,
    ready: &Ready,
    heard: Heard,
    answer: Answer,
    ledger: Ledger,
    mut reply: Reply,
) -> Result<Passed, AuditError> {
    let kept = door.shared.bodies.as_ref().map(|_| Vec::new());
    let mut source = Source { answer, parser: Parser::default(), digest: Sha256::default(), kept, length: 0 };
    // A chat agent that did not ask what was used is not told.
    let hide_usage = ready.dialect == Dialect::Chat
        && ready.body.pointer("/stream_options/include_usage").and_then(serde_json::Value::as_bool) != Some(true);
    let (Some(guard), Some(writer)) = (ready.dialect.stream_guard(hide_usage), ready.dialect.stream_writer()) else {
        let failure = Failure::provider(format!("no agent speaks {}", ready.dialect.name()));
        return Ok(Passed::Not { failure, ledger: Box::new(ledger), reply });
    };
    let mut passage = Passage {
        door,
        translation: (!heard.is(ready.dialect)).then(|| (heard.stream_reader(), writer)),
        guard,
        ledger,
        ready,
        waiting: VecDeque::new(),
        waiting_bytes: 0,
        window: String::new(),
        hold: 0,
        leaving: Leaving::new(door.gate.engine().firewall(), ready.dialect),
        out: Vec::new(),
        holds_key: false,
        written: String::new(),
    };
    let begun = tokio::select! {
        begun = passage.begin(heard, &mut source) => begun,
        () = reply.closed() => {
            passage.ledger.close_left().await?;
            return Ok(Passed::Over);
        }
    };
    if let Err(failure) = begun {
        return Ok(Passed::Not { failure, ledger: Box::new(passage.ledger), reply });
    }
    passage.ledger.begun();
    let (mut feeder, body) = body::fed();
    if reply.send(streamed(body)).is_err() {
        passage.ledger.close(&Facts::default(), Some(agent_left())).await?;
        return Ok(Passed::Over);
    }
    let ended = passage.carry(&mut source, &mut feeder).await;
    passage.end(ready.dialect, source, ended, feeder).await?;
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
    /// Takes events until one says something of an answer. A provider that begins with an error, or with something else
    /// than an answer, has not begun.
    async fn begin(&mut self, heard: Heard, source: &mut Source) -> Result<(), Failure> {
        let mut reader = heard.stream_reader();
        loop {
            let event = source.next().await?;
            let said = reader.read(&event).map_err(|error| self.unreadable(&error))?;
            self.feed(event)?;
            if !said.is_empty() {
                return Ok(());
            }
        }
    }

    /// Carries the stream to its end.
    async fn carry(&mut self, source: &mut Source, feeder: &mut Feeder) -> Result<(), Ended> {
        self.drain(source, feeder).await?;
        loop {
            while let Some(event) = source.ready() {
                self.feed(event)?;
                self.drain(source, feeder).await?;
            }
            if self.guard.facts().complete {
                break;
            }
            feeder.send(std::mem::take(&mut self.out).into()).await?;
            let more = tokio::select! {
                more = source.read() => more?,
                () = feeder.closed() => return Err(Ended::Left),
            };
            if !more {
                break;
            }
        }
        self.guard.finish();
        self.drain(source, feeder).await?;
        self.leaving.finish().map_err(Ended::Refused)?;
        self.release(0);
        // Some servers of a dialect leave its end mark out.
        if !self.guard.facts().complete && self.guard.facts().stop.is_none() {
            return Err(Ended::Failed(Failure::provider("the provider broke its answer off".to_owned())));
        }
        // The last words wait until the budget is settled.
        self.ledger.settle(&Facts { complete: true, ..self.guard.facts().clone() });
        self.learn();
        feeder.send(std::mem::take(&mut self.out).into()).await?;
        source.finish().await;
        Ok(())
    }

    /// Takes one event of the provider.
    fn feed(&mut self, event: Event) -> Result<(), Failure> {
        self.ledger.heard();
        let mut guard = |event| self.guard.feed(event);
        let fed = match &mut self.translation {
            None => guard(event),
            Some((reader, writer)) => reader
                .read(&event)
                .and_then(|deltas| deltas.into_iter().flat_map(|delta| writer.write(delta)).try_for_each(guard)),
        };
        fed.map_err(|error| self.unreadable(&error))
    }

    fn unreadable(&self, error: &Malformed) -> Failure {
        let error = self.door.shared.pipeline.clean(&error.to_string());
        Failure::provider(format!("the provider's stream cannot be read: {error}"))
    }

    /// Takes what the guard gives out past the stages.
    async fn drain(&mut self, source: &mut Source, feeder: &mut Feeder) -> Result<(), Ended> {
        while let Some(piece) = self.guard.next() {
            match piece {
                Piece::Event(event) => {
                    self.event(event, String::new())?;
                    self.release(self.hold);
                }
                Piece::Text { event, text } => {
                    self.ledger.said(&text);
                    self.listen(&text);
                    self.window.push_str(&text);
                    let look = self.door.shared.pipeline.text(&self.window);
                    self.event(event, text)?;
                    match look {
                        Look::Pass { hold } => {
                            self.hold = hold;
                            self.release(hold);
                        }
                        Look::Cut(refusal) => return Err(Ended::Refused(refusal)),
                    }
                }
                Piece::Call(held) => self.call(held, source, feeder).await?,
            }
        }
        Ok(())
    }

    /// Remembers what the model says, where an agent could hand it on as its user's words.
    fn listen(&mut self, text: &str) {
        if self.door.provenance.listens(self.door.gate.engine()) {
            self.written.push_str(text);
            if self.written.len() >= MOST_UNLEARNT {
                self.learn();
            }
        }
    }

    fn learn(&mut self) {
        self.door.provenance.wrote(&std::mem::take(&mut self.written));
    }

    async fn call(&mut self, held: HeldCall, source: &mut Source, feeder: &mut Feeder) -> Result<(), Ended> {
        self.ledger.said(&held.call.arguments);
        let name = self.door.shared.pipeline.clean(&held.call.name);
        self.ledger.proposed.push(name.clone());
        // Text does not go on behind a call.
        self.leaving.finish().map_err(Ended::Refused)?;
        self.release(0);
        let decided = self.decided(&held, source, feeder).await?;
        let events = match decided {
            Ok(()) => self.guard.allow(held),
            Err(refusal) => {
                self.holds_key |= self.door.shared.pipeline.is_leak(&refusal);
                let text = refused_call(&name, &refusal);
                self.ledger.denied.push(name);
                self.guard.refuse(held, &text)
            }
        };
        for event in events {
            self.event(event, String::new())?;
        }
        self.release(0);
        Ok(())
    }

    /// The decision on a call. It can be that of people, who take their time: meanwhile the agent has what may go out
    /// already and hears that somebody is there, and the provider is read on, or it would take nobody to be there.
    async fn decided(
        &mut self,
        held: &HeldCall,
        source: &mut Source,
        feeder: &mut Feeder,
    ) -> Result<Result<(), Refusal>, Ended> {
        let (here, gone) = oneshot::channel::<()>();
        let gone = async {
            let _dropped = gone.await.is_err();
        };
        let mut found = Vec::new();
        let decided =
            self.wait(decide(self.door, &held.call, Some(self.ready), &mut found, gone), here, source, feeder);
        let decided = decided.await;
        self.ledger.screened(found);
        decided
    }

    /// Waits for the decision on a call, and does meanwhile what must be done. `here` is dropped when the agent leaves.
    async fn wait(
        &mut self,
        deciding: impl Future<Output = Result<Option<Result<(), Refusal>>, AuditError>>,
        here: oneshot::Sender<()>,
        source: &mut Source,
        feeder: &mut Feeder,
    ) -> Result<Result<(), Refusal>, Ended> {
        tokio::pin!(deciding);
        let (mut here, mut pause) = (Some(here), FIRST_SIGN);
        let (before, mut more, mut failed) = (source.length, true, None);
        loop {
            let reads_on = more && source.length - before < MOST_READ_AHEAD;
            tokio::select! {
                biased;
                decided = &mut deciding => return match failed {
                    Some(failure) => Err(Ended::Failed(failure)),
                    None => decided?.ok_or(Ended::Left),
                },
                () = feeder.closed(), if here.is_some() => here = None,
                read = source.read(), if reads_on => match read {
                    Ok(read) => more = read,
                    // There will be no answer for which the call could be good.
                    Err(failure) => (more, here, failed) = (false, None, Some(failure)),
                },
                () = sleep(pause) => {
                    let mut out = std::mem::take(&mut self.out);
                    out.extend_from_slice(SIGN);
                    if feeder.send(out.into()).await.is_err() {
                        here = None;
                    }
                    pause = NEXT_SIGN;
                }
            }
        }
    }

    /// Lets an event pass behind those that wait.
    fn event(&mut self, mut event: Event, text: String) -> Result<(), Ended> {
        if self.door.shared.pipeline.finds_in_json(&event.data) {
            return Err(Ended::Refused(self.door.shared.pipeline.leak()));
        }
        let parts = self.leaving.take(&mut event).map_err(Ended::Refused)?;
        if self.waiting.is_empty() && text.is_empty() && parts.is_empty() {
            event.write(&mut self.out);
            return Ok(());
        }
        self.waiting_bytes = self.waiting_bytes.saturating_add(weight(&event));
        self.waiting.push_back(Waiting { event, text, parts });
        if self.waiting_bytes > MAX_HELD_BYTES {
            let failure =
                Failure::provider(format!("more than {MAX_HELD_BYTES} bytes of the answer wait for its texts to end"));
            return Err(Ended::Failed(failure));
        }
        Ok(())
    }

    /// Lets pass what waits, but for the last `hold` bytes of text.
    fn release(&mut self, hold: usize) {
        let mut passed = 0;
        while let Some(Waiting { text, parts, .. }) = self.waiting.front() {
            if self.window.len() - passed - text.len() < hold || !self.leaving.is_decided(parts) {
                break;
            }
            let Some(Waiting { event, text, parts }) = self.waiting.pop_front() else { break };
            passed += text.len();
            self.waiting_bytes = self.waiting_bytes.saturating_sub(weight(&event));
            self.leaving.pass(event, &parts).write(&mut self.out);
        }
        self.window.drain(..passed);
    }

    /// Ends the stream towards the agent, and closes the call.
    async fn end(
        mut self,
        dialect: Dialect,
        source: Source,
        ended: Result<(), Ended>,
        feeder: Feeder,
    ) -> Result<(), AuditError> {
        self.learn();
        let facts = self.guard.facts().clone();
        let left = matches!(ended, Err(Ended::Left));
        let (last, mut error) = match ended {
            Ok(()) => (Vec::new(), None),
            Err(Ended::Refused(refusal)) => {
                self.holds_key |= self.door.shared.pipeline.is_leak(&refusal);
                // What holds no text keeps the form of the answer whole.
                let form = self.waiting.drain(..).filter(|waiting| waiting.text.is_empty() && waiting.parts.is_empty());
                form.for_each(|waiting| waiting.event.write(&mut self.out));
                let text = of_refusal(&refusal).message;
                (self.guard.cut(&format!("[{text}]")), Some(refusal))
            }
            Err(Ended::Failed(failure)) => {
                // The last word was looked at, and nothing comes behind it. What must not leave is taken out in any case.
                let _ends = self.leaving.finish().is_err();
                self.release(0);
                (vec![dialect.write_error_event(&of_failure(&failure))], Some(unreachable(failure.message)))
            }
            Err(Ended::Left) => (Vec::new(), Some(agent_left())),
            Err(Ended::Unrecorded(unrecorded)) => return Err(unrecorded),
        };
        let Source { digest, kept, .. } = source;
        let digest = hex(&digest.finish());
        if let Some(kept) = kept {
            let (pipeline, length) = (self.door.shared.pipeline.clone(), kept.len());
            let searching = move || (bodies::stream_holds_key(&pipeline, &kept), kept);
            let (found, kept) = work::on(length, searching).await;
            if self.holds_key || found {
                error = Some(bodies::not_kept(&self.door.shared.pipeline));
            } else if let Err(unkept) = keep(self.door, &digest, kept.into()).await {
                error.get_or_insert(unkept);
            }
        }
        self.ledger.answer_digest = Some(digest);
        self.ledger.screened(self.leaving.findings());
        // What was held back stays back: only the end goes out behind what is out already.
        let mut out = std::mem::take(&mut self.out);
        last.iter().for_each(|event| event.write(&mut out));
        self.ledger.close(&facts, error).await?;
        if !left {
            let _agent_left = feeder.finish(out.into()).await.is_err();
        }
        Ok(())
    }
}
