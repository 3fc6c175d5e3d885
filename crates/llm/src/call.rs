//! One call of a model, from the request to the end of its answer.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use jiff::Timestamp;
use nanoclaw_audit::AuditError;
use nanoclaw_config::{ModelRef, NanoUsd};
use nanoclaw_dialect::guard::Facts;
use nanoclaw_dialect::{Dialect, Fault, FaultKind, Malformed, Request, Usage, responses};
use nanoclaw_request::{Action, ModelCall, ModelOperation, Refusal, RefusalCode, Stage};
use nanoclaw_vault::digest;
use serde_json::Value;

use crate::answer;
use crate::budget::{Estimate, Exhausted, Reservation};
use crate::door::{Asked, Door, Reply};
use crate::ledger::Ledger;
use crate::respond;
use crate::route::Routed;
use crate::upstream::{Answer, Call, Failure, Operation};
use crate::{bodies, estimate};

/// Longest answer in tokens that is reserved where the agent does not say, and a budget bounds it.
const DEFAULT_MAX_OUTPUT: u64 = 4_096;
/// Headers of the agent that a provider may see.
const PASSED_ON: [HeaderName; 2] = [HeaderName::from_static("anthropic-beta"), HeaderName::from_static("openai-beta")];

/// A request that was read and may be made.
pub(crate) struct Ready {
    pub(crate) dialect: Dialect,
    pub(crate) request: Request,
    pub(crate) body: Value,
    pub(crate) routed: Routed,
    pub(crate) max_output: Option<u64>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

/// Tells the agent of a refusal.
fn refuse(reply: Reply, dialect: Dialect, refusal: &Refusal, returns: Option<Timestamp>) {
    let _agent_left = reply.send(respond::fault(dialect, &respond::of_refusal(refusal), returns)).is_err();
}

/// Answers a request for an answer.
pub(crate) async fn generate(door: &Arc<Door>, dialect: Dialect, asked: Asked, reply: Reply) -> Result<(), AuditError> {
    let started = Instant::now();
    let operation = operation(dialect);
    let body: Result<Value, Malformed> =
        serde_json::from_slice(&asked.body).map_err(|error| Malformed::new("", format!("the body is not JSON: {error}")));
    let read = body.and_then(|body| dialect.read_request(&body).map(|request| (body, request)));
    let mut call = ModelCall {
        operation,
        asked: String::new(),
        candidates: Vec::new(),
        stream: false,
        messages: 0,
        bytes: asked.body.len(),
        digest: digest::hex(&digest::sha256(&asked.body)),
        reserved_tokens: 0,
    };
    let (body, request) = match read {
        Ok(read) => read,
        Err(error) => {
            return declined(door, dialect, call, malformed(error.to_string()), reply).await;
        }
    };
    call.stream = request.stream;
    call.messages = request.messages.len();
    call.asked.clone_from(&request.model);
    let sources = door.observe(&request);
    let routed = match door.shared.router.resolve(&request.model, door.access.model.as_deref()) {
        Ok(routed) => routed,
        Err(refusal) => return declined(door, dialect, call, refusal, reply).await,
    };
    call.asked.clone_from(&routed.asked);
    call.candidates = routed.candidates.iter().map(ModelRef::to_string).collect();
    if let Err(refusal) = door.shared.pipeline.request(&request) {
        return declined(door, dialect, call, refusal, reply).await;
    }
    let input = estimate::input(&request);
    let max_output = max_output(door, request.max_output);
    let usage = Usage { input, output: max_output.unwrap_or(0), ..Usage::default() };
    let (reservation, returns) = match reserve(door, &routed, usage) {
        Ok(reservation) => reservation,
        Err((refusal, returns)) => {
            door.walk(Err((Action::CallModel(call), refusal.clone()))).await?.err();
            refuse(reply, dialect, &refusal, returns);
            return Ok(());
        }
    };
    let _ = returns;
    call.reserved_tokens = usage.input + usage.output;
    let digest = call.digest.clone();
    let ticket = match door.walk(Ok(Action::CallModel(call))).await? {
        Ok((_, ticket)) => ticket,
        Err(refusal) => {
            refuse(reply, dialect, &refusal, None);
            return Ok(());
        }
    };
    let ledger = Ledger::new(Arc::clone(door), ticket, reservation, operation, started, input, sources);
    if let Some(directory) = &door.shared.bodies
        && let Err(error) = bodies::keep(directory, &digest, &asked.body).await
    {
        let refusal = unreachable(format!("the body cannot be kept: {error}"));
        refuse(reply, dialect, &refusal, None);
        return ledger.close(&Facts::default(), Some(refusal)).await;
    }
    let headers = PASSED_ON.iter().filter_map(|name| Some((name.clone(), asked.headers.get(name)?.clone()))).collect();
    let ready = Ready { dialect, request, body, routed, max_output, headers };
    dispatch(door, ready, ledger, reply).await
}

/// Tries the candidates in their order, until one begins to answer.
async fn dispatch(door: &Arc<Door>, ready: Ready, mut ledger: Ledger, mut reply: Reply) -> Result<(), AuditError> {
    let mut last = Failure::unavailable("no provider was tried".to_owned());
    for candidate in &ready.routed.candidates {
        let Some((spoken, body)) = translated(door, &ready, candidate) else {
            last = Failure::invalid(format!(
                "`{candidate}` does not speak OpenAI responses, and a request that refers to what a provider has stored cannot be translated; send the whole conversation"
            ));
            continue;
        };
        let call = Call {
            provider: candidate.provider.clone(),
            model: candidate.model.clone(),
            operation: Operation::Generate(spoken),
            stream: ready.request.stream,
            body: Bytes::from(body.to_string()),
            headers: ready.headers.clone(),
        };
        ledger.model = Some(candidate.clone());
        let sent = tokio::select! {
            sent = door.shared.upstream.send(&call) => sent,
            () = reply.closed() => return ledger.close(&Facts::default(), Some(agent_left())).await,
        };
        match sent {
            Ok(answered) => {
                ledger.attempts += answered.attempts;
                match answer::pass_on(door, &ready, spoken, answered, ledger, reply).await? {
                    answer::Passed::Over => return Ok(()),
                    answer::Passed::Not { failure, ledger: back, reply: again } => {
                        (last, ledger, reply) = (failure, *back, again);
                    }
                }
            }
            Err(failure) => {
                ledger.attempts += failure.attempts;
                let stop = matches!(failure.kind, FaultKind::Invalid | FaultKind::TooLarge);
                last = failure;
                if stop {
                    break;
                }
            }
        }
    }
    let _agent_left = reply.send(respond::fault(ready.dialect, &respond::of_failure(&last), None)).is_err();
    ledger.close(&Facts::default(), Some(unreachable(last.message))).await
}

/// The request as `candidate` understands it, and the dialect of that; `None` where it cannot be said in it.
fn translated(door: &Door, ready: &Ready, candidate: &ModelRef) -> Option<(Dialect, Value)> {
    let spoken = door.shared.upstream.dialect(&candidate.provider, ready.dialect)?;
    if spoken == ready.dialect {
        let mut body = ready.body.clone();
        spoken.retarget(&mut body, &candidate.model, ready.max_output);
        return Some((spoken, body));
    }
    if ready.dialect == Dialect::Responses && responses::needs_provider_state(&ready.body) {
        return None;
    }
    let request =
        Request { model: candidate.model.clone(), max_output: ready.max_output, ..ready.request.clone() };
    let mut body = spoken.write_request(&request);
    spoken.retarget(&mut body, &candidate.model, ready.max_output);
    Some((spoken, body))
}

/// Answers a request for vectors. Providers of OpenAI's dialect only; the body is passed on as it is.
pub(crate) async fn embeddings(door: &Arc<Door>, asked: Asked, reply: Reply) -> Result<(), AuditError> {
    let started = Instant::now();
    let dialect = Dialect::Chat;
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
        Ok(_) => return declined(door, dialect, call, malformed("the body is not an object".to_owned()), reply).await,
        Err(error) => {
            return declined(door, dialect, call, malformed(format!("the body is not JSON: {error}")), reply).await;
        }
    };
    call.asked = body.get("model").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut routed = match door.shared.router.resolve(&call.asked, door.access.model.as_deref()) {
        Ok(routed) => routed,
        Err(refusal) => return declined(door, dialect, call, refusal, reply).await,
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
        return declined(door, dialect, call, refusal, reply).await;
    }
    let texts = body.get("input").map(Value::to_string).unwrap_or_default();
    if door.shared.pipeline.finds(&texts) {
        let refusal = door.shared.pipeline.leak();
        return declined(door, dialect, call, refusal, reply).await;
    }
    let input = estimate::bytes(texts.len() as u64);
    let usage = Usage { input, ..Usage::default() };
    let reservation = match reserve(door, &routed, usage) {
        Ok((reservation, _)) => reservation,
        Err((refusal, returns)) => {
            door.walk(Err((Action::CallModel(call), refusal.clone()))).await?.err();
            refuse(reply, dialect, &refusal, returns);
            return Ok(());
        }
    };
    call.reserved_tokens = input;
    let ticket = match door.walk(Ok(Action::CallModel(call))).await? {
        Ok((_, ticket)) => ticket,
        Err(refusal) => {
            refuse(reply, dialect, &refusal, None);
            return Ok(());
        }
    };
    let operation = ModelOperation::Embeddings;
    let mut ledger =
        Ledger::new(Arc::clone(door), ticket, reservation, operation, started, input, std::collections::BTreeMap::new());
    let mut last = Failure::unavailable("no provider was tried".to_owned());
    for candidate in &routed.candidates {
        let mut body = body.clone();
        body["model"] = Value::from(candidate.model.as_str());
        let call = Call {
            provider: candidate.provider.clone(),
            model: candidate.model.clone(),
            operation: Operation::Embeddings,
            stream: false,
            body: Bytes::from(body.to_string()),
            headers: Vec::new(),
        };
        ledger.model = Some(candidate.clone());
        match whole_json(door.shared.upstream.send(&call).await).await {
            Ok((attempts, value, digest)) => {
                ledger.attempts += attempts;
                ledger.begun();
                ledger.answer_digest = Some(digest);
                let tokens = value.pointer("/usage/prompt_tokens").and_then(Value::as_u64);
                let usage = tokens.map(|input| Usage { input, ..Usage::default() });
                let facts = Facts { usage, complete: true, ..Facts::default() };
                if door.shared.pipeline.finds(&value.to_string()) {
                    let refusal = door.shared.pipeline.leak();
                    refuse(reply, dialect, &refusal, None);
                    return ledger.close(&facts, Some(refusal)).await;
                }
                let _agent_left = reply.send(respond::json(hyper::StatusCode::OK, &value)).is_err();
                return ledger.close(&facts, None).await;
            }
            Err(failure) => {
                ledger.attempts += failure.attempts;
                last = failure;
            }
        }
    }
    let _agent_left = reply.send(respond::fault(dialect, &respond::of_failure(&last), None)).is_err();
    ledger.close(&Facts::default(), Some(unreachable(last.message))).await
}

