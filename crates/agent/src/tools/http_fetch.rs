//! `http_fetch`: a page of the web, as far as the cell's network door lets it through.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use nanoclaw_dialect::Tool;
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::location::Location;
use super::{Job, Output, ToolError, html};
use crate::reach;

/// Longest time for one call, redirects and all. It is long, as people may have to agree to a connection first, and only the
/// network door knows.
const LONGEST_FETCH: Duration = Duration::from_secs(15 * 60);

/// Longest time for a page to come once its head is there.
const LONGEST_PAGE: Duration = Duration::from_secs(60);

/// Most redirects that are followed.
const MAX_REDIRECTS: usize = 5;

/// Most bytes of a page that are read.
const MAX_PAGE: usize = 1024 * 1024;

/// Most header fields that a call may set.
const MAX_FIELDS: usize = 32;

/// Fields that belong to the connection, not to the call.
const OWN_FIELDS: [HeaderName; 9] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::EXPECT,
    header::ACCEPT_ENCODING,
];

pub(super) fn tool() -> Tool {
    super::tool(
        "http_fetch",
        "Fetch a page over HTTP(S). HTML comes as its text. The network door decides what can be reached; a refusal says \
         why.",
        json!({
            "url": {"type": "string", "description": "http:// or https:// address"},
            "method": {"type": "string", "enum": ["GET", "POST"], "description": "GET if left out"},
            "headers": {
                "type": "object", "additionalProperties": {"type": "string"}, "description": "further header fields"
            },
            "body": {"type": "string", "description": "body of a POST; JSON if no content-type is given"},
        }),
        &["url"],
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    url: String,
    #[serde(default)]
    method: Verb,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Verb {
    #[default]
    Get,
    Post,
}

/// Whether a call only asks.
pub(super) fn only_reads(arguments: &str) -> bool {
    serde_json::from_str::<Arguments>(arguments).is_ok_and(|arguments| arguments.method == Verb::Get)
}

pub(super) async fn run(job: &Job) -> Result<Output, ToolError> {
    let Arguments { url, method, headers, body } = job.arguments()?;
    let location = Location::parse(&url).map_err(ToolError)?;
    if method == Verb::Get && body.is_some() {
        return Err(ToolError::new("a GET has no `body`; set `method` to POST"));
    }
    let mut call = Call {
        location,
        method: if method == Verb::Get { Method::GET } else { Method::POST },
        fields: fields(headers)?,
        body: body.map(Bytes::from).unwrap_or_default(),
        way: Vec::new(),
    };
    match timeout(LONGEST_FETCH, call.follow()).await {
        Ok(page) => Ok(call.show(page.map_err(ToolError)?)),
        Err(_) => Err(ToolError(format!("{} did not answer within {} s", call.location, LONGEST_FETCH.as_secs()))),
    }
}

fn fields(headers: BTreeMap<String, String>) -> Result<Vec<(HeaderName, HeaderValue)>, ToolError> {
    if headers.len() > MAX_FIELDS {
        return Err(ToolError(format!("there are more than {MAX_FIELDS} `headers`")));
    }
    let field = |(name, value): (String, String)| {
        let parsed: HeaderName = name.parse().map_err(|_| ToolError(format!("`{name}` is no header field")))?;
        if OWN_FIELDS.contains(&parsed) {
            return Err(ToolError(format!("the header field `{name}` cannot be set")));
        }
        let value = value.parse().map_err(|_| ToolError(format!("the value of `{name}` is no header value")))?;
        Ok((parsed, value))
    };
    headers.into_iter().map(field).collect()
}

struct Call {
    location: Location,
    method: Method,
    fields: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    /// Where it was redirected from.
    way: Vec<Location>,
}

/// What came back.
struct Page {
    status: StatusCode,
    kind: String,
    body: Vec<u8>,
    cut: bool,
}

impl Call {
    async fn follow(&mut self) -> Result<Page, String> {
        loop {
            let response = self.send().await.map_err(|error| format!("cannot fetch {}: {error}", self.location))?;
            let target =
                response.headers().get(header::LOCATION).and_then(|value| str::from_utf8(value.as_bytes()).ok());
            let status = response.status();
            let follows = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
            match target.filter(|_| follows) {
                Some(target) => self.redirect(status, target)?,
                None => {
                    return match timeout(LONGEST_PAGE, read(response)).await {
                        Ok(page) => page.map_err(|error| format!("{} broke off: {error}", self.location)),
                        Err(_) => Err(format!("{} did not come within {} s", self.location, LONGEST_PAGE.as_secs())),
                    };
                }
            }
        }
    }

    fn redirect(&mut self, status: StatusCode, target: &str) -> Result<(), String> {
        if self.way.len() >= MAX_REDIRECTS {
            return Err(format!(
                "{} redirects more than {MAX_REDIRECTS} times, the last time to `{target}`",
                self.location
            ));
        }
        let next =
            self.location.join(target).map_err(|error| format!("{} redirects wrongly: {error}", self.location))?;
        if next.origin() != self.location.origin() {
            // What was meant for one server, such as a key, is not for another.
            self.fields.clear();
        }
        if !matches!(status.as_u16(), 307 | 308) {
            self.method = Method::GET;
            self.body = Bytes::new();
        } else if self.method == Method::POST && next.origin() != self.location.origin() {
            return Err(format!(
                "{} redirects the POST to another server, {next}; send it there yourself",
                self.location
            ));
        }
        self.way.push(std::mem::replace(&mut self.location, next));
        Ok(())
    }

    async fn send(&self) -> Result<http::Response<Incoming>, String> {
        self.exchange(reach::connect(&self.location).await?).await
    }

    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    ) -> Result<http::Response<Incoming>, String> {
        let mut request = http::Request::builder()
            .method(self.method.clone())
            .uri(&self.location.target)
            .body(Full::new(self.body.clone()))
            .map_err(|error| error.to_string())?;
        let fields = request.headers_mut();
        let host = self.location.authority().parse().map_err(|_| "the host cannot be sent".to_owned())?;
        fields.insert(header::HOST, host);
        fields.insert(header::USER_AGENT, HeaderValue::from_static(concat!("nanoclaw/", env!("CARGO_PKG_VERSION"))));
        fields.insert(header::ACCEPT, HeaderValue::from_static("text/html, application/json, text/*, */*;q=0.1"));
        if self.method == Method::POST {
            fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        fields.extend(self.fields.iter().cloned());
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        tokio::task::spawn_local(async move {
            // The caller is told by hyper.
            let _ = connection.await;
        });
        sender.send_request(request).await.map_err(|error| error.to_string())
    }

    fn show(&self, page: Page) -> Output {
        let Page { status, kind, body, cut } = page;
        let mut text =
            format!("HTTP {status}, {}, from {}\n", if kind.is_empty() { "no type" } else { &kind }, self.location);
        for from in &self.way {
            text.push_str(&format!("redirected from {from}\n"));
        }
        text.push('\n');
        let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if body.contains(&0) || ["image/", "audio/", "video/", "font/"].iter().any(|t| essence.starts_with(t)) {
            text.push_str(&format!("[{} bytes that are not text; fetch them with the shell]", body.len()));
        } else if essence == "text/html" || essence == "application/xhtml+xml" {
            text.push_str(&html::text(&String::from_utf8_lossy(&body)));
        } else {
            text.push_str(&String::from_utf8_lossy(&body));
        }
        if cut {
            text.push_str(&format!("\n[cut: only the first {MAX_PAGE} bytes were read]"));
        }
        Output { text, failed: status.is_client_error() || status.is_server_error() }
    }
}

async fn read(response: http::Response<Incoming>) -> Result<Page, String> {
    let (head, mut incoming) = response.into_parts();
    let kind = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut page = Page { status: head.status, kind: kind.to_owned(), body: Vec::new(), cut: false };
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| error.to_string())?;
        let Some(data) = frame.data_ref() else { continue };
        let room = MAX_PAGE - page.body.len();
        page.body.extend_from_slice(data.get(..room.min(data.len())).unwrap_or_default());
        if data.len() > room {
            page.cut = true;
            break;
        }
    }
    Ok(page)
}

#[cfg(test)]
mod tests;
