//! An answer that comes at once.

use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use nanoclaw_audit::AuditError;
use nanoclaw_dialect::guard::WholeGuard;
use nanoclaw_dialect::{Dialect, Malformed, ToolCall};
use nanoclaw_request::Refusal;
use nanoclaw_vault::digest;
use serde_json::Value;

use super::leaving::Leaving;
use super::{Heard, Passed, decide};
use crate::call::{Ready, agent_left, keep};
use crate::door::{Door, Reply};
use crate::inspect::Look;
use crate::ledger::Ledger;
use crate::respond::{self, refused_call};
use crate::upstream::{Answer, Failure};
use crate::{bodies, work};

/// A whole JSON answer.
pub(crate) struct Whole {
    /// How many requests it took.
    pub(crate) attempts: u32,
    /// As the provider sent it.
    pub(crate) bytes: Bytes,
    /// The SHA-256 of that, in hex.
    pub(crate) digest: String,
    pub(crate) value: Value,
    /// Whether a key stands in it.
    pub(crate) holds_key: bool,
}

impl Whole {
    /// Reads an answer to its end.
    pub(crate) async fn read(door: &Door, mut answer: Answer) -> Result<Self, Failure> {
        let attempts = answer.attempts;
        let mut bytes = Vec::new();
        let read = async {
            while let Some(chunk) = answer.body.chunk().await? {
                bytes.extend_from_slice(&chunk);
            }
            let pipeline = door.shared.pipeline.clone();
            work::on(bytes.len(), move || {
                let value = serde_json::from_slice(&bytes)
                    .map_err(|error| Failure::provider(format!("the provider's answer is not JSON: {error}")))?;
                let digest = digest::hex(&digest::sha256(&bytes));
                let holds_key = pipeline.holds(&value);
                Ok(Self { attempts, bytes: Bytes::from(bytes), digest, value, holds_key })
            })
            .await
        };
        read.await.map_err(|failure: Failure| Failure { attempts, ..failure })
    }
}

/// An answer that was looked at.
struct Guarded {
    guard: Box<dyn WholeGuard>,
    texts: Vec<String>,
    calls: Vec<ToolCall>,
    /// Why it may not pass.
    cut: Option<Refusal>,
    /// Why something else stands in its place.
    withheld: Option<Refusal>,
    leaving: Leaving,
}

pub(super) async fn pass_on(
    door: &Arc<Door>,
    ready: &Ready,
    heard: Heard,
    answer: Answer,
    mut ledger: Ledger,
    mut reply: Reply,
) -> Result<Passed, AuditError> {
    let read = tokio::select! {
        read = Whole::read(door, answer) => read,
        () = reply.closed() => {
            ledger.close_left().await?;
            return Ok(Passed::Over);
        }
    };
    let guarded = match read {
        Ok(whole) => {
            let (door, dialect) = (Arc::clone(door), ready.dialect);
            let Whole { bytes, digest, value, holds_key, attempts: _ } = whole;
            let guarding = move || guard(&door, dialect, heard, value);
            work::on(bytes.len(), guarding).await.map(|guarded| (guarded, bytes, digest, holds_key))
        }
        Err(failure) => Err(failure),
    };
    let (mut guarded, bytes, digest, mut holds_key) = match guarded {
        Ok(guarded) => guarded,
        Err(failure) => return Ok(Passed::Not { failure, ledger: Box::new(ledger), reply }),
    };
    ledger.begun();
    ledger.answer_digest = Some(digest.clone());
    match inspect(door, &mut guarded, &mut ledger, ready, &mut reply).await? {
        Some(found) => holds_key |= found,
        None => {
            ledger.close(guarded.guard.facts(), Some(agent_left())).await?;
            return Ok(Passed::Over);
        }
    }
    let Guarded { mut guard, cut, withheld, mut leaving, .. } = guarded;
    let facts = guard.facts().clone();
    if let Some(refusal) = &withheld {
        guard.cut(&format!("[{}]", respond::of_refusal(refusal).message));
    }
    let passed = match cut {
        Some(refusal) => Err(refusal),
        None => {
            let pipeline = door.shared.pipeline.clone();
            let writing = move || {
                let mut body = guard.into_body();
                // Whatever the guard does not know as text is searched too.
                let passed = if pipeline.holds(&body) { Err(pipeline.leak()) } else { leaving.body(&mut body) };
                (passed.map(|()| respond::json(StatusCode::OK, &body)), leaving)
            };
            let (passed, leaving) = work::on(bytes.len(), writing).await;
            ledger.screened(leaving.findings());
            passed
        }
    };
    holds_key |= passed.as_ref().is_err_and(|refusal| door.shared.pipeline.is_leak(refusal));
    let passed = match passed {
        Ok(answer) if !holds_key => keep(door, &digest, bytes).await.map(|()| answer),
        other => other,
    };
    let (answer, cut) = match passed {
        Ok(answer) => (answer, None),
        Err(refusal) => (respond::fault(ready.dialect, &respond::of_refusal(&refusal), None), Some(refusal)),
    };
    let not_kept = (holds_key && door.shared.bodies.is_some()).then(|| bodies::not_kept(&door.shared.pipeline));
    ledger.settle(&facts);
    let left = reply.send(answer).is_err();
    ledger.close(&facts, not_kept.or(cut).or(withheld).or_else(|| left.then(agent_left))).await?;
    Ok(Passed::Over)
}

