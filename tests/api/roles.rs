//! Every endpoint of the OpenAPI document, asked by every role. What must come of it is what the policies say that are
//! compiled into the binary, asked without it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nanoclaw_identity::{Operator, Role, identify_person};
use nanoclaw_policy::{Engine, Generation, Policies, Session, Verdict};
use nanoclaw_request::{Action, Approve, Arrived, AuditRead, CellId, Door, Manage};
use serde_json::Value;

use crate::world::World;

/// What an endpoint is to policy. A new one has to be put here.
fn action(operation: &str) -> Action {
    let cell = "one".to_owned();
    let people = |what: &str| Manage::Operators { what: what.to_owned(), name: "nobody".to_owned() };
    Action::Manage(match operation {
        "getMe" | "getOpenApi" | "listAgents" | "getAgent" => Manage::List,
        "getLogs" => Manage::Logs { cell },
        "startTurn" => Manage::Turn { cell, digest: String::new() },
        "listSessions" => Manage::Sessions { cell },
        "stopAgent" => Manage::Stop { cell },
        "resetLabels" => Manage::ResetLabels { cell },
        "listApprovals" | "getApproval" => Manage::Approvals,
        "reload" => Manage::Reload,
        "stopFleet" => Manage::Down,
        "getPolicy" | "explainPolicy" => Manage::Policy,
        "listOperators" => people("list"),
        "addOperator" => people("operator-create"),
        "changeOperator" => people("operator-change"),
        "removeOperator" => people("operator-remove"),
        "listTokens" => people("token-list"),
        "addToken" => people("token-create"),
        "revokeToken" => people("token-revoke"),
        "listCertificates" => people("certificate-list"),
        "addCertificate" => people("certificate-create"),
        "revokeCertificate" => people("certificate-revoke"),
        "renewCertificate" => Manage::Renew,
        "listEnrolments" => people("enrolment-list"),
        "addEnrolment" => people("enrolment-create"),
        "getAudit" | "followAudit" => return Action::AuditRead(AuditRead { what: String::new() }),
        "answerApproval" => {
            let (question, digest) = ("00000000".to_owned(), String::new());
            return Action::Approve(Approve { question, digest, cell, answer: "approve" });
        }
        other => panic!("`{other}` is not in this table"),
    })
}

/// What the policies say.
fn permitted(role: Role, action: Action) -> bool {
    let cell = CellId::parse("control").unwrap();
    let engine = Engine::of(Policies::new(Generation::default()), cell, Arc::new(Session::default()));
    let operator = Operator { name: role.name().to_owned(), roles: BTreeSet::from([role]) };
    let proposed = identify_person(Arrived::now(Door::Api, ()), operator).propose(|()| Ok(action));
    matches!(engine.decide(proposed), Verdict::Allowed(_))
}

#[test]
fn every_role_may_do_at_every_endpoint_what_its_policy_says() {
    let world = World::up("agents: [{ id: one, command: [sleep, '1000'] }]\n");
    let document = world.owner().get("/v1/openapi.json").good();
    let mut refused: BTreeMap<&str, u64> = BTreeMap::new();
    let mut endpoints = 0;
    for role in Role::ALL {
        let name = format!("a-{}", role.name());
        let client = world.operator(&name, &[role.name()]);
        let mut may = 0;
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                if operation["security"] == Value::Array(Vec::new()) {
                    continue;
                }
                endpoints += 1;
                let path = path.replace("{id}", "one").replace("{name}", "nobody").replace("{question}", "00000000");
                // Nothing is done by it, as there is no such query; but whoever may not ask at all is not told that.
                let path = format!("{}?surplus=1", path.replace("{serial}", &"0".repeat(32)));
                let answer = client.send(&method.to_uppercase(), &path, &[], b"");
                let operation = operation["operationId"].as_str().unwrap();
                if permitted(role, action(operation)) {
                    may += 1;
                    let (status, code) = answer.refused();
                    assert!(
                        (400..=415).contains(&status) && status != 401 && code != "not-you",
                        "{name} {operation}: {status} {code}"
                    );
                } else {
                    assert_eq!(answer.refused(), (403, "not-you".to_owned()), "{name} {operation}");
                    *refused.entry(role.name()).or_default() += 1;
                }
            }
        }
        // So that policies that permit nothing, or everything, are noticed.
        let expected = match role {
            Role::Viewer => 5,
            Role::Operator => 11,
            Role::Approver => 8,
            Role::Auditor => 13,
            Role::Admin => 31,
        };
        assert_eq!(may, expected, "{name}");
    }
    assert_eq!(endpoints, 31 * 5);
    for (role, count) in refused {
        let of_role = world.records(|record| {
            record["agent_id"] == format!("operator:a-{role}")
                && record["result"] == "denied"
                && record["code"] == "not-you"
        });
        assert_eq!(of_role.len() as u64, count, "{role}");
        assert!(of_role.iter().all(|record| record["door"] == "api"), "{of_role:?}");
    }
}
