//! Requests in any JSON: what reads as a request of one dialect can be written in every other one, reads back there,
//! and keeps its tools, calls and results on the way.
//!
//! Input: one byte that chooses the dialect, then JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanoclaw_dialect::{Dialect, Part, Request, Role, responses};
use serde_json::Value;

/// All that is said but thoughts, as those of another model are left out.
fn said(request: &Request) -> Vec<(Role, &Part)> {
    let parts = request.messages.iter().flat_map(|message| message.parts.iter().map(|part| (message.role, part)));
    parts.filter(|(_, part)| !matches!(part, Part::Reasoning(_))).collect()
}

/// Names of the tools that are called, in order. `None` where somebody else than the model calls, or a name is empty:
/// Gemini's interface takes that, the others have no place for it.
fn calls(request: &Request) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    for message in &request.messages {
        for part in &message.parts {
            if let Part::Call(call) = part {
                if message.role != Role::Assistant || call.name.is_empty() {
                    return None;
                }
                names.push(call.name.as_str());
            }
        }
    }
    Some(names)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, json)) = bytes.split_first() else { return };
    let dialect = Dialect::ALL[usize::from(*choice) % Dialect::ALL.len()];
    let Ok(body) = serde_json::from_slice::<Value>(json) else { return };
    responses::needs_provider_state(&body);

    let mut passed_on = body.clone();
    dialect.retarget(&mut passed_on, "other", Some(7));
    let Ok(request) = dialect.read_request(&body) else { return };
    if dialect != Dialect::Gemini {
        let passed_on = dialect.read_request(&passed_on).unwrap();
        assert_eq!((passed_on.model.as_str(), passed_on.max_output), ("other", Some(7)));
        assert_eq!(said(&passed_on), said(&request));
    }

    let Some(names) = calls(&request) else { return };
    for other in Dialect::ALL {
        let written = other.write_request(&request);
        let again = other.read_request(&written).unwrap_or_else(|error| panic!("{other:?}: {error}: {written}"));
        assert_eq!(calls(&again).as_ref(), Some(&names), "{other:?}: {written}");
    }
});
