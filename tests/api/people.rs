//! Who may use the API, and what each may do.

use serde_json::{Value, json};

use crate::client::Client;
use crate::support::Host;
use crate::world::World;

const SLEEPER: &str = "agents: [{ id: one, command: [sleep, '1000'] }]\n";

#[test]
fn the_first_admin_comes_in_with_what_the_start_printed() {
    let world = World::up(SLEEPER);
    let said = world.control.errors();
    let after = |what: &str| {
        let line = said.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("no `{what}` in {said}"));
        line.split_whitespace().last().unwrap().to_owned()
    };
    assert_eq!(after("  server "), format!("https://{}", world.address));
    let print = after("  CA fingerprint ");
    let line = format!("  nanoclaw context add NAME https://{} --ca-fingerprint sha256:{print}\n", world.address);
    assert!(said.contains(&line), "{said}");
    let identity = world.stranger().enrol(&after("  invitation ")).expect("a certificate");
    let admin = world.with(&identity);
    assert_eq!(admin.get("/v1/me").good(), json!({"name": "admin", "roles": ["admin"]}));
    // It is good once.
    assert_eq!(world.stranger().enrol(&after("  invitation ")).err().unwrap().refused().0, 401);
    let log = world.host.read("state/audit/audit.jsonl");
    assert!(!log.contains(&after("  invitation ")), "it is not in the log");
    assert!(log.contains("by an invitation"), "{log}");
    let (host, _) = world.end();
    let again = World::up_on(host, SLEEPER);
    assert!(!again.control.errors().contains("invitation"), "there is an admin now");
}

#[test]
fn what_each_role_may_do_is_what_its_policy_says() {
    let world = World::up(SLEEPER);
    let routes: [(&str, &str, Option<Value>); 9] = [
        ("GET", "/v1/agents", None),
        ("GET", "/v1/agents/one/logs", None),
        ("GET", "/v1/approvals", None),
        ("GET", "/v1/policy", None),
        ("GET", "/v1/audit", None),
        ("GET", "/v1/operators", None),
        ("POST", "/v1/reload", None),
        ("POST", "/v1/agents/one/labels/reset", None),
        ("POST", "/v1/enrolments", Some(json!({"operator": "eve", "roles": ["admin"]}))),
    ];
    for (role, may) in [
        ("viewer", [true, false, false, false, false, false, false, false, false]),
        ("operator", [true, true, false, true, false, false, false, false, false]),
        ("approver", [true, false, true, false, false, false, false, false, false]),
        ("auditor", [true, true, true, true, true, false, false, false, false]),
        ("admin", [true; 9]),
    ] {
        let client = world.operator(&format!("a-{role}"), &[role]);
        for ((method, path, body), may) in routes.iter().zip(may) {
            let body = body.as_ref().map(Value::to_string).unwrap_or_default();
            let answer = client.send(method, path, &[], body.as_bytes());
            if may {
                assert!((200..300).contains(&answer.status), "{role} {method} {path}: {answer:?}");
            } else {
                assert_eq!(answer.refused(), (403, "not-you".to_owned()), "{role} {method} {path}");
            }
        }
    }
}

#[test]
fn a_token_counts_instead_of_the_certificate_below_it() {
    let world = World::up(SLEEPER);
    let admin = world.operator("root-of-all", &["admin"]);
    let made = admin.post("/v1/tokens", &json!({"roles": ["viewer"], "hours": 1})).good();
    let (token, id) = (made["token"].as_str().unwrap(), made["id"].as_str().unwrap());
    let less = admin.with_token(token);
    assert_eq!(less.get("/v1/me").good(), json!({"name": "root-of-all", "roles": ["viewer"]}));
    assert_eq!(less.get("/v1/operators").refused(), (403, "not-you".to_owned()));
    // Alone it is nothing.
    assert_eq!(world.stranger().with_token(token).get("/v1/me").refused(), (401, "not-you".to_owned()));
    let listed = admin.get("/v1/tokens").good().to_string();
    assert!(listed.contains(id) && !listed.contains(token), "{listed}");
    assert_eq!(admin.delete(&format!("/v1/tokens/{id}")).status, 204);
    assert_eq!(less.get("/v1/me").refused(), (401, "not-you".to_owned()));
    assert_eq!(admin.delete(&format!("/v1/tokens/{id}")).refused(), (404, "not-found".to_owned()));
    let refused = world.records(|record| record["action"] == "sign_in" && record["result"] == "denied");
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert_eq!(refused[1]["agent_id"], "operator:root-of-all");
}

