//! The server: requests in, scripted answers out.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use crate::answer::Answer;
use crate::conversation::{Conversation, Wrong, paired, text};
use crate::dialect::{Dialect, Head};
use crate::embedding;
use crate::models::{self, Lister};
use crate::reply::Reply;
use crate::script::{Fail, Script};

/// Bytes of a request that are read.
const LARGEST_REQUEST: usize = 64 << 20;
/// Headers in which clients sign in.
const KEY_HEADERS: [&str; 4] = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];

/// How the mock is set up.
#[derive(Default)]
pub struct Options {
    /// Requests that do not sign in with this key are answered with 401.
    pub require_key: Option<String>,
    /// Where one JSON line for each request goes.
    pub log: Option<File>,
}

/// Serves connections until accepting one fails for good.
///
/// # Errors
/// What `accept` says, where trying again does not help.
pub async fn serve(listener: TcpListener, options: Options) -> io::Result<()> {
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mock = Arc::new(Mock {
        require_key: options.require_key,
        log: options.log.map(Mutex::new),
        failed: Mutex::default(),
        // Ids of two runs should differ.
        answers: AtomicU64::new(started.as_nanos() as u64),
    });
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => return Err(error),
        };
        if stream.set_nodelay(true).is_err() {
            // It is gone already.
            continue;
        }
        let mock = mock.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let mock = mock.clone();
                async move { Ok::<_, Infallible>(mock.answer(request).await) }
            });
            // A connection that breaks is what `CUT` is for, and what clients do.
            let _broken = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

struct Mock {
    require_key: Option<String>,
    log: Option<Mutex<File>>,
    /// How often each script with `FAIL` has failed.
    failed: Mutex<HashMap<String, u32>>,
    answers: AtomicU64,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route<'u> {
    Answer(Dialect),
    CountTokens,
    Embeddings,
    Models(Lister),
    Model(Lister, &'u str),
    Nothing,
}

impl<'u> Route<'u> {
    fn of(method: &Method, uri: &'u Uri, headers: &HeaderMap) -> Self {
        let path = uri.path();
        if *method == Method::GET {
            let lister = match () {
                () if headers.contains_key("anthropic-version") => Lister::Anthropic,
                () if headers.contains_key("x-goog-api-key") || path.contains("/v1beta/") => Lister::Gemini,
                () => Lister::OpenAi,
            };
            return match path.rsplit_once("/models") {
                Some((_, "")) => Route::Models(lister),
                Some((_, name)) => Route::Model(lister, name.trim_start_matches('/')),
                None => Route::Nothing,
            };
        }
        if *method != Method::POST {
            return Route::Nothing;
        }
        let ends = |end| path.ends_with(end);
        match () {
            () if ends("/chat/completions") => Route::Answer(Dialect::Chat),
            () if ends("/responses") => Route::Answer(Dialect::Responses),
            () if ends("/messages") => Route::Answer(Dialect::Messages),
            () if ends("/messages/count_tokens") => Route::CountTokens,
            () if ends("/embeddings") => Route::Embeddings,
            () if gemini_model(path).is_some() => Route::Answer(Dialect::Gemini),
            () => Route::Nothing,
        }
    }

    /// Whose errors the client understands.
    fn dialect(self) -> Dialect {
        match self {
            Route::Answer(dialect) => dialect,
            Route::CountTokens | Route::Models(Lister::Anthropic) | Route::Model(Lister::Anthropic, _) => {
                Dialect::Messages
            }
            Route::Models(Lister::Gemini) | Route::Model(Lister::Gemini, _) => Dialect::Gemini,
            _ => Dialect::Chat,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Route::Answer(dialect) => dialect.name(),
            Route::CountTokens => "count_tokens",
            Route::Embeddings => "embeddings",
            Route::Models(_) | Route::Model(..) => "models",
            Route::Nothing => "unknown",
        }
    }
}

/// The model and whether to stream, from a path of Gemini's.
fn gemini_model(path: &str) -> Option<(&str, bool)> {
    let (_, last) = path.rsplit_once("/models/")?;
    match last.rsplit_once(':')? {
        (model, "generateContent") => Some((model, false)),
        (model, "streamGenerateContent") => Some((model, true)),
        _ => None,
    }
}

/// Why there is an error instead of an answer.
struct Refusal {
    status: u16,
    message: String,
}

impl From<Wrong> for Refusal {
    fn from(wrong: Wrong) -> Self {
        Self { status: 400, message: wrong.0 }
    }
}

impl Refusal {
    fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

/// What is sent.
enum Content {
    Json(String),
    /// A JSON answer of which half comes.
    HalfJson(String),
    Events(Vec<String>, Option<Duration>, Option<usize>),
}

/// One request, read.
struct Asked<'r> {
    uri: &'r Uri,
    headers: &'r HeaderMap,
    body: &'r Value,
    /// Of the body, in bytes.
    size: usize,
}

impl Asked<'_> {
    /// Whether to stream.
    fn stream(&self, dialect: Dialect) -> bool {
        match dialect {
            Dialect::Gemini => gemini_model(self.uri.path()).is_some_and(|(_, stream)| stream),
            _ => self.body.get("stream") == Some(&Value::Bool(true)),
        }
    }

