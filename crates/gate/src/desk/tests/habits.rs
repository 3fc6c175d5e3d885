//! A no counts, and nobody is asked until they are tired.

use nanoclaw_config::{DataClass, Label, Trust};

use super::super::habits::{LONGEST_NO, MOST_DENIED, MOST_NOES, MOST_WITHDRAWN, WITHIN};
use super::*;

fn deny() -> Answer {
    Answer::Deny { reason: String::new() }
}

fn numbered(n: usize) -> Action {
    call("pay", &format!("{{\"n\": {n}}}"))
}

/// `cell` asks for payment `n`, and gets this answer.
async fn ask(world: &World, cell: &Cell, n: usize, answer: Answer) {
    let waiting = cell.tries(numbered(n));
    world.answer("alice", &world.question().await, answer).unwrap();
    drop(waiting.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_was_denied_is_not_asked_again_for_a_while_in_whatever_run_and_form() {
    let world = World::new(Approvals::default());
    let waiting = world.cell("a", 1).tries(pay());
    world.answer("alice", &world.question().await, deny()).unwrap();
    refused(waiting).await;
    let again = || call("pay", "{ \"amount\":10,\n \"to\": \"\\u0044E02\" }");
    for run in [1, 2] {
        let refusal = refused(world.cell("a", run).tries(again())).await;
        assert_eq!(refusal.code, RefusalCode::NotApproved);
        assert!(
            refusal.reason.ends_with("`alice` has denied the same, and nobody is asked again so soon"),
            "{refusal}"
        );
    }
    assert!(world.desk.waiting().is_empty());
    // Nobody said no to anything else, nor to anybody else.
    let others = [world.cell("a", 1).tries(numbered(1)), world.cell("b", 1).tries(pay())];
    world.questions(others.len()).await;
    for other in others {
        other.abort();
    }
    tokio::time::advance(LONGEST_NO).await;
    let late = world.cell("a", 1).tries(again());
    world.question().await;
    late.abort();
}

#[tokio::test(start_paused = true)]
async fn whoever_hears_no_again_and_again_asks_nobody_for_a_while() {
    let world = World::new(Approvals::default());
    let cell = world.cell("a", 1);
    // A yes between them says that it is worth to be asked.
    for round in 0..2 {
        for n in 1..MOST_NOES {
            ask(&world, &cell, 10 * round + n, deny()).await;
        }
        ask(&world, &cell, 10 * round, Answer::Approve).await;
    }
    for n in 1..=MOST_NOES {
        ask(&world, &cell, 100 + n, deny()).await;
    }
    let refusal = refused(cell.tries(numbered(200))).await;
    assert_eq!(refusal.code, RefusalCode::Limit);
    assert!(refusal.reason.contains("5 questions of agent a in a row were denied"), "{refusal}");
    let other = world.cell("b", 1).tries(pay());
    world.question().await;
    other.abort();
    tokio::time::advance(LONGEST_NO).await;
    ask(&world, &cell, 201, deny()).await;
    assert_eq!(refused(cell.tries(numbered(202))).await.code, RefusalCode::Limit, "it has learnt nothing");
}

#[tokio::test(start_paused = true)]
async fn so_many_noes_are_remembered_and_the_newest_of_them() {
    let world = World::new(Approvals::default());
    let cell = world.cell("a", 1);
    for n in 0..=MOST_DENIED {
        ask(&world, &cell, n, deny()).await;
        ask(&world, &cell, 100 + n, Answer::Approve).await;
    }
    assert_eq!(refused(cell.tries(numbered(1))).await.code, RefusalCode::NotApproved);
    ask(&world, &cell, 0, deny()).await;
    // A change of the call that waits is no no, and a later yes to the same takes one back.
    let waiting = cell.tries(numbered(200));
    world.answer("bob", &world.question().await, edit("{\"n\": 2}")).unwrap();
    refused(waiting).await;
    passed(cell.tries(numbered(2))).await;
    let again = cell.tries(numbered(200));
    world.question().await;
    again.abort();
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_and_goes_away_asks_nobody_for_a_while() {
    let world = World::new(Approvals::default());
    let cell = world.cell("a", 1);
    for n in 0..MOST_WITHDRAWN {
        let waiting = cell.tries(numbered(n));
        world.question().await;
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
    }
    let refusal = refused(cell.tries(pay())).await;
    assert_eq!(refusal.code, RefusalCode::Limit);
    assert!(refusal.reason.contains("agent a did not wait for the answers to 32 questions"), "{refusal}");
    tokio::time::advance(WITHIN).await;
    let waiting = cell.tries(pay());
    world.answer("alice", &world.question().await, Answer::Approve).unwrap();
    passed(waiting).await;
}

const MORE: &str =
    "@id(\"abroad\") @ask(\"abroad\") forbid(principal, action == Action::\"tool_call\", resource == Tool::\"pay\");";
const SECRET: Label = Label::new(Trust::Trusted, DataClass::Secret);

#[tokio::test]
async fn who_agreed_to_one_policy_has_not_agreed_to_another() {
    let world = World::new(Approvals::default());
    let cell = world.cell("a", 1);
    let waiting = cell.tries(pay());
    let question = world.question().await;
    world.policies.replace(generation(&format!("{POLICIES}{MORE}")));
    assert_eq!(world.answer("uid:0", &question, Answer::Approve), Ok(Answered::Approved));
    let refusal = refused(waiting).await;
    assert_eq!(refusal.code, RefusalCode::NotApproved);
    assert!(refusal.reason.contains("another policy asks too"), "{refusal}");
    let again = cell.tries(pay());
    let question = world.question().await;
    assert_eq!(question.policies, ["abroad", "pay"]);
    // To ask for less is no matter.
    world.policies.replace(generation(POLICIES));
    world.answer("uid:0", &question, Answer::Approve).unwrap();
    passed(again).await;
}

#[tokio::test]
async fn an_agreement_does_not_hold_for_what_is_read_meanwhile() {
    let world = World::new(Approvals::default());
    let cell = world.cell("a", 1);
    let waiting = cell.tries(pay());
    let question = world.question().await;
    cell.session.read(SECRET);
    world.answer("uid:0", &question, Answer::Approve).unwrap();
    let refusal = refused(waiting).await;
    assert_eq!(refusal.code, RefusalCode::NotApproved);
    assert!(refusal.reason.contains("the agent has read more"), "{refusal}");
    let again = cell.tries(pay());
    world.answer("uid:0", &world.question().await, Answer::Approve).unwrap();
    passed(again).await;
}

#[tokio::test]
async fn a_change_is_good_for_what_its_author_knew() {
    let world = World::new(Approvals::default());
    let cell = world.cell("a", 1);
    let change = async || {
        let waiting = cell.tries(pay());
        world.answer("bob", &world.question().await, edit("{}")).unwrap();
        refused(waiting).await;
    };
    change().await;
    world.policies.replace(generation(&format!("{POLICIES}{MORE}")));
    let changed = cell.tries(call("pay", "{}"));
    assert!(world.question().await.approved_by.is_empty(), "of the other policy bob knew nothing");
    changed.abort();
    assert!(changed.await.is_err());
    change().await;
    cell.session.read(SECRET);
    let changed = cell.tries(call("pay", "{}"));
    assert!(world.question().await.approved_by.is_empty(), "bob did not know what the agent has read since");
    changed.abort();
    assert!(changed.await.is_err());
    change().await;
    passed(cell.tries(call("pay", "{}"))).await;
}