/// Reads a whole JSON answer: how many attempts it took, the value, and the digest of its bytes.
pub(crate) async fn whole_json(sent: Result<Answer, Failure>) -> Result<(u32, Value, String), Failure> {
    let mut answer = sent?;
    let attempts = answer.attempts;
    let mut bytes = Vec::new();
    let read = async {
        while let Some(chunk) = answer.body.chunk().await? {
            bytes.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&bytes).map_err(|error| Failure::provider(format!("the provider's answer is not JSON: {error}")))
    };
    match read.await {
        Ok(value) => Ok((attempts, value, digest::hex(&digest::sha256(&bytes)))),
        Err(failure) => Err(Failure { attempts, ..failure }),
    }
}

/// Records a request that is refused before policy is asked, and tells the agent.
async fn declined(
    door: &Door,
    dialect: Dialect,
    call: ModelCall,
    refusal: Refusal,
    reply: Reply,
) -> Result<(), AuditError> {
    door.walk(Err((Action::CallModel(call), refusal.clone()))).await?.err();
    refuse(reply, dialect, &refusal, None);
    Ok(())
}

/// The longest answer that may be asked for: what the agent asks for, within its budgets.
fn max_output(door: &Door, asked: Option<u64>) -> Option<u64> {
    let most = door.shared.budgets.max_output(&door.id);
    match (asked, most) {
        (Some(asked), Some(most)) => Some(asked.min(most)),
        (Some(asked), None) => Some(asked),
        (None, Some(most)) => Some(most),
        (None, None) => door.shared.budgets.is_bounded(&door.id).then_some(DEFAULT_MAX_OUTPUT),
    }
}

