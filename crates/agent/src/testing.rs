//! A scripted model door, and an agent that talks to it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::channel::Channel;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use nanoclaw_dialect::{Delta, Dialect, Stop, Usage};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use crate::protocol::{Ending, Event, Order};
use crate::settings::Settings;

/// Runs a test on one thread, as the agent runs.
pub(crate) fn local<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, test)
}

/// What the door says to one request.
pub(crate) enum Reply {
    /// A streamed answer.
    Stream(Vec<Delta>),
    /// One that ends before its end.
    Broken(Vec<Delta>),
    /// One after which nothing more comes.
    Hanging(Vec<Delta>),
    /// JSON with a status and header fields.
    Json(u16, Vec<(&'static str, &'static str)>, Value),
    /// The connection is closed instead.
    Close,
}

/// An answer of words.
pub(crate) fn says(text: &str) -> Reply {
    Reply::Stream(answer(vec![Delta::Text(text.into())], Stop::End))
}

/// An answer of calls: id, tool, arguments.
pub(crate) fn calls(calls: &[(&str, &str, Value)]) -> Reply {
    let mut deltas = Vec::new();
    for (index, (id, name, arguments)) in calls.iter().enumerate() {
        deltas.push(Delta::CallStart { index, id: (*id).into(), name: (*name).into() });
        deltas.push(Delta::CallArguments { index, json: arguments.to_string() });
    }
    Reply::Stream(answer(deltas, Stop::ToolCalls))
}

/// A whole stream around its content.
pub(crate) fn answer(content: Vec<Delta>, stop: Stop) -> Vec<Delta> {
    let mut deltas = vec![Delta::Start { id: "a1".into(), model: "m".into() }];
    deltas.extend(content);
    deltas.push(Delta::Stop(stop));
    deltas.push(Delta::Usage(Usage { input: 10, output: 2, ..Usage::default() }));
    deltas.push(Delta::End);
    deltas
}

/// What the door decides on calls that it is asked about.
pub(crate) fn decides(allowed: &[bool]) -> Reply {
    let decision = |allowed: &bool| match allowed {
        true => json!({"allowed": true}),
        false => json!({"allowed": false, "reason": "no rule"}),
    };
    Reply::Json(200, Vec::new(), json!({"decisions": allowed.iter().map(decision).collect::<Vec<_>>()}))
}

/// What a door has heard, and what it will say.
#[derive(Default)]
pub(crate) struct Script {
    pub replies: VecDeque<Reply>,
    /// Path and body of each request.
    pub requests: Vec<(String, Value)>,
    pub connections: usize,
    /// Streams whose reader went away.
    pub abandoned: usize,
}

/// A scripted door.
pub(crate) struct Mock {
    pub script: Rc<RefCell<Script>>,
    pub base_url: String,
}

impl Mock {
    pub(crate) async fn start(dialect: Dialect) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let script = Rc::new(RefCell::new(Script::default()));
        let shared = Rc::clone(&script);
        tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                shared.borrow_mut().connections += 1;
                let shared = Rc::clone(&shared);
                let service = service_fn(move |request| respond(Rc::clone(&shared), dialect, request));
                tokio::task::spawn_local(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { script, base_url }
    }

    pub(crate) fn will(&self, replies: impl IntoIterator<Item = Reply>) {
        self.script.borrow_mut().replies.extend(replies);
    }

    /// The bodies of all requests so far.
    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.script.borrow().requests.iter().map(|(_, body)| body.clone()).collect()
    }

    /// The body of the last request.
    pub(crate) fn last(&self) -> Value {
        self.bodies().pop().unwrap()
    }
}

