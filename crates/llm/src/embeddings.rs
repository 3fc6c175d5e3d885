//! Vectors for texts. Only providers of OpenAI's kind have them, so nothing is translated.

use std::collections::BTreeMap;
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
use crate::call::{agent_left, declined, is_final, keep, malformed, refuse, reserve, unreachable};
use crate::door::{Asked, Door, Reply};
use crate::ledger::Ledger;
use crate::upstream::{Call, Failure, Operation};
use crate::{estimate, respond};

/// Whose errors agents understand here.
const DIALECT: Dialect = Dialect::Chat;

/// Answers a request. The body is passed on as it is.
pub(crate) async fn answer(door: &Arc<Door>, asked: Asked, reply: Reply) -> Result<(), AuditError> {
    let started = Instant::now();
    let mut call = ModelCall {
        operation: ModelOperation::Embeddings,
        asked: String::new(),
        candidates: Vec::new(),
        stream: false,
        messages: 0,
        bytes: asked.body.len(),
        digest: digest::hex(&digest::sha256(&asked.body)),
        reserved_tokens: 0,
    };
    let body: Value = match serde_json::from_slice(&asked.body) {
        Ok(body @ Value::Object(_)) => body,
        Ok(_) => return declined(door, DIALECT, call, malformed("the body is not an object".to_owned()), reply).await,
        Err(error) => {
            return declined(door, DIALECT, call, malformed(format!("the body is not JSON: {error}")), reply).await;
        }
    };
    if let Err(refusal) = door.shared.pipeline.request(&body) {
        return declined(door, DIALECT, call, refusal, reply).await;
    }
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
    let texts = body.get("input").map(Value::to_string).unwrap_or_default();
    let most = Usage { input: estimate::bytes(texts.len() as u64), ..Usage::default() };
    let reservation = match reserve(door, &routed, most) {
        Ok(reservation) => reservation,
        Err((refusal, returns)) => {
            door.walk(Err((Action::CallModel(call), refusal.clone()))).await?.err();
            refuse(reply, DIALECT, &refusal, returns);
            return Ok(());
        }
    };
    call.reserved_tokens = most.input;
    let digest = call.digest.clone();
    let ticket = match door.walk(Ok(Action::CallModel(call))).await? {
        Ok((_, ticket)) => ticket,
        Err(refusal) => {
            refuse(reply, DIALECT, &refusal, None);
            return Ok(());
        }
    };
    let sources = BTreeMap::new();
    let operation = ModelOperation::Embeddings;
    let ledger = Ledger::new(Arc::clone(door), ticket, reservation, operation, started, most, sources);
    if let Err(refusal) = keep(door, &digest, asked.body.clone()).await {
        refuse(reply, DIALECT, &refusal, None);
        return ledger.close(&Facts::default(), Some(refusal)).await;
    }
    dispatch(door, &body, &routed.candidates, ledger, reply).await
}

/// Tries the candidates in their order, until one answers.
async fn dispatch(
    door: &Arc<Door>,
    body: &Value,
    candidates: &[ModelRef],
    mut ledger: Ledger,
    mut reply: Reply,
) -> Result<(), AuditError> {
    let mut last = Failure::unavailable("no provider was tried".to_owned());
    for candidate in candidates {
        let mut body = body.clone();
        if let Value::Object(fields) = &mut body {
            fields.insert("model".to_owned(), candidate.model.as_str().into());
        }
        let call = Call {
            provider: candidate.provider.clone(),
            model: candidate.model.clone(),
            operation: Operation::Embeddings,
            stream: false,
            body: Bytes::from(body.to_string()),
            headers: Vec::new(),
        };
        ledger.model = Some(candidate.clone());
        let answered = tokio::select! {
            answered = async { Whole::read(door.shared.upstream.send(&call).await?).await } => answered,
            () = reply.closed() => return ledger.close_left().await,
        };
        let whole = match answered {
            Ok(whole) => whole,
            Err(failure) => {
                ledger.attempts += failure.attempts;
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
        let cut = if door.shared.pipeline.holds(&whole.value) {
            Some(door.shared.pipeline.leak())
        } else {
            keep(door, &whole.digest, whole.bytes).await.err()
        };
        let answer = match &cut {
            Some(refusal) => respond::fault(DIALECT, &respond::of_refusal(refusal), None),
            None => respond::json(hyper::StatusCode::OK, &whole.value),
        };
        let left = reply.send(answer).is_err();
        return ledger.close(&facts, cut.or_else(|| left.then(agent_left))).await;
    }
    ledger.settle(&Facts::default());
    let _agent_left = reply.send(respond::fault(DIALECT, &respond::of_failure(&last), None)).is_err();
    ledger.close(&Facts::default(), Some(unreachable(last.message))).await
}
