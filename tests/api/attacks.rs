//! People who are not who they say, or may not do what they try.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use jiff::{SignedDuration, Timestamp};
use nanoclaw_identity::ca::{Authority, PrivateKey};
use nanoclaw_identity::operators::Operators;
use nanoclaw_identity::{Operator, OperatorName, Role};
use nanoclaw_request::CellId;
use serde_json::{Value, json};

use crate::client::Client;
use crate::raw::{known, stolen_authority};
use crate::support::Host;
use crate::world::World;

const SLEEPER: &str = "agents: [{ id: one, command: [sleep, '1000'] }]\n";

/// The refusals that are on record at the door of the API, with who they are about and why.
fn turned_away(world: &World) -> Vec<(String, String)> {
    let refused = world.records(|record| record["action"] == "sign_in" && record["result"] == "denied");
    let text = |record: &Value, name: &str| record[name].as_str().unwrap_or_default().to_owned();
    refused.iter().map(|record| (text(record, "agent_id"), text(record, "reason"))).collect()
}

fn holds(world: &World, who: &str, why: &str) {
    let refused = turned_away(world);
    assert!(refused.iter().any(|(name, reason)| name == who && reason.contains(why)), "{who}, {why}: {refused:?}");
}

fn name(text: &str) -> OperatorName {
    OperatorName::parse(text).unwrap()
}

#[test]
fn nobody_without_a_certificate_asks_anything() {
    let world = World::up(SLEEPER);
    assert_eq!(known(&world.stranger()), Some(401));
    holds(&world, "system:api", "no client certificate was shown");
}

#[test]
fn a_certificate_of_another_authority_is_not_even_shaken_hands_with() {
    let world = World::up(SLEEPER);
    world.identity("admin", &["admin"]);
    let elsewhere = tempfile::tempdir().unwrap();
    let authority = Authority::open(&elsewhere.path().join("ca"), Timestamp::now()).unwrap();
    let (forged, key) = authority.operator_with_key(&name("admin"), Timestamp::now()).unwrap();
    let eve = Client::tls(world.address, &world.authority, Some((&forged.pem, &key)));
    assert_eq!(known(&eve), None);
    holds(&world, "system:api", "the client certificate is not valid");
}

#[test]
fn a_certificate_that_the_authority_did_not_list_is_nobodys_though_its_key_was_stolen() {
    let world = World::up(SLEEPER);
    world.identity("admin", &["admin"]);
    let (stolen, _kept) = stolen_authority(&world);
    let (forged, key) = stolen.operator_with_key(&name("admin"), Timestamp::now()).unwrap();
    let eve = Client::tls(world.address, &world.authority, Some((&forged.pem, &key)));
    assert_eq!(known(&eve), Some(403));
    holds(&world, "operator:admin", "the client certificate is nobody's");
}

#[test]
fn a_cell_is_no_operator() {
    let world = World::up(SLEEPER);
    let (stolen, _kept) = stolen_authority(&world);
    let svid = stolen.cell(&CellId::parse("one").unwrap(), Timestamp::now()).unwrap();
    let cell = Client::tls(world.address, &world.authority, Some((&svid.chain_pem, &svid.key)));
    assert_eq!(known(&cell), Some(403));
    holds(&world, "system:api", "the client certificate is nobody's");
    // Nor with the token of an operator on top of it.
    let token = world.owner().post("/v1/tokens", &json!({"roles": ["admin"], "hours": 1})).good();
    assert_eq!(known(&cell.with_token(token["token"].as_str().unwrap())), Some(403));
}

#[test]
fn a_certificate_whose_time_is_over_or_that_is_revoked_opens_no_connection() {
    let world = World::up(SLEEPER);
    let identity = world.identity("carol", &["viewer"]);
    let (stolen, _kept) = stolen_authority(&world);
    let long_ago = Timestamp::now() - SignedDuration::from_hours(24 * 365);
    let (old, key) = stolen.operator_with_key(&name("carol"), long_ago).unwrap();
    assert_eq!(known(&Client::tls(world.address, &world.authority, Some((&old.pem, &key)))), None);
    holds(&world, "system:api", "Expired");
    let carol = world.with(&identity);
    assert_eq!(known(&carol), Some(200));
    let serial = world.owner().get("/v1/certificates").good()[0]["serial"].as_str().unwrap().to_owned();
    assert_eq!(world.owner().delete(&format!("/v1/certificates/{serial}")).status, 204);
    assert_eq!(known(&carol), None);
    holds(&world, "system:api", "Revoked");
}