type Reserved = Result<(Reservation, Option<Timestamp>), (Refusal, Option<Timestamp>)>;

/// Reserves what the dearest of the candidates would use.
fn reserve(door: &Door, routed: &Routed, usage: Usage) -> Reserved {
    let mut cost = Some(NanoUsd(0));
    let mut unpriced = None;
    for candidate in &routed.candidates {
        match door.shared.price(candidate) {
            Some(price) => cost = cost.map(|cost| cost.max(price.of(usage))),
            None => {
                cost = None;
                unpriced = Some(candidate);
            }
        }
    }
    let estimate = Estimate { tokens: usage.input.saturating_add(usage.output), cost };
    let model = unpriced.map(ModelRef::to_string).unwrap_or_default();
    match door.shared.budgets.reserve(&door.id, estimate, &model) {
        Ok(reservation) => Ok((reservation, None)),
        Err(exhausted) => {
            let (help, returns) = match &exhausted {
                Exhausted::Limit { returns: Some(returns), .. } => (format!("it returns at {returns:.0}"), Some(*returns)),
                Exhausted::Limit { returns: None, .. } => ("try again when another call has ended".to_owned(), None),
                Exhausted::NoPrice { model, .. } => {
                    (format!("put the price of `{model}` into the file that `models.prices` names"), None)
                }
                Exhausted::Journal(_) => (String::new(), None),
            };
            let code = match exhausted {
                Exhausted::Limit { returns: None, .. } => RefusalCode::Limit,
                Exhausted::Limit { .. } | Exhausted::NoPrice { .. } | Exhausted::Journal(_) => RefusalCode::BudgetExhausted,
            };
            Err((Refusal { stage: Stage::Inspect, code, reason: exhausted.to_string(), help }, returns))
        }
    }
}

pub(crate) const fn operation(dialect: Dialect) -> ModelOperation {
    match dialect {
        Dialect::Chat | Dialect::Gemini => ModelOperation::Chat,
        Dialect::Responses => ModelOperation::Responses,
        Dialect::Messages => ModelOperation::Messages,
    }
}

pub(crate) fn malformed(reason: String) -> Refusal {
    Refusal { stage: Stage::Inspect, code: RefusalCode::Malformed, reason, help: String::new() }
}

pub(crate) fn unreachable(reason: String) -> Refusal {
    Refusal { stage: Stage::Act, code: RefusalCode::Unreachable, reason, help: String::new() }
}

pub(crate) fn agent_left() -> Refusal {
    unreachable("the agent closed its connection before the answer was complete".to_owned())
}

/// A fault for requests to the door's own parts.
pub(crate) fn invalid(message: String) -> Fault {
    Fault { kind: FaultKind::Invalid, code: RefusalCode::Malformed.name().to_owned(), message }
}
