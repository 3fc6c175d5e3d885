//! That steering really asks: each verb of `agent_manage`, `approve` and `audit_read` is done where a policy of a file permits
//! it to whoever has no role for it, and refused where one forbids it, role or not.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::support::{Host, appears};
use crate::world::World;

/// What is asked of policy, and a request that makes it ask.
const ASKED: [(&str, &str, &str, &str); 14] = [
    ("logs", "GET", "/v1/agents/one/logs", ""),
    ("turn", "POST", "/v1/agents/one/turns", r#"{"prompt": "hello"}"#),
    ("sessions", "GET", "/v1/agents/one/sessions", ""),
    ("reset-labels", "POST", "/v1/agents/one/labels/reset", ""),
    ("approvals", "GET", "/v1/approvals", ""),
    ("policy", "GET", "/v1/policy", ""),
    ("operators", "GET", "/v1/operators", ""),
    ("reload", "POST", "/v1/reload", ""),
    ("approve", "POST", "/v1/approvals/00000000", r#"{"answer": "deny", "digest": "DIGEST"}"#),
    ("audit_read", "GET", "/v1/audit?limit=1", ""),
    ("list", "GET", "/v1/agents", ""),
    ("renew", "POST", "/v1/me/certificate", r#"{"request": "x"}"#),
    ("stop", "POST", "/v1/agents/one/stop", ""),
    ("down", "POST", "/v1/down", ""),
];

/// A policy about one of them and one operator.
fn policy(effect: &str, operator: &str, what: &str) -> String {
    let (action, when) = match what {
        "approve" | "audit_read" => (what, String::new()),
        operation => ("agent_manage", format!(" when {{ context.operation == {operation:?} }}")),
    };
    format!(
        "@id(\"{operator}\") {effect}(principal == Operator::{operator:?}, action == Action::{action:?}, resource){when};\n"
    )
}

fn ask(client: &Client, (_, method, path, body): (&str, &str, &str, &str)) -> Answer {
    client.send(method, path, &[], body.replace("DIGEST", &"0".repeat(64)).as_bytes())
}

#[track_caller]
fn is_refused(answer: &Answer, what: &str) {
    assert_eq!(answer.refused(), (403, "not-you".to_owned()), "{what}");
}

/// It was taken on, whatever became of it: nobody answers in `one`, and there is no such question.
#[track_caller]
fn is_done(answer: &Answer, what: &str) {
    let ends = match what {
        "approve" => [404, 404],
        "renew" => [400, 400],
        "sessions" => [409, 409],
        _ => [200, 202],
    };
    assert!(ends.contains(&answer.status) || answer.status == 204, "{what}: {} {}", answer.status, answer.text());
}

#[test]
fn each_way_of_steering_is_asked_by_itself() {
    let host = Host::new();
    let mut policies = String::new();
    for (what, ..) in ASKED {
        let _infallible = write!(
            policies,
            "{}{}",
            policy("forbid", &format!("no-{what}"), what),
            policy("permit", &format!("only-{what}"), what)
        );
    }
    host.write("p.cedar", policies);
    let world = World::up_on(
        host,
        "policies: [./p.cedar]\nagents: [{ id: one, command: [sleep, '1000'] }, { id: two, command: [sleep, '1000'] }]\n",
    );
    let owner = world.owner();
    assert!(appears(|| owner.get("/v1/agents/one").good()["phase"] == "running"));
    for asked in ASKED {
        let what = asked.0;
        // Whoever may do everything but this.
        is_refused(&ask(&world.operator(&format!("no-{what}"), &["admin"]), asked), what);
        // Whoever may do nothing else, and somebody who may not even this.
        if !matches!(what, "list" | "renew") {
            is_refused(&ask(&world.operator(&format!("a-viewer-{what}"), &["viewer"]), asked), what);
        }
        is_done(&ask(&world.operator(&format!("only-{what}"), &["viewer"]), asked), what);
    }
    let (host, _) = world.end();
    for (what, ..) in ASKED {
        let of = |who: &str, result: &str| -> Vec<Value> {
            let name = format!("operator:{who}-{what}");
            host.records()
                .into_iter()
                .filter(|record| record["agent_id"] == name.as_str() && record["result"] == result)
                .filter(|record| record["action"] != "sign_in")
                .collect()
        };
        let refused = of("no", "denied");
        assert!(refused.iter().all(|record| record["policy_ids"] == json!([format!("no-{what}")])), "{refused:#?}");
        assert_eq!(refused.len(), 1, "{what}");
        // There is no question to answer: tests/agents/approvals.rs has some.
        let allowed = of("only", "allowed");
        assert_eq!(allowed.len(), usize::from(what != "approve"), "{what}: {allowed:#?}");
    }
}
