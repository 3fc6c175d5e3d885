//! What the door answers itself: which models there are, how long a request is, and whether tool calls may be made that
//! an agent found in a text.

use std::sync::Arc;

use hyper::StatusCode;
use nanoclaw_audit::{AuditError, Outcome};
use nanoclaw_config::{NanoUsd, glob};
use nanoclaw_dialect::{Dialect, ToolCall};
use nanoclaw_request::{Action, ModelCall, ModelOperation};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer;
use crate::budget::Estimate;
use crate::call::{invalid, malformed, refuse, turned_away};
use crate::door::{Asked, Door, Reply, unread_call};
use crate::{estimate, keys, respond, work};

/// Most tool calls that can be asked about at once.
const MOST_CALLS: usize = 128;

/// Lists the models that the agent may ask, or tells of one of them.
pub(crate) async fn models(
    door: &Arc<Door>,
    dialect: Dialect,
    one: Option<String>,
    reply: Reply,
) -> Result<(), AuditError> {
    let call = listing_call(one.clone().unwrap_or_default());
    let ticket = match door.walk(Ok(Action::CallModel(call))).await? {
        Ok((_, ticket)) => ticket,
        Err(refusal) => {
            let _agent_left = reply.send(respond::fault(dialect, &respond::of_refusal(&refusal), None)).is_err();
            return Ok(());
        }
    };
    let shown = |name: &String| match dialect {
        Dialect::Messages => {
            json!({"type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z"})
        }
        Dialect::Chat | Dialect::Responses | Dialect::Gemini => {
            json!({"id": name, "object": "model", "created": 0, "owned_by": "nanoclaw"})
        }
    };
    let names = names(door);
    let answer = match one {
        Some(one) if names.contains(&one) || may(door, &one) => respond::json(StatusCode::OK, &shown(&one)),
        Some(one) => match door.shared.router.resolve(&one, None) {
            Ok(_) => {
                let fault = nanoclaw_dialect::Fault {
                    kind: nanoclaw_dialect::FaultKind::Forbidden,
                    code: "model-not-allowed".to_owned(),
                    message: format!("no rule allows model `{one}`"),
                };
                respond::fault(dialect, &fault, None)
            }
            Err(refusal) => respond::fault(dialect, &respond::of_refusal(&refusal), None),
        },
        None => {
            let data: Vec<Value> = names.iter().map(shown).collect();
            let body = match dialect {
                Dialect::Messages => {
                    json!({"data": data, "has_more": false, "first_id": names.first(), "last_id": names.last()})
                }
                Dialect::Chat | Dialect::Responses | Dialect::Gemini => json!({"object": "list", "data": data}),
            };
            respond::json(StatusCode::OK, &body)
        }
    };
    let _agent_left = reply.send(answer).is_err();
    door.gate.recorder().outcome(ticket, Outcome::default()).await
}

/// The names of models that the agent may ask as policy stands now: its own, and those that its rules name.
fn names(door: &Door) -> Vec<String> {
    let rules = door.gate.engine().policies().current().rules(&door.id);
    let allow = rules.models.map(|access| access.allow).unwrap_or_default();
    let is_named = |alias: &&String| allow.iter().any(|pattern| glob::matches(pattern, alias));
    let mut names: Vec<String> = door.access.model.iter().cloned().collect();
    names.extend(door.shared.router.aliases().map(|(alias, _)| alias).filter(is_named).cloned());
    names.extend(allow.iter().filter(|name| !name.contains('*')).cloned());
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()) && may(door, name));
    names
}

/// Whether a model is there that the agent may ask.
fn may(door: &Door, name: &str) -> bool {
    let Ok(routed) = door.shared.router.resolve(name, None) else { return false };
    let candidates = routed.candidates.iter().map(ToString::to_string).collect();
    let call = ModelCall { asked: routed.asked, candidates, ..unread_call(ModelOperation::Chat) };
    door.gate.engine().would(&Action::CallModel(call)).is_ok()
}