    fn model(&self, dialect: Dialect) -> Option<&str> {
        match dialect {
            Dialect::Gemini => gemini_model(self.uri.path()).map(|(model, _)| model),
            _ => self.body.get("model").and_then(Value::as_str),
        }
    }

    /// What the client signs in with, in all places where it does.
    fn keys(&self) -> impl Iterator<Item = &str> {
        let headers = KEY_HEADERS.iter().filter_map(|name| self.headers.get(*name)?.to_str().ok());
        let query = self.uri.query().unwrap_or_default().split('&').filter_map(|part| part.strip_prefix("key="));
        headers.chain(query)
    }
}

impl Mock {
    async fn answer(&self, request: Request<Incoming>) -> Response<Reply> {
        let (parts, body) = request.into_parts();
        let route = Route::of(&parts.method, &parts.uri, &parts.headers);
        let (raw, read) = match Limited::new(body, LARGEST_REQUEST).collect().await {
            Ok(body) => (body.to_bytes(), Ok(())),
            Err(error) => (Bytes::new(), Err(Refusal::new(413, format!("the body cannot be read: {error}")))),
        };
        let (body, parsed) = match serde_json::from_slice(&raw) {
            Ok(body) => (body, Ok(())),
            Err(_) if raw.is_empty() => (Value::Null, Ok(())),
            Err(error) => {
                let text = String::from_utf8_lossy(&raw).into_owned();
                (Value::from(text), Err(Refusal::new(400, format!("the body is not JSON: {error}"))))
            }
        };
        let asked = Asked { uri: &parts.uri, headers: &parts.headers, body: &body, size: raw.len() };
        let mut latency = Duration::ZERO;
        let answer = match read.and(parsed).and_then(|()| self.signed_in(&asked)) {
            Ok(()) => self.content(route, &asked, &mut latency),
            Err(refusal) => Err(refusal),
        };
        self.note(route, &asked, answer.as_ref().map_or_else(|refusal| refusal.status, |_| 200));
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        self.respond(route.dialect(), answer)
    }

    fn signed_in(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        let Some(required) = &self.require_key else { return Ok(()) };
        let known = |key: &str| key.strip_prefix("Bearer ").unwrap_or(key) == required;
        if asked.keys().any(known) {
            return Ok(());
        }
        Err(Refusal::new(401, "the API key is missing or not the right one"))
    }

    fn content(&self, route: Route<'_>, asked: &Asked<'_>, latency: &mut Duration) -> Result<Content, Refusal> {
        match route {
            Route::Answer(dialect) => self.scripted(dialect, asked, latency),
            Route::CountTokens => {
                text(asked.body, "model")?;
                Ok(Content::Json(json!({ "input_tokens": asked.size / 4 }).to_string()))
            }
            Route::Embeddings => Ok(Content::Json(embedding::answer(asked.body)?.to_string())),
            Route::Models(lister) => Ok(Content::Json(models::list(lister).to_string())),
            Route::Model(lister, name) => models::one(lister, name)
                .map(|model| Content::Json(model.to_string()))
                .ok_or_else(|| Refusal::new(404, format!("the model `{name}` does not exist"))),
            Route::Nothing => Err(Refusal::new(404, format!("there is nothing at `{}`", asked.uri.path()))),
        }
    }

