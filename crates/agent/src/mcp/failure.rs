//! What went wrong with a server, in words for the model. What the server itself says is a quotation, and cut.

use std::error::Error;

use rmcp::model::ErrorData;
use rmcp::service::{ClientInitializeError, ServiceError};
use rmcp::transport::streamable_http_client::StreamableHttpError;

use super::http::WebError;
use crate::plain;

/// Longest quotation of what a server says, in bytes.
const LONGEST_QUOTE: usize = 1024;

/// Why a request has no result.
pub(super) fn text(error: &ServiceError) -> String {
    match error {
        ServiceError::McpError(error) => said(error),
        ServiceError::TransportSend(error) => deepest(error.error.as_ref()),
        ServiceError::TransportClosed => "the connection ended".to_owned(),
        ServiceError::UnexpectedResponse => "it answered with something else than was asked for".to_owned(),
        error => plain::line(&error.to_string(), LONGEST_QUOTE),
    }
}

/// Why a server does not serve.
pub(super) fn unserved(error: &ClientInitializeError) -> String {
    match error {
        ClientInitializeError::JsonRpcError(error) => said(error),
        ClientInitializeError::TransportError { error, .. } => deepest(error.error.as_ref()),
        ClientInitializeError::LegacyFallbackFailed { fallback, .. } => unserved(fallback),
        ClientInitializeError::NoCompatibleProtocolVersion { .. } => {
            "it speaks no version that is spoken here".to_owned()
        }
        ClientInitializeError::ConnectionClosed(_) => "the connection ended".to_owned(),
        _ => "it does not speak MCP as it should".to_owned(),
    }
}

/// Whether a server went away instead of answering.
pub(super) fn closed(error: &ClientInitializeError) -> bool {
    match error {
        ClientInitializeError::ConnectionClosed(_) | ClientInitializeError::TransportError { .. } => true,
        ClientInitializeError::LegacyFallbackFailed { fallback, .. } => closed(fallback),
        _ => false,
    }
}

fn said(error: &ErrorData) -> String {
    format!("it says `{}` (error {})", plain::line(&error.message, LONGEST_QUOTE), error.code.0)
}

/// The words of the cause; what is around it is for programmers.
fn deepest(error: &(dyn Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    let words = match deepest.downcast_ref() {
        // This one does not name its cause as such.
        Some(StreamableHttpError::Client(WebError(words))) => words.clone(),
        _ => deepest.to_string(),
    };
    plain::line(&words, LONGEST_QUOTE)
}
