//! Vectors for texts. Only providers of OpenAI's kind have them, so nothing is translated.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use nanoclaw_audit::AuditError;
use nanoclaw_config::ModelRef;
use nanoclaw_dialect::guard::Facts;
use nanoclaw_dialect::{Dialect, Usage};
use nanoclaw_request::{Action, ModelCall, ModelOperation, Refusal, RefusalCode, Stage};
use nanoclaw_vault::digest;
use serde_json::Value;

use crate::answer::Whole;
use crate::call::{
    Most, agent_left, declined, is_final, keep, malformed, offered, refuse, reserve, turn_away, unreachable,
};
use crate::door::{Asked, Door, Reply};
use crate::ledger::{Ledger, Sources};
use crate::upstream::{Call, Failure, Operation};
use crate::{bodies, estimate, keys, outside, respond, work};

/// Whose errors agents understand here.
const DIALECT: Dialect = Dialect::Chat;

/// Answers a request. The body is passed on as it is.
pub(crate) async fn answer(door: &Arc<Door>, asked: Asked, mut reply: Reply) -> Result<(), AuditError> {
    let started = Instant::now();
    let (digest, read) = {
        let (door, bytes) = (Arc::clone(door), asked.body.clone());
        work::on(bytes.len(), move || (digest::hex(&digest::sha256(&bytes)), read(&door, &bytes))).await
    };
    let mut call = ModelCall {
        operation: ModelOperation::Embeddings,
        asked: String::new(),
        candidates: Vec::new(),
        stream: false,
        messages: 0,
        bytes: asked.body.len(),
        digest: digest.clone(),
        reserved_tokens: 0,
    };
    let Read { body, outside, most } = match read {
        Ok(read) => read,
        Err(refusal) => return declined(door, DIALECT, call, refusal, reply).await,
    };
    call.asked = body.get("model").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut routed = match door.shared.router.resolve(&call.asked, door.access.model.as_deref()) {
        Ok(routed) => routed,
        Err(refusal) => return declined(door, DIALECT, call, refusal, reply).await,
    };
    call.asked.clone_from(&routed.asked);
    call.candidates = routed.candidates.iter().map(ModelRef::to_string).collect();
    routed.candidates.retain(|candidate| door.shared.upstream.has_embeddings(&candidate.provider));
    if routed.candidates.is_empty() {
        let refusal = Refusal {
            stage: Stage::Inspect,
            code: RefusalCode::NoSuchModel,
            reason: format!("model `{}` makes no embeddings", call.asked),
            help: "name one at a provider of kind `openai`".to_owned(),
        };
        return declined(door, DIALECT, call, refusal, reply).await;
    }
    for name in outside {
        match door.walk_unless(Ok(offered(name)), reply.closed()).await? {
            Some(Ok(_)) => {}
            Some(Err(refusal)) => return declined(door, DIALECT, call, refusal, reply).await,
            None => return Ok(()),
        }
    }
    let reservation = match reserve(door, &routed.candidates, &most) {
        Ok(reservation) => reservation,
        Err((refusal, returns)) => {
            door.walk(Err((Action::CallModel(call), refusal.clone()))).await?.err();
            refuse(reply, DIALECT, &refusal, returns);
            return Ok(());
        }
    };
    call.reserved_tokens = most.usage.input;
    let ticket = match door.walk_unless(Ok(Action::CallModel(call)), reply.closed()).await? {
        Some(Ok((_, ticket))) => ticket,
        Some(Err(refusal)) => {
            refuse(reply, DIALECT, &refusal, None);
            return Ok(());
        }
        None => return Ok(()),
    };
    let sources = Sources::default();
    let operation = ModelOperation::Embeddings;
    let ledger = Ledger::new(Arc::clone(door), ticket, reservation, operation, started, most, sources);
    if let Err(refusal) = keep(door, &digest, asked.body.clone()).await {
        refuse(reply, DIALECT, &refusal, None);
        return ledger.close(&Facts::default(), Some(refusal)).await;
    }
    dispatch(door, body, asked.body.len(), &routed.candidates, ledger, reply).await
}