    /// Does what the script says.
    fn scripted(&self, dialect: Dialect, asked: &Asked<'_>, latency: &mut Duration) -> Result<Content, Refusal> {
        if dialect == Dialect::Messages && !asked.headers.contains_key("anthropic-version") {
            return Err(Refusal::new(400, "anthropic-version: header is required"));
        }
        let model = asked.model(dialect).ok_or_else(|| Refusal::new(400, "you must provide a model parameter"))?;
        let stream = asked.stream(dialect);
        if dialect == Dialect::Gemini && stream && !asked.uri.query().is_some_and(|query| query.contains("alt=sse")) {
            return Err(Refusal::new(400, "the scripted model streams as server-sent events only: add `alt=sse`"));
        }
        let said = dialect.read(asked.body)?;
        paired(&said)?;
        let (conversation, script) = Conversation::new(&said);
        let script =
            script.unwrap_or_else(|error| Script { say: Some(format!("SCRIPT ERROR: {error}")), ..Script::default() });
        *latency = script.latency;
        let key = if script.echo_key { asked.keys().collect::<Vec<_>>().join(" ") } else { String::new() };
        if let Some(fail) = &script.fail
            && self.fails(conversation.script, fail)
        {
            let mut message = format!("the script fails with {}", fail.status);
            if script.echo_key {
                message.push_str(" KEY ");
                message.push_str(&key);
            }
            return Err(Refusal::new(fail.status, message));
        }
        let answer = Answer::new(&script, &conversation, &key, asked.size);
        let head = Head {
            number: self.answers.fetch_add(1, Ordering::Relaxed),
            created: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            model,
            request: asked.body,
        };
        Ok(match (stream, script.cut) {
            (true, cut) => Content::Events(dialect.events(&head, &answer), script.gap, cut),
            (false, None) => Content::Json(dialect.whole(&head, &answer)),
            (false, Some(_)) => Content::HalfJson(dialect.whole(&head, &answer)),
        })
    }

    /// Whether a script that says `fail` does so this time.
    fn fails(&self, script: &str, fail: &Fail) -> bool {
        let Some(times) = fail.times else { return true };
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failed.entry(script.to_owned()).or_default();
        let fails = *count < times;
        *count += u32::from(fails);
        fails
    }

    fn respond(&self, dialect: Dialect, answer: Result<Content, Refusal>) -> Response<Reply> {
        let (status, kind, body) = match answer {
            Ok(Content::Json(value)) => (200, "application/json", Reply::whole(value, false)),
            Ok(Content::HalfJson(value)) => (200, "application/json", Reply::whole(value, true)),
            Ok(Content::Events(events, gap, cut)) => {
                let kind =
                    if dialect == Dialect::Gemini { "text/event-stream" } else { "text/event-stream; charset=utf-8" };
                (200, kind, Reply::stream(events, gap, cut))
            }
            Err(Refusal { status, message }) => {
                let value = dialect.error(status, &message);
                (status, "application/json", Reply::whole(value.to_string(), false))
            }
        };
        let mut response = Response::new(body);
        // Every status here comes from a number between 200 and 599.
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        if kind.starts_with("text/") {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        if status == 429 {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("0"));
        }
        if let Some(name) = dialect.request_id() {
            let id = format!("req_{:016x}", self.answers.fetch_add(1, Ordering::Relaxed));
            if let Ok(id) = HeaderValue::from_str(&id) {
                headers.insert(name, id);
            }
        }
        response
    }

    /// Adds a request to the log.
    fn note(&self, route: Route<'_>, asked: &Asked<'_>, status: u16) {
        let Some(log) = &self.log else { return };
        let dialect = route.dialect();
        let headers: Map<String, Value> = KEY_HEADERS
            .iter()
            .filter_map(|name| {
                let value = asked.headers.get(*name)?;
                Some(((*name).to_owned(), String::from_utf8_lossy(value.as_bytes()).into()))
            })
            .collect();
        let entry = json!({
            "dialect": route.name(),
            "path": asked.uri.path_and_query().map(|path| path.as_str()),
            "model": asked.model(dialect),
            "stream": asked.stream(dialect),
            "status": status,
            "headers": headers,
            "body": asked.body,
        });
        let line = format!("{entry}\n");
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = log.write_all(line.as_bytes()) {
            eprintln!("scripted model: the log cannot be written: {error}");
        }
    }
}
