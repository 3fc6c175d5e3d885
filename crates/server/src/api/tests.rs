//! The table of routes as a whole.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use nanoclaw_identity::{Operator, Role, identify_person};
use nanoclaw_policy::{Engine, Generation, Policies, Verdict};
use nanoclaw_request::{Action, Arrived, CellId, Door};

use super::given::{Given, Query};
use super::routes::{ROUTES, Serves};

/// The actions that the routes propose, by name, whatever the request.
fn actions() -> Vec<(&'static str, Action)> {
    let of = |read: fn(&mut Given<'_>) -> super::Asked, path: &'static str| {
        let parts = path.split('/').filter(|part| part.starts_with('{')).map(|_| "one").collect();
        read(&mut Given { parts, query: Ok(Query::default()), body: Ok(Bytes::new()) }).0
    };
    let people = ROUTES.iter().filter_map(|route| match route.serves {
        Serves::Operators(read) => Some((route.name, of(read, route.path))),
        Serves::Strangers(_) => None,
    });
    people.collect()
}

fn allowed(roles: &[Role], action: &Action) -> bool {
    let control = CellId::parse("control").unwrap();
    let engine = Engine::of(Policies::new(Generation::default()), control, Arc::default());
    let operator = Operator { name: "somebody".to_owned(), roles: roles.iter().copied().collect() };
    let known = identify_person(Arrived::now(Door::Api, ()), operator);
    matches!(engine.decide(known.propose(|()| Ok(action.clone()))), Verdict::Allowed(_))
}

#[test]
fn every_route_refuses_a_caller_without_roles_and_serves_an_admin() {
    let actions = actions();
    assert!(actions.len() > 25, "the table is read");
    for (name, action) in actions {
        assert!(!allowed(&[], &action), "{name}");
        assert!(allowed(&[Role::Admin], &action), "{name}");
    }
}

#[test]
fn a_viewer_sees_what_runs_and_changes_nothing() {
    let may: BTreeSet<&str> =
        actions().into_iter().filter(|(_, action)| allowed(&[Role::Viewer], action)).map(|(name, _)| name).collect();
    assert_eq!(may, BTreeSet::from(["getMe", "renewCertificate", "getOpenApi", "listAgents", "getAgent"]));
}

#[test]
fn an_approver_answers_and_does_nothing_else_besides_looking() {
    let may: BTreeSet<&str> =
        actions().into_iter().filter(|(_, action)| allowed(&[Role::Approver], action)).map(|(name, _)| name).collect();
    let expected = [
        "getMe",
        "renewCertificate",
        "getOpenApi",
        "listAgents",
        "getAgent",
        "listApprovals",
        "getApproval",
        "answerApproval",
    ];
    assert_eq!(may, BTreeSet::from(expected));
}

#[test]
fn the_document_has_every_route() {
    let document = super::document();
    for route in ROUTES {
        let operation = &document["paths"][route.path][route.method.as_str().to_ascii_lowercase()];
        assert_eq!(operation["operationId"], route.name);
        assert_eq!(operation["requestBody"].is_object(), route.takes.is_some(), "{}", route.name);
        let parts = route.path.matches('{').count();
        assert_eq!(operation["parameters"].as_array().unwrap().len(), parts + route.query.len(), "{}", route.name);
    }
    assert!(!document.to_string().contains("ncl_"), "it holds no secret");
}
