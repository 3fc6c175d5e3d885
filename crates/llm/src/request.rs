//! What a request is, before anything is decided on it.

use std::sync::Arc;

use bytes::Bytes;
use nanoclaw_config::Label;
use nanoclaw_dialect::{Dialect, Request, Usage};
use nanoclaw_request::Refusal;
use nanoclaw_vault::digest;
use serde_json::Value;

use crate::call::{malformed, unreachable};
use crate::door::Door;
use crate::provenance::Observed;
use crate::screen::Found;
use crate::{estimate, keys, outside, work};

/// Names of the length of an answer, or of the number of answers, at all servers that are known.
const LENGTHS: [&str; 11] = [
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "max_new_tokens",
    "max_tokens_to_sample",
    "max_gen_len",
    "max_length",
    "n_predict",
    "num_predict",
    "best_of",
    "num_return_sequences",
];

/// A request that was read.
pub(crate) struct Read {
    pub(crate) body: Value,
    pub(crate) request: Request,
    /// Its tokens, estimated; none of an answer.
    pub(crate) asked: Usage,
    /// Where its parts come from, and what was found in them; or why it may not be sent.
    pub(crate) inspected: Result<(Observed, Found), Refusal>,
}

/// Reads a request, and gives the SHA-256 of its bytes, in hex.
pub(crate) async fn read(door: &Arc<Door>, dialect: Dialect, bytes: Bytes) -> (String, Result<Read, Refusal>) {
    let length = bytes.len();
    let door = Arc::clone(door);
    let read = move || (digest::hex(&digest::sha256(&bytes)), parse(&door, dialect, &bytes));
    work::on(length, read).await
}

fn parse(door: &Door, dialect: Dialect, bytes: &[u8]) -> Result<Read, Refusal> {
    let mut body: Value =
        serde_json::from_slice(bytes).map_err(|error| malformed(format!("the body is not JSON: {error}")))?;
    keys::check(&body).map_err(malformed)?;
    let is_bounded = door.shared.budgets.is_bounded(&door.id) || door.shared.budgets.max_output(&door.id).is_some();
    bounds(dialect, &body, is_bounded).map_err(malformed)?;
    let mut request = dialect.read_request(&body).map_err(|error| malformed(error.to_string()))?;
    let inspected = match door.shared.pipeline.request(&body) {
        Ok(()) => inspect(door, dialect, &body, &request),
        Err(refusal) => Err(refusal),
    };
    let inspected = match inspected {
        Ok((observed, mut found)) => {
            if found.apply(&mut body) {
                request = dialect.read_request(&body).map_err(|error| malformed(error.to_string()))?;
            }
            Ok((observed, found))
        }
        refused => refused,
    };
    Ok(Read { asked: estimate::asked(&body, &request), body, request, inspected })
}

/// Where the parts of a request come from, and what the firewall finds in them.
fn inspect(door: &Door, dialect: Dialect, body: &Value, request: &Request) -> Result<(Observed, Found), Refusal> {
    let engine = door.gate.engine();
    let mut observed = door.provenance.observe_all(request, &dialect.attached(body), engine);
    let firewall = engine.firewall();
    let found = door
        .screen
        .look(&firewall, door.gate.quarantine(), (dialect, body, request), &observed.foreign)
        .map_err(|error| unreachable(error.to_string()))?;
    for ((channel, level), count) in &found.counts {
        door.shared.metrics.judged(&door.id, *channel, *level, *count);
    }
    observed.label = observed.label.join(Label::suspect(found.suspicion));
    found.distrust(request, &mut observed);
    Ok((observed, found))
}

/// Looks at what says how much is answered: it must be what a budget reserves.
fn bounds(dialect: Dialect, body: &Value, is_bounded: bool) -> Result<(), String> {
    if body.get("background").is_some_and(outside::is_set) {
        return Err("`background` lets a provider go on when nobody listens; leave it out".to_owned());
    }
    let given = |name: &&str| body.get(*name).is_some_and(|value| !value.is_null());
    if given(&"n") && body.get("n").and_then(Value::as_u64).is_none() {
        return Err("`n` is not a number of answers; write a whole one".to_owned());
    }
    let own: &[&str] = match dialect {
        Dialect::Chat => &["max_tokens", "max_completion_tokens"],
        Dialect::Responses => &["max_output_tokens"],
        Dialect::Messages | Dialect::Gemini => &["max_tokens"],
    };
    let count = (dialect != Dialect::Chat).then_some("n");
    match LENGTHS.into_iter().chain(count).filter(|name| !own.contains(name)).find(given) {
        Some(name) if is_bounded => {
            Err(format!("`{name}` asks for answers past the agent's budget; write {}", own.join(" or ")))
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_of_answers_that_is_none_is_refused() {
        for n in [json!(50.0), json!("50"), json!(-1), json!([50]), json!(true)] {
            for dialect in [Dialect::Chat, Dialect::Responses, Dialect::Messages] {
                assert!(bounds(dialect, &json!({ "n": n }), false).is_err(), "{n}");
            }
        }
        assert_eq!(bounds(Dialect::Chat, &json!({"n": 3}), true), Ok(()));
        assert_eq!(bounds(Dialect::Chat, &json!({"n": null, "best_of": null}), true), Ok(()));
    }

    #[test]
    fn other_names_of_the_longest_answer_do_not_lead_past_a_budget() {
        for (dialect, own) in [
            (Dialect::Chat, vec!["max_tokens", "max_completion_tokens"]),
            (Dialect::Responses, vec!["max_output_tokens"]),
            (Dialect::Messages, vec!["max_tokens"]),
        ] {
            for name in LENGTHS {
                assert_eq!(
                    bounds(dialect, &json!({ name: 9 }), true).is_ok(),
                    own.contains(&name),
                    "{dialect:?}: {name}"
                );
                assert_eq!(bounds(dialect, &json!({ name: 9 }), false), Ok(()), "no budget counts it");
            }
        }
        assert!(bounds(Dialect::Responses, &json!({"n": 2}), true).is_err());
    }

    #[test]
    fn nothing_goes_on_when_nobody_listens() {
        assert!(bounds(Dialect::Responses, &json!({"background": true}), false).is_err());
        assert_eq!(bounds(Dialect::Responses, &json!({"background": false}), true), Ok(()));
    }
}
