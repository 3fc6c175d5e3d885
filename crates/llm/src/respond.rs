//! The one place that turns refusals and failures into answers, in the shape of the dialect that the agent speaks.

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use jiff::Timestamp;
use nanoclaw_dialect::{Dialect, Fault, FaultKind};
use nanoclaw_request::{Refusal, RefusalCode};
use serde_json::Value;

use crate::upstream::Failure;

/// The answer to one request.
pub(crate) type Answered = Response<Body>;
/// Its body. An error in it breaks the connection off, so that the agent does not take a part for the whole.
pub(crate) type Body = BoxBody<Bytes, std::io::Error>;

/// A JSON body.
pub(crate) fn json(status: StatusCode, value: &Value) -> Answered {
    // Writing a value to memory does not fail.
    let mut response = Response::new(whole(serde_json::to_vec(value).unwrap_or_default()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A body that is there at once.
pub(crate) fn whole(bytes: Vec<u8>) -> Body {
    Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed()
}

/// An error in the dialect's own shape. Client libraries are told not to try again: what NanoClaw refuses it refuses
/// again, and it has tried providers again itself.
pub(crate) fn fault(dialect: Dialect, fault: &Fault, returns: Option<Timestamp>) -> Answered {
    let status = StatusCode::from_u16(fault.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(status, &dialect.write_error(fault));
    let headers = response.headers_mut();
    headers.insert("x-should-retry", HeaderValue::from_static("false"));
    if let Ok(code) = HeaderValue::from_str(&fault.code) {
        headers.insert("x-nanoclaw-refusal", code);
    }
    if let Some(returns) = returns {
        let seconds = returns.as_second().saturating_sub(Timestamp::now().as_second()).max(1);
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds.unsigned_abs()));
    }
    if fault.kind == FaultKind::Method {
        headers.insert(ALLOW, HeaderValue::from_static("GET, POST"));
    }
    response
}

/// How a refusal is told to an agent.
pub(crate) fn of_refusal(refusal: &Refusal) -> Fault {
    let kind = match refusal.code {
        RefusalCode::Malformed => FaultKind::Invalid,
        RefusalCode::NoSuchModel | RefusalCode::NotFound => FaultKind::NotFound,
        RefusalCode::BudgetExhausted | RefusalCode::Limit => FaultKind::Exhausted,
        RefusalCode::Unreachable => FaultKind::Provider,
        RefusalCode::NotYou
        | RefusalCode::HostNotAllowed
        | RefusalCode::AddressForbidden
        | RefusalCode::NameNotFound
        | RefusalCode::SniMismatch
        | RefusalCode::HttpHostMismatch
        | RefusalCode::ProtocolNotAllowed
        | RefusalCode::EncryptedHello
        | RefusalCode::DatagramNotAllowed
        | RefusalCode::ReadOnly
        | RefusalCode::ExecNotAllowed
        | RefusalCode::SyscallNotAllowed
        | RefusalCode::Undecided
        | RefusalCode::NotApproved
        | RefusalCode::NoLongerAllowed
        | RefusalCode::ModelNotAllowed
        | RefusalCode::ToolNotAllowed
        | RefusalCode::ContentRefused
        | RefusalCode::NoSuchCell => FaultKind::Forbidden,
    };
    Fault { kind, code: refusal.code.name().to_owned(), message: format!("NanoClaw refused this: {refusal}") }
}

/// How the failure of a provider is told to an agent.
pub(crate) fn of_failure(failure: &Failure) -> Fault {
    Fault { kind: failure.kind, code: RefusalCode::Unreachable.name().to_owned(), message: failure.message.clone() }
}

/// What stands in the place of a tool call that was refused. The built-in agent knows it by its beginning. A name is the
/// model's: it holds no tag by which an agent cuts something out of the text.
pub(crate) fn refused_call(tool: &str, refusal: &Refusal) -> String {
    format!("[NanoClaw refused the tool call {tool}: {refusal}]").replace('<', "‹")
}
