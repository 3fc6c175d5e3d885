//! One call of a model, from the request to the end of its answer.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use jiff::Timestamp;
use nanoclaw_audit::{AuditError, Fact};
use nanoclaw_config::{ModelRef, NanoUsd};
use nanoclaw_dialect::guard::Facts;
use nanoclaw_dialect::{Dialect, Fault, FaultKind, Request, Usage, constrained, responses};
use nanoclaw_gate::Withheld;
use nanoclaw_request::{Action, ModelCall, ModelOperation, ProposedCall, Refusal, RefusalCode, Stage};
use nanoclaw_vault::digest;
use serde_json::Value;

use crate::answer::{self, Spoken};
use crate::budget::{Estimate, Exhausted, Reservation};
use crate::door::{Asked, Door, Reply};
use crate::ledger::{Ledger, Sources};
use crate::offered::Offered;
use crate::price::{self, Price};
use crate::request::Read;
use crate::respond;
use crate::route::Routed;
use crate::trace::Conversation;
use crate::upstream::{Call, Failure, Operation};
use crate::{bodies, outside, request};

/// Longest answer in tokens that is reserved where the agent does not say, and a budget bounds it.
const DEFAULT_MAX_OUTPUT: u64 = 4_096;
/// Headers of the agent that a provider may see.
const PASSED_ON: [HeaderName; 2] = [HeaderName::from_static("anthropic-beta"), HeaderName::from_static("openai-beta")];

/// Most that one attempt of a call can use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Most {
    /// Tokens of the request, estimated, and of the longest answer.
    pub(crate) usage: Usage,
    /// What the request asks for that the prices do not hold for.
    pub(crate) apart: Option<&'static str>,
}

/// Why there is no reservation, and when there may be one again.
pub(crate) type TurnedAway = (Refusal, Option<Timestamp>);