async fn respond(
    script: Rc<RefCell<Script>>,
    dialect: Dialect,
    request: http::Request<Incoming>,
) -> Result<http::Response<Channel<Bytes>>, &'static str> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let reply = {
        let mut script = script.borrow_mut();
        script.requests.push((path, serde_json::from_slice(&body).unwrap()));
        script.replies.pop_front()
    };
    let (mut sender, body) = Channel::new(64);
    let response = http::Response::builder();
    match reply.unwrap_or(Reply::Json(500, Vec::new(), json!({"error": {"message": "the script has ended"}}))) {
        Reply::Close => Err("closed"),
        Reply::Json(status, fields, json) => {
            tokio::task::spawn_local(async move { sender.send_data(json.to_string().into()).await });
            let response = fields.into_iter().fold(response.status(status), |r, (name, value)| r.header(name, value));
            Ok(response.header("content-type", "application/json").body(body).unwrap())
        }
        reply => {
            tokio::task::spawn_local(async move {
                let (deltas, hangs) = match reply {
                    Reply::Hanging(deltas) => (deltas, true),
                    Reply::Stream(deltas) | Reply::Broken(deltas) => (deltas, false),
                    Reply::Close | Reply::Json(..) => unreachable!(),
                };
                let mut writer = dialect.stream_writer().unwrap();
                for event in deltas.into_iter().flat_map(|delta| writer.write(delta)) {
                    let mut bytes = Vec::new();
                    event.write(&mut bytes);
                    if sender.send_data(bytes.into()).await.is_err() {
                        script.borrow_mut().abandoned += 1;
                        return;
                    }
                }
                if !hangs {
                    return;
                }
                loop {
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                    if sender.send_data(": still there\n\n".into()).await.is_err() {
                        script.borrow_mut().abandoned += 1;
                        return;
                    }
                }
            });
            Ok(response.header("content-type", "text/event-stream").body(body).unwrap())
        }
    }
}

/// A door that is not there.
pub(crate) async fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// An agent with its directories, its door and its port.
pub(crate) struct Bench {
    pub mock: Mock,
    /// Deleted with the bench.
    _directory: tempfile::TempDir,
    pub settings: Settings,
    port: u16,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = Settings::new("a", "m");
        settings.workspace = directory.path().join("workspace");
        settings.data = directory.path().join("data");
        std::fs::create_dir(&settings.workspace).unwrap();
        change(&mut settings);
        let mock = Mock::start(settings.dialect.dialect()).await;
        settings.base_url.clone_from(&mock.base_url);
        let mut bench = Self { mock, _directory: directory, settings, port: 0 };
        bench.start().await;
        bench
    }

    /// Starts another agent on the same directories, as after a crash.
    pub(crate) async fn start(&mut self) {
        self.settings.check().unwrap();
        let agent = crate::agent(self.settings.clone()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.port = listener.local_addr().unwrap().port();
        tokio::task::spawn_local(crate::serve::serve(listener, agent));
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.settings.workspace.join(name)
    }

    pub(crate) async fn connect(&self) -> Caller {
        Caller(BufReader::new(TcpStream::connect(("127.0.0.1", self.port)).await.unwrap()))
    }

    /// Gives an order and takes all events.
    pub(crate) async fn order(&self, order: &Order) -> Vec<Event> {
        let mut caller = self.connect().await;
        caller.send(order).await;
        caller.all().await
    }

    /// A turn in the session `s`.
    pub(crate) async fn turn(&self, prompt: &str) -> Vec<Event> {
        self.order(&turn(prompt)).await
    }
}

pub(crate) fn turn(prompt: &str) -> Order {
    Order::Turn { session: Some("s".into()), prompt: prompt.into(), untrusted: None, schema: None }
}

/// The other end of an agent's port.
pub(crate) struct Caller(BufReader<TcpStream>);

impl Caller {
    pub(crate) async fn send(&mut self, order: &Order) {
        self.line(&serde_json::to_string(order).unwrap()).await;
    }

    pub(crate) async fn line(&mut self, line: &str) {
        self.0.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// The next event; `None` where the agent has closed.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap())
    }

    /// All events until the agent closes. The last one must be one that ends the answer, and no other may be.
    pub(crate) async fn all(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        let last: Vec<bool> = events.iter().map(Event::is_last).collect();
        assert_eq!(last.iter().filter(|last| **last).count(), 1, "{events:?}");
        assert_eq!(last.last(), Some(&true), "{events:?}");
        events
    }
}

/// How a turn ended.
pub(crate) fn ending(events: &[Event]) -> (Ending, &str) {
    match events.last() {
        Some(Event::Done { stop, text }) => (*stop, text),
        other => panic!("{other:?}"),
    }
}

/// The error of a turn that failed.
pub(crate) fn failure(events: &[Event]) -> (&str, &str) {
    match events.last() {
        Some(Event::Failed { error, help }) => (error, help),
        other => panic!("{other:?}"),
    }
}

/// Results: tool, output, whether it failed.
pub(crate) fn results(events: &[Event]) -> Vec<(&str, &str, bool)> {
    let result = |event| match event {
        &Event::ToolResult { ref name, ref output, failed, .. } => Some((name.as_str(), output.as_str(), failed)),
        _ => None,
    };
    events.iter().filter_map(result).collect()
}