#[test]
fn a_password_gives_a_token_for_an_hour() {
    let world = World::up(SLEEPER);
    let owner = world.owner();
    let password = "correct horse battery staple";
    let made = owner.post("/v1/operators", &json!({"name": "bob", "roles": ["auditor"], "password": password})).good();
    assert_eq!((&made["has_password"], &made["disabled"]), (&json!(true), &json!(false)));
    assert_eq!(owner.post("/v1/operators", &json!({"name": "bob", "roles": ["auditor"]})).refused().0, 409);
    let sign_in = |password: &str| world.stranger().post("/v1/sign-in", &json!({"name": "bob", "password": password}));
    assert_eq!(sign_in("incorrect").refused(), (401, "not-you".to_owned()));
    let signed_in = sign_in(password).good();
    assert_eq!((&signed_in["operator"], &signed_in["roles"]), (&json!("bob"), &json!(["auditor"])));
    let viewer = world.operator("somebody", &["viewer"]);
    let bob = viewer.with_token(signed_in["token"].as_str().unwrap());
    assert_eq!(bob.get("/v1/me").good()["name"], "bob");
    owner.post("/v1/operators/bob", &json!({"disabled": true})).good();
    assert_eq!(bob.get("/v1/me").refused().0, 401);
    assert_eq!(sign_in(password).refused().0, 401);
    let of_bob = world.records(|record| record["action"] == "sign_in" && record["agent_id"] == "operator:bob");
    let results: Vec<&str> = of_bob.iter().map(|record| record["result"].as_str().unwrap()).collect();
    assert_eq!(results, ["denied", "allowed", "denied"]);
    let log = world.host.read("state/audit/audit.jsonl");
    assert!(!log.contains("battery") && !log.contains("incorrect"), "no password is in the log");
}

#[test]
fn a_revoked_certificate_is_nobodys_from_the_next_request_on() {
    let world = World::up(SLEEPER);
    let identity = world.identity("carol", &["admin"]);
    let carol = world.with(&identity);
    let certificates = carol.get("/v1/certificates").good();
    let serial = certificates[0]["serial"].as_str().unwrap();
    // An open connection, which was made when the certificate was good.
    let mut open = carol.connect();
    use std::io::{Read as _, Write as _};
    let request = b"GET /v1/me HTTP/1.1\r\nhost: localhost\r\n\r\n";
    open.write_all(request).unwrap();
    let mut answer = [0; 4096];
    let length = open.read(&mut answer).unwrap();
    assert!(answer[..length].starts_with(b"HTTP/1.1 200"));
    assert_eq!(world.owner().delete(&format!("/v1/certificates/{serial}")).status, 204);
    open.write_all(request).unwrap();
    let length = open.read(&mut answer).unwrap();
    assert!(answer[..length].starts_with(b"HTTP/1.1 403"), "{}", String::from_utf8_lossy(&answer[..length]));
    // And it has no connection either.
    while open.read(&mut answer).is_ok_and(|length| length > 0) {}
}

#[test]
fn the_certificate_of_a_removed_account_is_nobodys() {
    let world = World::up(SLEEPER);
    let carol = world.operator("carol", &["viewer"]);
    carol.get("/v1/me").good();
    assert_eq!(world.owner().delete("/v1/operators/carol").status, 204);
    // Its certificate was revoked with it, so that a new handshake fails or is answered with a refusal.
    let names = world.owner().get("/v1/operators").good();
    assert_eq!(names, json!([]));
    assert_eq!(world.owner().delete("/v1/operators/carol").refused(), (404, "not-found".to_owned()));
}

