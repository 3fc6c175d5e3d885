//! An answer that comes at once.

use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use nanoclaw_audit::AuditError;
use nanoclaw_dialect::guard::WholeGuard;
use nanoclaw_dialect::{Dialect, Malformed};
use nanoclaw_request::Refusal;
use nanoclaw_vault::digest;
use serde_json::Value;

use super::{Passed, Spoken, decide};
use crate::call::{Ready, agent_left, keep};
use crate::door::{Door, Reply};
use crate::inspect::Look;
use crate::ledger::Ledger;
use crate::respond::{self, refused_call};
use crate::upstream::{Answer, Failure};

/// A whole JSON answer.
pub(crate) struct Whole {
    /// How many requests it took.
    pub(crate) attempts: u32,
    /// As the provider sent it.
    pub(crate) bytes: Bytes,
    /// The SHA-256 of that, in hex.
    pub(crate) digest: String,
    pub(crate) value: Value,
}

impl Whole {
    /// Reads an answer to its end.
    pub(crate) async fn read(mut answer: Answer) -> Result<Self, Failure> {
        let attempts = answer.attempts;
        let mut bytes = Vec::new();
        let read = async {
            while let Some(chunk) = answer.body.chunk().await? {
                bytes.extend_from_slice(&chunk);
            }
            serde_json::from_slice(&bytes)
                .map_err(|error| Failure::provider(format!("the provider's answer is not JSON: {error}")))
        };
        match read.await {
            Ok(value) => {
                let digest = digest::hex(&digest::sha256(&bytes));
                Ok(Self { attempts, bytes: Bytes::from(bytes), digest, value })
            }
            Err(failure) => Err(Failure { attempts, ..failure }),
        }
    }
}

pub(super) async fn pass_on(
    door: &Arc<Door>,
    ready: &Ready,
    spoken: Spoken,
    answer: Answer,
    mut ledger: Ledger,
    mut reply: Reply,
) -> Result<Passed, AuditError> {
    let read = tokio::select! {
        read = Whole::read(answer) => read,
        () = reply.closed() => {
            ledger.close_left().await?;
            return Ok(Passed::Over);
        }
    };
    let guarded = read.and_then(|whole| Ok((guard(door, ready.dialect, spoken, &whole.value)?, whole)));
    let (mut guard, whole) = match guarded {
        Ok(guarded) => guarded,
        Err(failure) => return Ok(Passed::Not { failure, ledger: Box::new(ledger), reply }),
    };
    ledger.begun();
    ledger.answer_digest = Some(whole.digest.clone());
    let cut = match keep(door, &whole.digest, whole.bytes).await {
        Err(unkept) => Some(unkept),
        Ok(()) => inspect(door, guard.as_mut(), &mut ledger).await?,
    };
    let facts = guard.facts().clone();
    let body = guard.into_body();
    // Whatever the guard does not know as text is searched too.
    let cut = cut.or_else(|| door.shared.pipeline.holds(&body).then(|| door.shared.pipeline.leak()));
    let answer = match &cut {
        Some(refusal) => respond::fault(ready.dialect, &respond::of_refusal(refusal), None),
        None => respond::json(StatusCode::OK, &body),
    };
    ledger.settle(&facts);
    let left = reply.send(answer).is_err();
    ledger.close(&facts, cut.or_else(|| left.then(agent_left))).await?;
    Ok(Passed::Over)
}

/// The answer in the agent's dialect, under guard.
fn guard(door: &Door, dialect: Dialect, spoken: Spoken, value: &Value) -> Result<Box<dyn WholeGuard>, Failure> {
    let malformed = |error: Malformed| {
        let error = door.shared.pipeline.clean(&error.to_string());
        Failure::provider(format!("the provider's answer cannot be read: {error}"))
    };
    let value = if spoken.is(dialect) {
        value.clone()
    } else {
        dialect.write_response(&spoken.read_response(value).map_err(malformed)?)
    };
    dialect.whole_guard(value).map_err(malformed)
}

/// Takes texts and calls past the stages; gives the reason where the answer must not pass at all.
async fn inspect(
    door: &Arc<Door>,
    guard: &mut dyn WholeGuard,
    ledger: &mut Ledger,
) -> Result<Option<Refusal>, AuditError> {
    for text in guard.texts() {
        ledger.said(&text);
        if let Look::Cut(refusal) = door.shared.pipeline.text(&text) {
            return Ok(Some(refusal));
        }
    }
    for (index, call) in guard.calls().into_iter().enumerate() {
        ledger.said(&call.arguments);
        let name = door.shared.pipeline.clean(&call.name);
        ledger.proposed.push(name.clone());
        if let Err(refusal) = decide(door, &call).await? {
            ledger.denied.push(name.clone());
            guard.refuse(index, &refused_call(&name, &refusal));
        }
    }
    Ok(None)
}
