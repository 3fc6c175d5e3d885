//! An answer on its way to the agent: into the agent's dialect, past the stages, and out.

mod body;
mod constrained;
mod heard;
mod stream;
mod whole;

use std::sync::Arc;

use nanoclaw_audit::AuditError;
use nanoclaw_dialect::ToolCall;
use nanoclaw_request::{Action, ProposedCall, Refusal};
use nanoclaw_vault::digest;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

pub(crate) use constrained::{Spoken, constrain};
use heard::Heard;
pub(crate) use whole::Whole;

use crate::call::Ready;
use crate::door::{Door, Reply};
use crate::inspect::Pipeline;
use crate::ledger::Ledger;
use crate::models::Seen;
use crate::offered::{Offered, not_offered};
use crate::upstream::{Answer, Failure};
use crate::work;

/// Most arguments of one call that are looked at one by one; a call with more cannot be read in one way only.
const MOST_ARGUMENTS: usize = 256;

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
    if ready.request.stream {
        stream::pass_on(door, ready, heard, answer, ledger, reply).await
    } else {
        whole::pass_on(door, ready, heard, answer, ledger, reply).await
    }
}

/// Decides on one tool call, before the agent sees it. Its name must be one of `offered`; `None` where the agent itself
/// found the call, and asks about it by the name under which it would run it.
pub(crate) async fn decide(
    door: &Door,
    call: &ToolCall,
    offered: Option<&Offered>,
) -> Result<Result<(), Refusal>, AuditError> {
    let pipeline = &door.shared.pipeline;
    let known = offered.is_none_or(|offered| offered.has(&call.name));
    let looked = {
        let (pipeline, call) = (pipeline.clone(), call.clone());
        work::on(call.arguments.len(), move || propose(&pipeline, call, known))
    };
    match door.walk(looked.await).await? {
        // What comes of it is the agent's to do: to be passed on is the whole act, and has no outcome of its own.
        Ok(_) => {
            door.shared.tell(
                &door.id,
                &Seen::Call { id: call.id.clone(), name: call.name.clone(), arguments: call.arguments.clone() },
            );
            Ok(Ok(()))
        }
        Err(refusal) => {
            door.shared
                .tell(&door.id, &Seen::Refused { name: pipeline.clean(&call.name), reason: refusal.to_string() });
            Ok(Err(refusal))
        }
    }
}

/// The call as policy is asked about it.
fn propose(pipeline: &Pipeline, call: ToolCall, known: bool) -> Result<Action, (Action, Refusal)> {
    let digest = digest::hex(&digest::sha256(call.arguments.as_bytes()));
    let action =
        |tool, call, arguments| Action::ToolCall(ProposedCall { tool, call, arguments, digest, at_provider: false, traced: Vec::new() });
    match pipeline.call(&call) {
        Ok(()) if !known => {
            let name = pipeline.clean(&call.name);
            Err((action(name.clone(), call.id, None), not_offered(&name)))
        }
        Ok(()) => Ok(action(call.name, call.id, arguments(&call.arguments))),
        // The key may stand in any of them, and does not go into the log.
        Err(refusal) => Err((action(pipeline.clean(&call.name), pipeline.clean(&call.id), None), refusal)),
    }
}

/// The arguments of a call by key; `None` where they are no object, hold a key twice (one reader takes the first, another
/// the last) or are too many.
fn arguments(text: &str) -> Option<Vec<(String, String)>> {
    struct Pairs;
    impl<'de> Visitor<'de> for Pairs {
        type Value = Vec<(String, String)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs: Vec<(String, String)> = Vec::new();
            while let Some((key, value)) = map.next_entry::<String, Value>()? {
                if pairs.len() == MOST_ARGUMENTS || pairs.iter().any(|(seen, _)| *seen == key) {
                    return Err(serde::de::Error::custom("too many arguments, or one twice"));
                }
                let value = match value {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                pairs.push((key, value));
            }
            Ok(pairs)
        }
    }
    // No arguments at all is how some models say that there are none.
    if text.trim().is_empty() {
        return Some(Vec::new());
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let pairs = reader.deserialize_map(Pairs).ok()?;
    reader.end().ok()?;
    Some(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_in_one_way_or_not_at_all() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            arguments(r#" {"command": "ls", "n": 3, "deep": {"a": [1]}} "#),
            Some(vec![pair("command", "ls"), pair("n", "3"), pair("deep", r#"{"a":[1]}"#)])
        );
        assert_eq!(arguments(""), Some(Vec::new()));
        for text in [
            r#"{"command": "ls", "command": "rm"}"#,
            r#"{"command": "ls", "c\u006fmmand": "rm"}"#,
            r#"{"command": "ls"} {"command": "rm"}"#,
            r#"["ls"]"#,
            r#"{"command": "ls""#,
            "null",
        ] {
            assert_eq!(arguments(text), None, "{text}");
        }
    }
}