#[test]
fn a_certificate_of_another_authority_opens_nothing_and_is_on_record() {
    let (world, other) = (World::up(SLEEPER), World::up(SLEEPER));
    let identity = other.identity("admin", &["admin"]);
    // It believes this server and shows what the other gave.
    let client = Client::tls(world.address, &world.authority, Some((&identity.certificate, &identity.key)));
    assert!(client.try_get("/v1/me").is_none());
    let refused = crate::support::eventually("a record", || {
        world.records(|record| record["action"] == "sign_in" && record["result"] == "denied").pop()
    });
    assert!(refused["reason"].as_str().unwrap().contains("the client certificate is not valid"), "{refused}");
}

#[test]
fn a_token_and_an_invitation_do_not_last_for_ever() {
    let world = World::up(SLEEPER);
    let owner = world.owner();
    for hours in [0, 24 * 366 + 1] {
        assert_eq!(owner.post("/v1/tokens", &json!({"roles": ["viewer"], "hours": hours})).refused().0, 400, "{hours}");
    }
    for minutes in [14, 24 * 60 + 1] {
        let body = json!({"operator": "eve", "roles": ["viewer"], "minutes": minutes});
        assert_eq!(owner.post("/v1/enrolments", &body).refused().0, 400, "{minutes}");
    }
    owner.post("/v1/tokens", &json!({"roles": ["viewer"], "hours": 24 * 366})).good();
    owner.post("/v1/enrolments", &json!({"operator": "eve", "roles": ["viewer"], "minutes": 15})).good();
}

#[test]
fn a_stranger_is_told_nothing_but_who_serves() {
    let world = World::up(SLEEPER);
    let stranger: Client = world.stranger();
    assert!(stranger.get("/v1/ca").text().starts_with("-----BEGIN CERTIFICATE-----"));
    for path in ["/v1/me", "/v1/agents", "/v1/openapi.json", "/v1/nothing", "/", "/v1/agents/one"] {
        assert_eq!(stranger.get(path).refused(), (401, "not-you".to_owned()), "{path}");
    }
}

#[test]
fn what_people_are_given_stands_on_record() {
    let world = World::up(SLEEPER);
    let owner = world.owner();
    let password = "correct horse battery staple";
    owner.post("/v1/operators", &json!({"name": "bob", "roles": ["viewer"], "password": password})).good();
    owner.post("/v1/operators/bob", &json!({"roles": ["admin", "auditor"], "disabled": true})).good();
    owner.post("/v1/operators/bob", &json!({"password": format!("{password}!")})).good();
    owner.post("/v1/tokens", &json!({"roles": ["viewer"], "hours": 1})).good();
    owner.post("/v1/enrolments", &json!({"operator": "eve", "roles": ["approver"], "minutes": 15})).good();
    let allowed = world.records(|record| record["action"] == "agent_manage" && record["result"] == "allowed");
    let told = |name: &str| -> Vec<String> {
        let of_them = allowed.iter().filter(|record| record["resource"] == name);
        of_them.map(|record| record["detail"].as_str().unwrap().to_owned()).collect()
    };
    let expected = [
        "operator-create: roles viewer; a password",
        "operator-change: roles auditor, admin; disabled",
        "operator-change: a password",
    ];
    assert_eq!(told("bob"), expected);
    assert_eq!(told("eve"), ["enrolment-create: roles approver; for 15 minutes"]);
    let token = told(&format!("uid:{}", world.host.uid()));
    assert!(token[0].starts_with("token-create: roles viewer; until 2"), "{token:?}");
    assert!(!world.host.read("state/audit/audit.jsonl").contains("battery"));
}

