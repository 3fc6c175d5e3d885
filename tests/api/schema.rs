//! The OpenAPI document says what is served, and what is served is what it says.

use serde_json::{Value, json};

use crate::support::Host;
use crate::world::World;

/// What is wrong with a value, by the keywords that the document uses.
fn wrong(schema: &Value, value: &Value, at: &str, mistakes: &mut Vec<String>) {
    if let Some(any) = schema["anyOf"].as_array() {
        let fits = any.iter().any(|schema| {
            let mut found = Vec::new();
            wrong(schema, value, at, &mut found);
            found.is_empty()
        });
        if !fits {
            mistakes.push(format!("{at}: {value} fits none of {any:?}"));
        }
        return;
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if schema["type"].as_str().is_some_and(|wanted| wanted != kind) {
        mistakes.push(format!("{at}: {value} is no {}", schema["type"]));
        return;
    }
    if schema["enum"].as_array().is_some_and(|all| !all.contains(value)) {
        mistakes.push(format!("{at}: {value} is none of {}", schema["enum"]));
    }
    match value {
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(n, item)| wrong(&schema["items"], item, &format!("{at}[{n}]"), mistakes));
        }
        Value::Object(members) => {
            for name in schema["required"].as_array().into_iter().flatten() {
                if !members.contains_key(name.as_str().unwrap()) {
                    mistakes.push(format!("{at}: there is no {name}"));
                }
            }
            for (name, value) in members {
                match &schema["properties"][name] {
                    Value::Null if schema["additionalProperties"] == json!(false) => {
                        mistakes.push(format!("{at}: `{name}` is not in the document"));
                    }
                    Value::Null => {}
                    schema => wrong(schema, value, &format!("{at}.{name}"), mistakes),
                }
            }
        }
        _ => {}
    }
}

#[test]
fn answers_are_what_the_document_says() {
    let world = World::up("agents:\n  - { id: one, command: [sleep, '1000'] }\n  - { id: two, command: ['true'] }\n");
    let owner = world.owner();
    let document = owner.get("/v1/openapi.json").good();
    world.identity("carol", &["viewer"]);
    let invitation = owner.post("/v1/enrolments", &json!({"operator": "dora", "roles": ["viewer"]})).good();
    owner.post("/v1/tokens", &json!({"roles": ["viewer"], "hours": 1})).good();
    let check = |method: &str, pattern: &str, path: &str, body: Option<Value>| {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let answer = owner.send(method, path, &[], body.as_bytes());
        let responses = &document["paths"][pattern][method.to_lowercase()]["responses"];
        let response = &responses[answer.status.to_string()];
        assert!(response.is_object(), "{method} {path}: {} is not in {responses}: {}", answer.status, answer.text());
        let schema = &response["content"]["application/json"]["schema"];
        let mut mistakes = Vec::new();
        wrong(schema, &answer.json(), path, &mut mistakes);
        assert!(mistakes.is_empty(), "{mistakes:?}");
    };
    check("GET", "/v1/me", "/v1/me", None);
    check("GET", "/v1/agents", "/v1/agents", None);
    check("GET", "/v1/agents/{id}", "/v1/agents/one", None);
    check("GET", "/v1/agents/{id}", "/v1/agents/two", None);
    check("GET", "/v1/approvals", "/v1/approvals", None);
    check("GET", "/v1/policy", "/v1/policy", None);
    check("POST", "/v1/policy/explain", "/v1/policy/explain", Some(json!({"question": "one net_connect a.b:1"})));
    check("GET", "/v1/operators", "/v1/operators", None);
    check("POST", "/v1/operators", "/v1/operators", Some(json!({"name": "eve", "roles": ["auditor"]})));
    check("POST", "/v1/operators/{name}", "/v1/operators/eve", Some(json!({"roles": ["viewer", "approver"]})));
    check("GET", "/v1/tokens", "/v1/tokens", None);
    check("POST", "/v1/tokens", "/v1/tokens", Some(json!({"roles": ["viewer"], "hours": 2})));
    check("GET", "/v1/certificates", "/v1/certificates", None);
    check("GET", "/v1/enrolments", "/v1/enrolments", None);
    check("POST", "/v1/enrolments", "/v1/enrolments", Some(json!({"operator": "fay", "roles": ["viewer"]})));
    check("POST", "/v1/reload", "/v1/reload", None);
    let (request, _) = nanoclaw_identity::ca::new_request().unwrap();
    check("POST", "/v1/certificates", "/v1/certificates", Some(json!({"operator": "eve", "request": request})));
    let token = invitation["token"].as_str().unwrap();
    check("POST", "/v1/enroll", "/v1/enroll", Some(json!({"token": token, "request": request})));
}

#[test]
fn a_stranger_is_refused_at_every_place_of_the_document_but_three() {
    let world = World::up("agents: [{ id: one, command: [sleep, '1000'] }]\n");
    let document: Value = serde_json::from_str(&Host::new().nanoclaw(["api", "schema"]).good()).unwrap();
    assert_eq!(document, world.owner().get("/v1/openapi.json").good(), "it is the same offline");
    let mut open = Vec::new();
    let mut count = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            count += 1;
            if operation["security"] == json!([]) {
                open.push(path.as_str());
                continue;
            }
            let path = path.replace("{id}", "one").replace(['{', '}'], "");
            // After some failures nobody is heard from there any more, which is a refusal too.
            let (status, code) = world.stranger().send(&method.to_uppercase(), &path, &[], b"").refused();
            assert!([(401, "not-you"), (429, "limit")].contains(&(status, code.as_str())), "{method} {path}: {status}");
        }
    }
    assert_eq!(open, ["/v1/ca", "/v1/enroll", "/v1/sign-in"]);
    assert!(count > 30, "the document is read");
    let agents = world.records(|record| record["action"] == "agent_manage" && record["result"] != "denied");
    assert!(agents.iter().all(|record| record["agent_id"] == format!("operator:{}", world.host.uid())), "{agents:?}");
}
