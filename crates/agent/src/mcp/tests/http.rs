use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use http_body_util::channel::{Channel, Sender};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::super::watch::MAX_MESSAGE;
use super::{Bench, McpServer, Patience, SHORT};
use crate::testing::{local, nowhere};

/// How a server behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// 2025-11-25, with sessions, answers as JSON.
    Old,
    /// The same, with answers as events, and a stream of them for everything else.
    OldEvents,
    /// 2026-07-28, without sessions, answers as JSON.
    New,
    /// The same, with answers as events.
    NewEvents,
    /// Answers everything with 401.
    SignIn,
    /// Answers everything with 500 and much HTML.
    Broken,
    /// Answers everything with a page.
    Page,
}

/// A request.
#[derive(Clone)]
struct Request {
    http: Method,
    method: String,
    session: Option<String>,
    version: Option<String>,
    name: Option<String>,
}

/// What a server has seen.
#[derive(Default)]
struct Seen {
    requests: Vec<Request>,
    sessions: usize,
    /// The stream of everything else.
    stream: Option<Sender<Bytes>>,
    tools: Vec<&'static str>,
}

struct Server {
    url: String,
    seen: Rc<RefCell<Seen>>,
}

impl Server {
    async fn start(kind: Kind) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp?key=1", listener.local_addr().unwrap());
        let tools = vec!["echo", "big", "event", "flood", "hang", "break", "forget", "grow", "error"];
        let seen = Rc::new(RefCell::new(Seen { tools, ..Seen::default() }));
        let shared = Rc::clone(&seen);
        tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let shared = Rc::clone(&shared);
                let service = service_fn(move |request| serve(kind, Rc::clone(&shared), request));
                tokio::task::spawn_local(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { url, seen }
    }

    fn way(&self) -> McpServer {
        McpServer::Web { name: "web".into(), url: self.url.clone() }
    }

    async fn bench(&self) -> Bench {
        Bench::new(self.way()).await
    }

    fn methods(&self) -> Vec<String> {
        self.seen.borrow().requests.iter().map(|r| format!("{} {}", r.http, r.method)).collect()
    }
}

type Answer = http::Response<Channel<Bytes>>;

