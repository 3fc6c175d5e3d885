//! Speaking to OpenClaw's gateway, through its OpenAI-compatible endpoint. What its model proposes on the way, and what of
//! it was refused, is told by the model door: the gateway itself says only the final text.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use nanoclaw_agent::protocol::{Ending, Event, Order};
use nanoclaw_dialect::sse::Parser;
use nanoclaw_dialect::{Delta, Dialect, Stop};
use nanoclaw_llm::{Models, Seen, Watching};
use nanoclaw_request::CellId;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use super::{Events, Target, TurnError};
use crate::agents::openclaw::PORT;

/// Longest error in bytes that is read.
const LONGEST_ERROR: usize = 64 * 1024;
/// Longest answer in bytes.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;
/// Longest event of its stream in bytes, give or take what is read at once.
const LONGEST_EVENT: usize = 1024 * 1024;

/// Whether the gateway says that it is ready.
pub(super) async fn is_ready(target: &Target) -> bool {
    let request = Request::get("/readyz").header(HOST, "127.0.0.1").body(Full::default());
    let (Ok(request), Ok(stream)) = (request, target.steering.dial(PORT).await) else { return false };
    let mut connection = JoinSet::new();
    ask(stream, request, &mut connection).await.is_ok_and(|response| response.status() == StatusCode::OK)
}

/// Gives the last event, which is not told yet.
pub(super) async fn carry_out(
    target: &Target,
    token: &str,
    order: &Order,
    events: &Events,
) -> Result<Event, TurnError> {
    let Order::Turn { session, prompt, untrusted, schema } = order else {
        return Err(TurnError::Agent("OpenClaw keeps its sessions itself, below /data in its cell".to_owned()));
    };
    if schema.is_some() {
        return Err(TurnError::Agent("OpenClaw cannot be held to a schema; agents of kind `builtin` can".to_owned()));
    }
    let new = session.is_none();
    let session = session.clone().unwrap_or_else(nanoclaw_agent::new_name);
    let body = json!({
        "model": "openclaw/default",
        "stream": true,
        "user": session,
        "messages": [{ "role": "user", "content": nanoclaw_agent::prompt(prompt, untrusted.as_deref()) }],
    });
    let request = Request::post("/v1/chat/completions")
        .header(HOST, "127.0.0.1")
        .header(CONTENT_TYPE, "application/json")
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .body(Full::new(Bytes::from(body.to_string())))
        .map_err(|error| TurnError::Answer(error.to_string()))?;
    let watching = match &target.models {
        Some(models) => Some(queue(models, &target.id, events).await?),
        None => None,
    };
    let title = prompt.chars().take(80).collect();
    events.tell(Event::Session { id: session, title, new }, 0).await?;
    let stream = target.steering.dial(PORT).await?;
    // It ends with this function.
    let mut connection = JoinSet::new();
    Turn::new(events, watching).run(ask(stream, request, &mut connection)).await
}

/// Waits until no other turn of the agent is under way: what its model does could not be told apart otherwise.
async fn queue(models: &Models, id: &CellId, events: &Events) -> Result<Watching, TurnError> {
    let watching = models.watch(id.clone());
    tokio::pin!(watching);
    tokio::select! {
        biased;
        watching = &mut watching => return Ok(watching),
        () = std::future::ready(()) => {}
    }
    let reason = "another turn of this agent is under way, and this one begins after it".to_owned();
    events.tell(Event::Waiting { seconds: 0, reason }, 0).await?;
    tokio::select! {
        watching = watching => Ok(watching),
        () = events.closed() => Err(TurnError::Left),
    }
}

struct Turn<'a> {
    events: &'a Events,
    watching: Option<Watching>,
    text: String,
    stop: Option<Stop>,
    /// Whether the gateway said that nothing follows.
    ended: bool,
    /// Tokens in and out.
    used: (u64, u64),
}

impl<'a> Turn<'a> {
    fn new(events: &'a Events, watching: Option<Watching>) -> Self {
        Self { events, watching, text: String::new(), stop: None, ended: false, used: (0, 0) }
    }

    async fn run(
        mut self,
        asking: impl Future<Output = Result<Response<Incoming>, TurnError>>,
    ) -> Result<Event, TurnError> {
        tokio::pin!(asking);
        let response = loop {
            tokio::select! {
                response = &mut asking => break response?,
                seen = next(&mut self.watching) => self.show(seen).await?,
                () = self.events.closed() => return Err(TurnError::Left),
            }
        };
        let status = response.status();
        let mut body = response.into_body();
        if status != StatusCode::OK {
            let error = Limited::new(body, LONGEST_ERROR).collect();
            let bytes = tokio::select! {
                bytes = error => bytes.map(|body| body.to_bytes()).unwrap_or_default(),
                () = self.events.closed() => return Err(TurnError::Left),
            };
            let value = serde_json::from_slice(&bytes).unwrap_or_default();
            let message = nanoclaw_dialect::chat::read_error(&value);
            return Err(TurnError::Agent(message.unwrap_or_else(|| format!("it answered with status {status}"))));
        }
        let mut parser = Parser::default();
        let mut reader = Dialect::Chat.stream_reader();
        let mut unread = 0_usize;
        while !self.ended {
            let frame = tokio::select! {
                frame = body.frame() => frame,
                seen = next(&mut self.watching) => {
                    self.show(seen).await?;
                    continue;
                }
                () = self.events.closed() => return Err(TurnError::Left),
            };
            let malformed = |error: String| TurnError::Answer(error);
            let Some(frame) = frame else { break };
            let Ok(data) = frame.map_err(|error| TurnError::BrokenOff(error.to_string()))?.into_data() else {
                continue;
            };
            parser.push(&data).map_err(|error| malformed(error.to_string()))?;
            unread = unread.saturating_add(data.len());
            for event in parser.by_ref() {
                unread = 0;
                for delta in reader.read(&event).map_err(|error| malformed(error.to_string()))? {
                    self.read(delta).await?;
                }
            }
            if unread > LONGEST_EVENT {
                return Err(malformed(format!("an event is longer than {LONGEST_EVENT} bytes")));
            }
        }
        while let Some(seen) = self.watching.as_mut().and_then(|watching| watching.seen.try_recv().ok()) {
            self.show(seen).await?;
        }
        let stop = match self.stop {
            Some(Stop::Length) => Ending::Length,
            Some(Stop::Filtered) => Ending::Filtered,
            Some(Stop::End | Stop::Sequence | Stop::ToolCalls | Stop::Other(_)) => Ending::Answered,
            None if self.ended => Ending::Answered,
            None => return Err(TurnError::BrokenOff("it ended before the turn did".to_owned())),
        };
        Ok(Event::Done { stop, text: self.text })
    }