#[test]
fn a_certificate_is_of_no_use_without_its_key() {
    let world = World::up(SLEEPER);
    let identity = world.identity("carol", &["viewer"]);
    let (_, key): (_, PrivateKey) = nanoclaw_identity::ca::new_request().unwrap();
    // A library that would not take the pair is as good.
    let config = nanoclaw_identity::ca::client_tls(&identity.authority, Some((&identity.certificate, &key)));
    if config.is_ok() {
        let thief = Client::tls(world.address, &identity.authority, Some((&identity.certificate, &key)));
        assert_eq!(known(&thief), None);
    }
}

#[test]
fn tokens_that_are_over_revoked_used_up_or_of_another_server_are_nobodys() {
    let host = Host::new();
    let state = host.directory("state");
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    let old = {
        let then = Timestamp::now() - SignedDuration::from_hours(48);
        let operators = Operators::open(&state, then).unwrap();
        let maker = Operator { name: "uid:0".to_owned(), roles: BTreeSet::from([Role::Admin]) };
        let expires = then + SignedDuration::from_hours(1);
        let (_, token) = operators.tokens().create(&maker, &maker.roles, expires, then).unwrap();
        token.dangerously_expose().to_owned()
    };
    let world = World::up_on(host, SLEEPER);
    let carol = world.operator("carol", &["viewer"]);
    let refused = |token: &str| carol.with_token(token).get("/v1/me").refused();
    let nobody = || (401, "not-you".to_owned());
    assert_eq!(refused(&old), nobody());
    // Of another server.
    let elsewhere = World::up(SLEEPER);
    let foreign = elsewhere.owner().post("/v1/tokens", &json!({"roles": ["admin"], "hours": 1})).good();
    assert_eq!(refused(foreign["token"].as_str().unwrap()), nobody());
    // Of nobody, and almost somebody's.
    let made = world.owner().post("/v1/tokens", &json!({"roles": ["viewer"], "hours": 1})).good();
    let (good, id) = (made["token"].as_str().unwrap(), made["id"].as_str().unwrap());
    assert_eq!(carol.with_token(good).get("/v1/me").good()["roles"], json!(["viewer"]));
    for wrong in [&good[..good.len() - 1], &format!("{good}A"), &good.to_uppercase(), "ncl_", "x", &"a".repeat(20_000)]
    {
        assert_eq!(refused(wrong), nobody(), "{wrong}");
    }
    world.owner().delete(&format!("/v1/tokens/{id}"));
    assert_eq!(refused(good), nobody());
    // An invitation is no token, and a token no invitation.
    let invited = world.owner().post("/v1/enrolments", &json!({"operator": "dora", "roles": ["viewer"]})).good();
    let invitation = invited["token"].as_str().unwrap();
    assert_eq!(refused(invitation), nobody());
    assert_eq!(world.stranger().enrol(&old).err().unwrap().refused(), nobody());
    world.stranger().enrol(invitation).expect("a certificate");
    assert_eq!(world.stranger().enrol(invitation).err().unwrap().refused(), nobody());
    holds(&world, "operator:carol", "the token is nobody's");
    holds(&world, "system:api", "(from 127.0.0.1)");
    let log = world.host.read("state/audit/audit.jsonl");
    for secret in [old.as_str(), good, invitation] {
        assert!(!log.contains(secret), "no token is in the log");
    }
}

