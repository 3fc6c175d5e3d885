//! An answer on its way to the agent: into the agent's dialect, past the stages, and out.

mod body;
mod constrained;
mod heard;
mod leaving;
mod stream;
mod whole;

use std::sync::Arc;

use nanoclaw_audit::{AuditError, Screened};
use nanoclaw_dialect::ToolCall;
use nanoclaw_request::{Action, ProposedCall, Refusal, Traced};
use nanoclaw_vault::digest;
use serde_json::Value;

pub(crate) use constrained::{Spoken, constrain};
use heard::Heard;
pub(crate) use whole::Whole;

use crate::call::Ready;
use crate::door::{Door, Reply};
use crate::inspect::Pipeline;
use crate::ledger::Ledger;
use crate::models::Seen;
use crate::offered::not_offered;
use crate::upstream::{Answer, Failure};
use crate::{arguments, trace, work};

/// Bytes of a text in the arguments of a call, about: how many there are says how long it takes to look for them.
const USUAL_TEXT: usize = 128;

/// What became of an answer.
pub(crate) enum Passed {
    /// It was passed on, as far as it came, and everything is on record.
    Over,
    /// It failed before the agent had anything of it, so that somebody else may be asked.
    Not {
        /// Why.
        failure: Failure,
        /// The call goes on.
        ledger: Box<Ledger>,
        /// The agent waits.
        reply: Reply,
    },
}

/// Passes an answer on, whose provider is spoken to so.
pub(crate) async fn pass_on(
    door: &Arc<Door>,
    ready: &Ready,
    spoken: Spoken,
    answer: Answer,
    ledger: Ledger,
    reply: Reply,
) -> Result<Passed, AuditError> {
    let heard = Heard { spoken, text_calls: door.access.text_calls };
    if ready.request().stream {
        stream::pass_on(door, ready, heard, answer, ledger, reply).await
    } else {
        whole::pass_on(door, ready, heard, answer, ledger, reply).await
    }
}

/// Decides on one tool call, before the agent sees it. Its name must be one of those that `ready` offers; `None` where the
/// agent itself found the call, and asks about it by the name under which it would run it. Nothing is decided where people
/// are asked and the agent is `gone` before they answer. What the firewall finds in it is added to `found`.
pub(crate) async fn decide(
    door: &Arc<Door>,
    call: &ToolCall,
    ready: Option<&Ready>,
    found: &mut Vec<Screened>,
    gone: impl Future<Output = ()>,
) -> Result<Option<Result<(), Refusal>>, AuditError> {
    let pipeline = &door.shared.pipeline;
    let (proposed, mut screened) = looked_at(door, call, ready).await;
    found.append(&mut screened);
    let Some(walked) = door.walk_unless(proposed, gone).await? else { return Ok(None) };
    Ok(Some(match walked {
        // What comes of it is the agent's to do: to be passed on is the whole act, and has no outcome of its own.
        Ok(_) => {
            // Before the agent has it.
            door.read(door.provenance.called(door.gate.engine(), call)).await?;
            door.shared.tell(
                &door.id,
                &Seen::Call { id: call.id.clone(), name: call.name.clone(), arguments: call.arguments.clone() },
            );
            Ok(())
        }
        Err(refusal) => {
            door.shared
                .tell(&door.id, &Seen::Refused { name: pipeline.clean(&call.name), reason: refusal.to_string() });
            Err(refusal)
        }
    }))
}

/// The call as policy is asked about it, found out where long texts hold nobody up.
async fn looked_at(
    door: &Arc<Door>,
    call: &ToolCall,
    ready: Option<&Ready>,
) -> (Result<Action, (Action, Refusal)>, Vec<Screened>) {
    let known = ready.is_none_or(|ready| ready.offered.has(&call.name));
    let traces = door.gate.engine().looks_at_values();
    let conversation = ready.filter(|_| traces).map(|ready| Arc::clone(&ready.conversation));
    let words = if traces { door.gate.engine().session().words() } else { Vec::new() };
    let searched = words.iter().map(|words| words.len()).sum::<usize>()
        + conversation.as_ref().map_or(0, |conversation| conversation.length());
    // It is searched for each text in the arguments.
    let texts = 1 + call.arguments.len() / USUAL_TEXT;
    let length = call.arguments.len().saturating_add(searched.saturating_mul(texts));
    let (door, call) = (Arc::clone(door), call.clone());
    let firewall = door.gate.engine().firewall();
    let look = move || {
        if door.provenance.listens(door.gate.engine()) {
            door.provenance.wrote_arguments(&call.arguments);
        }
        let trace = |arguments: &[(String, Value)]| match traces {
            true => trace::trace(arguments, &words, conversation.as_deref()),
            false => Vec::new(),
        };
        let mut screened = Vec::new();
        let leaves = leaving::call(&firewall, &call, &mut screened);
        let proposed = propose(&door.shared.pipeline, call, known, trace);
        let proposed = match (proposed, leaves) {
            // What must not leave does not go into the log either.
            (Ok(Action::ToolCall(call)), Err(refusal)) => {
                let call = ProposedCall { arguments: None, written: String::new(), traced: Vec::new(), ..call };
                Err((Action::ToolCall(call), refusal))
            }
            (proposed, _) => proposed,
        };
        (proposed, screened)
    };
    work::on(length, look).await
}

/// The call as policy is asked about it. `trace` says where the texts in its arguments come from.
pub(crate) fn propose(
    pipeline: &Pipeline,
    call: ToolCall,
    known: bool,
    trace: impl FnOnce(&[(String, Value)]) -> Vec<Traced>,
) -> Result<Action, (Action, Refusal)> {
    let digest = digest::hex(&digest::sha256(call.arguments.as_bytes()));
    let action = |tool, call, arguments, written, traced| {
        Action::ToolCall(ProposedCall { tool, call, arguments, written, digest, at_provider: false, traced })
    };
    match pipeline.call(&call) {
        Ok(()) if !known => {
            let name = pipeline.clean(&call.name);
            Err((action(name.clone(), call.id, None, String::new(), Vec::new()), not_offered(&name)))
        }
        Ok(()) => {
            let arguments = arguments::read(&call.arguments);
            let traced = arguments.as_deref().map(trace).unwrap_or_default();
            let texts = arguments.map(|arguments| arguments.into_iter().map(as_text).collect());
            Ok(action(call.name, call.id, texts, call.arguments, traced))
        }
        // The key may stand in any of them, and does not go into the log.
        Err(refusal) => {
            let (tool, id) = (pipeline.clean(&call.name), pipeline.clean(&call.id));
            Err((action(tool, id, None, String::new(), Vec::new()), refusal))
        }
    }
}

/// An argument with its value as policies compare it.
fn as_text((key, value): (String, Value)) -> (String, String) {
    match value {
        Value::String(text) => (key, text),
        other => (key, other.to_string()),
    }
}