    async fn read(&mut self, delta: Delta) -> Result<(), TurnError> {
        match delta {
            Delta::Text(text) => {
                if self.text.len() + text.len() > LONGEST_ANSWER {
                    return Err(TurnError::Answer(format!("it is longer than {LONGEST_ANSWER} bytes")));
                }
                self.text.push_str(&text);
                let bytes = text.len();
                self.events.tell(Event::Text { text }, bytes).await?;
            }
            Delta::Stop(stop) => self.stop = Some(stop),
            Delta::End => self.ended = true,
            _ => {}
        }
        Ok(())
    }

    async fn show(&mut self, seen: Seen) -> Result<(), TurnError> {
        let (event, bytes) = match seen {
            Seen::Call { id, name, arguments } => {
                let bytes = id.len() + name.len() + arguments.len();
                (Event::ToolCall { id, name, arguments }, bytes)
            }
            Seen::Refused { name, reason } => {
                let bytes = name.len() + reason.len();
                (Event::Refused { tool: name, reason }, bytes)
            }
            Seen::Used { input, output } => {
                self.used = (self.used.0.saturating_add(input), self.used.1.saturating_add(output));
                (Event::Usage { input: self.used.0, output: self.used.1 }, 0)
            }
        };
        self.events.tell(event, bytes).await
    }
}

/// What a model does next; never, where nobody watches.
async fn next(watching: &mut Option<Watching>) -> Seen {
    if let Some(watching) = watching
        && let Some(seen) = watching.seen.recv().await
    {
        return seen;
    }
    std::future::pending().await
}

/// Sends one request to the gateway. The connection lasts as long as `connection`.
async fn ask(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
    connection: &mut JoinSet<()>,
) -> Result<Response<Incoming>, TurnError> {
    let answer = |error: hyper::Error| TurnError::BrokenOff(error.to_string());
    let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(answer)?;
    connection.spawn(async { drop(driver.await) });
    sender.send_request(request).await.map_err(answer)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::super::events;
    use super::*;

    /// What comes of a gateway that streams this; the `repeat`ed part comes for ever.
    async fn streamed(body: &str, repeat: &str) -> Result<Event, TurnError> {
        let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
        let (events, mut heard) = events();
        let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
        let first = format!("{head}{body}");
        let gateway = async move {
            let mut request = [0; 1024];
            let _some = theirs.read(&mut request).await.unwrap();
            theirs.write_all(first.as_bytes()).await.unwrap();
            while !repeat.is_empty() && theirs.write_all(repeat.as_bytes()).await.is_ok() {}
        };
        let turn = async {
            let mut connection = JoinSet::new();
            let request = Request::get("/").body(Full::default()).unwrap();
            let last = Turn::new(&events, None).run(ask(ours, request, &mut connection)).await;
            drop(events);
            last
        };
        let hear = async { while heard.next().await.is_some() {} };
        tokio::join!(turn, gateway, hear).0
    }

    fn chunk(text: &str, stop: &str) -> String {
        let stop = if stop.is_empty() { "null".to_owned() } else { format!("{stop:?}") };
        format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{text:?}}},\"finish_reason\":{stop}}}]}}\n\n"
        )
    }

    #[tokio::test]
    async fn why_openclaw_ended_is_told() {
        const DONE: &str = "data: [DONE]\n\n";
        for (body, ending) in [
            (format!("{}{DONE}", chunk("a", "")), Ending::Answered),
            (chunk("a", "stop"), Ending::Answered),
            (format!("{}{DONE}", chunk("a", "length")), Ending::Length),
            (format!("{}{DONE}", chunk("a", "content_filter")), Ending::Filtered),
        ] {
            let last = streamed(&body, "").await;
            assert!(matches!(&last, Ok(Event::Done { stop, text }) if *stop == ending && text == "a"), "{last:?}");
        }
    }

    #[tokio::test]
    async fn an_answer_of_openclaw_that_breaks_off_has_failed() {
        for body in [chunk("partial", ""), String::new()] {
            assert!(matches!(streamed(&body, "").await, Err(TurnError::BrokenOff(_))));
        }
        let error = "data: {\"error\":{\"message\":\"provider exploded\"}}\n\n";
        let error = streamed(&format!("{}{error}", chunk("partial", "")), "").await;
        assert!(error.expect_err("an error").to_string().contains("provider exploded"));
    }

    #[tokio::test]
    async fn an_answer_of_openclaw_without_end_is_given_up() {
        let endless = streamed("", &chunk(&"Z".repeat(100_000), "")).await;
        assert!(endless.expect_err("an error").to_string().contains("longer than 4194304 bytes"));
        let event = streamed("data: ", &"[0,".repeat(10_000)).await;
        assert!(event.expect_err("an error").to_string().contains("an event is longer than 1048576 bytes"));
    }
}