/// The answer in the agent's dialect, under guard.
fn guard(door: &Door, dialect: Dialect, heard: Heard, value: Value) -> Result<Guarded, Failure> {
    let pipeline = &door.shared.pipeline;
    let malformed = |error: Malformed| {
        let error = pipeline.clean(&error.to_string());
        Failure::provider(format!("the provider's answer cannot be read: {error}"))
    };
    let value = if heard.is(dialect) {
        value
    } else {
        dialect.write_response(&heard.read_response(&value).map_err(malformed)?)
    };
    let guard = dialect.whole_guard(value).map_err(malformed)?;
    let texts = guard.texts();
    if door.provenance.listens(door.gate.engine()) {
        texts.iter().for_each(|text| door.provenance.wrote(text));
    }
    let cut = texts.iter().find_map(|text| match pipeline.text(text) {
        Look::Cut(refusal) => Some(refusal),
        Look::Pass { .. } => None,
    });
    let mut leaving = Leaving::new(door.gate.engine().firewall(), dialect);
    let withheld = texts.iter().find_map(|text| leaving.said(text).err());
    Ok(Guarded { calls: guard.calls(), guard, texts, cut, withheld, leaving })
}

/// Takes the calls past the stages, unless nothing of the answer may pass; gives whether a key stands in one of them, and
/// nothing where the agent left while people were asked.
async fn inspect(
    door: &Arc<Door>,
    guarded: &mut Guarded,
    ledger: &mut Ledger,
    ready: &Ready,
    reply: &mut Reply,
) -> Result<Option<bool>, AuditError> {
    let mut holds_key = false;
    for text in &guarded.texts {
        ledger.said(text);
    }
    if guarded.cut.is_some() {
        return Ok(Some(true));
    }
    if guarded.withheld.is_some() {
        ledger.settle(guarded.guard.facts());
        return Ok(Some(false));
    }
    for call in &guarded.calls {
        ledger.said(&call.arguments);
    }
    // All of it is here: what the budget has kept for more is free while people are asked.
    ledger.settle(guarded.guard.facts());
    for (index, call) in guarded.calls.iter().enumerate() {
        let name = door.shared.pipeline.clean(&call.name);
        ledger.proposed.push(name.clone());
        let mut found = Vec::new();
        let decided = decide(door, call, Some(ready), &mut found, reply.closed()).await?;
        ledger.screened(found);
        match decided {
            Some(Ok(())) => {}
            Some(Err(refusal)) => {
                holds_key |= door.shared.pipeline.is_leak(&refusal);
                ledger.denied.push(name.clone());
                guarded.guard.refuse(index, &refused_call(&name, &refusal));
            }
            None => return Ok(None),
        }
    }
    Ok(Some(holds_key))
}
