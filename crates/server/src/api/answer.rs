//! What the API answers: the only place where results and refusals become HTTP.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Frame, SizeHint};
use hyper::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Response, StatusCode};
use nanoclaw_request::{Refusal, RefusalCode, Stage};
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;

/// Longest reason in bytes why a request cannot be read.
const LONGEST_QUOTE: usize = 512;

/// An answer, or its beginning.
pub(super) type Answer = Response<Body>;

/// The body of an answer: all of it, or what comes bit by bit until the other end is dropped.
pub(super) enum Body {
    Whole(Full<Bytes>),
    Stream(mpsc::Receiver<Bytes>),
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Body::Whole(whole) => Pin::new(whole).poll_frame(context),
            Body::Stream(stream) => stream.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Whole(whole) => whole.is_end_stream(),
            Body::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole(whole) => whole.size_hint(),
            Body::Stream(_) => SizeHint::default(),
        }
    }
}

/// Why something was not done, and the status that says so.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    pub(super) refusal: Refusal,
    /// A field that goes with this status.
    pub(super) field: Option<(HeaderName, HeaderValue)>,
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let status = match (refusal.code, refusal.stage) {
            (RefusalCode::NotYou, Stage::Identify) => StatusCode::UNAUTHORIZED,
            (RefusalCode::Malformed, _) => StatusCode::BAD_REQUEST,
            (RefusalCode::Limit | RefusalCode::BudgetExhausted, _) => StatusCode::TOO_MANY_REQUESTS,
            // It is known, but it does not run.
            (RefusalCode::NoSuchCell, Stage::Act) => StatusCode::CONFLICT,
            (RefusalCode::NoSuchCell | RefusalCode::NotFound, _) => StatusCode::NOT_FOUND,
            (RefusalCode::Unreachable, _) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::FORBIDDEN,
        };
        Self { status, refusal, field: None }
    }
}

impl Fault {
    /// A request that cannot be read.
    pub(super) fn malformed(reason: impl Into<String>, help: &str) -> Self {
        let mut reason = reason.into();
        // It can quote the request.
        reason.truncate(reason.floor_char_boundary(LONGEST_QUOTE));
        Self::of(StatusCode::BAD_REQUEST, Stage::Inspect, RefusalCode::Malformed, reason, help)
    }

    /// Nothing has that name or number.
    pub(super) fn not_found(reason: impl Into<String>, help: &str) -> Self {
        Self::of(StatusCode::NOT_FOUND, Stage::Act, RefusalCode::NotFound, reason, help)
    }

    /// It was allowed and did not succeed, for a reason of the control plane's own.
    pub(super) fn failed(error: impl std::fmt::Display) -> Self {
        Self::of(StatusCode::SERVICE_UNAVAILABLE, Stage::Act, RefusalCode::Unreachable, error.to_string(), "")
    }

    pub(super) fn of(
        status: StatusCode,
        stage: Stage,
        code: RefusalCode,
        reason: impl Into<String>,
        help: &str,
    ) -> Self {
        let refusal = Refusal { stage, code, reason: reason.into(), help: help.to_owned() };
        Self { status, refusal, field: None }
    }

    pub(super) fn with(self, name: HeaderName, value: HeaderValue) -> Self {
        Self { field: Some((name, value)), ..self }
    }

    /// As a problem (RFC 9457) with the refusal's code and help beside the standard members.
    pub(super) fn answer(&self) -> Answer {
        let Refusal { code, reason, help, .. } = &self.refusal;
        let problem = json!({
            "title": self.status.canonical_reason().unwrap_or_default(),
            "status": self.status.as_u16(),
            "detail": reason,
            "code": code.name(),
            "help": help,
        });
        let mut answer = whole(self.status, "application/problem+json", problem.to_string());
        if let Some((name, value)) = &self.field {
            answer.headers_mut().insert(name.clone(), value.clone());
        }
        if self.refusal.stage == Stage::Identify {
            // Whoever is not known comes again from the beginning.
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

/// A whole answer.
pub(super) fn whole(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    answer(status, kind, Body::Whole(Full::new(body.into())))
}

/// A JSON answer.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    match serde_json::to_vec(body) {
        Ok(body) => whole(status, "application/json", body),
        Err(error) => Fault::failed(error).answer(),
    }
}

/// An answer whose events (server-sent events, HTML standard) come one by one.
pub(super) fn events(stream: mpsc::Receiver<Bytes>) -> Answer {
    answer(StatusCode::OK, "text/event-stream", Body::Stream(stream))
}

/// One such event. `data` is one line.
pub(super) fn event(id: Option<u64>, data: &str) -> Bytes {
    match id {
        Some(id) => format!("id: {id}\ndata: {data}\n\n").into(),
        None => format!("data: {data}\n\n").into(),
    }
}

fn answer(status: StatusCode, kind: &'static str, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn a_problem_has_the_code_the_reason_and_the_help() {
        let refusal = Refusal {
            stage: Stage::Authorise,
            code: RefusalCode::NotYou,
            reason: "agent_manage is not for this caller".to_owned(),
            help: "ask an admin".to_owned(),
        };
        let answer = Fault::from(refusal).answer();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(answer.headers()[CACHE_CONTROL], "no-store");
        let body: serde_json::Value =
            serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
        let expected = json!({"title": "Forbidden", "status": 403, "detail": "agent_manage is not for this caller",
            "code": "not-you", "help": "ask an admin"});
        assert_eq!(body, expected);
    }
}
