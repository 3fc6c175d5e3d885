//! No order of events lets a call pass without enough people.

use std::time::Duration;

use nanoclaw_audit::Recorded;
use nanoclaw_config::Approvals;
use proptest::prelude::*;
use tokio::task::{JoinHandle, yield_now};

use super::{World, call, edit, pay};
use crate::desk::{Answer, Question};

/// What happens at a desk.
#[derive(Clone, Debug)]
enum Event {
    Try { changed: bool },
    Answer { by: usize, question: usize, answer: usize, wrong_digest: bool },
    Turn { by: usize },
    TurnEnds,
    Leave { call: usize },
    Rules { people: u8 },
    Time { seconds: u64 },
}

const PEOPLE: [&str; 4] = ["alice", "bob", "carol", "dave"];

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => any::<bool>().prop_map(|changed| Event::Try { changed }),
        8 => (0..PEOPLE.len(), 0..8usize, 0..6usize, any::<u8>()).prop_map(|(by, question, answer, wrong)| {
            Event::Answer { by, question, answer, wrong_digest: wrong < 20 }
        }),
        1 => (0..PEOPLE.len()).prop_map(|by| Event::Turn { by }),
        1 => Just(Event::TurnEnds),
        1 => (0..8usize).prop_map(|call| Event::Leave { call }),
        1 => (1..=2u8).prop_map(|people| Event::Rules { people }),
        1 => (1..400u64).prop_map(|seconds| Event::Time { seconds }),
    ]
}

/// A try that is under way, and who asked for it then.
struct Trying {
    waiting: JoinHandle<Recorded>,
    requesters: Vec<String>,
    needs: u8,
}

/// Plays it, and gives how many calls passed.
async fn play(people: u8, events: Vec<Event>) -> usize {
    let world = World::new(Approvals { people, ..Approvals::default() });
    let cell = world.cell("a", 1);
    let (mut turns, mut tries, mut seen, mut people) = (Vec::new(), Vec::new(), Vec::<Question>::new(), people);
    for event in events {
        match event {
            Event::Try { changed } => {
                let action = if changed { call("pay", "{}") } else { pay() };
                let requesters = cell.session.requesters();
                tries.push(Trying { waiting: cell.tries(action), requesters, needs: people });
            }
            Event::Answer { by, question, answer, wrong_digest } => {
                let Some(question) = seen.get(question % seen.len().max(1)) else { continue };
                let answer = match answer {
                    0 => Answer::Deny { reason: String::new() },
                    1 => edit("{}"),
                    _ => Answer::Approve,
                };
                let digest = if wrong_digest { "00" } else { question.digest.as_str() };
                let answered = world.desk.answer(PEOPLE[by], &question.id, digest, answer.clone());
                let asked_for_it = question.requesters.iter().any(|name| name == PEOPLE[by]);
                if wrong_digest || (asked_for_it && !matches!(answer, Answer::Deny { .. })) {
                    assert!(answered.is_err(), "{answered:?}");
                }
            }
            Event::Turn { by } => turns.push(cell.session.requested(PEOPLE[by])),
            Event::TurnEnds => drop(turns.pop()),
            Event::Leave { call } => {
                if let Some(trying) = tries.get(call) {
                    trying.waiting.abort();
                }
            }
            Event::Rules { people: now } => {
                people = now;
                world.desk.set(Approvals { people, ..Approvals::default() });
            }
            Event::Time { seconds } => tokio::time::advance(Duration::from_secs(seconds)).await,
        }
        for _ in 0..20 {
            yield_now().await;
        }
        // Questions that are over are answered too.
        for question in world.desk.waiting() {
            if !seen.iter().any(|one| one.id == question.id) {
                seen.push(question);
            }
        }
    }
    let mut passed = 0;
    for Trying { waiting, requesters, needs } in tries {
        // Those who left cannot have been let pass unseen: nobody acts on it.
        let Ok(Recorded::Proceed(warrant)) = waiting.await else { continue };
        let approved = warrant.approved().to_vec();
        let different: std::collections::BTreeSet<_> = approved.iter().collect();
        assert_eq!(different.len(), approved.len(), "{approved:?}");
        assert!(approved.len() >= usize::from(needs), "{approved:?} of {needs}");
        assert!(!approved.iter().any(|name| requesters.contains(name)), "{approved:?} for {requesters:?}");
        passed += 1;
    }
    passed
}

#[tokio::test(start_paused = true)]
async fn a_call_passes_by_two_answers_and_a_changed_one_by_its_change_and_another() {
    let answer = |by, answer| Event::Answer { by, question: 0, answer, wrong_digest: false };
    let tries = Event::Try { changed: false };
    assert_eq!(play(2, vec![tries.clone(), answer(0, 2), answer(0, 2), answer(1, 2)]).await, 1);
    assert_eq!(play(2, vec![tries.clone(), answer(0, 2), answer(0, 2)]).await, 0);
    assert_eq!(play(1, vec![tries, answer(0, 1), Event::Try { changed: true }]).await, 1);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(192) })]

    #[test]
    fn no_order_of_answers_lets_a_call_pass_without_enough_people_who_did_not_ask_for_it(
        people in 1..=2u8,
        events in proptest::collection::vec(event(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(play(people, events));
    }
}