/// Estimates how many tokens a request has. No provider is asked, so nothing leaves the machine.
pub(crate) async fn count_tokens(door: &Arc<Door>, asked: Asked, reply: Reply) -> Result<(), AuditError> {
    let dialect = Dialect::Messages;
    let Some(reply) = counted(door, dialect, reply).await? else { return Ok(()) };
    let bytes = asked.body.clone();
    let read = work::on(bytes.len(), move || {
        serde_json::from_slice::<Value>(&bytes)
            .map_err(|error| format!("the body is not JSON: {error}"))
            .and_then(|body| keys::check(&body).map(|()| body))
            .and_then(|body| match dialect.read_request(&body) {
                Ok(request) => Ok((estimate::asked(&body, &request).input, request.model)),
                Err(error) => Err(error.to_string()),
            })
    })
    .await;
    let (call, refusal) = match &read {
        Ok((_, model)) => (listing_call(model.clone()), None),
        Err(reason) => (listing_call(String::new()), Some(malformed(reason.clone()))),
    };
    let action = Action::CallModel(call);
    let proposed = match refusal {
        Some(refusal) => Err((action, refusal)),
        None => Ok(action),
    };
    let answer = match (door.walk(proposed).await?, read) {
        (Ok((_, ticket)), Ok((input, _))) => {
            door.gate.recorder().outcome(ticket, Outcome::default()).await?;
            respond::json(StatusCode::OK, &json!({"input_tokens": input}))
        }
        (Ok(_), Err(reason)) => respond::fault(dialect, &invalid(reason), None),
        (Err(refusal), _) => respond::fault(dialect, &respond::of_refusal(&refusal), None),
    };
    let _agent_left = reply.send(answer).is_err();
    Ok(())
}

#[derive(Deserialize)]
struct Question {
    calls: Vec<Questioned>,
}

#[derive(Deserialize)]
struct Questioned {
    name: String,
    /// An object, or its JSON text.
    arguments: Value,
}

/// Decides on calls that the agent itself found in a text: models without native calls write them so.
pub(crate) async fn tool_calls(door: &Arc<Door>, asked: Asked, reply: Reply) -> Result<(), AuditError> {
    let Some(mut reply) = counted(door, Dialect::Chat, reply).await? else { return Ok(()) };
    let bytes = asked.body.clone();
    let read = work::on(bytes.len(), move || match serde_json::from_slice(&bytes) {
        Ok(Question { calls }) if calls.len() > MOST_CALLS => {
            Err(format!("{} calls are asked about, and at most {MOST_CALLS} may be", calls.len()))
        }
        Ok(question) => Ok(question),
        Err(error) => Err(format!("the body is not {{\"calls\": [{{\"name\", \"arguments\"}}]}}: {error}")),
    })
    .await;
    let question = match read {
        Ok(question) => question,
        Err(message) => {
            let fault = invalid(message);
            door.unread(ModelOperation::List, &fault).await?;
            let _agent_left = reply.send(respond::fault(Dialect::Chat, &fault, None)).is_err();
            return Ok(());
        }
    };
    let mut decisions = Vec::new();
    for (index, questioned) in question.calls.into_iter().enumerate() {
        let arguments = match questioned.arguments {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let call = ToolCall { id: format!("text_{index}"), name: questioned.name, arguments };
        // What is found in it stands in the refusal, if there is one: there is no answer whose record could hold more.
        let mut found = Vec::new();
        decisions.push(match answer::decide(door, &call, None, &mut found, reply.closed()).await? {
            Some(Ok(())) => json!({"allowed": true}),
            Some(Err(refusal)) => json!({"allowed": false, "reason": refusal.to_string()}),
            None => return Ok(()),
        });
    }
    let _agent_left = reply.send(respond::json(StatusCode::OK, &json!({"decisions": decisions}))).is_err();
    Ok(())
}

/// Counts a question as one of the requests that budgets bound. Where one does not have it, the agent is told, and
/// nothing comes back.
async fn counted(door: &Door, dialect: Dialect, reply: Reply) -> Result<Option<Reply>, AuditError> {
    match door.shared.budgets.reserve(&door.id, Estimate { tokens: 0, cost: Some(NanoUsd(0)) }, "") {
        Ok(reservation) => {
            reservation.settle(0, NanoUsd(0));
            Ok(Some(reply))
        }
        Err(exhausted) => {
            let (refusal, returns) = turned_away(&exhausted);
            door.walk(Err((Action::CallModel(listing_call(String::new())), refusal.clone()))).await?.err();
            refuse(reply, dialect, &refusal, returns);
            Ok(None)
        }
    }
}

fn listing_call(asked: String) -> ModelCall {
    ModelCall { asked, ..unread_call(ModelOperation::List) }
}
