//! What a request is, before anything is decided on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use nanoclaw_dialect::{Dialect, Request};
use nanoclaw_request::Refusal;
use nanoclaw_vault::digest;
use serde_json::Value;

use crate::call::malformed;
use crate::door::Door;
use crate::estimate;

/// Length in bytes from which on a request is read on a thread of its own. That takes milliseconds for each mebibyte, in
/// which all other cells would wait.
const LONG: usize = 64 * 1024;

/// A request that was read.
pub(crate) struct Read {
    pub(crate) body: Value,
    pub(crate) request: Request,
    /// Its tokens, estimated.
    pub(crate) input: u64,
    /// How many parts of it come from where; or why it may not be sent.
    pub(crate) inspected: Result<BTreeMap<String, u64>, Refusal>,
}

/// Reads a request, and gives the SHA-256 of its bytes, in hex.
pub(crate) async fn read(door: &Arc<Door>, dialect: Dialect, bytes: Bytes) -> (String, Result<Read, Refusal>) {
    let length = bytes.len();
    let door = Arc::clone(door);
    let work = move || (digest::hex(&digest::sha256(&bytes)), parse(&door, dialect, &bytes));
    if length < LONG {
        return work();
    }
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| (String::new(), Err(malformed(format!("the request cannot be read: {error}")))))
}

fn parse(door: &Door, dialect: Dialect, bytes: &[u8]) -> Result<Read, Refusal> {
    let body: Value =
        serde_json::from_slice(bytes).map_err(|error| malformed(format!("the body is not JSON: {error}")))?;
    let request = dialect.read_request(&body).map_err(|error| malformed(error.to_string()))?;
    let inspected = door.shared.pipeline.request(&body).map(|()| door.observe(&request));
    Ok(Read { input: estimate::input(&request), body, request, inspected })
}
