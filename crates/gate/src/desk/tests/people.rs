//! Who counts as whom, and who may approve what they asked for.

use super::super::Person;
use super::*;

const OWN: Approvals = Approvals { wait: Duration::from_secs(300), people: 1, own: true };

#[tokio::test]
async fn one_person_with_two_names_is_one() {
    let world = World::new(FOUR_EYES);
    let cell = world.cell("a", 1);
    let anna = || Person::of("oidc:17", ["anna".to_owned()]);
    let waiting = cell.tries(pay());
    let question = world.question().await;
    let answer = |by: Person| world.desk.answer(by, &question.id, &question.digest, Answer::Approve);
    assert_eq!(answer(anna()), Ok(Answered::Counted { missing: 1 }));
    assert!(matches!(answer(Person::from("anna")), Err(DeskError::Again { .. })));
    assert_eq!(answer(Person::from("bob")), Ok(Answered::Approved));
    passed(waiting).await;
    let approved = world.records().await[1]["approved_by"].clone();
    assert_eq!(approved, serde_json::json!(["operator:oidc:17", "operator:bob"]));

    let _turn = cell.session.requested("anna");
    let waiting = cell.tries(pay());
    let question = world.question().await;
    let answered = world.desk.answer(anna(), &question.id, &question.digest, Answer::Approve);
    assert_eq!(answered, Err(DeskError::Requester { by: "oidc:17".to_owned(), cell: "a".to_owned() }));
    world.answer("bob", &question, Answer::Deny { reason: String::new() }).unwrap();
    refused(waiting).await;
}

#[tokio::test]
async fn whoever_asked_may_approve_where_the_configuration_says_so() {
    let world = World::new(OWN);
    let cell = world.cell("a", 1);
    let _turn = cell.session.requested("alice");
    let waiting = cell.tries(pay());
    let question = world.question().await;
    assert_eq!(question.requesters, ["alice"]);
    assert_eq!(world.answer("alice", &question, Answer::Approve), Ok(Answered::Approved));
    passed(waiting).await;
    let waiting = cell.tries(pay());
    world.answer("alice", &world.question().await, edit("{}")).unwrap();
    refused(waiting).await;
    passed(cell.tries(call("pay", "{}"))).await;

    // What waits does not become easier to approve.
    let waiting = cell.tries(pay());
    let question = world.question().await;
    for approvals in [Approvals::default(), OWN] {
        world.desk.set(approvals);
        assert!(matches!(world.answer("alice", &question, Answer::Approve), Err(DeskError::Requester { .. })));
    }
    world.answer("bob", &question, Answer::Approve).unwrap();
    passed(waiting).await;
}