async fn serve(kind: Kind, seen: Rc<RefCell<Seen>>, request: http::Request<Incoming>) -> Result<Answer, &'static str> {
    let (head, body) = request.into_parts();
    assert_eq!(head.uri.path_and_query().unwrap(), "/mcp?key=1");
    let field = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let body = body.collect().await.unwrap().to_bytes();
    let message: Value = serde_json::from_slice(&body).unwrap_or_default();
    let method = message["method"].as_str().unwrap_or_default().to_owned();
    let session = field("mcp-session-id");
    let version = field("mcp-protocol-version");
    let name = field("mcp-name");
    let seen_now =
        Request { http: head.method.clone(), method: method.clone(), session: session.clone(), version, name };
    seen.borrow_mut().requests.push(seen_now);
    let (mut sender, channel) = Channel::new(8);
    let with = |status: StatusCode, kind: &str| http::Response::builder().status(status).header("content-type", kind);
    let say = |mut sender: Sender<Bytes>, body: String| {
        tokio::task::spawn_local(async move { sender.send_data(body.into()).await });
    };
    match kind {
        Kind::SignIn => return Ok(with(StatusCode::UNAUTHORIZED, "text/plain").body(channel).unwrap()),
        Kind::Broken => {
            say(sender, format!("<h1>\u{1b}oops</h1>{}", "x".repeat(1 << 20)));
            return Ok(with(StatusCode::INTERNAL_SERVER_ERROR, "text/html").body(channel).unwrap());
        }
        Kind::Page => return Ok(with(StatusCode::OK, "text/html").body(channel).unwrap()),
        _ => {}
    }
    let events = matches!(kind, Kind::OldEvents | Kind::NewEvents);
    let old = matches!(kind, Kind::Old | Kind::OldEvents);
    if head.method == Method::GET {
        if kind != Kind::OldEvents {
            return Ok(with(StatusCode::METHOD_NOT_ALLOWED, "text/plain").body(channel).unwrap());
        }
        seen.borrow_mut().stream = Some(sender);
        return Ok(with(StatusCode::OK, "text/event-stream").body(channel).unwrap());
    }
    let known = format!("session-{}", seen.borrow().sessions);
    if old && method != "initialize" && session.as_ref() != Some(&known) {
        let status = if session.is_some() { StatusCode::NOT_FOUND } else { StatusCode::BAD_REQUEST };
        say(sender, "no such session".into());
        return Ok(with(status, "text/plain").body(channel).unwrap());
    }
    if message.get("id").is_none() {
        return Ok(with(StatusCode::ACCEPTED, "text/plain").body(channel).unwrap());
    }
    let mut response = with(StatusCode::OK, if events { "text/event-stream" } else { "application/json" });
    let result = match method.as_str() {
        "initialize" => {
            seen.borrow_mut().sessions += 1;
            response = response.header("mcp-session-id", format!("session-{}", seen.borrow().sessions));
            json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {"listChanged": true}},
                "serverInfo": {"name": "t", "version": "1"}})
        }
        "server/discover" => json!({"resultType": "complete", "supportedVersions": ["2026-07-28"],
            "capabilities": {"tools": {}}, "serverInfo": {"name": "t", "version": "1"}, "ttlMs": 0,
            "cacheScope": "private"}),
        "tools/list" => {
            let tools: Vec<_> =
                seen.borrow().tools.iter().map(|n| json!({"name": n, "inputSchema": {"type": "object"}})).collect();
            json!({"resultType": "complete", "tools": tools, "ttlMs": 0, "cacheScope": "private"})
        }
        _ => match message["params"]["name"].as_str().unwrap() {
            "big" => text(&"x".repeat(10_000_000)),
            "break" if events => {
                say(sender, "data: {\"jsonrpc\"".into());
                return Ok(response.body(channel).unwrap());
            }
            "break" => return Err("broken"),
            "hang" => {
                tokio::task::spawn_local(async move {
                    let _open = sender;
                    std::future::pending::<()>().await;
                });
                return Ok(response.body(channel).unwrap());
            }
            "event" | "flood" => {
                let piece = match message["params"]["name"].as_str() {
                    Some("event") => format!("data: {}", "x".repeat(100_000)),
                    _ => format!(": {}\n\n", "x".repeat(100_000)),
                };
                tokio::task::spawn_local(async move { while sender.send_data(piece.clone().into()).await.is_ok() {} });
                return Ok(http::Response::builder()
                    .header("content-type", "text/event-stream")
                    .body(channel)
                    .unwrap());
            }
            "forget" => {
                seen.borrow_mut().sessions += 1;
                text("forgotten")
            }
            "grow" => {
                let mut seen = seen.borrow_mut();
                seen.tools.push("grown");
                let changed = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
                if let Some(mut stream) = seen.stream.take() {
                    tokio::task::spawn_local(async move {
                        stream.send_data(format!("data: {changed}\n\n").into()).await.unwrap();
                        std::future::pending::<()>().await;
                    });
                }
                text("grown")
            }
            "error" => {
                let error =
                    json!({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32602, "message": "bad city"}});
                say(sender, error.to_string());
                return Ok(with(StatusCode::BAD_REQUEST, "application/json").body(channel).unwrap());
            }
            _ => text(&message["params"]["arguments"].to_string()),
        },
    };
    let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string();
    say(sender, if events { format!(": hello\r\n\r\nevent: message\ndata: {answer}\n\n") } else { answer });
    Ok(response.body(channel).unwrap())
}

fn text(words: &str) -> Value {
    json!({"resultType": "complete", "content": [{"type": "text", "text": words}]})
}

#[test]
fn servers_of_both_eras_are_spoken_to_with_answers_of_both_kinds() {
    for kind in [Kind::Old, Kind::OldEvents, Kind::New, Kind::NewEvents] {
        local(async {
            let server = Server::start(kind).await;
            let bench = server.bench().await;
            assert_eq!(bench.names().len(), 9, "{kind:?}: {}", bench.toolbox.current().about());
            for n in 0..3 {
                let arguments = json!({"n": n, "words": "ö"});
                assert_eq!(bench.ok("web__echo", arguments.clone()).await, arguments.to_string(), "{kind:?}");
            }
            let seen = server.seen.borrow();
            let Request { session, version, name, .. } = seen.requests.last().unwrap().clone();
            if matches!(kind, Kind::Old | Kind::OldEvents) {
                assert_eq!((session.as_deref(), version.as_deref()), (Some("session-1"), Some("2025-11-25")));
            } else {
                assert_eq!((session, version.as_deref()), (None, Some("2026-07-28")));
                assert_eq!(name.as_deref(), Some("echo"));
            }
        });
    }
}

