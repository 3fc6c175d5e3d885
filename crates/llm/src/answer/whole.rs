//! An answer that comes at once.

use std::sync::Arc;

use hyper::StatusCode;
use nanoclaw_audit::AuditError;
use nanoclaw_dialect::Dialect;
use nanoclaw_dialect::guard::{Facts, WholeGuard};
use nanoclaw_request::Refusal;
use serde_json::Value;

use super::{Passed, decide};
use crate::bodies;
use crate::call::{Ready, agent_left, unreachable, whole_json};
use crate::door::{Door, Reply};
use crate::inspect::Look;
use crate::ledger::Ledger;
use crate::respond::{self, refused_call};
use crate::upstream::{Answer, Failure};

pub(super) async fn pass_on(
    door: &Arc<Door>,
    ready: &Ready,
    spoken: Dialect,
    answer: Answer,
    mut ledger: Ledger,
    mut reply: Reply,
) -> Result<Passed, AuditError> {
    let read = tokio::select! {
        read = whole_json(Ok(answer)) => read,
        () = reply.closed() => {
            ledger.close(&Facts::default(), Some(agent_left())).await?;
            return Ok(Passed::Over);
        }
    };
    let guarded = read.and_then(|(_, value, digest)| Ok((guard(ready.dialect, spoken, &value)?, value, digest)));
    let (mut guard, value, digest) = match guarded {
        Ok(guarded) => guarded,
        Err(failure) => return Ok(Passed::Not { failure, ledger: Box::new(ledger), reply }),
    };
    ledger.begun();
    if let Some(directory) = &door.shared.bodies
        && let Err(error) = bodies::keep(directory, &digest, value.to_string().as_bytes()).await
    {
        let refusal = unreachable(format!("the answer cannot be kept: {error}"));
        let _agent_left = reply.send(respond::fault(ready.dialect, &respond::of_refusal(&refusal), None)).is_err();
        ledger.close(guard.facts(), Some(refusal)).await?;
        return Ok(Passed::Over);
    }
    ledger.answer_digest = Some(digest);
    let cut = inspect(door, guard.as_mut(), &mut ledger).await?;
    let facts = guard.facts().clone();
    let body = guard.into_body();
    // Whatever the guard does not know as text is searched too.
    let cut = cut.or_else(|| door.shared.pipeline.finds(&body.to_string()).then(|| door.shared.pipeline.leak()));
    let answer = match &cut {
        Some(refusal) => respond::fault(ready.dialect, &respond::of_refusal(refusal), None),
        None => respond::json(StatusCode::OK, &body),
    };
    let left = reply.send(answer).is_err();
    ledger.close(&facts, cut.or_else(|| left.then(agent_left))).await?;
    Ok(Passed::Over)
}

/// The answer in the agent's dialect, under guard.
fn guard(dialect: Dialect, spoken: Dialect, value: &Value) -> Result<Box<dyn WholeGuard>, Failure> {
    let malformed = |error| Failure::provider(format!("the provider's answer cannot be read: {error}"));
    let value = if spoken == dialect {
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
        ledger.proposed.push(call.name.clone());
        if let Err(refusal) = decide(door, &call).await? {
            ledger.denied.push(call.name.clone());
            guard.refuse(index, &refused_call(&call.name, &refusal));
        }
    }
    Ok(None)
}
