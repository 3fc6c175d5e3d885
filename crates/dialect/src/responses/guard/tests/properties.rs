//! Whatever the writer writes, and whatever else comes.

use proptest::prelude::*;

use super::cuts::cut_after;
use super::*;
use crate::responses::tests::{any_json, some_deltas, written};

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn allowed_streams_pass_untouched(deltas in some_deltas()) {
        let events = written(&deltas);
        let (outcome, guard) = guarded(&events, |_| true).unwrap();
        prop_assert_eq!(&outcome.events, &events);
        prop_assert!(guard.facts().complete);
        let said: String = merged(deltas).into_iter().filter_map(|delta| match delta {
            Delta::Text(text) | Delta::Reasoning(text) => Some(text),
            _ => None,
        }).collect();
        prop_assert_eq!(outcome.texts, said);
    }

    #[test]
    fn refused_streams_have_no_calls(deltas in some_deltas(), pick in any::<u8>()) {
        let events = written(&deltas);
        let calls = deltas.iter().filter(|delta| matches!(delta, Delta::CallStart { .. })).count();
        let (outcome, _) = guarded(&events, |_| false).unwrap();
        prop_assert_eq!(outcome.calls.len(), calls);
        check(&outcome.events);
        prop_assert!(!has_call(&outcome.events));
        let back = read(&outcome.events).unwrap();
        prop_assert_eq!(back.last(), Some(&Delta::End));
        let of_call = |delta: &Delta| matches!(delta, Delta::CallStart { .. } | Delta::Stop(Stop::ToolCalls));
        prop_assert!(!back.iter().any(of_call));

        // Any choice of them leaves the others as they were.
        let kept = |call: &ToolCall| pick & (1 << ((call.id.len() + call.name.len()) % 8)) != 0;
        let (outcome, _) = guarded(&events, kept).unwrap();
        check(&outcome.events);
        let left = read(&outcome.events).unwrap().iter().filter(|delta| matches!(delta, Delta::CallStart { .. })).count();
        prop_assert_eq!(left, outcome.calls.iter().filter(|call| kept(call)).count());
    }

    #[test]
    fn cut_streams_are_whole(deltas in some_deltas(), place in any::<prop::sample::Index>()) {
        let events = written(&deltas);
        let cut = cut_after(&events, place.index(events.len()), true);
        check(&cut);
        let back = read(&cut).unwrap();
        prop_assert_eq!(back.last(), Some(&Delta::End));
    }

    #[test]
    fn no_event_gets_a_call_past_a_guard(events in prop::collection::vec((any::<prop::sample::Index>(), any_json()), 1..4)) {
        let mut stream = transcript();
        for (place, json) in events {
            stream.insert(place.index(stream.len()), Event { name: None, data: json.to_string() });
        }
        if let Ok((outcome, _)) = guarded(&stream, |_| false) {
            let reader = read(&outcome.events);
            let calls = |delta: &Delta| matches!(delta, Delta::CallStart { .. });
            prop_assert!(!reader.is_ok_and(|deltas| deltas.iter().any(calls)));
        }
    }
}
