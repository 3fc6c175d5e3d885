//! Whole answers in any JSON: whatever passes the guard holds no refused call, and an answer of one dialect can be
//! written in every other one, where the guard finds the same calls.
//!
//! Input: one byte that chooses the dialect, one whose bits say which calls are allowed, then JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanoclaw_dialect::{Dialect, Part};
use serde_json::Value;

/// What an agent would make of an answer: the names of the tools that it calls.
fn called(dialect: Dialect, body: &Value) -> Vec<String> {
    let response = dialect.read_response(body).unwrap_or_else(|error| panic!("{dialect:?}: {error}: {body}"));
    let name = |part| if let Part::Call(call) = part { Some(call.name) } else { None };
    response.parts.into_iter().filter_map(name).collect()
}

/// Takes an answer through the guard; bit `n` of `decisions` allows call `n`.
fn guarded(dialect: Dialect, body: &Value, decisions: u8) {
    let Ok(mut guard) = dialect.whole_guard(body.clone()) else { return };
    guard.texts();
    let calls = guard.calls();
    let mut allowed = Vec::new();
    for (index, call) in calls.into_iter().enumerate() {
        if decisions >> (index % 8) & 1 == 1 {
            allowed.push(call.name);
        } else {
            guard.refuse(index, "[no]");
        }
    }
    let _ = guard.facts();
    let passed = guard.into_body();
    let again = dialect.whole_guard(passed.clone()).unwrap_or_else(|error| panic!("{dialect:?}: {error}: {passed}"));
    let names: Vec<String> = again.calls().into_iter().map(|call| call.name).collect();
    assert_eq!(names, allowed, "{dialect:?}: {passed}");
    // A reader may take less than all of it (other choices), but nothing that was refused.
    if dialect.read_response(body).is_ok() {
        let mut rest = allowed.into_iter();
        assert!(
            called(dialect, &passed).iter().all(|name| rest.any(|allowed| allowed == *name)),
            "{dialect:?}: {passed}"
        );
    }

    let mut cut = dialect.whole_guard(body.clone()).unwrap();
    cut.cut("[cut]");
    let cut = cut.into_body();
    assert!(dialect.whole_guard(cut.clone()).unwrap().calls().is_empty(), "{dialect:?}: {cut}");
}

fuzz_target!(|bytes: &[u8]| {
    let [choice, decisions, json @ ..] = bytes else { return };
    let dialect = Dialect::ALL[usize::from(*choice) % Dialect::ALL.len()];
    let Ok(body) = serde_json::from_slice::<Value>(json) else { return };
    guarded(dialect, &body, *decisions);
    let Ok(response) = dialect.read_response(&body) else { return };
    let names = called(dialect, &body);
    // Gemini takes such a call, the others do not.
    if names.iter().any(String::is_empty) {
        return;
    }
    for other in Dialect::ALL {
        let written = other.write_response(&response);
        assert_eq!(called(other, &written), names, "{other:?}: {written}");
        if other != Dialect::Gemini {
            let guard = other.whole_guard(written.clone());
            let found = guard.unwrap_or_else(|error| panic!("{other:?}: {error}: {written}")).calls();
            assert_eq!(found.into_iter().map(|call| call.name).collect::<Vec<_>>(), names, "{other:?}: {written}");
            guarded(other, &written, *decisions);
        }
    }
});