#[test]
fn a_session_is_ended_with_the_agent() {
    local(async {
        let server = Server::start(Kind::Old).await;
        drop(server.bench().await);
        while !server.methods().contains(&"DELETE ".to_owned()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
}

#[test]
fn a_session_that_the_server_forgot_is_begun_again() {
    local(async {
        let server = Server::start(Kind::Old).await;
        let bench = server.bench().await;
        bench.ok("web__forget", json!({})).await;
        assert_eq!(bench.ok("web__echo", json!({"a": 1})).await, r#"{"a":1}"#);
        assert_eq!(server.seen.borrow().sessions, 3);
    });
}

#[test]
fn changed_tools_are_heard_of_on_the_servers_stream() {
    local(async {
        let server = Server::start(Kind::OldEvents).await;
        let bench = server.bench().await;
        while server.seen.borrow().stream.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bench.ok("web__grow", json!({})).await;
        while !bench.toolbox.refresh().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(bench.names().contains(&"web__grown".to_owned()));
    });
}

#[test]
fn an_error_of_the_protocol_is_told_whatever_its_status() {
    local(async {
        let server = Server::start(Kind::New).await;
        let bench = server.bench().await;
        assert_eq!(
            bench.fails("web__error", json!({})).await,
            "the MCP server `web`: it says `bad city` (error -32602)"
        );
    });
}

#[test]
fn a_server_that_cannot_be_spoken_to_is_told_of_with_the_reason() {
    for (kind, why) in [
        (Kind::SignIn, "HTTP 401 Unauthorized: it wants somebody to sign in, which this agent cannot do"),
        (Kind::Broken, "HTTP 500 Internal Server Error: "),
        (Kind::Page, "the answer is `text/html`, and no message of MCP"),
    ] {
        local(async {
            let server = Server::start(kind).await;
            let said = Bench::why(server.way()).await;
            assert!(said.starts_with(why), "{said}");
            assert!(said.len() < 1000 && !said.contains('\u{1b}'), "{said}");
        });
    }
    local(async {
        let way = McpServer::Web { name: "web".into(), url: nowhere().await };
        assert!(Bench::why(way).await.starts_with("Connection refused"));
    });
}

#[test]
fn a_call_that_breaks_off_fails_and_the_next_one_works() {
    for (kind, why) in [
        (Kind::Old, "connection closed before message completed"),
        (Kind::OldEvents, "the answer broke off; it is not known whether the call took effect"),
        (Kind::NewEvents, "the answer broke off; it is not known whether the call took effect"),
    ] {
        local(async {
            let server = Server::start(kind).await;
            let bench = server.bench().await;
            assert_eq!(bench.fails("web__break", json!({})).await, format!("the MCP server `web`: {why}"));
            assert_eq!(bench.ok("web__echo", json!({})).await, "{}");
        });
    }
}

#[test]
fn a_server_that_never_answers_costs_one_call() {
    for kind in [Kind::Old, Kind::NewEvents] {
        local(async {
            let server = Server::start(kind).await;
            let patience = Patience { call: Duration::from_millis(300), ..SHORT };
            let bench = Bench::with(vec![server.way()], patience, |_| {});
            bench.begin().await;
            let text = bench.fails("web__hang", json!({})).await;
            assert!(text.starts_with("the MCP server `web`: no answer within"), "{text}");
            assert_eq!(bench.ok("web__echo", json!({})).await, "{}");
        });
    }
}

#[test]
fn an_answer_that_is_too_long_is_not_read_to_its_end() {
    for (kind, tool) in [(Kind::Old, "big"), (Kind::NewEvents, "big"), (Kind::New, "event")] {
        local(async {
            let server = Server::start(kind).await;
            let bench = server.bench().await;
            let text = bench.fails(&format!("web__{tool}"), json!({})).await;
            let too_long =
                format!("the answer is longer than {MAX_MESSAGE} bytes and was dropped; ask for less at once");
            assert_eq!(text, format!("the MCP server `web`: {too_long}"), "{kind:?}");
            assert_eq!(bench.ok("web__echo", json!({})).await, "{}");
        });
    }
}

#[test]
fn a_flood_is_cut_off_and_the_server_begun_anew() {
    local(async {
        let server = Server::start(Kind::Old).await;
        let bench = server.bench().await;
        let text = bench.fails("web__flood", json!({})).await;
        assert!(text.contains("is gone: it sent far more than it was asked for, and was cut off."), "{text}");
        assert_eq!(bench.ok("web__echo", json!({})).await, "{}");
        assert_eq!(server.seen.borrow().sessions, 2);
    });
}
