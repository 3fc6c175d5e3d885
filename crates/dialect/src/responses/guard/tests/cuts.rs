//! Answers that are ended early.

use serde_json::json;

use super::*;

/// Cuts the transcript after `kept` events have been dealt with; `all` says whether the last piece was sent.
pub(super) fn cut_after(events: &[Event], kept: usize, allow: bool) -> Vec<Event> {
    let mut guard = Guard::default();
    let mut outcome = Outcome::default();
    for event in &events[..kept] {
        guard.feed(event.clone()).unwrap();
        drain(&mut guard, &mut outcome, &|_| allow);
    }
    let end = guard.cut("The end.");
    assert!(guard.next().is_none());
    assert!(guard.cut("again").is_empty());
    assert_eq!(guard.feed(event(json!({"type": "response.created"}))), Ok(()));
    assert!(guard.next().is_none());
    outcome.events.extend(end);
    outcome.events
}

#[test]
fn a_cut_ends_the_answer_at_any_point() {
    for events in [transcript(), overlapping()] {
        for kept in 0..events.len() {
            for allow in [true, false] {
                let cut = cut_after(&events, kept, allow);
                check(&cut);
                let end = data(cut.last().unwrap());
                assert_eq!(end["type"], "response.completed");
                let output = end["response"]["output"].as_array().unwrap();
                assert_eq!(output.len(), 1);
                assert_eq!(output[0]["content"][0]["text"], "The end.");
                let texts = read(&cut).unwrap().into_iter().filter_map(|delta| match delta {
                    Delta::Text(text) => Some(text),
                    _ => None,
                });
                assert!(texts.collect::<String>().ends_with("The end."), "{kept}");
                assert!(allow || !has_call(&cut));
            }
        }
    }
}

#[test]
fn a_cut_after_the_end_says_nothing() {
    let events = transcript();
    assert_eq!(cut_after(&events, events.len(), true), events);
}

#[test]
fn a_piece_that_was_kept_back_does_not_count() {
    let events = transcript();
    let mut guard = Guard::default();
    let mut sent = Vec::new();
    for event in &events[..9] {
        guard.feed(event.clone()).unwrap();
        while let Some(piece) = guard.next() {
            match piece {
                Piece::Event(event) | Piece::Text { event, .. } => sent.push(event),
                Piece::Call(_) => unreachable!("the first nine events have no call"),
            }
        }
    }
    let mut last = data(&events[19]);
    last["response"]["output"] = json!([last["response"]["output"][0]]);
    guard.feed(event(last)).unwrap();
    assert!(matches!(guard.next(), Some(Piece::Event(_))));
    let cut = guard.cut("The end.");
    assert_eq!(names(&cut).last().unwrap(), "response.completed");
    assert_eq!(data(cut.last().unwrap())["response"]["id"], "resp_68af");
}

#[test]
fn what_was_said_before_a_cut_is_not_said_again() {
    let cut = cut_after(&transcript(), 6, true);
    let text = |event: &Event| event.data.contains("Let me");
    assert_eq!(cut.iter().filter(|event| text(event)).count(), 1, "only the piece itself");
    // The message that was open goes on.
    assert_eq!(cut[6..].iter().map(|event| data(event)["output_index"].clone()).next(), Some(json!(0)));
}