/// A request that was read and may be made.
pub(crate) struct Ready {
    pub(crate) dialect: Dialect,
    pub(crate) conversation: Arc<Conversation>,
    pub(crate) body: Value,
    pub(crate) offered: Offered,
    pub(crate) routed: Routed,
    pub(crate) max_output: Option<u64>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Ready {
    /// The request in the form that all dialects share.
    pub(crate) fn request(&self) -> &Request {
        &self.conversation.request
    }
}

/// Tells the agent of a refusal.
pub(crate) fn refuse(reply: Reply, dialect: Dialect, refusal: &Refusal, returns: Option<Timestamp>) {
    let _agent_left = reply.send(respond::fault(dialect, &respond::of_refusal(refusal), returns)).is_err();
}

/// Answers a request for an answer.
pub(crate) async fn generate(
    door: &Arc<Door>,
    dialect: Dialect,
    asked: Asked,
    mut reply: Reply,
) -> Result<(), AuditError> {
    let started = Instant::now();
    let operation = operation(dialect);
    let (digest, read) = request::read(door, dialect, asked.body.clone()).await;
    let mut call = ModelCall {
        operation,
        asked: String::new(),
        candidates: Vec::new(),
        stream: false,
        messages: 0,
        bytes: asked.body.len(),
        digest: digest.clone(),
        reserved_tokens: 0,
    };
    let Read { body, request, asked: tokens, inspected } = match read {
        Ok(read) => read,
        Err(refusal) => return declined(door, dialect, call, refusal, reply).await,
    };
    call.stream = request.stream;
    call.messages = request.messages.len();
    // First of all: what is recorded below holds names that the agent chose.
    let (mut observed, found) = match inspected {
        Ok(inspected) => inspected,
        Err(refusal) => return declined(door, dialect, call, refusal, reply).await,
    };
    if let Some(refusal) = found.refused {
        door.note(Fact::PromptRefused { digest, screened: found.findings }).await?;
        return declined(door, dialect, call, refusal, reply).await;
    }
    door.read(observed.label).await?;
    if let Err(refusal) = hold(door, found.withheld).await {
        return declined(door, dialect, call, refusal, reply).await;
    }
    call.asked.clone_from(&request.model);
    let offers = match Offered::read(dialect, &body, &request) {
        Ok(offers) => offers,
        Err(refusal) => return declined(door, dialect, call, refusal, reply).await,
    };
    let routed = match door.shared.router.resolve(&request.model, door.access.model.as_deref()) {
        Ok(routed) => routed,
        Err(refusal) => return declined(door, dialect, call, refusal, reply).await,
    };
    call.asked.clone_from(&routed.asked);
    call.candidates = routed.candidates.iter().map(ModelRef::to_string).collect();
    for name in outside::of(dialect, &body, &request) {
        let label = door.gate.engine().label_of_result(&name);
        match door.walk_unless(Ok(offered(name)), reply.closed()).await? {
            Some(Ok(_)) => {}
            Some(Err(refusal)) => return declined(door, dialect, call, refusal, reply).await,
            None => return Ok(()),
        }
        // The model reads what it gives before it answers, and nobody sees it.
        door.read(label).await?;
    }
    let max_output = max_output(door, request.max_output);
    let output = max_output.unwrap_or(0).saturating_mul(choices(dialect, &body));
    let usage = Usage { output, ..tokens };
    let most = Most { usage, apart: price::apart(&body, &asked.headers) };
    let reservation = match reserve(door, &routed.candidates, &most) {
        Ok(reservation) => reservation,
        Err((refusal, returns)) => {
            door.walk(Err((Action::CallModel(call), refusal.clone()))).await?.err();
            refuse(reply, dialect, &refusal, returns);
            return Ok(());
        }
    };
    call.reserved_tokens = usage.input.saturating_add(usage.output);
    let ticket = match door.walk_unless(Ok(Action::CallModel(call)), reply.closed()).await? {
        Some(Ok((_, ticket))) => ticket,
        Some(Err(refusal)) => {
            refuse(reply, dialect, &refusal, None);
            return Ok(());
        }
        None => return Ok(()),
    };
    let read = Sources { counts: std::mem::take(&mut observed.sources), screened: found.findings };
    let ledger = Ledger::new(Arc::clone(door), ticket, reservation, operation, started, most, read);
    if let Err(refusal) = keep(door, &digest, asked.body.clone()).await {
        refuse(reply, dialect, &refusal, None);
        return ledger.close(&Facts::default(), Some(refusal)).await;
    }
    let values =
        |name: &HeaderName| asked.headers.get_all(name).iter().map(|value| (name.clone(), value.clone())).collect();
    let headers = PASSED_ON.iter().flat_map(|name| -> Vec<_> { values(name) }).collect();
    let conversation = Arc::new(Conversation::new(request, observed));
    let ready = Ready { dialect, conversation, body, offered: offers, routed, max_output, headers };
    dispatch(door, ready, ledger, reply).await
}

/// Something that the provider would carry out, as policy is asked about it.
pub(crate) fn offered(tool: String) -> Action {
    let digest = digest::hex(&digest::sha256(b""));
    let (call, written, traced) = (String::new(), String::new(), Vec::new());
    Action::ToolCall(ProposedCall { tool, call, arguments: None, written, digest, at_provider: true, traced })
}

/// Tries the candidates in their order, until one begins to answer.
async fn dispatch(door: &Arc<Door>, ready: Ready, mut ledger: Ledger, mut reply: Reply) -> Result<(), AuditError> {
    let mut last = Failure::unavailable("no provider was tried".to_owned());
    for candidate in &ready.routed.candidates {
        let (spoken, body) = match translated(door, &ready, candidate) {
            Ok(translated) => translated,
            Err(failure) => {
                last = failure;
                continue;
            }
        };
        let call = Call {
            provider: candidate.provider.clone(),
            model: candidate.model.clone(),
            operation: Operation::Generate(spoken.dialect()),
            stream: ready.request().stream,
            body: Bytes::from(body.to_string()),
            headers: ready.headers.clone(),
        };
        if let Err(turned_away) = ledger.renew(&ready.routed.candidates) {
            return turn_away(ready.dialect, turned_away, ledger, reply).await;
        }
        ledger.model = Some(candidate.clone());
        let mut exhausted = None;
        let again = || {
            ledger.lose();
            exhausted = ledger.renew(&ready.routed.candidates).err();
            exhausted.is_none()
        };
        let sent = tokio::select! {
            sent = door.shared.upstream.send(&call, again) => sent,
            () = reply.closed() => return ledger.close_left().await,
        };
        let failed = match sent {
            Ok(answered) => {
                ledger.attempts += answered.attempts;
                match answer::pass_on(door, &ready, spoken, answered, ledger, reply).await? {
                    answer::Passed::Over => return Ok(()),
                    answer::Passed::Not { failure, ledger: back, reply: again } => {
                        (ledger, reply) = (*back, again);
                        failure
                    }
                }
            }
            Err(failure) => {
                ledger.attempts += failure.attempts;
                failure
            }
        };
        if failed.charged {
            ledger.lose();
        }
        if let Some(turned_away) = exhausted {
            return turn_away(ready.dialect, turned_away, ledger, reply).await;
        }
        last = failed;
        if is_final(&last) {
            break;
        }
    }
    ledger.settle(&Facts::default());
    let _agent_left = reply.send(respond::fault(ready.dialect, &respond::of_failure(&last), None)).is_err();
    ledger.close(&Facts::default(), Some(unreachable(last.message))).await
}

/// Ends a call that an earlier attempt was charged for, where a further one cannot be paid.
pub(crate) async fn turn_away(
    dialect: Dialect,
    (refusal, returns): TurnedAway,
    ledger: Ledger,
    reply: Reply,
) -> Result<(), AuditError> {
    refuse(reply, dialect, &refusal, returns);
    ledger.close(&Facts::default(), Some(refusal)).await
}

/// Whether another provider would say the same.
pub(crate) const fn is_final(failure: &Failure) -> bool {
    matches!(failure.kind, FaultKind::Invalid | FaultKind::TooLarge)
}

/// Keeps a body, if bodies are kept.
pub(crate) async fn keep(door: &Door, digest: &str, body: Bytes) -> Result<(), Refusal> {
    let Some(directory) = &door.shared.bodies else { return Ok(()) };
    bodies::keep(directory, digest, body)
        .await
        .map_err(|error| unreachable(format!("the body cannot be kept: {error}")))
}

/// Keeps what is withheld for a person to look at. Where there is no place for it, it is withheld all the same.
async fn hold(door: &Door, withheld: Vec<Withheld>) -> Result<(), Refusal> {
    if withheld.is_empty() {
        return Ok(());
    }
    let quarantine = door.gate.quarantine().clone();
    let kept = tokio::task::spawn_blocking(move || {
        withheld.into_iter().try_for_each(|withheld| quarantine.keep(withheld).map(|_has_place| ()))
    });
    match kept.await {
        Ok(kept) => kept.map_err(|error| unreachable(error.to_string())),
        Err(error) => Err(unreachable(format!("what is withheld cannot be kept: {error}"))),
    }
}

/// How many answers a request asks for, each of the longest length.
fn choices(dialect: Dialect, body: &Value) -> u64 {
    let asked = if dialect == Dialect::Chat { body.get("n").and_then(Value::as_u64) } else { None };
    asked.unwrap_or(1).max(1)
}

/// The request as `candidate` understands it, and how it is said. The failure is that it cannot be said to it.
fn translated(door: &Door, ready: &Ready, candidate: &ModelRef) -> Result<(Spoken, Value), Failure> {
    let upstream = &door.shared.upstream;
    let spoken = if upstream.enforces_schemas(&candidate.provider) && constrained::applies(ready.request()) {
        Spoken::Constrained
    } else {
        Spoken::Plain(
            upstream
                .dialect(&candidate.provider, ready.dialect)
                .ok_or_else(|| Failure::invalid(format!("there is no provider `{}`", candidate.provider)))?,
        )
    };
    let dialect = spoken.dialect();
    if spoken != Spoken::Plain(ready.dialect)
        && ready.dialect == Dialect::Responses
        && responses::needs_provider_state(&ready.body)
    {
        return Err(Failure::invalid(format!(
            "`{candidate}` does not speak OpenAI responses, and a request that refers to what a provider has stored cannot be translated; send the whole conversation"
        )));
    }
    let reaches_out =
        || outside::of(ready.dialect, &ready.body, ready.request()).iter().any(|name| name != outside::REMOTE_URL);
    if spoken != Spoken::Plain(ready.dialect) && reaches_out() {
        return Err(Failure::invalid(format!(
            "`{candidate}` speaks another dialect, and what runs at a provider cannot be translated"
        )));
    }
    let request =
        || Request { model: candidate.model.clone(), max_output: ready.max_output, ..ready.request().clone() };
    let mut body = match spoken {
        Spoken::Plain(same) if same == ready.dialect => ready.body.clone(),
        Spoken::Plain(other) => other.write_request(&request()),
        Spoken::Constrained => answer::constrain(&request(), ready.dialect, &ready.body)
            .map_err(|error| Failure::invalid(error.to_string()))?,
    };
    dialect.retarget(&mut body, &candidate.model, ready.max_output);
    Ok((spoken, body))
}

/// Records a request that is refused before policy is asked, and tells the agent.
pub(crate) async fn declined(
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

/// What a model costs for such a call, where that is known. What costs nothing costs nothing in any way.
pub(crate) fn price(door: &Door, model: &ModelRef, most: &Most) -> Option<Price> {
    door.shared.price(model).filter(|price| most.apart.is_none() || *price == Price::default())
}

/// Reserves what the dearest of the candidates would use.
pub(crate) fn reserve(door: &Door, candidates: &[ModelRef], most: &Most) -> Result<Reservation, TurnedAway> {
    let mut cost = Some(NanoUsd(0));
    let mut unpriced = None;
    for candidate in candidates {
        match price(door, candidate, most) {
            Some(price) => cost = cost.map(|cost| cost.max(price.of(most.usage))),
            None => {
                cost = None;
                unpriced = Some(candidate);
            }
        }
    }
    let estimate = Estimate { tokens: most.usage.input.saturating_add(most.usage.output), cost };
    let unpriced = match (unpriced, most.apart) {
        (Some(model), Some(apart)) => format!("{model} with `{apart}`"),
        (model, _) => model.map(ModelRef::to_string).unwrap_or_default(),
    };
    door.shared.budgets.reserve(&door.id, estimate, &unpriced).map_err(|exhausted| {
        let (refusal, returns) = turned_away(&exhausted);
        match (&exhausted, most.apart) {
            (Exhausted::NoPrice { .. }, Some(apart)) => {
                (Refusal { help: format!("leave `{apart}` out"), ..refusal }, returns)
            }
            _ => (refusal, returns),
        }
    })
}

/// How it is told that a budget does not have something.
pub(crate) fn turned_away(exhausted: &Exhausted) -> TurnedAway {
    let (help, returns) = match exhausted {
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
    (Refusal { stage: Stage::Inspect, code, reason: exhausted.to_string(), help }, returns)
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