#[test]
fn the_token_of_another_gives_what_it_says_and_nothing_of_the_certificate_below_it() {
    let world = World::up(SLEEPER);
    let (alice, bob) = (world.operator("alice", &["approver"]), world.operator("bob", &["auditor"]));
    let made = alice.post("/v1/tokens", &json!({"roles": ["approver"], "hours": 1}));
    assert_eq!(made.refused(), (403, "not-you".to_owned()), "only admins make tokens");
    world.owner().post("/v1/operators/alice", &json!({"roles": ["approver", "admin"]})).good();
    // A token for less than one has.
    let made = alice.post("/v1/tokens", &json!({"roles": ["approver"], "hours": 1})).good();
    let as_alice = bob.with_token(made["token"].as_str().unwrap());
    assert_eq!(as_alice.get("/v1/me").good(), json!({"name": "alice", "roles": ["approver"]}));
    assert_eq!(as_alice.get("/v1/audit").refused(), (403, "not-you".to_owned()), "what bob may is not added");
    assert_eq!(as_alice.get("/v1/operators").refused(), (403, "not-you".to_owned()), "nor what alice may besides");
    // What she may no more, her token does not give any more.
    world.owner().post("/v1/operators/alice", &json!({"roles": ["viewer"]})).good();
    assert_eq!(as_alice.get("/v1/me").refused(), (401, "not-you".to_owned()));
}

#[test]
fn nobody_gives_what_they_do_not_have() {
    let world = World::up(SLEEPER);
    let viewer = world.operator("val", &["viewer"]);
    for (path, body) in [
        ("/v1/operators/val", json!({"roles": ["admin"]})),
        ("/v1/operators", json!({"name": "eve", "roles": ["admin"]})),
        ("/v1/enrolments", json!({"operator": "val", "roles": ["viewer", "admin"]})),
        ("/v1/tokens", json!({"roles": ["admin"], "hours": 1})),
    ] {
        assert_eq!(viewer.post(path, &body).refused(), (403, "not-you".to_owned()), "{path}");
    }
    // An invitation does not take roles away either, so that it cannot take over somebody's account unseen.
    let invited = world.owner().post("/v1/enrolments", &json!({"operator": "val", "roles": ["approver"]}));
    assert_eq!(invited.refused().0, 409);
    let names = world.owner().get("/v1/operators").good();
    assert_eq!((names.as_array().unwrap().len(), &names[0]["roles"]), (1, &json!(["viewer"])));
}

#[test]
fn guessing_passwords_is_locked_and_recorded_and_does_not_tell_who_there_is() {
    let world = World::up(SLEEPER);
    let body = json!({"name": "bob", "roles": ["viewer"], "password": "correct horse battery staple"});
    world.owner().post("/v1/operators", &body).good();
    let elsewhere = World::up(SLEEPER);
    let guess = |world: &World, name: &str| {
        let answer =
            world.stranger().post("/v1/sign-in", &json!({"name": name, "password": "letmein letmein letmein"}));
        let (status, code) = answer.refused();
        let mut problem = answer.json();
        // Until when, which is another time for each.
        let detail = problem["detail"].as_str().unwrap().to_owned();
        problem["detail"] = json!(detail.split(" after ").next());
        (status, code, problem, answer.field("retry-after").is_some())
    };
    // The same source is locked for all names, so the name that nobody has is tried at a server of its own.
    let known: Vec<_> = (0..6).map(|_| guess(&world, "bob")).collect();
    // The right password is not looked at either.
    let right = json!({"name": "bob", "password": "correct horse battery staple"});
    assert_eq!(world.stranger().post("/v1/sign-in", &right).refused().0, 429);
    let unknown: Vec<_> = (0..6).map(|_| guess(&elsewhere, "bob")).collect();
    assert_eq!(known, unknown);
    let statuses: Vec<u16> = known.iter().map(|(status, ..)| *status).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429]);
    assert!(known[5].3, "it says when to come again");
    let of_bob = turned_away(&world).into_iter().filter(|(who, _)| who == "operator:bob").count();
    assert_eq!(of_bob, 7);
    assert_eq!(turned_away(&elsewhere).iter().filter(|(who, _)| who == "system:api").count(), 6);
    let log = world.host.read("state/audit/audit.jsonl");
    assert!(!log.contains("letmein") && !log.contains("battery"), "no password is in the log");
}
