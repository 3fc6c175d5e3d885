//! What can be asked of the door, by method and path.

use hyper::Method;
use nanoclaw_dialect::{Dialect, Fault, FaultKind};
use nanoclaw_request::ModelOperation;

use crate::call;

/// Longest part of a method or a path that is repeated, in characters.
const MAX_SHOWN_CHARS: usize = 100;

/// One thing that can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// An answer of a model.
    Generate(Dialect),
    /// Vectors for texts.
    Embeddings,
    /// How many tokens a request has.
    CountTokens,
    /// The models that the agent may ask.
    Models,
    /// One of them.
    Model(String),
    /// Decisions on tool calls that the agent found in a text.
    ToolCalls,
}

impl Route {
    /// What is asked for, as it stands in the record of a request that could not be read.
    pub(crate) const fn operation(&self) -> ModelOperation {
        match self {
            Route::Generate(dialect) => call::operation(*dialect),
            Route::Embeddings => ModelOperation::Embeddings,
            Route::CountTokens | Route::Models | Route::Model(_) | Route::ToolCalls => ModelOperation::List,
        }
    }
}

/// Finds the route. Clients are set up with and without `/v1` at the end of their base address, so both are taken.
///
/// # Errors
/// There is nothing at that path, or not for that method.
pub(crate) fn find(method: &Method, whole: &str) -> Result<Route, Fault> {
    let path = whole.trim_end_matches('/');
    let path = path.strip_prefix("/v1").unwrap_or(path);
    let path = path.strip_prefix("/v1").unwrap_or(path);
    let (route, expected) = match path {
        "/chat/completions" => (Route::Generate(Dialect::Chat), Method::POST),
        "/responses" => (Route::Generate(Dialect::Responses), Method::POST),
        "/messages" => (Route::Generate(Dialect::Messages), Method::POST),
        "/messages/count_tokens" => (Route::CountTokens, Method::POST),
        "/embeddings" => (Route::Embeddings, Method::POST),
        "/models" => (Route::Models, Method::GET),
        "/nanoclaw/tool-calls" => (Route::ToolCalls, Method::POST),
        other => match other.strip_prefix("/models/") {
            Some(model) if !model.is_empty() => (Route::Model(decoded(model)), Method::GET),
            Some(_) | None => return Err(nothing(method, whole)),
        },
    };
    if *method != expected {
        return Err(Fault {
            kind: FaultKind::Method,
            code: "method-not-allowed".to_owned(),
            message: format!("`{}` takes {expected}, not `{}`", shown(whole), shown(method.as_str())),
        });
    }
    Ok(route)
}

fn nothing(method: &Method, path: &str) -> Fault {
    let (method, path) = (shown(method.as_str()), shown(path));
    Fault {
        kind: FaultKind::NotFound,
        code: "not-found".to_owned(),
        message: format!(
            "the model door has no `{method} {path}`; it has /v1/chat/completions, /v1/responses, /v1/messages, /v1/messages/count_tokens, /v1/embeddings and /v1/models"
        ),
    }
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_SHOWN_CHARS).collect()
}

/// A path segment without its percent-encoding, as far as that is valid UTF-8: model names hold slashes.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = (*first == b'%').then(|| tail.get(..2)).flatten();
        let value = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match value {
            Some(value) => {
                bytes.push(value);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_with_and_without_their_version() {
        for path in ["/v1/chat/completions", "/chat/completions", "/v1/v1/chat/completions", "/v1/chat/completions/"] {
            assert_eq!(find(&Method::POST, path), Ok(Route::Generate(Dialect::Chat)), "{path}");
        }
        assert_eq!(find(&Method::GET, "/v1/models/main%2Fx"), Ok(Route::Model("main/x".to_owned())));
        assert_eq!(find(&Method::GET, "/v1/models/%zz%f"), Ok(Route::Model("%zz%f".to_owned())));
        assert_eq!(find(&Method::GET, "/v1/messages").unwrap_err().kind, FaultKind::Method);
        assert_eq!(find(&Method::GET, "/v1/models/"), Ok(Route::Models));
        for path in ["", "/", "/v1", "/v1/files", "/v1/v1/v1/models", "/v1/../models/x", "/metrics"] {
            assert_eq!(find(&Method::GET, path).unwrap_err().kind, FaultKind::NotFound, "{path}");
        }
    }
}