#[test]
fn an_invitation_is_listed_and_goes_with_whoever_made_it() {
    let world = World::up(SLEEPER);
    let owner = world.owner();
    let invite = |client: &Client| {
        let made = client.post("/v1/enrolments", &json!({"operator": "ghost", "roles": ["admin"]})).good();
        made["token"].as_str().unwrap().to_owned()
    };
    let refused = |invitation: &str| world.stranger().enrol(invitation).err().unwrap().refused().0;
    let listed = || -> Vec<Value> {
        let all = owner.get("/v1/enrolments").good();
        all.as_array().unwrap().iter().filter(|one| one["operator"] == "ghost").cloned().collect()
    };
    for (name, change) in
        [("mallory", None), ("malcolm", Some(json!({"roles": ["viewer"]}))), ("mara", Some(json!({"disabled": true})))]
    {
        let invitation = invite(&world.operator(name, &["admin"]));
        assert_eq!(listed()[0]["maker"], name);
        assert!(!listed()[0].to_string().contains(&invitation));
        match &change {
            None => assert_eq!(owner.delete(&format!("/v1/operators/{name}")).status, 204),
            Some(change) => drop(owner.post(&format!("/v1/operators/{name}"), change).good()),
        }
        assert_eq!(refused(&invitation), 401, "{name}");
        assert!(listed().is_empty(), "{name}");
    }
    let invitation = invite(&owner);
    let id = listed()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(owner.delete(&format!("/v1/tokens/{id}")).status, 204);
    assert_eq!(refused(&invitation), 401);
    // Those of earlier starts are of no use either.
    let (host, _) = world.end();
    let world = World::up_on(host, SLEEPER);
    let admins = world.owner().get("/v1/enrolments").good();
    assert_eq!((admins.as_array().unwrap().len(), &admins[0]["maker"]), (1, &json!("system:nanoclaw")));
}

#[test]
fn whoever_sees_to_accounts_makes_nobody_more_than_they_are() {
    let host = Host::new();
    let policy = "@id(\"helpdesk\")\npermit(principal in Role::\"operator\", action == Action::\"agent_manage\", resource)\n\
                  when { context.operation == \"operators\" };\n";
    host.write("helpdesk.cedar", policy);
    let world = World::up_on(host, &format!("policies: [./helpdesk.cedar]\n{SLEEPER}"));
    let owner = world.owner();
    let helper = world.operator("helper", &["operator"]);
    owner.post("/v1/operators", &json!({"name": "boss", "roles": ["admin"]})).good();
    helper.post("/v1/operators", &json!({"name": "new", "roles": ["operator"]})).good();
    let (request, _) = nanoclaw_identity::ca::new_request().unwrap();
    let more = (403, "not-you".to_owned());
    for (path, body) in [
        ("/v1/operators", json!({"name": "eve", "roles": ["admin"]})),
        ("/v1/operators/new", json!({"roles": ["operator", "admin"]})),
        ("/v1/operators/helper", json!({"roles": ["admin"]})),
        ("/v1/operators/boss", json!({"password": "correct horse battery staple"})),
        ("/v1/operators/boss", json!({"disabled": true})),
        ("/v1/certificates", json!({"operator": "boss", "request": request})),
    ] {
        assert_eq!(helper.post(path, &body).refused(), more, "{path} {body}");
    }
    assert_eq!(helper.delete("/v1/operators/boss").refused(), more);
    assert_eq!(helper.delete("/v1/operators/new").status, 204);
}

#[test]
fn a_certificate_is_renewed_by_whoever_shows_it_and_only_in_time() {
    let world = World::up(SLEEPER);
    let admin = world.operator("root-of-all", &["admin"]);
    let (request, _) = nanoclaw_identity::ca::new_request().unwrap();
    let renew = |client: &Client| client.post("/v1/me/certificate", &json!({ "request": request })).refused().0;
    let made = admin.post("/v1/tokens", &json!({"roles": ["admin"], "hours": 1})).good();
    assert_eq!(renew(&admin), 409, "it is new");
    assert_eq!(renew(&admin.with_token(made["token"].as_str().unwrap())), 409);
    assert_eq!(renew(&world.owner()), 409, "there is none");
    assert_eq!(admin.post("/v1/me/certificate", &json!({"request": "x"})).refused().0, 400);
}
