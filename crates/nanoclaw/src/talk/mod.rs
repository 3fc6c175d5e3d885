//! Talking with an agent of a running fleet: an order goes to the control plane, events come back, and a person sees
//! them ([`Transcript`]) as they come.

mod leave;
mod transcript;

use std::io;
use std::os::fd::AsFd;

use hyper::Method;
use nanoclaw_agent::protocol::{Event, LONGEST_ORDER, Order, is_session_name};
use nanoclaw_sandbox::wire;
use nanoclaw_server::control::{Client, ClientError, Reply, Request};
use nanoclaw_server::state::State;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::UnixStream;

pub use leave::Leave;
pub use transcript::{Detail, Transcript};

use crate::remote::{self, RemoteError, Stream, part};
use crate::terminal::line;

/// Longest event in bytes, its line end included.
const LONGEST_EVENT: u64 = 32 * 1024 * 1024;

/// Why an order was not carried out, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum TalkError {
    /// The control plane did not take it.
    #[error(transparent)]
    Control(#[from] ClientError),
    /// A control plane elsewhere did not take it, or is gone.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// It is longer than an agent takes.
    #[error("the prompt is too long to be sent; write it to a file in the agent's `/workspace` and name the file")]
    TooLong,
    /// The events broke off.
    #[error("the connection to the control plane broke: {0}; `nanoclaw ps` shows what the fleet does")]
    Broken(#[from] io::Error),
    /// An event makes no sense, so control plane and command are of different versions.
    #[error("the control plane's answer cannot be read: {0}; was the fleet started with another version?")]
    Unreadable(serde_json::Error),
    /// The agent calls the session something that is no name.
    #[error("the agent's answer cannot be believed: it calls its session `{}`; stop the agent and look into its cell", line(.0, 64))]
    Session(String),
}

/// Where events come from.
enum Source {
    /// The control socket of a fleet on this machine, a line each.
    Socket { stream: BufReader<UnixStream>, line: Vec<u8> },
    /// The API of a fleet elsewhere.
    Api(Stream),
}

impl Source {
    /// What comes next, as JSON.
    async fn next(&mut self) -> Result<Vec<u8>, TalkError> {
        match self {
            Source::Socket { stream, line } => {
                let room = LONGEST_EVENT.saturating_sub(line.len() as u64);
                stream.take(room).read_until(b'\n', line).await?;
                if line.last() != Some(&b'\n') {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                Ok(std::mem::take(line))
            }
            Source::Api(stream) => {
                let told = stream.next().await?.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
                Ok(told.data.into_bytes())
            }
        }
    }
}

/// The events that come of an order. Dropping it interrupts a turn.
pub struct Events {
    source: Source,
    /// The session that the order names. Agents that are not ours may take names that ours do not.
    session: Option<String>,
    ended: bool,
}

impl Events {
    /// Has `agent` carry out an order. Must be called in a runtime.
    ///
    /// # Errors
    /// There is no fleet, no such agent, or the agent is not running.
    pub fn of(state: &State, agent: &str, order: Order) -> Result<Self, TalkError> {
        let request = Request::Order { cell: agent.to_owned() };
        let client = Client::connect(state)?;
        if serde_json::to_vec(&order).map_err(io::Error::from)?.len() > LONGEST_ORDER {
            return Err(TalkError::TooLong);
        }
        let memory = wire::to_memory(&order)?;
        let session = match order {
            Order::Turn { session, .. } => session,
            Order::Sessions | Order::Transcript { .. } => None,
        };
        let reply = client.ask(&request, &[memory.as_fd()])?;
        let Reply::Events(stream) = reply else { return Err(io::Error::from(io::ErrorKind::InvalidData).into()) };
        stream.set_nonblocking(true)?;
        let stream = BufReader::new(UnixStream::from_std(stream)?);
        Ok(Self { source: Source::Socket { stream, line: Vec::new() }, session, ended: false })
    }

    /// Has `agent` of a fleet elsewhere carry out a turn.
    ///
    /// # Errors
    /// The server is not there, or there is no such agent.
    pub async fn over(
        client: &remote::Client,
        agent: &str,
        session: Option<String>,
        prompt: String,
        schema: Option<serde_json::Value>,
    ) -> Result<Self, TalkError> {
        let mut turn = json!({ "prompt": prompt });
        if let serde_json::Value::Object(members) = &mut turn {
            members.extend(session.clone().map(|session| ("session".to_owned(), session.into())));
            members.extend(schema.map(|schema| ("schema".to_owned(), schema)));
        }
        let path = format!("/v1/agents/{}/turns", part(agent)?);
        let body = serde_json::to_vec(&turn).map_err(io::Error::from)?;
        let stream = client.stream(Method::POST, &path, Some(body)).await?;
        Ok(Self { source: Source::Api(stream), session, ended: false })
    }

    /// The next one; `None` after the last. Where it is dropped before it is done, nothing is lost.
    ///
    /// # Errors
    /// The control plane is gone, or talks nonsense.
    pub async fn next(&mut self) -> Result<Option<Event>, TalkError> {
        if self.ended {
            return Ok(None);
        }
        let event: Event = serde_json::from_slice(&self.source.next().await?).map_err(TalkError::Unreadable)?;
        if let Event::Session { id, .. } = &event
            && !is_session_name(id)
            && self.session.as_ref() != Some(id)
        {
            return Err(TalkError::Session(id.clone()));
        }
        self.ended = event.is_last();
        Ok(Some(event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nanoclaw_agent::protocol::Ending;
    use std::io::Write as _;

    fn events(sent: &[u8]) -> Vec<Result<Option<Event>, TalkError>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut theirs, ours) = std::os::unix::net::UnixStream::pair().unwrap();
            theirs.write_all(sent).unwrap();
            drop(theirs);
            ours.set_nonblocking(true).unwrap();
            let stream = BufReader::new(UnixStream::from_std(ours).unwrap());
            let mut events = Events {
                source: Source::Socket { stream, line: Vec::new() },
                session: Some("the one:asked for".into()),
                ended: false,
            };
            let mut all = Vec::new();
            loop {
                let event = events.next().await;
                let more = matches!(event, Ok(Some(_)));
                all.push(event);
                if !more {
                    return all;
                }
            }
        })
    }

    #[test]
    fn events_come_until_the_last_one() {
        let all = events(
            b"{\"event\":\"text\",\"text\":\"a\"}\n{\"event\":\"done\",\"stop\":\"answered\",\"text\":\"a\"}\n{\"event\":\"end\"}\n",
        );
        assert!(matches!(&all[0], Ok(Some(Event::Text { text })) if text == "a"));
        assert!(matches!(&all[1], Ok(Some(Event::Done { stop: Ending::Answered, .. }))));
        assert!(matches!(&all[2], Ok(None)), "nothing counts after the last one");
    }

    #[test]
    fn a_session_that_nobody_could_have_named_so_is_not_believed() {
        let named = |id: &str| {
            let session = Event::Session { id: id.to_owned(), title: String::new(), new: true };
            events(format!("{}\n", serde_json::to_string(&session).unwrap()).as_bytes()).remove(0)
        };
        assert!(matches!(named("s-1"), Ok(Some(Event::Session { .. }))));
        assert!(matches!(named("the one:asked for"), Ok(Some(Event::Session { .. }))));
        for evil in ["\u{1b}]0;x\u{7}", "", "a b"] {
            let error = named(evil).unwrap_err();
            assert!(matches!(error, TalkError::Session(_)) && !error.to_string().contains('\u{1b}'), "{error}");
        }
    }

    #[test]
    fn an_answer_that_breaks_off_is_an_error() {
        assert!(matches!(
            events(b"{\"event\":\"text\",\"text\":\"a\"}\n{\"eve").pop(),
            Some(Err(TalkError::Broken(_)))
        ));
        assert!(matches!(events(b"").pop(), Some(Err(TalkError::Broken(_)))));
        assert!(matches!(events(b"{\"event\":\"song\"}\n").pop(), Some(Err(TalkError::Unreadable(_)))));
    }
}