/// A request that was read.
struct Read {
    body: Value,
    /// What in it makes a provider reach out.
    outside: BTreeSet<String>,
    most: Most,
}

fn read(door: &Door, bytes: &[u8]) -> Result<Read, Refusal> {
    let body: Value =
        serde_json::from_slice(bytes).map_err(|error| malformed(format!("the body is not JSON: {error}")))?;
    if !body.is_object() {
        return Err(malformed("the body is not an object".to_owned()));
    }
    door.shared.pipeline.request(&body)?;
    keys::check(&body).map_err(malformed)?;
    let usage = Usage { input: estimate::bytes(estimate::length(&body)), ..Usage::default() };
    let most = Most { usage, apart: None };
    Ok(Read { outside: outside::of_body(DIALECT, &body), body, most })
}

/// Tries the candidates in their order, until one answers. `length` says how long the body is.
async fn dispatch(
    door: &Arc<Door>,
    mut body: Value,
    length: usize,
    candidates: &[ModelRef],
    mut ledger: Ledger,
    mut reply: Reply,
) -> Result<(), AuditError> {
    let mut last = Failure::unavailable("no provider was tried".to_owned());
    for candidate in candidates {
        if let Value::Object(fields) = &mut body {
            fields.insert("model".to_owned(), candidate.model.as_str().into());
        }
        let written;
        (body, written) = work::on(length, move || {
            let written = body.to_string();
            (body, written)
        })
        .await;
        let call = Call {
            provider: candidate.provider.clone(),
            model: candidate.model.clone(),
            operation: Operation::Embeddings,
            stream: false,
            body: Bytes::from(written),
            headers: Vec::new(),
        };
        if let Err(turned_away) = ledger.renew(candidates) {
            return turn_away(DIALECT, turned_away, ledger, reply).await;
        }
        ledger.model = Some(candidate.clone());
        let mut exhausted = None;
        let again = || {
            ledger.lose();
            exhausted = ledger.renew(candidates).err();
            exhausted.is_none()
        };
        let answered = tokio::select! {
            answered = async { Whole::read(door, door.shared.upstream.send(&call, again).await?).await } => answered,
            () = reply.closed() => return ledger.close_left().await,
        };
        let whole = match answered {
            Ok(whole) => whole,
            Err(failure) => {
                ledger.attempts += failure.attempts;
                if failure.charged {
                    ledger.lose();
                }
                if let Some(turned_away) = exhausted {
                    return turn_away(DIALECT, turned_away, ledger, reply).await;
                }
                last = failure;
                if is_final(&last) {
                    break;
                }
                continue;
            }
        };
        ledger.attempts += whole.attempts;
        ledger.begun();
        let tokens = whole.value.pointer("/usage/prompt_tokens").and_then(Value::as_u64);
        let usage = tokens.map(|input| Usage { input, ..Usage::default() });
        let facts = Facts { usage, complete: true, ..Facts::default() };
        ledger.settle(&facts);
        ledger.answer_digest = Some(whole.digest.clone());
        let length = whole.bytes.len();
        let cut = if whole.holds_key {
            Some(door.shared.pipeline.leak())
        } else {
            keep(door, &whole.digest, whole.bytes).await.err()
        };
        let answer = match &cut {
            Some(refusal) => respond::fault(DIALECT, &respond::of_refusal(refusal), None),
            None => work::on(length, move || respond::json(hyper::StatusCode::OK, &whole.value)).await,
        };
        let not_kept =
            (whole.holds_key && door.shared.bodies.is_some()).then(|| bodies::not_kept(&door.shared.pipeline));
        let left = reply.send(answer).is_err();
        return ledger.close(&facts, not_kept.or(cut).or_else(|| left.then(agent_left))).await;
    }
    ledger.settle(&Facts::default());
    let _agent_left = reply.send(respond::fault(DIALECT, &respond::of_failure(&last), None)).is_err();
    ledger.close(&Facts::default(), Some(unreachable(last.message))).await
}
